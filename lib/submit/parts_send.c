#include "submit/parts_send.h"
#include "submit/parts_send_private.h"

#include "files/files.h"
#include "jobs/messages.h"
#include "jobs/parts.h"
#include "submit/attachments.h"
#include "submit/cut.h"
#include "submit/fit.h"
#include "submit/queue.h"
#include "submit/reconcile.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

enum { FIRST_WITHIN = 60 /* seconds of refusals of a first part that is waited for */ };

/* ---- what is due ------------------------------------------------------------------ */

bool parts_due(struct gb_job *dir)
{
	const struct gb_client *c = dir->c;

	if (job_phase(dir) != PHASE_PARTS || parts_rest_is_unwanted(dir) || dir->dir->task ||
		dir->dir->cutting || c->o.readonly || c->stopping ||
		!identity_same_key(dir))
		return false;
	struct tally t = parts_tally(dir);
	bool waits = !dir->dir->rec.background && t.first &&
		     phase_is_unanswered(job_phase(t.first));
	return !t.unsent && !waits && parts_rest_size(dir) > 0;
}

struct gb_job *parts_unsettled(struct gb_job *job)
{
	struct gb_job *found = NULL;

	client_lock(job->c);
	for (uint32_t i = 0; !found && i < parts_count(job); i++) {
		struct gb_job *part = parts_at(job, i);

		if (phase_is_unanswered(job_phase(part)))
			found = gb_job_ref(part);
	}
	client_unlock(job->c);
	return found;
}

/* ---- making the next ------------------------------------------------------------------ */

static int make_next(struct gb_job *dir, int fd, enum phase phase, struct gb_job **ret)
{
	struct part_range range;
	int64_t requests;
	int err = cut_next(dir, fd, &range, &requests);

	if (!err)
		err = parts_make(dir, 0, 0, range, requests, phase, ret);
	test_point("part-made");
	return err;
}

/* Lock held. Nobody else makes one from here on. */
static bool begin_cutting(struct gb_job *dir)
{
	bool due = parts_due(dir);

	dir->dir->cutting |= due;
	return due;
}

static void cannot_cut(struct gb_job *dir, int err)
{
	if (err == -ECANCELED || err == -ENODATA)
		return;
	job_dir_error(dir, err, "The next part of these requests could not be made.",
		"It is tried again. The requests must stay as they are.",
		strerror(-err));
	job_changed(dir, GB_CHANGED_FILES);
}

/* Lock held: nobody cuts any more. */
static void drop_marks(struct gb_job *dir)
{
	if (job_phase(dir) != PHASE_PARTS || dir->dir->cutting || dir->dir->task ||
		parts_tally(dir).unsent || parts_rest_size(dir) > 0)
		return;
	kept_marks_unref(dir->dir->marks); /* who halves a part has one, too */
	dir->dir->marks = NULL;
}

static void parts_go(void *arg)
{
	struct gb_job *dir = arg, *part;
	struct gb_client *c = dir->c;
	struct stat st;

	client_lock(c);
	bool due = begin_cutting(dir);
	client_unlock(c);
	if (due) {
		_cleanup_close_ int fd = cut_open(dir, &st);
		int err = fd < 0 ? fd : make_next(dir, fd, PHASE_QUEUED, &part);

		client_lock(c);
		dir->dir->cutting = false;
		client_unlock(c);
		if (err)
			cannot_cut(dir, err);
		job_changed(dir, GB_CHANGED_META | GB_CHANGED_FILES);
		if (err)
			queue_wait(dir); /* not at once: it may be so for long */
		else
			queue_go(c);
	}
	client_lock(c);
	drop_marks(dir);
	client_unlock(c);
	gb_job_unref(dir);
}

void parts_go_later(struct gb_job *job)
{
	client_lock(job->c);
	struct gb_job *dir = job_directory(job);
	bool parts = dir->dir && job_phase(dir) == PHASE_PARTS;
	if (parts)
		gb_job_ref(dir);
	client_unlock(job->c);
	/* At the end of the mount; the next start does it. */
	if (parts && pool_add(job->c->pool, POOL_LONG, parts_go, dir))
		gb_job_unref(dir);
}

/* ---- the directory ------------------------------------------------------------------- */

/* Lock held: in memory. An intent for all of it, which is sent again, is put by. */
static int note_parts(struct submission *d)
{
	bool lost = phase_is_unanswered(job_phase(d->job));
	int err = 0;

	/* cancel and rmdir have told so under this lock; or it was found. */
	if (d->t->stopped || d->rec->removal)
		return -ECANCELED;
	if (d->job->batch->id)
		return -EBUSY;
	if (lost)
		err = job_put_by(d->job, PHASE_PARTS);
	else
		job_set_phase(d->job, PHASE_PARTS);
	if (err)
		return err;
	if (lost)
		record_take(&d->error_before, &d->rec->error);
	d->puts_by = lost;
	d->rec->rest_dropped = d->rec->rest_gone = false;
	parts_forget_bought(d->job);
	record_unset(&d->rec->batch->session);
	record_unset(&d->rec->batch->sent_stamp);
	return 0;
}

/* Lock held: the opposite, unless something of it was intended, or it was found. */
static void leave_parts(struct submission *d, enum phase before)
{
	if (job_phase(d->job) != PHASE_PARTS || parts_tally(d->job).intended)
		return;
	if (!d->puts_by)
		job_set_phase(d->job, before);
	else if (parts_take_up_whole(d->job))
		record_take(&d->rec->error, &d->error_before);
	d->puts_by = false;
}

/* From here on the directory is not submitted itself. */
static int enter_parts(struct submission *d)
{
	enum phase before = job_phase_now(d->job);
	int err = submission_durable(d);

	if (err || before == PHASE_PARTS)
		return err;
	client_lock(d->c);
	err = note_parts(d);
	client_unlock(d->c);
	if (err)
		return err;
	err = submission_save(d);
	test_point("parts-entered");
	if (!err)
		err = submission_promote(d);
	if (err && err != -ENOENT) {
		client_lock(d->c);
		leave_parts(d, before);
		client_unlock(d->c);
		return err;
	}
	files_decided(d->t->file);
	job_changed(d->job, GB_CHANGED_META | GB_CHANGED_FILES);
	return 0;
}

bool submission_fits_in_parts(struct submission *d, int err)
{
	/* What is sent again has its old intent back by now. */
	return err == -EDQUOT &&
	       (d->t->again || !phase_is_unanswered(job_phase_now(d->job))) &&
	       submission_too_large(d);
}

static int first_part(struct submission *d);

int submission_part_out(struct submission *d)
{
	void_upload(d);
	provider_error_clear(&d->err);
	d->err.retry = -1;
	/* Those that a failure left of other requests. */
	parts_unmake_unsent(d->job, UNMAKE_CUT);
	client_lock(d->c);
	bool clean = !parts_tally(d->job).first;
	client_unlock(d->c);
	if (!clean)
		return -EIO;
	cut_keep_marks(d);
	d->cut = true;
	return d->t->background ? enter_parts(d) : first_part(d);
}

/* ---- the steps of a part ---------------------------------------------------------------- */

static int part_attach(struct submission *s)
{
	_cleanup_free_ char *text = NULL;

	if (!s->rec->names_files)
		return 0;
	int err = attach_resolve(s, (struct lines_span){s->fd, s->off, s->size}, &text);
	if (text) {
		job_dir_error(s->job, err, "A file that the requests name cannot be sent.",
			"When the file is fixed: echo submit > ctl", text);
		s->told = true;
	}
	if (!err && s->attached)
		return step_attach(s);
	client_lock(s->c);
	if (!err)
		err = keep_session_of(s);
	client_unlock(s->c);
	return err;
}

static int part_intend(struct submission *s)
{
	int err = s->whole ? enter_parts(s->whole) : 0;

	if (!err)
		err = parts_note_bought(s->job);
	return err ? err : submission_intend(s);
}

static const struct submission_step part_steps[] = {
	{"open", cut_part_open}, {"attach", part_attach}, {"upload", submission_upload},
	{"intend", part_intend}, {"create", submission_create},
};

/* Half as much, from the start. */
static int send_half(struct submission *s)
{
	int err = cut_halve(s);

	if (err)
		return err;
	client_log(s->c, LOG_NOTICE, "%s: part %d is made smaller, to %lld requests",
		job_label(s->job), s->rec->part, (long long)s->rec->batch->requests);
	void_upload(s);
	delete_orphan(s);
	attach_free(s->attached);
	s->attached = NULL;
	util_closep(&s->plain.fd);
	s->plain = (struct lines_span){-1, 0, -1};
	provider_error_clear(&s->err);
	s->err.retry = -1;
	s->too_large = s->told = s->unfit = false;
	return 0;
}

/* A file with URIs can be too large, too. One that is sent again, on somebody's word, counts
 * as not made from then on. */
static bool half_may_do(struct submission *s, int err)
{
	return (err == -EDQUOT && submission_too_large(s)) ||
	       (err == -EFBIG && s->rec->batch->requests > 1);
}

/* ---- a first part that somebody waits for -------------------------------------------------- */

static void disown_part(struct operation *t, struct gb_job *part)
{
	client_lock(part->c);
	part->dir->task = NULL;
	part->dir->creating = false;
	t->part = NULL;
	client_unlock(part->c);
}

/* false: it was stopped before. */
static bool own_part(struct operation *t, struct gb_job *part)
{
	client_lock(part->c);
	bool there = part->parent && !part->dir->unmaking &&
		     job_phase(part) == PHASE_UPLOADING && !t->stopped;
	if (there) {
		part->dir->task = t;
		t->part = part;
	}
	client_unlock(part->c);
	return there;
}

/* The directory's callers get its error, and are told what it was. */
static int hand_up(struct submission *d, struct submission *s, int err)
{
	client_lock(d->c);
	/* One that is sent again is as uncertain as before, and says so. */
	if (s->told && !d->t->again) {
		record_take(&d->rec->error, &s->rec->error);
		d->rec->err = s->rec->err;
	}
	leave_parts(d, PHASE_UPLOADING);
	client_unlock(d->c);
	if (d->t->again)
		job_dir_save_soon(d->job);
	d->told |= s->told;
	d->unfit |= s->unfit;
	d->held = s->held;
	provider_error_clear(&d->err);
	d->err = s->err;
	s->err = (struct provider_error){.retry = -1};
	return err;
}

/* Returns what d's callers get; *ret_keep: there is, or may be, a job at the API. */
static int first_came_to(
	struct submission *d, struct submission *s, int err, bool *ret_keep)
{
	enum phase p = job_phase_now(s->job);

	*ret_keep = p == PHASE_SENT || phase_is_unanswered(p);
	if (p == PHASE_SENT)
		return 0;
	if (*ret_keep)
		return err;
	void_upload(s);
	return hand_up(d, s, err);
}

static int send_first(struct submission *s)
{
	double patience = test_seconds("BATCHFS_TEST_CLOSE_SECONDS", FIRST_WITHIN);
	double since = 0;

	for (;;) {
		int err = submission_steps(s, part_steps, ARRAY_SIZE(part_steps));
		double now = util_now();

		since = since ? since : now;
		if (!err || now - since > patience || !half_may_do(s, err))
			return err;
		int halved = send_half(s);
		if (halved)
			return err;
	}
}

static int first_part(struct submission *d)
{
	struct gb_job *part;
	bool keep;
	int err = make_next(d->job, d->fd, PHASE_UPLOADING, &part);

	if (err)
		return err;
	if (!own_part(d->t, part)) {
		DROP(parts_unmake(part)); /* as below */
		return -ECANCELED;
	}
	struct submission s = SUBMISSION(d->t, part);
	s.whole = d;
	s.moved = true; /* the rename is the directory's */
	err = first_came_to(d, &s, send_first(&s), &keep);
	disown_part(d->t, part);
	if (!keep)
		/* If it stays, the next submission or start removes it. */
		DROP(parts_unmake(part));
	submission_clear(&s);
	return err;
}

/* ---- others ------------------------------------------------------------------------------- */

/* The rest is not bought; if nothing was, the directory can be submitted again. */
static void give_up_rest(struct submission *s, int err)
{
	struct gb_job *dir = s->job->parent;

	client_lock(s->c);
	unsigned bought = parts_tally(dir).intended;
	int64_t rest = s->rec->range_len + parts_rest_size(dir);
	dir->dir->rec.rest_dropped = bought > 0;
	bool uncertain = !bought && parts_take_up_whole(dir);
	if (!bought)
		job_set_phase(dir, uncertain ? PHASE_SUBMITTING : PHASE_FAILED);
	_cleanup_free_ char *own = s->told ? STEAL_PTR(s->rec->error) : NULL;
	client_unlock(s->c);
	_cleanup_free_ char *what = util_format(
		"%u part%s of these requests %s bought; the rest, %lld bytes, is not.",
		bought, bought == 1 ? "" : "s", bought == 1 ? "was" : "were",
		(long long)rest);
	if (bought)
		job_dir_error(dir, err, what,
			"What was bought goes on. See the message below; to buy the rest: "
			"echo submit > ctl",
			own		  ? own
			: s->err.err == err ? s->err.text
					    : strerror(-err));
	else if (!uncertain)
		submission_tell(s, dir, err, own);
	job_dir_save_soon(dir);
	if (uncertain)
		reconcile_later(dir);
	job_changed(dir, GB_CHANGED_META | GB_CHANGED_FILES);
}

/* A part of a later round was asked for by itself. */
static void give_up_part(struct submission *s, int err)
{
	if (part_is_cut(s->job))
		give_up_rest(s, err);
	else if (!s->told)
		submission_tell(s, s->job->parent, err, NULL);
	job_dir_save_soon(s->job->parent);
}

static bool try_half(struct submission *s, int err)
{
	if (!half_may_do(s, err) || send_half(s))
		return false;
	job_dir_error(s->job, 0, NULL, NULL, NULL);
	submission_requeue(s->job);
	queue_refused(s->job, &s->err, false);
	return true;
}

/* *ret_unmake: the part goes. */
static int part_give_up(struct submission *s, int err, bool *ret_unmake)
{
	enum phase p = job_phase_now(s->job);

	client_lock(s->c);
	bool unwanted = s->t->stopped || part_is_unwanted(s->job);
	bool halves = !unwanted && !part_is_stopped(s->job); /* nobody would buy the second */
	client_unlock(s->c);
	bool cancelled = err == -ECANCELED || unwanted;
	if (phase_is_unanswered(p) || p == PHASE_SENT) {
		if (s->t->again && p != PHASE_SENT && halves && try_half(s, err))
			return 0;
		if (s->t->again)
			void_upload(s);
		return cancelled ? -EINTR : err;
	}
	if (!unwanted && s->held)
		return stay_held(s);
	if (halves && try_half(s, err))
		return 0;
	if (!unwanted && worth_queueing(s, err)) {
		keep_upload(s);
		if (cancelled)
			return submission_requeue(s->job), -EINTR;
		if (stay_queued(s, err) == 0)
			return 0;
	}
	if (s->rec->n_put_by)
		client_log(s->c, LOG_NOTICE, "%s: it is not sent again: %s",
			job_label(s->job), s->err.text ? s->err.text : strerror(-err));
	else if (!unwanted)
		give_up_part(s, err);
	void_upload(s);
	*ret_unmake = true;
	return cancelled ? -EINTR : err;
}

/* The part is free from here on. */
static void part_leave(struct submission *s, bool unmake)
{
	client_lock(s->c);
	s->job->dir->creating = false;
	if (unmake)
		job_set_phase(s->job, PHASE_DRAFT); /* nobody takes it from the queue */
	operation_disown(s->t);
	client_unlock(s->c);
	operation_disowned(s->t);
	submission_tell_queue(s);
	if (unmake)
		/* If it stays, it is uncertain again, or the next start removes it. */
		DROP(part_unmake(s->job));
}

int submit_part_run(struct operation *t)
{
	struct submission s = SUBMISSION(t, t->job);
	bool unmake = false;

	client_lock(s.c);
	struct gb_job *dir = t->job->parent ? gb_job_ref(t->job->parent) : NULL;
	client_unlock(s.c);
	/* It was removed before this task had it; from here on it is not. */
	if (!dir)
		return -EBUSY;
	int err = step_upload_start(&s);

	s.moved = true;
	if (!err) {
		err = submission_steps(&s, part_steps, ARRAY_SIZE(part_steps));
		if (err)
			err = part_give_up(&s, err, &unmake);
	}
	part_leave(&s, unmake);
	submission_clear(&s);
	parts_go_later(dir);
	job_changed(dir, GB_CHANGED_META | GB_CHANGED_FILES);
	gb_job_unref(dir);
	return err;
}
