/*
 * How many lines a file of results has, and whether the last one is complete. With the
 * API's counts this shows whether output was cut off.
 */
#ifndef GB_TALLY_H
#define GB_TALLY_H

#include <stdbool.h>
#include <stdint.h>

struct tally {
	int64_t lines; /* that are not blank */
	bool cut;      /* the last of them is not a complete JSON value */
	bool open;     /* … and no newline follows */
};

/* The first size bytes of fd. 0, or the errno of a read; -EIO: it is shorter. Blocks,
 * on the disk only. */
int tally_file(int fd, int64_t size, struct tally *ret);

/* Whether a is a shorter part of the same output than b. */
bool tally_less(const struct tally *a, const struct tally *b);

#endif
