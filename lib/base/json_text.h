/* Texts and pictures from lines of JSON, decoded while they are read.
 *
 * Everything comes from a source at an offset and goes to a sink in pieces, so a text
 * of any size needs only a small buffer. Any thread; the only state is the caller's. */
#ifndef GB_ANSWER_TEXT_H
#define GB_ANSWER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/json_tokens.h"

struct span {
	uint64_t from, to;
};

/* Reads bytes at an offset. Returns how many of n (at least 1), 0 at the end, or a
 * negative errno. */
struct text_source {
	ssize_t (*read)(void *arg, uint64_t off, void *buf, size_t n);
	void *arg;
	/* Fills n buffers (at most IOV_MAX), one after the other, from off on; their
	 * descriptions are used up. 0, or a negative errno: -EIO: it has not so many bytes.
	 * NULL: there is only read. */
	int (*readv)(void *arg, uint64_t off, struct iovec *v, int n);
};

/* A source that reads a descriptor: arg points to it. */
ssize_t text_source_fd(void *arg, uint64_t off, void *buf, size_t n);
int text_source_fdv(void *arg, uint64_t off, struct iovec *v, int n);
static inline struct text_source text_from_fd(int *fd)
{
	return (struct text_source){text_source_fd, fd, text_source_fdv};
}

/* Takes n bytes. Returns 0; any other value ends the work with that value. If the sink
 * wants a range only, that is known here, and bytes before the range need not be
 * read. */
struct text_range;
struct text_sink {
	int (*put)(void *arg, const void *buf, size_t n);
	void *arg;
	struct text_range *range; /* NULL: none */
};

/* Write the string whose inside is at `at`, with escapes decoded. -EBADMSG: it is not a
 * string. */
int text_string(
	const struct text_source *from, struct span at, const struct text_sink *to);

/* Write the bytes as they are. */
int text_raw(
	const struct text_source *from, struct span at, const struct text_sink *to);

/* ---- TSV -------------------------------------------------------------------------- */

/* As jq's @tsv: \\ \t \n \r. */
int text_tsv(const struct text_sink *to, const void *buf, size_t n);
/* How many bytes that adds. */
uint64_t text_tsv_extra(const void *buf, size_t n);

/* A sink that passes on what it gets, escaped as part of a field; arg: struct
 * text_sink. */
int text_sink_tsv(void *arg, const void *buf, size_t n);

/* ---- base64 ----------------------------------------------------------------------- */

/* A string of base64, standard or for URLs. What follows padding, or a character that
 * is not base64, is left out; white space is ignored. */
struct line_data {
	struct span at;
	uint64_t chars;  /* that count */
	bool regular;    /* only such characters so far, so that offsets can be
	                    calculated */
	bool over;       /* padding, or a character that is not base64, was seen */
};

/* Called with the next piece of the string; escaped: it was written as an escape. */
void text_data_count(struct line_data *d, const void *piece, size_t n, bool escaped);

static inline uint64_t text_data_size(const struct line_data *d)
{
	return d->chars / 4 * 3 + d->chars % 4 * 3 / 4;
}

/* Decoded, from byte skip of the result on. */
int text_data(const struct text_source *from, struct span at, bool regular,
	uint64_t skip, const struct text_sink *to);

/* ---- JSON ------------------------------------------------------------------------- */

/* A sink that checks whether what it got is one JSON value of any kind. */
struct text_json {
	struct jtok tok;
	bool bad;
};
void text_json_init(struct text_json *j);
int text_sink_json(void *arg, const void *buf, size_t n);
bool text_json_valid(struct text_json *j);

/* ---- a range ---------------------------------------------------------------------- */

/* Byte `pos` of a file is at `at` of the results, inside a string; at 0: no such
 * place. */
struct text_place {
	uint64_t pos, at;
};

/* A sink that keeps `room` bytes of a file after the first `skip`; put returns 1 when
 * it is full. A long string is read from `place`, if that is in it and not after the
 * range; afterwards place is the last place that was passed. */
struct text_range {
	uint64_t skip;
	char *buf;
	size_t room, have;
	uint64_t pos; /* position in the file of the next byte */
	struct text_place place;
};
int text_sink_range(void *arg, const void *buf, size_t n);

/* A sink into r. */
static inline struct text_sink text_to_range(struct text_range *r)
{
	return (struct text_sink){text_sink_range, r, r};
}

#endif
