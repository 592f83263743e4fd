/*
 * The requests of a table: it is read twice. The first time every row is looked at, so
 * that all faults are known, and it is found out which column has keys and which ones
 * name files; the second time lines are written. Nothing is kept of rows but hashes of
 * keys.
 */
#include "provider/gemini/make_requests_table_private.h"
#include "base/text_file.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum {
	NAMES_MAX = 1 << 20, /* bytes of the first row */
	KEY_MAX = 1024,      /* a longer cell is no key */
	SNIFF = 64 << 10,
};

/* The first that has keys is taken. */
static const char *const key_names[TABLE_KEY_NAMES] = {"key", "id"};

/* ---- complaints ---------------------------------------------------------------------- */

void table_complain(
	struct table *t, const struct csv_row *row, uint32_t column, const char *what)
{
	_cleanup_free_ char *where = NULL, *name = NULL;
	const struct column *c = column < t->n ? &t->columns[column] : NULL;

	if (c && c->len)
		name = util_format("column \"%.*s%s\"",
			(int)util_utf8_cut(c->name, c->len, TABLE_SHOWN), c->name,
			c->len > TABLE_SHOWN ? "…" : "");
	else
		name = util_format("column %u", column + 1);
	if (t->rows)
		where = util_format("%s, row %ju (line %ju), %s", t->in->name,
			(uintmax_t)t->rows, (uintmax_t)row->line, name ? name : "");
	else
		where = util_format("%s, header row (line %ju), %s", t->in->name,
			(uintmax_t)row->line, name ? name : "");
	for (char *p = where; p && *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	composed_complain(t->c, where ? where : t->in->name, what);
}

static const char *fault_text(enum csv_fault fault)
{
	switch (fault) {
	case CSV_OPEN_QUOTE:
		return "begins with a quote (\") that is never closed";
	case CSV_AFTER_QUOTE:
		return "has text after its closing quote: inside a quoted cell, write quotes "
		       "twice (\"\")";
	case CSV_LONG_CELL:
		return "is longer than 1 MiB: shorten it, or close a quote that was left open";
	case CSV_LONG_ROW:
		return "makes the row longer than 8 MiB: shorten it, or close a quote that was "
		       "left open";
	default:
		return "is one of more than 16384 columns";
	}
}

static void complain_width(struct table *t, const struct csv_row *row)
{
	char sign[8] = "a tab";
	char what[160];

	if (t->separator != '\t')
		snprintf(sign, sizeof sign, "\"%c\"", t->separator);
	snprintf(what, sizeof what,
		row->n < t->n
			? "is missing: the row has %u cell%s, and there are %u columns"
			: "has no name: the row has %u cell%s, and there are %u columns (a "
			  "cell with %s in it needs quotes)",
		row->n, row->n == 1 ? "" : "s", t->n, sign);
	table_complain(t, row, row->n < t->n ? row->n : t->n, what);
}

/* The first cell that is no text. */
static void complain_text(struct table *t, const struct csv_row *row)
{
	for (uint32_t i = 0; i < row->n; i++) {
		const struct csv_cell *cell = &row->cells[i];
		const char *what = text_fault(row->text + cell->at, cell->len);

		if (what)
			return table_complain(t, row, i, what);
	}
}

/* Whether the row can be used as it is. */
static bool is_good(struct table *t, const struct csv_row *row)
{
	if (row->fault)
		table_complain(t, row, row->fault_cell, fault_text(row->fault));
	else if (t->n && row->n != t->n)
		complain_width(t, row);
	else if (memchr(row->text, '\0', row->len) ||
		 !util_utf8_valid(row->text, row->len))
		complain_text(t, row);
	else
		return true;
	return false;
}

/* ---- the names of the columns ---------------------------------------------------------- */

static void trim_column(struct column *c)
{
	while (c->len && strchr(" \t\r\n", c->name[0]))
		c->name++, c->len--;
	while (c->len && strchr(" \t\r\n", c->name[c->len - 1]))
		c->len--;
}

static int by_column_name(const void *a, const void *b)
{
	const struct column *x = *(const struct column *const *)a;
	const struct column *y = *(const struct column *const *)b;
	int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	return order ? order : x->len != y->len ? x->len < y->len ? -1 : 1
						: x < y ? -1 : x > y;
}

static bool same_name(const struct column *a, const struct column *b)
{
	return a->len == b->len && memcmp(a->name, b->name, a->len) == 0;
}

static int check_column_names(struct table *t, const struct csv_row *row)
{
	const struct column **sorted = calloc(t->n, sizeof *sorted);
	char what[80];

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++) {
		sorted[i] = &t->columns[i];
		if (!t->columns[i].len)
			table_complain(t, row, i,
				"has no name: the first row must name all columns");
	}
	qsort(sorted, t->n, sizeof *sorted, by_column_name);
	for (uint32_t i = 1; i < t->n; i++) {
		if (!sorted[i]->len || !same_name(sorted[i - 1], sorted[i]))
			continue;
		snprintf(what, sizeof what,
			"appears twice, as columns %u and %u: rename one of them",
			(unsigned)(sorted[i - 1] - t->columns) + 1,
			(unsigned)(sorted[i] - t->columns) + 1);
		table_complain(t, row, (uint32_t)(sorted[i] - t->columns), what);
	}
	free(sorted);
	return 0;
}

static void find_key_columns(struct table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < TABLE_KEY_NAMES; k++)
			if (!t->keys[k].there &&
				t->columns[i].len == strlen(key_names[k]) &&
				strncasecmp(t->columns[i].name, key_names[k],
					t->columns[i].len) == 0)
				t->keys[k] = (struct key_column){
					.column = i, .there = true, .fit = true};
}

static int take_names(struct table *t, const struct csv_row *row)
{
	if (!is_good(t, row))
		return 0;
	if (row->len > NAMES_MAX)
		return table_complain(t, row, 0, "begins names of more than 1 MiB"), 0;
	t->head = malloc(row->len);
	t->columns = calloc(row->n, sizeof *t->columns);
	if (!t->head || !t->columns)
		return -ENOMEM;
	memcpy(t->head, row->text, row->len);
	t->n = row->n;
	for (uint32_t i = 0; i < t->n; i++) {
		t->columns[i] = (struct column){.name = t->head + row->cells[i].at,
			.len = row->cells[i].len, .files = true};
		trim_column(&t->columns[i]);
	}
	find_key_columns(t);
	return check_column_names(t, row);
}

/* ---- the first reading ------------------------------------------------------------------- */

static bool names_file(const char *text, size_t n)
{
	return n > strlen("inputs/") && memcmp(text, "inputs/", strlen("inputs/")) == 0;
}

static void note_files(struct table *t, const struct csv_row *row)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct csv_cell *cell = &row->cells[i];

		t->columns[i].given |= cell->len;
		if (cell->len && !names_file(row->text + cell->at, cell->len))
			t->columns[i].files = false;
	}
}

static int note_key(struct table *t, struct key_column *k, const struct csv_row *row)
{
	const struct csv_cell *cell = &row->cells[k->column];
	struct siphash h;

	if (!k->fit)
		return 0;
	if (!cell->len || cell->len > KEY_MAX ||
		text_is_blank(row->text + cell->at, cell->len)) {
		k->fit = false;
		k->row = t->rows;
		return 0;
	}
	siphash_init(&h, t->seed);
	siphash_add(&h, row->text + cell->at, cell->len);
	return siphash_set_add(&k->set, siphash_end(&h).first);
}

static int note_row(struct table *t, const struct csv_row *row)
{
	int err = 0;

	t->rows++;
	if (!is_good(t, row) || csv_row_is_blank(row))
		return 0;
	t->asked++;
	note_files(t, row);
	for (size_t k = 0; !err && k < TABLE_KEY_NAMES; k++)
		if (t->keys[k].there)
			err = note_key(t, &t->keys[k], row);
	return err;
}

static void rows_remark(struct table *t, char *text_take)
{
	if (text_take)
		t->in->remark(t->in->arg, text_take);
	free(text_take);
}

/* A column that was meant to have keys, and does not, is worth a word. */
static void remark_key(struct table *t, const struct key_column *k, const char *name)
{
	const char *table = t->in->name;

	rows_remark(t,
		k->row ? util_format(
				 "%s: column %s is not used for keys: row %ju has no value "
				 "there, or one longer than 1024 bytes",
				 table, name, (uintmax_t)k->row)
		       : util_format(
				 "%s: column %s is not used for keys: a value appears twice",
				 table, name));
}

static void choose_key(struct table *t)
{
	t->key = -1;
	for (size_t k = 0; k < TABLE_KEY_NAMES && t->key < 0; k++) {
		struct key_column *one = &t->keys[k];

		if (!one->there)
			continue;
		one->fit = one->fit && !siphash_set_reduce(&one->set);
		if (one->fit)
			t->key = one->column;
		else
			remark_key(t, one, key_names[k]);
	}
}

typedef int (*row_fn)(struct table *t, const struct csv_row *row);

static int each_row(struct table *t, row_fn names, row_fn each)
{
	const struct csv_row *row;
	struct csv *csv = NULL;
	int err = csv_open(&t->source, t->separator, &csv), more = 0;

	t->rows = t->asked = 0;
	if (!err)
		err = more = csv_next(csv, &row);
	if (more == 1)
		err = names ? names(t, row) : 0;
	while (!err && (!names || t->columns)) {
		err = more = csv_next(csv, &row);
		if (more != 1)
			break;
		err = t->in->cancel && *t->in->cancel ? -ECANCELED : each(t, row);
	}
	csv_close(csv);
	return err;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int sniff_rows(struct table *t)
{
	char *head = malloc(SNIFF);
	ssize_t n = head ? util_pread_max(t->in->fd, head, SNIFF) : -ENOMEM;
	const char *fault = n > 0 ? text_head_fault(head, (size_t)n) : NULL;

	if (n > 4 && memcmp(head, "PK\3\4", 4) == 0)
		fault = "is a workbook or an archive: save the table as CSV (UTF-8)";

	t->separator = strcmp(t->in->name, "inputs.tsv") == 0 ? '\t' : ',';
	if (n == 0)
		composed_complain(t->c, t->in->name,
			"is empty: the first row must name the columns; each row below it becomes a "
			"request");
	else if (fault)
		composed_complain(t->c, t->in->name, fault);
	else if (n > 0 && t->separator == ',')
		t->separator = csv_separator(head, (size_t)n);
	free(head);
	return n < 0 ? (int)n : 0;
}

static int plan_columns(struct table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		t->columns[i].files &= t->columns[i].given;
	for (uint64_t n = t->rows; n; n /= 10)
		t->width++;
	choose_key(t);
	return table_take_prompt(t);
}

static bool names_files(const struct table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->columns[i].files)
			return true;
	return false;
}

static void pass_over_inputs(struct table *t)
{
	for (size_t i = 0; i < t->in->n_inputs; i++)
		if (t->in->inputs[i].kind == COMPOSED_UNKNOWN)
			rows_remark(
				t, util_format(
					   "inputs/%s: not sent: no row of %s names it",
					   t->in->inputs[i].path, t->in->name));
}

/* All rows have been looked at. */
static int write_lines(struct table *t)
{
	uint64_t before = t->c->n_complaints;
	int err = plan_columns(t);

	if (!t->asked)
		composed_complain(t->c, t->in->name,
			"has no rows below the column names: each row becomes a request");
	else if (t->in->n_inputs && !names_files(t))
		composed_complain(t->c, t->in->name,
			"there are files in inputs/ too, and no column names them: keep only one "
			"of the two");
	if (err || t->c->n_complaints > before)
		return err;
	err = each_row(t, NULL, table_put_row);
	if (!err)
		pass_over_inputs(t);
	return err;
}

static void rows_clear(struct table *t)
{
	for (size_t k = 0; k < TABLE_KEY_NAMES; k++)
		siphash_set_clear(&t->keys[k].set);
	for (size_t i = 0; i < t->n_segments; i++)
		free(t->segments[i].text);
	free(t->segments);
	free(t->columns);
	free(t->head);
}

int composed_add_table(struct composed *c, const struct composed_table *in)
{
	struct table t = {.c = c,
		.in = in,
		.seed = {util_random_u64(), util_random_u64()},
		.source = text_from_fd((void *)&in->fd)};
	uint64_t before = c->n_complaints;
	int err = sniff_rows(&t);

	if (!err && c->n_complaints == before)
		err = each_row(&t, take_names, note_row);
	if (!err && c->n_complaints == before)
		err = write_lines(&t);
	rows_clear(&t);
	return err;
}
