/*
 * The one results object of a job, and where its file lies: the job's directory or the cache.
 */
#ifndef GB_OPEN_H
#define GB_OPEN_H

#include "jobs/job.h"

/* client.lock held: whether the output lies, or will, in the job's own directory.
 * What is whole in the cache is there until a fetch has moved it. */
bool output_is_at_home(const struct gb_job *job);
/* Unlocked: the job's one object for its output; a new reference. */
int output_of(struct gb_job *job, struct gb_results **ret);
/* Unlocked: if nobody reads, fetches or seals, the descriptor can go. */
void output_rest(struct gb_job *job);

#endif
