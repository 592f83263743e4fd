/*
 * How a provider's result lines are written, as the index of answers needs it: what is
 * on a line, what an ending means, and the numbers of an embedding.
 *
 * Only walk and the vector functions are called for bytes, each for many of them at a
 * time; their callbacks once a line or part. Constant, any thread.
 */
#ifndef GB_RESULT_GRAMMAR_H
#define GB_RESULT_GRAMMAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json_fit.h"
#include "base/json_text.h"
#include "base/siphash_set.h"

/* ---- what is on a line ------------------------------------------------------------- */

enum {
	LINE_KEY_MAX = 4096, /* bytes of a key that are kept */
	LINE_WORD_MAX = 64,  /* of a reason, a MIME type and such */
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
	struct span schema;    /* that answers must fit; empty: none is there */
};

enum line_walk_of { WALK_RESULTS, WALK_REQUESTS };

struct line_calls {
	int (*line)(void *arg, const struct answer_line *line);
	int (*part)(void *arg, const struct line_part *part); /* may be NULL */
};

/* What to read, and who is told. */
struct line_reading {
	enum line_walk_of of;
	struct keyseed seed; /* of the hashes of keys */
	const struct line_calls *calls;
	void *arg;
	const atomic_bool *cancel; /* may be NULL */
};

/* ---- what words mean --------------------------------------------------------------- */

/* Of a finishReason. */
enum line_finish {
	FINISH_USUAL,
	FINISH_CUT,        /* the answer is longer than was allowed */
	FINISH_BLOCKED,    /* by a policy: the same request would be blocked again */
	FINISH_NO_PICTURE, /* one was asked for, and none was made */
};

struct finish_word {
	const char *word;
	enum line_finish means;
};

/* ---- vectors ----------------------------------------------------------------------- */

/* Where the next number begins: in the results, up to `to`. */
struct vector_reading {
	uint64_t at, to;
};

/* ---- the table --------------------------------------------------------------------- */

struct result_grammar {
	/* Read bytes [at.from, at.to) of the source. calls.part gets each part of an
	 * answer, calls.line each line that is not blank. 0, what a callback returned
	 * other than 0, the source's error; -EIO: it ends too early; -ECANCELED. */
	int (*walk)(const struct line_reading *r, const struct text_source *source,
		struct span at);

	/* The most frequent first, up to one without a word; others are usual. */
	const struct finish_word *finishes;
	/* Whether this stage says that the model will soon be gone. */
	bool (*stage_is_ending)(const char *stage);
	/* Whether the model asked for may answer by this name. */
	bool (*may_answer_as)(const char *asked, const char *version);

	/* The schema of this text, from line->schema. 0; *ret NULL: there is nothing that
	 * could be checked. -ENOMEM. */
	int (*schema)(const char *text, size_t len, struct fit_schema **ret);

	/* The values of an embedding, and how many there are; *ret_n 0: it has none. 0
	 * or the source's error. */
	int (*vector_find)(const struct text_source *from, struct span object,
		struct span *ret, uint64_t *ret_n);
	/* The next n numbers as float32, little endian; NaN after their end. */
	int (*vector_read)(const struct text_source *from, struct vector_reading *r,
		uint8_t *out, size_t n);
};

#endif
