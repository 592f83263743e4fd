/*
 * Which close decides: the clerk's part (look.h). See 2. in last_close.c.
 *
 * The ask of a FLUSH is judged (judge.c: who closes, and is it ending?), then heard
 * (the consequence for the content is noted), then is part of one walk through /proc
 * after another until it is answered. One walk serves all files in question.
 */
#include <errno.h>
#include <string.h>

#include "closing/last_close_private.h"
#include "util/util.h"

#define PAUSE 0.0025 /* seconds between walks that wait for something */
/* For how long walks may have no answer before the answer is unknown: programs that are
 * starting or ending, and setuid ones such as fusermount3, are gone by then. */
#define UNKNOWN_FOR 0.2

/* ---- answers --------------------------------------------------------------------- */

/* The ask after a, or the first. Only the clerk takes asks out. */
static struct ask *next_ask(struct closes *c, struct ask *a)
{
	pthread_mutex_lock(&c->lock);
	a = a ? TAILQ_NEXT(a, link) : TAILQ_FIRST(&c->asks);
	pthread_mutex_unlock(&c->lock);
	return a;
}

/* Under the lock: when the last ask is gone, nothing is waited for any more. */
static void forget_waiting(struct closes *c, struct wfile *f)
{
	const struct ask *a;

	TAILQ_FOREACH(a, &c->asks, link)
	if (a->f == f)
		return;
	f->patience = f->retry_at = 0;
	f->unknown_since = 0;
}

void rounds_finish_ask(struct closes *c, struct ask *ask, int verdict)
{
	struct gb_waiter *w = ask->w;
	bool is_free = ask->kind == ASK_FREE;

	pthread_mutex_lock(&c->lock);
	TAILQ_REMOVE(&c->asks, ask, link);
	judge_forget(ask);
	if (ask->f) {
		forget_waiting(c, ask->f);
		closes_unref(c, ask->f);
	}
	pthread_mutex_unlock(&c->lock);
	ask->verdict = verdict;
	if (is_free)
		free(ask);
	w->done(w, is_free && verdict ? verdict : PENDING_AGAIN);
}

/* Whether ask is a FLUSH of f that may decide. */
static bool may_decide(const struct ask *ask, const struct wfile *f)
{
	return ask->kind == ASK_FLUSH && ask->f == f && ask->heard;
}

/* Answer all asks for f in walk number `walk` except one: these are not the last
 * close. */
static void finish_others(
	struct closes *c, struct wfile *f, unsigned walk, const struct ask *but)
{
	struct ask *next;

	for (struct ask *a = next_ask(c, NULL); a; a = next) {
		next = next_ask(c, a);
		if (a != but && may_decide(a, f) && a->walk == walk)
			rounds_finish_ask(c, a, 0);
	}
}

static void taint(struct gb_file *file, const char *how, int code)
{
	_cleanup_free_ char *why =
		gb_file_is_part(file)
			? format("The program that was writing it %s %d.", how, code)
			: format("not submitted: a program that was writing "
				 "requests.jsonl %s %d, so it may be incomplete",
				  how, code);

	gb_file_taint(file, why ? why : "not submitted: its writer failed");
}

/* What the end of the closer says about the content. */
static void hear_end(struct closes *c, struct ask *ask)
{
	bool wrote;

	switch (ask->closer.end) {
	case END_KILLED:
		taint(ask->file, "was killed by signal", ask->closer.code);
		break;
	case END_FAILED:
		pthread_mutex_lock(&c->lock);
		wrote = closes_has_written(ask->f, ask->closer.process);
		pthread_mutex_unlock(&c->lock);
		if (wrote)
			taint(ask->file, "failed with exit status", ask->closer.code);
		break;
	default:
		break;
	}
}

static void hear(struct closes *c, struct ask *ask)
{
	ask->heard = true;
	if (!ask->closer.in_exec)
		hear_end(c, ask);
	/* A close by execve decides nothing, because other processes cannot be
	 * inspected meanwhile. */
	if (ask->closer.in_exec || ask->kind == ASK_PART || !ask->pending)
		rounds_finish_ask(c, ask, 0);
}

/* ---- the decision ---------------------------------------------------------------- */

/* The reasons against submitting for the asks of walk. */
struct against {
	bool unseen; /* how one of them ends, or who it is */
	bool append;
	struct ask *last;
};

static void sum_up(
	struct closes *c, struct wfile *f, unsigned walk, struct against *ret)
{
	for (struct ask *a = next_ask(c, NULL); a; a = next_ask(c, a)) {
		if (!may_decide(a, f) || a->walk != walk)
			continue;
		ret->unseen |= a->closer.end == END_UNKNOWN || !a->closer.process;
		ret->append |= a->append;
		ret->last = a;
	}
}

/* Under the lock: the decision is final now. Returns whether there was something to
 * decide. */
static bool take_pending(struct wfile *f)
{
	bool was = f->pending;

	f->pending = false;
	return was;
}

/* The content is not submitted, because the answer is unknown. */
static int refuse_close(struct ask *ask, const char *why)
{
	gb_job_explain(ask->job, why);
	return -EBUSY;
}

static int verdict_of(const struct against *x, bool unknown)
{
	struct gb_job *job = x->last->job;

	if (gb_file_tainted(x->last->file)) {
		/* Other processes of a group may have written since, which removed the
		 * text. */
		gb_file_explain_taint(x->last->file);
		return 0;
	}
	if (unknown || x->unseen)
		return refuse_close(x->last,
			"not submitted: a process of another user, or one that /proc does "
			"not show, may still write to requests.jsonl");
	if (x->append) {
		gb_job_explain(job, "not submitted: requests.jsonl was opened for "
				    "appending, so more "
				    "may follow");
		return 0;
	}
	return 1;
}

/* was: whether there was something to decide. */
static void decide(
	struct closes *c, struct wfile *f, unsigned walk, bool unknown, bool was)
{
	struct against x = {};
	int verdict;

	sum_up(c, f, walk, &x);
	if (!x.last)
		return; /* its time was over: give_up has decided */
	finish_others(c, f, walk, x.last);
	verdict = was ? verdict_of(&x, unknown) : 0;
	rounds_finish_ask(c, x.last, verdict);
}

/* ---- walks ----------------------------------------------------------------------- */

struct walk {
	struct look look;
	struct closes *c;
	unsigned number;
	double given_up; /* when */
	size_t n;
	struct wfile **files; /* with references */
	uint64_t *generations;
	struct proc_question *questions;
	struct census *latest; /* with a reference, as have the questions theirs */
};

static void walk_free(struct walk *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free((void *)w->questions[i].closers);
		census_unref(w->questions[i].before);
	}
	census_unref(w->latest);
	free(w->files);
	free(w->generations);
	free(w->questions);
	free(w);
}

/* Open file descriptions of f that nobody is closing: one by one, as a FLUSH that waits
 * holds its own back. Under the lock. */
static unsigned unaccounted(struct closes *c, const struct wfile *f)
{
	unsigned n = f->handles;
	const struct ask *a, *b;

	TAILQ_FOREACH(a, &c->asks, link)
	{
		if (a->f != f)
			continue;
		TAILQ_FOREACH(b, &c->asks, link)
		if (b == a || b->h == a->h)
			break;
		n -= b == a && n;
	}
	return n;
}

/* No holder was found in /proc, but f is held, or may be. Wait, but not for long. */
static void await_unseen(struct closes *c, struct wfile *f, unsigned walk)
{
	struct against x = {};
	double now = seconds_now();

	if (!f->patience)
		f->patience = now + c->release_s;
	if (now < f->patience) {
		pthread_mutex_lock(&c->lock);
		f->retry_at = now + PAUSE;
		pthread_mutex_unlock(&c->lock);
		return;
	}
	sum_up(c, f, walk, &x);
	if (x.last)
		gb_job_explain(x.last->job,
			"not submitted yet: requests.jsonl is still open, "
			"but the process that has it open cannot be seen");
	finish_others(c, f, walk, NULL);
}

enum outcome {
	OUT_HELD,   /* somebody else holds it */
	OUT_AGAIN,  /* something moved, or could not be told this time */
	OUT_UNSEEN, /* it is held, or may be, where /proc does not show it */
	OUT_DECIDED,
};

/* Under the lock: a walk could not tell, and the next one may. */
static bool may_clear_up(struct wfile *f)
{
	double now = seconds_now();

	if (!f->unknown_since)
		f->unknown_since = now;
	f->retry_at = now + PAUSE;
	return now - f->unknown_since < UNKNOWN_FOR;
}

/* What a walk with the result `found` means for f, as f was at `generation`. Under the
 * lock; with OUT_DECIDED it is decided, and *ret_was as above. */
static enum outcome outcome_of(struct closes *c, struct wfile *f, uint64_t generation,
	enum proc_holder found, bool *ret_was)
{
	if (found == HOLDER_SOME)
		return OUT_HELD;
	if (f->generation != generation)
		return OUT_AGAIN; /* the next walk is for all who ask by then */
	if (found != HOLDER_UNKNOWN)
		f->unknown_since = 0;
	else if (may_clear_up(f))
		return OUT_AGAIN;
	if (found == HOLDER_FLYING || (found == HOLDER_NONE && unaccounted(c, f)))
		return OUT_UNSEEN;
	*ret_was = take_pending(f);
	return OUT_DECIDED;
}

static void evaluate(struct closes *c, struct wfile *f, uint64_t generation,
	unsigned walk, enum proc_holder found)
{
	enum outcome outcome;
	bool was = false;

	pthread_mutex_lock(&c->lock);
	outcome = outcome_of(c, f, generation, found, &was);
	pthread_mutex_unlock(&c->lock);
	if (outcome == OUT_HELD)
		finish_others(c, f, walk, NULL);
	else if (outcome == OUT_UNSEEN)
		await_unseen(c, f, walk);
	else if (outcome == OUT_DECIDED)
		decide(c, f, walk, found == HOLDER_UNKNOWN, was);
}

static void walk_work(struct look *l)
{
	struct walk *w = CONTAINER_OF(l, struct walk, look);

	proc_find_holders(w->questions, w->n, w->latest);
}

static void walk_done(struct look *l)
{
	struct walk *w = CONTAINER_OF(l, struct walk, look);
	struct closes *c = w->c;

	if (c->walking == w) {
		c->walking = NULL;
		for (size_t i = 0; i < w->n; i++)
			evaluate(c, w->files[i], w->generations[i], w->number,
				w->questions[i].found);
	}
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < w->n; i++)
		closes_unref(c, w->files[i]);
	pthread_mutex_unlock(&c->lock);
	walk_free(w);
	closes_foresee(c->m);
}

/* Under the lock: whether a walk for f is wanted now. Not while a closer of f has not
 * been heard: what it says counts. */
static bool wants_walk(struct closes *c, const struct wfile *f, double now)
{
	bool wanted = false;
	const struct ask *a;

	TAILQ_FOREACH(a, &c->asks, link)
	{
		if (a->f != f || a->kind != ASK_FLUSH)
			continue;
		if (!a->heard)
			return false;
		wanted = true;
	}
	return wanted && now >= f->retry_at;
}

/* Under the lock: the question about f, and its asks are part of the walk. */
static bool add_question(struct walk *w, struct wfile *f)
{
	struct proc_question *q = &w->questions[w->n];
	pid_t *closers;
	size_t n = 0;
	struct ask *a;

	TAILQ_FOREACH(a, &w->c->asks, link)
	n += may_decide(a, f);
	closers = calloc(n, sizeof *closers);
	if (!closers)
		return false;
	*q = (struct proc_question){.ino = f->ino,
		.closers = closers,
		.since = f->since,
		.before = census_ref(f->before)};
	TAILQ_FOREACH(a, &w->c->asks, link)
	{
		if (!may_decide(a, f))
			continue;
		a->walk = w->number;
		closers[q->closer_count++] = a->closer.process;
	}
	for (size_t i = 0; i < PROC_ORIGINS; i++)
		q->origins[i] = f->openers[i].origin;
	w->files[w->n] = f;
	w->generations[w->n++] = f->generation;
	f->refs++;
	return true;
}

/* Under the lock. */
static size_t count_wanted(struct closes *c, double now)
{
	size_t n = 0;

	for (struct wfile *f = c->files; f; f = f->next)
		n += wants_walk(c, f, now);
	return n;
}

/* Without memory there is no result until the deadline. Under the lock. */
static struct walk *walk_new(struct closes *c, double now)
{
	size_t n = count_wanted(c, now);
	struct walk *w = n ? calloc(1, sizeof *w) : NULL;

	if (!w)
		return NULL;
	*w = (struct walk){.look = {.work = walk_work, .done = walk_done},
		.c = c,
		.number = ++c->walks,
		.given_up = now + c->look_s,
		.latest = census_ref(c->census),
		.files = calloc(n, sizeof *w->files),
		.generations = calloc(n, sizeof *w->generations),
		.questions = calloc(n, sizeof *w->questions)};
	for (struct wfile *f = c->files;
		f && w->files && w->generations && w->questions; f = f->next)
		if (wants_walk(c, f, now))
			add_question(w, f);
	if (!w->n) {
		walk_free(w);
		return NULL;
	}
	return w;
}

static void start_walk(struct closes *c, double now)
{
	/* Do not wait any longer for a stuck look; another thread may succeed. */
	if (c->walking && now >= c->walking->given_up)
		c->walking = NULL;
	if (c->walking)
		return;
	pthread_mutex_lock(&c->lock);
	c->walking = walk_new(c, now);
	pthread_mutex_unlock(&c->lock);
	if (c->walking)
		looks_post(c->looks, &c->walking->look, false);
}

/* ---- the turn -------------------------------------------------------------------- */

/* Whether another FLUSH of the same file waits, and has the time to decide. */
static bool leaves_another(struct closes *c, const struct ask *ask, double now)
{
	for (struct ask *a = next_ask(c, NULL); a; a = next_ask(c, a))
		if (a != ask && may_decide(a, ask->f) && now < a->deadline)
			return true;
	return false;
}

/* It could not be looked into in time. */
static void give_up_ask(struct closes *c, struct ask *ask, double now)
{
	bool decides =
		ask->kind == ASK_FLUSH && ask->pending && !leaves_another(c, ask, now);
	int verdict = 0;

	pthread_mutex_lock(&c->lock);
	decides = decides && take_pending(ask->f);
	pthread_mutex_unlock(&c->lock);
	if (decides)
		verdict = refuse_close(ask,
			"not submitted: /proc did not show in time whether "
			"another process can still write to requests.jsonl");
	rounds_finish_ask(c, ask, verdict);
}

static bool has_been_looked_at(struct closes *c, struct ask *ask)
{
	bool looked;

	pthread_mutex_lock(&c->lock);
	looked = ask->looked_at;
	pthread_mutex_unlock(&c->lock);
	return looked;
}

static void attend(struct closes *c, struct ask *ask, double now)
{
	if (ask->kind == ASK_FREE)
		still_open_attend(c, ask, now);
	else if (!ask->heard && has_been_looked_at(c, ask))
		hear(c, ask);
	else if (now >= ask->deadline)
		give_up_ask(c, ask, now);
}

/* The earliest of what is waited for; < 0: nothing. */
static double next_turn(struct closes *c, double now)
{
	double next = c->walking ? c->walking->given_up : -1;
	struct ask *a;

	pthread_mutex_lock(&c->lock);
	TAILQ_FOREACH(a, &c->asks, link)
	{
		double at = a->deadline;

		if (a->f && a->f->retry_at > now && a->f->retry_at < at)
			at = a->f->retry_at;
		if (next < 0 || at < next)
			next = at;
	}
	pthread_mutex_unlock(&c->lock);
	return next < 0 ? -1 : next > now ? next - now : 0;
}

double rounds_turn(void *closes)
{
	struct closes *c = closes;
	double now = seconds_now();
	struct ask *next;

	for (struct ask *a = next_ask(c, NULL); a; a = next) {
		next = next_ask(c, a);
		attend(c, a, now);
	}
	start_walk(c, now);
	return next_turn(c, seconds_now());
}

void rounds_end(struct closes *c)
{
	struct ask *a;

	while ((a = next_ask(c, NULL)))
		rounds_finish_ask(c, a, -EINTR);
}
