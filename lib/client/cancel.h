/* The verb `cancel`. */
#ifndef GB_CANCEL_H
#define GB_CANCEL_H

#include "jobs/job.h"

/* Lock held: whether it fits. */
bool cancel_fits(struct gb_job *job);
/* Unlocked, blocks: have the API cancel one job, once it is durable that this was asked
 * for. */
_must_check_ int cancel_now(struct gb_job *job, struct canceller *cancel);
/* cancel_parts.c: gb_cancel, of a directory that has several parts. */
int cancel_parts(struct gb_job *dir, struct gb_waiter *w);

#endif
