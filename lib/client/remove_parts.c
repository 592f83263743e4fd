/*
 * rmdir of a directory behind which there are several of the API's jobs.
 *
 * The intent is the directory's, on disk before anything is done: from then on nothing
 * of its requests is bought, and a start goes on. Then each part is removed as any job
 * is (remove.c), by steps of its own; those that were never sent are simply gone. A
 * part's local copies move into the directory's, jobs/LID/parts/0001, so that the trash
 * has them together. The directory itself is the last: as long as it is there, a start
 * knows that its parts are to go.
 *
 * rmdir waits for the first step of the first part. If that is refused, nothing was
 * done, and the directory stays as it was. If a later one is refused, the directory
 * comes back with what is left of it, and buys nothing any more.
 */
#include "client/remove.h"
#include "jobs/operation.h"
#include "jobs/parts.h"
#include "submit/parts_send.h"

#include <errno.h>

/* ---- whether it may -------------------------------------------------------------- */

/* Lock held. */
static int part_may_go(struct gb_job *part)
{
	const struct gb_client *c = part->c;

	if (job_may_be_there(part))
		return -EBUSY;
	if (!part->batch->id)
		return 0;
	if (c->o.keep_running && !remove_may_go(part))
		return -EBUSY;
	if (c->o.offline)
		return -EHOSTUNREACH;
	if (knowledge_removal(&part->batch->known, client_moment(part->c)) !=
		REMOVE_OTHER_KEY)
		return 0;
	part->dir->other_key = true;
	return -EACCES;
}

/* Lock held. What keeps the directory for a while comes before what keeps it for
 * good. */
static int all_may_go(struct gb_job *dir)
{
	int ret = 0;

	if (dir->c->o.readonly)
		return -EROFS;
	if (!dir->in_tree)
		return -ENOENT;
	if (dir->dir->task || dir->dir->rec.removal ||
		dir->dir->removing >= REMOVING_RUNS ||
		(dir->c->o.keep_running && parts_rest_is_open(dir)))
		return -EBUSY;
	bool bought = false;
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		int err = part_may_go(parts_at(dir, i));

		bought |= parts_at(dir, i)->batch->id != NULL;
		if (err && (!ret || err == -EBUSY))
			ret = err;
	}
	/* It was sent as a whole, which nobody knows, and nothing since. */
	return !bought && dir->dir->rec.n_put_by ? -EBUSY : ret;
}

/* ---- the first step -------------------------------------------------------------- */

/* The first part that the API knows and whose removal was not begun, nor is just being given
 * up; a reference. */
static struct gb_job *next_to_begin(struct gb_job *dir)
{
	struct gb_job *part = NULL;

	client_lock(dir->c);
	bool removes = dir->dir->rec.removal;
	for (uint32_t i = 0; removes && !part && i < parts_count(dir); i++) {
		struct gb_job *at = parts_at(dir, i);

		if (at != dir && at->batch->id && !at->dir->rec.removal &&
			at->dir->removing < REMOVING_RUNS)
			part = gb_job_ref(at);
	}
	client_unlock(dir->c);
	return part;
}

/* The part's own intent, so that its steps go on after a start. */
static int begin_part(struct gb_job *part)
{
	client_lock(part->c);
	removal_intend(part);
	part->dir->rec.insisted = knowledge_is_insisted(&part->batch->known);
	client_unlock(part->c);
	return job_dir_save(part);
}

static void part_stays(struct gb_job *part)
{
	removal_note(part, REMOVAL_NONE);
	job_dir_save_soon(part);
	removal_leave(part, -1);
}

static void undo(struct gb_job *dir, int ret, const struct provider_error *err)
{
	removal_note(dir, REMOVAL_NONE);
	remove_insist(dir, false);
	if (err && err->text && !remove_has_other_key(dir))
		removal_tell(dir, ret, err);
	job_dir_save_soon(dir);
	removal_leave(dir, -1);
	job_changed(dir, GB_CHANGED_FILES);
	parts_go_later(dir);
}

/* Where the API knows no other, the directory's own batch is left, whose steps are the
 * directory's own, and the last. */
static int first_step(
	struct gb_job *part, struct canceller *cancel, struct provider_error *err)
{
	int ret = part ? begin_part(part) : 0;

	if (!part)
		return 0;
	if (!ret) {
		ret = removal_first(part, cancel, err);
		client_called(part->c, err);
	}
	return ret;
}

static int remove_parts_run(struct operation *t)
{
	struct gb_job *dir = t->job, *part = next_to_begin(dir);
	struct provider_error err = {.retry = -1};

	int ret = first_step(part, &t->cancel, &err);
	test_point("removal-answered");
	if (operation_is_late(t)) {
		ret = 0; /* it is hidden already, and goes on by itself */
	} else if (ret) {
		ret = ret == -ECANCELED ? -EINTR : ret;
		if (part)
			part_stays(part);
		undo(dir, ret, &err);
	} else {
		remove_hide(dir);
		operation_answer(t, 0);
	}
	if (!ret) {
		DROP(parts_stop(dir)); /* the directory's intent stops it, too */
		if (part)
			removal_leave(part, 0);
		removal_leave(dir, 0);
	}
	gb_job_unref(part);
	provider_error_clear(&err);
	return ret;
}

int remove_parts(struct gb_job *dir, struct gb_waiter *w)
{
	struct operation fill = {.late = remove_hide, .late_after = remove_patience()};
	struct gb_client *c = dir->c;

	client_lock(c);
	int err = all_may_go(dir);
	if (!err)
		removal_intend(dir);
	client_unlock(c);
	test_point("removal-chosen");
	if (err == -EACCES)
		job_changed(dir, GB_CHANGED_FILES);
	if (err)
		return err;
	err = job_dir_save(dir);
	test_point("removal-intended");
	if (!err)
		err = operation_start(
			dir, POOL_SHORT, remove_parts_run, true, false, &fill, w);
	if (err && err != -EINPROGRESS)
		undo(dir, err, NULL);
	return err;
}

/* ---- the rest -------------------------------------------------------------------- */

/* A reference to one that was never sent and that nobody is at work on. */
static struct gb_job *next_unsent(struct gb_job *dir, uint32_t *at)
{
	struct gb_job *part = NULL;

	client_lock(dir->c);
	for (; !part && *at < parts_count(dir); (*at)++) {
		struct gb_job *p = parts_at(dir, *at);

		if (p != dir && !p->batch->id && !p->dir->task &&
			!phase_is_unanswered(job_phase(p)))
			part = gb_job_ref(p);
	}
	client_unlock(dir->c);
	return part;
}

static void unmake_all(struct gb_job *dir)
{
	struct gb_job *part;

	for (uint32_t at = 0; (part = next_unsent(dir, &at)); gb_job_unref(part))
		/* What is left is looked at again. */
		at -= parts_unmake(part) == 0;
}

bool remove_has_parts(struct gb_job *dir)
{
	client_lock(dir->c);
	uint32_t n = parts_count(dir);
	bool others = n && (n > 1 || parts_at(dir, 0) != dir);
	client_unlock(dir->c);
	return others;
}

void remove_parts_on(struct gb_job *dir)
{
	struct gb_job *part;

	unmake_all(dir);
	for (; (part = next_to_begin(dir)); gb_job_unref(part)) {
		/* In memory it is begun: a start begins it again. */
		DROP(begin_part(part));
		test_point("part-removal-intended");
		removal_leave(part, 0);
	}
}

void remove_part_gone(struct gb_job *part)
{
	struct gb_client *c = part->c;

	client_lock(c);
	struct gb_job *dir = part->parent;
	parts_note_removed(part);
	parts_forget(part);
	bool removing = dir->dir->rec.removal;
	client_unlock(c);
	if (removing) {
		remove_later(dir, 0);
		return;
	}
	job_dir_save_soon(dir); /* it has come back, and stays */
	job_changed(dir, GB_CHANGED_META | GB_CHANGED_FILES);
}

/* Who reads a job in one has its file open, wherever that goes; of many parts only a
 * few are. */
bool remove_is_read(struct gb_job *job)
{
	client_lock(job->c);
	bool read = job_directory(job)->dir->part_readers;
	client_unlock(job->c);
	return read;
}

/* One that waited for that is deleted at the API already. By number: others go
 * meanwhile. */
static struct gb_job *next_deleted(struct gb_job *dir, uint32_t *from)
{
	struct gb_job *part = NULL;

	client_lock(dir->c);
	for (uint32_t i = parts_below(dir, *from); !part && i < parts_count(dir); i++) {
		struct gb_job *p = parts_at(dir, i);

		*from = parts_number(p) + 1;
		if (p->dir->rec.removal == REMOVAL_DELETED)
			part = gb_job_ref(p);
	}
	client_unlock(dir->c);
	return part;
}

void remove_parts_unread(struct gb_job *dir)
{
	struct gb_job *part;

	client_lock(dir->c);
	bool removing = dir->dir->rec.removal && !dir->c->stopping;
	client_unlock(dir->c);
	if (!removing)
		return;
	for (uint32_t from = 1; (part = next_deleted(dir, &from)); gb_job_unref(part))
		remove_later(part, 0);
	remove_later(dir, 0);
}

void remove_directory_back(struct gb_job *dir, struct gb_job *part, const char *why)
{
	client_lock(dir->c);
	uint32_t number = parts_number(part);
	dir->dir->rec.rest_dropped = dir->dir->rec.rest_gone = true;
	parts_lost_were_removed(dir); /* by an earlier run */
	client_unlock(dir->c);
	_cleanup_free_ char *what = util_format(
		"parts/%04u was not deleted, and so this directory is not.", number);
	remove_show(dir);
	job_dir_error(dir, -EIO, what ? what : "It was not deleted.",
		"What is left is still there; try rmdir again later.", why);
	job_dir_save_soon(dir);
	job_changed(dir, GB_CHANGED_TREE | GB_CHANGED_FILES);
}
