/*
 * How a provider's request lines are written, as a table that the check and the
 * submission are given: which member belongs where, and which strings name files.
 *
 * The check's loops call none of its functions for a byte or for a usual name: of names
 * they ask the filter, which is made of the rows once a file. Constant, any thread; a
 * filter is its user's own.
 */
#ifndef GB_REQUEST_GRAMMAR_H
#define GB_REQUEST_GRAMMAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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
	const char *what;          /* why it is refused, and what to do */
	enum line_warning warning; /* of a PART_WARNED */
};

/* What is said of a warning, to those who ask these models. */
struct line_tale {
	enum line_warning warning;
	bool (*about)(const char *model); /* its name (remote_model_name); "": not
	                                     known */
	const char *text;
};

/* ---- files that lines name ------------------------------------------------------- */

#define URIS_TEXT_MAX 2048 /* bytes of a URI or name that are looked at */

/* One that was found. text is NUL-terminated and unescaped, and valid during the
 * call. */
struct uris_found {
	uint64_t line; /* from 1 */
	const char *text;
	bool loose;
	bool odd; /* longer than URIS_TEXT_MAX, or with a NUL in it: text is its
		     beginning */
};

/* Whole lines of a file: from off on, len bytes; len -1: to its end. */
struct lines_span {
	int fd;
	int64_t off, len;
};

/* A result other than 0 ends the reading with that value. */
typedef int (*uris_fn)(void *arg, const struct uris_found *found);

/* What replaces one: plain texts, borrowed until file_refs_replace returns. If the object
 * has no mime_type, mime is put beside the URI, in the same spelling. */
struct uris_new {
	const char *uri, *mime;
};

/* ---- the table -------------------------------------------------------------------- */

struct request_grammar {
	struct {
		const struct placement *rows;
		size_t n;
	} places[N_PLACES];
	/* What is said of a PART_CONFIG that is no object, of a PART_SYSTEM that is a
	 * string, of a PART_CACHED beside others, and of a role in contents. */
	const char *no_object, *string, *beside, *role;
	bool (*is_role)(const char *role, size_t len);
	uint64_t max; /* bytes of requests in one job */
	const struct line_tale *tales; /* up to one without text */

	/* Files that lines name: all of them, and with others in their place. A URI
	 * without a scheme names a file of the draft. As file_refs_each and file_refs_replace. */
	bool (*has_scheme)(const char *text, size_t len);
	int (*files_each)(struct lines_span in, const atomic_bool *cancel, uris_fn each, void *arg);
	int (*files_replace)(struct lines_span in, int out, const atomic_bool *cancel,
		const struct uris_new *(*find)(void *arg, const char *text), void *arg,
		off_t *ret_size);
};

/* Tells most names that are in no table from the others, in no time. */
struct placement_filter {
	uint32_t bits[N_PLACES][32];
};

void placement_filter_init(struct placement_filter *f, const struct request_grammar *g);

static inline bool placement_may_know(const struct placement_filter *f,
	enum place place, const char *name, size_t len)
{
	return len > 0 && f->bits[place][name[0] & 31] >> (name[len - 1] & 31) & 1;
}

/* The row of that name; NULL: none. */
const struct placement *placement_find(const struct request_grammar *g,
	enum place place, const char *name, size_t len);

/* Whether the name, in either spelling, is that one in lowerCamel. */
bool placement_is(const char *name, size_t len, const char *camel);

#endif
