/*
 * From a draft to a job.
 *
 * A submission is a list of steps. What must be known after a crash is in the journal
 * (record.h, `phase`) before the step that makes it true is taken:
 *
 *   check    the bytes are durable and good; what is sent is composed if it differs
 *   begin    UPLOADING (or QUEUED: from here on a background close has returned)
 *   upload   the session is journalled as soon as there is one
 *   intend   SUBMITTING: from here on there may be a job
 *   create   sent at most once per intent
 *
 * Before `intend` nothing costs money, and a crash leaves a draft. Between `intend`
 * and the answer a crash leaves SUBMITTING, and settle.c finds out. An answer that
 * proves that nothing was made (429, another 4xx, no connection) takes the intent
 * back, in the journal, before anything else happens. There is no path on which a
 * create is sent twice for one intent, and none from SUBMITTING to another create but
 * through such a proof or a person who writes `resubmit`.
 *
 * Resubmitting changes nothing in the journal until the new intent takes the place of
 * the old one: until then the lost job can be found, and then no other is made. Where
 * the new create is refused the old intent stands again.
 */
#include "client.h"
#include "compose.h"
#include "errors.h"
#include "scan.h"
#include "submit.h"
#include "upload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

enum {
	CLOSE_TRIES = 4,            /* creates answered with 429, while a caller waits */
	CLOSE_PATIENCE = 60,        /* seconds a caller waits for a lost answer */
	QUEUE_GIVE_UP = 24 * 3600,
	UPLOAD_GOOD = 40 * 3600,    /* an upload older than this is not sent any more */
};

/* An intent whose answer is missing. */
struct lost {
	enum phase phase;
	char *input_file;
	bool is_inline;
};

struct submission {
	struct task *t;
	struct gb_job *job;
	struct gb_client *c;
	struct record *rec;
	struct scan_report report;
	int fd;             /* what is sent; -1 */
	int64_t size;
	bool is_inline;
	char *input_file;   /* uploaded for this create, not yet in the record */
	bool moved;         /* the rename's file is requests.jsonl */
	struct lost lost;   /* resubmit: what the new intent took the place of */
	char *inline_text;
	size_t inline_len;
	struct api_error err;
	bool told;          /* `error` is written already */
};

/* ---- what to tell -------------------------------------------------------------- */

static const struct {
	int err;
	const char *what, *todo;
} tales[] = {
	{-EINVAL, "The API refused the job.",
		"Read its words below, mend requests.jsonl or model (names: .batchfs/models; "
		"change with: echo NAME > model), then: echo submit > ctl"},
	{-EACCES, "The API refused the key.",
		"Check the key and the project it belongs to, mount again, then: echo submit > ctl"},
	{-EDQUOT, "The API's quota or rate limit is used up.",
		"Wait until running jobs have ended (at most 100 at a time, and a number of "
		"enqueued tokens per model), then: echo submit > ctl"},
	{-EHOSTUNREACH, "The API cannot be reached.",
		"Nothing was bought. When the network is back: echo submit > ctl"},
	{-ETIMEDOUT, "The API did not answer in time.", "Try again: echo submit > ctl"},
	{-ENOSPC, "The local disk is full.", "Make room in state_dir, then: echo submit > ctl"},
	{-EFBIG, "The requests are too large.",
		"At most 2 GB fit in one job: split them (split -l) over several"},
	{-ENOENT, "The API knows no such model or file.",
		"See .batchfs/models; change with: echo NAME > model, then: echo submit > ctl"},
	{0, "The API failed.", "Nothing was bought. Try again: echo submit > ctl"},
};

void submit_tell(struct gb_job *job, int err, const char *text)
{
	size_t i = 0;

	while (tales[i].err && tales[i].err != err)
		i++;
	local_error(job, err, tales[i].what, tales[i].todo, text);
}

static void set_phase(struct gb_job *job, enum phase p)
{
	client_lock(job->c);
	job_set_phase(job, p);
	client_unlock(job->c);
}

static void set_text(struct gb_job *job, char **field, const char *value)
{
	client_lock(job->c);
	record_set(field, value);
	client_unlock(job->c);
}

/* Phase to disk, then to the world; when the disk refuses, back. */
static int enter(struct gb_job *job, enum phase p)
{
	enum phase before = job_phase(job);

	set_phase(job, p);
	int err = local_save(job);
	if (err)
		set_phase(job, before);
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	return err;
}

/* ---- start ----------------------------------------------------------------------- */

/* Between the choice and this thread another task may have done it all. From here on
 * the job is ours. */
static int step_start(struct submission *s)
{
	client_lock(s->c);
	enum phase p = job_phase(s->job);
	bool fits = s->t->again	   ? p == PHASE_SUBMITTING || p == PHASE_UNCERTAIN
		    : s->t->queued ? p == PHASE_QUEUED
				   : phase_is_draft(p);
	fits &= !s->job->id && !s->rec->removal;
	client_unlock(s->c);
	return fits ? 0 : -EBUSY;
}

/* ---- check ----------------------------------------------------------------------- */

static int refuse(struct submission *s, int err)
{
	_cleanup_free_ char *text = scan_report_text(&s->report);

	files_decided(s->t->file);
	if (err == -EFBIG)
		submit_tell(s->job, err, text);
	else
		local_error(s->job, err, "requests.jsonl cannot be sent as it is.",
			"Nothing was sent. Mend these lines and write the file again:", text);
	s->told = true;
	if (s->t->from)
		files_reject(s->t->file, s->job);
	return err;
}

/* A copy of the requests as they go out, where that is not byte for byte. */
static int compose(struct submission *s, int in)
{
	off_t size;
	int dir, err;

	pthread_mutex_lock(&s->job->local->disk);
	dir = local_dir(s->job);
	s->fd = dir < 0 ? -1
			: openat(dir, "sent.jsonl",
				  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = s->fd < 0 ? -errno : 0;
	pthread_mutex_unlock(&s->job->local->disk);
	if (err)
		return err;
	err = compose_file(in, s->fd, &s->report, &s->t->cancel.set, &size);
	if (!err && fdatasync(s->fd) < 0)
		err = -errno;
	s->size = size;
	return err;
}

static bool goes_inline(const struct submission *s)
{
	return s->c->o.inline_max && s->report.send_size <= s->c->o.inline_max;
}

/* The bytes are what a retry after a crash will send: they and their name first. */
static int make_durable(struct submission *s, int in)
{
	struct gb_job *at = s->t->from ? s->t->from : s->job;
	int dir, err;

	if (fsync(in) < 0)
		return -errno;
	pthread_mutex_lock(&at->local->disk);
	dir = local_files_dir(at);
	err = dir < 0 ? dir : util_sync_dir(dir);
	pthread_mutex_unlock(&at->local->disk);
	return err;
}

static int step_check(struct submission *s)
{
	int in = gb_file_fd(s->t->file), err;

	if (in < 0)
		return in;
	if ((err = make_durable(s, in)))
		return err;
	err = scan_file(in, &s->t->cancel.set, &s->report);
	if (!err && (err = scan_report_status(&s->report)))
		return refuse(s, err);
	if (err)
		return err;
	client_lock(s->c);
	s->rec->requests = (int64_t)s->report.requests;
	client_unlock(s->c);
	s->is_inline = goes_inline(s);
	if (s->is_inline)
		return compose_inline(in, &s->report, &s->inline_text, &s->inline_len);
	if (!s->report.clean)
		return compose(s, in);
	s->fd = fcntl(in, F_DUPFD_CLOEXEC, 0);
	s->size = (int64_t)s->report.file_size;
	return s->fd < 0 ? -errno : 0;
}

/* ---- begin, upload ------------------------------------------------------------------ */

/* Lock held. An upload is taken up only by the very content it was begun with: the
 * name may have come to stand for another of the same size. */
static void keep_session_of(struct submission *s, const struct stat *st)
{
	char stamp[96];

	snprintf(stamp, sizeof(stamp), "%lld %llu %lld.%09ld", (long long)s->size,
		(unsigned long long)st->st_ino, (long long)st->st_mtim.tv_sec,
		st->st_mtim.tv_nsec);
	if (!s->rec->sent_stamp || strcmp(s->rec->sent_stamp, stamp) != 0)
		record_set(&s->rec->session, NULL);
	record_set(&s->rec->sent_stamp, stamp);
	s->rec->sent_size = s->size;
}

/* The rename itself: on disk, and no start does it again. */
static int promote(struct submission *s)
{
	if (!s->t->from || s->moved)
		return 0;
	int err = files_promote(s->t->from, s->t->file, s->job);
	s->moved = !err;
	test_point("promoted");
	if (err || !s->rec->source)
		return err;
	set_text(s->job, &s->rec->source, NULL);
	return local_save(s->job);
}

/* Behind: from here on the bytes are safe and will be sent. */
static int enter_queue(struct submission *s)
{
	int err = s->t->from == s->job ? 0 : promote(s);

	if (!err)
		err = enter(s->job, PHASE_QUEUED);
	if (!err && (err = promote(s)))
		set_phase(s->job, PHASE_DRAFT);
	return err;
}

static int step_begin(struct submission *s)
{
	char name[256];
	struct stat st;
	int err = gb_file_stat(s->t->file, &st);

	if (err)
		return err;
	client_lock(s->c);
	record_set(&s->rec->origin, engine_origin(s->c->engine));
	record_set(&s->rec->key_print, s->c->key_print);
	keep_session_of(s, &st);
	if (!s->t->again) {
		record_set(&s->rec->error, NULL);
		record_set(&s->rec->taint, NULL);
		s->rec->background = s->t->background;
	}
	if (s->t->background && !s->rec->queued_at)
		s->rec->queued_at = time(NULL);
	client_unlock(s->c);
	if (s->t->again)
		return 0;
	if (s->t->from == s->job && gb_file_name(s->t->file, name))
		set_text(s->job, &s->rec->source, name);
	if (!s->t->background)
		return enter(s->job, PHASE_UPLOADING);
	err = enter_queue(s);
	if (err)
		return err;
	/* A background close returns here. */
	s->t->intended = true;
	files_decided(s->t->file);
	task_answer(s->t, 0);
	return client_online(s->c) ? 0 : -EHOSTUNREACH;
}

static int on_session(void *arg, const char *url)
{
	struct submission *s = arg;

	set_text(s->job, &s->rec->session, *url ? url : NULL);
	return local_save(s->job);
}

static void on_progress(void *arg, int64_t n)
{
	struct submission *s = arg;

	s->job->local->uploaded = n;
}

/* A create that was answered with 429 made nothing of its upload. */
static bool uploaded_already(struct submission *s)
{
	if (!s->t->background || !s->rec->input_file ||
		time(NULL) - s->rec->queued_at >= UPLOAD_GOOD)
		return false;
	s->input_file = strdup(s->rec->input_file);
	return s->input_file != NULL;
}

static int step_upload(struct submission *s)
{
	struct upload u = {.fd = s->fd, .size = s->size, .mime = "application/jsonl",
		.display = s->rec->display, .on_session = on_session,
		.on_progress = on_progress, .arg = s};
	struct api_file file = {0};

	if (s->is_inline || uploaded_already(s))
		return 0;
	if (s->t->background)
		set_phase(s->job, PHASE_UPLOADING);
	if (s->rec->session)
		snprintf(u.session, sizeof(u.session), "%s", s->rec->session);
	s->job->local->uploaded = 0;
	s->job->local->uploaded_since = util_now();
	int err = upload_run(s->c->engine, &u, &s->t->cancel, &file, &s->err);
	client_called(s->c, &s->err);
	s->job->local->uploaded_since = 0;
	if (!err) {
		client_lock(s->c);
		record_set(&s->rec->session, NULL);
		s->input_file = STEAL_PTR(file.name);
		client_unlock(s->c);
	}
	api_file_clear(&file);
	return err;
}

/* ---- intend, create -------------------------------------------------------------------- */

static bool unanswered(enum phase p)
{
	return p == PHASE_SUBMITTING || p == PHASE_UNCERTAIN;
}

/* Lock held: the new intent in memory, with what is known of the one it replaces. 0,
 * or the job has been removed or found meanwhile. */
static int note_intent(struct submission *s)
{
	struct record *r = s->rec;
	int err = r->removal ? -ECANCELED : s->job->id ? -EBUSY : 0;

	if (!err && unanswered(r->phase))
		s->lost = (struct lost){r->phase, STEAL_PTR(r->input_file), r->is_inline};
	if (!err)
		err = record_set(&r->input_file, s->input_file);
	if (err)
		return err;
	r->is_inline = s->is_inline;
	r->intent_server = engine_server_time(s->c->engine);
	r->intent_local = time(NULL);
	job_set_phase(s->job, PHASE_SUBMITTING);
	s->job->local->creating = true;
	return 0;
}

/* The intent is void: on disk before anything else is tried. An earlier one whose
 * answer is missing stands again. */
static int take_back(struct submission *s)
{
	struct record *r = s->rec;

	client_lock(s->c);
	s->job->local->creating = false;
	s->t->intended = s->t->background;
	if (s->lost.phase) {
		free(r->input_file);
		r->input_file = STEAL_PTR(s->lost.input_file);
		r->is_inline = s->lost.is_inline;
		job_set_phase(s->job, s->lost.phase);
		s->lost.phase = 0;
	} else {
		job_set_phase(s->job, s->t->background ? PHASE_QUEUED : PHASE_UPLOADING);
	}
	client_unlock(s->c);
	int err = local_save(s->job);
	job_changed(s->job, GB_CHANGED_META | GB_CHANGED_FILES);
	return err;
}

static int step_intend(struct submission *s)
{
	int err = 0;

	s->t->intended = true;
	if (s->t->cancel.set && !s->t->background)
		err = -ECANCELED;
	if (!err && s->t->from != s->job)
		err = promote(s);
	if (!err) {
		client_lock(s->c);
		err = note_intent(s);
		client_unlock(s->c);
	}
	if (err) {
		s->t->intended = s->t->background;
		return err;
	}
	if ((err = local_save(s->job))) {
		take_back(s);
		return err;
	}
	job_changed(s->job, GB_CHANGED_META | GB_CHANGED_FILES);
	test_point("intended");
	if (!s->t->background)
		files_decided(s->t->file);
	err = promote(s);
	if (err && err != -ENOENT)
		take_back(s);
	return err == -ENOENT ? 0 : err;
}

static bool proves_nothing_made(const struct api_error *e)
{
	return e->sent == HTTP_NOT_SENT || e->refused;
}

static int create_once(struct submission *s)
{
	struct canceller none = CANCELLER_INIT;
	struct api_batch b = {0};

	api_error_clear(&s->err);
	test_point("before-create");
	int err = api_create(s->c->engine, s->rec->model, s->rec->display,
		s->is_inline ? NULL : s->input_file, s->inline_text, s->inline_len, &none,
		&b, &s->err);
	test_point("after-create");
	client_called(s->c, &s->err);
	if (!err) {
		err = submit_known(s->job, &b);
		api_batch_clear(&b);
		s->err.sent = HTTP_MAYBE_SENT; /* whatever became of it here */
	}
	return err;
}

/* The answer never came. The caller is told within a minute; looking goes on. */
static int settle(struct submission *s)
{
	int err = -EAGAIN;

	task_deadline(s->t, test_seconds("BATCHFS_TEST_CLOSE_SECONDS", CLOSE_PATIENCE));
	client_lock(s->c);
	s->job->local->creating = false;
	client_unlock(s->c);
	local_error(s->job, -EIO, "The answer to the submission was lost: there may be a job or not.",
		"Wait: batchfs looks for it for 10 minutes before it says more (see state). "
		"To settle it yourself: echo adopt ID > ctl, or echo resubmit > ctl",
		s->err.text);
	local_save(s->job);
	job_changed(s->job, GB_CHANGED_FILES);
	s->told = true;
	for (double pause = 1; err; pause = pause < 8 ? 2 * pause : 8) {
		err = settle_once(s->job, &s->t->cancel);
		if (job_phase(s->job) == PHASE_SENT)
			return 0;
		if (err && (s->t->background || job_phase(s->job) != PHASE_SUBMITTING))
			break;
		if (err && engine_sleep(s->c->engine, pause, &s->t->cancel))
			break;
	}
	if (!err)
		return 0;
	settle_later(s->job);
	return -EIO;
}

/* Who waited has gone while the create was under way: no other is made for nobody. */
static bool caller_left(struct submission *s)
{
	return !s->t->background && waitq_count(&s->t->q) == 0;
}

static int step_create(struct submission *s)
{
	for (int tries = 1;; tries++) {
		int err = create_once(s);

		if (!err)
			return 0;
		if (job_phase(s->job) == PHASE_SENT) /* a list was quicker */
			return 0;
		if (!proves_nothing_made(&s->err))
			return settle(s);
		int saved = take_back(s);
		if (saved)
			return saved;
		if (s->err.status != 429 || s->err.hopeless || s->t->background ||
			tries >= CLOSE_TRIES || caller_left(s))
			return err;
		if (engine_sleep(s->c->engine, engine_backoff(tries + 2, s->err.retry),
			    &s->t->cancel))
			return -ECANCELED;
		if ((err = step_intend(s)))
			return err;
	}
}

/* ---- the end ------------------------------------------------------------------------------ */

/* An upload that no job refers to. */
static void drop_upload(struct submission *s)
{
	struct canceller none = CANCELLER_INIT;
	struct api_error err = {0};
	_cleanup_free_ char *file = NULL;

	client_lock(s->c);
	bool intended = unanswered(s->rec->phase) && s->rec->input_file &&
			s->input_file && strcmp(s->rec->input_file, s->input_file) == 0;
	if (!intended)
		file = STEAL_PTR(s->input_file);
	if (!unanswered(s->rec->phase) && !s->job->id)
		record_set(&s->rec->input_file, NULL);
	client_unlock(s->c);
	if (file && client_online(s->c))
		api_file_delete(s->c->engine, file, &none, &err);
	api_error_clear(&err);
}

/* The next try takes the upload, or rmdir deletes it. */
static void keep_upload(struct submission *s)
{
	client_lock(s->c);
	if (s->input_file)
		record_set(&s->rec->input_file, s->input_file);
	client_unlock(s->c);
}

static int stay_queued(struct submission *s, int err)
{
	if (time(NULL) - s->rec->queued_at > QUEUE_GIVE_UP || s->err.hopeless)
		return err;
	local_error(s->job, err,
		err == -EDQUOT ? "The API's quota or rate limit is used up: the job is queued here."
			       : "The API cannot be reached: the job is queued here.",
		"It is sent as soon as it may be; nothing needs to be done.", s->err.text);
	client_lock(s->c);
	s->rec->tries++;
	client_unlock(s->c);
	enter(s->job, PHASE_QUEUED);
	submit_retry_later(s->c);
	return 0;
}

static bool worth_queueing(const struct submission *s, int err)
{
	return s->t->background && (err == -EDQUOT || err == -EHOSTUNREACH ||
					   err == -ETIMEDOUT || err == -EIO || err == -ECANCELED);
}

static int give_up(struct submission *s, int err)
{
	enum phase p = job_phase(s->job);
	bool cancelled = err == -ECANCELED;

	if (unanswered(p) || p == PHASE_SENT) {
		if (s->t->again)
			drop_upload(s);
		return cancelled ? -EINTR : err;
	}
	if (worth_queueing(s, err) && p != PHASE_DRAFT && p != PHASE_FAILED) {
		keep_upload(s);
		if (cancelled)
			return enter(s->job, PHASE_QUEUED), -EINTR;
		if (stay_queued(s, err) == 0)
			return 0;
	}
	s->t->intended = false;
	if (!cancelled && !s->told)
		submit_tell(s->job, err, s->err.text);
	if (s->t->from && !s->moved && !s->told)
		files_reject(s->t->file, s->job);
	drop_upload(s);
	set_text(s->job, &s->rec->source, NULL);
	if (!cancelled)
		files_decided(s->t->file);
	bool local_only = s->told || cancelled || p == PHASE_DRAFT;
	set_phase(s->job, local_only ? PHASE_DRAFT : PHASE_FAILED);
	local_save(s->job);
	job_changed(s->job, GB_CHANGED_META | GB_CHANGED_FILES);
	return cancelled ? -EINTR : err;
}

static const struct {
	const char *name;
	int (*run)(struct submission *s);
} steps[] = {
	{"check", step_check},   {"begin", step_begin},   {"upload", step_upload},
	{"intend", step_intend}, {"create", step_create},
};

static void step_point(const char *when, const char *name)
{
	char point[32];

	snprintf(point, sizeof(point), "%s-%s", when, name);
	test_point(point);
}

/* What mv must never see: it would try again or copy. */
static int for_rename(int err)
{
	switch (err) {
	case -EINVAL:
	case -EOPNOTSUPP:
	case -ENOSYS:
	case -EXDEV:
		return -EBADMSG;
	default:
		return err;
	}
}

/* The job is free from here on, unless rmdir has overtaken us: then the rest of that
 * is ours. */
static void leave(struct submission *s)
{
	client_lock(s->c);
	s->job->local->creating = false;
	bool removed = s->rec->removal && !s->job->id;
	if (!removed)
		task_disown(s->t);
	client_unlock(s->c);
	if (removed)
		remove_unsent(s->job);
}

int submit_run(struct task *t)
{
	struct submission s = {.t = t, .job = t->job, .c = t->job->c,
		.rec = &t->job->local->rec, .fd = -1, .err = {.retry = -1}};
	int err = step_start(&s);
	bool ours = !err;

	for (size_t i = 0; !err && i < ARRAY_SIZE(steps); i++) {
		step_point("before", steps[i].name);
		err = t->cancel.set && !t->intended ? -ECANCELED : steps[i].run(&s);
		step_point("after", steps[i].name);
	}
	if (err && ours)
		err = give_up(&s, err);
	leave(&s);
	util_closep(&s.fd);
	free(s.inline_text);
	free(s.input_file);
	free(s.lost.input_file);
	api_error_clear(&s.err);
	return t->from ? for_rename(err) : err;
}

int submit_check_run(struct task *t)
{
	struct submission s = {.t = t, .job = t->job, .c = t->job->c,
		.rec = &t->job->local->rec, .fd = -1};
	int err = step_check(&s);

	if (!err) {
		local_error(t->job, 0, NULL, NULL, NULL);
		t->job->requests = (int64_t)s.report.requests;
	}
	local_save(t->job);
	util_closep(&s.fd);
	free(s.inline_text);
	return err == -ECANCELED ? -EINTR : err;
}

int submit_known(struct gb_job *job, const struct api_batch *b)
{
	struct gb_client *c = job->c;
	struct record *r = &job->local->rec;
	uint64_t seq = learn_seq(c);

	client_lock(c);
	bool fresh = !job->id;
	/* The table may have met it as somebody else's. */
	struct gb_job *twin = fresh ? job_find_id(c, b->id) : NULL;
	if (twin)
		job_drop_twin(twin);
	int err = job_set_id(job, b->id);
	if (!err)
		err = record_set(&r->id, b->id);
	if (!err && fresh) {
		job_set_phase(job, PHASE_SENT);
		record_set(&r->session, NULL);
		record_set(&r->error, NULL);
		r->err = 0;
		r->sent_at = time(NULL);
		poll_watch(job);
		poll_poke(c);
	}
	client_unlock(c);
	if (twin)
		remove_twin(twin);
	if (err || !fresh)
		return err;
	/* Should this fail, the journal still says SUBMITTING, and the next start
	 * finds the job by its input file. */
	local_save(job);
	history_add(job, "created");
	gb_job_unref(learn_batch(c, b, seq, false));
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	return 0;
}
