/* What is on a line of results, or of requests, as far as answers need it.
 *
 *     line_walk_init(&w, WALK_RESULTS, seed, &calls, arg);
 *     line_walk_run(&w, source, from, to)      bytes [from, to) of it
 *
 * Lines may be of any length and cut anywhere: of texts and pictures only their place
 * (struct span) and their decoded length are kept. Members are known in both spellings,
 * camelCase and snake_case. A line without "key" has custom_id or id beside the result,
 * or key, custom_id or id in "metadata", for one. Of candidates only the first counts.
 * calls.part gets each of its parts at the part's end; calls.line gets each line that
 * is not blank, complete or damaged, at its end. A callback's result other than 0 ends
 * the run with that value.
 *
 * Offsets are those of the source. One thread at a time; the only memory is the struct,
 * and one buffer while it runs. */
#ifndef GB_ANSWER_LINE_H
#define GB_ANSWER_LINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json_text.h"
#include "base/json_tokens.h"
#include "base/siphash_set.h"

enum {
	LINE_KEY_MAX = 4096,  /* bytes of a key that are kept */
	LINE_WORD_MAX = 64,   /* of a finishReason, a MIME type and such */
	LINE_PLACES = 12,
};

enum line_tokens {
	TOKENS_PROMPT,
	TOKENS_CANDIDATES,
	TOKENS_THOUGHTS,
	TOKENS_CACHED,
	TOKENS_TOTAL,
	TOKENS_N,
};

struct line_word {
	char text[LINE_WORD_MAX]; /* NUL-terminated, cut */
	size_t len;
};

/* A string and how long it is. */
struct line_text {
	struct span at;  /* between its quotes */
	uint64_t len;    /* bytes, decoded */
	uint64_t extra;  /* additional bytes as a field of TSV */
	uint8_t last;    /* byte */
};

struct line_part {
	bool thought;
	bool has_text, has_data;
	bool other; /* a function call, code, or something unknown */
	struct line_text text;
	struct line_data data;
	struct line_word mime;
};

struct answer_line {
	uint64_t number;   /* from 1 */
	struct span at;    /* the object; the whole line if it is damaged */
	bool damaged;      /* not a complete JSON object */
	bool has_key;
	uint8_t key_rank;    /* 0: "key"; else what replaced it, the larger the less
	                        preferred */
	struct keypair hash; /* of the key */
	size_t key_len;    /* kept, whole characters */
	char key[LINE_KEY_MAX];

	/* Results. */
	bool has_response, has_error, has_candidate, has_embedding, has_parts;
	struct span embedding, parts; /* values, brackets included */
	struct line_word finish, block, status;
	struct line_word version, stage, retires; /* of the model that answered */
	int64_t code;      /* of the error; -1: none */
	bool has_message;
	struct line_text message;
	int64_t tokens[TOKENS_N];
	uint64_t texts, media, others; /* parts; thoughts left out */
	struct line_text text; /* at: of the last; len, extra: of all */

	/* Requests. */
	bool has_request;  /* else it is a bare one */
	struct line_word mime; /* responseMimeType */
};

enum line_walk_of { WALK_RESULTS, WALK_REQUESTS };

struct line_calls {
	int (*line)(void *arg, const struct answer_line *line);
	int (*part)(void *arg, const struct line_part *part); /* may be NULL */
};

struct line_walk {
	struct jtok tok;
	const struct line_calls *calls;
	void *arg;
	enum line_walk_of of;
	struct keyseed seed;
	struct keyhash hash;
	struct answer_line line;
	struct line_part part;
	uint64_t line_start;
	uint8_t places[LINE_PLACES]; /* by depth */
	uint8_t member;      /* what the value after this name is */
	bool first_candidate;
	bool key_begins;     /* no part of the present key has been seen yet */
	struct line_word name, scalar;
	bool capturing;      /* scalar is being read */
	bool after_damage;
};

void line_walk_init(struct line_walk *w, enum line_walk_of of, struct keyseed seed,
	const struct line_calls *calls, void *arg);

/* 0, the result of a callback, or of the source; -EIO if it ends too early; -ECANCELED
 * soon after *cancel (may be NULL) has become true. */
int line_walk_run(struct line_walk *w, const struct text_source *source, uint64_t from,
	uint64_t to, const atomic_bool *cancel);

#endif
