/*
 * The one poller: a thread that makes every call that only asks.
 *
 * poll_plan.c says which is the next, and when. Calls are tried once; after a failure
 * none is made before the pause is over, whoever asks. Between looks it sleeps; with
 * nobody looking and no own job unfinished it sleeps for good.
 */
#include "jobs/poller_private.h"
#include "jobs/observe.h"
#include "jobs/hooks.h"
#include "jobs/parts.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>

enum {
	OFFLINE_LOOK = 30,   /* seconds between tries while offline */
	MAX_CHECKS = 20,     /* jobs missing from a whole list looked at in a round */
};

/* ---- calls ------------------------------------------------------------------------- */

bool client_online(struct gb_client *c)
{
	client_lock(c);
	bool online = !c->o.offline && !c->offline_since;
	client_unlock(c);
	return online;
}

void client_called(struct gb_client *c, const struct provider_error *err)
{
	bool down =
		err->err == -EHOSTUNREACH || (err->err == -ETIMEDOUT && !err->status);
	bool was;

	if (err->err == -ECANCELED)
		return;
	client_lock(c);
	was = c->offline_since != 0;
	c->last_error = err->err;
	if (down && !was) {
		c->offline_since = time(NULL); /* wall: shown */
		/* It may sleep for good, and queued work waits until it is back. */
		poll_poke(c);
	} else if (!down) {
		c->offline_since = 0;
	}
	client_unlock(c);
	if (down != was)
		client_log(c, LOG_WARNING,
			down ? "the API cannot be reached: %s"
			     : "the API answers again%s",
			down && err->text ? err->text : "");
	if (was && !down)
		c->hooks->online(c);
}

/* Lock held. Whether a reader of dir waits for a look at one of its parts. */
static bool any_wanted(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++)
		if (parts_at(dir, i)->batch->wanted)
			return true;
	return false;
}

/* Answer those who wanted fresh metadata. Without an answer from the API they use what
 * is known; but a refused key is reported. Who reads a directory waits for all parts. */
static void refreshed(struct gb_job *job, int err)
{
	struct gb_waitq now;

	waitq_init(&now);
	client_lock(job->c);
	job->batch->wanted = job->batch->solo = false;
	if (job->parent)
		queue_take(job, QUEUE_REFRESHERS, &now);
	if (queue_waits(job_directory(job), QUEUE_REFRESHERS) &&
		!any_wanted(job_directory(job)))
		queue_take(job_directory(job), QUEUE_REFRESHERS, &now);
	client_unlock(job->c);
	waitq_call(&now, err == -EACCES ? err : 0);
}

/* A look failed in a way that may pass before the waiters' time is over: they stay, and
 * the next look is for them. */
static bool still_hoped(struct gb_client *c, int err)
{
	client_lock(c);
	bool passes = err && err != -EACCES && err != -ENOENT && err != -ECANCELED;
	bool hoped = passes && !ask_in_vain(c);
	client_unlock(c);
	return hoped;
}

static void look_failed(struct gb_client *c, const struct provider_error *err)
{
	client_lock(c);
	double pause = engine_backoff((int)++c->poller->list_failures, err->retry);
	c->poller->lists_ok_since = 0;
	/* A network may be back at any moment. */
	if (c->offline_since)
		pause = fmin(
			pause, test_seconds("BATCHFS_TEST_OWN_SECONDS", OFFLINE_LOOK));
	c->poller->list_after = util_now() + pause;
	client_unlock(c);
}

static void look_worked(struct gb_client *c)
{
	client_lock(c);
	c->poller->list_failures = 0;
	c->poller->list_after = 0;
	client_unlock(c);
}

static int ask_for_job(struct gb_job *job)
{
	struct gb_client *c = job->c;
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {0};

	int looked = observe_look(job, &none, &err);

	client_called(c, &err);
	switch (looked) {
	case 0:
		look_worked(c);
		break;
	case -ENOENT:
	case -EACCES:
		break;
	default:
		look_failed(c, &err);
	}
	/* 403 may mean that the job belongs to another project: its last known state
	 * stays. */
	int ret = err.status == 403 ? 0 : err.err;
	provider_error_clear(&err);
	return ret;
}

/* Lock held. */
static bool missed_by(const struct gb_job *job, uint64_t seq)
{
	bool own = job->dir && job->dir->rec.own;

	return job->batch->id && job->in_tree && job->batch->listed_seq < seq && !own &&
	       (knowledge_standing(&job->batch->known, job_moment(job)) <
			       STANDS_MISSING ||
		       !observe_keeps(job));
}

/* Jobs of others that a whole list did not have: ask for them, so that those the API
 * has dropped leave the tree. A few each time, and the next time those behind them. */
static void check_missing(struct gb_client *c, uint64_t seq)
{
	unsigned left = MAX_CHECKS;
	bool failed = false;

	client_lock(c);
	uint32_t at = c->poller->check_from, end = c->n_slots;
	client_unlock(c);
	for (uint32_t n = 0; left && !failed && n < end; n++, at++) {
		struct gb_job *job = NULL;

		client_lock(c);
		at = at < c->n_slots ? at : 0;
		if (missed_by(c->slots[at], seq))
			job = gb_job_ref(c->slots[at]);
		client_unlock(c);
		if (!job)
			continue;
		int err = ask_for_job(job);
		failed = err && err != -ENOENT && err != -EACCES;
		left--;
		gb_job_unref(job);
	}
	client_lock(c);
	c->poller->check_from = at;
	client_unlock(c);
}

/* Lock held: collect those whom the list answers; or with err, all who asked for it. */
static struct gb_job *told_by(struct gb_client *c, uint64_t seq, int err)
{
	struct gb_job *job = c->poller->watched;

	while (job && !(job->batch->wanted && !job->batch->solo &&
			      (err || job->batch->seq >= seq)))
		job = job->watch_next;
	return job ? gb_job_ref(job) : NULL;
}

/* After a list: who was told is answered. */
static void answer_listed(struct gb_client *c, uint64_t seq, int err)
{
	struct gb_job *job;

	do {
		client_lock(c);
		job = told_by(c, seq, err);
		client_unlock(c);
		if (job)
			refreshed(job, err);
		gb_job_unref(job);
	} while (job);
}

/* All that is new has been read. */
static void list_has_news(struct gb_client *c, uint64_t seq, bool whole)
{
	client_lock(c);
	c->poller->listed = c->poller->caught_up = true;
	c->poller->listed_at = util_now();
	if (!c->poller->lists_ok_since)
		c->poller->lists_ok_since = c->poller->listed_at;
	/* Callers that asked meanwhile are answered with the others. */
	c->poller->want_list = c->poller->want_whole;
	if (whole) {
		c->poller->whole_at = c->poller->listed_at;
		c->poller->whole_seq = seq;
	}
	client_unlock(c);
	if (whole)
		check_missing(c, seq);
	c->hooks->listed(c);
}

/* Lock not held. The next try is also for those who wait. */
static void want_again(struct gb_client *c, bool whole)
{
	client_lock(c);
	c->poller->want_list |= waitq_count(&c->poller->list_q) > 0;
	c->poller->want_whole |= whole;
	client_unlock(c);
}

/* Returns the errno, or 0: the list was read. */
static int try_list(
	struct gb_client *c, const struct plan *p, uint64_t seq, struct list_end *ret)
{
	struct provider_error err = {0};
	double start = util_now();

	client_lock(c);
	c->poller->want_list &= p->extent == LIST_NEEDED;
	c->poller->want_whole &= p->extent != LIST_WHOLE;
	client_unlock(c);
	int bad = list_read(c, p->extent, seq, ret, &err);
	client_called(c, &err);
	if (bad)
		look_failed(c, &err);
	else
		look_worked(c);
	provider_error_clear(&err);
	if (bad || !p->waited)
		return bad;
	/* A list that takes long is not read all the time. */
	start = fmax(start, util_now() - c->poller->pace.poll / 2);
	client_lock(c);
	look_budget_spend(&c->poller->rounds, &c->poller->pace, start);
	client_unlock(c);
	return 0;
}

static void do_list(struct gb_client *c, const struct plan *p)
{
	bool whole = p->extent == LIST_WHOLE;
	uint64_t seq = observe_seq(c);
	struct list_end read = {0};
	int ret = try_list(c, p, seq, &read);

	if (!ret && read.news)
		list_has_news(c, seq, whole);
	if (still_hoped(c, ret)) {
		want_again(c, whole);
		return;
	}
	answer_listed(c, seq, ret);
	if (!ret) {
		client_lock(c);
		plan_listed(c, seq, &read);
		client_unlock(c);
	}
	if (ret || read.news)
		waitq_wake(&c->poller->list_q, ret == -ECANCELED ? -EINTR : ret);
}

static void do_get(struct gb_job *job, bool waited)
{
	int err = ask_for_job(job);

	if (!still_hoped(job->c, err)) {
		refreshed(job, err);
		client_lock(job->c);
		plan_got(job, waited);
		client_unlock(job->c);
	}
	gb_job_unref(job);
}

/* Lock held. */
static void sleep_until(struct gb_client *c, double until)
{
	if (until > 0)
		util_cond_wait_until(&c->poller->poke, &c->lock, until);
	else
		pthread_cond_wait(&c->poller->poke, &c->lock);
}

static void *poller(void *arg)
{
	struct gb_client *c = arg;

	client_lock(c);
	while (!c->stopping) {
		struct plan p = plan_next(c);

		if (p.action == SLEEP) {
			sleep_until(c, p.until);
			continue;
		}
		if (p.action == GET)
			gb_job_ref(p.job);
		client_unlock(c);
		if (p.action == GET)
			do_get(p.job, p.waited);
		else
			do_list(c, &p);
		client_lock(c);
		plan_round_over(c);
	}
	client_unlock(c);
	return NULL;
}

struct poller *poller_new(void)
{
	struct poller *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	util_cond_init(&p->poke);
	waitq_init(&p->list_q);
	return p;
}

void poller_free(struct poller *p)
{
	if (!p)
		return;
	pthread_cond_destroy(&p->poke);
	free(p);
}

void poller_take_waiters(struct gb_client *c, struct gb_waitq *to)
{
	waitq_move(&c->poller->list_q, to);
}

void poller_want_whole(struct gb_client *c)
{
	c->poller->want_list = c->poller->want_whole = true;
	poll_poke(c);
}

uint64_t poller_whole_seq(const struct gb_client *c)
{
	return c->poller->whole_seq;
}

double poller_lists_ok_since(const struct gb_client *c)
{
	return c->poller->lists_ok_since;
}

/* By chance: many clients must not ask together. */
static void set_pace(struct gb_client *c)
{
	c->poller->pace = (struct look_pace){
		c->o.poll_s, (double)(util_random_u64() >> 11) / (double)(1ULL << 53)};
	look_budget_begin(&c->poller->rounds, &c->poller->pace, util_now());
}

int poll_start(struct gb_client *c)
{
	sigset_t all, old;

	client_lock(c);
	set_pace(c);
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (job_own_unfinished(c->slots[i]))
			poll_watch(c->slots[i]);
	client_unlock(c);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&c->poller->thread, NULL, poller, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->poller->runs = err == 0;
	return -err;
}

/* c->stopping is set and the engine stopped: what the poller calls fails at once. */
void poll_stop(struct gb_client *c)
{
	if (!c->poller->runs)
		return;
	client_lock(c);
	poll_poke(c);
	client_unlock(c);
	pthread_join(c->poller->thread, NULL);
	c->poller->runs = false;
}
