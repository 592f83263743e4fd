/* A desk by gembatch itself: jobs, and what is written. Reading: direct_read.c. */
#include "cli/desk_direct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/await.h"
#include "cli/turns.h"
#include "util/util.h"
#include "virtual/virtual_files.h"

#define OWN_TURN 3.0  /* seconds for which it is kept, whoever wants it */
#define TOLD 10.0     /* seconds until an end is told, once the results are here */
#define REMOVING 30.0 /* seconds for which a removal that was accepted is watched */

/* ---- jobs ------------------------------------------------------------------------ */

int direct_find_job(struct desk *d, const char *name, struct gb_job **ret)
{
	struct gb_client *gb = direct_of(d)->m.gb;
	struct gb_job *job = gb_job_by_name(gb, name);
	int err = 0;

	if (!job)
		err = (int)AWAIT(-1, w, gb_list_refresh(gb, GB_LIST_FRESH, w));
	if (!job && err == -EINTR)
		return err;
	if (!job)
		job = gb_job_by_name(gb, name);
	if (!job)
		job = gb_job_by_id(gb, name);
	*ret = job;
	return job ? 0 : -ENOENT;
}

static int direct_make(struct desk *d, const char *name)
{
	struct gb_client *gb = direct_of(d)->m.gb;
	struct gb_job *job = NULL;
	int listed = (int)AWAIT(-1, w, gb_list_refresh(gb, GB_LIST_FRESH, w));
	int err = listed == -EINTR ? listed : gb_draft_create(gb, name, !listed, &job);

	gb_job_unref(job);
	return err;
}

/* The first step has been accepted; the others follow while somebody has the state
 * directory open. -EIO: refused, and the job is there again. */
static int watch_removal(struct gb_client *gb, struct gb_job *job)
{
	double until = seconds_now() + REMOVING;
	struct gb_job *again;
	struct gb_info info;

	do {
		usleep(20000);
		gb_job_info(job, &info);
	} while (info.removing && seconds_now() < until && !cli_stopped());
	if (info.removing)
		return -EAGAIN;
	again = gb_job_by_slot(gb, info.slot);
	gb_job_unref(again);
	return again ? -EIO : 0;
}

static int direct_remove(struct desk *d, const char *name)
{
	struct gb_job *job;
	int err = direct_find_job(d, name, &job);

	if (err)
		return err;
	err = (int)AWAIT(-1, w, gb_remove(job, w));
	if (!err)
		err = watch_removal(direct_of(d)->m.gb, job);
	gb_job_unref(job);
	return err;
}

static void stop_waiting(struct direct *way)
{
	int err;

	if (!way->waits_for)
		return;
	await_drop(&way->wait, &err);
	await_free(&way->wait);
	gb_job_unref(STEAL_PTR(way->waits_for));
}

/* -EINPROGRESS: way waits. */
static int start_waiting(struct direct *way, struct gb_job *job)
{
	if (way->waits_for == job)
		return -EINPROGRESS;
	stop_waiting(way);
	int err = gb_job_wait(job, await_begin(&way->wait));
	if (err == -EINPROGRESS)
		way->waits_for = gb_job_ref(job);
	else
		await_free(&way->wait);
	return err;
}

static int direct_wait(struct desk *d, const char *name, double seconds)
{
	struct direct *way = direct_of(d);
	struct gb_job *job;
	int err = direct_find_job(d, name, &job);

	if (err)
		return err;
	err = start_waiting(way, job);
	if (err == -EINPROGRESS && await_some(&way->wait, seconds, &err)) {
		await_free(&way->wait);
		gb_job_unref(STEAL_PTR(way->waits_for));
	}
	gb_job_unref(job);
	return err;
}

static int direct_take_end(struct desk *d, const char *name)
{
	double until = seconds_now() + TOLD;
	struct gb_job *job;
	int err = direct_find_job(d, name, &job);

	if (err)
		return err;
	while ((err = gb_job_take_end(job)) == -EBUSY && seconds_now() < until &&
		!cli_stopped())
		usleep(20000);
	gb_job_unref(job);
	return err;
}

/* ---- writing --------------------------------------------------------------------- */

/* One component of the path, made if it is not there. */
static int step_into(struct gb_job *job, struct gb_file **dir, const char *name)
{
	struct gb_file *next = gb_file_by_name(job, *dir, name);
	int err = next ? 0 : gb_file_mkdir(job, *dir, name, &next);

	if (err)
		return err;
	gb_file_unref(*dir);
	*dir = next;
	return gb_file_is_dir(next) ? 0 : -ENOTDIR;
}

/* The directory of path in *ret (NULL: the top), its last component in *ret_name. */
static int walk(struct gb_job *job, char *path, struct gb_file **ret, char **ret_name)
{
	char *slash;
	int err = 0;

	*ret = NULL;
	for (; !err && (slash = strchr(path, '/')); path = slash + 1) {
		*slash = '\0';
		err = step_into(job, ret, path);
	}
	*ret_name = path;
	return err;
}

static int copy_in(struct gb_file *f, int fd)
{
	_cleanup_free_ char *buf = malloc(DIRECT_CHUNK);
	off_t at = 0;
	ssize_t n = buf ? 1 : -ENOMEM;
	int err = buf ? gb_file_truncate(f, 0) : -ENOMEM;

	while (!err && (n = pread(fd, buf, DIRECT_CHUNK, at)) > 0) {
		err = cli_stopped() ? -EINTR : gb_file_write(f, buf, (size_t)n, at);
		at += n;
	}
	if (!err && n < 0)
		err = -errno;
	/* What was cut short must not pass for complete. */
	if (err)
		gb_file_taint(f, "not submitted: writing it was interrupted");
	gb_file_settle(f);
	return err ? err : (int)AWAIT(-1, w, gb_file_sync(f, w));
}

static int direct_write(struct desk *d, const char *name, const char *path, int fd)
{
	struct gb_file *dir = NULL, *f = NULL;
	_cleanup_free_ char *copy = strdup(path);
	struct gb_job *job = NULL;
	char *last;
	int err = copy ? direct_find_job(d, name, &job) : -ENOMEM;

	if (!err)
		err = walk(job, copy, &dir, &last);
	if (!err)
		err = gb_file_create(job, dir, last, false, &f);
	if (!err)
		err = copy_in(f, fd);
	gb_file_unref(f);
	gb_file_unref(dir);
	gb_job_unref(job);
	return err;
}

static int direct_store(
	struct desk *d, const char *name, const char *file, const char *text)
{
	const struct vfile *v = vfile_by_name(IN_JOB, file);
	struct gb_job *job;
	int err = v && v->store ? direct_find_job(d, name, &job) : -EOPNOTSUPP;

	if (err)
		return err;
	err = (int)AWAIT(-1, w, v->store(&direct_of(d)->m, job, text, w));
	gb_job_unref(job);
	return err;
}

/* ---- the state directory's turns ------------------------------------------------- */

static int direct_breathe(struct desk *d)
{
	bool mine = seconds_now() - direct_of(d)->since < OWN_TURN;

	return mine || !turns_wanted(d->place->o) ? 0 : desk_again(d);
}

static void direct_close(struct desk *d)
{
	stop_waiting(direct_of(d));
	gb_close(direct_of(d)->m.gb);
	free(d->way);
}

static const struct desk_ops direct_ops = {direct_make, direct_remove, direct_write,
	direct_store, direct_read, direct_list, direct_wait,
	direct_take_end, direct_breathe, direct_close};

int desk_direct_enter(struct desk *d, struct gb_client *gb)
{
	struct direct *way = calloc(1, sizeof(*way));

	if (!way) {
		gb_close(gb);
		return -ENOMEM;
	}
	*way = (struct direct){.m = {.o = d->place->o, .gb = gb}, .since = seconds_now()};
	clock_gettime(CLOCK_REALTIME, &way->m.started); /* wall: shown */
	d->ops = &direct_ops;
	d->way = way;
	d->tick = 1;
	d->shared = false;
	return 0;
}
