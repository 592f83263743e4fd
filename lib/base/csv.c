#include "base/csv.h"

#include <errno.h>
#include <string.h>

#include "base/text_file.h"
#include "base/util.h"

enum { CHUNK = 128 << 10, CELLS = 64, TEXT = 4096 };

enum where { BEGIN, PLAIN, QUOTED, QUOTE, AFTER };

struct csv {
	const struct text_source *from;
	char separator;
	bool stop[256]; /* ends a run of bytes in a cell without quotes */
	uint64_t separators; /* eight of them */
	char *buf;
	const char *p, *end; /* in buf */
	uint64_t offset;     /* of end, in the file */
	uint64_t line;
	char *text;
	size_t room;
	struct csv_cell *cells;
	uint32_t n_room;
	/* The row at hand. */
	struct csv_row row;
	enum where where;
	bool over;           /* it has ended */
	bool has_quotes;
	size_t from_text;    /* of the cell at hand */
};

int csv_open(const struct text_source *from, char separator, struct csv **ret)
{
	struct csv *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	*c = (struct csv){.from = from, .separator = separator, .buf = malloc(CHUNK),
		.text = malloc(TEXT), .room = TEXT, .line = 1, .n_room = CELLS,
		.cells = calloc(CELLS, sizeof *c->cells)};
	c->stop[(uint8_t)separator] = c->stop['\n'] = c->stop['\r'] = true;
	c->separators = 0x0101010101010101u * (uint8_t)separator;
	c->p = c->end = c->buf;
	if (!c->buf || !c->text || !c->cells) {
		csv_close(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void csv_close(struct csv *c)
{
	if (!c)
		return;
	free(c->buf);
	free(c->text);
	free(c->cells);
	free(c);
}

/* ---- bytes ----------------------------------------------------------------------------- */

/* Read more bytes if none are left: 1, or 0 at the end of the file. */
static int fill(struct csv *c)
{
	if (c->p < c->end)
		return 1;
	ssize_t n = c->from->read(c->from->arg, c->offset, c->buf, CHUNK);
	if (n <= 0)
		return (int)n;
	c->p = c->buf;
	c->end = c->buf + n;
	c->offset += (uint64_t)n;
	return 1;
}

static uint64_t here(const struct csv *c)
{
	return c->offset - (uint64_t)(c->end - c->p);
}

static void csv_fail(struct csv *c, enum csv_fault what)
{
	if (c->row.fault)
		return;
	c->row.fault = what;
	c->row.fault_cell = c->row.n;
}

/* Room for n bytes more and the newline behind a cell. */
static int reserve(struct csv *c, size_t n)
{
	size_t room = c->room;
	char *text;

	while (room - c->row.len < n + 1)
		room *= 2;
	if (room == c->room)
		return 0;
	text = realloc(c->text, room);
	if (!text)
		return -ENOMEM;
	c->text = text;
	c->room = room;
	return 0;
}

static int csv_keep(struct csv *c, const char *text, size_t n)
{
	if (c->row.len - c->from_text + n > CSV_CELL_MAX)
		csv_fail(c, CSV_LONG_CELL);
	else if (c->row.len + n > CSV_ROW_MAX)
		csv_fail(c, CSV_LONG_ROW);
	if (c->row.fault)
		return 0;
	if (c->room - c->row.len < n + 1 && reserve(c, n))
		return -ENOMEM;
	memcpy(c->text + c->row.len, text, n);
	c->row.len += n;
	return 0;
}

static int end_cell(struct csv *c)
{
	c->where = BEGIN;
	if (c->row.n == CSV_CELLS_MAX)
		csv_fail(c, CSV_MANY_CELLS);
	if (c->row.fault) {
		c->row.n += c->row.n < CSV_CELLS_MAX;
		return 0;
	}
	if (c->row.n == c->n_room) {
		struct csv_cell *cells =
			reallocarray(c->cells, 2 * c->n_room, sizeof *cells);

		if (!cells)
			return -ENOMEM;
		c->cells = cells;
		c->n_room *= 2;
	}
	c->cells[c->row.n++] = (struct csv_cell){(uint32_t)c->from_text,
		(uint32_t)(c->row.len - c->from_text)};
	if (reserve(c, 0))
		return -ENOMEM;
	c->text[c->row.len++] = '\n';
	c->from_text = c->row.len;
	return 0;
}

/* At a line end outside of quotes, which is taken with the LF behind a CR. */
static int end_row(struct csv *c)
{
	int err = end_cell(c), more;

	c->row.at.to = here(c);
	c->row.end[0] = *c->p++;
	c->line++;
	c->over = true;
	if (err || c->row.end[0] == '\n')
		return err;
	more = fill(c);
	if (more > 0 && *c->p == '\n')
		c->row.end[1] = *c->p++;
	return more < 0 ? more : 0;
}

/* ---- what a byte does ------------------------------------------------------------------ */

static int at_stop(struct csv *c)
{
	if (*c->p != c->separator)
		return end_row(c);
	c->p++;
	return end_cell(c);
}

/* The first byte from p on that ends a run. Eight at a time: a separator, or anything
 * below 0x10, which is looked at one by one. A borrow can only hit bytes behind one. */
static const char *find_stop(const struct csv *c, const char *p)
{
	const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
	const char *end = c->end;

	for (uint64_t w, x; end - p >= 8; p += 8) {
		memcpy(&w, p, 8);
		x = w ^ c->separators;
		if ((((w - ones * 0x10) & ~w) | ((x - ones) & ~x)) & tops)
			break;
	}
	while (p < end && !c->stop[(uint8_t)*p])
		p++;
	return p;
}

static int plain(struct csv *c)
{
	const char *from = c->p, *end = c->end;

	c->p = find_stop(c, from);
	int err = c->p > from ? csv_keep(c, from, (size_t)(c->p - from)) : 0;
	c->where = PLAIN;
	return !err && c->p < end ? at_stop(c) : err;
}

static int quoted(struct csv *c)
{
	size_t left = (size_t)(c->end - c->p);
	const char *quote = memchr(c->p, '"', left), *from = c->p,
		   *to = quote ? quote : c->end;

	c->p = quote ? quote + 1 : c->end;
	c->where = quote ? QUOTE : QUOTED;
	for (const char *nl = from; (nl = memchr(nl, '\n', (size_t)(to - nl))); nl++)
		c->line++;
	return to > from ? csv_keep(c, from, (size_t)(to - from)) : 0;
}

static int csv_begin(struct csv *c)
{
	if (*c->p != '"')
		return plain(c);
	c->p++;
	c->has_quotes = true;
	return quoted(c);
}

/* Behind a quote inside of quotes: it is one of two, or closed them. */
static int quote(struct csv *c)
{
	if (*c->p == '"') {
		c->p++;
		c->where = QUOTED;
		return csv_keep(c, "\"", 1);
	}
	if (c->stop[(uint8_t)*c->p])
		return at_stop(c);
	csv_fail(c, CSV_AFTER_QUOTE);
	c->where = AFTER;
	return 0;
}

static int (*const steps[])(struct csv *c) = {[BEGIN] = csv_begin,
	[PLAIN] = plain,
	[QUOTED] = quoted,
	[QUOTE] = quote,
	[AFTER] = plain};

/* ---- rows ------------------------------------------------------------------------------ */

/* The first bytes of the file, behind its byte order mark. */
static int begin_file(struct csv *c)
{
	ssize_t n = 1;

	while (n > 0 && c->offset < 3) {
		n = c->from->read(c->from->arg, c->offset, c->buf + c->offset,
			CHUNK - (size_t)c->offset);
		c->offset += n > 0 ? (uint64_t)n : 0;
	}
	c->end = c->buf + c->offset;
	c->p += text_bom(c->buf, (size_t)c->offset);
	return n < 0 ? (int)n : 0;
}

static int begin_row(struct csv *c)
{
	int more = c->offset ? 0 : begin_file(c);

	if (!more)
		more = fill(c);
	if (more <= 0)
		return more;
	c->row = (struct csv_row){.at.from = here(c), .line = c->line};
	c->where = BEGIN;
	c->over = c->has_quotes = false;
	c->from_text = 0;
	return 1;
}

/* The file has ended. */
static int last_row(struct csv *c)
{
	if (c->where == QUOTED)
		csv_fail(c, CSV_OPEN_QUOTE);
	c->row.at.to = here(c);
	c->over = true;
	return end_cell(c);
}

static int csv_read_row(struct csv *c)
{
	int more = begin_row(c), err = 0;

	if (more <= 0)
		return more;
	while (!err && !c->over && (more = fill(c)) > 0)
		err = steps[c->where](c);
	if (!err && !c->over)
		err = more < 0 ? more : last_row(c);
	return err ? err : 1;
}

static bool is_spaces(const char *text, size_t n)
{
	while (n && text[n - 1] == ' ')
		n--;
	return !n;
}

int csv_next(struct csv *c, const struct csv_row **ret)
{
	int got;

	do
		got = csv_read_row(c);
	while (got == 1 && c->row.n == 1 && !c->has_quotes && !c->row.fault &&
		is_spaces(c->text, c->cells[0].len));
	c->row.text = c->text;
	c->row.cells = c->cells;
	*ret = &c->row;
	return got;
}

bool csv_row_is_blank(const struct csv_row *row)
{
	return text_is_blank(row->text, row->len);
}

char csv_separator(const char *head, size_t n)
{
	static const char candidates[] = ",;\t";
	size_t counts[256] = {0}, i = text_bom(head, n);
	char best = ',';

	while (i < n && strchr("\r\n ", head[i]))
		i++;
	for (bool quotes = false; i < n && (quotes || !strchr("\r\n", head[i])); i++) {
		quotes ^= head[i] == '"';
		counts[(uint8_t)head[i]] += !quotes;
	}
	for (const char *p = candidates; *p; p++)
		if (counts[(uint8_t)*p] > counts[(uint8_t)best])
			best = *p;
	return best;
}

/* ---- writing --------------------------------------------------------------------------- */

static bool csv_space(char c)
{
	return c == ' ' || c == '\t';
}

int csv_sink_measure(void *arg, const void *buf, size_t n)
{
	struct csv_measure *m = arg;
	const char *p = buf;

	if (!n)
		return 0;
	m->quoted |= !m->len && csv_space(p[0]);
	for (size_t i = 0; i < n; i++) {
		m->quotes += p[i] == '"';
		m->quoted |= p[i] == '"' || p[i] == '\n' || p[i] == '\r' ||
			     p[i] == m->separator;
	}
	m->len += n;
	m->last = p[n - 1];
	return 0;
}

uint64_t csv_measured(struct csv_measure *m)
{
	m->quoted |= m->len && csv_space(m->last);
	return m->quoted ? m->len + m->quotes + 2 : m->len;
}

int csv_sink_quoted(void *arg, const void *buf, size_t n)
{
	const struct text_sink *to = arg;
	const char *p = buf, *end = p + n, *quote;
	int err = 0;

	while (!err && p < end) {
		quote = memchr(p, '"', (size_t)(end - p));
		size_t part = (size_t)((quote ? quote + 1 : end) - p);

		err = to->put(to->arg, p, part);
		if (!err && quote)
			err = to->put(to->arg, "\"", 1);
		p += part;
	}
	return err;
}
