/*
 * Whether the results that were saved are all there is.
 */
#ifndef GB_COMPLETE_H
#define GB_COMPLETE_H

#include "jobs/job.h"

/* All about results that are saved. client.lock held: they have fewer lines than
 * the API counts; and it is not yet sure that there are no more; and it is time to look. */
bool whole_is_short(const struct gb_job *job);
bool whole_in_doubt(const struct gb_job *job);
bool whole_look_due(const struct gb_job *job);
/* client.lock held. The line of `warnings` about that, malloc'ed; NULL: none. */
char *whole_warning(const struct gb_job *job);
/* Unlocked, on a worker. Just sealed: how many lines they have; whole_judged when that is
 * written down. -EAGAIN: those in the cache are not all, and were dropped. */
int whole_judge(struct gb_job *job, struct gb_results *r, bool home);
void whole_judged(struct gb_job *job);
/* The same: ask the API for more of them. */
int whole_look(struct gb_job *job);

#endif
