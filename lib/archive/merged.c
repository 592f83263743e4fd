#include "archive/merged.h"
#include "archive/part_readers.h"
#include "archive/save.h"
#include "jobs/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A part's output in it. */
struct piece {
	struct gb_job *part;
	uint32_t round;
	int64_t at;   /* by what they are ordered within a round */
	int64_t from; /* where it begins */
	int64_t size; /* without the newline that is added */
};

struct merged {
	struct piece *pieces;
	uint32_t n;
	int64_t length; /* of all */
	struct part_readers *readers;
};

/* ---- which there are ------------------------------------------------------------------- */

/* Lock held. Output that nobody can read or fetch any more is none. */
static bool has_output(const struct gb_job *part)
{
	enum gb_output o = job_output(part);

	if (o == GB_OUTPUT_LOST || o == GB_OUTPUT_DAMAGED)
		return save_is_possible(part);
	return o != GB_OUTPUT_NONE && o != GB_OUTPUT_AWAITED;
}

/* A part that was never sent has nothing to come, nor has one that has vanished. */
static bool has_ended(const struct gb_job *part)
{
	if (job_has_vanished(part))
		return true;
	return knowledge_ended(&part->batch->known)
		       ? job_output(part) != GB_OUTPUT_AWAITED
		       : phase_is_draft(job_phase(part)) &&
				 (job_phase(part) == PHASE_FAILED ||
					 job_directory((struct gb_job *)part)
						 ->dir->rec.rest_dropped);
}

bool merged_is_listed(struct gb_job *dir)
{
	bool any = false;

	if (parts_rest_is_open(dir))
		return false;
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		if (!has_ended(parts_at(dir, i)))
			return false;
		any |= has_output(parts_at(dir, i));
	}
	return any;
}

static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* Lock held. Whether a newline is missing at the end of its output. */
static bool is_open(const struct gb_job *part)
{
	return part->batch->results_size > 0 && part->batch->tail == TAIL_OPEN;
}

static struct piece piece_of(struct gb_job *part)
{
	const struct record *r = &part->dir->rec;
	bool cut = part->parent && !r->round;

	return (struct piece){.part = part,
		.round = part->parent ? (uint32_t)r->round : 0,
		.at = cut ? r->range_off : (int64_t)parts_number(part),
		.size = part->batch->results_size};
}

/* Lock held; there is room for all parts. Returns how many, or -EINPROGRESS: not all are
 * saved. */
static int64_t take_pieces(struct gb_job *dir, struct piece *ret)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < parts_count(dir); i++) {
		struct gb_job *part = parts_at(dir, i);

		if (!has_output(part))
			continue;
		if (!save_is_safe(part))
			return -EINPROGRESS;
		ret[n++] = piece_of(part);
	}
	return n;
}

/* Called often, so nothing is put in order: whichever is last has no newline added. */
int64_t merged_size(struct gb_job *dir)
{
	struct piece last = {0};
	int64_t size = 0;

	if (!merged_is_listed(dir))
		return -1;
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		struct gb_job *part = parts_at(dir, i);
		struct piece p = piece_of(part);

		if (!has_output(part))
			continue;
		if (!save_is_safe(part) ||
			(p.size > 0 && part->batch->tail == TAIL_UNKNOWN))
			return -1;
		size += p.size + is_open(part);
		if (!last.part || by_place(&last, &p) < 0)
			last = p;
	}
	return last.part ? size - is_open(last.part) : -1;
}

/* ---- opening --------------------------------------------------------------------------- */

/* How a part's saved output ends, which is read once. */
static int learn_tail(struct gb_job *part, int64_t size, bool *ret_open)
{
	struct gb_client *c = part->c;
	char last;

	client_lock(c);
	enum batch_tail tail = (enum batch_tail)part->batch->tail;
	client_unlock(c);
	if (tail == TAIL_UNKNOWN && size > 0) {
		_cleanup_close_ int dir = job_dir_open(part);
		_cleanup_close_ int fd =
			dir < 0 ? dir
				: openat(dir, RESULTS_FILE,
					  O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 || pread(fd, &last, 1, size - 1) != 1)
			return -EIO;
		tail = last == '\n' ? TAIL_NEWLINE : TAIL_OPEN;
		client_lock(c);
		part->batch->tail = tail;
		client_unlock(c);
	}
	*ret_open = size > 0 && tail == TAIL_OPEN;
	return 0;
}

static int place_pieces(struct merged *m)
{
	bool open = false;
	int err = 0;

	for (uint32_t i = 0; !err && i < m->n; i++) {
		m->length += open;
		m->pieces[i].from = m->length;
		m->length += m->pieces[i].size;
		err = learn_tail(m->pieces[i].part, m->pieces[i].size, &open);
	}
	return err;
}

static int find_pieces(struct gb_job *dir, struct merged *m)
{
	int64_t n = -ENOENT;
	uint32_t room = 0, all = 1;

	while (room < all) {
		/* Parts may be made meanwhile. */
		room = all + 16;
		free(m->pieces);
		if (!(m->pieces = calloc(room, sizeof(*m->pieces))))
			return -ENOMEM;
		client_lock(dir->c);
		all = parts_count(dir);
		if (all <= room)
			n = merged_is_listed(dir) ? take_pieces(dir, m->pieces)
						  : -ENOENT;
		client_unlock(dir->c);
	}
	if (n < 0)
		return (int)n;
	m->n = (uint32_t)n;
	qsort(m->pieces, m->n, sizeof(*m->pieces), by_place);
	return place_pieces(m);
}

int merged_open(struct gb_job *dir, struct merged **ret)
{
	struct merged *m = calloc(1, sizeof(*m));
	struct gb_job **parts = NULL;
	int err = m ? find_pieces(dir, m) : -ENOMEM;

	if (!err && !(parts = calloc(m->n + 1, sizeof(struct gb_job *))))
		err = -ENOMEM;
	for (uint32_t i = 0; !err && i < m->n; i++)
		parts[i] = m->pieces[i].part;
	if (!err)
		err = part_readers_new(dir, parts, m->n, &m->readers);
	if (err)
		merged_close(m);
	else
		*ret = m;
	return err;
}

void merged_close(struct merged *m)
{
	if (!m)
		return;
	part_readers_free(m->readers);
	free(m->pieces);
	free(m);
}

int64_t merged_length(const struct merged *m)
{
	return m->length;
}

/* ---- reading --------------------------------------------------------------------------- */

/* The last piece that begins at or before off, below the length. */
static uint32_t piece_at(const struct merged *m, int64_t off)
{
	uint32_t low = 0, high = m->n;

	while (low + 1 < high) {
		uint32_t middle = low + (high - low) / 2;

		if (m->pieces[middle].from <= off)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* What of [off, off + n) is in one piece; 0: off is the newline behind it. */
static size_t in_piece(const struct piece *p, int64_t off, size_t n)
{
	int64_t left = p->from + p->size - off;

	return left <= 0 ? 0 : (uint64_t)left < n ? (size_t)left : n;
}

ssize_t merged_ready(struct merged *m, uint64_t off, size_t n, struct gb_waiter *w)
{
	struct part_reader r;

	if (!n || off >= (uint64_t)m->length)
		return 0;
	uint32_t i = piece_at(m, (int64_t)off);
	const struct piece *p = &m->pieces[i];
	size_t some = in_piece(p, (int64_t)off, n);

	if (!some)
		return 1;
	int err = part_readers_take(m->readers, i, &r);
	if (err)
		return err;
	ssize_t got = gb_results_ready(r.results, off - (uint64_t)p->from, some, w);
	part_readers_leave(m->readers, &r);
	/* It is shorter than it was said to be. */
	return got ? got : -EIO;
}

ssize_t merged_read(struct merged *m, void *buf, size_t n, uint64_t off)
{
	char *to = buf;
	size_t have = 0;

	while (have < n && off + have < (uint64_t)m->length) {
		int64_t at = (int64_t)(off + have);
		uint32_t i = piece_at(m, at);
		const struct piece *p = &m->pieces[i];
		size_t some = in_piece(p, at, n - have);
		struct part_reader r;

		if (!some) {
			to[have++] = '\n';
			continue;
		}
		int err = part_readers_take(m->readers, i, &r);
		if (err)
			return err;
		ssize_t got = gb_results_read(
			r.results, to + have, some, (uint64_t)(at - p->from));
		part_readers_leave(m->readers, &r);
		if (got != (ssize_t)some)
			return got < 0 ? got : -EIO;
		have += some;
	}
	return (ssize_t)have;
}
