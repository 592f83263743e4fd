/*
 * What the poller does next: which job is due when, and which call tells it.
 *
 * Requests to look meet here (ask.c): reads of stale metadata, waits for an end,
 * listings, and own unfinished jobs. Those who wait for one job, or for few, are told
 * by a GET each, at the times that looks.c gives. As soon as the pages of a list are
 * fewer than the GETs would be, all those together are one round: it is read until all
 * are told, comes when the first of them is due, and no more often than a `poll`
 * allows, whoever comes and goes. A job that the list does not have is asked for by
 * itself from then on.
 *
 * All with client.lock held.
 */
#include "jobs/poller_private.h"
#include "jobs/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	OWN_LOOK = 120,           /* seconds between lists for own unfinished jobs */
	ALONE_PAUSE = 1,          /* seconds between requests of a job by itself */
	PAGES_MAX = 1200,         /* more jobs are not accepted (observe.c, MET_MAX) */
	TOO_MUCH = 2 * PAGES_MAX, /* pages that are better than a GET that is large */
};

/* ---- why a job is looked at -------------------------------------------------------- */

/* What was not answered may be asked again by itself. */
static bool may_ask_again(const struct gb_job *dir)
{
	const struct record *r = dir->dir ? &dir->dir->rec : NULL;

	return r && r->retries_left > 0 && record_retries(r, dir->c->o.retries) > 0;
}

/* Somebody waits for its end, or will be told of it, or more of its directory is bought
 * then. */
static bool end_is_awaited(const struct gb_job *job)
{
	const struct gb_job *dir = job->parent ? job->parent : job;

	if (knowledge_final(&job->batch->known))
		return false;
	return queue_waits(job, QUEUE_ENDERS) || queue_waits(dir, QUEUE_ENDERS) ||
	       (job_own_unfinished(job) &&
		       (job->c->o.ended || parts_rest_is_open(dir) ||
			       may_ask_again(dir)));
}

static bool is_read(const struct gb_job *job)
{
	return job->batch->wanted || job->batch->solo;
}

/* Does the poller still have a reason to look at job? */
static bool interesting(struct gb_job *job)
{
	return is_read(job) || end_is_awaited(job) || queue_waits(job, QUEUE_ENDERS) ||
	       queue_waits(job, QUEUE_REFRESHERS) || job_own_unfinished(job);
}

static void prune(struct gb_client *c)
{
	for (struct gb_job **at = &c->poller->watched; *at;) {
		struct gb_job *job = *at;

		if (interesting(job)) {
			at = &job->watch_next;
			continue;
		}
		*at = job->watch_next;
		job->watched = false;
		free(job->batch->looks);
		job->batch->looks = NULL;
	}
}

/* A look at a finished inline job brings its whole output: the list tells its end
 * for less. */
static bool told_by_list(const struct gb_job *job)
{
	return job->dir && job->dir->rec.own && job->dir->rec.batch->is_inline;
}

/* ---- when -------------------------------------------------------------------------- */

static double age_of(const struct gb_job *job)
{
	double age = difftime(
		engine_server_time(job->c->engine), job->batch->created.tv_sec);

	return job->batch->created.tv_sec ? fmax(0, age) : 0;
}

static struct looks *begin_looks(struct gb_job *job, double told)
{
	struct looks *l = job->batch->looks;

	if (!l)
		l = job->batch->looks = malloc(sizeof(*l));
	if (l)
		looks_begin(l, &job->c->poller->pace, util_now(), age_of(job), told);
	return l;
}

void plan_wait(struct gb_job *job, double told)
{
	struct looks *l = job->batch->looks;

	if (!l)
		begin_looks(job, told);
	else if (told <= 0)
		l->soon = true;
}

/* What has been heard of it since, by whatever call. */
static void hear(struct looks *l, const struct gb_job *job)
{
	const struct batch *b = job->batch;

	if (b->learnt > l->now.at)
		looks_saw(l, &job->c->poller->pace, b->learnt,
			b->requests < 0 ? 0 : b->succeeded + b->failed, b->requests,
			knowledge_ended(&b->known));
}

/* When the next look is due of a job whose end is awaited. */
static double wait_at(struct gb_job *job)
{
	struct looks *l = job->batch->looks;

	if (!l)
		l = begin_looks(job, job->batch->learnt);
	if (!l) /* no memory */
		return job->batch->learnt + job->c->o.poll_s;
	hear(l, job);
	return looks_next(l, &job->c->poller->pace);
}

static void look_was_made(struct gb_job *job, double now)
{
	if (!job->batch->looks)
		return;
	hear(job->batch->looks, job);
	looks_made(job->batch->looks, &job->c->poller->pace, now);
}

void poller_look_soon(struct gb_job *job)
{
	job->batch->next_look = 0;
	if (job->batch->looks)
		looks_hurry(job->batch->looks);
}

/* ---- which call costs less --------------------------------------------------------- */

/* Jobs by the page of the list that has them. */
struct tally {
	unsigned on[PAGES_MAX + 1], jobs, deepest;
};

/* A new one is on the first page. */
static unsigned page_of(const struct gb_job *job)
{
	unsigned page = job->batch->listed_page;

	return page < 1 ? 1 : page > PAGES_MAX ? PAGES_MAX : page;
}

static bool listable(const struct gb_job *job)
{
	return !job->batch->solo && !job->batch->unlisted;
}

static void tally_add(struct tally *t, const struct gb_job *job)
{
	unsigned page = page_of(job), calls = told_by_list(job) ? TOO_MUCH : 1;

	t->on[page] += calls;
	t->jobs += calls;
	t->deepest = page > t->deepest ? page : t->deepest;
}

/* How many pages are to be read so that these, and a GET for each job that is on none
 * of them, are the fewest calls; 0: no list. Of two numbers of pages that cost the same
 * the larger tells more. */
static unsigned tally_pages(const struct tally *t)
{
	unsigned best = 0, least = t->jobs, rest = t->jobs;

	for (unsigned page = 1; page <= t->deepest; page++) {
		rest -= t->on[page];
		if (page + rest < least || (best && page + rest == least)) {
			least = page + rest;
			best = page;
		}
	}
	return best;
}

/* ---- the plan ---------------------------------------------------------------------- */

struct planning {
	double now, until;       /* until when there is nothing to do; 0: for good */
	bool own;                /* there are own unfinished jobs … */
	double own_heard;        /* … and none of which less was heard since then */
	struct tally waited, due;
	unsigned round;          /* pages of the round of those who wait; 0: none */
	double round_at;
	bool round_due;
	unsigned pages;          /* to be read now; 0: no list */
	struct gb_job *alone;    /* due, and in no list */
	struct gb_job *first;    /* any that is due and on none of these pages */
};

static void sooner(double *until, double t)
{
	if (!*until || t < *until)
		*until = t;
}

/* It goes with the others who wait, unless something is to be settled soon. */
static bool waits_with_others(const struct gb_job *job)
{
	const struct looks *l = job->batch->looks;

	return job->batch->id && listable(job) && !(l && l->hurry) &&
	       end_is_awaited(job);
}

static bool in_waiting_round(const struct planning *p, const struct gb_job *job)
{
	return page_of(job) <= p->round && waits_with_others(job);
}

/* Those who wait: how many pages their round has, and when it is due. */
static void plan_waiting_round(struct gb_client *c, struct planning *p)
{
	struct gb_job *job;

	for (job = c->poller->watched; job; job = job->watch_next)
		if (waits_with_others(job))
			tally_add(&p->waited, job);
	p->round = tally_pages(&p->waited);
	if (!p->round)
		return;
	p->round_at = HUGE_VAL;
	for (job = c->poller->watched; job; job = job->watch_next)
		if (in_waiting_round(p, job))
			p->round_at = fmin(p->round_at, wait_at(job));
	p->round_at =
		fmax(p->round_at, look_budget_at(&c->poller->rounds, &c->poller->pace));
	p->round_at = fmax(p->round_at, c->poller->list_after);
	p->round_due = p->round_at <= p->now;
	if (!p->round_due)
		sooner(&p->until, p->round_at);
}

/* Is it due, and if not, when? Who reads and who waits sit out the pause after a failure
 * alike. */
static bool is_due(struct planning *p, struct gb_job *job)
{
	double at;

	if (!job->batch->id || (!is_read(job) && !end_is_awaited(job)))
		return false;
	if (!is_read(job) && in_waiting_round(p, job))
		return p->round_due;
	at = fmax(is_read(job) ? 0 : wait_at(job), job->c->poller->list_after);
	if (at > p->now)
		sooner(&p->until, at);
	return at <= p->now;
}

/* Mark those that are told by reading so many pages; the others are candidates for a
 * GET. */
static void choose_calls(struct gb_client *c, struct planning *p)
{
	struct gb_job *job;

	for (job = c->poller->watched; job; job = job->watch_next) {
		job->batch->in_round = is_due(p, job);
		if (job->batch->in_round && listable(job))
			tally_add(&p->due, job);
	}
	unsigned pages = tally_pages(&p->due);
	for (job = c->poller->watched; job; job = job->watch_next) {
		if (!job->batch->in_round || (listable(job) && page_of(job) <= pages))
			continue;
		job->batch->in_round = false;
		if (!listable(job))
			p->alone = job;
		p->first = job;
	}
	if (p->alone)
		p->first = p->alone;
	p->pages = pages;
}

static struct plan plan_get(const struct planning *p)
{
	return (struct plan){.action = GET,
		.job = p->first,
		.waited = end_is_awaited(p->first) && wait_at(p->first) <= p->now};
}

static void plan_own(struct gb_client *c, struct planning *p)
{
	p->own_heard = HUGE_VAL;
	for (struct gb_job *job = c->poller->watched; job; job = job->watch_next) {
		if (!job_own_unfinished(job))
			continue;
		p->own = true;
		p->own_heard = fmin(
			p->own_heard, job->batch->id ? job->batch->learnt : 0);
	}
}

/* When the list is read for own jobs; not for what was told by other calls. */
static double own_at(const struct gb_client *c, const struct planning *p)
{
	double pause = test_seconds("BATCHFS_TEST_OWN_SECONDS", OWN_LOOK);

	return c->poller->listed ? fmax(c->poller->listed_at, p->own_heard) + pause
				 : p->now;
}

static enum list_extent extent_of(const struct gb_client *c, bool news)
{
	if (c->poller->want_whole || !c->poller->listed)
		return LIST_WHOLE;
	return news ? LIST_NEWS : LIST_NEEDED;
}

static struct plan plan_sleep(const struct gb_client *c, struct planning *p)
{
	bool held = c->poller->list_after > p->now;

	if (held && (c->poller->want_list || p->own || c->offline_since))
		sooner(&p->until, c->poller->list_after);
	if (p->own)
		sooner(&p->until, fmax(own_at(c, p), c->poller->list_after));
	return (struct plan){.action = SLEEP, .until = p->until};
}

struct plan plan_next(struct gb_client *c)
{
	struct planning p = {.now = util_now()};

	if (c->o.offline)
		return (struct plan){.action = SLEEP};
	prune(c);
	plan_own(c, &p);
	plan_waiting_round(c, &p);
	choose_calls(c, &p);
	bool held = c->poller->list_after > p.now;
	bool asked = c->poller->want_list && !held;
	bool routine =
		!held && (c->offline_since || (p.own && own_at(c, &p) <= p.now));
	bool list = asked || routine || p.pages;

	if (p.first && (p.alone || !(asked || p.pages)))
		return plan_get(&p);
	if (!list)
		return plan_sleep(c, &p);
	return (struct plan){.action = LIST,
		.waited = p.round_due,
		.extent = extent_of(c, asked || routine)};
}

/* ---- afterwards -------------------------------------------------------------------- */

void plan_got(struct gb_job *job, bool waited)
{
	double now = util_now();

	job->batch->next_look = now + ALONE_PAUSE;
	if (waited)
		look_was_made(job, now);
}

/* The list did not have it, though it should: it is requested alone. Who asked while the
 * list was read is not among these. */
static void plan_alone(struct gb_job *job, double now, const struct list_end *read)
{
	bool missed = job->batch->in_round || (read->news && job_own_unfinished(job));
	bool due = job->batch->wanted ||
		   (job->batch->next_look <= now &&
			   knowledge_look_due(
				   &job->batch->known, client_moment(job->c)));

	job->batch->solo |= missed && due;
	job->batch->unlisted |= job->batch->in_round && read->end;
}

void plan_listed(struct gb_client *c, uint64_t seq, const struct list_end *read)
{
	double now = util_now();
	struct gb_job *job;

	for (job = c->poller->watched; job; job = job->watch_next) {
		if (job->batch->id && job->batch->seq < seq)
			plan_alone(job, now, read);
		else if (job->batch->in_round && end_is_awaited(job))
			look_was_made(job, now);
	}
}

void plan_round_over(struct gb_client *c)
{
	for (struct gb_job *job = c->poller->watched; job; job = job->watch_next)
		job->batch->in_round = false;
}
