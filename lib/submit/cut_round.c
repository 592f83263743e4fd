/*
 * A part of a later round is made smaller. It has a requests.jsonl of its own, so its second
 * half goes to a new part of the same round, in this order:
 *
 *   1. the new part, a draft, whose journal names the old one and where its lines begin
 *      there; then its requests, durably
 *   2. the old part's journal: it has only what is before them. With this they are the
 *      new part's
 *   3. the new part is queued
 *
 * The old part's file stays as it is: an intent of all of it that was put by may turn up.
 *
 * A start finds a draft that names another part, and removes it if that still has the
 * lines (before 2.), or queues it.
 */
#include "submit/cut.h"

#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define REQUESTS_TMP GB_REQUESTS ".tmp"

bool cut_is_had(struct gb_job *part)
{
	struct gb_job *dir = part->parent;

	for (; part && part->dir->rec.half_of;
		part = parts_numbered(dir, part->dir->rec.half_of))
		if (cut_is_copied(part))
			return true;
	return false;
}

bool cut_has_halves(const struct gb_job *part)
{
	struct gb_job *dir = part->parent;

	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const struct gb_job *at = parts_at(dir, i);

		if (at->parent && at->dir->rec.half_of == part->dir->rec.part &&
			!at->batch->id)
			return true;
	}
	return false;
}

bool cut_is_copied(struct gb_job *part)
{
	const struct record *r = &part->dir->rec;
	struct gb_job *from =
		r->half_of ? parts_numbered(part->parent, r->half_of) : NULL;
	int64_t has = from ? from->dir->rec.range_len : 0;

	return from && (!has || has > r->range_off);
}

int cut_open_round(struct gb_job *part, struct stat *ret, int64_t *ret_size)
{
	client_lock(part->c);
	int64_t size = part->dir->rec.batch->sent_size;
	int64_t len = part->dir->rec.range_len;
	client_unlock(part->c);
	int fd = files_open_requests(part, ret);

	if (fd == -ENOENT)
		fd = files_open_sent(part, size, ret);
	if (fd >= 0)
		*ret_size = len && len < ret->st_size ? len : ret->st_size;
	return fd;
}

static int write_lines(int dir, int from, int64_t off, int64_t len)
{
	_cleanup_close_ int fd = openat(dir, REQUESTS_TMP,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	char buf[16384];

	if (fd < 0)
		return -errno;
	while (len > 0) {
		size_t want = len < (int64_t)sizeof(buf) ? (size_t)len : sizeof(buf);
		ssize_t n = util_pread_at(from, buf, want, off);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		int err = util_write_all(fd, buf, (size_t)n);
		if (err)
			return err;
		off += n;
		len -= n;
	}
	if (fsync(fd) < 0 || renameat(dir, REQUESTS_TMP, dir, GB_REQUESTS) < 0)
		return -errno;
	return util_sync_dir(dir);
}

/* Bytes from..to of fd are a part of their own, a draft. A reference. */
static int second_half(struct gb_job *part, int fd, int64_t from, int64_t to,
	int64_t requests, struct gb_job **ret)
{
	const struct record *r = &part->dir->rec;
	struct gb_job *half;
	int err = parts_make(part->parent, r->round, r->part,
		(struct part_range){from, 0}, requests, PHASE_DRAFT, &half);

	if (err)
		return err;
	test_point("half-made");
	_cleanup_close_ int dir = job_dir_open_files(half);
	err = dir < 0 ? dir : write_lines(dir, fd, from, to - from);
	if (err)
		/* If it stays, the next start removes it. */
		DROP(parts_unmake(half));
	else
		*ret = gb_job_ref(half);
	test_point("half-written");
	return err;
}

static void queue_half(struct gb_job *half)
{
	client_lock(half->c);
	/* cancel may have removed it. */
	bool goes = half->parent && job_phase(half) == PHASE_DRAFT;
	if (goes)
		job_set_phase(half, PHASE_QUEUED);
	client_unlock(half->c);
	if (goes)
		job_dir_save_soon(half);
	test_point("half-queued");
}

int cut_halve_round(struct submission *s)
{
	struct line_run run, most = {INT64_MAX, cut_half_of_part(s->rec)};
	struct gb_job *half;
	int64_t size = 0;
	struct stat st;
	_cleanup_close_ int fd = cut_open_round(s->job, &st, &size);

	if (fd < 0 || most.requests < 1)
		return fd < 0 ? fd : -ENODATA;
	int err = line_marks_cut(NULL, fd, 0, size, most, &run);
	if (!err && run.bytes >= size)
		err = -ENODATA;
	if (!err)
		err = second_half(s->job, fd, run.bytes, size,
			s->rec->batch->requests - run.requests, &half);
	if (err)
		return err;
	err = cut_shrink(s, run);
	if (err)
		DROP(parts_unmake(half)); /* as above */
	else
		queue_half(half);
	gb_job_unref(half);
	return err;
}
