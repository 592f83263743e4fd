/*
 * Lines of rows. prompt.txt is cut into segments once: text, escaped already, and columns.
 * Without a column in it, it is a part of its own before the row, as before other inputs,
 * and the row is "name: value" lines.
 */
#include "provider/gemini/make_requests_table_private.h"
#include "base/text_file.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

enum { NUMBER = 24 };

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

		if (c->len > best && strncmp(text, c->name, c->len) == 0 &&
			text[c->len] == '}') {
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
			(int)util_utf8_cut(c->name, c->len, TABLE_SHOWN), c->name);

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
	_cleanup_free_ char *what = util_format(
		"%.*s%s is not a column of %s (columns: %s%s); "
		"write {{ for a brace",
		(int)util_utf8_cut(at, n, TABLE_SHOWN), at, n > TABLE_SHOWN ? "…" : "",
		t->in->name, names ? names : "", t->n > 10 ? ", …" : "");
	for (char *p = what; p && *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	composed_complain(
		t->c, where ? where : "prompt.txt", what ? what : "names no column");
}

static int cut_prompt(struct table *t)
{
	const char *from = t->c->prompt, *p = from, *brace;
	uint32_t column;
	int err = 0;

	for (; !err && p && (brace = strchr(p, '{')); p = from) {
		bool two = brace[1] == '{',
		     known = !two && column_at(t, brace + 1, &column);

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

int table_take_prompt(struct table *t)
{
	int err = t->c->prompt ? cut_prompt(t) : 0;

	if (err || t->prompt_asks)
		return err;
	for (size_t i = 0; i < t->n_segments; i++)
		free(t->segments[i].text);
	t->n_segments = 0;
	return add_all_columns(t);
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

static struct composed_input *find_input(
	const struct table *t, const char *path, size_t n)
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
	_cleanup_close_ int fd =
		t->in->open(t->in->arg, (size_t)(input - t->in->inputs));
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
	struct composed_input *input =
		find_input(t, path, cell->len - strlen("inputs/"));
	if (input)
		return put_input(t, input);
	what = util_format(
		"%.*s does not exist: copy it there, or leave the cell empty",
		(int)util_utf8_cut(row->text + cell->at, cell->len, 4 * TABLE_SHOWN),
		row->text + cell->at);
	table_complain(t, row, column, what ? what : "names no file");
	return 0;
}

static int put_segment(
	struct table *t, const struct csv_row *row, const struct segment *s)
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
					 !text_is_blank(
						 row->text + cell->at, cell->len);
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
	table_complain(t, row, column,
		t->prompt_asks
			? "is empty, so nothing would be asked about this row"
			: "has only files: write into prompt.txt what to ask about them");
}

int table_put_row(struct table *t, const struct csv_row *row)
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
		n = (size_t)snprintf(number, sizeof number, "%0*ju", (int)t->width,
			(uintmax_t)t->rows);
	}
	t->parts = t->text_open = false;
	err = composed_put_head(t->c, key, n);
	if (!err)
		err = put_parts(t, row);
	return err ? err : composed_put_tail(t->c);
}
