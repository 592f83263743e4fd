/*
 * Queues of waiters (struct gb_waiter of gembatch.h).
 *
 * A queue belongs to the object that is waited for; its owner wakes it. All queues
 * share one lock, a leaf: nothing else is ever locked under it. So every function here
 * may be called with any other lock held, except waitq_wake*, which call out and must
 * be called with none.
 */
#ifndef GB_WAITER_H
#define GB_WAITER_H

#include "base/util.h"

#include "gembatch.h"

#include <pthread.h>

struct gb_waitq {
	struct gb_waiter *head, **tail;
	size_t count;
	/* Optional: gb_waiter_drop has taken the last one. Called under the waiters'
	 * lock, so it may set flags and cancel calls, no more. */
	void (*emptied)(struct gb_waitq *q);
};

void waitq_init(struct gb_waitq *q);

/* To be called before the memory of an empty queue is freed: no drop is at work on it
 * afterwards. */
void waitq_destroy(struct gb_waitq *q);

/* Hold w. lo and hi are for the owner (a byte range, say). Returns -EINPROGRESS,
 * so that callers can pass it on. */
int waitq_add(struct gb_waitq *q, struct gb_waiter *w, uint64_t lo, uint64_t hi);

size_t waitq_count(struct gb_waitq *q);

/* Detach and call all waiters. */
void waitq_wake(struct gb_waitq *q, int err);

/* The same in two halves, for callers that decide under a lock and call without it:
 * move all waiters of q to the list `to` (a local queue), then waitq_call it. A waiter
 * that was moved can still be dropped until waitq_call reaches it. */
void waitq_move(struct gb_waitq *q, struct gb_waitq *to);
/* Move those for which pred holds. */
void waitq_move_if(struct gb_waitq *q, struct gb_waitq *to,
	bool (*pred)(const struct gb_waiter *w, void *arg), void *arg);
void waitq_call(struct gb_waitq *q, int err);

/* For a thread of our own that waits, with this on its stack: init, pass &s.w to a
 * call, and after -EINPROGRESS wait, once; it returns what done() was called with. end is
 * given what the call returned, and waits if need be: the result of both. */
struct waiter_sync {
	struct gb_waiter w;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool over;
	int err;
};
void waiter_sync_init(struct waiter_sync *s);
int waiter_sync_wait(struct waiter_sync *s);
ssize_t waiter_sync_end(struct waiter_sync *s, ssize_t ret);

#endif
