/*
 * Results: the bytes of a transfer.
 *
 * Bytes are written at once and count later: the last 64 KiB of a reply count only when
 * it has ended as its head promised. So nobody sees the end of a broken reply (an error
 * in place of bytes is short). If a whole reply turns out to be wrong, all its bytes
 * are dropped again.
 *
 * Local bytes are never overwritten; they are compared with arriving ones, by the
 * checksums of their blocks.
 */
#include "results/results_private.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- taking back ------------------------------------------------------------- */

static void unlearn_size(struct gb_results *r, struct after *a)
{
	if (r->sealed || r->size < 0)
		return;
	r->size = -1;
	r->proven = r->ended = false;
	r->dirty = true;
	a->events |= 1u << RESULTS_SIZED;
}

/* The reply was wrong: neither its bytes nor the length that it stated count. */
static int drop_reply(struct stream *s, struct after *a)
{
	struct gb_results *r = s->r;

	for (size_t i = 0; i < s->mine.n; i++) {
		struct range m = s->mine.v[i];

		ranges_remove(&r->have, m.lo, m.hi);
		ranges_remove(&r->summed, m.lo / RESULTS_BLOCK * RESULTS_BLOCK,
			results_block_end(r, m.hi - 1));
	}
	if (s->mine.n > 0) {
		r->filled = false;
		r->dirty = true;
	}
	/* What one reply told bounds no whole body that tells nothing: the next one's
	 * end tells. */
	if (!r->proven && (s->taught || (s->whole && !s->measured)))
		unlearn_size(r, a);
	s->progress = false;
	return -EIO;
}

/* The last byte came and is no end of a line: the last block is not believed, nor is it
 * that this is the end. */
static int spoil(struct stream *s, struct after *a)
{
	struct gb_results *r = s->r;
	uint64_t lo = s->pos / RESULTS_BLOCK * RESULTS_BLOCK;

	ranges_remove(&r->have, lo, NO_END);
	ranges_remove(&r->summed, lo, NO_END);
	r->dirty = true;
	unlearn_size(r, a);
	s->progress = false;
	return -EIO;
}

/* The arriving bytes differ from the local ones. One of the two is wrong; if it happens
 * twice, the local ones are, unless they are part of what was whole once. */
static int disagree(struct stream *s, struct after *a)
{
	struct gb_results *r = s->r;

	if (r->disagreed && !r->kept)
		return stream_changed(r, a);
	r->disagreed = true;
	return drop_reply(s, a);
}

/* ---- what counts --------------------------------------------------------------- */

static void count_rate(struct gb_results *r, uint64_t n)
{
	double now = util_now(), dt = now - r->rate_since;

	r->rate_bytes += n;
	if (dt < 1)
		return;
	r->rate = dt < 3 ? (double)r->rate_bytes / dt : 0;
	r->rate_bytes = 0;
	r->rate_since = now;
}

/* The checksum of the block that ends at hi, once all of it has come by. */
static void keep_sum(struct stream *s)
{
	struct block_sum *b = &s->sums[s->next_sum++ % ARRAY_SIZE(s->sums)];
	uint64_t lo = (s->pos - 1) / RESULTS_BLOCK * RESULTS_BLOCK;

	*b = (struct block_sum){.hi = s->pos,
		.crc = s->crc,
		.all = s->crc_base == lo,
		.written = !s->skipped};
	s->crc_base = s->pos;
	s->crc = 0;
	s->skipped = false;
}

/* The block that ends at hi counts: checksum and map. */
static int end_block(struct stream *s, uint64_t hi, struct after *a)
{
	struct gb_results *r = s->r;
	const struct block_sum *b = NULL;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(s->sums); i++)
		if (s->sums[i].hi == hi && s->sums[i].all)
			b = &s->sums[i];
	err = copy_sum_block(r, hi, b ? &b->crc : NULL, b && b->written);
	if (err == -ESTALE)
		return disagree(s, a);
	if (r->unsaved >= SAVE_EVERY) {
		r->unsaved = 0;
		a->save = true;
	}
	return 0;
}

/* What s wrote of [lo, hi) may be read. How many bytes, or -ENOMEM. */
static int64_t add_mine(struct stream *s, uint64_t lo, uint64_t hi)
{
	int64_t total = 0;

	while ((lo = ranges_next(&s->mine, lo)) < hi) {
		uint64_t end = ranges_end(&s->mine, lo);
		int64_t fresh = ranges_add(&s->r->have, lo, end < hi ? end : hi);

		if (fresh < 0)
			return fresh;
		total += fresh;
		lo = end;
	}
	return total;
}

/* The first bytes of the file, of which all before upto are on disk, before any of them
 * counts. 0, or the reply is none. */
static int judge_beginning(struct stream *s, uint64_t upto, struct after *a)
{
	struct gb_results *r = s->r;
	char buf[4096];
	size_t want = upto < sizeof buf ? (size_t)upto : sizeof buf;
	ssize_t n;
	int fd = copy_fd(r);

	if (fd < 0)
		return fd;
	do
		n = pread(fd, buf, want, 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)want)
		return n < 0 ? -errno : -EIO;
	switch (shape_of_beginning(buf, want)) {
	case SHAPE_FOREIGN:
		return drop_reply(s, a);
	case SHAPE_UNTOLD:
		return memchr(buf, 0, want) || want == sizeof buf ? drop_reply(s, a)
								  : 0;
	case SHAPE_ODD:
		if (shape_has_members(buf, want) &&
			stream_is_told(&r->odd_begin, r->size,
				util_crc32c(0, buf, want), ODD_TIMES))
			return 0;
		return drop_reply(s, a);
	default:
		return 0;
	}
}

/* All bytes before upto count. */
static int stream_settle(struct stream *s, uint64_t upto, struct after *a)
{
	struct gb_results *r = s->r;
	int err = s->sure == 0 && upto > 0 ? judge_beginning(s, upto, a) : 0;

	while (err == 0 && s->sure < upto) {
		uint64_t lo = s->sure / RESULTS_BLOCK * RESULTS_BLOCK;
		uint64_t block = results_block_end(r, s->sure);
		uint64_t end = block < upto ? block : upto;
		int64_t fresh = add_mine(s, s->sure, end);

		if (fresh < 0)
			return (int)fresh;
		count_rate(r, end - s->sure);
		s->sure = end;
		s->progress |= fresh > 0;
		r->unsaved += (uint64_t)fresh;
		/* Whoever brings the last of a block: its end may have come before. */
		if (ranges_end(&r->have, lo) >= block)
			err = end_block(s, block, a);
	}
	if (err == 0 && r->size > 0 && s->sure == (uint64_t)r->size && !r->ended) {
		r->ended = true;
		stream_prove_size(r, a);
	}
	if (err == 0)
		stream_check_complete(r, a);
	results_wake_ready(r, a);
	return err;
}

/* The piece that ends at s->pos is on disk. */
static int commit(struct stream *s, struct after *a)
{
	uint64_t upto =
		s->pos - s->base > RESULTS_UNSURE ? s->pos - RESULTS_UNSURE : s->base;
	int err;

	if (s->pos == s->end && s->measured)
		upto = s->pos;
	err = stream_settle(s, upto, a);
	return err < 0 ? err : s->pos == s->end ? 0 : stream_judge(s);
}

/* ---- what comes ------------------------------------------------------------------ */

/* To disk, where it was not local. */
static int write_new(struct stream *s, int fd, const char *buf, size_t n)
{
	struct gb_results *r = s->r;
	uint64_t at = s->pos, end = s->pos + n, lo, hi;
	int err = 0;

	while (err == 0 && at < end) {
		pthread_mutex_lock(&r->lock);
		lo = results_local_end(r, at);
		hi = results_local_next(r, lo);
		pthread_mutex_unlock(&r->lock);
		s->skipped |= lo > at;
		if (lo >= end)
			break;
		if (hi > end)
			hi = end;
		err = util_pwrite_all(fd, buf + (lo - s->pos), hi - lo, (off_t)lo);
		if (err == 0 && ranges_add(&s->mine, lo, hi) < 0)
			err = -ENOMEM;
		at = hi;
	}
	return err == -EDQUOT ? -ENOSPC : err;
}

/* How often that byte must be told to be the last of all. A newline is one; without,
 * the file may be cut, unless two replies have told its length. */
static unsigned times_told(const struct gb_results *r, char last)
{
	return last == '\n'             ? 1
	       : !shape_ends_well(last) ? ODD_TIMES
	       : r->proven              ? 1
					: 2;
}

static bool is_end(struct gb_results *r, char last, int64_t size, uint32_t crc)
{
	unsigned times = times_told(r, last);

	return times == 1 || stream_is_told(&r->odd_end, size, crc, times);
}

/* Lock held. 0, or why these bytes do not belong to the file. */
static int judge_piece(struct stream *s, const char *buf, size_t n, struct after *a)
{
	struct gb_results *r = s->r;
	uint64_t end =
		r->size >= 0 && (uint64_t)r->size < s->end ? (uint64_t)r->size : s->end;

	if (s->stopping)
		return -ECANCELED;
	if (s->pos > end || end - s->pos < n ||
		(s->pos == 0 && shape_of_beginning(buf, n) == SHAPE_FOREIGN))
		return drop_reply(s, a);
	if (r->size >= 0 && s->pos + n == (uint64_t)r->size &&
		!is_end(r, buf[n - 1], r->size, util_crc32c(s->crc, buf, n)))
		return spoil(s, a);
	return 0;
}

/* A piece that does not cross the end of a block. */
static int take_piece(struct stream *s, const char *buf, size_t n)
{
	struct gb_results *r = s->r;
	struct after a;
	int err, fd;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	fd = r->fd;
	err = fd < 0 ? -EIO : judge_piece(s, buf, n, &a);
	pthread_mutex_unlock(&r->lock);
	if (err == 0)
		err = write_new(s, fd, buf, n);
	if (err < 0) {
		results_finish(r, &a);
		return err;
	}
	s->crc = util_crc32c(s->crc, buf, n);
	s->last = buf[n - 1];

	pthread_mutex_lock(&r->lock);
	s->pos += n;
	if (s->pos == results_block_end(r, s->pos - 1))
		keep_sum(s);
	err = s->stopping ? -ECANCELED : commit(s, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return err;
}

int stream_on_data(void *arg, const void *buf, size_t n)
{
	struct stream *s = arg;
	const char *p = buf;
	int err = 0;

	if (s->late)
		err = stream_take_late_head(s, buf, n);
	if (s->kind == STREAM_PROBE)
		n = 0;
	while (n > 0 && err == 0) {
		uint64_t room = RESULTS_BLOCK - s->pos % RESULTS_BLOCK;
		size_t piece = n < room ? n : (size_t)room;

		err = take_piece(s, p, piece);
		p += piece;
		n -= piece;
	}
	if (err < 0)
		s->err = err;
	return err;
}

/* ---- the end ----------------------------------------------------------------------- */

/* A complete body without a stated length has ended: this is the length, if it looks
 * complete. Only the last newline shows that no byte is missing. */
static int end_unmeasured(struct stream *s, struct after *a)
{
	struct gb_results *r = s->r;
	if (s->pos == 0 || !is_end(r, s->last, (int64_t)s->pos, s->crc))
		return -EIO;
	if (s->pos % RESULTS_BLOCK)
		keep_sum(s);
	int err = stream_learn_size(r, (int64_t)s->pos, a);
	if (err == 0)
		err = stream_settle(s, s->pos, a);
	if (err == 0)
		stream_check_complete(r, a);
	return err;
}

int stream_end_body(struct stream *s, const struct http_reply *reply, struct after *a)
{
	if (s->err < 0)
		return s->err;
	if (s->late && reply->complete && s->late->content_length == 0 &&
		!s->late->page)
		return stream_learn_size(s->r, 0, a);
	s->cut_short |= !reply->complete || s->pos < s->end;
	if (!s->headed || !reply->complete)
		return -EIO;
	if (s->kind == STREAM_PROBE)
		return 0;
	if (s->end == NO_END)
		return end_unmeasured(s, a);
	return s->pos == s->end ? stream_settle(s, s->pos, a) : drop_reply(s, a);
}
