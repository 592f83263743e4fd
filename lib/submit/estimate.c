#include "submit/estimate.h"

#include "files/composed_draft.h"
#include "files/files.h"
#include "jobs/advice.h"
#include "jobs/messages.h"
#include "store/prices.h"
#include "submit/attachments.h"
#include "submit/estimate_private.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { PERCENT_MOST = 999 };

/* ---- the estimate ---------------------------------------------------------------- */

static int find_price(struct submission *s, struct price *ret, unsigned *ret_line)
{
	client_lock(s->c);
	const char *model = s->job->model; /* interned: it lives as long as the client */
	client_unlock(s->c);
	return prices_look(s->c->o.prices, model, ret, ret_line);
}

static int percent_of(const struct estimate *e)
{
	double part = e->tokens > 0 ? 100 * e->error / e->tokens : 0;

	return (int)fmin(ceil(part - 1e-9), PERCENT_MOST);
}

/* A price that is not there is not missed, unless a limit needs it. */
static int keep_estimate(struct submission *s, const struct estimate *e)
{
	struct price p;
	unsigned line = 0;
	char cost[PRICES_TEXT];
	int64_t tokens = llround(fmin(e->tokens, 1e15));
	int priced = find_price(s, &p, &line);

	if (priced == -EBADMSG) {
		_cleanup_free_ char *text =
			util_format("prices.tsv: line %u is no model with two prices, "
				    "so the cost is not estimated",
				line);
		advice_add(s->job, text ? text : "prices.tsv has a bad line");
	}
	if (!priced)
		prices_cost(&p, tokens, 0, cost);
	client_lock(s->c);
	int err = record_set(&s->rec->estimate_cost, priced ? NULL : cost);
	s->rec->estimate_tokens = tokens;
	s->rec->estimate_percent = percent_of(e);
	client_unlock(s->c);
	files_changed(s->job); /* the next change of the draft makes it void */
	return err;
}

static int make_estimate(struct submission *s)
{
	struct estimate e;
	int err = estimate_count(s, &e);

	if (!err)
		err = keep_estimate(s, &e);
	if (!err)
		job_changed(s->job, GB_CHANGED_META);
	return err;
}

/* ---- limits ---------------------------------------------------------------------- */

/* 0: none. */
struct limits {
	uint64_t tokens;
	double cost;
};

/* Of the mount and of the directory, the lower one each. Lock held. */
static struct limits limits_held(const struct submission *s)
{
	struct limits l = {s->c->o.max_tokens, s->c->o.max_cost};
	uint64_t tokens = (uint64_t)s->rec->limit_tokens;
	double cost = s->rec->limit_cost ? strtod(s->rec->limit_cost, NULL) : 0;

	if (tokens && (!l.tokens || tokens < l.tokens))
		l.tokens = tokens;
	if (cost > 0 && (!(l.cost > 0) || cost < l.cost))
		l.cost = cost;
	return l;
}

static struct limits limits_of(struct submission *s)
{
	client_lock(s->c);
	struct limits l = limits_held(s);
	client_unlock(s->c);
	return l;
}

static const char *limit_name(struct limits l)
{
	return l.tokens && l.cost > 0 ? "max_tokens and max_cost"
	       : l.tokens	      ? "max_tokens"
				      : "max_cost";
}

static bool has_limit(struct limits l)
{
	return l.tokens || l.cost > 0;
}

/* Nothing was sent; a job that may be there already can still be taken. Takes over what
 * and todo. */
static int stop_at_limit(struct submission *s, int err, char *what, char *todo)
{
	enum phase p = job_phase_now(s->job);
	const char *text = s->err.text;

	if (s->t->again)
		/* What became of the create before is told in any case. */
		job_dir_error_turn(s->job, p, p, err, what ? what : "A limit.",
			"Nothing was sent again. To look for the job that may be there: "
			"echo adopt ID > ctl",
			text);
	else
		job_dir_error(s->job, err, what ? what : "A limit.", todo, text);
	free(what);
	free(todo);
	s->told = true;
	if (s->t->from && !s->moved)
		/* If that fails, the file is still where mv took it from. */
		DROP(files_reject(s->t->file, s->job));
	return err;
}

/* What may pass keeps queued work queued (submit.c). */
static int stop_unchecked(struct submission *s, struct limits l, int err)
{
	return stop_at_limit(s, err,
		util_format("The prompts could not be counted (%s), so %s cannot be "
			    "checked.",
			strerror(-err), limit_name(l)),
		util_format("Nothing was sent. To try again: echo submit > ctl. To send "
			    "it unchecked: mount without %s",
			limit_name(l)));
}

static int stop_without_price(struct submission *s, int err, unsigned line)
{
	const char *path = s->c->o.prices ? s->c->o.prices : "prices.tsv";
	char *what = err == -EBADMSG
			     ? util_format("max_cost cannot be checked: line %u of %s is no "
					   "model with two prices.",
				       line, path)
		     : err == -ENOENT
			     ? util_format("max_cost cannot be checked: %s has no price of "
					   "%s.",
				       path, s->job->model)
			     : util_format("max_cost cannot be checked: %s: %s", path,
				       strerror(-err));

	return stop_at_limit(s, err == -ENOENT || err == -EBADMSG ? -EINVAL : err, what,
		util_format("Nothing was sent. A line is: model, tab, price of a million "
			    "tokens in, tab, price of a million out. Write it into %s, "
			    "then: echo submit > ctl",
			path));
}

/* Waiting does not help: queued work is given up too. */
static int stop_above(struct submission *s, char *what, const char *option)
{
	s->err.hopeless = true;
	return stop_at_limit(s, -EDQUOT, what,
		util_format("Nothing was sent. Send fewer or shorter requests, or mount "
			    "with a higher %s; then: echo submit > ctl",
			option));
}

static int compare(struct submission *s, struct limits l, const struct price *p)
{
	char cost[PRICES_TEXT];

	client_lock(s->c);
	int64_t tokens = s->rec->estimate_tokens;
	int percent = s->rec->estimate_percent;
	client_unlock(s->c);
	if (l.tokens && (uint64_t)tokens > l.tokens)
		return stop_above(s,
			util_format("The prompts have about %" PRId64
				    " tokens (give or take %d %%), and max_tokens is "
				    "%" PRIu64 ".",
				tokens, percent, l.tokens),
			"max_tokens");
	if (!(l.cost > 0) || (double)tokens * p->in / 1e6 <= l.cost)
		return 0;
	prices_cost(p, tokens, 0, cost);
	return stop_above(s,
		util_format("The prompts cost about %s (give or take %d %%), and max_cost "
			    "is %.10g.",
			cost, percent, l.cost),
		"max_cost");
}

void submission_estimate_begin(struct submission *s)
{
	if (!has_limit(limits_held(s)) || s->t->queued || s->t->again)
		return;
	record_forget_estimate(s->rec);
}

int submission_estimate(struct submission *s)
{
	struct limits l = limits_of(s);
	struct price price = {0};
	unsigned line = 0;
	int err = 0;

	/* A part, and what is asked again, is a part of what was estimated. */
	if (!has_limit(l) || s->job->parent)
		return 0;
	if (l.cost > 0)
		err = find_price(s, &price, &line);
	if (err)
		return stop_without_price(s, err, line);
	client_lock(s->c);
	bool made = s->rec->estimate_tokens >= 0;
	client_unlock(s->c);
	if (!made)
		err = make_estimate(s);
	if (!err)
		return compare(s, l, &price);
	return err == -ECANCELED ? err : stop_unchecked(s, l, err);
}

/* ---- the verb -------------------------------------------------------------------- */

static void estimate_clear(struct submission *s)
{
	util_closep(&s->fd);
	attach_free(s->attached);
	free(s->inline_text);
	provider_error_clear(&s->err);
}

static void tell_no_estimate(struct submission *s, int err)
{
	_cleanup_free_ char *what = util_format(
		"The prompts could not be counted: %s.", strerror(-err));

	job_dir_error(s->job, err, what ? what : "The prompts could not be counted.",
		"There is no estimate, and nothing was bought. To try again: echo "
		"estimate > ctl",
		s->err.text);
}

int estimate_run(struct operation *t)
{
	struct submission s = SUBMISSION(t, t->job);
	int err = submission_check(&s);

	if (!err)
		err = submission_model(&s);
	if (!err && (err = make_estimate(&s)) && err != -ECANCELED)
		tell_no_estimate(&s, err);
	else if (!err)
		job_dir_error(t->job, 0, NULL, NULL, NULL);
	if (s.report.requests)
		submission_note_requests(&s);
	job_dir_save_soon(t->job);
	DROP(submission_durable(&s)); /* nothing was promised */
	estimate_clear(&s);
	return err == -ECANCELED ? -EINTR : err;
}

int estimate_composed_run(struct operation *t)
{
	int err = compose_draft_run(t);

	return err == -ECANCELED ? -EINTR : err ? err : estimate_run(t);
}

/* What was sent is as it was: nothing is checked, and no file of the job is written. */
int estimate_sent_run(struct operation *t)
{
	struct submission s = SUBMISSION(t, t->job);
	_cleanup_free_ char *text = NULL;
	int in = gb_file_fd(t->file), err;

	err = in < 0 ? in
		     : validate_file_any_size(s.c->api.provider->requests, in,
			       &t->cancel.set, &s.report);
	if (!err)
		err = attach_resolve(&s, (struct lines_span){in, 0, -1}, &text);
	if (!err)
		err = make_estimate(&s);
	if (!err)
		job_dir_save_soon(t->job);
	estimate_clear(&s);
	return err == -ECANCELED ? -EINTR : err;
}
