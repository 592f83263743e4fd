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

int answers_room_for_one(void *array, uint32_t n, uint32_t *room, size_t each)
{
	uint32_t more = *room ? 2 * *room : 64;
	int err = n < *room ? 0 : answers_room(array, more, each);

	if (!err && n == *room)
		*room = more;
	return err;
}

int answers_rows_room(struct build *b, uint32_t room)
{
	if (answers_room(&b->rows, room, sizeof *b->rows) ||
		answers_room(&b->keys, room, sizeof *b->keys) ||
		answers_room(&b->files, room, sizeof *b->files) ||
		(b->schemas_at &&
			answers_room(&b->schemas_at, room, sizeof *b->schemas_at)))
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
	if (b->schemas_at)
		b->schemas_at[b->n] = 0;
	b->rows[b->n].status = ANSWER_PENDING;
	*ret = b->n++;
	return 0;
}

struct answers_more *answers_more_of(struct build *b, uint32_t i)
{
	struct answers_files *f = &b->files[i];

	if (f->more)
		return &b->more[f->more - 1];
	if (answers_room_for_one(&b->more, b->n_more, &b->room_more, sizeof *b->more))
		return NULL;
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

static bool is_note(const struct build *b, uint32_t i, const char *text, size_t n)
{
	if (!b->rows[i].noted)
		return false;
	const struct answers_more *more = &b->more[b->files[i].more - 1];

	return more->note_len == n &&
	       memcmp(b->blob.text + more->note_at, text, n) == 0;
}

int answers_note_bytes(struct build *b, uint32_t i, const char *text, size_t n)
{
	struct answers_more *more = answers_more_of(b, i);

	if (!more)
		return -ENOMEM;
	b->rows[i].noted = n > 0;
	more->note_len = (uint32_t)n;
	for (uint32_t back = i; back-- > 0 && i - back <= 8;)
		if (is_note(b, back, text, n)) {
			more->note_at = b->more[b->files[back].more - 1].note_at;
			return 0;
		}
	return answers_blob_add(&b->blob, text, n, &more->note_at);
}

int answers_note(struct build *b, uint32_t i, const char *text)
{
	return answers_note_bytes(b, i, text, strlen(text));
}

/* ---- requests ----------------------------------------------------------------------- */

int answers_set_schema(struct build *b, uint32_t i, uint32_t at)
{
	if (!at && !b->schemas_at)
		return 0;
	if (!b->schemas_at) {
		b->schemas_at = calloc(b->room, sizeof *b->schemas_at);
		if (!b->schemas_at)
			return -ENOMEM;
	}
	b->schemas_at[i] = at;
	return 0;
}

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
	b->keys[i] = line->hash;
	err = answers_set_schema(b, i, schema_place(line));
	return err ? err
		   : answers_set_key(
			     b, i, line->key, line->has_key ? line->key_len : 0);
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
	b->n_slots = answers_slots_for(b->n);
	b->slots = calloc(b->n_slots, sizeof *b->slots);
	if (!b->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t at = answers_hash_slot(b->keys[i], b->n_slots);

		while (b->slots[at])
			at = answers_next_slot(at, b->n_slots);
		b->slots[at] = i + 1;
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

/* Around one that is whole the brace is in front of the key, and its own is left out. */
#define WRAP_KEY "{\"key\":\""
#define WRAP_WHOLE "\","
#define WRAP_BARE "\",\"request\":"

static int wrap_key_len(const struct answers_row *row)
{
	return row->key_len < LINES_KEY_MAX ? row->key_len : 0;
}

void answers_wrap(const struct answers *a, const struct answers_row *row,
	struct answers_wrap *ret)
{
	*ret = (struct answers_wrap){.rest = answers_request(row), .after = ""};
	if (!row->unkeyed)
		return;
	ret->len = (size_t)snprintf(ret->before, sizeof ret->before,
		row->bare ? WRAP_KEY "%.*s" WRAP_BARE : WRAP_KEY "%.*s" WRAP_WHOLE,
		wrap_key_len(row), a->blob + row->key_at);
	if (row->bare)
		ret->after = "}";
	else
		ret->rest.from++;
}

static uint64_t retry_len(const struct answers_row *row)
{
	uint64_t len = row->request_len + UINT64_C(1);

	if (!row->retry || row->asked)
		return 0;
	if (!row->unkeyed)
		return len;
	len += strlen(WRAP_KEY) + (size_t)wrap_key_len(row);
	return row->bare ? len + strlen(WRAP_BARE "}") : len + strlen(WRAP_WHOLE) - 1;
}

uint64_t answers_row_len(const struct answers_row *row, enum answers_column c)
{
	return c == ANSWERS_TSV ? row->tsv_len : retry_len(row);
}

/* What the tree needs. Before add_up, tsv_len is that of the text. */
static void settle_rows(struct build *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		struct answers_files *f = &b->files[i];

		if (f->made && f->error && b->rows[i].noted)
			f->size += b->more[f->more - 1].note_len;
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
			r->how != HOW_NOTHING || r->noted)
			continue;
		if (answers_path(a, b->blob.text, k, path, sizeof path))
			err = answers_note(b, n->row, path);
	}
	return err;
}

/* A table of the rows that have one. */
static int settle_notes(struct build *b)
{
	struct answers *a = b->a;
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		n += b->rows[i].noted;
	if (!(a->notes = calloc(n + 1, sizeof *a->notes)))
		return -ENOMEM;
	for (uint32_t i = 0; i < b->n; i++) {
		if (!b->rows[i].noted)
			continue;
		const struct answers_more *more = &b->more[b->files[i].more - 1];

		a->notes[a->head.n_notes++] =
			(struct answers_note){i, more->note_at, more->note_len};
	}
	return 0;
}

uint64_t answers_row_frame(
	const char *blob, const struct answers_row *r, const struct answers_note *note)
{
	const char *key = blob + r->key_at, *text = blob + note->at;

	return r->key_len + text_tsv_extra(key, r->key_len) + 1 +
	       strlen(answers_outcomes[r->status].name) + 1 + note->len +
	       text_tsv_extra(text, note->len) + 1;
}

static int add_up_usage(struct build *b)
{
	struct answers_head *h = &b->a->head;
	struct answers_mark *marks =
		calloc(h->n_rows / ANSWERS_MARK_EVERY + 1, sizeof *marks);

	if (!(b->a->marks = marks))
		return -ENOMEM;
	for (uint32_t i = 0; i < h->n_rows; i++) {
		struct answers_row *r = &b->rows[i];
		struct answers_note note = answers_note_of(b->a, r);

		if (i % ANSWERS_MARK_EVERY == 0)
			marks[i / ANSWERS_MARK_EVERY] =
				(struct answers_mark){h->tsv_size, h->retry_size};
		r->tsv_len += (uint32_t)answers_row_frame(b->blob.text, r, &note);
		h->tsv_size += r->tsv_len;
		h->retry_size += answers_row_len(r, ANSWERS_RETRY);
	}
	return 0;
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
	b->a->head.n_schemas = b->schemas_at ? b->n : 0;
	b->a->schemas = STEAL_PTR(b->schemas_at);
	struct answers_material m = {b->files, b->more, b->media};
	int err = answers_tree(b->a, &b->blob, &m, b->in->before);
	if (!err)
		err = name_media(b);
	if (!err)
		err = settle_notes(b);
	if (!err)
		err = add_up_usage(b);
	if (!err)
		err = answers_summary(b);
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
	free(b.schemas_at);
	free(b.more);
	free(b.media);
	free(b.blob.text);
	answers_schemas_free(b.schemas);
	return err;
}
