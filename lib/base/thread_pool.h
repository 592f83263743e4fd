/*
 * Worker threads for what blocks: the disk and the blocking calls of an API.
 *
 * There are two lanes, so that a quick step never waits for a long one: transfers and
 * whole submissions go to POOL_LONG, single calls and disk work to POOL_SHORT. Threads
 * start when there is work and end when there has been none for a while.
 */
#ifndef GB_WORK_H
#define GB_WORK_H

#include "base/util.h"

struct thread_pool;

enum pool_lane { POOL_SHORT, POOL_LONG, POOL_LANES };

struct thread_pool *pool_new(void);
/* Queue fn(arg). -ECANCELED once pool_stop has begun, and then fn is never called;
 * -ENOMEM. Any thread. */
_must_check_ int pool_add(
	struct thread_pool *w, enum pool_lane lane, void (*fn)(void *arg), void *arg);
/* Refuse new work, run what is queued, wait until everything is done. Running work must
 * have been told to stop by other means (engine_stop). */
void pool_stop(struct thread_pool *w);
void pool_free(struct thread_pool *w);

#endif
