/* Between make_requests_table.c (a table is looked at) and make_requests_rows.c (lines are
 * made of its rows). */
#ifndef GB_MAKE_REQUESTS_TABLE_PRIVATE_H
#define GB_MAKE_REQUESTS_TABLE_PRIVATE_H

#include "base/csv.h"
#include "base/siphash_set.h"
#include "provider/gemini/make_requests_private.h"

enum { TABLE_KEY_NAMES = 2, TABLE_SHOWN = 60 /* bytes of a name in a complaint */ };

/* A column that may have keys. */
struct key_column {
	uint32_t column;
	bool there, fit;
	uint64_t row;      /* that it is not fit because of; 0: two have the same value */
	struct siphash_set set;
};

struct column {
	const char *name; /* in table.head */
	size_t len;
	bool files;       /* every value names a file below inputs/ */
	bool given;       /* there is a value */
	bool asked;       /* a segment has it */
};

struct segment {
	char *text; /* inside of a JSON string; NULL: a column */
	size_t len;
	bool says;  /* more than white space */
	uint32_t column;
};

struct table {
	struct composed *c;
	const struct composed_table *in;
	char separator;
	struct text_source source;
	char *head;
	struct column *columns;
	uint32_t n;
	struct key_column keys[TABLE_KEY_NAMES];
	struct keyseed seed;
	int64_t key; /* the column with keys, -1: rows are numbered */
	uint64_t rows, asked; /* so far */
	unsigned width;
	struct segment *segments;
	size_t n_segments, room;
	bool prompt_asks;     /* a segment has a column */
	/* The line that is being written. */
	bool parts, text_open;
};

/* A complaint of a cell: row, line, the column's name. */
void table_complain(
	struct table *t, const struct csv_row *row, uint32_t column, const char *what);

/* The columns are known: what stands around their values in every line. */
int table_take_prompt(struct table *t);
/* A line. */
int table_put_row(struct table *t, const struct csv_row *row);

#endif
