/*
 * resubmit=HOURS: submitting uncertain jobs again without a person.
 */
#ifndef GB_RESUBMIT_H
#define GB_RESUBMIT_H

#include "jobs/job.h"

/* unlocked: a list has been read. */
void resubmit_after_list(struct gb_client *c);
/* Lock held: a list names a job that may be one whose create was not answered. */
void resubmit_saw(struct gb_client *c, const struct remote_batch *b);

#endif
