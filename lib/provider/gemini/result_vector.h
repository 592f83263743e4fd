/* The numbers of an embedding in its JSON: where they are, how many, and their values.
 *
 *     vector_find(from, object, &at, &n)        {"values":[1,2]}: the inside of the
 *                                               brackets
 *     vector_read(from, &reading, out, n)       the next numbers, as often as wanted
 *
 * Each number is the nearest float, ties to even, however many digits it has; nothing
 * depends on the locale. Anything that is not a number ("NaN", null, more than 32 KiB)
 * is NaN, except "Infinity". Memory is a buffer of fixed size. Any thread. */
#ifndef GB_VECTOR_H
#define GB_VECTOR_H

#include "provider/result_grammar.h"

/* Find the values of an embedding, and how many there are; *ret_n 0: it has none.
 * Returns 0 or the source's error. */
int vector_find(const struct text_source *from, struct span object, struct span *ret,
	uint64_t *ret_n);

/* Read n numbers as float32, little endian; NaN after their end. 0, or the source's
 * error. */
int vector_read(const struct text_source *from, struct vector_reading *r, uint8_t *out,
	size_t n);

/* The number that the n bytes at text are: for tests. */
float vector_number(const char *text, size_t n);

#endif
