/*
 * What is known of the parts of a directory when an index is made over all of them, and
 * whether that has changed since.
 */
#ifndef GB_ANSWERS_KNOWN_PARTS_H
#define GB_ANSWERS_KNOWN_PARTS_H

#include "answers/index.h"
#include "jobs/job.h"

struct asking_part {
	struct gb_job *job;
	uint32_t number;
};

struct known_parts {
	uint64_t print;
	struct answers_part *ended; /* by number; results are measured by known_parts_measure */
	uint32_t n_ended;
	struct asking_part *asking; /* of later rounds, and not ended */
	uint32_t n_asking;
	struct span *open;          /* ranges of those of round 0 that have not ended */
	uint32_t n_open;
	bool dropped;               /* what no part has is not bought any more … */
	bool lost;                  /* … though some of it may have been */
	bool cancelled;             /* somebody asked for that */
};

/* Lock held: a number that is another one when something of this has changed. */
uint64_t known_parts_print(struct gb_job *dir);
/* Lock held: whether an index can be made; whether the index that there is is of what
 * is known now. */
bool known_parts_can(struct gb_job *dir);
bool known_parts_fit(struct gb_job *dir);
/* Lock held: whether any has results that are saved. */
bool known_parts_have(struct gb_job *dir);
/* Lock held: whether the output of this part, or of any, is not saved but can be. */
bool known_parts_lacks(struct gb_job *part);
bool known_parts_lack(struct gb_job *dir);

/* Unlocked; known_parts_clear is due in any case. */
_must_check_ int known_parts_take(struct gb_job *dir, struct known_parts *ret);
void known_parts_clear(struct known_parts *k);
/* The part with this number, which lives as long as dir; NULL: there is none. */
struct gb_job *known_parts_job(struct gb_job *dir, uint32_t number);
/* Blocking: sizes and times of results. Those that are not there are left out. */
void known_parts_measure(struct gb_job *dir, struct known_parts *k);

#endif
