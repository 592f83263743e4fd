/* Shared by the files that make an index: index_build.c reads requests, index_results.c
 * results, index_grow.c takes over what an earlier index has; outcome.c judges results,
 * summary.c draws conclusions from all of them. */
#ifndef GB_ANSWERS_PRIVATE_H
#define GB_ANSWERS_PRIVATE_H

#include "answers/index.h"
#include "jobs/job.h"

enum { MODELS_MAX = 16 };

/* What the results say about the models that answered. */
struct answers_models {
	struct {
		struct line_word name;
		uint64_t n;
	} models[MODELS_MAX];
	unsigned n;
	uint64_t others; /* of still other models */
	/* The last stage that is a warning, and how many lines have one. */
	struct line_word stage, retires;
	uint64_t ending;
};

struct schemas;

struct build {
	const struct answers_input *in;
	struct answers *a;
	struct answers_blob blob;
	struct keyseed seed;
	/* One each a row. */
	struct answers_row *rows;
	struct keypair *keys;
	struct answers_files *files;
	uint32_t n, room;
	uint32_t asked;  /* rows of requests: the first ones */
	/* Rows of requests by key: their number plus one; 0: free. */
	uint32_t *slots;
	uint32_t n_slots;
	uint32_t *schemas_at; /* NULL: no row has any yet */
	struct answers_more *more;
	uint32_t n_more, room_more;
	struct answers_medium *media;
	uint32_t n_media, room_media, line_media;
	uint64_t last_line; /* of the requests */
	struct answers_models models;
	/* The part whose results are read: which it is, and what it has. */
	uint32_t slot;
	struct answers_part part;
	struct schemas *schemas; /* NULL: none was needed */
};

/* index_build.c: room for so many rows; a row without anything; its key; all rows of
 * requests by key. */
int answers_rows_room(struct build *b, uint32_t room);
int answers_new_row(struct build *b, uint32_t *ret);
int answers_set_key(struct build *b, uint32_t i, const char *key, size_t n);
int answers_set_schema(struct build *b, uint32_t i, uint32_t at);
int answers_hash_rows(struct build *b);
/* array: the address of a pointer. Memory for n of size `each`; for one more than n, where
 * there is some for *room. -ENOMEM, and it is as it was. */
int answers_room(void *array, size_t n, size_t each);
int answers_room_for_one(void *array, uint32_t n, uint32_t *room, size_t each);
/* What row i has of other files than the main one; NULL: no memory. Until the next call. */
struct answers_more *answers_more_of(struct build *b, uint32_t i);

/* index_results.c: read the results of all parts that were not read yet, and see which
 * requests have none. */
int answers_results(struct build *b);
/* The rows of requests that begin at or after `from`: the number of the first. */
uint32_t answers_row_from(const struct build *b, uint64_t from);
/* Mark the rows that parts of later rounds ask again. */
int answers_mark_asked(struct build *b);

/* index_grow.c: begin with all that in->before has. -ESTALE: it is no good for that. */
int answers_grow(struct build *b);
/* Bytes that a row takes in answers.tsv beside its text. */
uint64_t answers_row_frame(
	const char *blob, const struct answers_row *r, const struct answers_note *note);

/* Set the note before the text of row i. Most notes equal that of the row before. */
int answers_note(struct build *b, uint32_t i, const char *text);
int answers_note_bytes(struct build *b, uint32_t i, const char *text, size_t n);

/* Judge the result of row i: its status, its files, whether it goes into
 * retry.jsonl. */
int answers_judge(struct build *b, uint32_t i, const struct answer_line *line);
/* Row i has no result, because of `none`; dropped: it is not asked for any more. */
int answers_missing(struct build *b, uint32_t i, enum answers_none none, bool dropped);

/* Called for each result; and at the end, when all rows are judged and counted. */
void answers_summary_line(struct build *b, const struct answer_line *line);
int answers_summary(struct build *b);
/* Go on with what an index has kept; false: it makes no sense. */
bool answers_summary_resume(struct build *b, const struct answers *before);

/* schemas.c: whether the text of row i is JSON and fits the schema of its request;
 * without one all JSON does. why: see fit_end. */
int answers_schema_judge(struct build *b, uint32_t i, enum fit_verdict *ret,
	char why[FIT_WHY_MAX]);
void answers_schemas_free(struct schemas *s);

struct gb_job;

/* cost.c, unlocked: set a->cost from the tokens and the present prices.tsv. */
void answers_price(struct gb_job *job, struct answers *a);
/* A line of the ledger: the tokens of job, whose results (or those of its directory) a
 * is of. */
void answers_count(
	struct gb_job *job, const int64_t tokens[TOKENS_N], const struct answers *a);

/* answers.csv, once all else is there. A table that is not that of the requests makes
 * none. */
int answers_table(struct build *b);

#endif
