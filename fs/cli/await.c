#include "cli/await.h"

#include <errno.h>
#include <time.h>

#include "cli/cli.h"
#include "util/util.h"

#define SLICE 0.1 /* seconds between looks for a signal */

static void await_done(struct gb_waiter *w, int err)
{
	struct await *a = CONTAINER_OF(w, struct await, w);

	pthread_mutex_lock(&a->lock);
	a->err = err;
	a->done = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

struct gb_waiter *await_begin(struct await *a)
{
	pthread_condattr_t attr;

	*a = (struct await){.w.done = await_done};
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&a->lock, NULL);
	return &a->w;
}

static void await_slice(struct await *a)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(SLICE * 1e9);
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&a->cond, &a->lock, &until);
}

/* Whether waiting is over before there is an answer. */
static int await_over(double until)
{
	return cli_stopped()                          ? -EINTR
	       : until >= 0 && seconds_now() >= until ? -EAGAIN
						      : 0;
}

bool await_some(struct await *a, double seconds, int *ret)
{
	double until = seconds < 0 ? -1 : seconds_now() + seconds;
	int over = 0;

	pthread_mutex_lock(&a->lock);
	while (!a->done && !over) {
		await_slice(a);
		over = a->done ? 0 : await_over(until);
	}
	*ret = over ? over : a->err;
	pthread_mutex_unlock(&a->lock);
	return !over;
}

void await_free(struct await *a)
{
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->cond);
}

bool await_drop(struct await *a, int *ret)
{
	if (gb_waiter_drop(&a->w))
		return true;
	pthread_mutex_lock(&a->lock);
	while (!a->done) /* its answer is on the way */
		await_slice(a);
	*ret = a->err;
	pthread_mutex_unlock(&a->lock);
	return false;
}

long long await_end(struct await *a, long long ret, double seconds)
{
	int err;

	if (ret == -EINPROGRESS) {
		if (!await_some(a, seconds, &err))
			await_drop(a, &err);
		ret = err;
	}
	await_free(a);
	return ret;
}
