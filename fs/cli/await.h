/* Waiting for an answer of gembatch, in a program that does one thing at a time. */
#ifndef FS_CLI_AWAIT_H
#define FS_CLI_AWAIT_H

#include <pthread.h>

#include "gembatch.h"

struct await {
	struct gb_waiter w;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int err;
};

struct gb_waiter *await_begin(struct await *a);
/* ret: what the call that got the waiter returned. Its result; or the waiter is
 * taken back: -EAGAIN after so many seconds (-1: never), -EINTR by a signal. */
long long await_end(struct await *a, long long ret, double seconds);

/* The parts of that, for who waits on after a look around. await_some: true, and *ret
 * is the answer; or false, and it is -EAGAIN or -EINTR. await_drop: true, the waiter
 * has been taken back; or false, as *ret has come after all. Either way await_free. */
bool await_some(struct await *a, double seconds, int *ret);
bool await_drop(struct await *a, int *ret);
void await_free(struct await *a);

/* The result of `call`, which uses the waiter w. */
#define AWAIT(seconds, w, call)                                                        \
	({                                                                             \
		struct await await_;                                                   \
		struct gb_waiter *w = await_begin(&await_);                            \
		await_end(&await_, (call), (seconds));                                 \
	})

#endif
