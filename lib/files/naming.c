/*
 * Making, renaming and removing files and directories of a job: the name on disk and
 * the name in memory change together, under local.disk.
 */
#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

/* In a job's directory, beside files/, while it has no name of its own. */
#define COPY_NAME "copy.tmp"

/* Lock held. Whether dir (NULL: the top) still is a directory of job, and name fits
 * into it. */
static int check_place(struct gb_job *job, struct gb_file *dir, const char *name)
{
	char path[FILE_PATH_MAX];
	int err;

	if (!job->dir || !job->in_tree || (dir && dir->job != job))
		return -ENOENT;
	if (!dir)
		return 0;
	if (!dir->is_dir)
		return -ENOTDIR;
	err = files_path(dir, path);
	if (!err && strlen(path) + strlen(name) + 2 > sizeof(path))
		err = -ENAMETOOLONG;
	return err;
}

/* Lock held: may `name` in dir be made, replaced or removed? */
static int may_rename(struct gb_job *job, struct gb_file *dir, const char *name)
{
	int err = check_place(job, dir, name);
	const struct gb_file *f = err ? NULL : files_find_in(job, dir, name);

	if (err)
		return err;
	if (f && f->held)
		return -EBUSY;
	if (f && (f->composed || (f->is_dir && !dir)))
		return -EPERM;
	if (!files_is_sent(job, dir, name))
		return 0;
	if (!phase_is_draft(job_phase(job)))
		return -EPERM;
	bool requests = !dir && strcmp(name, GB_REQUESTS) == 0;
	return job->dir->task && (requests || job->dir->gathering) ? -EBUSY : 0;
}

/* A foreign job gets a directory of its own with its first scratch file. */
static int ensure_local(struct gb_job *job)
{
	return job->dir ? 0 : job_dir_make(job);
}

/* `error` may depend on the names; the draft's last submission, and what its parts
 * were composed to, on some of them. */
static void names_changed(struct gb_job *job, struct gb_file *dir, const char *name)
{
	bool one_of_many;

	/* The change is made; what it invalidates must not come back at a start. */
	if (files_is_sent(job, dir, name) && files_touch(job))
		job_dir_save_soon(job);
	client_lock(job->c);
	one_of_many = dir && dir->children.things > 1;
	client_unlock(job->c);
	/* It matters whether there are inputs, not how many. */
	if (!one_of_many)
		job_changed(job, GB_CHANGED_FILES);
}

/* ---- making ---------------------------------------------------------------------- */

/* Disk held. On disk and in memory; f is linked. */
static int make(struct gb_job *job, struct gb_file *dir, const char *name,
	struct gb_file *f)
{
	_cleanup_close_ int at = files_open_dir(job, dir);
	int err = at < 0 ? at : 0, fd = -1;

	if (!err && f->is_dir)
		err = mkdirat(at, name, 0700) < 0 ? -errno : 0;
	else if (!err && (fd = openat(at, name,
				  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
				  0600)) < 0)
		err = -errno;
	if (err)
		return err;
	f->fd = fd;
	client_lock(job->c);
	err = files_link(job, dir, f);
	client_unlock(job->c);
	if (err)
		unlinkat(at, name, f->is_dir ? AT_REMOVEDIR : 0);
	return err;
}

/* *ret: what was made, with a reference, or what was there before (*ret_there). */
static int make_or_find(struct gb_job *job, struct gb_file *dir, const char *name,
	bool is_dir, struct gb_file **ret, bool *ret_there)
{
	struct gb_file *f, *there;
	int err = ensure_local(job);

	if (err)
		return err;
	f = files_new(job, name);
	if (!f)
		return -ENOMEM;
	f->is_dir = is_dir;
	pthread_mutex_lock(&job->dir->disk);
	client_lock(job->c);
	there = files_find_in(job, dir, name);
	if (there)
		gb_file_ref(there);
	else
		err = may_rename(job, dir, name);
	client_unlock(job->c);
	if (!there && !err) {
		gb_file_ref(f); /* the table's */
		err = make(job, dir, name, f);
		if (err)
			f->refs--;
	}
	pthread_mutex_unlock(&job->dir->disk);
	if (!there && !err)
		*ret = STEAL_PTR(f);
	else if (there)
		*ret = there;
	*ret_there = there;
	gb_file_unref(f);
	if (!err && !there)
		names_changed(job, dir, name);
	return err;
}

int gb_file_create(struct gb_job *job, struct gb_file *dir, const char *name, bool excl,
	struct gb_file **ret)
{
	struct gb_file *f = NULL;
	bool there;
	int err = make_or_find(job, dir, name, false, &f, &there);

	if (!err && there && excl)
		err = -EEXIST;
	else if (!err && f->is_dir)
		err = -EISDIR;
	if (err)
		gb_file_unref(f);
	else
		*ret = f;
	return err;
}

int gb_file_mkdir(
	struct gb_job *job, struct gb_file *dir, const char *name, struct gb_file **ret)
{
	struct gb_file *f = NULL;
	bool there;
	int err;

	if (!dir)
		return gb_job_has_file(job, NULL, name) ? -EEXIST : -EPERM;
	err = make_or_find(job, dir, name, true, &f, &there);
	if (!err && there)
		err = -EEXIST;
	if (err)
		gb_file_unref(f);
	else
		*ret = f;
	return err;
}

bool gb_job_has_file(struct gb_job *job, struct gb_file *dir, const char *name)
{
	struct gb_file *f = gb_file_by_name(job, dir, name);

	gb_file_unref(f);
	return f;
}

/* ---- removing -------------------------------------------------------------------- */

/* Lock held. */
static int may_remove(
	struct gb_job *job, struct gb_file *dir, const char *name, bool is_dir)
{
	const struct gb_file *f;
	int err = may_rename(job, dir, name);

	if (err)
		return err;
	f = files_find_in(job, dir, name);
	if (!f)
		return -ENOENT;
	if (f->is_dir != is_dir)
		return is_dir ? -ENOTDIR : -EISDIR;
	return f->children.things ? -ENOTEMPTY : 0;
}

static int remove_name(
	struct gb_job *job, struct gb_file *dir, const char *name, bool is_dir)
{
	struct gb_client *c = job->c;
	struct gb_file *f = NULL;
	int err;

	if (!job->dir)
		return -ENOENT;
	pthread_mutex_lock(&job->dir->disk);
	client_lock(c);
	err = may_remove(job, dir, name, is_dir);
	if (!err)
		f = gb_file_ref(files_find_in(job, dir, name));
	client_unlock(c);
	_cleanup_close_ int at = err ? -1 : files_open_dir(job, dir);
	if (!err && at < 0)
		err = at;
	/* Whoever has it open finds it by name, if not before now. */
	if (!err && !is_dir && f->refs > 2 && (err = files_open(job, f)) > 0)
		err = 0;
	if (!err && unlinkat(at, name, is_dir ? AT_REMOVEDIR : 0) < 0)
		err = -errno;
	if (!err) {
		client_lock(c);
		files_unlink(f);
		client_unlock(c);
	}
	pthread_mutex_unlock(&job->dir->disk);
	if (!err) {
		if (!dir && strcmp(name, GB_REQUESTS) == 0) {
			client_lock(c);
			record_unset(&job->dir->rec.taint);
			client_unlock(c);
		}
		gb_file_unref(f); /* the table's */
		names_changed(job, dir, name);
	}
	gb_file_unref(f);
	return err;
}

int gb_file_unlink(struct gb_job *job, struct gb_file *dir, const char *name)
{
	return remove_name(job, dir, name, false);
}

int gb_file_rmdir(struct gb_job *job, struct gb_file *dir, const char *name)
{
	return remove_name(job, dir, name, true);
}

/* ---- renaming -------------------------------------------------------------------- */

/* Two jobs' disks in one order, whoever asks. */
static void lock_two(struct gb_job *a, struct gb_job *b)
{
	if (a->slot > b->slot) {
		struct gb_job *x = a;

		a = b;
		b = x;
	}
	pthread_mutex_lock(&a->dir->disk);
	if (a != b)
		pthread_mutex_lock(&b->dir->disk);
}

static void unlock_two(struct gb_job *a, struct gb_job *b)
{
	pthread_mutex_unlock(&a->dir->disk);
	if (a != b)
		pthread_mutex_unlock(&b->dir->disk);
}

/* Disks held. The rename on disk and in memory; *ret_old is the file replaced. */
static int move_file(struct gb_file *f, struct gb_job *to, struct gb_file *dir,
	const char *new_name, struct gb_file **ret_old)
{
	struct gb_job *from = f->job;
	_cleanup_close_ int src = files_open_dir(from, f->parent);
	_cleanup_close_ int dst = files_open_dir(to, dir);
	_cleanup_counted_ const char *copy = counted_new(new_name);
	int err;

	if (src < 0 || dst < 0 || !copy)
		return src < 0 ? src : dst < 0 ? dst : -ENOMEM;
	/* Whoever has it open finds it by name, if not before now. */
	struct gb_file *old = gb_file_by_name(to, dir, new_name);
	err = old && old != f && !old->is_dir && old->refs > 2 ? files_open(to, old)
							       : 0;
	if (err >= 0)
		err = renameat(src, f->name, dst, new_name) < 0 ? -errno : 0;
	if (err < 0) {
		gb_file_unref(old);
		return err;
	}
	client_lock(to->c);
	if (old == f || (old && !old->job)) {
		old->refs--;
		old = NULL;
	}
	if (old) {
		files_unlink(old);
		old->refs--; /* this one and the caller's: the table's is left to it */
	}
	err = files_move(f, to, dir, &copy);
	client_unlock(to->c);
	*ret_old = old;
	return err;
}

/* Lock held: whether dir is f or below it. */
static bool is_below_dir(const struct gb_file *dir, const struct gb_file *f)
{
	while (dir && dir != f)
		dir = dir->parent;
	return dir;
}

/* Lock held. As rename(2) has it. */
static int fits_together(const struct gb_file *f, const struct gb_file *dir,
	const struct gb_file *old, bool noreplace)
{
	if (!f)
		return -ENOENT;
	if (old && noreplace)
		return -EEXIST;
	if (f->is_dir && !dir)
		return -EPERM; /* below inputs/ alone there are directories */
	if (is_below_dir(dir, f))
		return -EINVAL;
	if (!old || old == f)
		return 0;
	if (f->is_dir != old->is_dir)
		return f->is_dir ? -ENOTDIR : -EISDIR;
	return old->children.things ? -ENOTEMPTY : 0;
}

int gb_file_rename(struct gb_job *from, struct gb_file *from_dir, const char *name,
	struct gb_job *to, struct gb_file *to_dir, const char *new_name, bool noreplace)
{
	struct gb_client *c = to->c;
	struct gb_file *old = NULL;
	int err = ensure_local(to);

	if (err)
		return err;
	if (!from->dir)
		return -ENOENT;
	lock_two(from, to);
	client_lock(c);
	struct gb_file *f = NULL;
	if (!(err = may_rename(from, from_dir, name)) &&
		!(err = may_rename(to, to_dir, new_name))) {
		f = files_find_in(from, from_dir, name);
		err = fits_together(
			f, to_dir, files_find_in(to, to_dir, new_name), noreplace);
	}
	client_unlock(c);
	if (!err)
		err = move_file(f, to, to_dir, new_name, &old);
	unlock_two(from, to);
	gb_file_unref(old);
	if (!err) {
		names_changed(from, from_dir, name);
		names_changed(to, to_dir, new_name);
	}
	return err;
}

int files_promote(struct gb_job *from, struct gb_file *f, struct gb_job *job)
{
	struct gb_file *old = NULL;
	int err;

	lock_two(from, job);
	client_lock(job->c);
	bool there = f->job == from;
	client_unlock(job->c);
	err = there ? move_file(f, job, NULL, GB_REQUESTS, &old) : -ENOENT;
	_cleanup_close_ int dir = err ? -1 : job_dir_open_files(job);
	if (!err)
		err = dir < 0 ? dir : util_sync_dir(dir);
	unlock_two(from, job);
	gb_file_unref(old);
	return err;
}

/* The bytes of `in` in a file of their own, nameless yet, in job's directory. */
static int copy_aside(int in, struct gb_job *job)
{
	struct stat st;
	off_t at = 0;

	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	_cleanup_close_ int out =
		dir < 0 ? -1
			: openat(dir, COPY_NAME,
				  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
				  0600);
	int err = dir < 0 ? dir : out < 0 ? -errno : 0;
	pthread_mutex_unlock(&job->dir->disk);
	if (!err && fstat(in, &st) < 0)
		err = -errno;
	while (!err && at < st.st_size) {
		ssize_t n = sendfile(out, in, &at, (size_t)(st.st_size - at));

		if (n <= 0 && !(n < 0 && errno == EINTR))
			err = n < 0 ? -errno : -EIO;
	}
	if (!err)
		futimens(out, (struct timespec[2]){st.st_atim, st.st_mtim});
	return err;
}

/* Disks held. A link instead of a copy if the disk is too full: two names for the same
 * bytes are better than one that a program removes. */
static int name_rejected(
	struct gb_file *f, struct gb_job *from, struct gb_job *job, bool copied)
{
	_cleanup_close_ int src = files_open_dir(from, f->parent);
	_cleanup_close_ int dir = job_dir_open_files(job);
	_cleanup_close_ int at = job_dir_open(job);

	if (dir < 0 || at < 0 || src < 0)
		return dir < 0 ? dir : at < 0 ? at : src;
	if (copied)
		return renameat(at, COPY_NAME, dir, GB_REJECTED) < 0 ? -errno : 0;
	unlinkat(at, COPY_NAME, 0);
	unlinkat(dir, GB_REJECTED, 0);
	return linkat(src, f->name, dir, GB_REJECTED, 0) < 0 ? -errno : 0;
}

int files_reject(struct gb_file *f, struct gb_job *job)
{
	struct gb_file *copy = NULL, *old = NULL;

	client_lock(job->c);
	struct gb_job *from = f->job ? gb_job_ref(f->job) : NULL;
	bool is_it = from == job && !f->parent && strcmp(f->name, GB_REJECTED) == 0;
	client_unlock(job->c);
	if (!from)
		return -ENOENT;
	if (is_it) {
		gb_job_unref(from);
		return 0;
	}
	bool copied = copy_aside(gb_file_fd(f), job) == 0;
	copy = files_new(job, GB_REJECTED);
	if (copy)
		copy->length = f->length;
	lock_two(from, job);
	int err = copy ? name_rejected(f, from, job, copied) : -ENOMEM;
	if (!err) {
		client_lock(job->c);
		old = files_find(job, GB_REJECTED);
		if (old)
			files_unlink(old);
		if (!(err = files_link(job, NULL, copy)))
			copy = NULL;
		client_unlock(job->c);
	}
	unlock_two(from, job);
	gb_file_unref(old);
	gb_file_unref(copy);
	gb_job_unref(from);
	return err;
}
