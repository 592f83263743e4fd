/*
 * What users read in place of results.jsonl: answers.tsv, answers.csv, responses/,
 * retry.jsonl, usage, vectors.npy. None of them exists on disk: they are read from the
 * results through an index (index.h), which a worker makes once.
 *
 * In order: answers_results_saved (the results are saved) or the first reader has the
 * index made; gb_answers_open returns a handle that keeps index and results;
 * gb_answers_read renders a range of a file; gb_answers_close. answers_forget when
 * other results take their place.
 *
 * Ownership: a job holds a reference to its index, each handle another. Unlocked,
 * except where a comment says otherwise; nothing here waits for the network. Errors
 * are negative errno.
 */
#ifndef GB_ANSWERS_H
#define GB_ANSWERS_H

#include "jobs/job.h"

/* Its state. NULL without memory. */
struct answers_cache *answers_cache_new(void);
void answers_cache_free(struct answers_cache *a);
/* Any thread: the client is being closed, and work that only reads local files
 * stops. */
void answers_hurry(struct gb_client *c);

/* Lock held: fill in what gb_job_info says about answers; of one part alone. */
void answers_info(struct gb_job *job, struct gb_info *i);
void answers_part_info(struct gb_job *job, struct gb_info *i);
/* Lock held: the index that gb_job_… shows: of all parts, or of the job's own results; NULL:
 * it is not there. */
struct answers *answers_shown(const struct gb_job *job);
/* wanted.c: an index is wanted, of all parts or of the job's own results: 0: it is there;
 * -EINPROGRESS: w is told when it was made (0: look again), or could not be; -ENOENT: there
 * is nothing to make it of. w may be NULL. */
int answers_want(struct gb_job *job, bool all, struct gb_waiter *w);
/* The results are saved, or complete in the cache: make their index in the background, once
 * nobody reads them, unless nobody asked for more than to read them. */
void answers_results_saved(struct gb_job *job);
/* The loaded index is useless now: the job has been removed, or has other results. */
void answers_forget(struct gb_job *job);
/* The client is being closed. */
void answers_close(struct gb_client *c);

/* after_end.c; lock held: move those who need not wait any longer to `to`. */
void after_end_look(struct gb_job *job, struct gb_waitq *to);

#endif
