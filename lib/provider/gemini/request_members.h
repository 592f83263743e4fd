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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The object a member is in. */
enum place { PLACE_REQUEST, PLACE_CONFIG, PLACE_THINKING, N_PLACES };

/* What a member of this name is. */
enum part {
	PART_MISPLACED, /* refused, see what */
	PART_UNWANTED,  /* refused in defaults.json only */
	PART_CONFIG,    /* generationConfig: an object with members of PLACE_CONFIG */
	PART_SYSTEM,    /* systemInstruction: no string */
	PART_TOOLS,     /* tools, toolConfig */
	PART_CACHED,    /* cachedContent: not beside PART_SYSTEM or PART_TOOLS */
	PART_WARNED,    /* accepted, but ignored or badly answered by some models */
	PART_THINKING,  /* thinkingConfig: an object with members of PLACE_THINKING */
};

/* What in a line is worth a warning. */
enum line_warning {
	WARN_JSON_SCHEMA, /* responseJsonSchema */
	WARN_BUDGET,      /* thinkingBudget */
	WARN_CANDIDATES,  /* candidateCount above 1 */
	WARN_SAMPLING,    /* temperature, topP, topK */
	WARN_PENALTY,     /* presencePenalty, frequencyPenalty */
	WARN_CACHED,      /* cachedContent */
	WARN_PREFILLED,   /* the last turn is the model's */
	WARN_BORROWED,    /* its key comes from custom_id, id or metadata */
	WARN_ODD_KEY,     /* one of these is there, but no string that could be a key */
	WARN_METADATA,    /* not a warning: metadata of its own stays beside the key */
	LINE_WARNINGS
};

struct placement {
	const char *name; /* in lowerCamel */
	size_t len;       /* of it */
	enum part part;
	const char *what; /* why it is refused, and what to do */
	enum line_warning warning; /* of a PART_WARNED */
};

/* What is said about a PART_CONFIG that is not an object, a PART_SYSTEM that is a
 * string, and a PART_CACHED beside others. */
extern const char placement_no_object[], placement_string[], placement_beside[];
/* Of a role in contents. */
extern const char placement_role[];
bool placement_is_role(const char *role, size_t len);

/* The rows of a place. */
const struct placement *placement_rows(enum place place, size_t *ret_n);

/* A fast filter that excludes most names that are in no table. */
struct placement_filter {
	uint32_t bits[N_PLACES][32];
};

void placement_filter_init(struct placement_filter *f);

static inline bool placement_may_know(const struct placement_filter *f,
	enum place place, const char *name, size_t len)
{
	return len > 0 &&
	       f->bits[place][name[0] & 31] >> (name[len - 1] & 31) & 1;
}

/* The row of that name; NULL: none. */
const struct placement *placement_find(enum place place, const char *name, size_t len);

/* Whether the name, in either spelling, is that one in lowerCamel. */
bool placement_is(const char *name, size_t len, const char *camel);

/* Bytes of requests in one job. */
#define SCAN_SEND_MAX UINT64_C(2147483648)

#endif
