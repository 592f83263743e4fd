/* What result_line.c (the walk) and result_line_rules.c (which members it looks at)
 * share. */
#ifndef GB_RESULT_LINE_PRIVATE_H
#define GB_RESULT_LINE_PRIVATE_H

#include "provider/gemini/result_line.h"

/* Where in the object something stands, and what a member is. */
enum {
	OTHER,
	RESULT,  /* the line's object */
	REQUEST_LINE,
	KEY, /* the best first */
	CUSTOM_ID,
	ID,
	METADATA_KEY,
	METADATA_CUSTOM_ID,
	METADATA_ID,
	METADATA,
	REQUEST_METADATA,
	RESPONSE,
	CANDIDATES,
	CANDIDATE,
	CONTENT,
	PARTS,
	PART,
	PART_TEXT,
	THOUGHT,
	HARMLESS, /* of a part: says nothing about what it is */
	STRANGE,  /* of a part: makes it no text */
	INLINE_DATA,
	MIME,
	DATA,
	FINISH,
	FEEDBACK,
	BLOCK,
	USAGE,
	COUNT_PROMPT, /* in the order of enum line_tokens */
	COUNT_CANDIDATES,
	COUNT_THOUGHTS,
	COUNT_CACHED,
	COUNT_TOTAL,
	EMBEDDING,
	EMBEDDING_COUNT,
	FAILURE,
	CODE,
	MESSAGE,
	STATUS,
	REQUEST,
	CONFIG,
	REQUEST_MIME,
	REQUEST_SCHEMA,
	VERSION,
	MODEL_STATUS,
	STAGE,
	RETIRES,
};

/* What is read of a member's value besides where it is. */
enum want { NOTHING, STRING, SCALAR };

struct line_rule {
	const char *name; /* in lowerCamel; snake_case is taken, too */
	uint8_t member, want;
};

/* The rule for a member of that name of what stands at parent; NULL: it is passed
 * over. */
const struct line_rule *result_line_rule(uint8_t parent, const struct line_word *name);

#endif
