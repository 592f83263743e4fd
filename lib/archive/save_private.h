/* What save.c, save_next.c and seal.c share: the state of saving for a client, and the
 * sealing of what is complete. */
#ifndef GB_SAVE_PRIVATE_H
#define GB_SAVE_PRIVATE_H

#include "archive/save.h"

/* All under client.lock. */
struct saver {
	unsigned fetches_running;
	double fetch_at; /* save_next is planned for this time; 0: it is not */
	bool rest_timer; /* a look at waiting seals is planned */
	bool disk_low;
};

#define INLINE_FILE "results.tmp" /* inline output of one reply */
/* On a worker: request inline output, and take it if it is better than what there is.
 * -ENOENT: the reply had none. */
_must_check_ int save_inline(struct gb_job *job);
/* On a worker: make r durable, check that it is complete, and note it. */
_must_check_ int seal_results(struct gb_job *job, struct gb_results *r, bool home);
/* Lock held: whether the caller is to call seal_start, because no seal is under way. */
bool seal_begin(struct gb_job *job);
/* Unlocked: seal_begin said so. */
void seal_start(struct gb_job *job);
/* Lock held: seal it when nobody has read for a moment. */
void seal_plan(struct gb_job *job);

#endif
