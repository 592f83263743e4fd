/*
 * The first step of a submission: the bytes are durable and valid, and what is to be
 * sent is ready. Nothing leaves this machine.
 */
#include "submit/attachments.h"
#include "jobs/advice.h"
#include "jobs/messages.h"
#include "requests/normalize.h"
#include "files/files.h"
#include "files/composed_draft.h"
#include "requests/validate.h"
#include "jobs/split.h"
#include "submit/cut.h"
#include "submit/submit.h"
#include "requests/warning_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int submission_refuse(struct submission *s, int err, const char *text)
{
	files_decided(s->t->file);
	/* One line that is too large alone is a line to be fixed: no split helps. */
	if (err == -EFBIG && s->report.too_big && !s->report.big_line)
		message_tell(s->job, err, false, text);
	else if (err == -EFBIG && !s->report.too_big)
		job_dir_error(s->job, err, "One of the files to be sent is too large.",
			"Nothing was sent. Make the file smaller, or split it, then: "
			"echo submit > ctl",
			text);
	else if (s->t->from)
		job_dir_error(s->job, err,
			"The new requests.jsonl cannot be sent. It was saved "
			"as " GB_REJECTED ".",
			"Nothing was sent or renamed. Fix these lines in it, then: "
			"mv " GB_REJECTED " " GB_REQUESTS,
			text);
	else if (s->t->file->composed)
		job_dir_error(s->job, err, "This draft cannot be sent as it is.",
			"Nothing was sent. requests.jsonl shows what was made from the "
			"files of this draft. Fix those files, then: echo submit > ctl",
			text);
	else
		job_dir_error(s->job, err, "requests.jsonl cannot be sent as it is.",
			"Nothing was sent. Fix these lines and write the file again:",
			text);
	s->told = s->unfit = true;
	if (s->t->from)
		/* If that fails, the file is still where mv took it from. */
		DROP(files_reject(s->t->file, s->job));
	return err;
}

/* Make a copy of the requests as they are sent, if they are not sent byte for byte. */
static int compose(struct submission *s, int in)
{
	off_t size;
	int err;
	_cleanup_close_ int dir = job_dir_open(s->job);

	if (dir < 0)
		return dir;
	s->fd = openat(dir, STORE_SENT,
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return -errno;
	s->composed = true;
	err = normalize_file(in, s->fd, &s->report, &s->t->cancel.set, &size);
	s->size = size;
	return err;
}

static bool wants_parts(const struct submission *s)
{
	client_lock(s->c);
	bool wants = cut_is_wanted(s->job, (int64_t)s->report.requests);
	client_unlock(s->c);
	return wants;
}

/* There the key goes into metadata, which must be the only one. */
static bool goes_inline(const struct submission *s)
{
	return s->c->api.provider->can & CAN_INLINE &&
	       !s->report.warned[WARN_METADATA].n && s->c->o.inline_max &&
	       !wants_parts(s) &&
	       s->report.send_size <= s->c->o.inline_max && !s->attached;
}

/* The bytes are what a retry after a crash will send: they and their name. */
static void *sync_requests(void *arg)
{
	struct submission *s = arg;

	s->sync_err = files_sync(s->t->from ? s->t->from : s->job, s->t->file);
	return NULL;
}

/* The disk writes while the requests are checked and uploaded. A thread of its own: no
 * lane of workers waits for itself. */
void submission_begin_durable(struct submission *s)
{
	s->syncs = pthread_create(&s->syncing, NULL, sync_requests, s) == 0;
	if (!s->syncs)
		sync_requests(s);
}

int submission_durable(struct submission *s)
{
	if (s->syncs)
		pthread_join(s->syncing, NULL);
	s->syncs = false;
	if (!s->sync_err && s->composed && fdatasync(s->fd) < 0)
		s->sync_err = -errno;
	s->composed = false;
	return s->sync_err;
}

/* Remove the copy of an earlier try, which was made from other bytes. */
static void drop_sent(struct submission *s)
{
	_cleanup_close_ int dir = job_dir_open(s->job);

	if (dir >= 0)
		unlinkat(dir, STORE_SENT, 0);
}

static int look_through_requests(struct submission *s, int in)
{
	_cleanup_free_ char *text = NULL;
	int err = follow_finish(files_take_follow(s->t->file),
		s->c->api.provider->requests, in, &s->t->cancel.set, &s->report);

	if (err)
		return err;
	if (!split_may_cut(s->job) &&
		s->report.send_size > (uint64_t)s->c->api.provider->limits->requests)
		s->report.too_big = true;
	err = validate_report_status(&s->report);
	if (err)
		text = validate_report_text(&s->report);
	else
		err = attach_resolve(s, (struct lines_span){in, 0, -1}, &text);
	return text ? submission_refuse(s, err, text) : err;
}

/* Nothing that the user put there to be sent is ignored silently. */
static bool is_mixed(struct submission *s)
{
	bool mixed;

	client_lock(s->c);
	mixed = !s->t->file->composed && !s->t->again && !s->t->queued &&
		(compose_draft_has_parts(s->job) ||
			(compose_draft_has_inputs(s->job) && !s->report.loose_uris));
	client_unlock(s->c);
	return mixed;
}

static int refuse_mixed_requests(struct submission *s)
{
	files_decided(s->t->file);
	s->told = s->unfit = true;
	if (s->t->from)
		/* If that fails, the file is still where mv took it from. */
		DROP(files_reject(s->t->file, s->job));
	return compose_draft_refuse_mixed(s->job);
}

/* Warnings delay nothing, and nothing is refused because of them. */
static void advise(struct submission *s)
{
	_cleanup_free_ char *model = NULL;
	struct warnings w = {0};

	client_lock(s->c);
	model = s->rec->model ? strdup(s->rec->model) : NULL;
	client_unlock(s->c);
	if (s->t->advice)
		warnings_text(&w, s->t->advice);
	warn_lines(&s->report, s->c->api.provider->requests, model, &w);
	advice_keep(s->job, &w);
}

static int check_requests(struct submission *s)
{
	int in = gb_file_fd(s->t->file), err;

	if (in < 0)
		return in;
	if ((err = look_through_requests(s, in)))
		return err;
	if (is_mixed(s))
		return refuse_mixed_requests(s);
	drop_sent(s);
	client_lock(s->c);
	s->rec->batch->requests = (int64_t)s->report.requests;
	s->rec->batch->embedding = s->report.asks == ASKS_EMBEDDING;
	s->rec->names_files = s->attached != NULL;
	client_unlock(s->c);
	s->is_inline = goes_inline(s);
	if (s->is_inline)
		return normalize_inline(in, &s->report,
			s->c->api.provider->limits->inlined, &s->inline_text,
			&s->inline_len);
	if (!s->report.clean)
		return compose(s, in);
	s->fd = fcntl(in, F_DUPFD_CLOEXEC, 0);
	s->size = (int64_t)s->report.file_size;
	return s->fd < 0 ? -errno : 0;
}

int submission_check(struct submission *s)
{
	int err = check_requests(s);

	if (!err)
		advise(s);
	return err;
}
