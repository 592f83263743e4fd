/* The schema of a request, responseSchema or responseJsonSchema, as a table that
 * answers are compared with (base/json_fit.h).
 *
 * Members are known in both spellings, types in any case. Members that are not known
 * here (pattern, format; of JSON Schema also not, if, multipleOf and such) are ignored,
 * and so is what has a value of the wrong kind. So an answer that does not fit the
 * table certainly does not fit the schema. */
#ifndef GB_ANSWER_SCHEMA_H
#define GB_ANSWER_SCHEMA_H

#include "base/json_fit.h"

/* 0; *ret NULL: nothing can be said of answers. -ENOMEM. */
int answer_schema_compile(const char *text, size_t len, struct fit_schema **ret);

#endif
