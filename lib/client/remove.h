/*
 * The steps of rmdir at the API, shared by remove.c, which says when they are taken, and
 * remove_steps.c. All but removal_note and removal_next block; unlocked. job->local is
 * there.
 */
#ifndef GB_REMOVE_H
#define GB_REMOVE_H

#include "jobs/job.h"

/* In memory: how far it is, and since when. */
void removal_note(struct gb_job *job, enum removal stage);
enum removal_step removal_next(struct gb_job *job);
/* Whether this key may take the next step; looks for the job first if nobody knows which
 * key made it. 0 and the step, or a negative errno. */
int removal_choose(struct gb_job *job, struct canceller *cancel,
	struct provider_error *err, enum removal_step *ret);
/* -EACCES, and `error` says that the job was made with another key. */
int removal_other_key(struct gb_job *job, struct provider_error *err);
/* -ENOENT: the API does not know the job, and that proves nothing (yet). */
int removal_cancel(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
int removal_delete(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
/* It is deleted, or given up: journal and history. */
int removal_note_deleted(struct gb_job *job, const char *event);
/* Choose and take the first. */
int removal_first(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
/* Whether it has ended by now. */
void removal_look(struct gb_job *job);

/* ---- remove.c, for the rest of the client -------------------------------------------- */

/* Its state. NULL without memory. */
struct removals *removals_new(void);
void removals_free(struct removals *r);

/* At a start, of a job whose removal was begun. */
void remove_recover(struct gb_job *job);
/* client.lock held: whether `forget` fits: rmdir cannot finish, or not with this key. */
bool remove_may_forget(const struct gb_job *job);
/* unlocked: what job_drop_twin dropped, never one of ours: what is kept of it here goes, too, or it would
 * be met again at the next start. */
void remove_twin(struct gb_job *twin);
/* A submission that rmdir overtook has ended without a create: the rest of it. */
void remove_unsent(struct gb_job *job);
/* unlocked: the job has ended or gone: go on with rmdir if it waits for that, and
 * delete our uploads. */
void remove_ended(struct gb_job *job);

#endif
