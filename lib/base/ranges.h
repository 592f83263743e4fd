/*
 * A set of bytes as a sorted list of half-open ranges [lo, hi). Pure: no lock, no I/O.
 * Ranges that touch are merged, so a file that fills from one end is one range. A
 * zeroed struct is the empty set.
 */
#ifndef GB_RANGES_H
#define GB_RANGES_H

#include <stddef.h>
#include <stdint.h>

#define RANGES_NONE UINT64_MAX

struct range {
	uint64_t lo, hi;
};

struct ranges {
	struct range *v;
	size_t n, cap;
};

/* Forget everything and free the memory. */
void ranges_clear(struct ranges *r);

/* Add [lo, hi). How many of its bytes were new, or -ENOMEM and nothing changed. */
int64_t ranges_add(struct ranges *r, uint64_t lo, uint64_t hi);

/* Remove [lo, hi). If there is no memory for a split, the rest of the range is removed
 * too: for sets where forgetting bytes is always safe, and failing is not. */
void ranges_remove(struct ranges *r, uint64_t lo, uint64_t hi);
/* For others: -ENOMEM, and nothing changed. */
int ranges_remove_exactly(struct ranges *r, uint64_t lo, uint64_t hi);

/* The end of the range that contains off; off itself if there is none. */
uint64_t ranges_end(const struct ranges *r, uint64_t off);

/* The first byte of the set at or after off, RANGES_NONE when there is none. */
uint64_t ranges_next(const struct ranges *r, uint64_t off);

/* One past the last byte of the set, 0 when it is empty. */
uint64_t ranges_limit(const struct ranges *r);

/* How many bytes the set has. */
uint64_t ranges_total(const struct ranges *r);

/* "LO-HI LO-HI", malloc'ed; NULL without memory. And back: adds them to *r, which may be
 * fewer where it fails: -EINVAL: that is no such text, -ENOMEM. NULL is the empty set. */
char *ranges_text(const struct ranges *r);
int ranges_parse(const char *text, struct ranges *r);

#endif
