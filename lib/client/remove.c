/*
 * rmdir: a draft is removed at once; a job at the API in steps, each journalled before
 * the next, and resumed at the next start:
 *
 *   REMOVAL_INTENDED   on disk before the first call
 *   cancel             if the job has not ended: deleting alone leaves it running
 *   REMOVAL_CANCELLED  wait until it has ended; also of one that had
 *   delete
 *   REMOVAL_DELETED    delete our uploads, move the local copies to the trash
 *
 * rmdir waits for the first step, but no longer than ANSWER_WITHIN; then the rest goes
 * on in the background. A refusal is rmdir's answer, or brings the directory back with
 * the error.
 *
 * knowledge.c decides which step may be taken: only the key that made the job may
 * remove it, and a job that the API does not know has not necessarily ended. If such a
 * job must be cancelled first, the cancel is sent again with growing pauses, until it
 * is accepted or the job is proven to be gone. With `forget` a person overrides both:
 * what this key can reach is cancelled and deleted, the rest is removed only here.
 */
#include "submit/attachments.h"
#include "answers/answers.h"
#include "archive/save.h"
#include "client/trash.h"
#include "jobs/operation.h"
#include "jobs/parts.h"
#include "files/files.h"
#include "provider/errors.h"
#include "store/job_catalog.h"
#include "store/uploads.h"
#include "client/remove.h"
#include "client/release_uploads.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <syslog.h>

struct removals {
	unsigned running; /* client.lock; how many go on in the background now */
};

struct removals *removals_new(void)
{
	return calloc(1, sizeof(struct removals));
}

void removals_free(struct removals *r)
{
	free(r);
}

enum {
	ANSWER_WITHIN = 2,  /* seconds: the kernel holds the lock of the root meanwhile */
	LOOK_AGAIN = 5,
	END_WAIT = 120,
	MAX_REMOVALS = 4,   /* at a time: a silent API must not take all workers */
};

#define TURN 0.5 /* seconds until another look whether there is room for a removal */

static double removal_pause(void)
{
	return test_seconds("BATCHFS_TEST_REMOVAL_SECONDS", LOOK_AGAIN);
}

void remove_hide(struct gb_job *job)
{
	client_lock(job->c);
	job->in_tree = false;
	job_forget_name(job);
	client_unlock(job->c);
	job_changed(job, GB_CHANGED_TREE);
}

/* Lock held. */
static void into_tree(struct gb_job *job)
{
	if (!job->name)
		/* Without memory it gets its name again at the next start. */
		DROP(job_set_name(job, job->dir->rec.name,
			job->batch->id ? remote_id_tail(job->batch->id)
				       : job->dir->lid));
	if (job->name)
		/* Without memory the next start may give it another name. */
		DROP(counted_set(&job->dir->rec.name, job->name));
	job->in_tree = true;
}

void remove_show(struct gb_job *job)
{
	client_lock(job->c);
	job->dir->rec.removal = REMOVAL_NONE;
	job->dir->rec.removal_since = 0;
	job->dir->rec.insisted = false;
	knowledge_insisted(&job->batch->known, false);
	if (!job->parent)
		into_tree(job);
	client_unlock(job->c);
}

bool remove_has_other_key(struct gb_job *job)
{
	client_lock(job->c);
	bool other = job->dir->other_key;
	client_unlock(job->c);
	return other;
}

static void come_back(struct gb_job *job, const struct provider_error *e)
{
	remove_show(job);
	if (!remove_has_other_key(job))
		job_dir_error(job, e->err, "The API refused to delete this job.",
			"It is still there; try rmdir again later.", e->text);
	job_dir_save_soon(job);
	if (job->parent)
		remove_directory_back(job->parent, job, e->text);
	else
		job_changed(job, GB_CHANGED_TREE | GB_CHANGED_FILES);
	/* Nobody saved its results meanwhile. */
	save_consider(job);
}

/* The copies of a part go where its directory's are, which follow it. Those that
 * somebody else moved away, or that went before an error, are gone. */
static int forget_copies(struct gb_job *job)
{
	struct gb_client *c = job->c;
	const char *lid = job->dir->lid;
	int err = job->parent && c->o.trash_days
			  ? store_part_remove(c->store, lid, job->parent->dir->lid,
				    job->dir->rec.part)
			  : store_job_remove(c->store, lid, c->o.trash_days,
				    trash_clock(c));

	return err == -ENOENT && store_job_exists(c->store, lid) == 0 ? 0 : err;
}

int remove_forget_job(struct gb_job *job)
{
	struct gb_client *c = job->c;
	const char *id = job_id_now(job);

	if (id)
		DROP(catalog_add_gone(c->store, id)); /* a list has it or not */
	pthread_mutex_lock(&job->dir->disk);
	test_point("local-remove");
	int err = files_hold(job);
	if (!err)
		err = forget_copies(job);
	test_point("local-removed");
	client_lock(c);
	job->dir->forgotten = !err;
	client_unlock(c);
	pthread_mutex_unlock(&job->dir->disk);
	trash_expire(c);
	if (err && !job->dir->stay_told)
		client_log(c, LOG_WARNING, "local copies of a removed job: %s",
			strerror(-err));
	job->dir->stay_told = err;
	answers_forget(job);
	return err;
}

static bool waited_enough(struct gb_job *job)
{
	client_lock(job->c);
	double waited = record_span(job->dir->rec.removal_since);
	client_unlock(job->c);
	return waited > END_WAIT;
}

/* How far its removal is; one that the API does not have, or not any more, is deleted
 * there. */
static enum removal removal_stage(struct gb_job *job)
{
	client_lock(job->c);
	enum removal stage = job->batch->id ? (enum removal)job->dir->rec.removal
					    : REMOVAL_DELETED;
	client_unlock(job->c);
	return stage;
}

/* All that its journal is needed for comes before that goes: a start does it again.
 * -EAGAIN: the disk does not take it now; -EINPROGRESS: when nobody reads it any
 * more. */
static int finish_removal(struct gb_job *job)
{
	release_requests(job);
	attach_release(job->c, job->dir->lid, !job->c->o.trash_days);
	answers_forget(job); /* what is open only because it was read last */
	if (remove_is_read(job))
		return -EINPROGRESS;
	if (remove_forget_job(job))
		return -EAGAIN;
	if (job->parent)
		remove_part_gone(job);
	return 0;
}

/* Do the remaining steps, in the background. -EAGAIN: continue after a pause, as the
 * job has not ended, or by finish_removal; -EINPROGRESS: when nobody reads it any more;
 * -ENOENT: the API does not know it, which is no proof yet. */
static int remove_rest(struct gb_job *job, struct provider_error *err)
{
	struct canceller none = CANCELLER_INIT;
	enum removal_step step;
	int ret;

	if (remove_has_parts(job)) {
		remove_parts_on(job);
		if (remove_has_parts(job))
			return -EAGAIN;
	}
	enum removal stage = removal_stage(job);
	if (stage == REMOVAL_DELETED)
		return finish_removal(job);
	if ((ret = removal_choose(job, &none, err, &step)))
		return ret;
	if (step == REMOVE_CANCEL && stage < REMOVAL_CANCELLED &&
		(ret = removal_cancel(job, &none, err)))
		return ret;
	step = removal_next(job);
	if (step == REMOVE_CANCEL) {
		removal_look(job);
		step = removal_next(job);
		if (step == REMOVE_CANCEL && !waited_enough(job))
			return -EAGAIN;
	}
	ret = step == REMOVE_DONE ? removal_note_deleted(job, "forgotten")
				  : removal_delete(job, &none, err);
	return ret ? ret : finish_removal(job);
}

static void remove_timer(void *arg);

/* Continue after so many seconds, or when the task at work on it is done. */
void remove_later(struct gb_job *job, double delay)
{
	client_lock(job->c);
	enum removing was = job->dir->removing;
	job->dir->removing = was >= REMOVING_RUNS ? REMOVING_AGAIN : REMOVING_PLANNED;
	client_unlock(job->c);
	if (was != REMOVING_IDLE)
		return;
	gb_job_ref(job);
	if (!engine_timer(job->c->engine, delay, remove_timer, job))
		return;
	client_lock(job->c);
	job->dir->removing = REMOVING_IDLE;
	client_unlock(job->c);
	gb_job_unref(job);
}

void removal_intend(struct gb_job *job)
{
	client_expect_lock(job->c);
	job->dir->rec.removal = REMOVAL_INTENDED;
	job->dir->rec.removal_since = record_now();
	job->dir->removing = REMOVING_RUNS;
}

/* delay: when to go on, in seconds; negative: not unless somebody asked meanwhile. */
void removal_leave(struct gb_job *job, double delay)
{
	client_lock(job->c);
	if (job->dir->removing == REMOVING_AGAIN)
		delay = 0;
	if (job->dir->forgotten || !job->dir->rec.removal)
		delay = -1;
	job->dir->removing = REMOVING_IDLE;
	client_unlock(job->c);
	if (delay >= 0)
		remove_later(job, delay);
}

/* When to look again for a job that the API does not know. */
static double missing_delay(struct gb_job *job)
{
	client_lock(job->c);
	double delay = knowledge_look_at(&job->batch->known) - util_now();
	client_unlock(job->c);
	return test_seconds("BATCHFS_TEST_MISSING_SECONDS", delay > 1 ? delay : 1);
}

/* Evaluate a step: when to continue, as for removal_leave. */
static double remove_judge(
	struct gb_job *job, int ret, const struct provider_error *err)
{
	if (!ret)
		return 0;
	if (ret == -EINPROGRESS)
		return -1; /* remove_parts_unread has asked, or will */
	if (ret == -ENOENT && removal_next(job) != REMOVE_LOOK)
		return missing_delay(job);
	if (ret == -EAGAIN || ret == -ECANCELED)
		return removal_pause();
	/* Later by the pause that the API asks for, and not all removals at the same
	 * time. */
	if (errors_may_pass(err, CALL_REMOVE))
		return 6 * removal_pause() + engine_backoff(3, err->retry);
	come_back(job, err);
	return -1;
}

/* Try the remaining steps once. Returns when to try again, as for removal_leave. */
static double remove_on(struct gb_job *job)
{
	struct provider_error err = {0};
	int ret = remove_rest(job, &err);
	double delay = ret ? remove_judge(job, ret, &err) : -1;
	provider_error_clear(&err);
	return delay;
}

static bool begin_removal(struct gb_client *c)
{
	client_lock(c);
	bool room = c->removals->running < MAX_REMOVALS;
	c->removals->running += room;
	client_unlock(c);
	return room;
}

static void end_removal(struct gb_client *c)
{
	client_lock(c);
	c->removals->running--;
	client_unlock(c);
}

static int remove_behind(struct operation *t)
{
	removal_leave(t->job, remove_on(t->job));
	end_removal(t->job->c);
	return 0;
}

/* A timer that came too late for its plan does nothing. */
static bool removal_is_due(struct gb_job *job)
{
	struct job_dir *l = job->dir;

	client_lock(job->c);
	bool planned = l->removing == REMOVING_PLANNED;
	bool due = planned && l->rec.removal && !l->forgotten;
	if (planned)
		l->removing = due ? REMOVING_RUNS : REMOVING_IDLE;
	client_unlock(job->c);
	return due;
}

static void remove_timer(void *arg)
{
	struct gb_job *job = arg;

	if (!removal_is_due(job))
		goto out;
	if (!begin_removal(job->c)) {
		removal_leave(job, fmin(TURN, removal_pause()));
	} else if (operation_start(
			   job, POOL_SHORT, remove_behind, false, false, NULL, NULL)) {
		end_removal(job->c);
		removal_leave(job, removal_pause());
	}
out:
	gb_job_unref(job);
}

/* err: what the API answered, NULL: it was not asked. */
static void remove_undo(struct gb_job *job, int ret, const struct provider_error *err)
{
	removal_note(job, REMOVAL_NONE);
	remove_insist(job, false);
	if (err && err->text)
		removal_tell(job, ret, err);
	job_dir_save_soon(job);
	removal_leave(job, -1);
	job_changed(job, GB_CHANGED_FILES);
}

/* The cancel found no job. */
static bool must_wait(struct gb_job *job)
{
	return removal_stage(job) == REMOVAL_INTENDED &&
	       removal_next(job) == REMOVE_CANCEL;
}

/* The first step, while rmdir waits; the intent is on disk. */
static int remove_run(struct operation *t)
{
	struct gb_job *job = t->job;
	struct provider_error err = {.retry = -1};

	int ret = removal_first(job, &t->cancel, &err);
	client_called(job->c, &err);
	test_point("removal-answered");
	if (operation_is_late(t)) {
		removal_leave(job, remove_judge(job, ret, &err));
		ret = 0;
	} else if (ret) {
		ret = ret == -ECANCELED ? -EINTR : ret;
		remove_undo(job, ret, &err);
	} else {
		remove_hide(job);
		operation_answer(t, 0);
		removal_leave(job, must_wait(job) ? missing_delay(job) : 0);
	}
	provider_error_clear(&err);
	return ret;
}

/* Lock held: none is in progress; from here on this one is. */
static int removal_begin(struct gb_job *job)
{
	struct job_dir *l = job->dir;

	if (l->rec.removal || l->task || l->removing >= REMOVING_RUNS)
		return -EBUSY;
	removal_intend(job);
	return 0;
}

double remove_patience(void)
{
	return test_seconds("BATCHFS_TEST_ANSWER_SECONDS", ANSWER_WITHIN);
}

static int remove_start(struct gb_job *job, struct gb_waiter *w)
{
	struct operation fill = {.late = remove_hide, .late_after = remove_patience()};
	int err = job_dir_make(job);

	if (err)
		return err;
	if (removal_next(job) == REMOVE_OTHER_KEY)
		return removal_other_key(job, &(struct provider_error){0});
	client_lock(job->c);
	job->dir->rec.insisted = knowledge_is_insisted(&job->batch->known);
	err = removal_begin(job);
	client_unlock(job->c);
	if (err)
		return err;
	err = job_dir_save(job);
	test_point("removal-intended");
	if (!err)
		err = operation_start(
			job, POOL_SHORT, remove_run, true, false, &fill, w);
	if (err && err != -EINPROGRESS)
		remove_undo(job, err, NULL);
	return err;
}

void remove_unsent(struct gb_job *job)
{
	if (finish_removal(job) == -EAGAIN)
		remove_later(job, removal_pause());
}

/* Lock held: with rmdir=ended. */
bool remove_may_go(const struct gb_job *job)
{
	return knowledge_ended(&job->batch->known) ||
	       knowledge_is_insisted(&job->batch->known) ||
	       knowledge_standing(&job->batch->known, client_moment(job->c)) ==
		       STANDS_GONE;
}

static int remove_one(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	int err = 0;

	client_lock(c);
	enum phase p = job_phase(job);
	struct operation *t = job->dir ? job->dir->task : NULL;
	bool queued = t && t->background && p < PHASE_SUBMITTING;
	bool draft = job->dir && job->dir->rec.own && p != PHASE_SENT;
	if (c->o.readonly)
		err = -EROFS;
	else if (!job->in_tree)
		err = -ENOENT;
	else if ((t && !queued) || phase_is_unanswered(p))
		err = -EBUSY;
	else if (!draft && c->o.keep_running && !remove_may_go(job))
		err = -EBUSY;
	else if (!draft && c->o.offline)
		err = -EHOSTUNREACH;
	if (!err && queued) {
		job->dir->rec.removal = REMOVAL_INTENDED;
		job->dir->rec.removal_since = record_now();
		canceller_set(c->engine, &t->cancel);
	}
	if (!err && (queued || draft))
		job->in_tree = false;
	client_unlock(c);
	test_point("removal-chosen");
	if (err)
		return err;
	if (queued)
		return remove_draft_queued(job);
	if (draft)
		return remove_draft(job);
	return remove_start(job, w);
}

int gb_remove(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	bool several = parts_several(job);
	client_unlock(job->c);
	return several ? remove_parts(job, w) : remove_one(job, w);
}

static int unsent_run(struct operation *t)
{
	remove_unsent(t->job);
	return 0;
}

void remove_recover(struct gb_job *job)
{
	client_lock(job->c);
	job->in_tree = false;
	job_forget_name(job);
	bool unsent = !job->batch->id && !parts_several(job);
	client_unlock(job->c);
	if (unsent)
		/* If it cannot begin, the next start does it. */
		DROP(operation_start(
			job, POOL_SHORT, unsent_run, false, false, NULL, NULL));
	else if (!job->c->o.offline)
		remove_later(job, fmin(1, removal_pause()));
}

void remove_twin(struct gb_job *twin)
{
	if (twin->dir && !twin->dir->rec.own)
		remove_forget_job(twin);
	job_changed(twin, GB_CHANGED_TREE);
}

static int uploads_run(struct operation *t)
{
	release_all(t->job);
	return 0;
}

void remove_ended(struct gb_job *job)
{
	struct gb_client *c = job->c;
	bool due = release_is_due(job);

	client_lock(c);
	bool waits = job->dir && job->dir->rec.removal == REMOVAL_CANCELLED;
	bool tidy = due && job->dir->rec.own &&
		    knowledge_ended(&job->batch->known) && identity_same_key(job) &&
		    !job->dir->rec.removal && !c->o.readonly;
	client_unlock(c);
	if (waits)
		remove_later(job, 0);
	else if (tidy)
		/* What it would delete dies by itself. */
		DROP(operation_start(
			job, POOL_SHORT, uploads_run, false, false, NULL, NULL));
}
