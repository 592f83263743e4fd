#include "base/thread_pool.h"

#include "base/util.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

enum { IDLE_SECONDS = 10 };

struct item {
	struct item *next;
	void (*fn)(void *arg);
	void *arg;
};

struct lane {
	struct thread_pool *work;
	struct item *head, **tail;
	pthread_cond_t more;
	unsigned threads, max;
	unsigned idle;   /* threads that wait, or were woken and have not begun */
	unsigned queued; /* items */
};

struct thread_pool {
	pthread_mutex_t lock; /* guards all below and the lanes */
	pthread_cond_t gone;
	struct lane lanes[POOL_LANES];
	bool stopping;
};

static const unsigned lane_threads[POOL_LANES] = {[POOL_SHORT] = 8, [POOL_LONG] = 4};

struct thread_pool *pool_new(void)
{
	struct thread_pool *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->gone, NULL);
	for (int i = 0; i < POOL_LANES; i++) {
		struct lane *l = &w->lanes[i];

		*l = (struct lane){.work = w, .tail = &l->head, .max = lane_threads[i]};
		util_cond_init(&l->more);
	}
	return w;
}

/* Wait for an item; NULL when this thread has been idle long enough. */
static struct item *next_item(struct lane *l)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	while (!l->head) {
		if (l->work->stopping)
			return NULL;
		l->idle++;
		int err = pthread_cond_timedwait(&l->more, &l->work->lock, &until);
		l->idle--;
		if (err == ETIMEDOUT && !l->head)
			return NULL;
	}
	struct item *it = l->head;
	l->head = it->next;
	l->queued--;
	if (!l->head)
		l->tail = &l->head;
	return it;
}

static void *worker(void *arg)
{
	struct lane *l = arg;
	struct thread_pool *w = l->work;
	struct item *it;

	pthread_mutex_lock(&w->lock);
	while ((it = next_item(l))) {
		pthread_mutex_unlock(&w->lock);
		it->fn(it->arg);
		free(it);
		pthread_mutex_lock(&w->lock);
	}
	l->threads--;
	pthread_cond_broadcast(&w->gone);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals belong to the program, not to the library's threads. */
static int start_thread(struct lane *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&thread, &attr, worker, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (!err)
		l->threads++;
	return -err;
}

int pool_add(
	struct thread_pool *w, enum pool_lane lane, void (*fn)(void *arg), void *arg)
{
	struct lane *l = &w->lanes[lane];
	struct item *it = malloc(sizeof(*it));
	int err = 0;

	if (!it)
		return -ENOMEM;
	*it = (struct item){.fn = fn, .arg = arg};
	pthread_mutex_lock(&w->lock);
	if (w->stopping)
		err = -ECANCELED;
	else if (l->queued >= l->idle && l->threads < l->max)
		err = start_thread(l);
	if (err && (err == -ECANCELED || !l->threads)) {
		free(it);
		goto out;
	}
	err = 0;
	*l->tail = it;
	l->tail = &it->next;
	l->queued++;
	pthread_cond_signal(&l->more);
out:
	pthread_mutex_unlock(&w->lock);
	return err;
}

void pool_stop(struct thread_pool *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	for (int i = 0; i < POOL_LANES; i++)
		pthread_cond_broadcast(&w->lanes[i].more);
	for (int i = 0; i < POOL_LANES; i++)
		while (w->lanes[i].threads)
			pthread_cond_wait(&w->gone, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void pool_free(struct thread_pool *w)
{
	if (!w)
		return;
	pool_stop(w);
	for (int i = 0; i < POOL_LANES; i++)
		pthread_cond_destroy(&w->lanes[i].more);
	pthread_cond_destroy(&w->gone);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
