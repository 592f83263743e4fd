/*
 * The steps of rmdir at the API, shared by remove.c, which says when they are taken, and
 * remove_steps.c. All but removal_note and removal_next block; unlocked. job->local is
 * there.
 */
#ifndef GB_REMOVE_H
#define GB_REMOVE_H

#include "jobs/client.h"

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

#endif
