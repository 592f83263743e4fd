/*
 * The one results object of a job, and where its file is: in the job's directory or in
 * the cache.
 */
#ifndef GB_OPEN_H
#define GB_OPEN_H

#include "jobs/job.h"

/* Lock held: whether the output is, or will be, in the job's own directory. A
 * complete file in the cache stays there until a fetch moves it. */
bool output_is_local(const struct gb_job *job);
/* Unlocked: the job's results object; a new reference. */
int output_of(struct gb_job *job, struct gb_results **ret);
/* Unlocked: close the descriptor if nobody reads, fetches or seals. */
void output_rest(struct gb_job *job);

#endif
