/*
 * resubmit=HOURS: what is sent again without a person.
 */
#ifndef GB_RESUBMIT_H
#define GB_RESUBMIT_H

#include "jobs/job.h"

/* resubmit.c, unlocked: a list has been read. */
void resubmit_after_list(struct gb_client *c);
/* Lock held: a job that a list names and that may be one whose answer was lost. */
void resubmit_saw(struct gb_client *c, const struct remote_batch *b);

#endif
