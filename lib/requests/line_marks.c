#include "requests/line_marks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "requests/normalize.h"

enum { PIECE = 256 << 10 };

/* ---- noting ---------------------------------------------------------------------- */

static void keep_every_other(struct line_marks *m)
{
	for (uint32_t i = 0; i < m->n / 2; i++)
		m->at[i] = m->at[2 * i];
	m->n /= 2;
	m->every *= 2;
}

void line_marks_note(
	struct line_marks *m, uint64_t request, const struct line_mark *mark)
{
	if (!m->every)
		m->every = 1;
	if (request % m->every)
		return;
	if (m->n == LINE_MARKS)
		keep_every_other(m);
	if (request % m->every == 0)
		m->at[m->n++] = *mark;
}

void line_marks_settle(struct line_marks *m, bool as_it_is, unsigned width)
{
	for (uint32_t i = 0; i < m->n; i++) {
		struct line_mark *at = &m->at[i];

		if (as_it_is)
			at->sent = at->written;
		else
			at->sent += at->no_key * normalize_extra(LINE_NO_KEY, width) +
				    at->bare * normalize_extra(LINE_BARE, width);
	}
}

/* ---- cutting --------------------------------------------------------------------- */

/* Lines of fd, one after the other. */
struct reader {
	int fd;
	int64_t at, total; /* the next line begins here */
	uint8_t *buf;
	int64_t base, have; /* what buf holds */
};

/* Bytes from `pos` on are in memory: how many; 0 at the end, or an error. */
static ssize_t reader_fill(struct reader *r, int64_t pos)
{
	int64_t left = r->total - pos;

	if (pos >= r->base && pos < r->base + r->have)
		return (ssize_t)(r->base + r->have - pos);
	if (left <= 0)
		return 0;
	ssize_t n = util_pread_at(
		r->fd, r->buf, left < PIECE ? (size_t)left : PIECE, pos);
	r->base = pos;
	r->have = n > 0 ? n : 0;
	return n == 0 ? -ESTALE : n;
}

/* One past the end of the line that begins at r->at; or the errno of reading. */
static int64_t line_end(struct reader *r)
{
	for (int64_t pos = r->at;;) {
		ssize_t n = reader_fill(r, pos);

		if (n <= 0)
			return n < 0 ? n : r->total;
		const uint8_t *p = r->buf + (pos - r->base);
		const uint8_t *nl = memchr(p, '\n', (size_t)n);

		if (nl)
			return pos + (nl - p) + 1;
		pos += n;
	}
}

/* The last mark at which ok holds, which it does of the first ones; -1: of none. */
static int64_t last_mark(const struct line_marks *m, int64_t sent, uint64_t request)
{
	uint32_t lo = 0, hi = m ? m->n : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		bool before = (int64_t)m->at[mid].sent <= sent &&
			      mid * m->every <= request;

		*(before ? &lo : &hi) = before ? mid + 1 : mid;
	}
	return (int64_t)lo - 1;
}

/* Which request begins at `from`; without marks it is counted as the first. */
static int64_t number_at(const struct line_marks *m, struct reader *r, int64_t from)
{
	int64_t i = last_mark(m, from, UINT64_MAX);
	int64_t number = i < 0 ? 0 : i * (int64_t)m->every;

	r->at = i < 0 ? from : (int64_t)m->at[i].sent;
	while (r->at < from) {
		int64_t end = line_end(r);

		if (end < 0)
			return end;
		r->at = end;
		number++;
	}
	return r->at == from ? number : -ESTALE;
}

/* Skip what the marks tell of. */
static void jump(const struct line_marks *m, struct reader *r, int64_t from,
	int64_t number, struct line_run most, struct line_run *run)
{
	int64_t to = most.bytes >= r->total - from ? r->total : from + most.bytes;
	int64_t i = last_mark(m, to, (uint64_t)number + (uint64_t)most.requests);

	if (i < 0 || (int64_t)m->at[i].sent <= from)
		return;
	r->at = (int64_t)m->at[i].sent;
	*run = (struct line_run){r->at - from, i * (int64_t)m->every - number};
}

int line_marks_cut(const struct line_marks *m, int fd, int64_t from, int64_t total,
	struct line_run most, struct line_run *ret)
{
	_cleanup_free_ uint8_t *buf = malloc(PIECE);
	struct reader r = {.fd = fd, .total = total, .buf = buf};
	struct line_run run = {0};

	if (!buf)
		return -ENOMEM;
	int64_t number = number_at(m, &r, from);
	if (number < 0)
		return (int)number;
	jump(m, &r, from, number, most, &run);
	while (r.at < total && run.requests < most.requests) {
		int64_t end = line_end(&r);

		if (end < 0)
			return (int)end;
		if (end - from > most.bytes && run.requests)
			break;
		run = (struct line_run){end - from, run.requests + 1};
		r.at = end;
	}
	*ret = run;
	return 0;
}

/* ---- kept ---------------------------------------------------------------------------- */

struct kept_marks {
	atomic_uint refs;
	struct line_marks marks;
};

struct kept_marks *kept_marks_new(const struct line_marks *m)
{
	struct kept_marks *k = malloc(sizeof *k);

	if (!k)
		return NULL;
	atomic_init(&k->refs, 1);
	k->marks = *m;
	return k;
}

struct kept_marks *kept_marks_ref(struct kept_marks *k)
{
	if (k)
		atomic_fetch_add(&k->refs, 1);
	return k;
}

void kept_marks_unref(struct kept_marks *k)
{
	if (k && atomic_fetch_sub(&k->refs, 1) == 1)
		free(k);
}

const struct line_marks *kept_marks(const struct kept_marks *k)
{
	return k ? &k->marks : NULL;
}
