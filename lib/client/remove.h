/*
 * rmdir, in steps that are journalled first: cancel, wait for the end, DELETE, then
 * the local data. remove.c decides when a step is taken, remove_steps.c takes it;
 * remove_draft.c removes what was not sent. What may be done next is
 * knowledge_removal's to say.
 *
 * In order: gb_remove, or remove_recover after a start, notes the intent
 * (removal_note); removal_choose and removal_first take the first step; remove_ended
 * continues when the job has ended.
 *
 * The steps block, except removal_note and removal_next; unlocked. job->dir must
 * exist. Errors are negative errno.
 */
#ifndef GB_REMOVE_H
#define GB_REMOVE_H

#include "jobs/job.h"

/* Note in memory how far the removal is, and since when. */
void removal_note(struct gb_job *job, enum removal stage);
enum removal_step removal_next(struct gb_job *job);
/* Whether this key may take the next step. Looks for the job first if it is unknown
 * which key made it. 0 and the step, or a negative errno. */
int removal_choose(struct gb_job *job, struct canceller *cancel,
	struct provider_error *err, enum removal_step *ret);
/* -EACCES, and `error` says that the job was made with another key. */
int removal_other_key(struct gb_job *job, struct provider_error *err);
/* -ENOENT: the API does not know the job, and that proves nothing (yet). */
int removal_cancel(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
int removal_delete(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
/* The job is deleted, or given up: write journal and history. */
int removal_note_deleted(struct gb_job *job, const char *event);
/* Choose the first step and take it. */
int removal_first(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
/* Say in `error` why the first step was not taken, or that nobody knows. */
void removal_tell(struct gb_job *job, int ret, const struct provider_error *err);
/* Whether the job has ended by now. */
void removal_look(struct gb_job *job);

/* ---- remove_draft.c -------------------------------------------------------------- */

/* A draft. It has left the tree already, so nobody begins to submit it. */
int remove_draft(struct gb_job *job);
/* Queued work that is being tried: now that the removal is noted no create is intended
 * any more (create.c looks under the same lock), and its task ends soon. */
int remove_draft_queued(struct gb_job *job);

/* ---- remove.c, for remove_draft.c ------------------------------------------------ */

/* Out of the tree; its name is free again. */
void remove_hide(struct gb_job *job);
/* Put it into the tree again, under its name if no other job has it now. The name that
 * it gets is also the one after the next start. */
void remove_show(struct gb_job *job);
/* Note that its id is gone, and move the local data to the trash, or delete them. */
int remove_forget_job(struct gb_job *job);

/* ---- remove.c, for remove_parts.c ------------------------------------------------ */

/* unlocked: whether rmdir was refused because the job was made with another key. */
bool remove_has_other_key(struct gb_job *job);

/* Go on with a removal after so many seconds, or when the task at work on it is
 * done. */
void remove_later(struct gb_job *job, double delay);
/* Lock held: a removal is intended, in memory. The caller owns it until removal_leave, so
 * that nobody takes a step of it before the intent is on disk, or after it was given
 * up. */
void removal_intend(struct gb_job *job);
/* delay: when to go on, in seconds; negative: not unless somebody asked meanwhile. */
void removal_leave(struct gb_job *job, double delay);
/* How long rmdir waits for the API. */
double remove_patience(void);
/* Lock held: with rmdir=ended. */
bool remove_may_go(const struct gb_job *job);

/* ---- forget.c -------------------------------------------------------------------- */

/* A person wants it removed, whatever this key can see; of a directory all parts. */
void remove_insist(struct gb_job *job, bool yes);
/* Lock held: whether `forget` is possible, because rmdir cannot finish, or not
 * with this key. */
bool remove_may_forget(struct gb_job *job);

/* ---- remove_parts.c -------------------------------------------------------------- */

/* gb_remove, of a directory that has several parts. */
int remove_parts(struct gb_job *dir, struct gb_waiter *w);
/* Whether there are any, other than its own batch. */
bool remove_has_parts(struct gb_job *dir);
/* Begin the removal of those where it was not begun. Each then goes on by itself, and
 * remove_part_gone lets the directory go on. */
void remove_parts_on(struct gb_job *dir);
void remove_part_gone(struct gb_job *part);
/* Whether somebody may still open results of parts of its directory: until
 * remove_parts_unread the local copies stay where they are. */
bool remove_is_read(struct gb_job *job);
void remove_parts_unread(struct gb_job *dir);
/* The part was refused: the directory is in the tree again. */
void remove_directory_back(struct gb_job *dir, struct gb_job *part, const char *why);

/* ---- remove.c, for the rest of the client ---------------------------------------- */

/* Its state. NULL without memory. */
struct removals *removals_new(void);
void removals_free(struct removals *r);

/* At start: go on with a removal that was begun. */
void remove_recover(struct gb_job *job);
/* unlocked: for a job that job_drop_twin dropped, never one of ours: remove its local
 * data too, or the next start would find it again. */
void remove_twin(struct gb_job *twin);
/* Finish the removal of a job whose submission ended without a create after rmdir. */
void remove_unsent(struct gb_job *job);
/* unlocked: the job has ended or gone: go on with rmdir if it waits for that, and
 * delete our uploads. */
void remove_ended(struct gb_job *job);

#endif
