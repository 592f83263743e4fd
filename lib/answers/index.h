/* The index of a job's answers: for each request, where its result is and what it is,
 * and the tree of files that is made from them.
 *
 *     answers_build(&input, &a)              one pass over requests and results
 *     answers_save(a, dirfd, name)           beside the results
 *     answers_load(dirfd, name, &stamp, g, &a)  at a later start: -ENOENT, -ESTALE
 *                                            of other results, -EBADMSG damaged
 *     answers_read_…(a, …)                   bytes of a file made of it
 *     answers_ref, answers_unref
 *
 * The index holds keys and names but no texts: about 75 bytes per request, and its key,
 * once where the file is called so. What few rows and files have is in tables beside
 * them. A loaded index is mapped, and every number in it has been checked. It never
 * changes, except for the places up to which long texts were read, which have a lock.
 * Any number of threads may use it.
 *
 * Rows are requests in the order asked. Results that belong to no request (unknown
 * keys, repeated keys, lines without a key) follow in the order of the results. If the
 * requests are not local, the rows are the results. A key is the same if 128 bits of
 * hash and its first LINE_KEY_MAX bytes are.
 *
 * Nodes are the files and directories of responses/: node 0 is that directory. What has
 * a number keeps it when an index grows out of another one, as long as it is the same:
 * a file with other bytes has another number, and the old one is gone.
 *
 * Several of the API's jobs may have answered the requests (jobs/parts.h). Then the
 * results are one long source in which those of each part have a slot of
 * ANSWERS_SLOT_BITS, so a row needs no more than its place in that. A row has the newest
 * result that is an answer, else the newest one. When a part comes to have results,
 * the index grows (answers_input.before): only those are read. */
#ifndef GB_ANSWERS_INDEX_H
#define GB_ANSWERS_INDEX_H

#include <pthread.h>
#include <stdatomic.h>

#include "answers/gather.h"
#include "answers/outcome.h"
#include "provider/result_grammar.h"
#include "store/prices.h"

/* What follows the note in the third field of answers.tsv and in the main file of a
 * row. */
enum answers_how {
	HOW_NOTHING,
	HOW_STRING,  /* the string at text */
	HOW_STRINGS, /* all text parts of the line */
	HOW_RAW,     /* JSON at text */
	HOW_VECTOR,  /* nothing: `text` locates the numbers of an embedding */
	ANSWERS_HOWS,
};

struct answers_row {
	uint64_t result_from;  /* the line's object … */
	uint64_t request_from; /* the same; of one that is local … */
	uint32_t result_len;   /* … 0: none */
	uint32_t request_len;
	uint32_t text_at, text_len; /* in the result; see how */
	uint32_t tsv_len;    /* bytes in answers.tsv */
	uint32_t key_at;     /* in the blob */
	uint32_t line;       /* line number of the request, else of the result */
	uint16_t key_len;
	uint8_t status : 4, how : 4;
	bool bare : 1;       /* the request is a bare one, */
	bool unkeyed : 1;    /* or has no key: it gets its own when it is written out */
	bool json : 1;       /* it asks for JSON */
	bool retry : 1;      /* another try may answer it … */
	bool asked : 1;      /* … and is on its way: it is not in retry.jsonl */
	bool noted : 1;      /* it has a note: answers_note_of */
};

/* What stands before the text of a row. */
struct answers_note {
	uint32_t row;
	uint32_t at, len; /* in the blob */
};

/* Where in answers.tsv and retry.jsonl every so manieth row begins. */
enum { ANSWERS_MARK_EVERY = 16 };
struct answers_mark {
	uint64_t tsv, retry;
};

static inline struct span answers_result(const struct answers_row *r)
{
	return (struct span){r->result_from, r->result_from + r->result_len};
}

static inline struct span answers_request(const struct answers_row *r)
{
	return (struct span){r->request_from, r->request_from + r->request_len};
}

static inline struct span answers_text(const struct answers_row *r)
{
	uint64_t from = r->result_from + r->text_at;

	return (struct span){from, from + r->text_len};
}

enum answers_kind {
	NODE_IS_DIR,
	NODE_IS_TEXT,
	NODE_IS_PARTS,
	NODE_IS_DATA,
	NODE_IS_WAVE, /* data behind a header of its own */
	NODE_IS_NOTE, /* why an answer does not fit its schema */
	NODE_IS_GONE, /* nothing any more: see above */
	NODE_KINDS
};

#define ANSWERS_WAVE_HEAD 44

struct answers_node {
	uint32_t name_at;    /* in the blob */
	uint32_t parent;
	union {
		uint32_t row;   /* of a file */
		uint32_t first; /* of a directory: its children in `order`, by number: … */
	};
	union {
		uint32_t count;  /* … so many */
		uint32_t size;   /* TEXT */
		uint32_t extent; /* of other files: which is theirs */
	};
	uint8_t name_len;
	uint8_t kind;
	bool newline : 1;    /* TEXT, PARTS, NOTE: one is added */
};

/* What a file is made of that is not its row's text. */
struct answers_extent {
	uint32_t at, len;    /* PARTS: the raw JSON, DATA: the string, in the result;
	                        NOTE: in the blob */
	uint32_t size;       /* of the file */
	uint32_t rate;       /* WAVE */
	uint8_t channels;    /* WAVE */
	bool regular : 1;    /* DATA: see struct line_data */
};

static inline bool answers_has_extent(const struct answers_node *n)
{
	return n->kind != NODE_IS_DIR && n->kind != NODE_IS_TEXT &&
	       n->kind != NODE_IS_GONE;
}

/* Rows of the user's table that requests were made of (table.c): the first are the
 * names of its columns. */
#define ANSWERS_NOT_ASKED UINT32_MAX

struct answers_line {
	struct span at;   /* in the table, without its line end */
	uint64_t end;     /* offset in answers.csv of what follows */
	uint32_t row;     /* ANSWERS_NOT_ASKED: its cells are empty */
	char newline[4];  /* its line end; "" of a last one without */
};

/* Which results, requests and table an index is of; -1: none. Of several parts,
 * results_size is the sum, and `parts` a sum over all that is known of them. */
struct answers_stamp {
	int64_t results_size, results_s, results_ns;
	int64_t requests_size, requests_s, requests_ns;
	int64_t requests_from; /* of a part: where its requests begin */
	int64_t table_size, table_s, table_ns;
	uint64_t parts;
};

/* Why a part has no results. */
enum answers_none {
	NONE_ENDED,     /* it ended without */
	NONE_CANCELLED, /* because somebody wanted that */
	NONE_LOST,      /* they were, and are nowhere any more */
	NONE_VANISHED,  /* the API does not know it any more, and never told of an end */
	ANSWERS_NONES,
};

/* One of several parts that have ended. */
struct answers_part {
	uint32_t number;     /* in the directory: the larger the newer */
	uint32_t round;      /* of a later one the requests are those of its results */
	struct span range;   /* round 0: of the directory's requests */
	int64_t size, s, ns; /* of its results; size -1: there are none */
	int64_t tokens[TOKENS_N];
	uint32_t none;       /* enum answers_none */
	uint32_t unused;
};

#define ANSWERS_SLOT_BITS 40
#define ANSWERS_PARTS_MAX (UINT32_C(1) << 22)

static inline uint64_t answers_slot(uint32_t i)
{
	return (uint64_t)i << ANSWERS_SLOT_BITS;
}

struct answers_head {
	uint32_t crc;        /* of the head after this */
	uint32_t format;
	char magic[8];
	uint32_t body_crc;
	uint32_t n_rows, n_nodes, n_slots, n_notes, n_extents;
	uint32_t n_schemas; /* n_rows, or 0: no request has one */
	uint32_t n_order;   /* n_nodes, or 0: there is one directory */
	uint64_t blob_len;
	uint64_t tsv_size, retry_size;
	int64_t tokens[TOKENS_N];
	uint64_t counts[ANSWER_STATUSES];
	/* If the requests are not local: how many the API counts beyond the rows; -1:
	 * not known. */
	int64_t absent;
	/* In the blob: the lines of `usage` that name models, and the warnings. */
	uint64_t models_len, warnings_len;
	uint32_t models_at, warnings_at;
	/* Of vectors.npy: numbers per row, 0: there is no such file; number of rows. */
	uint32_t dims, vectors;
	/* Of answers.csv: rows of the table, 0: there is no such file; the names of the
	 * added columns, and those of members of answers, each followed by a NUL, in
	 * the blob. */
	uint32_t n_lines, n_properties;
	uint64_t table_size, columns_len, properties_len;
	uint32_t columns_at, properties_at;
	/* In the blob: what summary.c goes on with when the index grows. */
	uint64_t summary_len;
	uint32_t summary_at;
	uint32_t layout;  /* how this machine writes all that: index.c, LAYOUT */
	uint32_t n_parts; /* 0: of one job */
	char separator;
	bool dropped : 1; /* what no part had was not to be bought any more */
	char unused[2];
	struct keyseed seed; /* of the slots */
	struct answers_stamp stamp;
};

/* Where the latest reads of texts ended, so that the next ones need not start at the
 * beginning: some texts are megabytes long, and reads are about 100 KiB. */
struct answers_places {
	pthread_mutex_t lock;
	unsigned next; /* the next to be overwritten */
	struct answers_place {
		uint32_t file; /* number of the node; 0: answers.tsv; UINT32_MAX:
			      * vectors.npy, whose pos counts floats */
		struct text_place place;
	} latest[16];
};

struct answers {
	atomic_uint refs;
	struct answers_head head;
	struct answers_row *rows;
	struct answers_node *nodes;
	struct answers_line *lines;
	struct answers_part *parts;
	struct answers_mark *marks;
	struct answers_note *notes; /* by row */
	struct answers_extent *extents;
	/* By row: where in the request the schema is that an answer must fit; 0: it has
	 * none. */
	uint32_t *schemas;
	uint32_t *slots; /* by hash of parent and name: a node; 0: free */
	uint32_t *order; /* nodes by directory, then by number */
	char *blob;
	char cost[PRICES_TEXT]; /* by prices.tsv when this was loaded; "": not known */
	uint64_t unserved; /* of a job that was asked to be cancelled */
	size_t usage_len; /* of the text of usage */
	uint64_t print;   /* of the parts, as answers.c knows them */
	struct timespec made; /* on disk; of several parts that is when it last grew */
	void *map;       /* everything is in this mapping; NULL: malloc'ed one by one */
	size_t map_len;
	struct answers_places *places;
	const struct result_grammar *grammar; /* to read the results by */
};

/* The largest node number: node numbers are part of inode numbers. */
#define ANSWERS_NODES_MAX ((UINT32_C(1) << 25) - 1)

struct answers *answers_new(void);
struct answers *answers_ref(struct answers *a);
void answers_unref(struct answers *a);
/* It is not used for now: what can be read back from disk leaves memory. */
void answers_rest(const struct answers *a);

/* The same of one that is read through once, at row or node i: now and then. */
static inline void answers_rest_at(const struct answers *a, uint32_t i)
{
	if (i % 8192 == 8191)
		answers_rest(a);
}

/* The sources of an index. */
struct answers_input {
	const struct result_grammar *grammar; /* of results and requests */
	const struct text_source *results, *requests; /* NULL: none */
	struct answers_stamp stamp;
	const atomic_bool *cancel; /* may be NULL */
	int64_t asked;             /* how many requests the API counts; -1: not known */
	const char *model; /* that was asked (remote_model_name); NULL: not known */
	/* The table that requests were made from, NULL: none; whether it is inputs.tsv;
	 * the names of the properties in schema.json, each followed by a NUL. */
	const struct text_source *table;
	bool tabs;
	const char *properties;
	size_t properties_len;
	/* Where the requests begin; requests_size of the stamp is where they end. */
	uint64_t requests_from;

	/* Of several parts, those that have ended, by slot. NULL: of one job. */
	const struct answers_part *parts;
	uint32_t n_parts;
	/* An index of the same requests that has the first of them; NULL: it is made
	 * anew. Parts of it that had no results may have some now. Of the requests only
	 * schemas are read then. */
	const struct answers *before;
	/* The requests of parts of later rounds that have not ended. */
	const struct text_source *asking;
	const uint64_t *asking_sizes;
	uint32_t n_asking;
	bool dropped; /* what no part has is not bought any more … */
	const struct span *open; /* … but for these requests, which are on their way */
	uint32_t n_open;
	bool lost;    /* what no part has may have been bought: a record is lost */
};

/* Whether an index can grow out of `before`: no part that it has became another. */
bool answers_may_grow(const struct answers *before, const struct answers_part *parts,
	uint32_t n_parts);

/* 0; -EFBIG: more than an index can number; -ECANCELED; -ENOMEM; or the error of a
 * source. */
int answers_build(const struct answers_input *in, struct answers **ret);

int answers_save(const struct answers *a, int dirfd, const char *name);
/* Bytes of the file. */
uint64_t answers_saved_size(const struct answers *a);
/* stamp NULL: of whatever results. */
int answers_load(int dirfd, const char *name, const struct answers_stamp *stamp,
	const struct result_grammar *grammar, struct answers **ret);
/* The file to which a was saved a moment ago. It is not looked at: that would take the
 * memory for it once more while a has its own. */
int answers_load_saved(int dirfd, const char *name, const struct answers *a,
	struct answers **ret);

/* ---- rows ------------------------------------------------------------------------- */

enum answers_column { ANSWERS_TSV, ANSWERS_RETRY };

/* Bytes that a row has in a file of rows; 0: it is not there. */
uint64_t answers_row_len(const struct answers_row *r, enum answers_column c);
/* Where row i begins there; n_rows: the end of the file. */
uint64_t answers_row_begin(const struct answers *a, enum answers_column c, uint32_t i);
/* The first row that ends after off. */
uint32_t answers_row_at(const struct answers *a, enum answers_column c, uint64_t off);
/* The note of a row of a; len 0: it has none. */
struct answers_note answers_note_of(
	const struct answers *a, const struct answers_row *row);
uint64_t answers_node_size(const struct answers *a, const struct answers_node *n);
/* What an extent is of: in the results, or in the blob. */
struct span answers_data(const struct answers *a, const struct answers_node *n);

/* ---- the tree --------------------------------------------------------------------- */

/* The child of node dir, or 0. */
uint32_t answers_child(const struct answers *a, uint32_t dir, const char *name);
/* The first child whose number is at least `from`, or 0. */
uint32_t answers_next(const struct answers *a, uint32_t dir, uint32_t from);
/* Slots for so many: they are two thirds full. */
static inline uint32_t answers_slots_for(uint32_t n)
{
	return n + n / 2 + 16;
}
/* The slot at which a search starts, of n, in general and for a name; and the one after
 * slot i. */
static inline uint32_t answers_hash_slot(struct keypair hash, uint32_t n)
{
	return (uint32_t)((hash.first >> 32) * n >> 32);
}
uint32_t answers_name_slot(struct keyseed seed, uint32_t parent, const char *name,
	size_t len, uint32_t n);
static inline uint32_t answers_next_slot(uint32_t i, uint32_t n)
{
	return i + 1 < n ? i + 1 : 0;
}

static inline const char *answers_name(
	const struct answers *a, const struct answers_node *n)
{
	return a->blob + n->name_at; /* NUL-terminated */
}

/* The extension of a file of this MIME type, without a dot. Static. */
const char *answers_extension(const char *mime);

/* index_names.c: all nodes of a whose rows are complete; before: an index whose nodes
 * stay, but for rows that are made anew, or NULL. -EFBIG, -ENOMEM. */
struct answers_medium { /* a part with data; in the order of the results */
	uint32_t row;
	const char *extension;
	struct span data;
	uint64_t size;
	bool regular;
	uint32_t rate, channels; /* of raw samples; 0: it is something else */
};
/* From its MIME type: raw samples get a header, so that players can open them. */
void answers_take_wave(const char *mime, struct answers_medium *m);
/* What the files of a row are made from. */
struct answers_files {
	uint32_t size;     /* of the main file without the newline */
	uint32_t more;     /* one more than the place in `more`; 0: nothing there */
	uint32_t slot : 23; /* of the last part that had a result, plus one */
	bool has_main : 1; /* KEY.json if it is json, else KEY.txt … */
	bool newline : 1;  /* … to which one is added */
	bool json : 1;
	bool error : 1;    /* KEY.error */
	bool unnamed : 1;  /* the result has no key */
	bool made : 1;     /* they are new: nodes of an earlier index are gone */
};
/* What few rows have: files beside the main one, a note. */
struct answers_more {
	uint32_t media, n_media; /* the first of its media, and how many */
	uint32_t parts_at;       /* in the result: KEY.json of parts that are no text; */
	uint32_t parts_len;      /* 0: there is none */
	uint32_t why_at;         /* in the blob: KEY.error beside an answer; */
	uint32_t why_len;        /* 0: there is none */
	uint32_t note_at;        /* of a row that is noted */
	uint32_t note_len;
};
struct answers_material {
	const struct answers_files *files; /* one each a row */
	const struct answers_more *more;
	const struct answers_medium *media;
};
/* So that sizes of files have 32 bits, whatever is put before or behind a text. */
#define ANSWERS_TEXT_MAX (UINT32_MAX - (UINT32_C(1) << 20))
struct answers_blob {
	char *text;
	uint64_t len, room;
};
/* -EFBIG: places in it have 32 bits. */
int answers_blob_add(
	struct answers_blob *b, const void *text, size_t n, uint32_t *ret_at);
/* What is free behind the row's key, so that the name of its file need not repeat it. */
static inline size_t answers_key_room(const struct answers_row *r)
{
	return !r->key_len ? 0 : r->json ? sizeof ".json" : sizeof ".txt";
}
int answers_tree(struct answers *a, struct answers_blob *blob,
	const struct answers_material *m, const struct answers *before);
/* The path of a node below responses/; false: it is longer than size. */
bool answers_path(const struct answers *a, const char *blob, uint32_t node, char *ret,
	size_t size);

/* ---- contents ----------------------------------------------------------------------- */

/* Where bytes come from; requests and table may have none. spare: memory that reads leave for
 * the next one, or NULL. */
struct answers_sources {
	struct text_source results, requests, table;
	struct gather_spare *spare;
};

/* Read up to n bytes at off of answers.tsv, of retry.jsonl, of a file of the tree.
 * Returns how many, 0 at the end, or the error of a source. */
ssize_t answers_read_tsv(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n);
ssize_t answers_read_retry(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n);
ssize_t answers_read_node(const struct answers *a, const struct answers_sources *s,
	uint32_t node, uint64_t off, void *buf, size_t n);
/* The same of answers.csv (table.c). */
ssize_t answers_read_table(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n);
/* While it is made: fill in where its lines end, and its size. before: an index that has
 * the same of all rows but those whose `files` are made anew, or NULL. -ECANCELED, or what
 * a source answers. */
int answers_table_measure(struct answers *a, const struct answers_sources *s,
	const struct answers *before, const struct answers_files *files,
	const atomic_bool *cancel);
/* The same for vectors.npy; -ENOENT: there is none. */
ssize_t answers_read_vectors(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n);
uint64_t answers_vectors_size(const struct answers *a);
#define ANSWERS_VECTORS_HEAD 128
void answers_vectors_head(const struct answers *a, char ret[ANSWERS_VECTORS_HEAD]);
/* How many requests came to nothing because the job was cancelled. */
uint64_t answers_unserved(const struct answers *a);
/* Write the text of `usage` to ret; returns its length. */
#define ANSWERS_USAGE_MAX 2560
size_t answers_usage(const struct answers *a, char ret[ANSWERS_USAGE_MAX]);

/* The last known place of a file (see answers_places) that is not after off; and add
 * one. */
struct text_place answers_place_find(
	const struct answers *a, uint32_t file, uint64_t off);
void answers_place_keep(
	const struct answers *a, uint32_t file, struct text_place place);

/* Write the main text of a row to a sink: the note, then what `how` says. */
int answers_row_text(const struct answers *a, const struct answers_row *row,
	const struct text_source *results, const struct text_sink *to);
/* What that reads of the results; may be empty. */
struct span answers_row_need(const struct answers_row *row);
/* What is put around a request that has no key of its own: text before, how much of the
 * object follows, and text after. */
struct answers_wrap {
	char before[64]; /* the key is a line's number */
	size_t len;
	struct span rest;
	const char *after;
};
void answers_wrap(const struct answers *a, const struct answers_row *row,
	struct answers_wrap *ret);

#endif
