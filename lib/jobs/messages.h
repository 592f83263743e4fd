/*
 * What `error` says about a failed submission: what happened, and what to do.
 */
#ifndef GB_MESSAGES_H
#define GB_MESSAGES_H

#include "jobs/job.h"

/* Write `error` for a failure err with the API's own text (or NULL). */
void message_tell(struct gb_job *job, int err, const char *text);
/* The same of a submission that was given up: interrupted, stopped, or at the end. */
struct operation;
void message_tell_left(struct operation *t);

#endif
