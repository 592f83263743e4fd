/*
 * Where a job's files are on disk. A file is opened by its name when its descriptor is
 * first needed; until then its size and times are those of the name.
 */
#include "files/files.h"
#include "jobs/operation.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A directory below dir, which is closed; inputs/ is made when it is first needed. */
static int descend(int dir_take, const char *name, bool make)
{
	int fd = util_dir_open(dir_take, name, make);

	close(dir_take);
	return fd;
}

int files_open_dir(struct gb_job *job, struct gb_file *dir)
{
	char path[FILE_PATH_MAX] = "", *at = path, *part;
	int fd, err = 0;

	client_lock(job->c);
	if (dir)
		err = dir->job == job ? files_path(dir, path) : -ENOENT;
	client_unlock(job->c);
	if (err)
		return err;
	fd = job_dir_open_files(job);
	for (bool top = true; fd >= 0 && (part = strsep(&at, "/")); top = false)
		if (*part)
			fd = descend(fd, part, top);
	return fd;
}

/* Disk held. Where it is: a descriptor, the caller closes, and the name there. */
static int find_place(struct gb_file *f, char name[256])
{
	client_lock(f->c);
	struct gb_job *job = f->job;
	struct gb_file *parent = f->parent;
	snprintf(name, 256, "%s", f->composed ? FILE_COMPOSED : f->name);
	client_unlock(f->c);
	if (!job)
		return -ESTALE;
	if (!f->composed)
		return files_open_dir(job, parent);
	return job_dir_open(job);
}

int files_open(struct gb_job *job, struct gb_file *f)
{
	char name[256];
	int fd = f->fd;

	if (fd >= 0)
		return fd;
	_cleanup_close_ int dir = find_place(f, name);
	if (dir < 0)
		return dir;
	fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	f->fd = fd;
	return fd;
}

/* Lock held: the first file from *number on, which moves past it. */
static struct gb_file *next_held(struct gb_job *job, uint32_t *number)
{
	struct gb_file *f = files_any(job, *number);

	while (f && (f->is_dir || f->refs < 2))
		f = files_any(job, f->number + 1);
	if (f)
		*number = f->number + 1;
	return f ? gb_file_ref(f) : NULL;
}

int files_hold(struct gb_job *job)
{
	struct gb_file *f;
	uint32_t number = 0;
	int err = 0;

	do {
		client_lock(job->c);
		f = next_held(job, &number);
		client_unlock(job->c);
		err = f ? files_open(job, f) : 0;
		gb_file_unref(f);
	} while (f && err >= 0);
	return err < 0 ? err : 0;
}

int files_open_requests(struct gb_job *job, struct stat *ret)
{
	client_lock(job->c);
	bool composed = job->dir->rec.composed;
	client_unlock(job->c);
	_cleanup_close_ int dir = composed ? job_dir_open(job) : job_dir_open_files(job);

	return dir < 0 ? dir
		       : util_open_regular(
				 dir, composed ? FILE_COMPOSED : GB_REQUESTS, ret);
}

int files_open_sent(struct gb_job *job, int64_t size, struct stat *ret)
{
	_cleanup_close_ int dir = job_dir_open(job);
	_cleanup_close_ int fd =
		dir < 0 ? dir : util_open_regular(dir, STORE_SENT, ret);

	return fd >= 0 && ret->st_size == size ? steal_fd(&fd)
					       : files_open_requests(job, ret);
}

/* The job f belongs to, with its disk held; NULL when it has none. Ends with
 * end_disk. */
static struct gb_job *begin_disk(struct gb_file *f)
{
	client_lock(f->c);
	struct gb_job *job = f->job ? gb_job_ref(f->job) : NULL;
	client_unlock(f->c);
	if (job)
		pthread_mutex_lock(&job->dir->disk);
	return job;
}

static void end_disk(struct gb_job *job)
{
	pthread_mutex_unlock(&job->dir->disk);
	gb_job_unref(job);
}

int files_reopen(struct gb_file *f)
{
	struct gb_job *job = begin_disk(f);
	char name[256];

	if (!job)
		return -ESTALE;
	_cleanup_close_ int dir = find_place(f, name);
	int fd = dir < 0 ? dir : openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (dir >= 0 && fd < 0)
		fd = -errno;
	end_disk(job);
	return fd;
}

int gb_file_fd(struct gb_file *f)
{
	int fd = f->fd;

	if (fd >= 0)
		return fd;
	struct gb_job *job = begin_disk(f);
	if (!job)
		return f->fd >= 0 ? f->fd : -ESTALE;
	fd = files_open(job, f);
	end_disk(job);
	return fd;
}

/* inputs/ as long as it is not needed on disk. */
static void imagine_dir(struct gb_job *job, struct stat *ret)
{
	*ret = (struct stat){.st_mode = S_IFDIR | 0600};
	client_lock(job->c);
	ret->st_mtim.tv_sec = job->dir->rec.made_s;
	ret->st_mtim.tv_nsec = job->dir->rec.made_ns;
	client_unlock(job->c);
	ret->st_atim = ret->st_ctim = ret->st_mtim;
}

/* By name: a listing opens nothing. */
static int stat_place(struct gb_job *job, struct gb_file *f, struct stat *ret)
{
	char name[256];
	_cleanup_close_ int dir = find_place(f, name);

	if (dir < 0)
		return dir;
	if (fstatat(dir, name, ret, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT || !f->is_dir || f->parent)
		return -errno;
	imagine_dir(job, ret);
	return 0;
}

int gb_file_stat(struct gb_file *f, struct stat *ret)
{
	struct gb_job *job;
	int fd = f->fd, err;

	if (fd >= 0)
		return fstat(fd, ret) < 0 ? -errno : 0;
	job = begin_disk(f);
	if (!job)
		return f->fd >= 0 && fstat(f->fd, ret) == 0 ? 0 : -ESTALE;
	err = stat_place(job, f, ret);
	end_disk(job);
	return err;
}

static int set_times_at(struct gb_file *f, const struct timespec times[2])
{
	char name[256];
	_cleanup_close_ int dir = find_place(f, name);

	if (dir < 0)
		return dir;
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT && f->is_dir ? 0 : -errno; /* inputs/ imagined */
}

int gb_file_set_times(struct gb_file *f, const struct timespec times[2])
{
	struct gb_job *job;
	int fd = f->fd, err;

	if (fd >= 0)
		return futimens(fd, times) < 0 ? -errno : 0;
	job = begin_disk(f);
	if (!job)
		return -ESTALE;
	err = set_times_at(f, times);
	end_disk(job);
	return err;
}

/* Its name, and those of the directories it is in. */
static int sync_names(struct gb_job *job, struct gb_file *f)
{
	int err = 0;

	pthread_mutex_lock(&job->dir->disk);
	client_lock(job->c);
	struct gb_file *dir = f->job == job ? f->parent : NULL;
	client_unlock(job->c);
	for (bool more = true; more && !err; dir = more ? dir->parent : NULL) {
		_cleanup_close_ int fd = files_open_dir(job, dir);

		err = fd < 0 ? fd : util_sync_dir(fd);
		more = dir != NULL;
	}
	pthread_mutex_unlock(&job->dir->disk);
	return err;
}

int files_sync(struct gb_job *job, struct gb_file *f)
{
	int fd = f->is_dir ? 0 : gb_file_fd(f);

	if (fd < 0)
		return fd;
	if (!f->is_dir && fsync(fd) < 0)
		return -errno;
	return sync_names(job, f);
}

static int sync_run(struct operation *t)
{
	return files_sync(t->job, t->file);
}

int gb_file_sync(struct gb_file *f, struct gb_waiter *w)
{
	struct operation fill = {.file = f};

	client_lock(f->c);
	struct gb_job *job = f->job ? gb_job_ref(f->job) : NULL;
	client_unlock(f->c);
	if (!job)
		return 0; /* has no name: nothing to make durable */
	int err = operation_start(job, POOL_SHORT, sync_run, false, false, &fill, w);
	gb_job_unref(job);
	return err;
}
