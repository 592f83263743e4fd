/*
 * Making, renaming and removing files of a job: the name on disk and the name in
 * memory change together, under local.disk.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

/* In a job's directory, beside files/, while it has no name of its own. */
#define COPY_NAME "copy.tmp"

/* Lock held: may `name` of job be made, replaced or removed? */
static int may_rename(struct gb_job *job, const char *name)
{
	if (!job->local || !job->in_tree)
		return -ENOENT;
	const struct gb_file *f = files_find(job, name);
	if (f && f->held)
		return -EBUSY;
	if (strcmp(name, GB_REQUESTS) != 0)
		return 0;
	if (!phase_is_draft(job->local->rec.phase))
		return -EPERM;
	return job->local->task ? -EBUSY : 0;
}

/* A foreign job gets a directory of its own with its first scratch file. */
static int ensure_local(struct gb_job *job)
{
	return job->local ? 0 : local_make(job);
}

/* `error` may depend on the names; the draft's last submission on one of them. */
static void names_changed(struct gb_job *job, const char *name)
{
	if (strcmp(name, GB_REQUESTS) == 0)
		files_touch(job);
	job_changed(job, GB_CHANGED_FILES);
}

int gb_file_create(
	struct gb_job *job, const char *name, bool excl, struct gb_file **ret)
{
	struct gb_client *c = job->c;
	struct gb_file *f, *there;
	int err = ensure_local(job), fd;

	if (err)
		return err;
	f = files_new(job, name);
	if (!f)
		return -ENOMEM;
	pthread_mutex_lock(&job->local->disk);
	client_lock(c);
	there = files_find(job, name);
	if (there)
		gb_file_ref(there);
	else
		err = may_rename(job, name);
	client_unlock(c);
	if (there || err)
		goto out;
	int dir = local_files_dir(job);
	fd = dir < 0 ? dir
		     : openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			       0600);
	if (fd < 0) {
		err = dir < 0 ? dir : -errno;
		goto out;
	}
	f->fd = fd;
	client_lock(c);
	files_link(job, f, true);
	gb_file_ref(f);
	client_unlock(c);
	*ret = STEAL_PTR(f);
out:
	pthread_mutex_unlock(&job->local->disk);
	if (there && !err) {
		if (excl) {
			gb_file_unref(there);
			err = -EEXIST;
		} else {
			*ret = there;
		}
	}
	gb_file_unref(f);
	if (!err && !there)
		names_changed(job, name);
	return err;
}

int gb_file_unlink(struct gb_job *job, const char *name)
{
	struct gb_client *c = job->c;
	struct gb_file *f = NULL;
	int err;

	if (!job->local)
		return -ENOENT;
	pthread_mutex_lock(&job->local->disk);
	client_lock(c);
	err = may_rename(job, name);
	if (!err && !files_find(job, name))
		err = -ENOENT;
	client_unlock(c);
	if (err)
		goto out;
	int dir = local_files_dir(job);
	if (dir < 0 || unlinkat(dir, name, 0) < 0) {
		err = dir < 0 ? dir : -errno;
		goto out;
	}
	client_lock(c);
	f = files_find(job, name);
	files_unlink(f);
	client_unlock(c);
out:
	pthread_mutex_unlock(&job->local->disk);
	if (!err && strcmp(name, GB_REQUESTS) == 0) {
		client_lock(c);
		record_set(&job->local->rec.taint, NULL);
		client_unlock(c);
	}
	if (!err)
		names_changed(job, name);
	gb_file_unref(f);
	return err;
}

/* Two jobs' disks in one order, whoever asks. */
static void lock_two(struct gb_job *a, struct gb_job *b)
{
	if (a->slot > b->slot) {
		struct gb_job *x = a;

		a = b;
		b = x;
	}
	pthread_mutex_lock(&a->local->disk);
	if (a != b)
		pthread_mutex_lock(&b->local->disk);
}

static void unlock_two(struct gb_job *a, struct gb_job *b)
{
	pthread_mutex_unlock(&a->local->disk);
	if (a != b)
		pthread_mutex_unlock(&b->local->disk);
}

/* Disks held. The rename on disk and in memory; *ret_old is the file replaced. */
static int move_file(struct gb_file *f, struct gb_job *from, struct gb_job *to,
	const char *new_name, struct gb_file **ret_old)
{
	int src = local_files_dir(from), dst = local_files_dir(to);
	char *copy = strdup(new_name);

	if (src < 0 || dst < 0 || !copy) {
		free(copy);
		return src < 0 ? src : dst < 0 ? dst : -ENOMEM;
	}
	/* The descriptor is found by name: open it while the name is known. */
	if (f->fd < 0)
		f->fd = openat(src, f->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (renameat(src, f->name, dst, new_name) < 0) {
		free(copy);
		return -errno;
	}
	client_lock(to->c);
	struct gb_file *old = files_find(to, new_name);
	if (old == f)
		old = NULL;
	if (old)
		files_unlink(old);
	free(f->name);
	f->name = copy;
	if (from != to) {
		files_unlink(f);
		f->number = to->local->next_file++;
		files_link(to, f, false);
	}
	client_unlock(to->c);
	*ret_old = old;
	return 0;
}

int gb_file_rename(struct gb_job *from, const char *name, struct gb_job *to,
	const char *new_name, bool noreplace)
{
	struct gb_client *c = to->c;
	struct gb_file *old = NULL;
	int err = ensure_local(to);

	if (err)
		return err;
	if (!from->local)
		return -ENOENT;
	lock_two(from, to);
	client_lock(c);
	struct gb_file *f = files_find(from, name);
	if (!(err = may_rename(from, name)))
		err = may_rename(to, new_name);
	if (!err && !f)
		err = -ENOENT;
	if (!err && noreplace && files_find(to, new_name))
		err = -EEXIST;
	client_unlock(c);
	if (!err)
		err = move_file(f, from, to, new_name, &old);
	unlock_two(from, to);
	gb_file_unref(old);
	if (!err) {
		names_changed(from, name);
		names_changed(to, new_name);
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
	err = there ? move_file(f, from, job, GB_REQUESTS, &old) : -ENOENT;
	if (!err)
		err = util_sync_dir(job->local->files_dir);
	unlock_two(from, job);
	gb_file_unref(old);
	return err;
}

/* The bytes of `in` in a file of their own, nameless yet, in job's directory. */
static int copy_aside(int in, struct gb_job *job)
{
	struct stat st;
	off_t at = 0;

	pthread_mutex_lock(&job->local->disk);
	int dir = local_dir(job);
	int out = dir < 0 ? dir
			  : openat(dir, COPY_NAME,
				    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = out < 0 ? -errno : 0;
	pthread_mutex_unlock(&job->local->disk);
	if (!err && fstat(in, &st) < 0)
		err = -errno;
	while (!err && at < st.st_size) {
		ssize_t n = sendfile(out, in, &at, (size_t)(st.st_size - at));

		if (n <= 0 && !(n < 0 && errno == EINTR))
			err = n < 0 ? -errno : -EIO;
	}
	if (!err)
		futimens(out, (struct timespec[2]){st.st_atim, st.st_mtim});
	util_closep(&out);
	return err;
}

/* Disks held. A link instead of a copy where the disk is too full for that: better two
 * names of the same bytes than one that a program removes. */
static int name_rejected(struct gb_file *f, struct gb_job *from, struct gb_job *job, bool copied)
{
	int dir = local_files_dir(job), at = local_dir(job), src = local_files_dir(from);

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
	bool is_it = from == job && strcmp(f->name, GB_REJECTED) == 0;
	client_unlock(job->c);
	if (!from)
		return -ENOENT;
	if (is_it) {
		gb_job_unref(from);
		return 0;
	}
	bool copied = copy_aside(gb_file_fd(f), job) == 0;
	copy = files_new(job, GB_REJECTED);
	lock_two(from, job);
	int err = copy ? name_rejected(f, from, job, copied) : -ENOMEM;
	if (!err) {
		client_lock(job->c);
		old = files_find(job, GB_REJECTED);
		if (old)
			files_unlink(old);
		files_link(job, STEAL_PTR(copy), true);
		client_unlock(job->c);
	}
	unlock_two(from, job);
	gb_file_unref(old);
	gb_file_unref(copy);
	gb_job_unref(from);
	return err;
}
