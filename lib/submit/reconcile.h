/*
 * Creates that were never answered: to whom a job at the API may belong (reconcile.c),
 * looking for such jobs (reconcile_look.c), and what is done with one (turned_up.c).
 */
#ifndef GB_SETTLE_H
#define GB_SETTLE_H

#include "jobs/job.h"

enum { SETTLE_CLOCK_SLACK = 120 /* accuracy in seconds to which the server's clock is
                                   known */ };

/* Lock held: whether the time for looking is over. */
bool reconcile_time_over(const struct record *r, const struct provider_conn *api);
/* Unlocked: it stays unknown whether there is a job; candidates: ids, one per line, or
 * "". */
void reconcile_uncertain(struct gb_job *job, const char *candidates);

/* All looks of a client. NULL without memory. */
struct reconciling *reconciling_new(void);
void reconciling_free(struct reconciling *s);

/* reconcile_look.c: a create was never answered. Wait for a look, which others share: 0
 * the job was found and is journalled; -EAGAIN not found (yet), or the look failed;
 * -ECANCELED. */
int reconcile_once(struct gb_job *job, struct canceller *cancel);
/* Go on looking in the background until the time is over; then SUBMIT_UNCERTAIN. */
void reconcile_later(struct gb_job *job);
/* At a start, when all journals have been made whole: from now on looks may begin, and what
 * was put off until then does. */
void reconcile_open(struct gb_client *c);
/* Lock held: whose create, which was not answered, file was uploaded for; or NULL. */
struct gb_job *reconcile_owner(struct gb_client *c, const char *file);
/* Unlocked: b is the job of that create: it is owner's, or, where another was made for the same
 * requests meanwhile, a late part of its directory. -EBUSY: not now, as another is being
 * created; the next list has it, too. */
int reconcile_found(struct gb_job *owner, const struct remote_batch *b);
/* Hook: a submission was bound to its job. That of a late part is told. */
void reconcile_bound(struct gb_job *job);
/* Lock held: whether this job, whose input file is unknown, may be the one that
 * a lost create made. listed: its own resource may name the file; else it has none. */
bool reconcile_may_be_ours(
	struct gb_client *c, const struct remote_batch *b, bool listed);
/* Lock held: a submission that b may belong to is not repeated automatically before
 * `until`. */
void reconcile_doubt(struct gb_client *c, const struct remote_batch *b, double until);

#endif
