/* Converts a JSON Schema, as pydantic and zod write it, to the API's Schema, which is a
 * subset of OpenAPI's (docs/api-facts.md).
 *
 *   - A local $ref is replaced by what it refers to; members beside it take precedence.
 *     One that refers to itself cannot be written out.
 *   - "null" among types, or in anyOf or oneOf, becomes nullable; if one alternative is
 *     left, it replaces them; oneOf becomes anyOf.
 *   - A constant becomes an enum of one string, or the least and greatest integer;
 *     exclusive bounds of integers become inclusive ones; allOf of one is that one.
 *   - Members that say nothing about the value ($schema, $id, $comment …) and
 *     additionalProperties: false are left out.
 *   - Values are checked and completed as json_schema_values.h says.
 *   - The API's own schemas stay as they are, except for the case of types and the
 *     order of properties.
 *
 * Anything else that the API has no field for, or refuses, is an error, because it
 * would not be enforced. Pure; any thread. */
#ifndef GB_SCHEMA_H
#define GB_SCHEMA_H

#include <jansson.h>

/* 0 and *ret, a new reference; -EBADMSG and *ret_why, malloc'ed, the place as a JSON
 * pointer and what is wrong there: "#/properties/a/multipleOf: the API has no …";
 * -ENOMEM. */
int json_schema_convert(const json_t *in, json_t **ret, char **ret_why);

#endif
