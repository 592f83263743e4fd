/* The table of verbs, and those that need no file of their own. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/absent.h"
#include "cli/await.h"
#include "cli/desk.h"
#include "cli/ended.h"
#include "cli/follow.h"
#include "cli/material.h"
#include "cli/output.h"
#include "cli/terms.h"
#include "util/ignored.h"
#include "util/util.h"
#include "virtual/ctl.h"

/* ---- what is said, and how it ends ----------------------------------------------- */

static volatile sig_atomic_t stopped;

int cli_stopped(void)
{
	return stopped;
}

/* Who asks twice does not want to wait for a tidy end. */
static void on_stop(int sig)
{
	if (stopped)
		_exit(CLI_SIGNAL + sig);
	stopped = sig;
}

void cli_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("batchfs: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

int cli_exit_of(int err)
{
	switch (-err) {
	case EINTR:
		return CLI_SIGNAL + (stopped ? stopped : SIGINT);
	case EPIPE:
		return CLI_SIGNAL + SIGPIPE;
	case EACCES:
	case ENOKEY:
		return CLI_KEY;
	case EAGAIN:
	case EDQUOT:
	case EHOSTUNREACH:
	case ETIMEDOUT:
		return CLI_LATER;
	default:
		return CLI_FAILED;
	}
}

int cli_fail(const char *name, const char *what, int err)
{
	const char *where = err == -EPIPE || err == -EINTR ? NULL : output_refused(err);

	if (where) {
		cli_say("%s: %s", where,
			err == -EBADF ? "it is closed" : strerror(-err));
		return CLI_FAILED;
	}
	if (err != -EPIPE)
		cli_say("%s%s%s: %s", name, what ? ": " : "", what ? what : "",
			err == -ENOENT ? "there is no such job" : strerror(-err));
	return cli_exit_of(err);
}

/* ---- verbs ----------------------------------------------------------------------- */

/* Each NAME; the worst exit status. */
static int each(const struct cli_args *a, struct desk *d,
	int (*one)(const struct cli_args *a, struct desk *d, const char *name))
{
	int worst = CLI_OK;

	for (size_t i = 0; i < a->n && !cli_stopped(); i++) {
		int status = one(a, d, a->names[i]);

		worst = status > worst ? status : worst;
	}
	return cli_stopped() ? cli_exit_of(-EINTR) : worst;
}

static int wait_one(const struct cli_args *a, struct desk *d, const char *name)
{
	double until = a->timeout >= 0 ? seconds_now() + a->timeout : -1;
	_cleanup_free_ char *state = NULL;
	int err = follow(d, name, a->quiet, until, &state);

	if (err == -EAGAIN || err == -EINTR)
		return follow_left(d, name, err);
	if (err)
		return absent_waited(d, name, err);
	printf("%s%s%s\n", a->n > 1 ? name : "", a->n > 1 ? "\t" : "", state);
	ended_start(d, name, state);
	if (!strcmp(state, "JOB_STATE_SUCCEEDED"))
		return CLI_OK;
	follow_tell_error(d, name);
	return absent_unbought(d, name, state);
}

static int verb_wait(const struct cli_args *a, struct desk *d)
{
	return each(a, d, wait_one);
}

/* NAME, or NAME/FILE: the name is malloc'ed, the file borrowed from arg; NULL: none. */
static char *split_name(const char *arg, const char **ret_file)
{
	size_t n = strcspn(arg, "/");

	*ret_file = arg[n] && arg[n + 1] ? arg + n + 1 : NULL;
	return strndup(arg, n);
}

/* NAME is its answers. */
static int cat_one(const struct cli_args *a, struct desk *d, const char *arg)
{
	const char *file;
	_cleanup_free_ char *name = split_name(arg, &file);

	if (!file)
		file = a->raw ? "results.jsonl" : "answers.tsv";
	int err = name ? output_file(d, name, file) : -ENOMEM;
	if (!err)
		return CLI_OK;
	return name ? absent_say(d, name, file, err) : cli_fail(arg, NULL, err);
}

static int verb_cat(const struct cli_args *a, struct desk *d)
{
	return each(a, d, cat_one);
}

struct names {
	char **all;
	size_t n, cap;
	bool slashes; /* behind directories */
};

static int keep_name(void *arg, const char *name, bool is_dir)
{
	struct names *l = arg;

	if (l->n == l->cap) {
		size_t cap = 2 * l->cap + 64;
		void *all = realloc(l->all, cap * sizeof(*l->all));

		if (!all)
			return -ENOMEM;
		l->all = all;
		l->cap = cap;
	}
	l->all[l->n] = format("%s%s", name, l->slashes && is_dir ? "/" : "");
	return l->all[l->n] ? (l->n++, 0) : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In order, whatever way they came. */
static int list_names(struct desk *d, const char *name, const char *path)
{
	struct names l = {.slashes = name};
	int err = d->ops->list(d, name, path, keep_name, &l);

	if (l.n)
		qsort(l.all, l.n, sizeof(*l.all), by_name);
	for (size_t i = 0; i < l.n; i++) {
		if (!err && puts(l.all[i]) < 0)
			err = -errno;
		free(l.all[i]);
	}
	free(l.all);
	return err;
}

/* The headings of the table of jobs, and the row of one. */
static int list_row(struct desk *d, const char *name)
{
	_cleanup_free_ char *table = NULL;
	char *heads, *row;
	int err = desk_row(d, name, &table, &heads, &row);

	return err ? err : printf("%s\n%s\n", heads, row) < 0 ? -errno : 0;
}

static int verb_ls(const struct cli_args *a, struct desk *d)
{
	const char *path = NULL;
	_cleanup_free_ char *name = a->n ? split_name(a->names[0], &path) : NULL;
	int err = a->n && !name ? -ENOMEM : 0;

	if (path && a->details) {
		cli_say("ls: --long is for jobs, not for files of one");
		return CLI_USAGE;
	}
	if (!err && a->details)
		err = name ? list_row(d, name) : output_file(d, ".batchfs", "jobs");
	else if (!err)
		err = list_names(d, name, path);
	if (err && path)
		return absent_say(d, name, path, err);
	return err ? cli_fail(name ? name : "ls", NULL, err) : CLI_OK;
}

static void say_fitting(
	const char *name, const char *verb, const char *state, char *fit)
{
	char *line, *rest = fit;

	fprintf(stderr, "batchfs: %s: %s is not possible now (%s; possible:", name,
		verb, state);
	while ((line = strsep(&rest, "\n")))
		fprintf(stderr, " %s%s", *line ? line : "nothing", rest ? "," : "");
	fputs(")\n", stderr);
}

/* Why a verb does not fit the job now. */
static bool tell_fitting(struct desk *d, const char *name, const char *verb)
{
	_cleanup_free_ char *state = NULL, *fit = NULL;

	if (desk_text(d, name, "state", &state) || desk_text(d, name, "ctl", &fit))
		return false;
	say_fitting(name, verb, state, fit);
	return true;
}

static int control(struct desk *d, const char *name, const char *verb)
{
	int err = d->ops->store(d, name, "ctl", verb);
	bool said = !err || (err == -EBUSY && tell_fitting(d, name, verb)) ||
		    (err != -ENOENT && err != -EINTR && follow_tell_error(d, name));

	if (!said)
		cli_fail(name, verb, err);
	return err ? absent_refused(d, name, err) : CLI_OK;
}

static int control_one(const struct cli_args *a, struct desk *d, const char *name)
{
	return control(d, name, a->verb->name);
}

/* A verb of ctl, called the same. */
static int verb_control(const struct cli_args *a, struct desk *d)
{
	return each(a, d, control_one);
}

static int show_fitting(struct desk *d, const char *name)
{
	int err = output_file(d, name, "ctl");

	return err ? cli_fail(name, NULL, err) : CLI_OK;
}

/* VERB and what follows it as one text; of a submission, with the terms of options. */
static char *control_text(const struct cli_args *a, const struct options *o)
{
	bool submits = !strcmp(a->names[1], "submit") || !strcmp(a->names[1], "queue");
	char *text = strdup(a->names[1]);

	for (size_t i = 2; text && i < a->n; i++) {
		char *longer = format("%s %s", text, a->names[i]);

		free(text);
		text = longer;
	}
	if (!text || !submits)
		return text;
	_cleanup_free_ char *said = text, *terms = terms_of(a, o);
	return terms ? format("%s%s", said, terms) : NULL;
}

/* What has no verb of its own: adopt ID, resubmit, forget, check, estimate. */
static int verb_ctl(const struct cli_args *a, struct desk *d)
{
	if (a->n == 1)
		return show_fitting(d, a->names[0]);
	_cleanup_free_ char *text = control_text(a, d->place->o);
	const char *argument = NULL, *nearest;
	bool terms = false;

	if (!verbs_have(a->names[1], &argument, &terms, &nearest)) {
		cli_say("ctl: there is no verb %s%s%s%s (batchfs help ctl)",
			a->names[1], nearest ? ": did you mean " : "",
			nearest ? nearest : "", nearest ? "?" : "");
		return CLI_USAGE;
	}
	if (!terms && (argument ? a->n != 3 : a->n != 2)) {
		cli_say("ctl: %s takes %s", a->names[1],
			argument ? "an ID" : "nothing more");
		return CLI_USAGE;
	}
	return text ? control(d, a->names[0], text) : CLI_FAILED;
}

static int rm_one(const struct cli_args *a, struct desk *d, const char *name)
{
	int err = d->ops->remove(d, name);

	if (err == -EAGAIN)
		cli_say("%s: the API has accepted it, and is not done. It goes on while a "
			"mount or another verb runs: batchfs status",
			name);
	else if (err && (err == -ENOENT || !follow_tell_error(d, name)))
		cli_fail(name, "not removed", err);
	return err ? cli_exit_of(err) : CLI_OK;
}

static int verb_rm(const struct cli_args *a, struct desk *d)
{
	return each(a, d, rm_one);
}

/* A file of .batchfs, called like the verb. */
static int verb_meta(const struct cli_args *a, struct desk *d)
{
	int err = output_file(d, ".batchfs", a->json ? "status.json" : a->verb->name);

	return err ? cli_fail(a->verb->name, NULL, err) : CLI_OK;
}

#define ANY (-1)

const struct cli_verb cli_verbs[] = {
	{"run", "NAME [FILE|-]", "submit or attach, wait, answers to stdout",
		"Submit the requests as job NAME, or attach to it if it is there with "
		"the same\nones; wait; answers go to stdout in the order asked, "
		"progress to stderr.",
		1, 2, .submits = true, .first = true, .run = cli_run},
	{"submit", "NAME [FILE|-]", "submit, and return when the job exists",
		"Submit the requests as job NAME, and return when the job exists "
		"(--queue: when\nthe requests are safe here).",
		1, 2, .submits = true, .first = true, .run = cli_submit},
	{"wait", "NAME...", "wait for the end",
		"Wait until the jobs have ended, and say how.", 1, ANY,
		.run = verb_wait},
	{"cat", "NAME[/FILE]...", "a file of a job; its answers",
		"A file of a job to stdout; NAME alone: its answers.tsv.", 1, ANY,
		.files = true, .run = verb_cat},
	{"ls", "[NAME[/DIR]]", "the jobs, or the files of one",
		"The jobs of the project, or the files of one.", 0, 1, .files = true,
		.run = verb_ls},
	{"cancel", "NAME...", "cancel what has not ended",
		"Cancel what has not ended.", 1, ANY, .run = verb_control},
	{"fetch", "NAME...", "save the results here now",
		"Save the results on this machine now.", 1, ANY, .run = verb_control},
	{"retry", "NAME...", "ask again what was not answered",
		"Ask again what another try may answer.", 1, ANY, .run = verb_control},
	{"ctl", "NAME [VERB [ID|TERM...]]", "anything else: check, estimate, adopt ...",
		"What else a job can be told: check, estimate, submit, queue, adopt "
		"ID, resubmit,\nforget. NAME alone: what fits now. submit and queue "
		"take retries=N, max_tokens=N,\nmax_cost=N; retry takes retries=N.",
		1, ANY, .run = verb_ctl, .first = true},
	{"rm", "NAME...", "remove jobs, at the API and here",
		"Remove the jobs, at the API and here.", 1, ANY, .run = verb_rm},
	{"status", "", "endpoint, key's source, disk use, unsent work",
		"Endpoint, key's source, disk use, unsent work.", 0, 0,
		.run = verb_meta},
	{"jobs", "", "a table of all jobs", "A table of all jobs.", 0, 0,
		.run = verb_meta},
	{"models", "", "models that can run batches",
		"Models that can run batches.", 0, 0, .run = verb_meta},
	{"history", "", "the ledger of what was bought",
		"The ledger of what was bought.", 0, 0, .run = verb_meta},
	{NULL},
};

const struct cli_verb *cli_verb_find(const char *name)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

static void take_signals(void)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	/* Without SA_RESTART: a call that blocks is to end. */
	const struct sigaction stop = {.sa_handler = on_stop};

	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		if (!is_ignored(ending[i]))
			sigaction(ending[i], &stop, NULL);
}

static int run_on_desk(struct cli_args *a, const struct cli_place *place)
{
	struct desk d;
	int err = desk_open(place, &d);
	/* -EINVAL: what the command line says is not possible. */
	int status = err == -EINVAL ? CLI_USAGE
		     : err          ? cli_exit_of(err)
				    : a->verb->run(a, &d);

	if (fflush(stdout) && status == CLI_OK)
		status = cli_fail("standard output", NULL, -errno);
	desk_close(&d);
	ended_wait();
	return status;
}

/* What is read from a pipe takes as long as it takes: nobody else is kept waiting. */
int cli_main(struct cli_args *a, const struct cli_place *place)
{
	struct material m = {};
	int status = CLI_OK;

	take_signals();
	if (a->verb->submits)
		status = material_gather(a, &m);
	a->material = &m;
	if (status == CLI_OK)
		status = run_on_desk(a, place);
	a->material = NULL;
	material_free(&m);
	return status;
}
