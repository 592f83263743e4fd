/* Why a person's text file is not text for an API, and the command that fixes it; one
 * function for all such files. Pure. */
#ifndef GB_TEXT_FILE_H
#define GB_TEXT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Why these bytes, the beginning of a file or all of it, are not UTF-8 text, and what
 * to do: "is UTF-16: …"; NULL: they are text. Static. */
const char *text_fault(const char *buf, size_t n);
/* The same from the first bytes only: an encoding or compression that has a
 * signature. */
const char *text_head_fault(const char *buf, size_t n);
/* How long the byte order mark at the beginning is. */
size_t text_bom(const char *buf, size_t n);
/* Whether there is nothing but white space. */
bool text_is_blank(const char *buf, size_t n);

#endif
