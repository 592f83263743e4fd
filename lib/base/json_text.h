/* Texts and pictures out of lines of JSON, decoded as they are read.
 *
 * Everything comes from a source at an offset and goes to a sink in pieces, so a text
 * of any size takes one small buffer. Any thread; no state but the caller's. */
#ifndef GB_ANSWER_TEXT_H
#define GB_ANSWER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json_tokens.h"

struct span {
	uint64_t from, to;
};

/* Bytes at an offset: how many of n (at least 1), 0 at the end, a negative errno. */
struct text_source {
	ssize_t (*read)(void *arg, uint64_t off, void *buf, size_t n);
	void *arg;
};

/* A source of a descriptor: arg points to it. */
ssize_t text_source_fd(void *arg, uint64_t off, void *buf, size_t n);

/* Takes n bytes: 0, or what ends the work with that value. Where it all ends up in a
 * range, that is known: what comes before the range need not be read then. */
struct text_range;
struct text_sink {
	int (*put)(void *arg, const void *buf, size_t n);
	void *arg;
	struct text_range *range; /* NULL: none */
};

/* The string whose inside is at; without escapes. -EBADMSG: it is none. */
int text_string(
	const struct text_source *from, struct span at, const struct text_sink *to);

/* Bytes as they stand. */
int text_raw(
	const struct text_source *from, struct span at, const struct text_sink *to);

/* ---- TSV -------------------------------------------------------------------------- */

/* As jq's @tsv: \\ \t \n \r. */
int text_tsv(const struct text_sink *to, const void *buf, size_t n);
/* How many bytes that adds. */
uint64_t text_tsv_extra(const void *buf, size_t n);

/* A sink that passes on what it gets as part of a field; arg: struct text_sink. */
int text_sink_tsv(void *arg, const void *buf, size_t n);

/* ---- base64 ----------------------------------------------------------------------- */

/* A string of base64, standard or for URLs. What follows padding or a character that
 * is none is left out; white space is passed over. */
struct line_data {
	struct span at;
	uint64_t chars;  /* that count */
	bool regular;    /* nothing but these from the start: offsets can be reckoned */
	bool over;       /* padding, or what is no base64, has come */
};

/* While the string goes by: its next piece; escaped: it stood as an escape. */
void text_data_count(struct line_data *d, const void *piece, size_t n, bool escaped);

static inline uint64_t text_data_size(const struct line_data *d)
{
	return d->chars / 4 * 3 + d->chars % 4 * 3 / 4;
}

/* Decoded, from byte skip of the result on. */
int text_data(const struct text_source *from, struct span at, bool regular,
	uint64_t skip, const struct text_sink *to);

/* ---- JSON ------------------------------------------------------------------------- */

/* A sink that tells whether what it got is one JSON value of any kind. */
struct text_json {
	struct jtok tok;
	bool bad;
};
void text_json_init(struct text_json *j);
int text_sink_json(void *arg, const void *buf, size_t n);
bool text_json_valid(struct text_json *j);

/* ---- a range ---------------------------------------------------------------------- */

/* Byte `pos` of a file is what stands at `at` of the results, inside a string; at 0:
 * no such place. */
struct text_place {
	uint64_t pos, at;
};

/* A sink that keeps `room` bytes of a file after the first `skip`; put answers 1 when it
 * is full. A long string begins at `place`, if that is in it and not after the range;
 * then that is the last place that was come by. */
struct text_range {
	uint64_t skip;
	char *buf;
	size_t room, have;
	uint64_t pos; /* in the file, of what comes next */
	struct text_place place;
};
int text_sink_range(void *arg, const void *buf, size_t n);

/* A sink into r. */
static inline struct text_sink text_to_range(struct text_range *r)
{
	return (struct text_sink){text_sink_range, r, r};
}

#endif
