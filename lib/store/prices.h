/*
 * prices.tsv, a file of the user's own: one line per model,
 *
 *     NAME <tab> price of a million tokens in <tab> price of a million out
 *
 * in whatever currency. Blank lines, those that begin with '#' and a heading (the first
 * line, without a number) are left out; what else is no such line is bad. The file is read each time, because it is small and may change during a
 * mount.
 */
#ifndef GB_PRICES_H
#define GB_PRICES_H

#include <stdbool.h>
#include <stdint.h>

struct price {
	double in, out; /* per million */
};

/* The price of a model, as people or the API write it; false: the file, which may not
 * be there, has none. path may be NULL. */
bool prices_find(const char *path, const char *model, struct price *ret);

/* The same for those who must not be mistaken: 0; -ENOENT: there is no price, or no file;
 * -EBADMSG: line *ret_line, whichever model it is about, is none of these; other: the
 * file cannot be read now. */
int prices_look(const char *path, const char *model, struct price *ret,
	unsigned *ret_line);

/* The cost of `in` and `out` tokens as text: plain digits, no exponent, no zeros at the
 * end except the first two after the point. */
#define PRICES_TEXT 32
void prices_cost(const struct price *p, int64_t in, int64_t out, char ret[PRICES_TEXT]);

#endif
