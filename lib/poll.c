/*
 * The one poller: a thread that makes every call that only asks.
 *
 * Requests to look meet here: reads of stale metadata, waits for an end, listings,
 * and own unfinished jobs. One job asked for costs one GET; several cost a list.
 * Between looks it sleeps; with nobody looking and no own job unfinished it sleeps
 * for good.
 */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>

enum {
	OWN_LOOK = 120,      /* seconds between lists for own unfinished jobs */
	WHOLE_LOOK = 300,    /* seconds between whole lists */
	OFFLINE_LOOK = 30,   /* seconds between tries while offline */
	FIRST_WAIT = 10,     /* seconds the first listing waits at most */
	LIST_WAIT = 2,       /* seconds mkdir waits for a list: the root is locked */
	MAX_CHECKS = 20,     /* jobs missing from a whole list looked at in a round */
};

enum action { SLEEP, LIST, GET };

struct plan {
	enum action action;
	bool whole;
	struct gb_job *job;
	double until; /* util_now; 0: for good */
};

/* ---- what is asked for --------------------------------------------------------- */

void poll_poke(struct gb_client *c)
{
	pthread_cond_signal(&c->poke);
}

void poll_watch(struct gb_job *job)
{
	if (job->watched)
		return;
	job->watched = true;
	job->watch_next = job->c->watched;
	job->c->watched = job;
}

static bool fresh(const struct gb_job *job)
{
	return job->learnt && util_now() - job->learnt < job->c->o.ttl_s;
}

static bool nothing_to_ask(const struct gb_job *job)
{
	const struct gb_client *c = job->c;

	return c->o.offline || !job->id || job->closed || job->gone || fresh(job) ||
	       (c->offline_since && c->list_after > util_now());
}

int gb_job_refresh(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	int err = 0;

	client_lock(c);
	if (c->stopping)
		err = -EINTR;
	else if (!nothing_to_ask(job) &&
		 queue_add(job, QUEUE_REFRESHERS, w) == -EINPROGRESS) {
		err = -EINPROGRESS;
		job->wanted = true;
		poll_watch(job);
		poll_poke(c);
	}
	client_unlock(c);
	return err;
}

int gb_job_wait(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	int err;

	client_lock(c);
	err = c->stopping ? -EINTR : job_wait_verdict(job);
	bool first = !queue_waits(job, QUEUE_ENDERS);
	if (err == -EINPROGRESS && (err = queue_add(job, QUEUE_ENDERS, w)) == -EINPROGRESS) {
		/* The first who waits wants to know soon. */
		if (first && !fresh(job))
			job->next_look = 0;
		poll_watch(job);
		poll_poke(c);
	}
	client_unlock(c);
	return err;
}

static bool over_due(const struct gb_waiter *w, void *arg)
{
	return w->hi <= *(uint64_t *)arg;
}

/* Who waits for a list waits so long and no longer; then memory must do. */
static void list_deadline(void *arg)
{
	struct gb_client *c = arg;
	uint64_t now = (uint64_t)(util_now() * 1000);
	struct gb_waitq late;

	waitq_init(&late);
	waitq_move_if(&c->list_q, &late, over_due, &now);
	waitq_call(&late, -ETIMEDOUT);
}

int gb_list_refresh(struct gb_client *c, enum gb_list how, struct gb_waiter *w)
{
	double limit = how == GB_LIST_FRESH ? LIST_WAIT : FIRST_WAIT;
	int err = 0;

	client_lock(c);
	double age = util_now() - c->listed_at;
	bool stale = !c->listed || (how == GB_LIST_FRESH && age >= c->o.ttl_s);
	if (how == GB_LIST_NEWS && c->caught_up)
		stale = false;
	bool hopeless = c->o.offline || (c->offline_since && c->list_after > util_now());
	if (c->stopping)
		err = w ? -EINTR : 0;
	else if (stale && hopeless)
		err = w ? -EHOSTUNREACH : 0;
	else if (stale) {
		c->want_list = true;
		c->want_whole |= !c->whole_at || util_now() - c->whole_at >= WHOLE_LOOK;
		if (w)
			err = waitq_add(&c->list_q, w, how,
				(uint64_t)((util_now() + limit) * 1000));
		poll_poke(c);
	}
	client_unlock(c);
	if (err == -EINPROGRESS)
		engine_timer(c->engine, limit + 0.01, list_deadline, c);
	return err;
}

/* ---- planning ---------------------------------------------------------------------- */

static double look_interval(const struct gb_job *job)
{
	double age = difftime(engine_server_time(job->c->engine), job->created.tv_sec);
	double max = job->c->o.poll_s;

	if (!job->created.tv_sec || age < 0)
		age = 0;
	return age / 8 < 1 ? 1 : age / 8 > max ? max : age / 8;
}

/* Lock held. Somebody waits for its end, or will be told of it. */
static bool end_is_awaited(const struct gb_job *job)
{
	return queue_waits(job, QUEUE_ENDERS) ||
	       (job->c->o.ended && job_own_unfinished(job));
}

/* Lock held. Does the poller still have a reason to look at job? */
static bool interesting(struct gb_job *job)
{
	return job->wanted || job->solo || end_is_awaited(job) ||
	       queue_waits(job, QUEUE_REFRESHERS) || job_own_unfinished(job);
}

static void prune(struct gb_client *c)
{
	for (struct gb_job **at = &c->watched; *at;) {
		struct gb_job *job = *at;

		if (interesting(job)) {
			at = &job->watch_next;
		} else {
			*at = job->watch_next;
			job->watched = false;
		}
	}
}

static void sooner(double *until, double t)
{
	if (!*until || t < *until)
		*until = t;
}

/* What a person reads is asked for at once; what merely waits sits out failures. */
static void consider(struct plan *p, struct gb_job *job, double now, unsigned *due)
{
	double after = job->c->list_after;
	double at = job->next_look > after ? job->next_look : after;
	bool look = job->wanted;

	if (!job->id)
		return;
	if (end_is_awaited(job)) {
		look |= at <= now;
		sooner(&p->until, at);
	}
	if (look || job->solo) {
		++*due;
		if (!p->job || job->solo)
			p->job = job;
	}
}

/* A look at a finished inline job brings its whole output: the list tells its end
 * for less. */
static bool told_by_list(const struct gb_job *job)
{
	return job->local && job->local->rec.own && job->local->rec.is_inline;
}

/* Lock held. */
static struct plan plan_next(struct gb_client *c)
{
	struct plan p = {.action = SLEEP};
	double now = util_now();
	bool own = false, held = c->list_after > now;
	unsigned due = 0;

	prune(c);
	for (struct gb_job *job = c->watched; job; job = job->watch_next) {
		own |= job_own_unfinished(job);
		consider(&p, job, now, &due);
	}
	double own_at = c->listed ? c->listed_at +
				test_seconds("BATCHFS_TEST_OWN_SECONDS", OWN_LOOK)
				  : now;
	bool asked = c->want_list && (!held || waitq_count(&c->list_q));
	bool routine = !held && (c->offline_since || (own && own_at <= now));
	if (c->o.offline)
		return (struct plan){.action = SLEEP};
	if (p.job && !asked && (p.job->solo || (due == 1 && !told_by_list(p.job)))) {
		p.action = GET;
	} else if (due || asked || routine) {
		p.action = LIST;
		p.whole = c->want_whole || !c->listed;
	} else {
		if (held && (c->want_list || own || c->offline_since))
			sooner(&p.until, c->list_after);
		if (own)
			sooner(&p.until, own_at > c->list_after ? own_at : c->list_after);
	}
	return p;
}

/* ---- calls ------------------------------------------------------------------------- */

bool client_online(struct gb_client *c)
{
	client_lock(c);
	bool online = !c->o.offline && !c->offline_since;
	client_unlock(c);
	return online;
}

void client_called(struct gb_client *c, const struct api_error *err)
{
	bool down = err->err == -EHOSTUNREACH || (err->err == -ETIMEDOUT && !err->status);
	bool was;

	if (err->err == -ECANCELED)
		return;
	client_lock(c);
	was = c->offline_since != 0;
	c->last_error = err->err;
	if (down && !was)
		c->offline_since = time(NULL);
	else if (!down)
		c->offline_since = 0;
	client_unlock(c);
	if (down != was)
		client_log(c, LOG_WARNING, down ? "the API cannot be reached: %s" : "the API answers again%s",
			down && err->text ? err->text : "");
	if (was && !down)
		queue_go(c);
}

/* Answer who wanted fresh metadata. Without a network what is known must do. */
static void refreshed(struct gb_job *job, int err)
{
	struct gb_waitq now;

	waitq_init(&now);
	client_lock(job->c);
	job->wanted = job->solo = false;
	job->next_look = util_now() + look_interval(job);
	queue_take(job, QUEUE_REFRESHERS, &now);
	client_unlock(job->c);
	if (err == -EHOSTUNREACH || err == -ENOENT || err == -ECANCELED)
		err = 0;
	waitq_call(&now, err);
}

static void look_failed(struct gb_client *c, const struct api_error *err)
{
	client_lock(c);
	c->list_failures++;
	c->list_after = util_now() +
			(c->offline_since ? test_seconds("BATCHFS_TEST_OWN_SECONDS",
						    OFFLINE_LOOK)
					  : engine_backoff((int)c->list_failures, err->retry));
	client_unlock(c);
}

static void look_worked(struct gb_client *c)
{
	client_lock(c);
	c->list_failures = 0;
	c->list_after = 0;
	client_unlock(c);
}

static int ask(struct gb_job *job)
{
	struct gb_client *c = job->c;
	struct canceller none = CANCELLER_INIT;
	struct api_error err = {0};

	switch (learn_look(job, &none, &err)) {
	case 0:
		look_worked(c);
		break;
	case -ENOENT:
		break;
	case -EACCES:
		client_lock(c);
		job->denied = true;
		client_unlock(c);
		job_changed(job, 0);
		break;
	default:
		look_failed(c, &err);
	}
	client_called(c, &err);
	/* 403 may mean that the job is another project's: its last word stands. */
	int ret = err.status == 403 ? 0 : err.err;
	api_error_clear(&err);
	return ret;
}

/* Jobs of others that a whole list did not have: ask for them, so that those the API
 * has dropped leave the tree. */
static void check_missing(struct gb_client *c, uint64_t seq)
{
	unsigned left = MAX_CHECKS;

	for (uint32_t i = 0; left; i++) {
		struct gb_job *job = gb_job_next(c, i);

		if (!job)
			break;
		i = job->slot;
		client_lock(c);
		bool missing = job->id && !job->gone && job->listed_seq < seq &&
			       !(job->local && job->local->rec.own);
		client_unlock(c);
		if (missing) {
			ask(job);
			left--;
		}
		gb_job_unref(job);
	}
}

/* After a list: who was told is answered, who was not is asked for alone. */
static void answer_listed(struct gb_client *c, uint64_t seq, int err)
{
	struct gb_job *job;

	do {
		client_lock(c);
		for (job = c->watched; job; job = job->watch_next)
			if (job->wanted && !job->solo && (err || job->seq >= seq))
				break;
		if (job)
			gb_job_ref(job);
		else
			for (struct gb_job *j = c->watched; j; j = j->watch_next)
				j->solo |= j->wanted && j->id;
		client_unlock(c);
		if (job)
			refreshed(job, err);
		gb_job_unref(job);
	} while (job);
}

static void put_off_waited(struct gb_client *c)
{
	double now = util_now();

	client_lock(c);
	for (struct gb_job *job = c->watched; job; job = job->watch_next)
		if (job->next_look <= now)
			job->next_look = now + look_interval(job);
	client_unlock(c);
}

static void do_list(struct gb_client *c, bool whole)
{
	uint64_t seq = learn_seq(c);
	struct api_error err = {0};

	client_lock(c);
	c->want_list = c->want_whole = false;
	client_unlock(c);
	int ret = list_read(c, whole, seq, &err);
	client_called(c, &err);
	if (ret) {
		look_failed(c, &err);
	} else {
		look_worked(c);
		client_lock(c);
		c->listed = c->caught_up = true;
		c->listed_at = util_now();
		/* Who asked meanwhile has his answer with the others. */
		c->want_list = false;
		if (whole)
			c->whole_at = c->listed_at;
		client_unlock(c);
		if (whole)
			check_missing(c, seq);
	}
	answer_listed(c, seq, ret);
	put_off_waited(c);
	waitq_wake(&c->list_q, ret == -ECANCELED ? -EINTR : ret);
	api_error_clear(&err);
}

static void do_get(struct gb_job *job)
{
	refreshed(job, ask(job));
	gb_job_unref(job);
}

/* Lock held. */
static void sleep_until(struct gb_client *c, double until)
{
	if (until > 0)
		util_cond_wait_until(&c->poke, &c->lock, until);
	else
		pthread_cond_wait(&c->poke, &c->lock);
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
			do_get(p.job);
		else
			do_list(c, p.whole);
		client_lock(c);
	}
	client_unlock(c);
	return NULL;
}

int poll_start(struct gb_client *c)
{
	sigset_t all, old;

	client_lock(c);
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (job_own_unfinished(c->slots[i]))
			poll_watch(c->slots[i]);
	client_unlock(c);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&c->poller, NULL, poller, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->poller_runs = err == 0;
	return -err;
}

/* c->stopping is set and the engine stopped: what the poller calls fails at once. */
void poll_stop(struct gb_client *c)
{
	if (!c->poller_runs)
		return;
	client_lock(c);
	poll_poke(c);
	client_unlock(c);
	pthread_join(c->poller, NULL);
	c->poller_runs = false;
}
