/* The verb `cancel`. */
#ifndef GB_CANCEL_H
#define GB_CANCEL_H

#include "jobs/job.h"

/* Lock held: whether it fits. */
bool cancel_fits(const struct gb_job *job);

#endif
