/* What a start finds on disk (load.c). */
#ifndef GB_LOAD_H
#define GB_LOAD_H

#include "jobs/job.h"

/* Fill the client's table with the jobs that are saved here, and with what else is
 * known of jobs. There must be no other thread yet. On error *ret_why says which file
 * could not be read, if it is known; malloc'ed. */
_must_check_ int load_jobs(struct gb_client *c, char **ret_why);

#endif
