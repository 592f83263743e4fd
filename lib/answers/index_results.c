/*
 * Making an index: results, matched to requests by key. Those of several parts are read
 * one part after the other; of what a request has by then the better result stays.
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

/* ---- which request it answers --------------------------------------------------------- */

uint32_t answers_row_from(const struct build *b, uint64_t from)
{
	uint32_t low = 0, high = b->asked;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (b->rows[middle].request_from >= from)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static bool same_key(const struct build *b, uint32_t i, const struct answer_line *line)
{
	const struct answers_row *r = &b->rows[i];

	return b->keys[i].first == line->hash.first &&
	       b->keys[i].second == line->hash.second && r->key_len == line->key_len &&
	       memcmp(b->blob.text + r->key_at, line->key, line->key_len) == 0;
}

/* The part has no result for it yet. */
static bool is_free(const struct build *b, uint32_t i)
{
	return b->files[i].slot != b->slot + 1;
}

/* Whether it is likelier than others of its key: what the part has asked, as far as that is
 * known. */
static bool is_likely(const struct build *b, uint32_t i)
{
	const struct answers_part *p = &b->part;
	uint64_t at = b->rows[i].request_from;

	return p->round ? b->rows[i].status != ANSWERED
			: at >= p->range.from && at < p->range.to;
}

/* The first likely row of this key that has no result of the part yet, else any: keys are of
 * the whole directory, so what comes with the output of another part is an answer, too. */
static bool find_row(
	const struct build *b, const struct answer_line *line, uint32_t *ret)
{
	bool found = false;
	uint32_t slot;

	if (!b->slots || !line->has_key)
		return false;
	for (uint32_t at = answers_hash_slot(line->hash, b->n_slots);
		(slot = b->slots[at]); at = answers_next_slot(at, b->n_slots)) {
		if (!is_free(b, slot - 1) || !same_key(b, slot - 1, line))
			continue;
		if (is_likely(b, slot - 1)) {
			*ret = slot - 1;
			return true;
		}
		if (!found)
			*ret = slot - 1;
		found = true;
	}
	return found;
}

static int row_of(struct build *b, const struct answer_line *line, uint32_t *ret)
{
	int err = line->number > UINT32_MAX ? -EFBIG : 0;

	if (err || find_row(b, line, ret))
		return err;
	err = answers_new_row(b, ret);
	if (err)
		return err;
	b->rows[*ret].line = (uint32_t)line->number;
	b->files[*ret].unnamed = !line->has_key;
	return answers_set_key(b, *ret, line->key, line->has_key ? line->key_len : 0);
}

/* ---- one result --------------------------------------------------------------------------- */

static int index_part(void *arg, const struct line_part *p)
{
	struct build *b = arg;

	if (!p->has_data)
		return 0;
	if (b->n_media == b->room_media && b->n_media >= ANSWERS_NODES_MAX)
		return -EFBIG;
	if (answers_room_for_one(
		    &b->media, b->n_media, &b->room_media, sizeof *b->media))
		return -ENOMEM;
	b->media[b->n_media++] = (struct answers_medium){
		.extension = answers_extension(p->mime.text),
		.data = p->data.at,
		.size = text_data_size(&p->data),
		.regular = p->data.regular,
	};
	answers_take_wave(p->mime.text, &b->media[b->n_media - 1]);
	return 0;
}

static int take_media(struct build *b, uint32_t i, const struct answer_line *line)
{
	uint32_t first = b->line_media;

	if (line->damaged || !answers_outcomes[b->rows[i].status].may_have_text)
		b->n_media = first;
	b->line_media = b->n_media;
	if (b->n_media == first)
		return 0;
	struct answers_more *more = answers_more_of(b, i);
	if (!more)
		return -ENOMEM;
	more->media = first;
	more->n_media = b->n_media - first;
	return 0;
}

/* Embeddings come without a total. */
static void add_tokens(struct build *b, const struct answer_line *line)
{
	struct answers_part *p = b->a->parts ? &b->a->parts[b->slot] : NULL;
	int64_t total = line->tokens[TOKENS_TOTAL];

	if (!total)
		total = line->tokens[TOKENS_PROMPT] + line->tokens[TOKENS_CANDIDATES] +
			line->tokens[TOKENS_THOUGHTS];
	for (size_t t = 0; t < TOKENS_N; t++) {
		int64_t n = t == TOKENS_TOTAL ? total : line->tokens[t];

		b->a->head.tokens[t] += n;
		if (p)
			p->tokens[t] += n;
	}
}

/* Whether what a row has now is better than what it had: an answer, else the newer. */
static bool wins(const struct build *b, const struct answers_row *now,
	const struct answers_row *before)
{
	bool answers = now->status == ANSWERED, answered = before->status == ANSWERED;

	if (!before->result_len || answers != answered)
		return !before->result_len || answers;
	return b->part.number >=
	       b->in->parts[before->result_from >> ANSWERS_SLOT_BITS].number;
}

static int take_result(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_row before = b->rows[i], *r = &b->rows[i];
	struct answers_files files = b->files[i], *f = &b->files[i];
	uint32_t media = b->line_media, more = b->n_more;

	if (line->at.to - line->at.from > UINT32_MAX)
		return -EFBIG;
	r->result_from = line->at.from;
	r->result_len = (uint32_t)(line->at.to - line->at.from);
	r->text_at = r->text_len = 0;
	r->tsv_len = 0;
	r->noted = false;
	r->how = HOW_NOTHING;
	r->retry = false;
	*f = (struct answers_files){
		.json = r->json, .unnamed = files.unnamed, .made = true};
	int err = answers_judge(b, i, line);
	if (!err)
		err = take_media(b, i, line);
	if (!err && !wins(b, r, &before)) {
		*r = before;
		*f = files;
		b->n_media = b->line_media = media;
		b->n_more = more;
	}
	f->slot = b->slot + 1;
	return err;
}

static int on_result(void *arg, const struct answer_line *line)
{
	struct build *b = arg;
	uint32_t i;
	int err = row_of(b, line, &i);

	if (err)
		return err;
	add_tokens(b, line);
	answers_summary_line(b, line);
	return take_result(b, i, line);
}

/* ---- those of a part --------------------------------------------------------------------- */

static int read_results(struct build *b, uint64_t from, int64_t size)
{
	static const struct line_calls calls = {.line = on_result, .part = index_part};
	struct line_reading reading = {
		WALK_RESULTS, b->seed, &calls, b, b->in->cancel};

	return b->in->grammar->walk(&reading, b->in->results,
		(struct span){from, from + (uint64_t)size});
}

/* It has ended: what it had and did not answer is not open any more. */
static int end_part(struct build *b)
{
	uint32_t i = answers_row_from(b, b->part.range.from);
	int err = 0;

	if (b->part.round)
		return 0;
	for (; !err && i < b->asked && b->rows[i].request_from < b->part.range.to; i++)
		if (b->rows[i].status == ANSWER_PENDING)
			err = answers_missing(b, i, b->part.none, false);
	return err;
}

static int read_part(struct build *b, uint32_t slot, const struct answers_part *p)
{
	int err = 0;

	b->slot = slot;
	b->part = *p;
	if (p->size >= 0)
		err = read_results(b, answers_slot(slot), p->size);
	return err ? err : end_part(b);
}

static bool was_read(const struct answers_input *in, uint32_t slot)
{
	const struct answers *a = in->before;

	if (!a || slot >= (a->head.n_parts ? a->head.n_parts : 1))
		return false;
	return !a->head.n_parts || a->parts[slot].size == in->parts[slot].size;
}

static bool is_open(const struct answers_input *in, uint64_t at)
{
	for (uint32_t i = 0; i < in->n_open; i++)
		if (at >= in->open[i].from && at < in->open[i].to)
			return true;
	return false;
}

/* What is not bought any more: rows that no part has. */
static int drop_rest(struct build *b)
{
	int err = 0;

	for (uint32_t i = 0; !err && b->in->dropped && i < b->asked; i++)
		if (b->rows[i].status == ANSWER_PENDING &&
			!is_open(b->in, b->rows[i].request_from))
			err = answers_missing(b, i, NONE_ENDED, true);
	return err;
}

static int read_parts(struct build *b)
{
	const struct answers_input *in = b->in;
	int err = 0;

	for (uint32_t i = 0; !err && i < in->n_parts; i++)
		if (!was_read(in, i))
			err = read_part(b, i, &in->parts[i]);
	return err ? err : drop_rest(b);
}

int answers_results(struct build *b)
{
	const struct answers_input *in = b->in;
	struct answers_part all = {.number = 1, .range = {0, UINT64_MAX},
		.size = in->results ? in->stamp.results_size : -1};

	return in->parts ? read_parts(b) : read_part(b, 0, &all);
}

/* ---- what is asked again ------------------------------------------------------------------ */

static int on_asked(void *arg, const struct answer_line *line)
{
	struct build *b = arg;
	uint32_t slot;

	if (!b->slots || !line->has_key)
		return 0;
	for (uint32_t at = answers_hash_slot(line->hash, b->n_slots);
		(slot = b->slots[at]); at = answers_next_slot(at, b->n_slots))
		if (same_key(b, slot - 1, line))
			b->rows[slot - 1].asked = true;
	return 0;
}

int answers_mark_asked(struct build *b)
{
	static const struct line_calls calls = {.line = on_asked};
	struct line_reading reading = {
		WALK_REQUESTS, b->seed, &calls, b, b->in->cancel};
	int err = 0;

	for (uint32_t i = 0; !err && i < b->in->n_asking; i++)
		err = b->in->grammar->walk(&reading, &b->in->asking[i],
			(struct span){0, b->in->asking_sizes[i]});
	return err;
}
