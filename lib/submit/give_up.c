/*
 * A submission that has failed: it stays queued, or is a draft again, and `error` says
 * why. What was uploaded for it is kept for another try, or deleted.
 */
#include "jobs/messages.h"
#include "submit/fit.h"
#include "submit/queue.h"
#include "provider/errors.h"
#include "files/files.h"
#include "submit/submit.h"

#include <errno.h>
#include <string.h>

enum {
	QUEUE_GIVE_UP = 24 * 3600, /* seconds */
};

static void unset_text(struct gb_job *job, char **field)
{
	client_lock(job->c);
	record_unset(field);
	client_unlock(job->c);
}

/* A full disk is no reason to forget it: a start queues what was being sent. */
void submission_requeue(struct gb_job *job)
{
	submission_set_phase(job, PHASE_QUEUED);
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
}

/* An upload that no job refers to, of this try or of an earlier one. */
void void_upload(struct submission *s)
{
	client_lock(s->c);
	bool intended = phase_is_unanswered(s->rec->batch->phase) &&
			s->rec->batch->input_file && s->input_file &&
			strcmp(s->rec->batch->input_file, s->input_file) == 0;
	if (!intended && !s->orphan)
		s->orphan = STEAL_PTR(s->input_file);
	/* A try that ended early may not have come to what an earlier one left. */
	if (!phase_is_unanswered(s->rec->batch->phase) && !s->job->batch->id) {
		if (!s->orphan)
			s->orphan = STEAL_PTR(s->rec->batch->input_file);
		record_unset(&s->rec->batch->input_file);
	}
	client_unlock(s->c);
}

/* This takes a call: afterwards the job belongs to another submission, or stays
 * ours. */
void delete_orphan(struct submission *s)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {0};
	_cleanup_free_ char *file = STEAL_PTR(s->orphan);

	if (file && client_online(s->c))
		provider_file_remove(&s->c->api, file, &none, &err);
	provider_error_clear(&err);
}

/* The next try uses the upload, or rmdir deletes it. */
void keep_upload(struct submission *s)
{
	client_lock(s->c);
	if (s->input_file)
		/* Without memory it is uploaded once more. */
		DROP(record_set(&s->rec->batch->input_file, s->input_file));
	client_unlock(s->c);
}

int submission_turn(struct submission *s)
{
	if (!s->t->background)
		return 0;
	client_lock(s->c);
	s->held = !queue_admits(s->job);
	client_unlock(s->c);
	return s->held ? -EAGAIN : 0;
}

static void tell_queued(struct submission *s, int err)
{
	static const struct {
		int err;
		const char *text;
	} all[] = {{-EDQUOT, "The API's quota or rate limit is used up"},
		{-EIO, "The API fails, or the connection to it breaks"},
		{-ENOSPC, "The local disk is full"},
		{-EMFILE, "Too many files are open on this machine"},
		{-ENFILE, "Too many files are open on this machine"},
		{-ENOMEM, "This machine has no memory left"},
		{0, "The API cannot be reached"}};
	size_t i = 0;

	while (all[i].err && all[i].err != err)
		i++;
	const char *why = all[i].text;
	_cleanup_free_ char *line = util_format("%s: the job is queued here.", why);

	job_dir_error(s->job, err, line ? line : why,
		"It is submitted as soon as possible; you need not do anything.",
		s->err.text);
}

/* For how long nothing was taken while it waits: others of its model that are taken show
 * that the queue moves. */
static double waited_in_vain(struct submission *s)
{
	client_lock(s->c);
	double span = record_span(s->rec->batch->queued_since);
	if (fit_moves(s->job, span)) {
		s->rec->batch->queued_since = record_now();
		span = 0;
	}
	client_unlock(s->c);
	return span;
}

int stay_queued(struct submission *s, int err)
{
	double most = test_seconds("BATCHFS_TEST_GIVE_UP_SECONDS", QUEUE_GIVE_UP);

	if (waited_in_vain(s) > most || s->err.hopeless) {
		queue_refused(s->job, &s->err, false);
		return err;
	}
	tell_queued(s, err);
	client_lock(s->c);
	s->rec->batch->tries += s->err.status == 429 && s->err.from_api;
	client_unlock(s->c);
	submission_requeue(s->job);
	queue_refused(s->job, &s->err, true);
	return 0;
}

int stay_held(struct submission *s)
{
	keep_upload(s);
	client_lock(s->c);
	int err = queue_reason(s->job);
	client_unlock(s->c);
	tell_queued(s, err);
	submission_requeue(s->job);
	queue_wait(s->job);
	return 0;
}

bool worth_queueing(const struct submission *s, int err)
{
	return s->t->background &&
	       errors_may_pass(&(struct provider_error){.err = err}, CALL_QUEUE);
}

/* Whoever asks later why it failed is to know that waiting does not help. */
static void note_hopeless(struct submission *s)
{
	client_lock(s->c);
	s->rec->err = -EPERM;
	client_unlock(s->c);
}

int submission_give_up(struct submission *s, int err)
{
	enum phase p = job_phase_now(s->job);

	client_lock(s->c);
	bool stopped = s->t->stopped;
	client_unlock(s->c);
	bool cancelled = err == -ECANCELED || stopped;
	if (p == PHASE_PARTS) /* its first part has said all */
		return cancelled ? -EINTR : err;
	if (s->held && !stopped)
		return stay_held(s);
	if (phase_is_unanswered(p) || p == PHASE_SENT) {
		if (s->t->again)
			void_upload(s);
		return cancelled ? -EINTR : err;
	}
	if (!stopped && worth_queueing(s, err) && p != PHASE_DRAFT &&
		p != PHASE_FAILED) {
		keep_upload(s);
		if (cancelled)
			return submission_requeue(s->job), -EINTR;
		if (stay_queued(s, err) == 0)
			return 0;
	}
	s->t->intended = false;
	if (cancelled)
		message_tell_left(s->t);
	else if (!s->told)
		submission_tell(s, s->job, err, NULL);
	if (s->t->from && !s->moved && !s->told)
		/* If that fails, the file is still where mv took it from. */
		DROP(files_reject(s->t->file, s->job));
	void_upload(s);
	unset_text(s->job, &s->rec->batch->source);
	if (!cancelled)
		files_decided(s->t->file);
	if (s->err.hopeless)
		note_hopeless(s);
	bool local_only =
		s->unfit || cancelled || p == PHASE_DRAFT || submission_durable(s);
	submission_set_phase(s->job, local_only ? PHASE_DRAFT : PHASE_FAILED);
	job_dir_save_soon(s->job);
	job_changed(s->job, GB_CHANGED_META | GB_CHANGED_FILES);
	return cancelled ? -EINTR : err;
}

/* ---- what the queue learns ------------------------------------------------------- */

/* What the queue is told: a missing reply is a failure of the API. */
void submission_tell_queue(struct submission *s)
{
	enum phase p = job_phase_now(s->job);

	if (p == PHASE_SENT)
		queue_passed(s->job);
	else if (phase_is_unanswered(p) && s->t->background)
		queue_refused(s->job, &s->err, true);
	else if (p == PHASE_QUEUED)
		/* A look that came while it was ours passed it over. */
		queue_wait(s->job);
	else
		queue_left(s->job);
}
