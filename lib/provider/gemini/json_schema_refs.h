/* The references of a JSON Schema: where they point, and the members beside them. */
#ifndef GB_SCHEMA_REFS_H
#define GB_SCHEMA_REFS_H

#include <jansson.h>

/* The object that "#" or "#/a/b" points to, borrowed from root; NULL if there is
 * none. */
const json_t *json_schema_find(const json_t *root, const char *pointer);

/* A copy of base, overridden by the members of over except name: a new reference; NULL
 * without memory. */
json_t *json_schema_lay_over(const json_t *base, const json_t *over, const char *name);

#endif
