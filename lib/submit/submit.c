/*
 * From a draft to a job.
 *
 * A submission is a list of steps. What must be known after a crash is in the journal
 * (journal.h, `phase`) before the step that makes it true is taken:
 *
 *   check    the bytes are good, and on their way to the disk; what is sent is composed
 *            if it differs
 *   begin    UPLOADING (or, with the bytes durable, QUEUED: a background close returns)
 *   name     free, if no list could say so at mkdir (check_name.c)
 *   model    known to the API, and able to do it (check_model.c)
 *   estimate below max_tokens and max_cost, if they are set (estimate.h)
 *   split    whether the requests go as one job; if not, the rest of the steps is taken
 *            by each part (parts_send.h)
 *   attach   the files that the requests name are uploaded (attachments.h), each
 *            remembered
 *   upload   the session is journalled as soon as there is one
 *   intend   all of that is durable, then SUBMITTING: from here on there may be a job
 *   create   sent at most once per intent
 *
 * Before `intend` nothing costs money, and a crash leaves a draft. Between `intend` and
 * the answer a crash leaves SUBMITTING, and reconcile.c finds out. An answer that
 * proves that nothing was made (429, another 4xx, no connection) takes the intent back,
 * in the journal, before anything else happens. There is no path on which a create is
 * sent twice for one intent, and none from SUBMITTING to another create except through
 * such a proof or a person who writes `resubmit`.
 *
 * Resubmitting changes nothing in the journal until the new intent replaces the old
 * one: until then the lost job can still be found, and then no other is made. The old
 * intent is put by in the journal (journal.h), so its job is ours whenever it turns up
 * (reconcile_found). If the new create is refused, the old intent is valid again.
 */
#include "submit/attachments.h"
#include "jobs/advice.h"
#include "jobs/messages.h"
#include "submit/estimate.h"
#include "files/files.h"
#include "files/composed_draft.h"
#include "jobs/hooks.h"
#include "submit/cut.h"
#include "submit/parts_send.h"
#include "submit/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

void submission_set_phase(struct gb_job *job, enum phase p)
{
	client_lock(job->c);
	if (!job->batch->id) /* it may have been found meanwhile */
		job_set_phase(job, p);
	client_unlock(job->c);
}

static void unset_text(struct gb_job *job, char **field)
{
	client_lock(job->c);
	record_unset(field);
	client_unlock(job->c);
}

/* Phase to disk, then to the world; when the disk refuses, back. */
static int enter_phase(struct gb_job *job, enum phase p)
{
	enum phase before = job_phase_now(job);

	submission_set_phase(job, p);
	int err = job_dir_save(job);
	if (err)
		submission_set_phase(job, before);
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	return err;
}

/* ---- start ----------------------------------------------------------------------- */

/* Before this thread started, another task may have done everything. From here on the
 * job is ours. */
int step_upload_start(struct submission *s)
{
	client_lock(s->c);
	enum phase p = job_phase(s->job);
	bool fits = s->t->again	   ? phase_is_unanswered(p)
		    : s->t->queued ? p == PHASE_QUEUED
				   : phase_is_draft(p);
	fits &= !s->job->batch->id && !s->rec->removal;
	client_unlock(s->c);
	return fits ? 0 : -EBUSY;
}

/* ---- begin, attach --------------------------------------------------------------- */

/* The name may now belong to another file of the same size. */
int keep_session_of(struct submission *s)
{
	struct record_batch *b = s->rec->batch;
	const struct stat *st = &s->source;
	char stamp[160], part[32] = "";

	if (s->off)
		snprintf(part, sizeof(part), " %lld", (long long)s->off);
	snprintf(stamp, sizeof(stamp), "%lld %llu %lld.%09ld %08x %lld%s",
		(long long)s->size, (unsigned long long)st->st_ino,
		(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		attach_stamp(s->attached), (long long)st->st_size, part);
	if (!b->sent_stamp || strcmp(b->sent_stamp, stamp) != 0)
		record_unset(&b->session);
	b->sent_size = s->size;
	return record_set(&b->sent_stamp, stamp);
}

/* Do the rename itself, durably, so that no start does it again. */
int submission_promote(struct submission *s)
{
	if (!s->t->from || s->moved)
		return 0;
	int err = files_promote(s->t->from, s->t->file, s->job);
	s->moved = !err;
	test_point("promoted");
	if (err || !s->rec->batch->source)
		return err;
	unset_text(s->job, &s->rec->batch->source);
	return job_dir_save(s->job);
}

static int promote_step(void *arg)
{
	return submission_promote(arg);
}

int submission_save(struct submission *s)
{
	bool from_elsewhere = s->t->from && s->t->from != s->job && !s->moved;

	return from_elsewhere ? job_dir_save_around(s->job, promote_step, s)
			      : job_dir_save(s->job);
}

/* In the background: from here on the bytes are safe and will be sent. */
static int enter_queue(struct submission *s)
{
	enum phase before = job_phase_now(s->job);

	submission_set_phase(s->job, PHASE_QUEUED);
	int err = submission_save(s);
	if (err)
		submission_set_phase(s->job, before);
	job_changed(s->job, GB_CHANGED_META | GB_CHANGED_FILES);
	if (!err && (err = submission_promote(s)))
		submission_set_phase(s->job, PHASE_DRAFT);
	return err;
}

/* Where the rename comes from, so that a start can do it again. */
static int note_source(struct submission *s)
{
	char path[FILE_PATH_MAX];
	int err = 0;

	client_lock(s->c);
	if (s->t->file->job && !(err = files_path(s->t->file, path)))
		err = record_set(&s->rec->batch->source, path);
	client_unlock(s->c);
	return err;
}

/* Lock held. An upload that was made with another key is useless, because files belong
 * to the key's project. The mark of a lost job, which `again` looks for, is not
 * dropped. */
static void drop_another_keys_upload(struct submission *s)
{
	bool same =
		!s->rec->key_print || strcmp(s->rec->key_print, s->c->key_print) == 0;

	if (same || s->t->again)
		return;
	record_unset(&s->rec->batch->session);
	record_unset(&s->rec->batch->input_file);
}

/* Lock held. */
static int note_terms(struct submission *s)
{
	const struct gb_terms *t = &s->t->terms;
	char cost[32];

	snprintf(cost, sizeof(cost), "%.17g", t->max_cost);
	s->rec->retries_own = t->retries >= 0;
	s->rec->retries = s->rec->retries_own ? t->retries : 0;
	s->rec->limit_tokens = t->max_tokens > INT64_MAX ? INT64_MAX
							 : (int64_t)t->max_tokens;
	return record_set(&s->rec->limit_cost, t->max_cost > 0 ? cost : NULL);
}

static int step_begin(struct submission *s)
{
	int err = gb_file_stat(s->t->file, &s->source);

	if (err)
		return err;
	client_lock(s->c);
	drop_another_keys_upload(s);
	err = counted_set(&s->rec->origin, engine_origin(s->c->engine));
	if (!err)
		err = counted_set(&s->rec->key_print, s->c->key_print);
	if (!err && !s->attached)
		err = keep_session_of(s);
	if (!err && !s->t->again && !s->t->queued)
		err = note_terms(s);
	if (!s->t->again) {
		record_unset(&s->rec->error);
		record_unset(&s->rec->taint);
		s->rec->background = s->t->background;
		s->rec->retries_left = record_retries(s->rec, s->c->o.retries);
	}
	submission_estimate_begin(s);
	/* What was asked for anew has its whole time. */
	if (!s->t->queued)
		s->rec->batch->tries = 0;
	if (s->t->background && !s->t->queued)
		s->rec->batch->queued_since = record_now();
	client_unlock(s->c);
	if (err || s->t->again)
		return err;
	if (s->t->from == s->job && (err = note_source(s)))
		return err;
	if (!s->t->background)
		return enter_phase(s->job, PHASE_UPLOADING);
	err = submission_durable(s);
	if (!err)
		err = enter_queue(s);
	if (err)
		return err;
	/* A background close returns here. */
	s->t->intended = true;
	files_decided(s->t->file);
	operation_answer(s->t, 0);
	return client_online(s->c) ? submission_turn(s) : -EHOSTUNREACH;
}

/* A queued job whose files got other URIs after its requests were uploaded: those
 * requests are useless now. */
static int drop_stale_upload(struct submission *s)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {.retry = -1};
	_cleanup_free_ char *file = NULL, *before = NULL;

	client_lock(s->c);
	before = s->rec->batch->sent_stamp ? strdup(s->rec->batch->sent_stamp) : NULL;
	int kept = keep_session_of(s);
	if (!kept && s->t->background && s->rec->batch->input_file &&
		(!before || strcmp(before, s->rec->batch->sent_stamp) != 0))
		file = STEAL_PTR(s->rec->batch->input_file);
	client_unlock(s->c);
	if (file)
		provider_file_remove(&s->c->api, file, &none, &err);
	provider_error_clear(&err);
	return kept;
}

int step_attach(struct submission *s)
{
	int err;

	if (!s->attached)
		return 0;
	if (s->t->background)
		submission_set_phase(s->job, PHASE_UPLOADING);
	if (s->plain.fd < 0)
		s->plain = (struct lines_span){
			fcntl(s->fd, F_DUPFD_CLOEXEC, 0), s->off, s->size};
	if (s->plain.fd < 0)
		return -errno;
	err = attach_upload(s);
	if (!err)
		err = attach_write(s);
	/* What was written while its files were being sent is not what was checked. */
	if (!err && s->t->file)
		err = gb_file_stat(s->t->file, &s->source);
	return err ? err : drop_stale_upload(s);
}

static int step_check(struct submission *s)
{
	submission_begin_durable(s);
	return submission_check(s);
}

static const struct submission_step steps[] = {
	{"check", step_check}, {"begin", step_begin},
	{"name", submission_name}, {"model", submission_model},
	{"estimate", submission_estimate}, {"split", submission_split},
	{"attach", step_attach}, {"upload", submission_upload},
	{"intend", submission_intend}, {"create", submission_create},
};

/* The API refused the create because it does not have files any more that we expected:
 * try once more, with new ones. */
static bool try_anew(struct submission *s)
{
	_cleanup_free_ char *text = NULL;

	if (s->doubted || job_phase_now(s->job) == PHASE_SENT || !attach_doubt(s))
		return false;
	s->doubted = true;
	client_log(s->c, LOG_WARNING, "%s: uploading its files again: %s",
		job_label(s->job), s->err.text);
	void_upload(s);
	delete_orphan(s);
	int err = attach_resolve(s, s->plain, &text);
	if (text && !s->job->parent)
		submission_refuse(s, err, text);
	if (!err)
		provider_error_clear(&s->err);
	return !err;
}

static void step_point(const char *when, const char *name)
{
	char point[32];

	snprintf(point, sizeof(point), "%s-%s", when, name);
	test_point(point);
}

/* Errors that mv must never see, because it would try again or copy. */
static int for_rename(int err)
{
	switch (err) {
	case -EINVAL:
	case -EOPNOTSUPP:
	case -ENOSYS:
	case -EXDEV:
	case -EEXIST:
		return -EBADMSG;
	default:
		return err;
	}
}

/* The job is free from here on, unless rmdir came meanwhile: then we finish the
 * removal. */
static void leave(struct submission *s)
{
	client_lock(s->c);
	s->job->dir->creating = false;
	bool removed = s->rec->removal && !s->job->batch->id;
	if (!removed)
		operation_disown(s->t);
	client_unlock(s->c);
	if (!removed)
		operation_disowned(s->t);
	submission_tell_queue(s);
	if (removed)
		s->c->hooks->freed(s->job);
}

void submission_clear(struct submission *s)
{
	DROP(submission_durable(s)); /* who needed it has asked */
	delete_orphan(s);
	util_closep(&s->fd);
	util_closep(&s->plain.fd);
	attach_free(s->attached);
	free(s->inline_text);
	free(s->input_file);
	free(s->error_before);
	provider_error_clear(&s->err);
}

/* By its name: whole drafts and parts attach files in their own ways. n: there is none. */
static size_t step_named(
	const struct submission_step *list, size_t n, const char *name)
{
	size_t i = 0;

	while (i < n && strcmp(list[i].name, name) != 0)
		i++;
	return i;
}

int submission_steps(
	struct submission *s, const struct submission_step *list, size_t n)
{
	size_t attach = step_named(list, n, "attach");
	int err = 0;

	for (size_t i = 0; !err && !s->cut && i < n; i++) {
		step_point("before", list[i].name);
		err = s->t->cancel.set && !s->t->intended ? -ECANCELED
							  : list[i].run(s);
		step_point("after", list[i].name);
		if (err && list[i].run == submission_create && attach < n && try_anew(s)) {
			err = 0;
			i = attach - 1;
		}
	}
	return err;
}

int submit_run(struct operation *t)
{
	struct submission s = SUBMISSION(t, t->job);
	int err = step_upload_start(&s);
	bool ours = !err;

	if (!err)
		err = submission_steps(&s, steps, ARRAY_SIZE(steps));
	if (ours && (s.cut || (err && submission_fits_in_parts(&s, err))))
		err = submission_part_out(&s);
	if (err && ours)
		err = submission_give_up(&s, err);
	else if (ours && t->left && !t->background)
		advice_add(t->job, "the submission was interrupted after the job had "
				   "been sent: this is that job, and the only one");
	leave(&s);
	parts_go_later(t->job);
	submission_clear(&s);
	return t->from ? for_rename(err) : err;
}

void submission_note_requests(struct submission *s)
{
	client_lock(s->c);
	s->job->batch->requests = (int64_t)s->report.requests;
	client_unlock(s->c);
}

int submit_check_run(struct operation *t)
{
	struct submission s = SUBMISSION(t, t->job);
	int err = submission_check(&s);

	if (!err) {
		job_dir_error(t->job, 0, NULL, NULL, NULL);
		submission_note_requests(&s);
	}
	job_dir_save_soon(t->job);
	submission_clear(&s);
	return err == -ECANCELED ? -EINTR : err;
}

int submit_composed_run(struct operation *t)
{
	int err = compose_draft_run(t);

	if (err == -ECANCELED) {
		message_tell_left(t);
		job_dir_save_soon(t->job);
	}
	return err == -ECANCELED ? -EINTR : err ? err : submit_run(t);
}

int submit_check_composed_run(struct operation *t)
{
	int err = compose_draft_run(t);

	return err == -ECANCELED ? -EINTR : err ? err : submit_check_run(t);
}
