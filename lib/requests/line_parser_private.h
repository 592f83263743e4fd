/* Shared by line_parser.c (what is where on a line) and line_members.c (members of a
 * request, and keys under other names). */
#ifndef GB_LINES_PRIVATE_H
#define GB_LINES_PRIVATE_H

#include "requests/line_parser.h"

#include <string.h>

/* What the value after the present name is. */
enum member {
	OTHER,
	KEY,
	REQUEST,
	CONTENTS,
	CONTENT,
	BORROWED, /* custom_id, id, or a member of metadata */
	METADATA,
	FILE_DATA,
	FILE_URI,
	CONFIG,
	SYSTEM,
	THINKING,
	ROLE,
};

/* What a bracket at a depth below LINES_PLACES is. */
enum {
	NOWHERE,
	IN_LINE,
	IN_REQUEST,
	IN_CONFIG,
	IN_THINKING,
	IN_CONTENTS,
	IN_CONTENT,
	IN_METADATA,
};

/* For a key from another member: 1 and 2 are beside the request, from here on in
 * metadata. */
enum { RANK_METADATA = 3 };

static inline bool lines_is(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static inline void lines_bad(struct lines *l, const char *reason, uint64_t column)
{
	if (l->line.reason)
		return;
	l->line.reason = reason;
	l->line.column = column;
}

/* The column of the last byte read, or of the byte an error is about. */
static inline uint64_t lines_column(const struct lines *l, uint64_t offset)
{
	return offset - l->line_start + 1;
}

static inline uint8_t lines_place(const struct lines *l)
{
	return l->tok.depth < LINES_PLACES ? l->places[l->tok.depth] : NOWHERE;
}

static inline enum place lines_place_of(uint8_t place)
{
	return place == IN_CONFIG     ? PLACE_CONFIG
	       : place == IN_THINKING ? PLACE_THINKING
				      : PLACE_REQUEST;
}

/* The request that the innermost object is or belongs to. */
struct lines_request *lines_request_of(struct lines *l);
/* A name in a request or below it, of which placement_may_know. */
void lines_on_request_name(
	struct lines *l, uint8_t place, const char *text, size_t len);
/* The value of generationConfig or systemInstruction is a string; the role of a turn. */
void lines_on_request_string(struct lines *l);
void lines_on_role(struct lines *l, const char *text, size_t len);
/* The end of a request of which something may be wrong. */
void lines_judge_request(struct lines *l, struct lines_request *r);

/* A name whose value may replace a missing key; the last part of such a string; the end
 * of a line that needs it. */
void lines_want_borrowed(struct lines *l, uint8_t place, const char *text, size_t len);
void lines_on_borrowed(struct lines *l);
void lines_borrow_key(struct lines *l);

#endif
