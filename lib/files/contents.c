/*
 * The contents of a job's files. Each file is written through one descriptor, which is
 * opened when first needed and closed when nobody refers to the file.
 *
 * A file that is being written is incomplete until its last writer has closed it
 * successfully. Its mode on disk says so during that time (MARKED), so that this
 * survives a crash, a full disk and a rename.
 */
#include "files/files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

enum { WHOLE = 0600, MARKED = 0700 };

/* Lock held: whether f is, or is to be, part of what a job's submission consists of. */
static bool is_sent(const struct gb_file *f)
{
	return f->job && files_is_sent(f->job, f->parent, f->name);
}

static bool is_requests_file(const struct gb_file *f)
{
	return f->job && !f->parent && strcmp(f->name, GB_REQUESTS) == 0;
}

/* Its content is about to change: no task may begin to send it before end_change. Files
 * of a job that is being sent or was sent may not change; nor may the source of a
 * rename that submits, which its task holds, nor a file from which a task is making
 * requests. */
static int begin_change(struct gb_file *f, struct gb_job **ret)
{
	int err = 0;

	client_lock(f->c);
	bool sent = is_sent(f);
	if (f->is_dir)
		err = -EISDIR;
	else if (f->composed ||
		 (sent && !phase_is_draft(f->job->dir->rec.batch->phase)))
		err = -EROFS;
	else if (f->held || (sent && f->job->dir->task && f->job->dir->gathering))
		err = -EBUSY;
	*ret = !err && sent ? gb_job_ref(f->job) : NULL;
	if (!err) {
		f->writers++;
		if (*ret)
			(*ret)->dir->writers++;
	}
	client_unlock(f->c);
	return err;
}

/* Steals job: what begin_change returned. */
static void end_change(struct gb_file *f, struct gb_job *job)
{
	client_lock(f->c);
	f->writers--;
	if (job)
		job->dir->writers--;
	client_unlock(f->c);
	gb_job_unref(job);
}

static int mark_mode(struct gb_file *f, mode_t mode)
{
	int fd = gb_file_fd(f);

	if (fd < 0)
		return fd;
	if (f->marked == (mode == MARKED))
		return 0;
	if (fchmod(fd, mode) < 0)
		return -errno;
	f->marked = mode == MARKED;
	return 0;
}

/* Once per submission: from the first change on the draft's old upload, error and
 * SUBMIT_FAILED are void, and that is on disk before the change is. */
static int before_change(struct gb_file *f, struct gb_job *job)
{
	int err = mark_mode(f, MARKED);

	if (err || !job || f->touched == job->dir->touches)
		return err;
	unsigned now = job->dir->touches;
	err = files_touch(job);
	if (!err)
		f->touched = now;
	return err;
}

/* Lock held: the requests composed from a draft's parts are outdated. Readers may
 * finish reading them. */
static struct gb_file *drop_composed(struct gb_job *job)
{
	struct gb_file *f = files_find(job, GB_REQUESTS);

	if (!f || !f->composed)
		return NULL;
	job->batch->requests = -1;
	job->dir->rec.batch->requests = -1;
	files_unlink(f);
	return f;
}

int files_touch(struct gb_job *job)
{
	struct record *r = &job->dir->rec;
	struct gb_file *old = NULL;

	pthread_mutex_lock(&job->dir->disk);
	client_lock(job->c);
	bool draft = phase_is_draft(r->batch->phase);
	bool composed = draft && r->composed;
	bool stale = draft && (r->batch->phase == PHASE_FAILED || r->batch->session ||
				      r->error || r->warned ||
				      r->estimate_tokens >= 0);
	client_unlock(job->c);
	if (composed) {
		struct gb_file *f = gb_file_by_name(job, NULL, GB_REQUESTS);

		/* Open readers need its descriptor before its name is removed. */
		int fd = f && f->refs > 2 ? files_open(job, f) : 0;
		gb_file_unref(f);
		if (fd < 0) {
			pthread_mutex_unlock(&job->dir->disk);
			return fd;
		}
	}
	client_lock(job->c);
	if (stale) {
		job_set_phase(job, PHASE_DRAFT);
		record_unset(&r->batch->session);
		record_unset(&r->error);
		r->err = 0;
		r->warned = false;
		record_forget_estimate(r);
	}
	if (composed) {
		r->composed = false;
		old = drop_composed(job);
	}
	bool checked = job->dir->checked;
	free(job->dir->checked);
	job->dir->checked = NULL;
	client_unlock(job->c);
	int err = stale || composed ? job_dir_save_locked(job) : 0;
	if (composed && !err) {
		test_point("composed-taken-back");
		_cleanup_close_ int dir = job_dir_open(job);
		if (dir >= 0)
			unlinkat(dir, FILE_COMPOSED, 0);
	}
	pthread_mutex_unlock(&job->dir->disk);
	gb_file_unref(old);
	if (stale || composed || checked)
		job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	return err;
}

/* Lock held: what may be requests, now or under another name. */
static bool may_be_requests(const struct gb_file *f)
{
	return f->job && !f->parent && (is_requests_file(f) || !is_sent(f));
}

/* Bytes [off, end) were written, or for end = off may have been: continue the check
 * during the writing. */
static void note_written(struct gb_file *f, off_t off, off_t end)
{
	struct follow *begun = NULL;

	client_lock(f->c);
	if (off <= f->in_order && end > f->in_order)
		f->in_order = end;
	if (end > f->length)
		f->length = end;
	bool begin = !f->follow && f->in_order >= FOLLOW_STEP && may_be_requests(f);
	client_unlock(f->c);
	if (begin)
		begun = follow_begin(f->c->follows, f->fd);
	client_lock(f->c);
	if (!f->follow)
		f->follow = STEAL_PTR(begun);
	if (f->follow)
		follow_wrote(f->follow, off, f->in_order);
	client_unlock(f->c);
	follow_end(begun);
}

struct follow *files_take_follow(struct gb_file *f)
{
	client_lock(f->c);
	struct follow *taken = STEAL_PTR(f->follow);
	client_unlock(f->c);
	return taken;
}

/* What is to be changed now; or an error. */
static int fd_to_change(struct gb_file *f, struct gb_job *job)
{
	int err = before_change(f, job);

	return err ? err : gb_file_fd(f);
}

int gb_file_write(struct gb_file *f, const void *buf, size_t n, off_t off)
{
	struct gb_job *job;
	int err = begin_change(f, &job), fd;

	if (err)
		return err;
	err = fd = fd_to_change(f, job);
	if (fd >= 0) {
		f->changes++;
		test_point("file-write");
		err = util_pwrite_all(fd, buf, n, off);
		note_written(f, off, err ? off : off + (off_t)n);
	}
	end_change(f, job);
	return err;
}

/* What was followed has changed, and at most size bytes are in order. */
static void note_truncated(struct gb_file *f, off_t size)
{
	follow_end(files_take_follow(f));
	client_lock(f->c);
	if (f->in_order > size)
		f->in_order = size;
	f->length = size;
	client_unlock(f->c);
}

static int set_taint(struct gb_file *f, const char *why)
{
	struct gb_job *job = NULL;
	int err = 0;

	f->tainted = why != NULL;
	mark_mode(f, why ? MARKED : WHOLE);
	client_lock(f->c);
	if (is_requests_file(f)) {
		job = gb_job_ref(f->job);
		err = record_set(&job->dir->rec.taint, why);
	}
	client_unlock(f->c);
	if (!job)
		return 0;
	if (why)
		job_dir_save_soon(job);
	else if (!err)
		err = job_dir_save(job);
	gb_job_unref(job);
	return err;
}

int gb_file_truncate(struct gb_file *f, off_t size)
{
	struct gb_job *job;
	int err = begin_change(f, &job), fd;

	if (err)
		return err;
	err = fd = fd_to_change(f, job);
	if (fd >= 0) {
		f->changes++;
		note_truncated(f, size);
		err = ftruncate(fd, size) < 0 ? -errno : 0;
	}
	end_change(f, job);
	return !err && size == 0 && f->tainted ? set_taint(f, NULL) : err;
}

void gb_file_settle(struct gb_file *f)
{
	if (f->marked && !f->tainted)
		mark_mode(f, WHOLE);
}

void files_decided(struct gb_file *f)
{
	f->decided = f->changes;
	f->touched = 0;
}

bool files_is_decided(struct gb_file *f)
{
	return f->decided == f->changes;
}

bool gb_file_tainted(struct gb_file *f)
{
	return f->tainted;
}

/* Of a part of a composed draft: `error` says so at once, `submit` will again. */
static void explain_part(struct gb_job *job, struct gb_file *f, const char *why)
{
	char path[FILE_PATH_MAX] = "a file";

	client_lock(job->c);
	if (f->job)
		files_path(f, path);
	client_unlock(job->c);
	_cleanup_free_ char *what = util_format("%s is incomplete.", path);
	_cleanup_free_ char *text = util_format("%s\n", why);
	job_dir_error(job, -EBADMSG, what ? what : "A file is incomplete.",
		"Nothing was sent. Write the file again or remove it.", text);
	files_changed(job);
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
}

void gb_file_busy(struct gb_file *f)
{
	char path[FILE_PATH_MAX] = "a file";

	client_lock(f->c);
	struct gb_job *job = f->job && f->job->dir &&
					     phase_is_draft(job_phase(f->job)) &&
					     !f->job->dir->task
				     ? gb_job_ref(f->job)
				     : NULL;
	if (job)
		files_path(f, path);
	client_unlock(f->c);
	if (!job)
		return;
	_cleanup_free_ char *what = util_format("%s is still open for writing.", path);
	job_dir_error(job, -EBUSY, what ? what : "A file is still open for writing.",
		"Nothing was sent. When its writer has closed it: echo submit > ctl, or the same "
		"mv again",
		NULL);
	files_changed(job);
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
	gb_job_unref(job);
}

void gb_file_explain_taint(struct gb_file *f)
{
	_cleanup_free_ char *why = NULL;
	struct gb_job *job = NULL;

	client_lock(f->c);
	struct job_dir *l = is_requests_file(f) ? f->job->dir : NULL;
	if (l && l->rec.taint && !l->rec.error) {
		why = strdup(l->rec.taint);
		job = gb_job_ref(f->job);
	}
	client_unlock(f->c);
	if (why)
		gb_job_explain(job, why);
	gb_job_unref(job);
}

void gb_file_taint(struct gb_file *f, const char *why)
{
	set_taint(f, why);
	client_lock(f->c);
	struct gb_job *job = is_sent(f) ? gb_job_ref(f->job) : NULL;
	bool requests = is_requests_file(f);
	client_unlock(f->c);
	if (job && requests)
		gb_job_explain(job, why);
	else if (job)
		explain_part(job, f, why);
	gb_job_unref(job);
}

void files_changed(struct gb_job *job)
{
	client_lock(job->c);
	job->dir->touches++;
	client_unlock(job->c);
}

void gb_job_explain(struct gb_job *job, const char *why)
{
	if (!job->dir)
		return;
	job_dir_error(job, EINTR, why,
		"Nothing was sent. If the file is complete: echo submit > ctl. If not: write "
		"it under another name here, and mv it to requests.jsonl",
		NULL);
	files_changed(job); /* the next write makes the explanation void */
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
}

void gb_job_explain_name(struct gb_job *job, const char *text, const char *todo)
{
	_cleanup_free_ char *what = strdup(text);

	if (!what)
		return;
	for (char *p = what; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?'; /* names can hold anything */
	client_lock(job->c);
	const struct job_dir *l = job->dir;
	bool shown = l && phase_is_draft(job_phase(job)) && !l->task && !l->rec.error;
	client_unlock(job->c);
	if (!shown) {
		client_log(
			job->c, LOG_WARNING, "%s: %s %s", job_label(job), what, todo);
		return;
	}
	job_dir_error(job, -EPERM, what, todo, NULL);
	files_changed(job); /* the next change makes the explanation void */
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
}

bool files_claim(struct gb_file *f)
{
	if (f->held || f->writers)
		return false;
	return f->held = true;
}

void files_let_go(struct gb_file *f)
{
	f->held = false;
}
