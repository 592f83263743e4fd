/*
 * Making the index of a job's answers, or of all parts of a directory: blocking, on a
 * worker. It is loaded if it is on disk and of these results, else made and written.
 */
#ifndef GB_ANSWERS_MAKE_H
#define GB_ANSWERS_MAKE_H

#include "answers/index.h"
#include "jobs/job.h"

/* make.c: into job->batch->answers. -EAGAIN: the cache has lost the results. */
int answers_make_one(struct gb_job *job);
/* make_all.c: into dir->merged. */
int answers_make_all(struct gb_job *dir);

/* Shared by both. */
/* answers.c: set when the client is being closed. */
const atomic_bool *answers_hurrying(const struct gb_client *c);
/* The names of the properties in schema.json; "" where there is no table. */
_must_check_ int answers_properties(struct gb_job *job, struct answers_input *in,
	char **ret_properties);
/* Write *a to name in dir, and use it as it is mapped from there. It is used anyway where
 * that fails. */
void answers_keep(struct gb_job *job, int dir, const char *name, struct answers **a);
/* Fill in what the index does not keep. cancelled: somebody asked for that. */
void answers_finish(struct gb_job *job, struct answers *a, bool cancelled);
/* Write what an own job has used to the ledger, once; price: an index of results by the
 * same model. */
void answers_log_tokens(
	struct gb_job *job, const int64_t tokens[TOKENS_N], const struct answers *price);

#endif
