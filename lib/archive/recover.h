/*
 * Which results a start finds, and those whose map is damaged.
 */
#ifndef GB_RECOVER_H
#define GB_RECOVER_H

#include "archive/tally.h"
#include "jobs/job.h"

/* At start: find out which results are saved, or complete in the cache. Negative: that
 * is impossible now. */
_must_check_ int recover_results(struct gb_job *job);
_must_check_ int recover_cache(struct gb_client *c);
/* unlocked: whether r, downloaded again beside the saved copy, may replace it;
 * -ENODATA: it is a different output than the saved one. On a worker. */
int recover_may_replace(struct gb_job *job, struct gb_results *r);
/* The same of inline output of that size and tally; less: the API counts more lines. dir:
 * the job's. */
int recover_may_replace_by(
	struct gb_job *job, int dir, int64_t size, const struct tally *t, bool less);
/* unlocked: the download failed with err. Accept the saved copy if the API does not
 * have the output any more and the copy is complete; else return err. On a worker. */
int recover_take_kept(struct gb_job *job, int err);

#endif
