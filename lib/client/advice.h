/*
 * `warnings` of a job: those from before the submission, and those from the results.
 */
#ifndef GB_CLIENT_ADVICE_H
#define GB_CLIENT_ADVICE_H

#include "jobs/job.h"

/* Lock held: whether there is anything. */
bool advice_has(const struct gb_job *job);

#endif
