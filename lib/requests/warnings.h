/* Warnings (the file `warnings`): lines, of which the first WARNINGS_MAX are kept and
 * the rest counted.
 *
 *     struct warnings w = {0};
 *     warnings_add(&w, "line %u …", …); …
 *     text = warnings_text_take(&w)
 *
 * Without memory only that line is lost. One thread. */
#ifndef GB_WARNINGS_H
#define GB_WARNINGS_H

#include <stddef.h>
#include <stdint.h>

#define WARNINGS_MAX 100

struct warnings {
	char *text;
	size_t len;
	uint64_t n;
};

/* Add a line, given without its newline. */
void warnings_add(struct warnings *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Add each line of a text. */
void warnings_text(struct warnings *w, const char *text);

/* Return all of them, each with a newline, malloc'ed; "" if there are none; NULL
 * without memory. w is empty afterwards. */
char *warnings_text_take(struct warnings *w);

#endif
