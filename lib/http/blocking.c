#include "http/http_private.h"
#include "base/test_point.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define OWN_MAX_S 60.0
#define HINT_MAX_S 3600.0

/* A blocking call under way, on its caller's stack. All under engine.call_lock. */
struct call {
	struct engine *e;
	struct transfer *t; /* NULL for a sleep */
	bool done;
	struct http_reply *reply;
	struct call *next, **prev; /* of its canceller's */
};

static void call_done(void *arg, struct http_reply *reply)
{
	struct call *call = arg;
	struct engine *e = call->e;

	pthread_mutex_lock(&e->call_lock);
	*call->reply = *reply;
	reply->body = NULL;
	memset(reply->kept, 0, sizeof reply->kept);
	call->t = NULL;
	call->done = true;
	pthread_cond_broadcast(&e->call_cond);
	pthread_mutex_unlock(&e->call_lock);
}

static bool is_set(struct canceller *c)
{
	return c && atomic_load(&c->set);
}

void canceller_set(struct engine *e, struct canceller *c)
{
	pthread_mutex_lock(&e->call_lock);
	atomic_store(&c->set, true);
	for (struct call *call = c->calls; call; call = call->next)
		if (call->t)
			engine_abort(e, call->t);
	pthread_cond_broadcast(&e->call_cond);
	pthread_mutex_unlock(&e->call_lock);
}

static int refuse_call(struct http_reply *reply, int err)
{
	reply->err = err;
	snprintf(reply->error, sizeof reply->error, "%s", strerror(-err));
	return err;
}

static void call_link(struct canceller *c, struct call *call)
{
	call->next = c->calls;
	call->prev = &c->calls;
	if (call->next)
		call->next->prev = &call->next;
	c->calls = call;
}

static void unlink_call(struct call *call)
{
	*call->prev = call->next;
	if (call->next)
		call->next->prev = call->prev;
}

int engine_call(struct engine *e, const struct http_request *r, struct canceller *c,
	struct http_reply *reply)
{
	struct call call = {.e = e, .reply = reply};
	int err;

	reply_init(reply);
	pthread_mutex_lock(&e->call_lock);
	err = is_set(c) ? -ECANCELED
			: engine_submit_for(e, r, true, call_done, &call, &call.t);
	if (err < 0) {
		pthread_mutex_unlock(&e->call_lock);
		return refuse_call(reply, err);
	}
	if (c)
		call_link(c, &call);
	while (!call.done)
		pthread_cond_wait(&e->call_cond, &e->call_lock);
	if (c)
		unlink_call(&call);
	pthread_mutex_unlock(&e->call_lock);
	return reply->err;
}

int engine_sleep(struct engine *e, double seconds, struct canceller *c)
{
	double until = util_now() + seconds;
	int r = 0;

	pthread_mutex_lock(&e->call_lock);
	while (r == 0 && !e->calls_end && !is_set(c))
		r = util_cond_wait_until(&e->call_cond, &e->call_lock, until);
	if (e->calls_end || is_set(c))
		r = -ECANCELED;
	pthread_mutex_unlock(&e->call_lock);
	return r == -ETIMEDOUT ? 0 : r;
}

static double random_part(double of)
{
	return of * (double)(util_random_u64() >> 11) / (double)(1ULL << 53);
}

double engine_backoff(int n, double hint)
{
	double first = test_seconds("BATCHFS_TEST_BACKOFF_SECONDS", 1);
	double most = fmin(first * (1 << (n < 1 ? 0 : n < 7 ? n - 1 : 6)), OWN_MAX_S);
	double own = most / 2 + random_part(most / 2);
	double told = hint > 0 ? fmin(hint, HINT_MAX_S) : 0;

	/* Callers that got the same refusal must not come back at the same time. */
	return fmax(own, told + random_part(told / 10));
}

int engine_pause(struct engine *e, int n, double hint, struct canceller *c)
{
	double pause = engine_backoff(n, hint);

	return pause > ENGINE_PATIENCE ? -EAGAIN : engine_sleep(e, pause, c);
}
