#include "requests/normalize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define BUFFER_SIZE (256 * 1024)

/* What stands before the key, after it, and at the end of the object. */
struct wrap {
	const char *before, *after, *end;
};

static const struct wrap wrap_bare = {"{\"key\":\"", "\",\"request\":", "}"};
static const struct wrap wrap_no_key = {"{\"key\":\"", "\",", ""};
static const struct wrap inline_bare = {
	"{\"request\":", ",\"metadata\":{\"key\":\"", "\"}}"};
static const struct wrap inline_no_key = {"{\"metadata\":{\"key\":\"", "\"},", ""};

struct compose {
	struct lines lines;
	const struct validate_report *report;
	int in;
	/* Where it goes: to out whenever the buffer is full, or, with out -1, into a
	 * buffer that grows. */
	int out;
	char *buf;
	size_t n, size;
	uint64_t written;           /* bytes before the buffer */
	uint64_t requests, objects; /* lines, and the bytes of their objects */
};

size_t normalize_extra(enum line_kind kind, unsigned width)
{
	const struct wrap *w = kind == LINE_BARE ? &wrap_bare : &wrap_no_key;
	size_t brace = kind == LINE_NO_KEY;

	if (kind != LINE_BARE && kind != LINE_NO_KEY)
		return 0;
	return strlen(w->before) + width + strlen(w->after) + strlen(w->end) - brace;
}

/* The name and colon of a key that takes another member's place. */
static const char key_name[] = "\"key\":";

uint64_t normalize_object(const struct line *line)
{
	uint64_t n = line->end - line->start;

	if (line->kind == LINE_KEYED && line->borrowed)
		n += strlen(key_name) + (line->key_end - line->key_start) -
		     (line->member_end - line->member_start);
	return n;
}

static int normalize_flush(struct compose *c)
{
	int r = util_write_all(c->out, c->buf, c->n);

	c->written += c->n;
	c->n = 0;
	return r;
}

/* Make room for something: for n bytes in a growing buffer, for at least one in
 * the other. */
static int normalize_make_room(struct compose *c, size_t n)
{
	size_t size = c->size;
	char *bigger;

	if (c->size - c->n >= n)
		return 0;
	if (c->out >= 0)
		return c->n == c->size ? normalize_flush(c) : 0;
	while (size - c->n < n)
		size *= 2;
	bigger = realloc(c->buf, size);
	if (!bigger)
		return -ENOMEM;
	c->buf = bigger;
	c->size = size;
	return 0;
}

static int normalize_put(struct compose *c, const void *text, size_t n)
{
	const char *p = text;

	while (n > 0) {
		size_t part;
		int r = normalize_make_room(c, n);

		if (r < 0)
			return r;
		part = n < c->size - c->n ? n : c->size - c->n;
		memcpy(c->buf + c->n, p, part);
		c->n += part;
		p += part;
		n -= part;
	}
	return 0;
}

static int normalize_put_text(struct compose *c, const char *text)
{
	return normalize_put(c, text, strlen(text));
}

/* Bytes of the file that are in memory no more. */
static int normalize_copy(struct compose *c, uint64_t from, uint64_t to)
{
	while (from < to) {
		int r = normalize_make_room(c, to - from);
		size_t room = c->size - c->n;
		ssize_t got;

		if (r < 0)
			return r;
		got = pread(c->in, c->buf + c->n, to - from < room ? to - from : room,
			(off_t)from);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return -ESTALE;
		if (got > 0) {
			c->n += (size_t)got;
			from += (uint64_t)got;
		}
	}
	return 0;
}

static int put_range(struct compose *c, uint64_t from, uint64_t to)
{
	const uint8_t *p = lines_peek(&c->lines, from, to);

	return p ? normalize_put(c, p, to - from) : normalize_copy(c, from, to);
}

static int normalize_put_number(struct compose *c, const struct line *line)
{
	char key[LINES_KEY_MAX];

	return normalize_put(
		c, key, lines_number_key(line->number, c->report->width, key));
}

/* {"request":{…}} with its number as key put in. */
static int put_no_key(struct compose *c, const struct line *line, const struct wrap *w)
{
	int r = normalize_put_text(c, w->before);

	if (r == 0)
		r = normalize_put_number(c, line);
	if (r == 0)
		r = normalize_put_text(c, w->after);
	return r == 0 ? put_range(c, line->start + 1, line->end) : r;
}

static int put_bare_line(struct compose *c, const struct line *line)
{
	int r = normalize_put_text(c, wrap_bare.before);

	if (r == 0)
		r = normalize_put_number(c, line);
	if (r == 0)
		r = normalize_put_text(c, wrap_bare.after);
	if (r == 0)
		r = put_range(c, line->start, line->end);
	return r == 0 ? normalize_put_text(c, wrap_bare.end) : r;
}

/* Whether the line is a request; else *ret is what the callback returns. */
static bool is_request(const struct line *line, int *ret)
{
	*ret = line->kind == LINE_BAD ? -ESTALE : 0;
	return line->kind != LINE_BAD && line->kind != LINE_BLANK;
}

/* The object with the member that its key is borrowed of replaced by "key":"a". */
static int put_borrowed_line(struct compose *c, const struct line *line)
{
	int r = put_range(c, line->start, line->member_start);

	if (r == 0)
		r = normalize_put_text(c, key_name);
	if (r == 0)
		r = put_range(c, line->key_start, line->key_end);
	return r == 0 ? put_range(c, line->member_end, line->end) : r;
}

static int normalize_line(void *arg, const struct line *line)
{
	struct compose *c = arg;
	int r;

	if (!is_request(line, &r))
		return r;
	c->requests++;
	if (line->kind == LINE_BARE)
		r = put_bare_line(c, line);
	else if (line->kind == LINE_NO_KEY)
		r = put_no_key(c, line, &wrap_no_key);
	else if (line->borrowed)
		r = put_borrowed_line(c, line);
	else
		r = put_range(c, line->start, line->end);
	return r == 0 ? normalize_put(c, "\n", 1) : r;
}

static int put_bare_element(struct compose *c, const struct line *line)
{
	int r = normalize_put_text(c, inline_bare.before);

	if (r == 0)
		r = put_range(c, line->start, line->end);
	if (r == 0)
		r = normalize_put_text(c, inline_bare.after);
	if (r == 0)
		r = normalize_put_number(c, line);
	return r == 0 ? normalize_put_text(c, inline_bare.end) : r;
}

/* The object with "key":"a" replaced by "metadata":{"key":"a"}. */
static int put_keyed_element(struct compose *c, const struct line *line)
{
	int r = put_range(c, line->start, line->member_start);

	if (r == 0)
		r = normalize_put_text(c, "\"metadata\":{\"key\":");
	if (r == 0)
		r = put_range(c, line->key_start, line->key_end);
	if (r == 0)
		r = normalize_put_text(c, "}");
	return r == 0 ? put_range(c, line->member_end, line->end) : r;
}

static int on_element(void *arg, const struct line *line)
{
	struct compose *c = arg;
	int r;

	if (!is_request(line, &r))
		return r;
	/* More than was reported, and memory must not grow with it. */
	c->objects += normalize_object(line);
	if (c->objects > c->report->send_size || c->requests >= c->report->requests)
		return -ESTALE;
	if (c->requests++ > 0)
		r = normalize_put_text(c, ",");
	if (r < 0)
		return r;
	if (line->kind == LINE_BARE)
		return put_bare_element(c, line);
	if (line->kind == LINE_NO_KEY)
		return put_no_key(c, line, &inline_no_key);
	return put_keyed_element(c, line);
}

static struct compose *normalize_new(
	int in, int out, const struct validate_report *report, lines_fn each)
{
	struct compose *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->buf = malloc(BUFFER_SIZE);
	if (!c->buf) {
		free(c);
		return NULL;
	}
	c->size = BUFFER_SIZE;
	c->in = in;
	c->out = out;
	c->report = report;
	/* The hashes are of no interest here. */
	lines_init(&c->lines, report->grammar, (struct keyseed){0}, each, c);
	return c;
}

static void normalize_free(struct compose *c)
{
	free(c->buf);
	free(c);
}

/* Whether the file is still what the report is about. */
static bool as_reported(const struct compose *c)
{
	const struct validate_report *r = c->report;

	return c->requests == r->requests && lines_offset(&c->lines) == r->file_size &&
	       (r->clean || c->out < 0 || c->written == r->send_size);
}

int normalize_file(int in, int out, const struct validate_report *report,
	const atomic_bool *cancel, off_t *ret_size)
{
	struct compose *c = normalize_new(in, out, report, normalize_line);
	int r;

	if (!c)
		return -ENOMEM;
	r = lines_file(&c->lines, in, cancel);
	if (r == 0)
		r = normalize_flush(c);
	if (r == 0 && !as_reported(c))
		r = -ESTALE;
	if (r == 0)
		*ret_size = (off_t)c->written;
	normalize_free(c);
	return r;
}

int normalize_inline(int in, const struct validate_report *report, int64_t max,
	char **ret, size_t *ret_len)
{
	struct compose *c;
	int r;

	if (report->send_size > (uint64_t)max)
		return -EFBIG;
	c = normalize_new(in, -1, report, on_element);
	if (!c)
		return -ENOMEM;
	r = lines_file(&c->lines, in, NULL);
	if (r == 0 && !as_reported(c))
		r = -ESTALE;
	if (r == 0)
		r = normalize_put(c, "", 1);
	if (r == 0) {
		*ret = STEAL_PTR(c->buf);
		*ret_len = c->n - 1;
	}
	normalize_free(c);
	return r;
}
