#include "archive/tally.h"

#include "base/json_text.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (64 << 10)

struct walk {
	struct tally tally;
	bool blank;        /* so far, of the line */
	int64_t start, last; /* of the line; of the last that is not blank */
};

static bool is_blank(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p == end;
}

static void tally_take(struct walk *w, int64_t at, const char *buf, size_t n)
{
	const char *p = buf, *end = buf + n;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;

		if (w->blank && !is_blank(p, stop)) {
			w->blank = false;
			w->tally.lines++;
			w->last = w->start;
		}
		p = nl ? nl + 1 : end;
		if (nl) {
			w->blank = true;
			w->start = at + (p - buf);
		}
	}
}

static ssize_t read_some(int fd, int64_t at, int64_t end, char *buf)
{
	ssize_t n;

	do
		n = pread(fd, buf, end - at < CHUNK ? (size_t)(end - at) : CHUNK, at);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == 0 ? -EIO : n;
}

/* Of the last line, which may be followed by blank ones. */
static int look_at_last(int fd, int64_t at, int64_t size, char *buf, bool *ret_cut)
{
	struct text_json json;
	bool more = true;

	text_json_init(&json);
	while (more && at < size) {
		ssize_t n = read_some(fd, at, size, buf);
		const char *nl = n > 0 ? memchr(buf, '\n', (size_t)n) : NULL;

		if (n < 0)
			return (int)n;
		text_sink_json(&json, buf, nl ? (size_t)(nl - buf) : (size_t)n);
		more = !nl;
		at += n;
	}
	*ret_cut = !text_json_valid(&json);
	return 0;
}

int tally_file(int fd, int64_t size, struct tally *ret)
{
	struct walk w = {.blank = true};
	_cleanup_free_ char *buf = malloc(CHUNK); /* the stacks of workers are small */
	int err = buf ? 0 : -ENOMEM;

	for (int64_t at = 0; !err && at < size;) {
		ssize_t n = read_some(fd, at, size, buf);

		if (n < 0)
			return (int)n;
		tally_take(&w, at, buf, (size_t)n);
		at += n;
	}
	w.tally.open = !w.blank;
	if (w.tally.lines > 0)
		err = look_at_last(fd, w.last, size, buf, &w.tally.cut);
	if (!err)
		*ret = w.tally;
	return err;
}

bool tally_less(const struct tally *a, const struct tally *b)
{
	return a->lines < b->lines || (a->lines == b->lines && a->cut && !b->cut);
}
