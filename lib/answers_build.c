/*
 * Making an index: the requests are read first, for order, keys and what was wanted,
 * then the results, which are matched to them by key; then sizes are added up and
 * files get names (answers_tree.c).
 */
#include "answers_index.h"

#include <errno.h>
#include <string.h>

#include "errors.h"
#include "lines.h"
#include "util.h"

struct build {
	const struct answers_input *in;
	struct answers *a;
	struct answers_blob blob;
	struct keyseed seed;
	/* One each a row. */
	struct answers_row *rows;
	struct keypair *keys;
	struct answers_files *files;
	uint32_t n, room;
	/* Rows of requests by key: their number plus one; 0: free. */
	uint32_t *slots;
	uint64_t n_slots;
	struct answers_medium *media;
	uint32_t n_media, room_media, line_media;
	uint64_t last_line; /* of the requests */
};

/* ---- memory ------------------------------------------------------------------------- */

static int grow(void *array, size_t n, size_t each)
{
	void **at = array, *bigger = reallocarray(*at, n, each);

	if (!bigger)
		return -ENOMEM;
	*at = bigger;
	return 0;
}

static int new_row(struct build *b, uint32_t *ret)
{
	if (b->n == b->room) {
		uint32_t room = b->room ? 2 * b->room : 256;

		if (b->n >= ANSWERS_NODES_MAX)
			return -EFBIG;
		if (grow(&b->rows, room, sizeof *b->rows) ||
			grow(&b->keys, room, sizeof *b->keys) ||
			grow(&b->files, room, sizeof *b->files))
			return -ENOMEM;
		b->room = room;
	}
	memset(&b->rows[b->n], 0, sizeof *b->rows);
	memset(&b->files[b->n], 0, sizeof *b->files);
	b->rows[b->n].status = ANSWER_MISSING;
	*ret = b->n++;
	return 0;
}

int answers_blob_add(struct answers_blob *b, const void *text, size_t n, uint64_t *ret_at)
{
	if (b->room - b->len < n) {
		uint64_t room = b->room ? b->room : 4096;

		while (room - b->len < n)
			room *= 2;
		if (grow(&b->text, room, 1))
			return -ENOMEM;
		b->room = room;
	}
	if (n)
		memcpy(b->text + b->len, text, n);
	*ret_at = b->len;
	b->len += n;
	return 0;
}

static int set_key(struct build *b, uint32_t i, const char *key, size_t n)
{
	b->rows[i].key_len = (uint32_t)n;
	return answers_blob_add(&b->blob, key, n, &b->rows[i].key_at);
}

/* Most rows that have a note have the same as the one before. */
static int set_note(struct build *b, uint32_t i, const char *text)
{
	struct answers_row *r = &b->rows[i];
	size_t n = strlen(text);

	r->note_len = (uint32_t)n;
	for (uint32_t back = i; back-- > 0 && i - back <= 8;)
		if (b->rows[back].note_len == n &&
			memcmp(b->blob.text + b->rows[back].note_at, text, n) == 0) {
			r->note_at = b->rows[back].note_at;
			return 0;
		}
	return answers_blob_add(&b->blob, text, n, &r->note_at);
}

/* ---- requests ----------------------------------------------------------------------- */

static bool is_json(const struct line_word *mime)
{
	return strcmp(mime->text, "application/json") == 0;
}

static int on_request(void *arg, const struct answer_line *line)
{
	struct build *b = arg;
	uint32_t i;
	int err = line->number > UINT32_MAX ? -EFBIG : new_row(b, &i);

	if (err)
		return err;
	b->last_line = line->number;
	b->rows[i].request = line->at;
	b->rows[i].line = (uint32_t)line->number;
	b->rows[i].bare = !line->has_request;
	b->rows[i].unkeyed = !line->has_key;
	b->files[i].json = is_json(&line->mime);
	b->keys[i] = line->hash;
	return set_key(b, i, line->key, line->has_key ? line->key_len : 0);
}

/* What has no key was sent with its number, as wide as the last one. */
static int number_keys(struct build *b)
{
	char key[LINES_KEY_MAX];
	unsigned width = (unsigned)lines_number_key(b->last_line, 0, key);

	for (uint32_t i = 0; i < b->n; i++) {
		struct keyhash h;
		size_t n;

		if (!b->rows[i].unkeyed)
			continue;
		n = lines_number_key(b->rows[i].line, width, key);
		keyhash_init(&h, b->seed);
		keyhash_add(&h, key, n);
		b->keys[i] = keyhash_end(&h);
		if (set_key(b, i, key, n))
			return -ENOMEM;
	}
	return 0;
}

static int hash_rows(struct build *b)
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
	struct line_walk *w = malloc(sizeof *w);
	int err = w ? 0 : -ENOMEM;

	if (!err) {
		line_walk_init(w, WALK_REQUESTS, b->seed, &calls, b);
		err = line_walk_run(w, b->in->requests, 0,
			(uint64_t)b->in->stamp.requests_size, b->in->cancel);
	}
	free(w);
	if (!err)
		err = number_keys(b);
	return err ? err : hash_rows(b);
}

/* ---- which request it answers --------------------------------------------------------- */

static bool same_key(const struct build *b, uint32_t i, const struct answer_line *line)
{
	const struct answers_row *r = &b->rows[i];

	return b->keys[i].first == line->hash.first &&
	       b->keys[i].second == line->hash.second && r->key_len == line->key_len &&
	       memcmp(b->blob.text + r->key_at, line->key, line->key_len) == 0;
}

/* The first row of this key that has no result yet. */
static bool find_row(const struct build *b, const struct answer_line *line, uint32_t *ret)
{
	uint32_t slot;

	if (!b->slots || !line->has_key)
		return false;
	for (uint64_t at = line->hash.first;
		(slot = b->slots[at & (b->n_slots - 1)]); at++)
		if (b->rows[slot - 1].status == ANSWER_MISSING &&
			same_key(b, slot - 1, line)) {
			*ret = slot - 1;
			return true;
		}
	return false;
}

static int row_of(struct build *b, const struct answer_line *line, uint32_t *ret)
{
	int err = line->number > UINT32_MAX ? -EFBIG : 0;

	if (err || find_row(b, line, ret))
		return err;
	err = new_row(b, ret);
	if (err)
		return err;
	b->rows[*ret].line = (uint32_t)line->number;
	b->files[*ret].unnamed = !line->has_key;
	return set_key(b, *ret, line->key, line->has_key ? line->key_len : 0);
}

/* ---- what it is ------------------------------------------------------------------------ */

/* Whether a failure of this code may pass: a google.rpc.Code, or an HTTP status from
 * 100 on; -1: nobody knows. */
static bool passes(int64_t code)
{
	static const bool grpc[] = {[1] = true, [2] = true, [4] = true, [8] = true,
		[10] = true, [13] = true, [14] = true, [15] = true};

	if (code < 0)
		return true;
	if (code >= 100)
		return code == 499 || errors_status_passes((long)code);
	return code < (int64_t)ARRAY_SIZE(grpc) && grpc[code];
}

static int count_bytes(void *arg, const void *buf, size_t n)
{
	uint64_t *sums = arg;

	sums[0] += n;
	sums[1] += text_tsv_extra(buf, n);
	return 0;
}

/* Of JSON as it stands, which may have backslashes: bytes, and more as TSV. */
static int measure(struct build *b, struct span at, struct line_text *ret)
{
	uint64_t sums[2] = {0};
	struct text_sink counter = {count_bytes, sums, NULL};
	int err = text_raw(b->in->results, at, &counter);

	*ret = (struct line_text){.at = at, .len = sums[0], .extra = sums[1]};
	return err;
}

static void set_text(
	struct build *b, uint32_t i, enum answers_how how, const struct line_text *text)
{
	b->rows[i].how = (uint8_t)how;
	b->rows[i].text = text->at;
	/* Until sizes are added up: what it is as a field. */
	b->rows[i].tsv_end = text->len + text->extra;
	b->files[i].size = text->len;
}

static void wants_retry(struct build *b, uint32_t i)
{
	b->rows[i].retry_end = b->rows[i].request.to > 0;
}

static int failed(struct build *b, uint32_t i, const struct answer_line *line)
{
	const char *name = line->status.len ? line->status.text
			   : line->code >= 0 && line->code < 100
				   ? errors_grpc_name((int)line->code)
				   : "HTTP";
	const char *colon = line->has_message && line->message.len ? ": " : "";
	char note[LINE_WORD_MAX + 32];

	b->rows[i].status = ANSWER_FAILED;
	b->files[i].error = true;
	if (line->has_message)
		set_text(b, i, HOW_STRING, &line->message);
	if (passes(line->code))
		wants_retry(b, i);
	if (line->code >= 0)
		snprintf(note, sizeof note, "%s (%jd)%s", name, (intmax_t)line->code, colon);
	else
		snprintf(note, sizeof note, "%s%s",
			line->status.len ? line->status.text : "no code", colon);
	return set_note(b, i, note);
}

static int failed_because(struct build *b, uint32_t i, const char *why)
{
	b->rows[i].status = ANSWER_FAILED;
	b->files[i].error = true;
	wants_retry(b, i);
	return set_note(b, i, why);
}

static int no_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	bool cut = strcmp(line->finish.text, "MAX_TOKENS") == 0;
	const char *why = line->block.len    ? line->block.text
			  : line->finish.len ? line->finish.text
					     : "no candidates";

	b->rows[i].status = cut ? ANSWER_TRUNCATED : ANSWER_BLOCKED;
	b->files[i].error = true;
	return set_note(b, i, why);
}

static int check_json(struct build *b, uint32_t i, bool *ret_valid)
{
	struct text_json json;
	struct text_sink sink = {text_sink_json, &json, NULL};
	int err;

	text_json_init(&json);
	err = answers_row_text(b->a, &b->rows[i], b->in->results, &sink);
	*ret_valid = !err && text_json_valid(&json);
	return err == -EBADMSG ? 0 : err;
}

static int text_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_files *f = &b->files[i];
	int err = 0;

	set_text(b, i, line->texts > 1 ? HOW_STRINGS : HOW_STRING, &line->text);
	f->has_main = true;
	f->newline = !line->text.len || line->text.last != '\n';
	if (!f->json)
		return 0;
	err = check_json(b, i, &f->json);
	if (!f->json)
		b->rows[i].status = ANSWER_TRUNCATED;
	return err;
}

/* Text that says nothing is an answer only if nothing was in its way. */
static bool says_something(const struct answer_line *line)
{
	const char *finish = line->finish.text;

	return line->text.len || line->media || line->others ||
	       (line->texts && (!*finish || strcmp(finish, "STOP") == 0));
}

static int answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_files *f = &b->files[i];
	bool cut = strcmp(line->finish.text, "MAX_TOKENS") == 0;
	struct line_text raw;
	int err = 0;

	b->rows[i].status = cut ? ANSWER_TRUNCATED : ANSWERED;
	if (line->texts && (line->text.len || !(line->media || line->others)))
		err = text_answer(b, i, line);
	else
		f->json = false;
	if (err || !line->others || !line->has_parts)
		return err;
	f->parts = line->parts;
	if (f->has_main)
		return 0;
	err = measure(b, line->parts, &raw);
	set_text(b, i, HOW_RAW, &raw);
	return err;
}

static int embedding(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct line_text raw;
	int err = measure(b, line->embedding, &raw);

	b->rows[i].status = ANSWERED;
	set_text(b, i, HOW_RAW, &raw);
	b->files[i].parts = line->embedding;
	return err;
}

static int judge(struct build *b, uint32_t i, const struct answer_line *line)
{
	if (line->damaged)
		return failed_because(b, i, "the line of results is damaged");
	if (line->has_error && !line->has_candidate)
		return failed(b, i, line);
	if (!line->has_response)
		return failed_because(b, i, "neither a response nor an error");
	if (line->has_candidate && says_something(line))
		return answer(b, i, line);
	if (!line->has_candidate && line->has_embedding)
		return embedding(b, i, line);
	return no_answer(b, i, line);
}

/* ---- results ----------------------------------------------------------------------------- */

static int on_part(void *arg, const struct line_part *p)
{
	struct build *b = arg;

	if (!p->has_data)
		return 0;
	if (b->n_media == b->room_media) {
		uint32_t room = b->room_media ? 2 * b->room_media : 64;

		if (b->n_media >= ANSWERS_NODES_MAX)
			return -EFBIG;
		if (grow(&b->media, room, sizeof *b->media))
			return -ENOMEM;
		b->room_media = room;
	}
	b->media[b->n_media++] = (struct answers_medium){
		.extension = answers_extension(p->mime.text),
		.data = p->data.at,
		.size = text_data_size(&p->data),
		.regular = p->data.regular,
	};
	return 0;
}

static void take_media(struct build *b, uint32_t i, const struct answer_line *line)
{
	if (line->damaged || b->rows[i].status > ANSWER_TRUNCATED)
		b->n_media = b->line_media;
	b->files[i].media = b->line_media;
	b->files[i].n_media = b->n_media - b->line_media;
	b->line_media = b->n_media;
}

static int on_result(void *arg, const struct answer_line *line)
{
	struct build *b = arg;
	uint32_t i;
	int err = row_of(b, line, &i);

	if (err)
		return err;
	b->rows[i].result = line->at;
	for (size_t t = 0; t < TOKENS_N; t++)
		b->a->head.tokens[t] += line->tokens[t];
	err = judge(b, i, line);
	take_media(b, i, line);
	return err;
}

static int read_results(struct build *b)
{
	static const struct line_calls calls = {.line = on_result, .part = on_part};
	struct line_walk *w = malloc(sizeof *w);
	int err = w ? 0 : -ENOMEM;

	if (!err) {
		line_walk_init(w, WALK_RESULTS, b->seed, &calls, b);
		err = line_walk_run(w, b->in->results, 0,
			(uint64_t)b->in->stamp.results_size, b->in->cancel);
	}
	free(w);
	return err;
}

/* ---- adding up ----------------------------------------------------------------------------- */

static int missing(struct build *b, uint32_t i)
{
	b->files[i].error = true;
	wants_retry(b, i);
	return set_note(b, i, "there is no result for this request");
}

void answers_wrap(
	const struct answers *a, const struct answers_row *row, struct answers_wrap *ret)
{
	*ret = (struct answers_wrap){.rest = row->request, .after = ""};
	if (!row->unkeyed)
		return;
	ret->len = (size_t)snprintf(ret->before, sizeof ret->before,
		row->bare ? "{\"key\":\"%.*s\",\"request\":" : "{\"key\":\"%.*s\",",
		row->key_len < LINES_KEY_MAX ? (int)row->key_len : 0, a->blob + row->key_at);
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

/* Until now tsv_end is the size of the text, retry_end whether to try again. */
static int add_up(struct build *b)
{
	struct answers_head *h = &b->a->head;
	int err = 0;

	for (uint32_t i = 0; !err && i < b->n; i++) {
		struct answers_row *r = &b->rows[i];
		const char *key, *note;

		if (r->status == ANSWER_MISSING)
			err = missing(b, i);
		b->a->blob = b->blob.text;
		key = b->blob.text + r->key_at;
		note = b->blob.text + r->note_at;
		h->counts[r->status]++;
		h->tsv_size += r->key_len + text_tsv_extra(key, r->key_len) + 1 +
			       strlen(answers_status_names[r->status]) + 1 + r->tsv_end +
			       r->note_len + text_tsv_extra(note, r->note_len) + 1;
		r->tsv_end = h->tsv_size;
		if (b->files[i].error)
			b->files[i].size += r->note_len;
		if (r->retry_end)
			h->retry_size += retry_size(b->a, r);
		r->retry_end = h->retry_size;
	}
	return err;
}

static int finish(struct build *b)
{
	int err;

	b->a->rows = b->rows;
	b->a->head.n_rows = b->n;
	b->rows = NULL;
	err = answers_tree(b->a, &b->blob, b->files, b->media);
	b->a->blob = b->blob.text;
	b->a->head.blob_len = b->blob.len;
	b->blob.text = NULL;
	return err;
}

int answers_build(const struct answers_input *in, struct answers **ret)
{
	struct build b = {.in = in, .a = answers_new(),
		.seed = {util_random_u64(), util_random_u64()}};
	uint64_t none;
	int err = b.a ? 0 : -ENOMEM;

	if (!err)
		err = answers_blob_add(&b.blob, "", 1, &none);
	if (!err) {
		b.a->head.stamp = in->stamp;
		b.a->head.seed = b.seed;
	}
	if (!err && in->requests)
		err = read_requests(&b);
	if (!err && in->results)
		err = read_results(&b);
	if (!err)
		err = add_up(&b);
	if (b.a)
		b.a->blob = NULL;
	if (!err)
		err = finish(&b);
	if (!err)
		*ret = STEAL_PTR(b.a);
	answers_unref(b.a);
	free(b.rows);
	free(b.keys);
	free(b.files);
	free(b.slots);
	free(b.media);
	free(b.blob.text);
	return err;
}
