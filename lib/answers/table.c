/*
 * answers.csv: the rows of the table that requests were made from, unchanged, with
 * columns for the answers. It is read by ranges like the others: of each row there are
 * its place in the table, the row of the answers and where it ends in the file.
 *
 * Where schema.json gives answers members, each has a column. A read looks for the
 * members in an answer's text anew: in memory where it is short, as most are.
 */
#include "answers/index.h"

#include <errno.h>
#include <string.h>

#include "base/csv.h"
#include "base/util.h"

enum { SHORT = 64 << 10, WINDOW = 64 };

/* ---- an answer's text ------------------------------------------------------------------- */

/* As a source: from its beginning it is decoded, and kept while it is short. */
struct answer {
	const struct answers *a;
	const struct answers_row *row;
	const struct text_source *results;
	char *kept;
	size_t len;
	bool is_short;
	struct text_place place;
};

static ssize_t decode(struct answer *w, uint64_t off, void *buf, size_t n)
{
	struct text_range range = {.skip = off, .buf = buf, .room = n};
	struct text_sink to = text_to_range(&range);

	if (w->place.pos <= off)
		range.place = w->place;
	int err = answers_row_text(w->a, w->row, w->results, &to);
	w->place = range.place;
	return err < 0 ? err : (ssize_t)range.have;
}

static ssize_t read_answer(void *arg, uint64_t off, void *buf, size_t n)
{
	struct answer *w = arg;

	if (!w->is_short)
		return decode(w, off, buf, n);
	if (off >= w->len)
		return 0;
	n = n < w->len - off ? n : (size_t)(w->len - off);
	memcpy(buf, w->kept + off, n);
	return (ssize_t)n;
}

static int begin_answer(struct answer *w, const struct answers_row *row)
{
	w->row = row;
	w->place = (struct text_place){0};
	ssize_t n = decode(w, 0, w->kept, SHORT);
	w->is_short = n >= 0 && n < SHORT;
	w->len = n > 0 ? (size_t)n : 0;
	return n < 0 ? (int)n : 0;
}

/* ---- its members ------------------------------------------------------------------------ */

/* What renders rows; one read's, or the making's. */
struct table {
	const struct answers *a;
	const struct answers_sources *s;
	/* Rows of the table are short and follow each other. */
	char *window;
	uint64_t window_at;
	size_t window_len;
	/* Answers of the lines up to `gathered`. */
	struct gather gather;
	uint32_t gathered;
	/* While it is made: what an earlier index has is not looked at. */
	const struct answers *before;
	const struct answers_files *files;
	struct answer answer;
	const char **names;  /* of members */
	struct span *values; /* in the answer's text; empty: not there */
};

/* While an answer's text goes by. */
struct members {
	struct table *t;
	struct jtok tok;
	char name[256];
	size_t len;
	int64_t at; /* the member whose value is read; -1: none that is wanted */
	uint64_t from;
	uint32_t next; /* where a name is looked for first */
};

static int64_t find_name(struct members *m)
{
	uint32_t n = m->t->a->head.n_properties;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = (m->next + i) % n;

		if (m->len < sizeof m->name && strlen(m->t->names[k]) == m->len &&
			memcmp(m->t->names[k], m->name, m->len) == 0) {
			m->next = k + 1;
			return k;
		}
	}
	return -1;
}

static void add_name(struct members *m)
{
	if (m->len + m->tok.len <= sizeof m->name)
		memcpy(m->name + m->len, m->tok.text, m->tok.len);
	m->len += m->tok.len;
}

static void end_value(struct members *m)
{
	if (m->at >= 0)
		m->t->values[m->at] = (struct span){m->from, jtok_offset(&m->tok) - 1};
	m->at = -1;
}

static bool take_event(struct members *m, enum jtok_event e)
{
	bool top = m->tok.depth == 1;

	if (e == JTOK_PIECE && top) {
		add_name(m);
	} else if (e == JTOK_NAME && top) {
		add_name(m);
		m->at = find_name(m);
		m->from = jtok_offset(&m->tok);
		m->len = 0;
	} else if ((e == JTOK_COMMA && top) || (e == JTOK_CLOSE && m->tok.depth == 0)) {
		end_value(m);
	}
	return e != JTOK_BAD;
}

static int find_members(struct table *t, const struct text_source *text, bool *ret_good)
{
	struct members m = {.t = t, .at = -1};
	char *buf = malloc(SHORT);
	uint64_t off = 0;
	ssize_t n = buf ? 1 : -ENOMEM;
	enum jtok_event e;
	bool good = true;

	jtok_init(&m.tok, false);
	m.tok.comma_depth = 1;
	m.tok.quiet_depth = 2;
	while (good && n > 0 && (n = text->read(text->arg, off, buf, SHORT)) > 0) {
		jtok_feed(&m.tok, buf, (size_t)n);
		off += (uint64_t)n;
		while (good && (e = jtok_next(&m.tok)) != JTOK_MORE)
			good = take_event(&m, e);
	}
	*ret_good = good && jtok_complete(&m.tok);
	free(buf);
	return n < 0 ? (int)n : 0;
}

static bool cell_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A value without the colon and white space before it, and white space behind it. */
static int trim_cell(const struct text_source *text, struct span *at, char *ret_first)
{
	char window[WINDOW];
	ssize_t n, i = 0;

	do {
		uint64_t left = at->to - at->from;

		n = text->read(
			text->arg, at->from, window, left < WINDOW ? left : WINDOW);
		for (i = 0; i < n && (cell_space(window[i]) || window[i] == ':'); i++)
			at->from++;
	} while (n > 0 && i == n);
	if (n <= 0)
		return n < 0 ? (int)n : -EIO;
	*ret_first = window[i];
	do {
		uint64_t left = at->to - at->from;
		size_t part = left < WINDOW ? (size_t)left : WINDOW;

		n = text->read(text->arg, at->to - part, window, part);
		for (i = n; i > 0 && cell_space(window[i - 1]); i--)
			at->to--;
	} while (n > 0 && i == 0);
	return n < 0 ? (int)n : 0;
}

/* ---- cells ------------------------------------------------------------------------------ */

typedef int (*put_fn)(void *arg, const struct text_sink *to);

/* What put writes, as a cell. */
static int put_cell(char separator, put_fn put, void *arg, const struct text_sink *to)
{
	struct csv_measure m = {.separator = separator};
	struct text_sink measure = {csv_sink_measure, &m, NULL};
	struct text_sink quoted = {csv_sink_quoted, (void *)to, NULL};
	int err = put(arg, &measure);

	if (err)
		return err;
	csv_measured(&m);
	if (!m.quoted)
		return m.len ? put(arg, to) : 0;
	err = to->put(to->arg, "\"", 1);
	if (!err)
		err = put(arg, &quoted);
	return err ? err : to->put(to->arg, "\"", 1);
}

struct value {
	const struct text_source *text;
	struct span at;
	char first;
};

static int put_cell_value(void *arg, const struct text_sink *to)
{
	const struct value *v = arg;
	struct span inside = {v->at.from + 1, v->at.to - 1};
	/* Not the range's own: places in an answer's text are no places in the results. */
	struct text_sink plain = {to->put, to->arg, NULL};

	return v->first == '"' ? text_string(v->text, inside, &plain)
			       : text_raw(v->text, v->at, to);
}

static int put_property(struct table *t, const struct text_source *text, uint32_t i,
	const struct text_sink *to)
{
	struct value v = {text, t->values[i], 0};
	int err = v.at.to ? trim_cell(text, &v.at, &v.first) : 0;

	if (err || !v.at.to || v.first == 'n') /* null */
		return err;
	return put_cell(t->a->head.separator, put_cell_value, &v, to);
}

static int put_separator(struct table *t, const struct text_sink *to)
{
	return to->put(to->arg, &t->a->head.separator, 1);
}

/* There is text, and it is not the reason why there is none. */
static bool has_text(const struct answers_row *row)
{
	return row->status == ANSWERED ||
	       (answers_outcomes[row->status].may_have_text &&
		       row->how != HOW_NOTHING && !row->noted);
}

static int put_properties(
	struct table *t, const struct answers_row *row, const struct text_sink *to)
{
	struct text_source text = {read_answer, &t->answer};
	uint32_t n = t->a->head.n_properties;
	bool good = false;
	int err = 0;

	memset(t->values, 0, n * sizeof *t->values);
	if (row && has_text(row)) {
		err = begin_answer(&t->answer, row);
		if (!err)
			err = find_members(t, &text, &good);
	}
	for (uint32_t i = 0; !err && i < n; i++) {
		err = put_separator(t, to);
		if (!err && good)
			err = put_property(t, &text, i, to);
	}
	return err;
}

static int put_row_text(void *arg, const struct text_sink *to)
{
	const struct answer *w = arg;

	return w->is_short ? to->put(to->arg, w->kept, w->len)
			   : answers_row_text(w->a, w->row, w->results, to);
}

static int put_table_text(
	struct table *t, const struct answers_row *row, const struct text_sink *to)
{
	int err = put_separator(t, to);

	if (err || !row || !has_text(row))
		return err;
	err = begin_answer(&t->answer, row);
	return err ? err : put_cell(t->a->head.separator, put_row_text, &t->answer, to);
}

static int put_outcome(
	struct table *t, const struct answers_row *row, const struct text_sink *to)
{
	const char *name = row ? answers_outcomes[row->status].name : "";
	int err = put_separator(t, to);

	return err ? err : to->put(to->arg, name, strlen(name));
}

/* ---- lines ------------------------------------------------------------------------------ */

static int put_column_name(void *arg, const struct text_sink *to)
{
	return to->put(to->arg, arg, strlen(arg));
}

static int put_columns(struct table *t, const struct text_sink *to)
{
	const struct answers_head *h = &t->a->head;
	char *name = t->a->blob + h->columns_at, *end = name + h->columns_len;
	int err = 0;

	for (; !err && name < end; name += strlen(name) + 1) {
		err = put_separator(t, to);
		if (!err)
			err = put_cell(h->separator, put_column_name, name, to);
	}
	return err;
}

static ssize_t read_window(void *arg, uint64_t off, void *buf, size_t n)
{
	struct table *t = arg;

	if (off < t->window_at || off >= t->window_at + t->window_len) {
		ssize_t got = t->s->table.read(t->s->table.arg, off, t->window, SHORT);

		if (got <= 0)
			return got;
		t->window_at = off;
		t->window_len = (size_t)got;
	}
	size_t from = (size_t)(off - t->window_at), left = t->window_len - from;

	n = n < left ? n : left;
	memcpy(buf, t->window + from, n);
	return (ssize_t)n;
}

static int put_line(struct table *t, uint32_t i, const struct text_sink *to)
{
	const struct answers_line *l = &t->a->lines[i];
	const struct answers_row *row =
		l->row == ANSWERS_NOT_ASKED ? NULL : &t->a->rows[l->row];
	const char *newline = l->newline[0] ? l->newline : t->a->lines[0].newline;
	struct text_source table = {read_window, t};
	int err = text_raw(&table, l->at, to);

	if (!err && i == 0)
		err = put_columns(t, to);
	else if (!err)
		err = put_outcome(t, row, to);
	if (!err && i > 0)
		err = t->a->head.n_properties ? put_properties(t, row, to)
					      : put_table_text(t, row, to);
	return err ? err : to->put(to->arg, newline, strlen(newline));
}

static int table_begin(
	struct table *t, const struct answers *a, const struct answers_sources *s)
{
	uint32_t n = a->head.n_properties;
	const char *name = a->blob + a->head.properties_at;

	*t = (struct table){
		.a = a, .s = s, .answer = {.a = a, .results = &t->gather.source}};
	gather_init(&t->gather, &s->results, s->spare);
	t->window = malloc(SHORT);
	t->answer.kept = malloc(SHORT);
	t->names = calloc(n + 1, sizeof *t->names);
	t->values = calloc(n + 1, sizeof *t->values);
	if (!t->window || !t->answer.kept || !t->names || !t->values)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++, name += strlen(name) + 1)
		t->names[i] = name;
	return 0;
}

static void table_end(struct table *t)
{
	gather_end(&t->gather);
	free(t->window);
	free(t->answer.kept);
	free(t->names);
	free(t->values);
}

/* Bytes of a line that is as it was. 0: it is not. */
static uint64_t line_before(const struct table *t, uint32_t i)
{
	const struct answers *before = t->before;
	uint32_t row = t->a->lines[i].row;

	if (!before || (row != ANSWERS_NOT_ASKED && t->files[row].made))
		return 0;
	return before->lines[i].end - (i ? before->lines[i - 1].end : 0);
}

/* Of lines from i on, before `end`, as many as there is room for. */
static int gather_lines(struct table *t, uint32_t i, uint32_t end)
{
	gather_begin(&t->gather);
	for (; i < end; i++) {
		uint32_t n = t->a->lines[i].row;
		const struct answers_row *row =
			n == ANSWERS_NOT_ASKED ? NULL : &t->a->rows[n];

		if (row && has_text(row) && !line_before(t, i) &&
			!gather_add(&t->gather, answers_row_need(row)))
			break;
	}
	t->gathered = i;
	return gather_read(&t->gather);
}

/* Line i, of those before `end` that are put one after the other. */
static int put_next_line(
	struct table *t, uint32_t i, uint32_t end, const struct text_sink *to)
{
	int err = i >= t->gathered ? gather_lines(t, i, end) : 0;

	return err ? err : put_line(t, i, to);
}

/* The first line that ends after off. */
static uint32_t line_at(const struct answers *a, uint64_t off)
{
	uint32_t low = 0, high = a->head.n_lines;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->lines[middle].end > off)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

ssize_t answers_read_table(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n)
{
	uint32_t i = line_at(a, off);
	struct text_range range = {
		.buf = buf, .room = n, .pos = i ? a->lines[i - 1].end : 0};
	struct text_sink to = text_to_range(&range);
	struct table t;
	int err = n && i < a->head.n_lines ? table_begin(&t, a, s) : 1;

	if (err == 1)
		return 0;
	range.skip = off - range.pos;
	uint32_t end = line_at(a, off + n - 1) + 1;
	end = end < a->head.n_lines ? end : a->head.n_lines;
	for (; !err && i < end; i++)
		err = put_next_line(&t, i, end, &to);
	table_end(&t);
	if (err < 0)
		return err == -EBADMSG ? -EIO : err;
	return (ssize_t)range.have;
}

static int count_cell_bytes(void *arg, const void *buf, size_t n)
{
	(void)buf;
	*(uint64_t *)arg += n;
	return 0;
}

int answers_table_measure(struct answers *a, const struct answers_sources *s,
	const struct answers *before, const struct answers_files *files,
	const atomic_bool *cancel)
{
	struct text_sink to = {count_cell_bytes, &a->head.table_size, NULL};
	struct table t;
	int err = table_begin(&t, a, s);

	t.before = before;
	t.files = files;
	for (uint32_t i = 0; !err && i < a->head.n_lines; i++) {
		uint64_t known = line_before(&t, i);

		a->head.table_size += known;
		if (!known)
			err = cancel && *cancel
				      ? -ECANCELED
				      : put_next_line(&t, i, a->head.n_lines, &to);
		a->lines[i].end = a->head.table_size;
	}
	table_end(&t);
	return err;
}
