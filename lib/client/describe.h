/*
 * What is told of a job (describe.c), and of a directory by all of its parts
 * (describe_parts.c, which has gb_job_info and its like).
 */
#ifndef GB_DESCRIBE_H
#define GB_DESCRIBE_H

#include "jobs/job.h"

/* Lock held. Of the job's own batch alone. */
void describe_one(struct gb_job *job, struct gb_info *ret);
const char *describe_state(const struct gb_job *job);
bool describe_has_error(struct gb_job *job);
/* Whether its directory tells of that: not of what other parts have made good. */
bool describe_is_wrong(struct gb_job *job);
/* Lock not held: what `error` of the job's own batch says, or its directory of it; NULL:
 * nothing. */
char *describe_error(struct gb_job *job, bool by_directory);
/* Whether that is because what came of it is not here, or not all. */
bool describe_lacks_results(struct gb_job *job);

#endif
