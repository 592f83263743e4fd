/*
 * What `error` says about a failed submission: what happened, and what to do.
 */
#ifndef GB_MESSAGES_H
#define GB_MESSAGES_H

#include "jobs/job.h"

/* Write `error` for a failure err with the API's own text (or NULL). */
void submit_tell(struct gb_job *job, int err, const char *text);

#endif
