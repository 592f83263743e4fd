/*
 * prices.tsv, a file of the user's own: a line a model,
 *
 *     NAME <tab> price of a million tokens in <tab> price of a million out
 *
 * in whatever currency. Blank lines, those that begin with '#' and headings are passed
 * over. Read anew each time: it is small, and changes while a mount lasts.
 */
#ifndef GB_PRICES_H
#define GB_PRICES_H

#include <stdbool.h>
#include <stdint.h>

struct price {
	double in, out; /* per million */
};

/* The price of a model, as people or the API write it; false: the file, which may not be there,
 * has none. path may be NULL. */
bool prices_find(const char *path, const char *model, struct price *ret);

/* in tokens at the one, out tokens at the other price, as text: plain digits, no exponent,
 * no zeros at the end but the first two after the point. */
#define PRICES_TEXT 32
void prices_cost(const struct price *p, int64_t in, int64_t out, char ret[PRICES_TEXT]);

#endif
