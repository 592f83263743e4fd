#include "base/waiter.h"
#include "base/util.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

static pthread_mutex_t waiters_lock = PTHREAD_MUTEX_INITIALIZER;

void waitq_init(struct gb_waitq *q)
{
	*q = (struct gb_waitq){.tail = &q->head};
}

void waitq_destroy(struct gb_waitq *q)
{
	pthread_mutex_lock(&waiters_lock);
	assert(q->count == 0);
	pthread_mutex_unlock(&waiters_lock);
}

static void waitq_append(struct gb_waitq *q, struct gb_waiter *w)
{
	w->q = q;
	w->next = NULL;
	w->prev = q->tail;
	*q->tail = w;
	q->tail = &w->next;
	q->count++;
}

static void waiter_detach(struct gb_waiter *w)
{
	struct gb_waitq *q = w->q;

	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		q->tail = w->prev;
	q->count--;
	w->q = NULL;
	w->next = NULL;
}

int waitq_add(struct gb_waitq *q, struct gb_waiter *w, uint64_t lo, uint64_t hi)
{
	pthread_mutex_lock(&waiters_lock);
	w->lo = lo;
	w->hi = hi;
	w->err = 0;
	waitq_append(q, w);
	pthread_mutex_unlock(&waiters_lock);
	return -EINPROGRESS;
}

size_t waitq_count(struct gb_waitq *q)
{
	size_t n;

	pthread_mutex_lock(&waiters_lock);
	n = q->count;
	pthread_mutex_unlock(&waiters_lock);
	return n;
}

bool gb_waiter_drop(struct gb_waiter *w)
{
	bool held;

	pthread_mutex_lock(&waiters_lock);
	struct gb_waitq *q = w->q;
	held = q != NULL;
	if (held) {
		waiter_detach(w);
		if (q->count == 0 && q->emptied)
			q->emptied(q);
	}
	pthread_mutex_unlock(&waiters_lock);
	return held;
}

void waitq_move_if(struct gb_waitq *q, struct gb_waitq *to,
	bool (*pred)(const struct gb_waiter *w, void *arg), void *arg)
{
	pthread_mutex_lock(&waiters_lock);
	for (struct gb_waiter *w = q->head, *next; w; w = next) {
		next = w->next;
		if (pred && !pred(w, arg))
			continue;
		waiter_detach(w);
		waitq_append(to, w);
	}
	pthread_mutex_unlock(&waiters_lock);
}

void waitq_move(struct gb_waitq *q, struct gb_waitq *to)
{
	waitq_move_if(q, to, NULL, NULL);
}

static struct gb_waiter *pop(struct gb_waitq *q)
{
	pthread_mutex_lock(&waiters_lock);
	struct gb_waiter *w = q->head;
	if (w)
		waiter_detach(w);
	pthread_mutex_unlock(&waiters_lock);
	return w;
}

void waitq_call(struct gb_waitq *q, int err)
{
	struct gb_waiter *w;

	while ((w = pop(q)))
		w->done(w, err);
}

void waitq_wake(struct gb_waitq *q, int err)
{
	struct gb_waitq now;

	waitq_init(&now);
	waitq_move(q, &now);
	waitq_call(&now, err);
}

/* ---- waiting on the spot -------------------------------------------------------- */

static void sync_done(struct gb_waiter *w, int err)
{
	struct waiter_sync *s = CONTAINER_OF(w, struct waiter_sync, w);

	pthread_mutex_lock(&s->lock);
	s->over = true;
	s->err = err;
	pthread_cond_signal(&s->done);
	pthread_mutex_unlock(&s->lock);
}

void waiter_sync_init(struct waiter_sync *s)
{
	*s = (struct waiter_sync){.w.done = sync_done, .lock = PTHREAD_MUTEX_INITIALIZER,
		.done = PTHREAD_COND_INITIALIZER};
}

int waiter_sync_wait(struct waiter_sync *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->over)
		pthread_cond_wait(&s->done, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return s->err;
}

ssize_t waiter_sync_end(struct waiter_sync *s, ssize_t ret)
{
	return ret == -EINPROGRESS ? waiter_sync_wait(s) : ret;
}
