/*
 * The last steps of a submission (submit.c): the durable intent, the create, and what
 * its reply proves. This is where money is spent.
 */
#include "submit/submit.h"
#include "files/files.h"
#include "jobs/bind.h"
#include "submit/fit.h"
#include "submit/parts_send.h"
#include "submit/reconcile.h"
#include "provider/errors.h"

#include <errno.h>
#include <string.h>

enum {
	CLOSE_TRIES = 4,            /* creates answered with 429, while a caller waits */
	CLOSE_PATIENCE = 60,        /* seconds a caller waits for a lost answer */
};

/* Lock held: note the new intent in memory; the one it replaces is put by. 0, or an error if
 * the job has been removed or found meanwhile. */
static int note_intent(struct submission *s)
{
	struct record *r = s->rec;
	_cleanup_free_ char *input = s->input_file ? strdup(s->input_file) : NULL;
	bool turned_up = s->job->dir->turned_up ||
			 (s->whole && s->whole->job->dir->turned_up);
	bool unwanted = s->job->dir->forgotten ||
			(s->job->parent && !parts_may_be_bought(s->job));
	s->held = turned_up && s->t->background; /* until the next list binds it */
	int err = r->removal || s->t->stopped || unwanted ? -ECANCELED
		  : s->held			     ? -EAGAIN
		  : s->job->batch->id || turned_up   ? -EBUSY
		  : s->input_file && !input ? -ENOMEM
					    : 0;

	bool lost = phase_is_unanswered(job_phase(s->job));
	if (!err && lost)
		err = job_put_by(s->job, PHASE_SUBMITTING);
	if (err)
		return err;
	s->puts_by = lost;
	record_take(&r->batch->input_file, &input);
	r->batch->is_inline = s->is_inline;
	r->batch->intent_server = engine_server_time(s->c->engine);
	r->batch->intent_since = record_now();
	job_set_phase(s->job, PHASE_SUBMITTING);
	s->job->dir->creating = true;
	return 0;
}

/* The intent is void; this is written to disk before anything else is tried. An earlier
 * intent that was not answered, and was put by for it, is valid again: nothing is done about
 * those that are put by while a create is on its way. */
static int take_back(struct submission *s)
{
	client_lock(s->c);
	s->job->dir->creating = false;
	s->t->intended = s->t->background;
	if (s->puts_by)
		job_take_up(s->job, s->rec->n_put_by - 1);
	else
		job_set_phase(
			s->job, s->t->background ? PHASE_QUEUED : PHASE_UPLOADING);
	s->puts_by = false;
	client_unlock(s->c);
	int err = job_dir_save(s->job);
	job_changed(s->job, GB_CHANGED_META | GB_CHANGED_FILES);
	return err;
}

int submission_intend(struct submission *s)
{
	int err = submission_durable(s);

	if (!err)
		err = submission_turn(s);
	if (err)
		return err;
	s->t->intended = true;
	if (s->t->cancel.set && !s->t->background)
		err = -ECANCELED;
	if (!err) {
		client_lock(s->c);
		err = note_intent(s);
		client_unlock(s->c);
	}
	if (err) {
		s->t->intended = s->t->background;
		return err;
	}
	if ((err = submission_save(s))) {
		take_back(s);
		return err;
	}
	job_changed(s->job, GB_CHANGED_META | GB_CHANGED_FILES);
	test_point("intended");
	if (!s->t->background && s->t->file)
		files_decided(s->t->file);
	err = submission_promote(s);
	if (err && err != -ENOENT)
		take_back(s);
	return err == -ENOENT ? 0 : err;
}

/* A reply from something between here and the API may be about another job. One that
 * does not name what we sent is as good as lost: the job is looked for. */
static bool reply_is_ours(const struct submission *s, const struct remote_batch *b)
{
	if (b->input_file)
		return !s->is_inline && strcmp(b->input_file, s->input_file) == 0;
	if (b->has_input_config || s->is_inline)
		return s->is_inline;
	return b->display && strcmp(b->display, s->rec->display) == 0;
}

static int take_create_reply(struct submission *s, const struct remote_batch *b)
{
	if (reply_is_ours(s, b))
		return bind_batch(s->job, b);
	s->err.err = -EPROTO;
	s->err.text = strdup("The reply is about another job.");
	return -EPROTO;
}

static int create_once(struct submission *s)
{
	const struct create_args args = {.model = s->rec->model,
		.display = s->rec->display,
		.input_file = s->is_inline ? NULL : s->input_file,
		.inline_requests = s->inline_text,
		.inline_len = s->inline_len,
		.embedding = s->rec->batch->embedding,
		.webhook = s->c->o.webhook};
	struct canceller none = CANCELLER_INIT;
	struct remote_batch b = {0};

	provider_error_clear(&s->err);
	s->too_large = false;
	test_point("before-create");
	int err = provider_create(&s->c->api, &args, &none, &b, &s->err);
	test_point("after-create");
	client_called(s->c, &s->err);
	if (!err) {
		err = take_create_reply(s, &b);
		remote_batch_clear(&b);
	}
	return err;
}

/* Until it is found, here or by the poller, which cuts our pause short. */
static int look_again_and_again(struct submission *s)
{
	int err = -EAGAIN;

	/* Nobody waits for background submissions: their jobs are found by the shared
	 * looks. */
	for (double pause = 1; err && !s->t->background;
		pause = pause < 8 ? 2 * pause : 8) {
		err = reconcile_once(s->job, &s->t->cancel);
		if (err && job_phase_now(s->job) != PHASE_SUBMITTING)
			break;
		if (err && engine_sleep(s->c->engine,
				   test_seconds("BATCHFS_TEST_LOOK_SECONDS", pause),
				   &s->t->cancel))
			break;
	}
	client_lock(s->c);
	s->job->dir->settler = NULL;
	bool sent = job_phase(s->job) == PHASE_SENT;
	client_unlock(s->c);
	return sent ? 0 : err;
}

/* The create was never answered. The caller gets an error within a minute; looking goes
 * on. */
static int settle_create(struct submission *s)
{
	operation_deadline(
		s->t, test_seconds("BATCHFS_TEST_CLOSE_SECONDS", CLOSE_PATIENCE));
	client_lock(s->c);
	s->job->dir->creating = false;
	s->job->dir->settler = &s->t->cancel;
	client_unlock(s->c);
	_cleanup_free_ char *todo = util_format(
		"Wait: batchfs looks for the job for %d minutes and sends nothing "
		"meanwhile (see state). If you know that it exists: echo adopt ID > "
		"ctl. To submit again (and possibly pay twice): echo resubmit > ctl",
		s->c->api.provider->limits->seen_after / 60);

	if (job_dir_error_turn(s->job, PHASE_SUBMITTING, PHASE_SUBMITTING, -EIO,
		    "The API's reply to the submission was lost: the job may exist or not.",
		    todo, s->err.text))
		job_dir_save_soon(s->job);
	job_changed(s->job, GB_CHANGED_FILES);
	s->told = true;
	if (!look_again_and_again(s))
		return 0;
	reconcile_later(s->job);
	return -EIO;
}

/* The waiters left while the create was running: no other create is sent for nobody. */
static bool caller_left(struct submission *s)
{
	return !s->t->background && waitq_count(&s->t->q) == 0;
}

int submission_create(struct submission *s)
{
	for (int tries = 1;; tries++) {
		int err = create_once(s);

		if (!err || job_phase_now(s->job) == PHASE_SENT) { /* a list was quicker */
			fit_taken(s);
			return 0;
		}
		if (provider_create_verdict(&s->err) != CREATE_NOT_MADE)
			return settle_create(s);
		int saved = take_back(s);
		if (saved)
			return saved;
		if (!errors_may_pass(&s->err, CALL_CREATE) || s->t->background ||
			tries >= CLOSE_TRIES || caller_left(s) ||
			submission_too_large(s))
			return err;
		int slept = engine_pause(
			s->c->engine, tries + 2, s->err.retry, &s->t->cancel);
		if (slept)
			return slept == -EAGAIN ? err : -ECANCELED;
		client_lock(s->c);
		s->rec->batch->tries++;
		client_unlock(s->c);
		if ((err = submission_intend(s)))
			return err;
	}
}
