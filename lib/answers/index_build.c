/*
 * Making an index: the requests are read first, for order, keys and what was wanted,
 * then the results (index_results.c), which are matched to them by key; then sizes are
 * added up and files get names (index_names.c).
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <string.h>

#include "requests/line_parser.h"
#include "base/util.h"

/* ---- memory ------------------------------------------------------------------------- */

int answers_room(void *array, size_t n, size_t each)
{
	void **at = array, *bigger = reallocarray(*at, n, each);

	if (!bigger)
		return -ENOMEM;
	*at = bigger;
	return 0;
}

int answers_rows_room(struct build *b, uint32_t room)
{
	if (answers_room(&b->rows, room, sizeof *b->rows) ||
		answers_room(&b->keys, room, sizeof *b->keys) ||
		answers_room(&b->files, room, sizeof *b->files))
		return -ENOMEM;
	b->room = room;
	return 0;
}

int answers_new_row(struct build *b, uint32_t *ret)
{
	if (b->n == b->room) {
		int err = b->n >= ANSWERS_NODES_MAX
				  ? -EFBIG
				  : answers_rows_room(b, b->room ? 2 * b->room : 256);

		if (err)
			return err;
	}
	memset(&b->rows[b->n], 0, sizeof *b->rows);
	memset(&b->files[b->n], 0, sizeof *b->files);
	b->rows[b->n].status = ANSWER_PENDING;
	*ret = b->n++;
	return 0;
}

struct answers_more *answers_more_of(struct build *b, uint32_t i)
{
	struct answers_files *f = &b->files[i];

	if (f->more)
		return &b->more[f->more - 1];
	if (b->n_more == b->room_more) {
		uint32_t room = b->room_more ? 2 * b->room_more : 64;

		if (answers_room(&b->more, room, sizeof *b->more))
			return NULL;
		b->room_more = room;
	}
	b->more[b->n_more] = (struct answers_more){0};
	f->more = ++b->n_more;
	return &b->more[b->n_more - 1];
}

int answers_blob_add(
	struct answers_blob *b, const void *text, size_t n, uint32_t *ret_at)
{
	if (n > UINT32_MAX - b->len)
		return -EFBIG;
	if (b->room - b->len < n) {
		uint64_t room = b->room ? b->room : 4096;

		while (room - b->len < n)
			room *= 2;
		if (answers_room(&b->text, room, 1))
			return -ENOMEM;
		b->room = room;
	}
	if (n)
		memcpy(b->text + b->len, text, n);
	*ret_at = (uint32_t)b->len;
	b->len += n;
	return 0;
}

int answers_set_key(struct build *b, uint32_t i, const char *key, size_t n)
{
	static const char room[sizeof ".json"];
	uint32_t none;
	int err = answers_blob_add(&b->blob, key, n, &b->rows[i].key_at);

	b->rows[i].key_len = (uint16_t)n;
	return err ? err
		   : answers_blob_add(&b->blob, room, answers_key_room(&b->rows[i]),
			     &none);
}

int answers_note_bytes(struct build *b, uint32_t i, const char *text, size_t n)
{
	struct answers_row *r = &b->rows[i];

	r->note_len = (uint16_t)n;
	for (uint32_t back = i; back-- > 0 && i - back <= 8;)
		if (b->rows[back].note_len == n &&
			memcmp(b->blob.text + b->rows[back].note_at, text, n) == 0) {
			r->note_at = b->rows[back].note_at;
			return 0;
		}
	return answers_blob_add(&b->blob, text, n, &r->note_at);
}

int answers_note(struct build *b, uint32_t i, const char *text)
{
	return answers_note_bytes(b, i, text, strlen(text));
}

/* ---- requests ----------------------------------------------------------------------- */

static bool is_json(const struct line_word *mime)
{
	return strcmp(mime->text, "application/json") == 0;
}

/* 0: there is none, or it is out of reach. */
static uint32_t schema_place(const struct answer_line *line)
{
	uint64_t at = line->schema.to ? line->schema.from - line->at.from : 0;

	return at <= UINT32_MAX ? (uint32_t)at : 0;
}

static int on_request(void *arg, const struct answer_line *line)
{
	struct build *b = arg;
	uint32_t i;
	int err = line->number > UINT32_MAX ? -EFBIG : answers_new_row(b, &i);

	if (err)
		return err;
	b->last_line = line->number;
	if (line->at.to - line->at.from > UINT32_MAX)
		return -EFBIG;
	b->rows[i].request_from = line->at.from;
	b->rows[i].request_len = (uint32_t)(line->at.to - line->at.from);
	b->rows[i].line = (uint32_t)line->number;
	b->rows[i].bare = !line->has_request;
	b->rows[i].unkeyed = !line->has_key;
	b->rows[i].json = is_json(&line->mime);
	b->rows[i].schema = schema_place(line);
	b->keys[i] = line->hash;
	return answers_set_key(b, i, line->key, line->has_key ? line->key_len : 0);
}

/* A request without a key was sent with its number, padded to the width of the last
 * one. */
static int number_keys(struct build *b)
{
	char key[LINES_KEY_MAX];
	unsigned width = (unsigned)lines_number_key(b->last_line, 0, key);

	for (uint32_t i = 0; i < b->n; i++) {
		struct siphash h;
		size_t n;

		if (!b->rows[i].unkeyed)
			continue;
		n = lines_number_key(b->rows[i].line, width, key);
		siphash_init(&h, b->seed);
		siphash_add(&h, key, n);
		b->keys[i] = siphash_end(&h);
		if (answers_set_key(b, i, key, n))
			return -ENOMEM;
	}
	return 0;
}

int answers_hash_rows(struct build *b)
{
	b->n_slots = 16;
	while (b->n_slots < 2 * (uint64_t)b->n)
		b->n_slots *= 2;
	b->slots = calloc(b->n_slots, sizeof *b->slots);
	if (!b->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->n; i++) {
		uint64_t at = b->keys[i].first;

		while (b->slots[at & (b->n_slots - 1)])
			at++;
		b->slots[at & (b->n_slots - 1)] = i + 1;
	}
	return 0;
}

static int read_requests(struct build *b)
{
	static const struct line_calls calls = {.line = on_request};
	struct line_reading reading = {
		WALK_REQUESTS, b->seed, &calls, b, b->in->cancel};
	int err = b->in->grammar->walk(&reading, b->in->requests,
		(struct span){b->in->requests_from,
			(uint64_t)b->in->stamp.requests_size});

	if (!err)
		err = number_keys(b);
	b->asked = b->n;
	return err ? err : answers_hash_rows(b);
}

/* ---- adding up ----------------------------------------------------------------------------- */

void answers_wrap(const struct answers *a, const struct answers_row *row,
	struct answers_wrap *ret)
{
	*ret = (struct answers_wrap){.rest = answers_request(row), .after = ""};
	if (!row->unkeyed)
		return;
	ret->len = (size_t)snprintf(ret->before, sizeof ret->before,
		row->bare ? "{\"key\":\"%.*s\",\"request\":" : "{\"key\":\"%.*s\",",
		row->key_len < LINES_KEY_MAX ? (int)row->key_len : 0,
		a->blob + row->key_at);
	if (row->bare)
		ret->after = "}";
	else
		ret->rest.from++;
}

static uint64_t retry_size(const struct answers *a, const struct answers_row *row)
{
	struct answers_wrap w;

	answers_wrap(a, row, &w);
	return w.len + (w.rest.to - w.rest.from) + strlen(w.after) + 1;
}

/* What the tree needs. Before add_up, tsv_end is the size of the text. */
static void settle_rows(struct build *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->files[i].made && b->files[i].error)
			b->files[i].size += b->rows[i].note_len;
		b->a->head.counts[b->rows[i].status]++;
	}
}

/* If the answer is only a picture, the text column has the name of its file. */
static int name_media(struct build *b)
{
	struct answers *a = b->a;
	int err = 0;

	uint32_t k = b->in->before ? b->in->before->head.n_nodes : 1;

	for (; !err && k < a->head.n_nodes; k++) {
		const struct answers_node *n = &a->nodes[k];
		struct answers_row *r = &a->rows[n->row];
		char path[LINE_KEY_MAX];

		if ((n->kind != NODE_IS_DATA && n->kind != NODE_IS_WAVE) ||
			r->how != HOW_NOTHING || r->note_len)
			continue;
		if (answers_path(a, b->blob.text, k, path, sizeof path))
			err = answers_note(b, n->row, path);
	}
	return err;
}

uint64_t answers_row_frame(const char *blob, const struct answers_row *r)
{
	const char *key = blob + r->key_at, *note = blob + r->note_at;

	return r->key_len + text_tsv_extra(key, r->key_len) + 1 +
	       strlen(answers_outcomes[r->status].name) + 1 + r->note_len +
	       text_tsv_extra(note, r->note_len) + 1;
}

static void add_up_usage(struct build *b)
{
	struct answers_head *h = &b->a->head;

	b->a->blob = b->blob.text;
	for (uint32_t i = 0; i < h->n_rows; i++) {
		struct answers_row *r = &b->rows[i];

		h->tsv_size += answers_row_frame(b->blob.text, r) + r->tsv_end;
		r->tsv_end = h->tsv_size;
		if (r->retry && !r->asked)
			h->retry_size += retry_size(b->a, r);
		r->retry_end = h->retry_size;
	}
	b->a->blob = NULL;
}

/* All keys have been matched: what that took makes room for the nodes. */
static void forget_keys(struct build *b)
{
	free(STEAL_PTR(b->keys));
	free(STEAL_PTR(b->slots));
}

static int finish_build(struct build *b)
{
	forget_keys(b);
	settle_rows(b);
	b->a->rows = b->rows;
	b->a->head.n_rows = b->n;
	struct answers_material m = {b->files, b->more, b->media};
	int err = answers_tree(b->a, &b->blob, &m, b->in->before);
	if (!err)
		err = name_media(b);
	if (!err) {
		add_up_usage(b);
		err = answers_summary(b);
	}
	b->rows = NULL;
	if (!err && b->in->table && b->in->results)
		err = answers_table(b);
	b->a->blob = b->blob.text;
	b->a->head.blob_len = b->blob.len;
	b->blob.text = NULL;
	return err;
}

/* The table of parts; what it has of tokens is filled in as results are read. */
static int take_parts(struct build *b)
{
	const struct answers_input *in = b->in;

	if (!in->parts)
		return 0;
	if (in->n_parts > ANSWERS_PARTS_MAX)
		return -EFBIG;
	if (!(b->a->parts = calloc(in->n_parts + 1, sizeof *b->a->parts)))
		return -ENOMEM;
	if (in->n_parts)
		memcpy(b->a->parts, in->parts, in->n_parts * sizeof *in->parts);
	b->a->head.n_parts = in->n_parts;
	return 0;
}

static int begin_build(struct build *b)
{
	const struct answers_input *in = b->in;
	uint32_t none;
	int err = answers_blob_add(&b->blob, "", 1, &none);

	if (err)
		return err;
	if (in->before)
		b->seed = in->before->head.seed;
	b->a->head.stamp = in->stamp;
	b->a->head.dropped = in->dropped;
	b->a->head.seed = b->seed;
	b->a->grammar = in->grammar;
	err = take_parts(b);
	if (err)
		return err;
	return in->before ? answers_grow(b) : in->requests ? read_requests(b) : 0;
}

int answers_build(const struct answers_input *in, struct answers **ret)
{
	struct build b = {.in = in, .a = answers_new(),
		.seed = {util_random_u64(), util_random_u64()}};
	int err = b.a ? begin_build(&b) : -ENOMEM;

	if (!err)
		err = answers_results(&b);
	if (!err)
		err = answers_mark_asked(&b);
	if (!err)
		err = finish_build(&b);
	if (!err)
		*ret = STEAL_PTR(b.a);
	answers_unref(b.a);
	free(b.rows);
	free(b.keys);
	free(b.files);
	free(b.slots);
	free(b.more);
	free(b.media);
	free(b.blob.text);
	answers_schemas_free(b.schemas);
	return err;
}
