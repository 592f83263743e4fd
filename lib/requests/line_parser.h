/* The lines of a requests file, one by one: what each is and where its parts are.
 *
 * What may be on a line:
 *
 *     {"key": STRING, "request": {...}, ...}    LINE_KEYED
 *     {"custom_id": STRING, "request": {...}}   LINE_KEYED, its key comes from another
 *                                               member: custom_id, id, or key,
 *                                               custom_id, id in "metadata"
 *     {"request": {...}, ...}                   LINE_NO_KEY, its number is its key
 *     {"contents": ..., ...}                    LINE_BARE, a request itself; or
 *                                               {"content": ...}
 *     white space                               LINE_BLANK
 *
 * and everything else is LINE_BAD with a reason, also if a member of the request is in
 * the wrong place (request_grammar.h). Members may come in any order and be written
 * with escapes; anything else in the object is left to the API. A BOM before the first
 * line is skipped. The file is read once, in bounded memory however long a line is;
 * scan and compose are both built on it.
 *
 *     lines_init(&l, grammar, seed, each, arg);
 *     lines_feed(&l, buf, n); ...; lines_finish(&l)
 *     or lines_file(&l, fd, cancel)
 *
 * The callback gets every line when its end has been seen; a result other than 0 ends
 * feed, finish and file at once with that value. Offsets count from the first byte fed.
 * One thread at a time. */
#ifndef GB_LINES_H
#define GB_LINES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_tokens.h"
#include "base/siphash_set.h"
#include "provider/request_grammar.h"

enum line_kind {
	LINE_BLANK,
	LINE_KEYED,
	LINE_NO_KEY,
	LINE_BARE,
	LINE_BAD,
};

/* What a request asks for, by the member that it has. */
enum line_asks {
	ASKS_UNKNOWN,
	ASKS_ANSWER,    /* contents */
	ASKS_EMBEDDING, /* content */
	ASKS_BOTH,
};

struct line {
	enum line_kind kind;
	uint64_t number;             /* from 1 */
	uint64_t start, end;         /* the object: its '{' and one past its '}' */
	uint64_t member_start;       /* KEYED: the opening quote of the name "key" */
	uint64_t member_end;         /* KEYED: one past the value of that member */
	uint64_t key_start, key_end; /* KEYED: the string with its quotes */
	bool borrowed;               /* KEYED: the key comes from another member, to be
	                                replaced */
	uint16_t warned;             /* bit w: enum line_warning */
	uint8_t asks;                /* enum line_asks */
	uint64_t request_start, request_end; /* KEYED, NO_KEY: the object */
	struct keypair hash;                 /* KEYED: of the unescaped key */
	unsigned uris, loose_uris; /* of files (file_refs.h); those without a scheme */
	bool cr;             /* the line ended in CR LF */
	bool lf;             /* the line ended in LF: false only for the last */
	const char *reason;  /* BAD: static text */
	const char *name;    /* BAD: the member that it is about; static, or NULL */
	uint64_t column;     /* BAD: byte in the line, from 1; 0: all of it */
};

typedef int (*lines_fn)(void *arg, const struct line *line);

#define LINES_NAME_MAX 64
#define LINES_PLACES 5

/* The members of a request seen so far: in the line itself, if that turns out to be
 * one, or in the value of "request". */
struct lines_request {
	uint8_t parts;          /* bit p: enum part; PART_MISPLACED: refused */
	uint8_t asks;           /* enum line_asks, as bits */
	bool prefilled;         /* the latest turn is the model's */
	uint16_t warned;        /* bit w: enum line_warning */
	const char *name, *what; /* refused: the first such member, and why */
	uint64_t column, cached_column;
};

/* What could replace a missing key. */
struct lines_borrowed {
	uint8_t rank;           /* 0: nothing; the least is the best */
	uint64_t member_start, member_end, key_start, key_end;
	struct keypair hash;
};

struct lines {
	struct jtok tok;
	struct keyseed seed;
	struct siphash hash;
	lines_fn each;
	void *arg;
	struct line line;
	uint64_t line_start;
	uint8_t bom, last_byte, member;
	uint8_t head[4], n_head; /* the first bytes of the file */
	unsigned seen;
	uint8_t places[LINES_PLACES]; /* what the innermost bracket is, by depth */
	struct lines_request requests[2];
	struct lines_borrowed borrowed;
	uint8_t rank;                 /* of the member whose value comes */
	uint64_t top_start;           /* the quote of the name of the line's latest member */
	const struct placement *row; /* of the member whose value comes */
	const struct request_grammar *grammar;
	struct placement_filter filter;
	/* The beginning of a name or URI that arrives in parts. */
	char name[LINES_NAME_MAX];
	size_t name_len;
	uint64_t file_data[(JTOK_DEPTH_MAX + 64) / 64]; /* bit d: the object at depth d
							   is the value of file_data */
};

void lines_init(struct lines *l, const struct request_grammar *g, struct keyseed seed,
	lines_fn each, void *arg);

/* buf must stay as it is until the next call. 0 or what the callback returned;
 * after the latter nothing more may be fed. */
int lines_feed(struct lines *l, const void *buf, size_t n);

/* The end of the file: a last line without a newline is reported. */
int lines_finish(struct lines *l);

/* How many bytes have been looked at, and whether the first three were a BOM. */
uint64_t lines_offset(const struct lines *l);
bool lines_have_bom(const struct lines *l);

/* All of fd from offset 0, and finish. cancel may be NULL; when it becomes true,
 * -ECANCELED. Else 0, what the callback returned, or the errno of pread. */
int lines_file(struct lines *l, int fd, const atomic_bool *cancel);

/* Bytes [from, to) of the file while they are in memory, inside the callback; else
 * NULL. */
const uint8_t *lines_peek(const struct lines *l, uint64_t from, uint64_t to);

/* The key of a line that has none: its number with zeros in front. Returns the
 * length. */
#define LINES_KEY_MAX 24
size_t lines_number_key(uint64_t number, unsigned width, char ret[LINES_KEY_MAX]);

#endif
