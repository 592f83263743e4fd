/*
 * The contents of a job's files: written through one descriptor a file, which is
 * opened when first needed and closed when nobody refers to the file.
 */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

uint32_t gb_file_number(const struct gb_file *f)
{
	return f->number;
}

struct gb_file *gb_file_ref(struct gb_file *f)
{
	f->refs++;
	return f;
}

void gb_file_unref(struct gb_file *f)
{
	if (!f || --f->refs)
		return;
	int fd = f->fd;
	util_closep(&fd);
	free(f->name);
	free(f);
}

struct gb_file *files_new(struct gb_job *job, const char *name)
{
	struct gb_file *f = calloc(1, sizeof(*f));
	char *copy = strdup(name);

	if (!f || !copy) {
		free(f);
		free(copy);
		return NULL;
	}
	f->c = job->c;
	f->name = copy;
	f->refs = 1;
	f->fd = -1;
	return f;
}

/* Lock held: into job's table, at the end, so that numbers rise. */
void files_link(struct gb_job *job, struct gb_file *f, bool new_number)
{
	struct gb_file **at = &job->local->files;

	if (new_number)
		f->number = job->local->next_file++;
	while (*at && (*at)->number < f->number)
		at = &(*at)->next;
	f->next = *at;
	f->job = job;
	*at = f;
}

/* Lock held: out of its table; the table's reference goes to the caller. */
void files_unlink(struct gb_file *f)
{
	struct gb_file **at = &f->job->local->files;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->next = NULL;
	f->job = NULL;
}

struct gb_file *files_find(struct gb_job *job, const char *name)
{
	struct gb_file *f = job->local ? job->local->files : NULL;

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

bool files_has(struct gb_job *job, const char *name)
{
	return files_find(job, name) != NULL;
}

const char *files_next_name(const struct gb_job *job, const char *prev)
{
	const struct gb_file *f = job->local ? job->local->files : NULL;

	while (prev && f && f->name != prev)
		f = f->next;
	if (prev && f)
		f = f->next;
	return f ? f->name : NULL;
}

static int load_entry(void *arg, const char *name)
{
	struct gb_job *job = arg;
	struct gb_file *f = files_new(job, name);

	if (!f)
		return -ENOMEM;
	f->tainted = job->local->rec.taint && strcmp(name, GB_REQUESTS) == 0;
	files_link(job, f, true);
	return 0;
}

/* At start, before there are other threads. */
int files_load(struct gb_job *job)
{
	int fd = local_files_dir(job);
	DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *e;
	int err = 0;

	if (!d)
		return fd < 0 ? fd : -errno;
	rewinddir(d);
	while (!err && (e = readdir(d)))
		if (e->d_type == DT_REG)
			err = load_entry(job, e->d_name);
	closedir(d);
	/* Ten thousand jobs would need as many descriptors. */
	util_closep(&job->local->files_dir);
	util_closep(&job->local->dir);
	job->local->files_dir = job->local->dir = -1;
	return err;
}

void files_free(struct local *l)
{
	struct gb_file *f;

	while ((f = l->files)) {
		l->files = f->next;
		f->job = NULL;
		gb_file_unref(f);
	}
}

/* ---- finding --------------------------------------------------------------------- */

struct gb_file *gb_file_by_name(struct gb_job *job, const char *name)
{
	client_lock(job->c);
	struct gb_file *f = files_find(job, name);
	if (f)
		gb_file_ref(f);
	client_unlock(job->c);
	return f;
}

struct gb_file *gb_file_next(struct gb_job *job, uint32_t number)
{
	client_lock(job->c);
	struct gb_file *f = job->local ? job->local->files : NULL;
	while (f && f->number < number)
		f = f->next;
	if (f)
		gb_file_ref(f);
	client_unlock(job->c);
	return f;
}

struct gb_file *gb_file_by_number(struct gb_job *job, uint32_t number)
{
	struct gb_file *f = gb_file_next(job, number);

	if (f && f->number != number) {
		gb_file_unref(f);
		f = NULL;
	}
	return f;
}

bool gb_file_name(struct gb_file *f, char *name)
{
	client_lock(f->c);
	bool has = f->job != NULL;
	if (has)
		snprintf(name, 256, "%s", f->name);
	client_unlock(f->c);
	return has;
}

/* ---- contents ----------------------------------------------------------------------- */

static int file_fd(struct gb_file *f)
{
	int fd = f->fd;

	if (fd >= 0)
		return fd;
	client_lock(f->c);
	struct gb_job *job = f->job ? gb_job_ref(f->job) : NULL;
	client_unlock(f->c);
	if (!job)
		return f->fd >= 0 ? f->fd : -ESTALE;
	pthread_mutex_lock(&job->local->disk);
	int dir = local_files_dir(job);
	fd = f->fd;
	if (fd < 0 && dir >= 0) {
		fd = openat(dir, f->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			fd = -errno;
		else
			f->fd = fd;
	} else if (fd < 0) {
		fd = dir;
	}
	pthread_mutex_unlock(&job->local->disk);
	gb_job_unref(job);
	return fd;
}

int gb_file_fd(struct gb_file *f)
{
	return file_fd(f);
}

int gb_file_stat(struct gb_file *f, struct stat *ret)
{
	int fd = file_fd(f);

	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

/* Lock held: whether f is what a job's submission consists of. */
static bool is_requests(const struct gb_file *f)
{
	return f->job && strcmp(f->name, GB_REQUESTS) == 0;
}

/* Its content is to change: no task may begin to send it before end_change. Requests
 * of a job that is being sent or was sent may not; nor may the source of a rename that
 * submits, which its task holds. */
static int begin_change(struct gb_file *f)
{
	int err = 0;

	client_lock(f->c);
	if (is_requests(f) && !phase_is_draft(f->job->local->rec.phase))
		err = -EROFS;
	else if (f->held)
		err = -EBUSY;
	else
		f->writers++;
	client_unlock(f->c);
	return err;
}

static void end_change(struct gb_file *f)
{
	client_lock(f->c);
	f->writers--;
	client_unlock(f->c);
}

/* Once per submission: from the first change on the draft's old upload, error and
 * SUBMIT_FAILED are void, and that is on disk before the change is. */
static int before_change(struct gb_file *f)
{
	int err;

	if (f->touched)
		return 0;
	client_lock(f->c);
	struct gb_job *job = is_requests(f) ? gb_job_ref(f->job) : NULL;
	client_unlock(f->c);
	if (!job)
		return 0;
	err = files_touch(job);
	f->touched = !err;
	gb_job_unref(job);
	return err;
}

int files_touch(struct gb_job *job)
{
	struct record *r = &job->local->rec;

	client_lock(job->c);
	bool stale = phase_is_draft(r->phase) &&
		     (r->phase == PHASE_FAILED || r->session || r->error);
	if (stale) {
		job_set_phase(job, PHASE_DRAFT);
		record_set(&r->session, NULL);
		record_set(&r->error, NULL);
		r->err = 0;
	}
	free(job->local->checked);
	job->local->checked = NULL;
	client_unlock(job->c);
	if (!stale)
		return 0;
	int err = local_save(job);
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	return err;
}

int gb_file_write(struct gb_file *f, const void *buf, size_t n, off_t off)
{
	int err = begin_change(f), fd;

	if (err)
		return err;
	if (!(err = before_change(f)) && (err = fd = file_fd(f)) >= 0) {
		f->changes++;
		test_point("file-write");
		err = util_pwrite_all(fd, buf, n, off);
	}
	end_change(f);
	return err;
}

static int set_taint(struct gb_file *f, const char *why)
{
	struct gb_job *job = NULL;

	f->tainted = why != NULL;
	client_lock(f->c);
	if (is_requests(f)) {
		job = gb_job_ref(f->job);
		record_set(&job->local->rec.taint, why);
	}
	client_unlock(f->c);
	if (!job)
		return 0;
	int err = local_save(job);
	gb_job_unref(job);
	return err;
}

int gb_file_truncate(struct gb_file *f, off_t size)
{
	int err = begin_change(f), fd;

	if (err)
		return err;
	if (!(err = before_change(f)) && (err = fd = file_fd(f)) >= 0) {
		f->changes++;
		err = ftruncate(fd, size) < 0 ? -errno : 0;
	}
	end_change(f);
	return !err && size == 0 && f->tainted ? set_taint(f, NULL) : err;
}

int gb_file_set_times(struct gb_file *f, const struct timespec times[2])
{
	int fd = file_fd(f);

	if (fd < 0)
		return fd;
	return futimens(fd, times) < 0 ? -errno : 0;
}

void files_decided(struct gb_file *f)
{
	f->decided = f->changes;
	f->touched = false;
}

bool files_is_decided(struct gb_file *f)
{
	return f->decided == f->changes;
}

bool gb_file_tainted(struct gb_file *f)
{
	return f->tainted;
}

void gb_file_taint(struct gb_file *f, const char *why)
{
	set_taint(f, why);
	client_lock(f->c);
	struct gb_job *job = is_requests(f) ? gb_job_ref(f->job) : NULL;
	client_unlock(f->c);
	if (job)
		gb_job_explain(job, why);
	gb_job_unref(job);
}

void gb_job_explain(struct gb_job *job, const char *why)
{
	if (!job->local)
		return;
	local_error(job, EINTR, why,
		"Nothing was sent. Write the file again, or, if it is whole: echo submit > ctl",
		NULL);
	client_lock(job->c);
	struct gb_file *f = files_find(job, GB_REQUESTS);
	if (f)
		f->touched = false; /* the next write makes the explanation void */
	client_unlock(job->c);
	local_save(job);
	job_changed(job, GB_CHANGED_FILES);
}

static int sync_run(struct task *t)
{
	int fd = file_fd(t->file);

	if (fd < 0 || fsync(fd) < 0)
		return fd < 0 ? fd : -errno;
	pthread_mutex_lock(&t->job->local->disk);
	int dir = local_files_dir(t->job);
	int err = dir < 0 ? dir : util_sync_dir(dir);
	pthread_mutex_unlock(&t->job->local->disk);
	return err;
}

int gb_file_sync(struct gb_file *f, struct gb_waiter *w)
{
	struct task fill = {.file = f};

	client_lock(f->c);
	struct gb_job *job = f->job ? gb_job_ref(f->job) : NULL;
	client_unlock(f->c);
	if (!job)
		return 0; /* has no name: nothing to make durable */
	int err = task_start(job, WORK_SHORT, sync_run, false, false, &fill, w);
	gb_job_unref(job);
	return err;
}
