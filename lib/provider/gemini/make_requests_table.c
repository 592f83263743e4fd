/*
 * The requests of a table: it is read twice. The first time every row is looked at, so
 * that all faults are known, and it is found out which column has keys and which ones
 * name files; the second time lines are written. Nothing is kept of rows but hashes of
 * keys.
 *
 * prompt.txt is cut into segments once: text, escaped already, and columns. Without a
 * column in it, it is a part of its own before the row, as before other inputs.
 */
#include "provider/gemini/make_requests_private.h"
#include "base/csv.h"
#include "base/siphash_set.h"
#include "base/text_file.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum {
	NAMES_MAX = 1 << 20, /* bytes of the first row */
	KEY_MAX = 1024,      /* a longer cell is no key */
	SNIFF = 64 << 10,
	SHOWN = 60,          /* bytes of a name in a complaint */
	NUMBER = 24,
};

/* Columns that may have keys, the first that does is taken. */
static const char *const key_names[] = {"key", "id"};
enum { KEY_NAMES = ARRAY_SIZE(key_names) };

struct key_column {
	uint32_t column;
	bool there, fit;
	uint64_t row;      /* that it is not fit because of; 0: two have the same value */
	struct keyset set;
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
	struct key_column keys[KEY_NAMES];
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

/* ---- complaints ---------------------------------------------------------------------- */

static void complain_cell(struct table *t, const struct csv_row *row, uint32_t column,
	const char *what)
{
	_cleanup_free_ char *where = NULL, *name = NULL;
	const struct column *c = column < t->n ? &t->columns[column] : NULL;

	if (c && c->len)
		name = util_format("column \"%.*s%s\"", (int)util_utf8_cut(c->name, c->len, SHOWN),
			c->name, c->len > SHOWN ? "…" : "");
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
		row->n < t->n ? "is missing: the row has %u cell%s, and there are %u columns"
			      : "has no name: the row has %u cell%s, and there are %u columns (a "
				"cell with %s in it needs quotes)",
		row->n, row->n == 1 ? "" : "s", t->n, sign);
	complain_cell(t, row, row->n < t->n ? row->n : t->n, what);
}

/* The first cell that is no text. */
static void complain_text(struct table *t, const struct csv_row *row)
{
	for (uint32_t i = 0; i < row->n; i++) {
		const struct csv_cell *cell = &row->cells[i];
		const char *what = text_fault(row->text + cell->at, cell->len);

		if (what)
			return complain_cell(t, row, i, what);
	}
}

/* Whether the row can be used as it is. */
static bool is_good(struct table *t, const struct csv_row *row)
{
	if (row->fault)
		complain_cell(t, row, row->fault_cell, fault_text(row->fault));
	else if (t->n && row->n != t->n)
		complain_width(t, row);
	else if (memchr(row->text, '\0', row->len) || !util_utf8_valid(row->text, row->len))
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
			complain_cell(t, row, i, "has no name: the first row must name all columns");
	}
	qsort(sorted, t->n, sizeof *sorted, by_column_name);
	for (uint32_t i = 1; i < t->n; i++) {
		if (!sorted[i]->len || !same_name(sorted[i - 1], sorted[i]))
			continue;
		snprintf(what, sizeof what,
			"appears twice, as columns %u and %u: rename one of them",
			(unsigned)(sorted[i - 1] - t->columns) + 1,
			(unsigned)(sorted[i] - t->columns) + 1);
		complain_cell(t, row, (uint32_t)(sorted[i] - t->columns), what);
	}
	free(sorted);
	return 0;
}

static void find_key_columns(struct table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < KEY_NAMES; k++)
			if (!t->keys[k].there && t->columns[i].len == strlen(key_names[k]) &&
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
		return complain_cell(t, row, 0, "begins names of more than 1 MiB"), 0;
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

/* ---- prompt.txt ------------------------------------------------------------------------ */

static int add_segment(struct table *t, struct segment s)
{
	if (t->n_segments == t->room) {
		size_t room = t->room ? 2 * t->room : 16;
		struct segment *more = reallocarray(t->segments, room, sizeof *more);

		if (!more) {
			free(s.text);
			return -ENOMEM;
		}
		t->segments = more;
		t->room = room;
	}
	t->segments[t->n_segments++] = s;
	return 0;
}

/* Text as it will stand in every line. */
static int add_text(struct table *t, const char *text, size_t n)
{
	struct segment s = {.text = malloc(6 * n + 1), .says = !text_is_blank(text, n)};

	if (!s.text)
		return -ENOMEM;
	s.len = composed_escape(text, n, s.text);
	return add_segment(t, s);
}

static int rows_add_column(struct table *t, uint32_t column)
{
	t->columns[column].asked = true;
	return add_segment(t, (struct segment){.column = column});
}

/* The column whose name and a closing brace follow; the longest, since names may have
 * braces. */
static bool column_at(const struct table *t, const char *text, uint32_t *ret)
{
	size_t best = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct column *c = &t->columns[i];

		if (c->len > best && strncmp(text, c->name, c->len) == 0 && text[c->len] == '}') {
			best = c->len;
			*ret = i;
		}
	}
	return best;
}

static char *list_names(const struct table *t)
{
	char *all = NULL;

	for (uint32_t i = 0; i < t->n && i < 10; i++) {
		const struct column *c = &t->columns[i];
		char *more = util_format("%s%s%.*s", all ? all : "", all ? ", " : "",
			(int)util_utf8_cut(c->name, c->len, SHOWN), c->name);

		free(all);
		all = more;
	}
	return all;
}

static void complain_brace(struct table *t, const char *at)
{
	size_t n = strcspn(at, "}\n");
	unsigned line = 1;

	n += at[n] == '}';
	for (const char *p = t->c->prompt; p < at; p++)
		line += *p == '\n';
	_cleanup_free_ char *names = list_names(t);
	_cleanup_free_ char *where = util_format("prompt.txt, line %u", line);
	_cleanup_free_ char *what = util_format("%.*s%s is not a column of %s (columns: %s%s); "
						"write {{ for a brace",
		(int)util_utf8_cut(at, n, SHOWN), at, n > SHOWN ? "…" : "", t->in->name,
		names ? names : "", t->n > 10 ? ", …" : "");
	composed_complain(t->c, where ? where : "prompt.txt", what ? what : "names no column");
}

static int cut_prompt(struct table *t)
{
	const char *from = t->c->prompt, *p = from, *brace;
	uint32_t column;
	int err = 0;

	for (; !err && p && (brace = strchr(p, '{')); p = from) {
		bool two = brace[1] == '{', known = !two && column_at(t, brace + 1, &column);

		if (!two && !known)
			complain_brace(t, brace);
		/* Of two braces one is text. */
		if (brace + two > from)
			err = add_text(t, from, (size_t)(brace + two - from));
		if (!err && known)
			err = rows_add_column(t, column);
		t->prompt_asks |= known;
		from = known ? brace + t->columns[column].len + 2 : brace + 1 + two;
	}
	return !err && from && *from ? add_text(t, from, strlen(from)) : err;
}

/* "name: value" lines of all columns that are text. */
static int add_all_columns(struct table *t)
{
	bool first = true;
	int err = 0;

	for (uint32_t i = 0; !err && i < t->n; i++) {
		const struct column *c = &t->columns[i];
		_cleanup_free_ char *name = util_format(
			"%s%.*s: ", first ? "" : "\n", (int)c->len, c->name);

		if (c->files)
			continue;
		first = false;
		err = name ? add_text(t, name, strlen(name)) : -ENOMEM;
		if (!err)
			err = rows_add_column(t, i);
	}
	return err;
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
	struct keyhash h;

	if (!k->fit)
		return 0;
	if (!cell->len || cell->len > KEY_MAX ||
		text_is_blank(row->text + cell->at, cell->len)) {
		k->fit = false;
		k->row = t->rows;
		return 0;
	}
	keyhash_init(&h, t->seed);
	keyhash_add(&h, row->text + cell->at, cell->len);
	return keyset_add(&k->set, keyhash_end(&h).first);
}

static int note_row(struct table *t, const struct csv_row *row)
{
	int err = 0;

	t->rows++;
	if (!is_good(t, row) || csv_row_is_blank(row))
		return 0;
	t->asked++;
	note_files(t, row);
	for (size_t k = 0; !err && k < KEY_NAMES; k++)
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

	rows_remark(t, k->row ? util_format("%s: column %s is not used for keys: row "
					    "%ju has no value "
					    "there, or one longer than 1024 bytes",
					table, name, (uintmax_t)k->row)
			      : util_format("%s: column %s is not used for keys: a "
					    "value appears twice",
					table, name));
}

static void choose_key(struct table *t)
{
	t->key = -1;
	for (size_t k = 0; k < KEY_NAMES && t->key < 0; k++) {
		struct key_column *one = &t->keys[k];

		if (!one->there)
			continue;
		one->fit = one->fit && !keyset_reduce(&one->set);
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
	while (!err && (!names || t->columns) && (err = more = csv_next(csv, &row)) == 1) {
		err = t->in->cancel && *t->in->cancel ? -ECANCELED : each(t, row);
	}
	csv_close(csv);
	return err;
}

/* ---- lines ------------------------------------------------------------------------------- */

static int begin_part(struct table *t)
{
	bool first = !t->parts;

	t->parts = true;
	return first ? 0 : composed_put(t->c, ",", 1);
}

static int open_table_text(struct table *t)
{
	int err = 0;

	if (t->text_open)
		return 0;
	err = begin_part(t);
	t->text_open = true;
	return err ? err : composed_put_text(t->c, "{\"text\":\"");
}

static int close_text(struct table *t)
{
	bool open = t->text_open;

	t->text_open = false;
	return open ? composed_put(t->c, "\"}", 2) : 0;
}

static int put_column_value(struct table *t, const char *text, size_t n)
{
	int err = n ? open_table_text(t) : 0;

	return err || !n ? err : composed_put_string(t->c, text, n);
}

static struct composed_input *find_input(const struct table *t, const char *path, size_t n)
{
	size_t low = 0, high = t->in->n_inputs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct composed_input *i = &t->in->inputs[middle];
		int order = strncmp(path, i->path, n);

		if (!order && !i->path[n])
			return i;
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* What it is is found out once; a text is read every time. */
static int look_at_input(
	struct table *t, struct composed_input *input, struct composed_look *ret)
{
	ret->kind = input->kind;
	if (input->kind == COMPOSED_FILE || input->kind == COMPOSED_BAD)
		return 0;
	_cleanup_close_ int fd = t->in->open(t->in->arg, (size_t)(input - t->in->inputs));
	int err = fd < 0 ? fd : composed_look(t->c, input->path, fd, ret);
	if (err)
		return err;
	input->kind = ret->kind;
	if (ret->kind != COMPOSED_FILE)
		return 0;
	input->type = strdup(composed_file_type(ret->mime));
	return input->type ? 0 : -ENOMEM;
}

static int put_input(struct table *t, struct composed_input *input)
{
	struct composed_look look;
	int err = look_at_input(t, input, &look);

	if (err || look.kind == COMPOSED_BAD)
		return err;
	if (look.kind == COMPOSED_TEXT)
		return put_column_value(t, look.text, look.n);
	err = close_text(t);
	if (!err)
		err = begin_part(t);
	return err ? err : composed_put_file(t->c, input->path, input->type);
}

static int put_file(struct table *t, const struct csv_row *row, uint32_t column)
{
	const struct csv_cell *cell = &row->cells[column];
	const char *path = row->text + cell->at + strlen("inputs/");
	_cleanup_free_ char *what = NULL;

	if (!cell->len)
		return 0;
	struct composed_input *input = find_input(t, path, cell->len - strlen("inputs/"));
	if (input)
		return put_input(t, input);
	what = util_format("%.*s does not exist: copy it there, or leave the cell empty",
		(int)util_utf8_cut(row->text + cell->at, cell->len, 4 * SHOWN),
		row->text + cell->at);
	complain_cell(t, row, column, what ? what : "names no file");
	return 0;
}

static int put_segment(struct table *t, const struct csv_row *row, const struct segment *s)
{
	if (s->text) {
		int err = open_table_text(t);

		return err ? err : composed_put(t->c, s->text, s->len);
	}
	const struct csv_cell *cell = &row->cells[s->column];
	return t->columns[s->column].files
		       ? put_file(t, row, s->column)
		       : put_column_value(t, row->text + cell->at, cell->len);
}

/* Files that prompt.txt does not say the place of come last. */
static int put_parts(struct table *t, const struct csv_row *row)
{
	int err = 0;

	if (t->c->prompt && !t->prompt_asks) {
		err = put_column_value(t, t->c->prompt, strlen(t->c->prompt));
		if (!err)
			err = close_text(t);
	}
	for (size_t i = 0; !err && i < t->n_segments; i++)
		err = put_segment(t, row, &t->segments[i]);
	for (uint32_t i = 0; !err && i < t->n; i++)
		if (t->columns[i].files && !t->columns[i].asked) {
			err = close_text(t);
			if (!err)
				err = put_file(t, row, i);
		}
	return err ? err : close_text(t);
}

/* Whether there is text in what is asked of the row, or an instruction and a file. */
static bool asks_something(const struct table *t, const struct csv_row *row)
{
	bool files = false, text = t->c->prompt && !t->prompt_asks;

	for (size_t i = 0; !text && i < t->n_segments; i++) {
		const struct segment *s = &t->segments[i];
		const struct csv_cell *cell = &row->cells[s->column];

		text = s->text ? t->prompt_asks && s->says
			       : !t->columns[s->column].files &&
					 !text_is_blank(row->text + cell->at, cell->len);
	}
	for (uint32_t i = 0; !text && !files && i < t->n; i++)
		files = t->columns[i].files && row->cells[i].len;
	return text || (files && t->c->has_system);
}

static void complain_nothing(struct table *t, const struct csv_row *row)
{
	uint32_t column = 0;

	while (column + 1 < t->n && !t->columns[column].asked)
		column++;
	complain_cell(t, row, column,
		t->prompt_asks ? "is empty, so nothing would be asked about this row"
			       : "has only files: write into prompt.txt what to ask about them");
}

static int put_row(struct table *t, const struct csv_row *row)
{
	char number[NUMBER];
	const char *key = number;
	size_t n;
	int err;

	t->rows++;
	if (csv_row_is_blank(row))
		return 0;
	t->asked++;
	if (!asks_something(t, row))
		return complain_nothing(t, row), 0;
	if (t->key >= 0) {
		key = row->text + row->cells[t->key].at;
		n = row->cells[t->key].len;
	} else {
		n = (size_t)snprintf(
			number, sizeof number, "%0*ju", (int)t->width, (uintmax_t)t->rows);
	}
	t->parts = t->text_open = false;
	err = composed_put_head(t->c, key, n);
	if (!err)
		err = put_parts(t, row);
	return err ? err : composed_put_tail(t->c);
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
	int err = 0;

	for (uint32_t i = 0; i < t->n; i++)
		t->columns[i].files &= t->columns[i].given;
	for (uint64_t n = t->rows; n; n /= 10)
		t->width++;
	choose_key(t);
	if (t->c->prompt)
		err = cut_prompt(t);
	if (err || t->prompt_asks)
		return err;
	for (size_t i = 0; i < t->n_segments; i++)
		free(t->segments[i].text);
	t->n_segments = 0;
	return add_all_columns(t);
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
	err = each_row(t, NULL, put_row);
	if (!err)
		pass_over_inputs(t);
	return err;
}

static void rows_clear(struct table *t)
{
	for (size_t k = 0; k < KEY_NAMES; k++)
		keyset_clear(&t->keys[k].set);
	for (size_t i = 0; i < t->n_segments; i++)
		free(t->segments[i].text);
	free(t->segments);
	free(t->columns);
	free(t->head);
}

int composed_add_table(struct composed *c, const struct composed_table *in)
{
	struct table t = {.c = c, .in = in, .seed = {util_random_u64(), util_random_u64()},
		.source = {text_source_fd, (void *)&in->fd}};
	uint64_t before = c->n_complaints;
	int err = sniff_rows(&t);

	if (!err && c->n_complaints == before)
		err = each_row(&t, take_names, note_row);
	if (!err && c->n_complaints == before)
		err = write_lines(&t);
	rows_clear(&t);
	return err;
}
