/*
 * Binding a submission of ours to the id of its job, whichever module learns the id
 * first.
 */
#ifndef GB_BIND_H
#define GB_BIND_H

#include "jobs/job.h"

/* Write the id of the API's job for a submission of ours to the journal. Unlocked. */
_must_check_ int bind_batch(struct gb_job *job, const struct remote_batch *b);

#endif
