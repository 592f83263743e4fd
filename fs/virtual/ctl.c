#include "virtual/ctl.h"

#include <errno.h>
#include <string.h>

#include "closing/last_close.h"
#include "util/log.h"
#include "util/words.h"

struct verb {
	const char *name;
	enum gb_verb bit;
	const char *argument; /* as the list shows it; NULL: takes none */
	bool anytime; /* allowed even if it is not listed, because there may be nothing
	                 left to do */
	int (*run)(struct mount *m, struct gb_job *job, const char *argument,
		struct gb_waiter *w);
};

static int submit_by(
	struct mount *m, struct gb_job *job, enum gb_by by, struct gb_waiter *w)
{
	int err = closes_settle(m, job, NULL, GB_REQUESTS, w);

	if (!err)
		err = closes_settle_parts(m, job, w);
	return err ? err : gb_submit(job, by, w);
}

static int run_submit(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return submit_by(m, job, GB_BY_CTL, w);
}

static int run_queue(
	struct mount *m, struct gb_job *job, const char *argument, struct gb_waiter *w)
{
	return submit_by(m, job, GB_BY_QUEUE, w);
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
	return gb_retry(job, w);
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
	{"submit", GB_SUBMIT, NULL, false, run_submit},
	{"check", GB_CHECK, NULL, false, run_check},
	{"estimate", GB_ESTIMATE, NULL, true, run_estimate},
	{"queue", GB_QUEUE, NULL, false, run_queue},
	{"cancel", GB_CANCEL, NULL, false, run_cancel},
	{"fetch", GB_FETCH_VERB, NULL, true, run_fetch},
	{"retry", GB_RETRY, NULL, false, run_retry},
	{"adopt", GB_ADOPT, "ID", false, run_adopt},
	{"resubmit", GB_RESUBMIT, NULL, false, run_resubmit},
	{"forget", GB_FORGET, NULL, false, run_forget},
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

bool verbs_have(const char *word, const char **ret_argument, const char **ret_nearest)
{
	const struct verb *v = find_verb(word, strlen(word));

	if (v)
		*ret_argument = v->argument;
	else
		*ret_nearest = nearest_verb(word);
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

int verbs_store_ctl(
	struct mount *m, struct gb_job *job, const char *text, struct gb_waiter *w)
{
	size_t n = strcspn(text, " \t\n");
	const char *argument = text + n + strspn(text + n, " \t");
	const struct verb *verb = find_verb(text, n);

	if (!verb || strchr(text, '\n') || !!*argument != !!verb->argument)
		return refuse_verb(job, text, n, -EINVAL);
	if (!verb->anytime && !(gb_verbs(job) & verb->bit))
		return refuse_verb(job, text, n, -EBUSY);
	return verb->run(m, job, argument, w);
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
