#include "kernel/pending.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "closing/proc.h"

#define LOOK_AGAIN 0.1 /* seconds */

/*
 * Phases. While ARMING the thread in `call` owns the request: a done() that comes
 * meanwhile only leaves its error there (FIRED) for that thread to find, and
 * nobody drops the waiter, which may not be in its queue yet. HELD: whoever comes
 * first, done() or the watcher, which owns it then in the same way (DROPPING). If its
 * gb_waiter_drop says that done() is on its way, it waits on.
 *
 * Locks: a request's lock inside libfuse comes before the lot's (the interrupt
 * callback runs under the former), so nothing of libfuse is called under the lot's.
 */
enum phase { ARMING, FIRED, HELD, DROPPING, ENDED };

struct pending_lot {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t watcher;
	bool stop; /* lock */
	/* Those with a deadline or a reported signal; lock. */
	TAILQ_HEAD(, pending) watched;
};

static double pending_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

struct pending *pending_new(fuse_req_t req, int (*call)(struct pending *p),
	void (*end)(struct pending *p, int err))
{
	struct pending *p = calloc(1, sizeof *p);

	if (!p) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	p->m = mount_of(req);
	p->req = req;
	p->call = call;
	p->end = end;
	p->tid = fuse_req_ctx(req)->pid;
	p->refs = 1;
	return p;
}

static void pending_unref(struct pending *p)
{
	bool last;

	pthread_mutex_lock(&p->m->lot->lock);
	last = !--p->refs;
	pthread_mutex_unlock(&p->m->lot->lock);
	if (!last)
		return;
	if (p->file)
		gb_file_unref(p->file);
	if (p->results)
		gb_results_close(p->results);
	if (p->job)
		gb_job_unref(p->job);
	if (p->to)
		gb_job_unref(p->to);
	free(p->name);
	free(p->new_name);
	free(p->text);
	free(p);
}

/* EINTR is for who was interrupted, because write and open of most programs begin again at
 * once, and what somebody stopped would be started anew. */
static int uninterrupted(const struct pending *p, int err)
{
	return err == -EINTR && !atomic_load(&p->m->ending) ? -ECANCELED : err;
}

static void pending_finish(struct pending *p, int err)
{
	struct pending_lot *lot = p->m->lot;

	pthread_mutex_lock(&lot->lock);
	p->phase = ENDED;
	if (p->watched)
		TAILQ_REMOVE(&lot->watched, p, watched_link);
	p->watched = false;
	pthread_mutex_unlock(&lot->lock);
	/* Waits for an interrupt callback that is running. */
	if (p->hooked)
		fuse_req_interrupt_func(p->req, NULL, NULL);
	p->end(p, p->leaves ? -EINTR : err);
	pending_unref(p);
}

/* Under the lot's lock. */
static void watch(struct pending_lot *lot, struct pending *p)
{
	if (!p->watched)
		TAILQ_INSERT_TAIL(&lot->watched, p, watched_link);
	p->watched = true;
	pthread_cond_signal(&lot->wake);
}

static void on_interrupt(fuse_req_t req, void *arg)
{
	struct pending *p = arg;
	struct pending_lot *lot = p->m->lot;

	pthread_mutex_lock(&lot->lock);
	p->interrupted = true;
	if (p->phase != ENDED)
		watch(lot, p);
	pthread_mutex_unlock(&lot->lock);
}

/* Let go of a request that `call` has left with a waiter. Returns 0 when it waits
 * now, 1 when done() has come meanwhile. */
static int pending_hold(struct pending *p)
{
	struct pending_lot *lot = p->m->lot;
	bool fired;

	if (!p->hooked) {
		p->hooked = true;
		fuse_req_interrupt_func(p->req, on_interrupt, p);
	}
	pthread_mutex_lock(&lot->lock);
	fired = p->phase == FIRED;
	if (!fired)
		p->phase = HELD;
	if (!fired && p->watched)
		pthread_cond_signal(&lot->wake);
	pthread_mutex_unlock(&lot->lock);
	return fired;
}

static void on_done(struct gb_waiter *w, int err);

/* After done(). */
static bool wants_again(const struct pending *p)
{
	return p->err == PENDING_AGAIN || (!p->err && p->again);
}

static void arm(struct pending *p)
{
	int err;

	do {
		pthread_mutex_lock(&p->m->lot->lock);
		p->phase = ARMING;
		pthread_mutex_unlock(&p->m->lot->lock);
		p->w = (struct gb_waiter){.done = on_done};
		err = p->call(p);
		if (err == -EINPROGRESS) {
			if (!pending_hold(p))
				return;
			err = p->err;
			if (wants_again(p))
				continue;
		}
		break;
	} while (true);
	pending_finish(p, uninterrupted(p, err));
}

static void pending_go_on(struct pending *p)
{
	if (wants_again(p))
		arm(p);
	else
		pending_finish(p, uninterrupted(p, p->err));
}

static void on_done(struct gb_waiter *w, int err)
{
	struct pending *p = CONTAINER_OF(w, struct pending, w);
	struct pending_lot *lot = p->m->lot;
	bool owned;

	pthread_mutex_lock(&lot->lock);
	owned = p->phase == ARMING || p->phase == DROPPING;
	p->phase = FIRED;
	p->err = err;
	pthread_mutex_unlock(&lot->lock);
	if (!owned)
		pending_go_on(p);
}

void pending_run(struct pending *p, double seconds)
{
	struct pending_lot *lot = p->m->lot;

	if (seconds > 0) {
		pthread_mutex_lock(&lot->lock);
		p->deadline = pending_now() + seconds;
		watch(lot, p);
		pthread_mutex_unlock(&lot->lock);
	}
	arm(p);
}

/* Whether a request should be given up now: 0, -EINTR or -ETIMEDOUT. */
static int judge_wait(bool interrupted, pid_t tid, double deadline)
{
	if (interrupted && proc_interrupted(tid))
		return -EINTR;
	if (deadline && pending_now() >= deadline)
		return -ETIMEDOUT;
	return 0;
}

/* The waiter was taken back, so the request is ours. */
static void interrupt(struct pending *p)
{
	struct pending_lot *lot = p->m->lot;

	if (!p->leave || p->leaves) {
		pending_finish(p, -EINTR);
		return;
	}
	pthread_mutex_lock(&lot->lock);
	p->leaves = true;
	p->interrupted = p->again = false;
	p->deadline = pending_now() + PENDING_LEAVES;
	p->call = p->leave;
	watch(lot, p);
	pthread_mutex_unlock(&lot->lock);
	arm(p);
}

/* Under the lot's lock, which is let go of meanwhile. */
static void pending_look_at(struct pending_lot *lot, struct pending *p)
{
	bool interrupted = p->interrupted;
	double deadline = p->deadline;
	bool dropped = false, fired;
	int err;

	if (p->phase != HELD)
		return;
	/* The reference keeps p; its req may be replied to and gone at any time. */
	p->refs++;
	p->phase = DROPPING;
	pthread_mutex_unlock(&lot->lock);
	err = judge_wait(interrupted, p->tid, deadline);
	if (err)
		dropped = gb_waiter_drop(&p->w);
	pthread_mutex_lock(&lot->lock);
	fired = p->phase == FIRED;
	if (!fired && !dropped)
		p->phase = HELD;
	pthread_mutex_unlock(&lot->lock);
	if (dropped && err == -EINTR)
		interrupt(p);
	else if (dropped)
		pending_finish(p, err);
	else if (fired)
		pending_go_on(p);
	pending_unref(p);
	pthread_mutex_lock(&lot->lock);
}

/* Under the lot's lock. */
static void look_at_all(struct pending_lot *lot)
{
	size_t n = 0;
	struct pending *p;

	TAILQ_FOREACH(p, &lot->watched, watched_link)
	n++;
	while (n-- && (p = TAILQ_FIRST(&lot->watched))) {
		TAILQ_REMOVE(&lot->watched, p, watched_link);
		TAILQ_INSERT_TAIL(&lot->watched, p, watched_link);
		pending_look_at(lot, p);
	}
}

static void *run_watcher(void *arg)
{
	struct pending_lot *lot = arg;

	pthread_mutex_lock(&lot->lock);
	while (!lot->stop) {
		struct timespec until;

		if (TAILQ_EMPTY(&lot->watched)) {
			pthread_cond_wait(&lot->wake, &lot->lock);
			continue;
		}
		look_at_all(lot);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LOOK_AGAIN * 1e9;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		if (!lot->stop && !TAILQ_EMPTY(&lot->watched))
			pthread_cond_timedwait(&lot->wake, &lot->lock, &until);
	}
	pthread_mutex_unlock(&lot->lock);
	return NULL;
}

int pending_lot_new(struct pending_lot **ret)
{
	struct pending_lot *lot = calloc(1, sizeof *lot);
	pthread_condattr_t attr;
	int err;

	if (!lot)
		return -ENOMEM;
	pthread_mutex_init(&lot->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lot->wake, &attr);
	pthread_condattr_destroy(&attr);
	TAILQ_INIT(&lot->watched);
	err = pthread_create(&lot->watcher, NULL, run_watcher, lot);
	if (err) {
		free(lot);
		return -err;
	}
	*ret = lot;
	return 0;
}

void pending_lot_free(struct pending_lot *lot)
{
	if (!lot)
		return;
	pthread_mutex_lock(&lot->lock);
	lot->stop = true;
	pthread_cond_signal(&lot->wake);
	pthread_mutex_unlock(&lot->lock);
	pthread_join(lot->watcher, NULL);
	pthread_cond_destroy(&lot->wake);
	pthread_mutex_destroy(&lot->lock);
	free(lot);
}

void pending_end_err(struct pending *p, int err)
{
	fuse_reply_err(p->req, -err);
}

void pending_fail(struct pending *p, int err)
{
	fuse_reply_err(p->req, -err);
	pending_unref(p);
}
