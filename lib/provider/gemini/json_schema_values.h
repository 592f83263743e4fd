/* What the API checks of a schema beside the names of its fields, one request at a time
 * and hours later: so it is checked here.
 *
 * A schema has a type, or alternatives. An OBJECT has properties, an ARRAY items; what
 * is required is among the properties; an enum is of strings that are not empty; formats
 * are those of docs/api-facts.md. What JSON Schema leaves open and is certain is put in:
 * the type that members tell of, the order of properties. A format that the API does not
 * know goes into the description, and members that say nothing of a value of this type
 * are left out. */
#ifndef GB_SCHEMA_VALUES_H
#define GB_SCHEMA_VALUES_H

#include <jansson.h>
#include <stdbool.h>

struct schema_fault {
	char member[128]; /* the path below the schema, "required/0"; empty: all of it */
	const char *what; /* static */
};

/* out: one schema in the API's words, those inside of it settled before. listed: its
 * alternatives come of a list of types. 0; -EBADMSG and *ret; -ENOMEM. */
int schema_settle(json_t *out, bool listed, struct schema_fault *ret);

/* Text in brackets after the description. */
int schema_describe(json_t *out, const char *before, const char *text);

#endif
