/*
 * What a job will cost, before it does: `estimate`, and the limits max_tokens and max_cost.
 *
 * The number comes from a sample (estimate_count.c), is kept in the journal until the
 * draft changes, and is shown by `stats`. With a limit set, every submission makes an
 * estimate before anything is uploaded; queued work and resubmit take the one that was
 * made for the same requests. A limit guards money: what cannot be checked is not sent.
 */
#ifndef GB_ESTIMATE_H
#define GB_ESTIMATE_H

#include "submit/submit.h"

/* The step. -EDQUOT: above a limit; other: it could not be checked. Without a limit
 * nothing is asked. */
int submission_estimate(struct submission *s);
/* Before a submission is on disk: forget an estimate that is to be made anew. Lock held. */
void submission_estimate_begin(struct submission *s);

/* task.run of `estimate`: of a draft with requests.jsonl, of a composed one, and of a job
 * that was submitted. */
int estimate_run(struct operation *t);
int estimate_composed_run(struct operation *t);
int estimate_sent_run(struct operation *t);

#endif
