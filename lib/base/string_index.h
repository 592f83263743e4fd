/*
 * Finds numbers by string: jobs by name and by id.
 *
 * An open hash table of 4 bytes per cell, at most two thirds full. The strings stay
 * where they are; the owner returns the string of a number. SipHash with a random seed,
 * because strings from the wire are looked up. The string of a number must not change
 * while it is in the index.
 *
 *     struct strindex ix;
 *     strindex_init(&ix, string_of, arg)
 *     strindex_add(&ix, number)    strindex_find(&ix, text)
 *     strindex_remove(&ix, number)
 *     strindex_clear(&ix)
 *
 * One thread at a time.
 */
#ifndef GB_STRINDEX_H
#define GB_STRINDEX_H

#include "base/siphash_set.h"

#include <stdbool.h>

struct strindex {
	const char *(*string_of)(void *arg, uint32_t number);
	void *arg;
	struct keyseed seed;
	uint32_t *cells; /* number + 2; 0: free, 1: was taken */
	uint32_t size;   /* a power of two, or 0 */
	uint32_t used;   /* cells that are not free */
	uint32_t live;   /* of them, those with a number */
};

void strindex_init(struct strindex *ix,
	const char *(*string_of)(void *arg, uint32_t number), void *arg);
/* Add number, at most UINT32_MAX - 2; no number in the index may have the same string.
 * -ENOMEM. */
int strindex_add(struct strindex *ix, uint32_t number);
/* Does nothing if it is not there. */
void strindex_remove(struct strindex *ix, uint32_t number);
bool strindex_find(const struct strindex *ix, const char *text, uint32_t *ret);
void strindex_clear(struct strindex *ix);

#endif
