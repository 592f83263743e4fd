/*
 * Worker threads for what blocks: the disk and the blocking calls of an API.
 *
 * There are two lanes, so that a quick step never waits for a long one: transfers and
 * whole submissions go to WORK_LONG, single calls and disk work to WORK_SHORT. Threads
 * start when there is work and end when there has been none for a while.
 */
#ifndef GB_WORK_H
#define GB_WORK_H

#include "base/util.h"

struct work;

enum work_lane { WORK_SHORT, WORK_LONG, WORK_LANES };

struct work *work_new(void);
/* Queue fn(arg). -ECANCELED once work_stop has begun, and then fn is never called;
 * -ENOMEM. Any thread. */
_must_check_ int work_add(struct work *w, enum work_lane lane, void (*fn)(void *arg), void *arg);
/* Refuse new work, run what is queued, wait until everything is done. Running work must
 * have been told to stop by other means (engine_stop). */
void work_stop(struct work *w);
void work_free(struct work *w);

#endif
