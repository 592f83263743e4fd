/* Tables as RFC 4180 has them, read row by row with the bytes each row came from.
 *
 *     csv_separator(head, n)                       of the beginning of a file
 *     csv_open(&source, separator, &c)
 *     while ((n = csv_next(c, &row)) == 1) ...     0: the end; or what the source
 *                                                  answers
 *     csv_close(c)
 *
 * Rows end with LF, CRLF or CR, the last one at the end of the file, too. A cell in
 * quotes may have separators, line ends and doubled quotes; a quote further on in
 * another cell is itself. A byte order mark and lines of only spaces are skipped. A row
 * that is not valid has a `fault`, and reading goes on after it.
 *
 * Memory is bounded by CSV_CELL_MAX, CSV_ROW_MAX and CSV_CELLS_MAX: longer parts are
 * read to their end but not kept. This, and `at`, is why no library is used: libcsv
 * keeps a cell of any length (after an unclosed quote that is the rest of the file),
 * strips white space from cells, and does not say where a row is in the file, while
 * tables go back to their users byte for byte. One thread at a time. */
#ifndef GB_CSV_H
#define GB_CSV_H

#include "base/json_text.h"

enum {
	CSV_CELL_MAX = 1 << 20,
	CSV_ROW_MAX = 8 << 20,
	CSV_CELLS_MAX = 1 << 14, /* of a row: what a spreadsheet has */
};

enum csv_fault {
	CSV_GOOD,
	CSV_OPEN_QUOTE,  /* the file ends inside of quotes */
	CSV_AFTER_QUOTE, /* a cell goes on after its closing quote */
	CSV_LONG_CELL,
	CSV_LONG_ROW,
	CSV_MANY_CELLS,
};

struct csv_cell {
	uint32_t at, len; /* in the row's text */
};

/* Valid until the next csv_next. */
struct csv_row {
	const char *text; /* the cells without quotes, each followed by a newline */
	size_t len;
	const struct csv_cell *cells;
	uint32_t n;
	struct span at;   /* in the file, without the line end */
	char end[3];      /* the line end: "\n", "\r\n", "\r", or "" */
	uint64_t line;    /* it begins on, from 1 */
	enum csv_fault fault;
	uint32_t fault_cell; /* from 0 */
};

struct csv;

int csv_open(const struct text_source *from, char separator, struct csv **ret);
int csv_next(struct csv *c, const struct csv_row **ret);
void csv_close(struct csv *c);

/* The one that the first row of n bytes has most of: ',', ';' or a tab. */
char csv_separator(const char *head, size_t n);

/* Whether no cell has anything but white space. */
bool csv_row_is_blank(const struct csv_row *row);

/* ---- writing --------------------------------------------------------------------- */

/* How a text becomes a cell: as it is, or in quotes where it has a separator, a quote,
 * a line end, or white space at an end. */
struct csv_measure {
	char separator;
	bool quoted;
	uint64_t len, quotes; /* bytes; how many of them are quotes */
	char last;
};

/* A sink that measures; arg: struct csv_measure. */
int csv_sink_measure(void *arg, const void *buf, size_t n);
/* Of all of it; then its size as a cell. */
uint64_t csv_measured(struct csv_measure *m);

/* A sink that doubles quotes and passes on; arg: struct text_sink. */
int csv_sink_quoted(void *arg, const void *buf, size_t n);

#endif
