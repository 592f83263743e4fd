/*
 * Asking again, in the same directory, what retry.jsonl lists: by the verb `retry`, and,
 * where the directory was submitted with gb_options.retries or gb_terms, without a person.
 *
 * One such request is a round: further parts (jobs/parts.h), whose requests are copied
 * out of retry.jsonl into their own directories first, cut where one job may not have as
 * many. Until all of that is durable none of the parts counts; then the directory's
 * journal counts the round, and with that the parts are queued (submit/queue.h) and go
 * the way of all parts. Whatever a crash leaves, a round is asked for as a whole or not
 * at all, and each of its parts is bought once.
 *
 * Without a person: when all has ended, the results are saved and their index made, a
 * timer begins (30 s; twice as long after each round, up to an hour). How many rounds are
 * left is in the journal (`retries_left`), counted down with the round itself; also for
 * one that could not be made. It is 0 once nothing is left to ask, and after cancel.
 */
#ifndef GB_RETRY_H
#define GB_RETRY_H

#include "jobs/job.h"

/* Lock held: whether the verb fits, as far as is known without reading the index. */
bool retry_fits(struct gb_job *dir);
/* Hooks (jobs/hooks.h). Lock held: all has ended, and a round is due or may be. */
bool retry_goes_on(struct gb_job *dir);
/* Unlocked, any thread: see whether one is due. */
void retry_consider(struct gb_job *dir);
/* No further round without a person: durably. -EBUSY: none was due. */
_must_check_ int retry_stop(struct gb_job *dir);

#endif
