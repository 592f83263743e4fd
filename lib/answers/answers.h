/*
 * The index of what came back: when it is made, who waits for it. Unlocked, but for answers_info.
 */
#ifndef GB_ANSWERS_H
#define GB_ANSWERS_H

#include "jobs/job.h"

/* Its state. NULL without memory. */
struct answers_cache *answers_cache_new(void);
void answers_cache_free(struct answers_cache *a);
/* Any thread: what only reads local files gives up; the client is being closed. */
void answers_hurry(struct gb_client *c);

/* client.lock held: what gb_job_info says of answers. */
void answers_info(struct gb_job *job, struct gb_info *i);
/* Results have come home or are whole in the cache: make their index behind. */
void answers_come_home(struct gb_job *job);
/* What is loaded is of no use any more: the job has been removed, or has other results. */
void answers_forget(struct gb_job *job);
/* The client is being closed. */
void answers_close(struct gb_client *c);

/* after_end.c; client.lock held: who need wait no longer to `to`. */
void after_end_look(struct gb_job *job, struct gb_waitq *to);

#endif
