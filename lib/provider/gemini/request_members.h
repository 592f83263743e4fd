/* Where the members of a GenerateContentRequest belong: what the API is known to refuse
 * (docs/api-facts.md), so that it is reported before anything is sent.
 *
 *     {"contents": …, "systemInstruction": …, "generationConfig": {"temperature": …}}
 *
 * One table for defaults.json, which is such a request without contents, and for the
 * lines of requests.jsonl. Names are taken in lowerCamel and in snake_case, as the API
 * does. What is not in the table is left to the API.
 *
 * Everything here is constant except a filter, of which each user has its own. */
#ifndef GB_PLACEMENT_H
#define GB_PLACEMENT_H

#include "provider/request_grammar.h"

extern const struct request_grammar gemini_requests;
extern const struct line_tale gemini_line_tales[]; /* of it */

/* Bytes of requests in one job. */
#define VALIDATE_SEND_MAX UINT64_C(2147483648)

#endif
