/*
 * What the files of lib/jobs/parts*.c share of a directory's parts. Lock held for all.
 */
#ifndef GB_PARTS_PRIVATE_H
#define GB_PARTS_PRIVATE_H

#include "base/ranges.h"
#include "jobs/parts.h"

struct parts {
	struct gb_job **v; /* by number */
	uint32_t n, cap;
	uint32_t n_cut;    /* so many have a range of the requests, and are not late */
	bool overlap;      /* two may have the same of the requests */
	int last;          /* highest number ever given here */
	struct ranges bought, numbers; /* what the journal has: bytes, and parts */
	struct ranges lost;         /* bytes of the requests, and … */
	struct ranges lost_numbers; /* … parts, of which the records are lost */
};

/* Whether two ranges of the requests have something in common. */
static inline bool parts_meet(const struct record *r, int64_t off, int64_t len)
{
	return r->range_off < off + len && off < r->range_off + r->range_len;
}

/* It was made, or may have been. */
static inline bool parts_is_out(const struct gb_job *part)
{
	return part->batch->id || phase_is_unanswered(job_phase(part));
}

/* Whether a part with that record has a range of the requests, and is not late. */
bool parts_is_cut(const struct record *r);
/* How many bytes of the requests are the rest, and *ret_first: what parts_rest says. */
int64_t parts_rest_of(const struct gb_job *dir, struct part_range *ret_first);
/* Link a new part with the next number, the directory `lid` and what is in *r, which is
 * taken (on an error it may be, too). *ret is borrowed. -EEXIST: another part has some
 * of its range. */
_must_check_ int parts_add(
	struct gb_job *dir, const char *lid, struct record *r, struct gb_job **ret);
/* Unlocked: part may go, which is one half of another. Its own halves are of that from
 * here on, durably before the part goes, so that they find a late job of it
 * (parts_late_has). */
void parts_hand_on(struct gb_job *part);
/* At start, once all are linked: whether two have the same; of what was bought there is
 * no record. */
void parts_find_overlap(struct gb_job *dir);
_must_check_ int parts_find_lost(struct gb_job *dir);
/* Room for one more, and so for what is lost. -ENOMEM. */
_must_check_ int parts_reserve(struct gb_job *dir);

#endif
