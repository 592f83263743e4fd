#include "answers/sources.h"
#include "archive/complete.h"
#include "archive/save.h"
#include "files/files.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define INDEX ".index"

/* ---- what there can be ----------------------------------------------------------- */

bool answers_sent_here(const struct gb_job *job)
{
	return job->dir && job->dir->rec.own &&
	       (job_phase(job) == PHASE_SENT || job_phase(job) == PHASE_PARTS);
}

/* A person who cancelled a job does not want it again; one that vanished may be
 * wanted. */
bool answers_ended_with_nothing(const struct gb_job *job)
{
	if (job_has_vanished(job))
		return job->dir && !job->dir->rec.batch->cancel_asked;
	return job->batch->id && knowledge_final(&job->batch->known) &&
	       job->batch->state != REMOTE_STATE_CANCELLED &&
	       job_output(job) == GB_OUTPUT_NONE;
}

bool answers_can_be_made(const struct gb_job *job)
{
	return save_is_safe(job) ||
	       (answers_sent_here(job) && answers_ended_with_nothing(job));
}

/* Lock held: the table that the requests were made of. */
const char *answers_table_name(struct gb_job *job)
{
	static const char *const names[] = {"inputs.csv", "inputs.tsv"};

	if (!answers_sent_here(job) || !job->dir->rec.composed)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (files_has(job, names[i]))
			return names[i];
	return NULL;
}

/* ---- where it all lies ----------------------------------------------------------- */

/* Directory (the caller closes it) and name of the index of a job whose results are
 * saved or that has none. */
int answers_index_place(struct gb_job *job, char name[192])
{
	client_lock(job->c);
	bool cached = job->batch->cached && job->batch->id &&
		      !(job->dir && job->dir->rec.batch->home);
	if (cached)
		snprintf(name, 192, "%.140s" INDEX, remote_id_tail(job->batch->id));
	else
		snprintf(name, 192, "results" INDEX);
	client_unlock(job->c);
	return cached ? util_dup(job->c->store->results) : job_dir_open(job);
}

/* The requests as they were sent: a descriptor, or -ENOENT. */
static int open_sent(struct gb_job *job, struct stat *st)
{
	client_lock(job->c);
	/* Those of a part are there before it is sent. */
	bool here = answers_sent_here(job) || job->parent;
	int64_t sent = here ? job->dir->rec.batch->sent_size : 0;
	client_unlock(job->c);
	return here ? files_open_sent(job, sent, st) : -ENOENT;
}

int answers_open_requests(struct gb_job *job, struct stat *st, struct span *ret_at)
{
	client_lock(job->c);
	const struct record *r = job->dir ? &job->dir->rec : NULL;
	bool range = job->parent && !r->round;
	struct gb_job *from = range ? job->parent : job;
	int64_t off = range ? r->range_off : 0;
	int64_t len = job->parent ? r->range_len : 0;
	int64_t sent = job->parent ? r->batch->sent_size : 0;
	client_unlock(job->c);
	int fd = open_sent(from, st);

	/* A later round: the first bytes of its file, unless that is what was sent. */
	if (!range && (!len || len > st->st_size || sent == st->st_size))
		len = st->st_size;
	if (fd >= 0)
		*ret_at = (struct span){(uint64_t)off, (uint64_t)(off + len)};
	return fd;
}

/* The table of a job that has one: a descriptor, or -ENOENT. */
int answers_open_table(struct gb_job *job, struct stat *st, bool *ret_tabs)
{
	client_lock(job->c);
	const char *name = answers_table_name(job);
	client_unlock(job->c);
	if (!name)
		return -ENOENT;
	_cleanup_close_ int files = job_dir_open_files(job);
	*ret_tabs = strcmp(name, "inputs.tsv") == 0;
	return files < 0 ? files : util_open_regular(files, name, st);
}

/* ---- sources --------------------------------------------------------------------- */

/* A block that turned out to be damaged is fetched again. */
static ssize_t wait_ready(struct gb_results *r, uint64_t off, size_t n)
{
	struct waiter_sync s;
	ssize_t got, waited;

	do {
		waiter_sync_init(&s);
		got = results_ready_inside(r, off, n, &s.w);
		waited = waiter_sync_end(&s, got);
	} while (got == -EINPROGRESS && waited == 0);
	return waited;
}

static ssize_t ready_from(
	struct gb_results *r, struct gb_waiter *w, uint64_t off, size_t n)
{
	return w ? results_ready_inside(r, off, n, w) : wait_ready(r, off, n);
}

ssize_t answers_read_from(
	struct gb_results *r, struct gb_waiter *w, uint64_t off, void *buf, size_t n)
{
	ssize_t ready = ready_from(r, w, off, n);

	return ready <= 0 ? ready : results_read(r, buf, (size_t)ready, off);
}

int answers_readv_from(struct gb_results *r, struct gb_waiter *w, uint64_t off,
	struct iovec *v, int n)
{
	size_t left = 0;
	uint64_t at = off;

	for (int i = 0; i < n; i++)
		left += v[i].iov_len;
	while (left) {
		ssize_t ready = ready_from(r, w, at, left);

		if (ready <= 0)
			return ready ? (int)ready : -EIO;
		at += (uint64_t)ready;
		left -= (size_t)ready;
	}
	return results_readv(r, v, n, off);
}

ssize_t answers_read_results(void *arg, uint64_t off, void *buf, size_t n)
{
	struct answers_from *s = arg;

	return answers_read_from(s->results, s->w, off, buf, n);
}

int answers_readv_results(void *arg, uint64_t off, struct iovec *v, int n)
{
	struct answers_from *s = arg;

	return answers_readv_from(s->results, s->w, off, v, n);
}

/* ---- what an index is made of ---------------------------------------------------- */

/* For results that are here and complete, with the known size. -EAGAIN: they are not
 * here any more, because the cache has lost them; this is noted. */
static int stamp_results(
	struct gb_job *job, struct gb_results *r, struct answers_stamp *ret)
{
	int fd = results_fd(r);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 ? fd : -errno;
	if (!results_complete(r) || st.st_size != results_known_size(r)) {
		client_lock(job->c);
		bool cached = job->batch->cached;
		job->batch->cached = job->batch->checked = false;
		client_unlock(job->c);
		return cached ? -EAGAIN : -EIO;
	}
	ret->results_size = st.st_size;
	ret->results_s = st.st_mtim.tv_sec;
	ret->results_ns = st.st_mtim.tv_nsec;
	return 0;
}

void answers_close_all(struct answers_opened *o)
{
	if (o->results)
		gb_results_close(o->results);
	util_closep(&o->requests);
	util_closep(&o->table);
}

int answers_open_asked(struct gb_job *job, struct answers_opened *ret)
{
	struct answers_stamp *stamp = &ret->stamp;
	struct stat st;
	struct span at;
	int fd = answers_open_requests(job, &st, &at);

	if (fd < 0)
		return fd;
	ret->requests = fd;
	stamp->requests_from = (int64_t)at.from;
	stamp->requests_size = (int64_t)at.to;
	stamp->requests_s = st.st_mtim.tv_sec;
	stamp->requests_ns = st.st_mtim.tv_nsec;
	fd = answers_open_table(job, &st, &ret->tabs);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	ret->table = fd;
	stamp->table_size = st.st_size;
	stamp->table_s = st.st_mtim.tv_sec;
	stamp->table_ns = st.st_mtim.tv_nsec;
	return 0;
}

int answers_open_all(struct gb_job *job, struct answers_opened *ret)
{
	int err = 0;

	*ret = ANSWERS_NOT_OPEN;
	client_lock(job->c);
	bool home = save_is_safe(job);
	if (!answers_can_be_made(job))
		err = -EAGAIN;
	client_unlock(job->c);
	if (!err && home)
		err = gb_part_results_open(job, &ret->results);
	if (!err && home)
		err = stamp_results(job, ret->results, &ret->stamp);
	if (err)
		return err;
	err = answers_open_asked(job, ret);
	return err == -ENOENT && home ? 0 : err;
}
