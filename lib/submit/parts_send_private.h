/* What parts_send.c (parts are made and sent), parts_stop.c (what was asked for is not
 * wanted any more, or is again; a start) share. "Lock held" unless a comment says
 * "unlocked". */
#ifndef GB_PARTS_SEND_PRIVATE_H
#define GB_PARTS_SEND_PRIVATE_H

#include "jobs/parts.h"

/* It was never intended, or that was taken back. */
static inline bool part_is_unsent(const struct gb_job *part)
{
	return !part->batch->id && !phase_is_unanswered(job_phase(part));
}

/* It has a range of its directory's requests. */
static inline bool part_is_cut(const struct gb_job *part)
{
	return part->parent && !part->dir->rec.round;
}

/* Of the directory's requests: how many parts were intended, for all that is known; whether one
 * is unsent, as one that waits to be sent again is, too. */
struct tally {
	unsigned intended;
	bool unsent;
	const struct gb_job *first;
};
struct tally parts_tally(struct gb_job *dir);

/* Nobody wants what no part has; the part: to be bought any more, unless a person asks for it by
 * itself (resubmit). */
bool parts_rest_is_unwanted(const struct gb_job *dir);
bool part_is_stopped(const struct gb_job *part);
bool part_is_unwanted(struct gb_job *part);

/* Unlocked. As parts_unmake; but one with an intent that was put by, whose job may turn up, is
 * uncertain again, as it was before it was to be sent again: -EBUSY. */
_must_check_ int part_unmake(struct gb_job *part);
/* Unlocked. Remove parts that were not intended: those with a range of the requests; those that
 * nobody wants; both. */
enum unmake { UNMAKE_CUT, UNMAKE_UNWANTED, UNMAKE_ALL };
void parts_unmake_unsent(struct gb_job *dir, enum unmake which);

#endif
