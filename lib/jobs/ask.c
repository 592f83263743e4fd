/*
 * Waiters for metadata, which the poller (poller.c) answers, and how long they wait.
 *
 * Every wait for metadata has an end, by one mechanism: the waiter's `hi` says until
 * when (ask_until), and one timer of the client answers those whose time is over with
 * what is known, whatever the poller is waiting for (ask_bound). Waiters for the end of
 * a job are not among them.
 */
#include "jobs/poller_private.h"
#include "jobs/models.h"
#include "jobs/parts.h"

#include <errno.h>
#include <math.h>

enum {
	READ_WAIT = 10,      /* seconds a read of metadata waits at most */
	LIST_WAIT = 2,       /* seconds mkdir waits for a list: the root is locked */
	WHOLE_LOOK = 300,    /* seconds between whole lists */
	STORM = 4,           /* failures in a row: nobody waits for the next try */
};

double ask_wait(void)
{
	return test_seconds("BATCHFS_TEST_READ_SECONDS", READ_WAIT);
}

uint64_t ask_until(double seconds)
{
	return (uint64_t)((util_now() + seconds) * 1000);
}

bool ask_in_vain(const struct gb_client *c)
{
	double left = c->poller->list_after - util_now();

	return c->o.offline ||
	       (left > 0 && (c->offline_since || c->poller->list_failures >= STORM ||
				    left > ask_wait()));
}

/* ---- the end of waiting ---------------------------------------------------------- */

struct sweep {
	uint64_t now, next; /* ms; next: 0: nobody waits */
};

static bool over_due(const struct gb_waiter *w, void *arg)
{
	struct sweep *s = arg;

	if (w->hi <= s->now)
		return true;
	if (!s->next || w->hi < s->next)
		s->next = w->hi;
	return false;
}

static void deadline_timer(void *arg);

/* Lock not held. A timer that fires too soon looks in vain. */
static void plan_sweep(struct gb_client *c, double at)
{
	client_lock(c);
	bool sooner = !c->poller->sweep_at || at < c->poller->sweep_at;
	if (sooner)
		c->poller->sweep_at = at;
	client_unlock(c);
	if (!sooner ||
		!engine_timer(c->engine, at - util_now() + 0.01, deadline_timer, c))
		return;
	client_lock(c);
	c->poller->sweep_at = 0;
	client_unlock(c);
}

void ask_bound(struct gb_client *c, double seconds)
{
	plan_sweep(c, util_now() + seconds);
}

static void deadline_timer(void *arg)
{
	struct gb_client *c = arg;
	struct sweep s = {.now = (uint64_t)(util_now() * 1000)};
	struct gb_waitq lists, models, reads;

	waitq_init(&lists);
	waitq_init(&models);
	waitq_init(&reads);
	client_lock(c);
	c->poller->sweep_at = 0;
	waitq_move_if(&c->poller->list_q, &lists, over_due, &s);
	models_take_waiters(c->models, &models, over_due, &s);
	for (struct gb_job *job = c->poller->watched; job; job = job->watch_next)
		if (job->queues)
			waitq_move_if(
				&job->queues[QUEUE_REFRESHERS], &reads, over_due, &s);
	int err = models_known(c->models) ? 0 : -ETIMEDOUT;
	client_unlock(c);
	waitq_call(&lists, -ETIMEDOUT);
	waitq_call(&models, err);
	waitq_call(&reads, 0);
	if (s.next)
		plan_sweep(c, (double)s.next / 1000);
}

/* ---- what is asked for ----------------------------------------------------------- */

void poll_poke(struct gb_client *c)
{
	pthread_cond_signal(&c->poller->poke);
}

void poll_watch(struct gb_job *job)
{
	client_expect_lock(job->c);
	if (job->watched)
		return;
	job->watched = true;
	job->watch_next = job->c->poller->watched;
	job->c->poller->watched = job;
}

static bool fresh(const struct gb_job *job)
{
	return job->batch->learnt && util_now() - job->batch->learnt < job->c->o.ttl_s;
}

/* alone: the job must be asked for by itself. */
static bool nothing_to_ask(const struct gb_job *job, bool alone)
{
	const struct gb_client *c = job->c;
	bool told =
		fresh(job) || !knowledge_look_due(&job->batch->known, client_moment(c));

	return !job->batch->id || (told && !alone) || ask_in_vain(c);
}

/* Lock held. Whether a look at it is on its way now. */
static bool want_look(struct gb_job *job, bool counts)
{
	bool alone = counts && knowledge_counts_lag(&job->batch->known);

	if (nothing_to_ask(job, alone))
		return false;
	job->batch->wanted = true;
	job->batch->solo |= alone;
	poll_watch(job);
	return true;
}

static int ask_refresh(struct gb_job *job, bool counts, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	bool asked = false;
	int err = 0;

	client_lock(c);
	if (c->stopping)
		err = -EINTR;
	for (uint32_t i = 0; !err && i < parts_count(job); i++)
		asked |= want_look(parts_at(job, i), counts);
	if (asked &&
		queue_add_until(job, QUEUE_REFRESHERS, w, ask_until(ask_wait())) ==
			-EINPROGRESS) {
		err = -EINPROGRESS;
		poll_watch(job);
		poll_poke(c);
	}
	client_unlock(c);
	if (err == -EINPROGRESS)
		ask_bound(c, ask_wait());
	return err;
}

int gb_job_refresh(struct gb_job *job, struct gb_waiter *w)
{
	return ask_refresh(job, false, w);
}

int gb_job_refresh_counts(struct gb_job *job, struct gb_waiter *w)
{
	return ask_refresh(job, true, w);
}

/* Lock held. The first who waits wants to know soon. */
static void watch_end(struct gb_job *job, bool first)
{
	if (knowledge_final(&job->batch->known))
		return;
	if (first)
		plan_wait(job, fresh(job) ? job->batch->learnt : 0);
	poll_watch(job);
}

int gb_job_wait(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	int err;

	client_lock(c);
	err = c->stopping ? -EINTR : job_wait_verdict(job);
	bool first = !queue_waits(job, QUEUE_ENDERS);
	if (err == -EINPROGRESS &&
		(err = queue_add(job, QUEUE_ENDERS, w)) == -EINPROGRESS) {
		for (uint32_t i = 0; i < parts_count(job); i++)
			watch_end(parts_at(job, i), first);
		poll_watch(job);
		poll_poke(c);
	}
	client_unlock(c);
	return err;
}

int gb_list_refresh(struct gb_client *c, enum gb_list how, struct gb_waiter *w)
{
	double limit = how == GB_LIST_FRESH ? fmin(LIST_WAIT, ask_wait()) : ask_wait();
	int err = 0;

	client_lock(c);
	double age = util_now() - c->poller->listed_at;
	double whole = test_seconds("BATCHFS_TEST_WHOLE_SECONDS", WHOLE_LOOK);
	bool stale = !c->poller->listed || (how == GB_LIST_FRESH && age >= c->o.ttl_s);
	if (how == GB_LIST_NEWS && c->poller->caught_up)
		stale = false;
	bool hopeless = ask_in_vain(c);
	if (c->stopping)
		err = w ? -EINTR : 0;
	else if (stale && hopeless)
		err = w ? -EHOSTUNREACH : 0;
	else if (stale) {
		c->poller->want_list = true;
		c->poller->want_whole |= !c->poller->whole_at || 
				 util_now() - c->poller->whole_at >= whole;
		if (w)
			err = waitq_add(&c->poller->list_q, w, how, ask_until(limit));
		poll_poke(c);
	}
	client_unlock(c);
	if (err == -EINPROGRESS)
		ask_bound(c, limit);
	return err;
}
