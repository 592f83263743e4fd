/*
 * Creates whose answer never came: whose a job of the API may be (reconcile.c), and looking for
 * it (reconcile_look.c).
 */
#ifndef GB_SETTLE_H
#define GB_SETTLE_H

#include "jobs/job.h"

enum { SETTLE_CLOCK_SLACK = 120 /* the server's clock is known to so many seconds */ };

/* client.lock held: whether looking is over. */
bool settle_time_over(const struct record *r, struct engine *e);
/* Unlocked: nothing can tell; candidates: ids, one a line, or "". */
void settle_uncertain(struct gb_job *job, const char *candidates);

/* All looks of a client. NULL without memory. */
struct settling *settling_new(void);
void settling_free(struct settling *s);

/* reconcile_look.c: the answer of a create never came. Wait for a look, which others share:
 * 0 the job was found and is journalled; -EAGAIN not (yet), or the look failed;
 * -ECANCELED. */
int settle_once(struct gb_job *job, struct canceller *cancel);
/* Go on looking behind until the time is over, then SUBMIT_UNCERTAIN. */
void settle_later(struct gb_job *job);
/* client.lock held: the submission of ours that file was uploaded for; NULL. */
struct gb_job *settle_owner(struct gb_client *c, const char *file);
/* client.lock held: may this job, of which we do not know the input file, be the one
 * that a lost create made? listed: its own resource may name the file; else it has
 * none. */
bool settle_may_be_ours(struct gb_client *c, const struct remote_batch *b, bool listed);
/* Lock held: what b may be is not sent again by itself before `until`. */
void settle_doubt(struct gb_client *c, const struct remote_batch *b, double until);

#endif
