/*
 * What `error` says about a failed submission: what happened, and what to do.
 */
#ifndef GB_MESSAGES_H
#define GB_MESSAGES_H

#include "jobs/job.h"

/* Write `error` for a failure err, with a text of its own (or NULL). by_api: it is what a
 * call of the API came to; else something on this machine. */
void message_tell(struct gb_job *job, int err, bool by_api, const char *text);
/* The same of a submission that was given up: interrupted, stopped, or at the end. */
struct operation;
void message_tell_left(struct operation *t);

#endif
