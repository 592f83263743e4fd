/*
 * Some lines of a requests file that the check has accepted, spread over it by bytes: what
 * they are like, the file is like.
 *
 * A line is met with a probability that grows with its length, so what is found per byte
 * on those lines is, on average, what the whole file has per byte. If the file has no
 * more lines than are asked for, all of them are taken. Which lines they are depends on
 * the file alone. Reads about as much as those lines; memory: the longest of them.
 */
#ifndef GB_SAMPLE_H
#define GB_SAMPLE_H

#include "requests/line_parser.h"

/* Offsets in the file. */
struct sample_line {
	uint64_t start, end; /* with its line break */
	uint64_t request_start, request_end; /* the request's object */
	bool files; /* it names files */
};

struct sample {
	struct sample_line *lines; /* by offset; the caller's array */
	size_t n;
	bool whole;      /* these are all there are, but for longer ones */
	uint64_t longer; /* about how many bytes are on longer lines */
};

/* At most `most` lines of fd's `size` bytes from `off` on, none longer than `longest`. requests: how
 * many lines there are. 0, -ECANCELED, -ESTALE (it has changed since the check), -ENOMEM,
 * the errno of reading. */
int sample_lines(const struct request_grammar *g, int fd, uint64_t off, uint64_t size,
	uint64_t requests, size_t most, size_t longest, const atomic_bool *cancel,
	struct sample *ret);

#endif
