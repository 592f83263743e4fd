/*
 * What the index has of a table: the columns that answers.csv adds, and for each row where
 * it stands, which request it is, and where it ends in answers.csv (table.c).
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <string.h>

#include "base/csv.h"
#include "base/util.h"

enum { SNIFF = 64 << 10 };

/* ---- columns ---------------------------------------------------------------------- */

static bool name_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool cell_is_name(const char *cell, size_t len, const char *name)
{
	while (len && name_space(cell[0]))
		cell++, len--;
	while (len && name_space(cell[len - 1]))
		len--;
	return strlen(name) == len && memcmp(cell, name, len) == 0;
}

/* Among the columns of the table, or those that have been added. */
static bool is_taken(const struct csv_row *names, const char *added, size_t added_len,
	const char *name)
{
	for (uint32_t i = 0; i < names->n; i++)
		if (cell_is_name(names->text + names->cells[i].at, names->cells[i].len,
			    name))
			return true;
	for (const char *p = added; p < added + added_len; p += strlen(p) + 1)
		if (strcmp(p, name) == 0)
			return true;
	return false;
}

static int table_add_column(
	struct build *b, const struct csv_row *names, const char *name)
{
	struct answers_head *h = &b->a->head;
	char *free_name = strdup(name);
	uint32_t at;

	while (free_name && is_taken(names, b->blob.text + h->columns_at,
				    h->columns_len, free_name)) {
		char *longer = util_format("answer_%s", free_name);

		free(free_name);
		free_name = longer;
	}
	int err = free_name ? answers_blob_add(
				      &b->blob, free_name, strlen(free_name) + 1, &at)
			    : -ENOMEM;
	if (!err)
		h->columns_len += strlen(free_name) + 1;
	free(free_name);
	return err;
}

static int add_columns(struct build *b, const struct csv_row *names)
{
	struct answers_head *h = &b->a->head;
	const char *p = b->in->properties ? b->in->properties : "";
	const char *end = p + b->in->properties_len;
	int err =
		answers_blob_add(&b->blob, p, b->in->properties_len, &h->properties_at);

	if (err)
		return err;
	h->properties_len = b->in->properties_len;
	h->columns_at = (uint32_t)b->blob.len;
	err = table_add_column(b, names, "outcome");
	for (; !err && p < end; p += strlen(p) + 1) {
		err = table_add_column(b, names, p);
		h->n_properties++;
	}
	if (!err && !h->n_properties)
		err = table_add_column(b, names, "answer");
	return err;
}

/* ---- lines -------------------------------------------------------------------------- */

static int table_add_line(
	struct build *b, const struct csv_row *row, uint32_t answers_row)
{
	struct answers *a = b->a;
	uint32_t n = a->head.n_lines;

	if (!(n & (n - 1)) || !n) {
		struct answers_line *more =
			reallocarray(a->lines, n ? 2 * (size_t)n : 1, sizeof *more);

		if (!more)
			return -ENOMEM;
		a->lines = more;
	}
	if (n == UINT32_MAX / 2)
		return -EFBIG;
	a->lines[n] = (struct answers_line){.at = row->at, .row = answers_row};
	memcpy(a->lines[n].newline, row->end, sizeof row->end);
	a->head.n_lines++;
	return 0;
}

/* The first row, and whatever the file begins with. */
static int add_names(struct build *b, const struct csv_row *names)
{
	int err = add_columns(b, names);

	if (!err)
		err = table_add_line(b, names, ANSWERS_NOT_ASKED);
	if (err)
		return err;
	b->a->lines[0].at.from = 0;
	if (!b->a->lines[0].newline[0])
		strcpy(b->a->lines[0].newline, "\n");
	return 0;
}

static int read_table_lines(struct build *b, struct csv *csv, bool *ret_fits)
{
	const struct csv_row *row;
	uint32_t asked = 0, n = 0;
	int got = csv_next(csv, &row), err = got == 1 ? add_names(b, row) : got;
	bool fits = !err && got == 1;

	for (n = row->n; !err && fits && (got = csv_next(csv, &row)) == 1;) {
		bool blank = csv_row_is_blank(row);

		fits = !row->fault && row->n == n && (blank || asked < b->asked);
		err = b->in->cancel && *b->in->cancel ? -ECANCELED
		      : !fits                         ? 0
						      : table_add_line(
								b, row, blank ? ANSWERS_NOT_ASKED : asked++);
	}
	*ret_fits = fits && asked == b->asked;
	return err ? err : got < 0 ? got : 0;
}

static int sniff_table(struct build *b)
{
	struct answers_head *h = &b->a->head;
	const struct text_source *table = b->in->table;
	char *head = malloc(SNIFF);
	ssize_t n = head ? 1 : -ENOMEM, have = 0;

	while (n > 0 && have < SNIFF) {
		n = table->read(table->arg, (uint64_t)have, head + have,
			(size_t)(SNIFF - have));
		have += n > 0 ? n : 0;
	}
	h->separator =
		b->in->tabs ? '\t' : csv_separator(head ? head : "", (size_t)have);
	free(head);
	return n < 0 ? (int)n : 0;
}

static void table_forget(struct answers *a)
{
	struct answers_head *h = &a->head;

	free(a->lines);
	a->lines = NULL;
	h->n_lines = h->n_properties = 0;
	h->table_size = h->columns_at = h->columns_len = 0;
	h->properties_at = h->properties_len = 0;
}

static int measure_table(struct build *b, const struct answers *before)
{
	struct answers_sources s = {.results = *b->in->results, .table = *b->in->table};

	/* It does not grow any more. */
	b->a->blob = b->blob.text;
	int err = answers_table_measure(b->a, &s, before, b->files, b->in->cancel);
	b->a->blob = NULL;
	return err;
}

/* The lines that an earlier index has of the same table. */
static int grow_table(struct build *b, const struct answers *before)
{
	const struct answers_head *from = &before->head;
	struct answers_head *h = &b->a->head;
	size_t n = from->n_lines * sizeof *before->lines;

	if (!(b->a->lines = malloc(n)))
		return -ENOMEM;
	memcpy(b->a->lines, before->lines, n);
	h->n_lines = from->n_lines;
	h->n_properties = from->n_properties;
	h->separator = from->separator;
	h->columns_len = from->columns_len;
	h->properties_len = from->properties_len;
	int err = answers_blob_add(&b->blob, before->blob + from->columns_at,
		from->columns_len, &h->columns_at);
	if (!err)
		err = answers_blob_add(&b->blob, before->blob + from->properties_at,
			from->properties_len, &h->properties_at);
	return err ? err : measure_table(b, before);
}

int answers_table(struct build *b)
{
	const struct answers *before = b->in->before;
	struct csv *csv = NULL;
	bool fits = false;

	if (before && before->head.n_lines)
		return grow_table(b, before);
	int err = sniff_table(b);
	if (!err)
		err = csv_open(b->in->table, b->a->head.separator, &csv);
	if (!err)
		err = read_table_lines(b, csv, &fits);
	csv_close(csv);
	if (err)
		return err;
	if (fits)
		return measure_table(b, NULL);
	table_forget(b->a);
	return 0;
}
