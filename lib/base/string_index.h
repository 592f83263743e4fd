/*
 * Numbers found by the string that each stands for: jobs by name and by id.
 *
 * An open hash table of 4 bytes a cell, at most two thirds full; the strings stay where
 * they are, and the owner tells them by number. SipHash with a seed of its own, since
 * strings of the wire are looked up. The string of a number must not change while it is
 * in the index.
 *
 *     struct strindex ix;
 *     strindex_init(&ix, string_of, arg)
 *     strindex_add(&ix, number)   strindex_find(&ix, text)   strindex_remove(&ix, number)
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
/* number, up to UINT32_MAX - 2, whose string nobody in the index has. -ENOMEM. */
int strindex_add(struct strindex *ix, uint32_t number);
/* Nothing if it is not there. */
void strindex_remove(struct strindex *ix, uint32_t number);
bool strindex_find(const struct strindex *ix, const char *text, uint32_t *ret);
void strindex_clear(struct strindex *ix);

#endif
