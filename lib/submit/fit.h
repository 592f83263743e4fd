/*
 * What fits into a model's queue at the API.
 *
 * A 429 for quota says neither how much is too much nor, mostly, of what. If it comes while
 * nothing of that model is unfinished in the whole project, a job of that size can never be
 * taken: it is made smaller (parts_send.h). That conclusion wants a list that is fresh and
 * shows nothing; other people's jobs count.
 *
 * What else may be why is sat out first, a few times: money, a time that the reply names, a
 * job that may be of that model (nobody knows which name is behind an alias before one was
 * sent) or may be there. After that it is made smaller all the same, so that every refusal
 * leads on: only one that names calls a minute is never about a size.
 *
 * While something was bought in the last ten minutes, over which money is limited, what
 * a refusal says is in doubt: it is made smaller, but this is believed for ten minutes
 * only, and not written down, unless more was taken meanwhile than was refused.
 *
 * What was taken and what could never fit is remembered for each model in STATE/sizes
 * (store/model_sizes.h), in bytes of requests, so that the next directory begins with a
 * size that fits. Quotas grow: an hour after a refusal somewhat more is tried again, and
 * after three days it is not believed any more.
 */
#ifndef GB_FIT_H
#define GB_FIT_H

#include "submit/submit.h"

/* All of a client. NULL without memory. */
struct fits *fits_new(void);
void fits_free(struct fits *f);
/* At start. */
_must_check_ int fits_load(struct gb_client *c);

/* Lock held: bytes that a job of job's model may have; INT64_MAX: nothing is known. */
int64_t fit_most(const struct gb_job *job);
/* Unlocked: the API took a job of ours. */
void fit_taken(struct submission *s);
/* Worker: whether the 429 in s->err means that so much is never taken, and less may be;
 * this is remembered, and in s->too_large. */
bool submission_too_large(struct submission *s);
/* Lock held: jobs of the project that have not ended; and those among them, but job itself,
 * that are known to be of its model. */
unsigned fit_same_model(const struct gb_job *job);
unsigned fit_unfinished(struct gb_client *c);
/* Lock held: whether a job of job's model was taken in so many seconds. */
bool fit_moves(const struct gb_job *job, double span);
/* Lines of .batchfs/status. */
void fit_status(struct gb_client *c, FILE *out);

#endif
