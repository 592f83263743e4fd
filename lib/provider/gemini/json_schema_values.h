/* What the API checks in a schema besides the names of its fields. The API does so for
 * each request, hours later, so it is checked here.
 *
 * A schema has a type, or alternatives. An OBJECT has properties, an ARRAY items; what
 * is required is among the properties; an enum is of strings that are not empty;
 * formats are those of docs/api-facts.md. What JSON Schema leaves open but follows for
 * certain is filled in: the type that members imply, the order of properties. A format
 * that the API does not know is moved to the description, and members that say nothing
 * about a value of this type are left out. */
#ifndef GB_SCHEMA_VALUES_H
#define GB_SCHEMA_VALUES_H

#include <jansson.h>
#include <stdbool.h>

struct schema_fault {
	char member[128]; /* the path below the schema, "required/0"; empty: all of it */
	const char *what; /* static */
};

/* out: one schema in the API's terms, with its inner schemas finished before. listed:
 * its alternatives come from a list of types. 0; -EBADMSG and *ret; -ENOMEM. */
int json_schema_settle(json_t *out, bool listed, struct schema_fault *ret);

/* Append text in brackets to the description. */
int json_schema_describe(json_t *out, const char *before, const char *text);

#endif
