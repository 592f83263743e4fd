/* The bytes of files made from answers, by ranges. Between reads only the places where
 * the last ones ended are kept. */
#include "answers/index.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/util.h"

/* ---- the text of a row ---------------------------------------------------------------- */

struct strings {
	const struct text_source *results;
	const struct text_sink *to;
};

static int render_part(void *arg, const struct line_part *p)
{
	const struct strings *s = arg;

	return p->has_text ? text_string(s->results, p->text.at, s->to) : 0;
}

static int render_line(void *arg, const struct answer_line *line)
{
	(void)arg;
	(void)line;
	return 0;
}

static int all_strings(const struct answers *a, const struct answers_row *row,
	const struct text_source *results, const struct text_sink *to)
{
	static const struct line_calls calls = {
		.line = render_line, .part = render_part};
	struct strings s = {results, to};
	struct line_reading reading = {.of = WALK_RESULTS, .calls = &calls, .arg = &s};

	return a->grammar->walk(&reading, results, answers_result(row));
}

int answers_row_text(const struct answers *a, const struct answers_row *row,
	const struct text_source *results, const struct text_sink *to)
{
	struct answers_note note = answers_note_of(a, row);
	int err = note.len ? to->put(to->arg, a->blob + note.at, note.len) : 0;

	if (err)
		return err;
	switch (row->how) {
	case HOW_STRING:
		return text_string(results, answers_text(row), to);
	case HOW_STRINGS:
		return all_strings(a, row, results, to);
	case HOW_RAW:
		return text_raw(results, answers_text(row), to);
	default:
		return 0;
	}
}

struct span answers_row_need(const struct answers_row *row)
{
	struct span text = answers_text(row);

	switch (row->how) {
	case HOW_STRING:
		return (struct span){text.from - 1, text.to + 1}; /* with its quotes */
	case HOW_STRINGS:
		return answers_result(row);
	case HOW_RAW:
		return text;
	default:
		return (struct span){0};
	}
}

/* ---- places ---------------------------------------------------------------------------- */

/* The latest place of file that is not after off. */
struct text_place answers_place_find(
	const struct answers *a, uint32_t file, uint64_t off)
{
	struct answers_places *p = a->places;
	struct text_place best = {0};

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < ARRAY_SIZE(p->latest); i++) {
		const struct answers_place *one = &p->latest[i];

		if (one->file == file && one->place.pos <= off &&
			one->place.pos >= best.pos)
			best = one->place;
	}
	pthread_mutex_unlock(&p->lock);
	return best;
}

void answers_place_keep(const struct answers *a, uint32_t file, struct text_place place)
{
	struct answers_places *p = a->places;

	if (!place.at)
		return;
	pthread_mutex_lock(&p->lock);
	p->latest[p->next++ % ARRAY_SIZE(p->latest)] =
		(struct answers_place){file, place};
	pthread_mutex_unlock(&p->lock);
}

/* ---- ranges ------------------------------------------------------------------------------ */

/* The result of a read of a range that ended with err. A file that is shorter than
 * measured has changed meanwhile. */
static ssize_t got(const struct text_range *r, int err)
{
	if (err < 0)
		return err == -EBADMSG ? -EIO : err;
	return (ssize_t)r->have;
}

/* From row i, which begins at pos, on: as many as there is room for, as far as the file is
 * wanted. Returns the row after them. */
static uint32_t gather_rows(const struct answers *a, enum answers_column c, uint32_t i,
	uint64_t pos, uint64_t end, struct gather *g)
{
	gather_begin(g);
	for (; i < a->head.n_rows && pos < end; i++) {
		const struct answers_row *row = &a->rows[i];
		uint64_t len = answers_row_len(row, c);

		if (len && !gather_add(g, c == ANSWERS_TSV ? answers_row_need(row)
							   : answers_request(row)))
			break;
		pos += len;
	}
	return i;
}

/* from: of which column c is made. */
typedef int (*row_fn)(const struct answers *a, const struct answers_row *row,
	const struct text_source *from, const struct text_sink *to);

/* Rows from i, which begins at pos, on. */
static int put_rows(const struct answers *a, enum answers_column c, row_fn put,
	uint32_t i, uint64_t pos, uint64_t end, struct gather *g,
	const struct text_sink *to)
{
	uint32_t gathered = i;
	int err = 0;

	for (; !err && i < a->head.n_rows; i++) {
		uint64_t len = answers_row_len(&a->rows[i], c);

		if (i == gathered) {
			gathered = gather_rows(a, c, i, pos, end, g);
			err = gather_read(g);
		}
		if (!err && len)
			err = put(a, &a->rows[i], &g->source, to);
		pos += len;
	}
	return err;
}

static ssize_t read_rows(const struct answers *a, const struct answers_sources *s,
	enum answers_column c, row_fn put, uint64_t off, void *buf, size_t n)
{
	struct text_range range = {.buf = buf, .room = n};
	struct text_sink to = text_to_range(&range);
	uint32_t i = answers_row_at(a, c, off);
	struct gather g;

	if (n == 0)
		return 0;
	range.pos = answers_row_begin(a, c, i);
	range.skip = off - range.pos;
	if (c == ANSWERS_TSV)
		range.place = answers_place_find(a, 0, off);
	gather_init(&g, c == ANSWERS_TSV ? &s->results : &s->requests, s->spare);
	int err = put_rows(a, c, put, i, range.pos, off + n, &g, &to);
	gather_end(&g);
	if (c == ANSWERS_TSV)
		answers_place_keep(a, 0, range.place);
	return got(&range, err);
}

static int render_text(const struct text_sink *to, const char *text)
{
	return to->put(to->arg, text, strlen(text));
}

static int tsv_row(const struct answers *a, const struct answers_row *row,
	const struct text_source *from, const struct text_sink *to)
{
	struct text_sink field = {text_sink_tsv, (void *)to, to->range};
	int err = text_tsv(to, a->blob + row->key_at, row->key_len);

	if (!err)
		err = render_text(to, "\t");
	if (!err)
		err = render_text(to, answers_outcomes[row->status].name);
	if (!err)
		err = render_text(to, "\t");
	if (!err)
		err = answers_row_text(a, row, from, &field);
	return err ? err : render_text(to, "\n");
}

static int retry_row(const struct answers *a, const struct answers_row *row,
	const struct text_source *from, const struct text_sink *to)
{
	struct answers_wrap w;
	int err = 0;

	answers_wrap(a, row, &w);
	if (w.len)
		err = to->put(to->arg, w.before, w.len);
	if (!err)
		err = text_raw(from, w.rest, to);
	if (!err)
		err = render_text(to, w.after);
	return err ? err : render_text(to, "\n");
}

ssize_t answers_read_tsv(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n)
{
	return read_rows(a, s, ANSWERS_TSV, tsv_row, off, buf, n);
}

ssize_t answers_read_retry(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n)
{
	return read_rows(a, s, ANSWERS_RETRY, retry_row, off, buf, n);
}

/* ---- files of the tree --------------------------------------------------------------------- */

static int node_text(const struct answers *a, const struct answers_node *node,
	const struct answers_sources *s, const struct text_sink *to)
{
	struct span at = {0};
	int err;

	if (answers_has_extent(node))
		at = answers_data(a, node);
	err = node->kind == NODE_IS_PARTS ? text_raw(&s->results, at, to)
	      : node->kind == NODE_IS_NOTE
		      ? to->put(to->arg, a->blob + at.from, at.to - at.from)
		      : answers_row_text(a, &a->rows[node->row], &s->results, to);

	return !err && node->newline ? render_text(to, "\n") : err;
}

/* Sixteen bits a sample, the least byte first: that is how samples come. */
static int wave_head(const struct answers_extent *x, const struct text_sink *to)
{
	uint32_t bytes = x->size - ANSWERS_WAVE_HEAD;
	uint32_t rate = x->rate, channels = x->channels;
	const uint32_t numbers[11] = {
		0, 36 + bytes, 0, 0, 16, 1 | channels << 16, rate,
		rate * channels * 2, channels * 2 | 16u << 16, 0, bytes};
	uint8_t head[ANSWERS_WAVE_HEAD];

	for (size_t i = 0; i < ANSWERS_WAVE_HEAD; i++)
		head[i] = (uint8_t)(numbers[i / 4] >> (8 * (i % 4)));
	memcpy(head, "RIFF", 4);
	memcpy(head + 8, "WAVEfmt ", 8);
	memcpy(head + 36, "data", 4);
	return to->put(to->arg, head, sizeof head);
}

static int node_data(const struct answers *a, const struct answers_node *node,
	const struct answers_sources *s, uint64_t off, struct text_range *range,
	const struct text_sink *to)
{
	const struct answers_extent *x = &a->extents[node->extent];
	uint64_t head = node->kind == NODE_IS_WAVE ? ANSWERS_WAVE_HEAD : 0;
	int err = 0;

	if (off < head) {
		err = wave_head(x, to);
		off = head;
	}
	range->skip = 0;
	return err ? err
		   : text_data(&s->results, answers_data(a, node), x->regular,
			     off - head, to);
}

ssize_t answers_read_node(const struct answers *a, const struct answers_sources *s,
	uint32_t number, uint64_t off, void *buf, size_t n)
{
	const struct answers_node *node = &a->nodes[number];
	struct text_range range = {.skip = off, .buf = buf, .room = n};
	struct text_sink to = text_to_range(&range);
	int err;

	if (node->kind == NODE_IS_DIR)
		return -EISDIR;
	if (node->kind == NODE_IS_GONE)
		return -ESTALE;
	if (off >= answers_node_size(a, node) || n == 0)
		return 0;
	if (node->kind == NODE_IS_DATA || node->kind == NODE_IS_WAVE) {
		err = node_data(a, node, s, off, &range, &to);
	} else {
		range.place = answers_place_find(a, number, off);
		err = node_text(a, node, s, &to);
		answers_place_keep(a, number, range.place);
	}
	return got(&range, err);
}

/* ---- usage ----------------------------------------------------------------------------------- */

size_t answers_usage(const struct answers *a, char ret[ANSWERS_USAGE_MAX])
{
	static const char *const names[TOKENS_N] = {
		[TOKENS_PROMPT] = "prompt_token_count",
		[TOKENS_CANDIDATES] = "candidates_token_count",
		[TOKENS_THOUGHTS] = "thoughts_token_count",
		[TOKENS_CACHED] = "cached_content_token_count",
		[TOKENS_TOTAL] = "total_token_count",
	};
	size_t n = 0;

	for (size_t i = 0; i < TOKENS_N; i++)
		n += (size_t)sprintf(
			ret + n, "%s %" PRId64 "\n", names[i], a->head.tokens[i]);
	if (a->cost[0])
		n += (size_t)sprintf(ret + n, "cost %s\n", a->cost);
	for (size_t i = 0; i < ANSWER_STATUSES; i++)
		if ((i != ANSWER_MISSING || a->head.absent >= 0) &&
			(i != ANSWER_PENDING || a->head.n_parts))
			n += (size_t)sprintf(ret + n, "%s %" PRIu64 "\n",
				answers_outcomes[i].name,
				a->head.counts[i] +
					(i == ANSWER_MISSING ? (uint64_t)a->head.absent
							     : 0));
	if (a->head.models_len < ANSWERS_USAGE_MAX - n) {
		memcpy(ret + n, a->blob + a->head.models_at, a->head.models_len);
		n += a->head.models_len;
		ret[n] = '\0';
	}
	return n;
}
