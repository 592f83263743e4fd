/* What people's text files have that is no text for an API, named with its cure; one
 * reader for all of them. Pure. */
#ifndef GB_TEXT_FILE_H
#define GB_TEXT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Why these bytes, the beginning of a file or all of it, are not UTF-8 text, and what to
 * do: "is UTF-16: …"; NULL: they are. Static. */
const char *text_fault(const char *buf, size_t n);
/* The same of the first bytes alone: an encoding or packing that tells its name. */
const char *text_head_fault(const char *buf, size_t n);
/* How long the byte order mark at the beginning is. */
size_t text_bom(const char *buf, size_t n);
/* Nothing but white space. */
bool text_is_blank(const char *buf, size_t n);

#endif
