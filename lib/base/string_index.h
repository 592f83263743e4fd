/*
 * Finds numbers by string: jobs by name and by id.
 *
 * An open hash table of 4 bytes per cell, at most two thirds full. The strings stay
 * where they are; the owner returns the string of a number. SipHash with a random seed,
 * because strings from the wire are looked up. The string of a number must not change
 * while it is in the index.
 *
 *     struct string_index ix;
 *     string_index_init(&ix, string_of, arg)
 *     string_index_add(&ix, number)    string_index_find(&ix, text)
 *     string_index_remove(&ix, number)
 *     string_index_clear(&ix)
 *
 * One thread at a time.
 */
#ifndef GB_STRINDEX_H
#define GB_STRINDEX_H

#include "base/siphash_set.h"

#include <stdbool.h>

struct string_index {
	const char *(*string_of)(void *arg, uint32_t number);
	void *arg;
	struct keyseed seed;
	uint32_t *cells; /* number + 2; 0: free, 1: was taken */
	uint32_t size;   /* a power of two, or 0 */
	uint32_t used;   /* cells that are not free */
	uint32_t live;   /* of them, those with a number */
};

void string_index_init(struct string_index *ix,
	const char *(*string_of)(void *arg, uint32_t number), void *arg);
/* Add number, at most UINT32_MAX - 2; no number in the index may have the same string.
 * -ENOMEM. */
int string_index_add(struct string_index *ix, uint32_t number);
/* Does nothing if it is not there. */
void string_index_remove(struct string_index *ix, uint32_t number);
bool string_index_find(const struct string_index *ix, const char *text, uint32_t *ret);
void string_index_clear(struct string_index *ix);

#endif
