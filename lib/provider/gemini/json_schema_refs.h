/* The references of a JSON Schema: where they point, and what stands beside them. */
#ifndef GB_SCHEMA_REFS_H
#define GB_SCHEMA_REFS_H

#include <jansson.h>

/* The object that "#" or "#/a/b" points to, borrowed from root; NULL when none. */
const json_t *schema_find(const json_t *root, const char *pointer);

/* A copy of base with the members of over, but for name, put over its own: a new
 * reference; NULL when memory is out. */
json_t *schema_lay_over(const json_t *base, const json_t *over, const char *name);

#endif
