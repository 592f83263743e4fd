/*
 * From the JSON on the wire to the structures of provider.h. Pure: text in, structures
 * out. What is accepted besides the documented form: docs/api-facts.md, "Forms".
 */
#ifndef GB_API_PARSE_H
#define GB_API_PARSE_H

#include <jansson.h>

#include "provider/gemini/gemini.h"

#define API_TEXT_MAX ((size_t)16 << 20)
#define API_JSON_COST ((size_t)20 << 20) /* bytes that its values take in memory */
#define API_JSON_DEPTH 128
#define API_PAGE_JOBS 1000 /* a hundred are asked for */

/* A JSON object or array within the limits above; NULL: none. */
json_t *gemini_json(const char *text, size_t n);

/* Member `name` (lowerCamel), or the same in snake_case; NULL also for null. */
json_t *gemini_field(const json_t *obj, const char *name);
/* Its text, borrowed, cut at a NUL; NULL if it is not a string or is empty. */
const char *gemini_field_text(const json_t *obj, const char *name);
/* A count as number or string; absent if it is missing, -1 if it is not a count. */
int64_t gemini_field_count(const json_t *obj, const char *name, int64_t absent);
/* A time; {0} if there is none. */
struct timespec gemini_field_time(const json_t *obj, const char *name);
/* An id with one of the prefixes, malloc'ed; NULL if it is not an id. other may be
 * NULL. */
char *gemini_field_id(
	const json_t *obj, const char *name, const char *prefix, const char *other);

/* Whether root is a page of the list whose elements are in member. An empty list of the
 * API has no members at all. An object that has none of a list's members comes from
 * something else (a gateway, or an error with status 200) and does not mean "there are
 * none". */
bool gemini_is_list(const json_t *root, const char *member);

/* The list of jobs; -EPROTO if it is not a list. asked is the token of the request. */
int gemini_page_parse(
	const char *text, size_t n, const char *asked, struct remote_page *ret);

/* Add the models of a page to ret, which stays valid also on failure; *ret_next is the
 * token of the next page or NULL. */
int gemini_models_parse(
	const char *text, size_t n, struct remote_models *ret, char **ret_next);
/* The model of GET models/M. */
int gemini_model_parse(const char *text, size_t n, unsigned *ret_methods);

/* One page of the list of files: how many bytes were uploaded, and the next token
 * (malloc'ed) or NULL. asked is the token of the request. -EPROTO: no list. */
int gemini_files_parse(const char *text, size_t n, const char *asked,
	int64_t *ret_bytes, char **ret_next);

/* Fill reason, text, retry, from_api of *e from an error's body of any form; e->status
 * is set before. */
void gemini_error_parse(const char *body, size_t n, struct provider_error *e);

#endif
