#include "virtual/ctl.h"

#include <errno.h>
#include <string.h>

#include "closing/last_close.h"
#include "util/log.h"
#include "util/number.h"
#include "util/words.h"

#define RETRIES_MOST 1000

struct verb {
	const char *name;
	enum gb_verb bit;
	const char *argument; /* as the list shows it; NULL: takes none but terms */
	bool anytime; /* allowed even if it is not listed, because there may be nothing
	                 left to do */
	bool terms;   /* takes NAME=VALUE... */
	int (*run)(struct mount *m, struct gb_job *job, const char *argument,
		struct gb_waiter *w);
};

/* ---- terms of a submission ----------------------------------------------------------- */

static bool term_retries(struct gb_terms *t, const char *value)
{
	const char *end = "";
	uint64_t n;
	bool ok = number_of(value, 10, &n, &end) && !*end && n <= RETRIES_MOST;

	t->retries = ok ? (int)n : -1;
	return ok;
}

static bool term_tokens(struct gb_terms *t, const char *value)
{
	const char *end = "";

	return number_of(value, 10, &t->max_tokens, &end) && !*end && t->max_tokens;
}

static bool term_cost(struct gb_terms *t, const char *value)
{
	return number_of_money(value, &t->max_cost) && t->max_cost > 0;
}

static const struct term {
	const char *name; /* as the option of a mount */
	bool (*set)(struct gb_terms *t, const char *value);
} terms[] = {
	{"retries", term_retries},
	{"max_tokens", term_tokens},
	{"max_cost", term_cost},
};

/* word is NAME=VALUE. */
static bool set_term(struct gb_terms *t, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(terms); i++) {
		size_t n = strlen(terms[i].name);

		if (!strncmp(word, terms[i].name, n) && word[n] == '=')
			return terms[i].set(t, word + n + 1);
	}
	return false;
}

/* text: such words with spaces between. */
static int parse_terms(const char *text, struct gb_terms *ret)
{
	_cleanup_free_ char *copy = strdup(text);
	char *word, *rest = copy;

	*ret = (struct gb_terms){.retries = -1};
	if (!copy)
		return -ENOMEM;
	while ((word = strsep(&rest, " \t")))
		if (*word && !set_term(ret, word))
			return -EINVAL;
	return 0;
}

/* ---- the verbs ------------------------------------------------------------------------ */

static int submit_by(struct mount *m, struct gb_job *job, enum gb_by by,
	const char *argument, struct gb_waiter *w)
{
	struct gb_terms on;
	int err = parse_terms(argument, &on);

	if (!err)
		err = closes_settle(m, job, NULL, GB_REQUESTS, w);
	if (!err)
		err = closes_settle_parts(m, job, w);
	return err ? err : gb_submit_on(job, by, &on, w);
}

static int run_submit(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return submit_by(m, job, GB_BY_CTL, argument, w);
}

static int run_queue(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return submit_by(m, job, GB_BY_QUEUE, argument, w);
}

static int run_check(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return gb_check(job, w);
}

static int run_estimate(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return gb_estimate(job, w);
}

static int run_cancel(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return gb_cancel(job, w);
}

static int run_fetch(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return gb_save_results(job, w);
}

static int run_retry(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	struct gb_terms on;
	int err = *argument ? parse_terms(argument, &on) : gb_retry(job, w);

	if (err || !*argument)
		return err;
	return on.retries < 0 || on.max_tokens || on.max_cost > 0
		       ? -EINVAL
		       : gb_retry_up_to(job, on.retries);
}

static int run_adopt(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return gb_adopt(job, argument, w);
}

static int run_resubmit(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return gb_resubmit(job, w);
}

static int run_forget(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return gb_forget(job, w);
}

static const struct verb verbs[] = {
	{"submit", GB_SUBMIT, NULL, false, true, run_submit},
	{"check", GB_CHECK, NULL, false, false, run_check},
	{"estimate", GB_ESTIMATE, NULL, true, false, run_estimate},
	{"queue", GB_QUEUE, NULL, false, true, run_queue},
	{"cancel", GB_CANCEL, NULL, false, false, run_cancel},
	{"fetch", GB_FETCH_VERB, NULL, true, false, run_fetch},
	{"retry", GB_RETRY, NULL, false, true, run_retry},
	{"adopt", GB_ADOPT, "ID", false, false, run_adopt},
	{"resubmit", GB_RESUBMIT, NULL, false, false, run_resubmit},
	{"forget", GB_FORGET, NULL, false, false, run_forget},
};

/* Those that fit, with a text before each but the first. */
static size_t put_fitting(struct gb_job *job, FILE *out, const char *between)
{
	unsigned fit = gb_verbs(job);
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!(fit & verbs[i].bit))
			continue;
		fprintf(out, "%s%s", n++ ? between : "", verbs[i].name);
		if (verbs[i].argument)
			fprintf(out, " %s", verbs[i].argument);
	}
	return n;
}

void verbs_list(struct gb_job *job, FILE *out)
{
	if (put_fitting(job, out, "\n"))
		fputc('\n', out);
}

static const struct verb *find_verb(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strlen(verbs[i].name) == n && !memcmp(verbs[i].name, name, n))
			return &verbs[i];
	return NULL;
}

static const char *nearest_verb(const char *word)
{
	struct words_search s = {.word = word};

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		words_offer(&s, verbs[i].name);
	return s.nearest;
}

bool verbs_have(const char *word, const char **ret_argument, bool *ret_terms,
	const char **ret_nearest)
{
	const struct verb *v = find_verb(word, strlen(word));

	if (v) {
		*ret_argument = v->argument;
		*ret_terms = v->terms;
	} else {
		*ret_nearest = nearest_verb(word);
	}
	return v;
}

/* The verbs that are possible now, separated by commas; malloc'ed. */
static char *fitting_verbs(struct gb_job *job)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	put_fitting(job, out, ", ");
	fclose(out);
	return text;
}

#define WORD_SHOWN 40 /* bytes of a word that are put into the log */

/* echo shows only an errno; .batchfs/log has the explanation. */
static int refuse_verb(struct gb_job *job, const char *text, size_t n, int err)
{
	_cleanup_free_ char *fit = fitting_verbs(job);
	_cleanup_free_ char *word = strndup(text, n < WORD_SHOWN ? n : WORD_SHOWN);
	const char *nearest = word && err == -EINVAL ? nearest_verb(word) : NULL;
	struct gb_info info;

	gb_job_info(job, &info);
	log_line(LOG_WARNING, "%s: \"%s\" %s%s%s (%s; verbs that fit: %s)", info.name,
		word ? word : "",
		err == -EBUSY ? "is not possible now" : "is not a verb",
		nearest ? ": did you mean " : "", nearest ? nearest : "", info.state,
		fit && *fit ? fit : "none");
	return err;
}

/* How often is asked again can be said at any time. */
static bool fits(struct gb_job *job, const struct verb *verb, const char *argument)
{
	return verb->anytime || (gb_verbs(job) & verb->bit) ||
	       (verb->bit == GB_RETRY && *argument);
}

static int refuse_terms(struct gb_job *job, const struct verb *verb, const char *argument)
{
	struct gb_terms on;
	struct gb_info info;

	gb_job_info(job, &info);
	/* Else the API's refusal has been told. */
	if (verb->bit == GB_RETRY || parse_terms(argument, &on))
		log_line(LOG_WARNING,
			"%s: %s takes retries=N%s; \"%.*s\" is something else", info.name,
			verb->name,
			verb->bit == GB_RETRY ? "" : ", max_tokens=N and max_cost=N",
			WORD_SHOWN, argument);
	return -EINVAL;
}

int verbs_store_ctl(
	struct mount *m, struct gb_job *job, const char *text, struct gb_waiter *w)
{
	size_t n = strcspn(text, " \t\n");
	const char *argument = text + n + strspn(text + n, " \t");
	const struct verb *verb = find_verb(text, n);
	int err;

	if (!verb || strchr(text, '\n') ||
		(!verb->terms && !!*argument != !!verb->argument))
		return refuse_verb(job, text, n, -EINVAL);
	if (!fits(job, verb, argument))
		return refuse_verb(job, text, n, -EBUSY);
	err = verb->run(m, job, argument, w);
	return err == -EINVAL && verb->terms && *argument
		       ? refuse_terms(job, verb, argument)
		       : err;
}

/* What can be changed as long as nothing was sent. */
static bool is_still_draft(struct gb_job *job)
{
	struct gb_info info;

	gb_job_info(job, &info);
	return info.draft && !info.submitted;
}

int verbs_store_model(
	struct mount *m, struct gb_job *job, const char *text, struct gb_waiter *w)
{
	return is_still_draft(job) ? gb_draft_set_model(job, text) : -EROFS;
}

int verbs_store_split(
	struct mount *m, struct gb_job *job, const char *text, struct gb_waiter *w)
{
	return is_still_draft(job) ? gb_draft_set_split(job, text) : -EROFS;
}
