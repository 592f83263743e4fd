/* Between the files that make an index: index_build.c reads lines, outcome.c
 * judges them, summary.c says what all of them together tell. */
#ifndef GB_ANSWERS_PRIVATE_H
#define GB_ANSWERS_PRIVATE_H

#include "answers/index.h"
#include "jobs/job.h"

enum { MODELS_MAX = 16 };

/* What results say of the models that answered. */
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
	uint64_t n_slots;
	struct answers_medium *media;
	uint32_t n_media, room_media, line_media;
	uint64_t last_line; /* of the requests */
	struct answers_models models;
};

/* What row i has before its text. Most rows that have a note have the same as the one
 * before. */
int answers_note(struct build *b, uint32_t i, const char *text);

/* What the result of row i is: its status, its files, whether it is tried again. */
int answers_judge(struct build *b, uint32_t i, const struct answer_line *line);
/* Row i has no result. */
int answers_missing(struct build *b, uint32_t i);

/* Each result goes by; at the end, all rows judged and counted. */
void answers_summary_line(struct build *b, const struct answer_line *line);
int answers_summary(struct build *b);

struct gb_job;

/* cost.c, unlocked: a->cost, of the tokens and what prices.tsv says now. */
void answers_price(struct gb_job *job, struct answers *a);
/* A line of the ledger. */
void answers_count(struct gb_job *job, const struct answers *a);

/* answers.csv, once all else is there. A table that is not that of the requests makes none. */
int answers_table(struct build *b);

#endif
