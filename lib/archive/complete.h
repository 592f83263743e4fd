/*
 * Whether the saved results are complete.
 */
#ifndef GB_COMPLETE_H
#define GB_COMPLETE_H

#include "archive/tally.h"
#include "jobs/job.h"

/* All are about saved results. Lock held: whether they have fewer lines than the
 * API counts; and whether there may still be more; and whether it is time to look. */
bool complete_is_short(const struct gb_job *job);
bool complete_in_doubt(const struct gb_job *job);
bool complete_look_due(const struct gb_job *job);
/* Lock held. The line of `warnings` about that, malloc'ed; NULL: none. */
char *complete_warning(const struct gb_job *job);
/* Unlocked, on a worker. Just sealed: count their lines; complete_judged when the count is
 * written down. -EAGAIN: those in the cache were incomplete, and better ones took their
 * place. */
int complete_judge(struct gb_job *job, struct gb_results *r, bool home);
void complete_judged(struct gb_job *job);
/* The same: inline output of that size and tally is in INLINE_FILE of dir. Save it, unless
 * the saved copy is as good. -ENODATA: one whose map is damaged is the better one. */
_must_check_ int complete_take_inline(
	struct gb_job *job, int dir, int64_t size, const struct tally *t);
/* The same: request more of them from the API. */
int complete_look(struct gb_job *job);

#endif
