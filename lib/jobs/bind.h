/*
 * A submission of ours gets the id of its job, whoever learns it first.
 */
#ifndef GB_BIND_H
#define GB_BIND_H

#include "jobs/job.h"

/* The API's job of a submission of ours: journal it. Unlocked. */
_must_check_ int submit_known(struct gb_job *job, const struct remote_batch *b);

#endif
