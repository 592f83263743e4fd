#include "requests/sample.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#define PIECE (64 << 10)

struct sampling {
	const struct request_grammar *g;
	int fd;
	uint64_t begin, end; /* the lines are there */
	size_t most, longest;
	char *buf; /* PIECE */
	struct sample *to;
};

/* ---- where a line is --------------------------------------------------------------- */

/* All of n bytes at off. */
static int sample_read(const struct sampling *s, void *buf, size_t n, uint64_t off)
{
	ssize_t got;

	for (char *to = buf; n; to += got, off += (uint64_t)got, n -= (size_t)got) {
		got = pread(s->fd, to, n, (off_t)off);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			return got < 0 ? -errno : -ESTALE;
	}
	return 0;
}

/* One past the first line break in [from, to); to if there is none. */
static int end_of_line(
	const struct sampling *s, uint64_t from, uint64_t to, uint64_t *ret)
{
	while (from < to) {
		size_t n = to - from < PIECE ? to - from : PIECE;
		int err = sample_read(s, s->buf, n, from);
		const char *nl = err ? NULL : memchr(s->buf, '\n', n);

		if (err)
			return err;
		from += nl ? (size_t)(nl + 1 - s->buf) : n;
		if (nl)
			break;
	}
	*ret = from;
	return 0;
}

/* One past the last line break in [from, to); from if there is none. */
static int begin_of_line(
	const struct sampling *s, uint64_t from, uint64_t to, uint64_t *ret)
{
	while (from < to) {
		size_t n = to - from < PIECE ? to - from : PIECE;
		int err = sample_read(s, s->buf, n, to - n);
		const char *nl = err ? NULL : memrchr(s->buf, '\n', n);

		if (err)
			return err;
		to -= nl ? (size_t)(s->buf + n - (nl + 1)) : n;
		if (nl)
			break;
	}
	*ret = to;
	return 0;
}

/* ---- what is on it ------------------------------------------------------------------- */

struct looked {
	struct sample_line line;
	bool good;
};

static int note_line(void *arg, const struct line *l)
{
	struct looked *k = arg;
	bool bare = l->kind == LINE_BARE;

	k->good = bare || l->kind == LINE_KEYED || l->kind == LINE_NO_KEY;
	k->line.request_start = bare ? l->start : l->request_start;
	k->line.request_end = bare ? l->end : l->request_end;
	k->line.files = l->uris > 0;
	return 0;
}

/* The line [start, end). Blank ones are left out. */
static int take_line(struct sampling *s, uint64_t start, uint64_t end)
{
	struct looked k = {.line = {.start = start, .end = end}};
	size_t n = end - start;
	_cleanup_free_ char *text = malloc(n);
	_cleanup_free_ struct lines *parser = malloc(sizeof(*parser));
	int err = text && parser ? sample_read(s, text, n, start) : -ENOMEM;

	if (err)
		return err;
	lines_init(parser, s->g, (struct keyseed){0}, note_line, &k);
	err = lines_feed(parser, text, n);
	if (!err)
		err = lines_finish(parser);
	if (err || !k.good)
		return err;
	if (s->to->n == s->most)
		return -ESTALE;
	k.line.request_start += start;
	k.line.request_end += start;
	s->to->lines[s->to->n++] = k.line;
	return 0;
}

/* ---- which lines ------------------------------------------------------------------------ */

/* No more lines than are wanted: one after the other. */
static int take_all(struct sampling *s, const atomic_bool *cancel)
{
	uint64_t start = s->begin, end;
	int err = 0;

	for (; !err && start < s->end; start = end) {
		err = cancel && *cancel ? -ECANCELED
					: end_of_line(s, start, s->end, &end);
		if (!err && end - start > s->longest)
			s->to->longer += end - start;
		else if (!err)
			err = take_line(s, start, end);
	}
	s->to->whole = !err;
	return err;
}

/* The line that is around at, if it is not one that was met before (up to done). */
static int take_around(struct sampling *s, uint64_t at, uint64_t *done)
{
	uint64_t first = at > s->longest ? at - s->longest : 0, start, end;
	uint64_t last = s->end - at > s->longest ? at + s->longest : s->end;
	int err;

	first = first > *done ? first : *done;
	err = begin_of_line(s, first, at, &start);
	if (!err)
		err = end_of_line(s, at, last, &end);
	if (err)
		return err;
	/* Cut at the bounds of the search, or simply long. */
	if (end - start > s->longest || (start == first && first > *done) ||
		(end == last && last < s->end)) {
		s->to->longer += (s->end - s->begin) / s->most;
		return 0;
	}
	*done = end;
	return take_line(s, start, end);
}

static int take_spread(struct sampling *s, const atomic_bool *cancel)
{
	uint64_t done = s->begin;
	double step = (double)(s->end - s->begin) / (double)s->most;
	int err = 0;

	for (size_t i = 0; !err && i < s->most; i++) {
		uint64_t at = s->begin + (uint64_t)(((double)i + 0.5) * step);

		if (cancel && *cancel)
			err = -ECANCELED;
		else if (at >= done && at < s->end)
			err = take_around(s, at, &done);
	}
	return err;
}

int sample_lines(const struct request_grammar *g, int fd, uint64_t off, uint64_t size,
	uint64_t requests, size_t most, size_t longest, const atomic_bool *cancel,
	struct sample *ret)
{
	_cleanup_free_ char *buf = malloc(PIECE);
	struct sampling s = {g, fd, off, off + size, most, longest, buf, ret};

	ret->n = 0;
	ret->whole = false;
	ret->longer = 0;
	if (!buf)
		return -ENOMEM;
	return requests <= most ? take_all(&s, cancel) : take_spread(&s, cancel);
}
