/*
 * What fits into a model's queue at the API.
 *
 * A 429 for quota says neither how much is too much nor for how long. If it comes while
 * nothing of that model is unfinished in the whole project, a job of that size can never
 * be taken: it is made smaller (parts_send.h). That conclusion wants a list that is fresh
 * and shows nothing; other people's jobs count; and unless the reply names the queue, no
 * job of ours was made in the last ten minutes, over which money is limited, too.
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
/* Worker: whether the 429 in s->err means that so much is never taken, and half of it may
 * be; this is remembered, and in s->too_large. */
bool submission_too_large(struct submission *s);
/* Lock held: jobs of the project that have not ended. */
unsigned fit_unfinished(struct gb_client *c);
/* Lines of .batchfs/status. */
void fit_status(struct gb_client *c, FILE *out);

#endif
