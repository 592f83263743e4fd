/* The requests of a round: lines of retry.jsonl, copied into the directories of its parts. */
#include "client/retry_private.h"

#include "answers/answers.h"
#include "archive/save.h"
#include "base/waiter.h"
#include "jobs/operation.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 18 /* bytes of retry.jsonl at a time */ };

#define REQUESTS_TMP UTIL_TMP_PREFIX "requests"

bool retry_all_is_here(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		struct gb_job *part = parts_at(dir, i);
		enum gb_output o = job_output(part);
		bool lost = o == GB_OUTPUT_NONE || o == GB_OUTPUT_LOST ||
			    o == GB_OUTPUT_DAMAGED;

		if (!lost && !save_is_safe(part) && !job_has_vanished(part))
			return false;
	}
	return true;
}

static int note_part(struct round *r, struct gb_job *part)
{
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 8;
		struct gb_job **more = realloc(r->parts, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->parts = more;
		r->room = room;
	}
	r->parts[r->n++] = gb_job_ref(part);
	return 0;
}

static int open_requests_of(struct asked *a)
{
	a->dir = job_dir_open_files(a->part);
	if (a->dir < 0)
		return a->dir;
	_cleanup_close_ int fd = openat(a->dir, REQUESTS_TMP,
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || !(a->out = fdopen(fd, "r+")))
		return -errno;
	steal_fd(&fd);
	return 0;
}

static int part_begin(struct round *r)
{
	struct gb_job *part;
	int err = parts_make(
		r->dir, r->number, 0, (struct part_range){0}, 0, PHASE_DRAFT, &part);

	if (err)
		return err;
	test_point("retry-part-made");
	r->now = (struct asked){.part = part, .dir = -1};
	r->line = 0;
	err = note_part(r, part);
	if (!err)
		return open_requests_of(&r->now);
	DROP(parts_unmake(part)); /* the next start removes it */
	return err;
}

static void part_close(struct asked *a)
{
	if (a->out)
		fclose(a->out);
	a->out = NULL;
	util_closep(&a->dir);
}

/* Its requests are durable, and then its journal. */
static int part_end(struct asked *a)
{
	int err = 0;

	if (fflush(a->out) || fsync(fileno(a->out)) < 0 ||
		renameat(a->dir, REQUESTS_TMP, a->dir, GB_REQUESTS) < 0)
		err = -errno;
	if (!err)
		err = util_sync_dir(a->dir);
	client_lock(a->part->c);
	a->part->dir->rec.batch->requests = a->have.requests;
	a->part->dir->rec.batch->sent_size = a->have.bytes;
	client_unlock(a->part->c);
	return err ? err : job_dir_save(a->part);
}

static int copy_range(FILE *from, int64_t off, int64_t len, FILE *to)
{
	char buf[16384];

	while (len) {
		size_t want = len < (int64_t)sizeof(buf) ? (size_t)len : sizeof(buf);
		ssize_t n = util_pread_at(fileno(from), buf, want, off);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		if (fwrite(buf, 1, (size_t)n, to) != (size_t)n)
			return -errno;
		off += n;
		len -= n;
	}
	return 0;
}

/* With its last line the part is too large: that is the first of the next. */
static int move_last_line(struct round *r)
{
	struct asked full = r->now;
	int64_t from = r->line, len = full.have.bytes - from;
	int err = fflush(full.out) ? -errno : part_begin(r);

	if (!err)
		err = copy_range(full.out, from, len, r->now.out);
	if (!err && ftruncate(fileno(full.out), from) < 0)
		err = -errno;
	if (err)
		goto out;
	r->now.have = (struct line_run){len, 1};
	full.have = (struct line_run){from, full.have.requests - 1};
	err = part_end(&full);
out:
	part_close(&full);
	return err;
}

static int end_line(struct round *r)
{
	int err = 0;

	r->now.have.requests++;
	if (r->now.have.bytes > r->most.bytes && r->now.have.requests > 1)
		err = move_last_line(r);
	r->line = r->now.have.bytes;
	return err;
}

/* Lines are put one after the other, in pieces. */
static int put_piece(struct round *r, const char *p, size_t n, bool ends)
{
	bool begins = r->now.out && r->line == r->now.have.bytes;
	int err = 0;

	if (begins && r->now.have.requests == r->most.requests) {
		err = part_end(&r->now);
		part_close(&r->now);
	}
	if (!err && !r->now.out)
		err = part_begin(r);
	if (!err && fwrite(p, 1, n, r->now.out) != n)
		err = -errno;
	if (err)
		return err;
	r->now.have.bytes += (int64_t)n;
	return ends ? end_line(r) : 0;
}

static int put_text(struct round *r, const char *p, size_t n)
{
	int err = 0;

	while (!err && n) {
		const char *end = memchr(p, '\n', n);
		size_t k = end ? (size_t)(end - p) + 1 : n;

		err = put_piece(r, p, k, end);
		p += k;
		n -= k;
	}
	return err;
}

static int save_all(struct gb_job *dir)
{
	struct waiter_sync s;

	client_lock(dir->c);
	bool here = retry_all_is_here(dir);
	client_unlock(dir->c);
	if (here)
		return 0;
	waiter_sync_init(&s);
	return (int)waiter_sync_end(&s, gb_save_results(dir, &s.w));
}

static int open_answers(struct gb_job *dir, struct gb_answers **ret)
{
	struct gb_answers *a = NULL;
	struct waiter_sync s;
	int err;

	do {
		waiter_sync_init(&s);
		err = (int)waiter_sync_end(&s, gb_answers_open(dir, &s.w, &a));
	} while (!err && !a);
	if (!err)
		*ret = a;
	return err;
}

int round_write(struct round *r, struct operation *t)
{
	struct gb_answers *a;
	_cleanup_free_ char *buf = malloc(CHUNK);
	int err = buf ? save_all(r->dir) : -ENOMEM;
	uint64_t off = 0;
	ssize_t n = 0;

	if (!err)
		err = open_answers(r->dir, &a);
	if (err)
		return err == -ENOENT ? -ENODATA : err;
	do {
		n = t->cancel.set || r->dir->c->stopping
			    ? -ECANCELED
			    : gb_answers_read(
				      a, GB_ANSWERS_RETRY, 0, off, buf, CHUNK, NULL);
		err = n < 0 ? (int)n : put_text(r, buf, (size_t)n);
		off += n > 0 ? (uint64_t)n : 0;
	} while (!err && n);
	gb_answers_close(a);
	if (!err)
		err = r->now.out ? part_end(&r->now) : -ENODATA;
	part_close(&r->now);
	return err;
}
