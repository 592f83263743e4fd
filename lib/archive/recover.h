/*
 * Which results a start finds, and those whose map is damaged.
 */
#ifndef GB_RECOVER_H
#define GB_RECOVER_H

#include "jobs/job.h"

/* At start: which results are at home or whole in the cache. Negative: that
 * cannot be told now. */
_must_check_ int home_look(struct gb_job *job);
_must_check_ int home_look_cache(struct gb_client *c);
/* unlocked: whether r, downloaded anew beside what is kept, may take its place; -ENODATA:
 * it is another output than came home. On a worker. */
int home_may_replace(struct gb_job *job, struct gb_results *r);
/* unlocked: the download failed with err: what is kept is taken, if the API does not have
 * the output any more and it is whole; else err. On a worker. */
int home_take_kept(struct gb_job *job, int err);

#endif
