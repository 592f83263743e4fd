#include "provider/gemini/result_line_private.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

/* Small enough to stay in the processor's cache between the read and the look. */
#define BUFFER_SIZE (256 << 10)

void line_walk_init(struct line_walk *w, enum line_walk_of of, struct keyseed seed,
	const struct line_calls *calls, void *arg)
{
	memset(w, 0, sizeof *w);
	jtok_init(&w->tok, true);
	w->of = of;
	w->seed = seed;
	w->calls = calls;
	w->arg = arg;
	w->line.number = 1;
	w->line.code = -1;
}

static void word_add(struct line_word *word, const void *text, size_t n)
{
	size_t room = sizeof word->text - 1 - word->len;

	if (n > room)
		n = room;
	memcpy(word->text + word->len, text, n);
	word->len += n;
	word->text[word->len] = '\0';
}

static void word_clear(struct line_word *word)
{
	word->len = 0;
	word->text[0] = '\0';
}

static uint8_t place_at(const struct line_walk *w, unsigned depth)
{
	return depth < LINE_PLACES ? w->places[depth] : OTHER;
}

/* ---- scalars ------------------------------------------------------------------------
 *
 * The tokenizer passes over numbers and words without telling: what they are is seen
 * between the end of their name and the next event. */

static void capture(struct line_walk *w, const uint8_t *p, const uint8_t *end)
{
	for (; p < end && w->capturing; p++) {
		if (strchr(" \t\r\n:", *p) && *p) {
			w->capturing = w->scalar.len == 0;
			continue;
		}
		if (strchr(",]}[{\"", *p) || w->scalar.len == sizeof w->scalar.text - 1)
			w->capturing = false;
		else
			word_add(&w->scalar, p, 1);
	}
}

/* -1: none, or so large that the sum over millions of lines would not be a number. */
static int64_t scalar_number(const struct line_walk *w)
{
	char *end;
	double v = strtod(w->scalar.text, &end);

	if (end == w->scalar.text || !(v >= 0) || v > 1e12)
		return -1;
	return (int64_t)v;
}

static void take_count(struct line_walk *w, enum line_tokens t)
{
	int64_t n = scalar_number(w);

	if (n > 0)
		w->line.tokens[t] = n;
}

static void take_scalar(struct line_walk *w, uint8_t member)
{
	switch (member) {
	case THOUGHT:
		w->part.thought = strcmp(w->scalar.text, "true") == 0;
		break;
	case CODE:
		w->line.code = scalar_number(w);
		break;
	case EMBEDDING_COUNT:
		take_count(w, TOKENS_PROMPT);
		take_count(w, TOKENS_TOTAL);
		break;
	case COUNT_PROMPT... COUNT_TOTAL:
		take_count(w, member - COUNT_PROMPT);
		break;
	default:
		break;
	}
}

static bool is_scalar(uint8_t member)
{
	return member == THOUGHT || member == CODE || member == EMBEDDING_COUNT ||
	       (member >= COUNT_PROMPT && member <= COUNT_TOTAL);
}

/* The next event after the name of a scalar has come. */
static void end_scalar(struct line_walk *w)
{
	if (!is_scalar(w->member))
		return;
	if (w->scalar.len)
		take_scalar(w, w->member);
	w->capturing = false;
	w->member = OTHER;
}

/* ---- strings ---------------------------------------------------------------------- */

static struct line_text *line_text_of(struct line_walk *w, uint8_t member)
{
	return member == PART_TEXT ? &w->part.text : &w->line.message;
}

static struct line_word *line_word_of(struct line_walk *w, uint8_t member)
{
	switch (member) {
	case MIME:
		return &w->part.mime;
	case FINISH:
		return &w->line.finish;
	case BLOCK:
		return &w->line.block;
	case STATUS:
		return &w->line.status;
	case REQUEST_MIME:
		return &w->line.mime;
	case VERSION:
		return &w->line.version;
	case STAGE:
		return &w->line.stage;
	case RETIRES:
		return &w->line.retires;
	default:
		return is_scalar(member) ? &w->scalar : NULL;
	}
}

static bool is_key(uint8_t member)
{
	return member >= KEY && member <= METADATA_ID;
}

static void line_begin_string(struct line_walk *w)
{
	struct line_word *word = line_word_of(w, w->member);

	if (word)
		word_clear(word);
	switch (w->member) {
	case KEY ... METADATA_ID:
		/* What is no string takes no other's place. */
		siphash_init(&w->hash, w->seed);
		w->key_begins = true;
		break;
	case PART_TEXT:
	case MESSAGE:
		*line_text_of(w, w->member) = (struct line_text){0};
		break;
	case DATA:
		w->part.data = (struct line_data){.regular = true};
		break;
	default:
		break;
	}
}

static void key_piece(struct line_walk *w, const uint8_t *text, size_t n)
{
	struct answer_line *line = &w->line;
	size_t room;

	if (w->key_begins)
		line->key_len = 0;
	w->key_begins = false;
	room = sizeof line->key - line->key_len;
	siphash_add(&w->hash, text, n);
	if (n > room)
		n = room;
	memcpy(line->key + line->key_len, text, n);
	line->key_len += n;
}

/* What TSV escapes can only stand as an escape in JSON, alone in its piece. */
static void text_piece(struct line_text *t, const uint8_t *text, size_t n, bool escaped)
{
	t->len += n;
	t->last = text[n - 1];
	if (escaped)
		t->extra += text_tsv_extra(text, n);
}

static void string_piece(struct line_walk *w)
{
	const uint8_t *text = w->tok.text;
	size_t n = w->tok.len;
	bool escaped = text == w->tok.utf8_text;
	struct line_word *word = line_word_of(w, w->member);

	if (!n)
		return;
	if (word)
		word_add(word, text, n);
	else if (is_key(w->member))
		key_piece(w, text, n);
	else if (w->member == DATA)
		text_data_count(&w->part.data, text, n, escaped);
	else if (w->member == PART_TEXT || w->member == MESSAGE)
		text_piece(line_text_of(w, w->member), text, n, escaped);
}

static void line_end_string(struct line_walk *w)
{
	struct span inside = {w->tok.quote + 1, jtok_offset(&w->tok) - 1};

	string_piece(w);
	switch (w->member) {
	case KEY ... METADATA_ID:
		if (w->key_begins)
			w->line.key_len = 0;
		w->line.hash = siphash_end(&w->hash);
		w->line.has_key = true;
		w->line.key_rank = w->member - KEY;
		w->line.key_len = util_utf8_cut(
			w->line.key, w->line.key_len, sizeof w->line.key - 3);
		break;
	case PART_TEXT:
		w->part.has_text = true;
		w->part.text.at = inside;
		break;
	case MESSAGE:
		w->line.has_message = true;
		w->line.message.at = inside;
		break;
	case DATA:
		w->part.has_data = true;
		w->part.data.at = inside;
		break;
	default:
		break;
	}
	if (!is_scalar(w->member))
		w->member = OTHER;
}

/* ---- structure -------------------------------------------------------------------- */

static void line_on_name(struct line_walk *w)
{
	uint8_t parent = place_at(w, w->tok.depth);
	const struct line_rule *r;

	word_add(&w->name, w->tok.text, w->tok.len);
	r = parent ? result_line_rule(parent, &w->name) : NULL;
	word_clear(&w->name);
	/* A better one has been met. */
	if (r && is_key(r->member) && w->line.has_key &&
		r->member - KEY > w->line.key_rank)
		r = NULL;
	w->member = r ? r->member : parent == PART ? STRANGE : OTHER;
	w->part.other |= w->member == STRANGE;
	w->tok.want = r && r->want != NOTHING;
	w->capturing = r && r->want == SCALAR;
	if (w->capturing)
		word_clear(&w->scalar);
	if (w->tok.want)
		line_begin_string(w);
}

/* What an opened bracket is the beginning of. */
static uint8_t place_opened(struct line_walk *w)
{
	uint8_t around = place_at(w, w->tok.depth - 1);
	bool object = jtok_in_object(&w->tok);

	if (w->tok.depth == 1)
		return w->of == WALK_RESULTS ? RESULT : REQUEST_LINE;
	if (around == CANDIDATES) {
		bool first = w->first_candidate;

		w->first_candidate = false;
		return first && object ? CANDIDATE : OTHER;
	}
	if (around == PARTS)
		return object ? PART : OTHER;
	if (object == (w->member == CANDIDATES || w->member == PARTS))
		return OTHER;
	return w->member;
}

static void line_on_open(struct line_walk *w)
{
	uint64_t at = jtok_offset(&w->tok) - 1;
	uint8_t place = place_opened(w);

	if (w->tok.depth < LINE_PLACES)
		w->places[w->tok.depth] = place;
	switch (place) {
	case RESULT:
	case REQUEST_LINE:
		w->line.at.from = at;
		break;
	case RESPONSE:
		w->line.has_response = true;
		break;
	case FAILURE:
		w->line.has_error = true;
		break;
	case CANDIDATE:
		w->line.has_candidate = true;
		break;
	case PARTS:
		w->line.parts.from = at;
		break;
	case PART:
		w->part = (struct line_part){0};
		break;
	case EMBEDDING:
		w->line.embedding.from = at;
		break;
	case REQUEST:
		w->line.has_request = true;
		break;
	case REQUEST_SCHEMA:
		w->line.schema.from = at;
		break;
	default:
		break;
	}
	w->member = OTHER;
}

static int end_part(struct line_walk *w)
{
	struct line_part *p = &w->part;
	struct line_text *all = &w->line.text;

	if (p->thought)
		return 0;
	if (p->has_text) {
		w->line.texts++;
		all->at = p->text.at;
		all->len += p->text.len;
		all->extra += p->text.extra;
		if (p->text.len)
			all->last = p->text.last;
	}
	w->line.media += p->has_data;
	w->line.others += p->other;
	return w->calls->part ? w->calls->part(w->arg, p) : 0;
}

static int line_on_close(struct line_walk *w)
{
	uint64_t after = jtok_offset(&w->tok);
	uint8_t place = place_at(w, w->tok.depth + 1);
	int err = 0;

	switch (place) {
	case RESULT:
	case REQUEST_LINE:
		w->line.at.to = after;
		break;
	case PARTS:
		w->line.parts.to = after;
		w->line.has_parts = true;
		break;
	case PART:
		err = end_part(w);
		break;
	case EMBEDDING:
		w->line.embedding.to = after;
		w->line.has_embedding = true;
		break;
	case REQUEST_SCHEMA:
		w->line.schema.to = after;
		break;
	default:
		break;
	}
	w->member = OTHER;
	return err;
}

/* ---- lines ------------------------------------------------------------------------ */

/* lf: a newline ended it. */
static int walk_end_line(struct line_walk *w, bool lf)
{
	uint64_t next = w->line.number + 1;
	int err = 0;

	w->line.damaged = w->after_damage || !jtok_complete(&w->tok);
	if (!jtok_blank(&w->tok)) {
		if (w->line.damaged)
			w->line.at = (struct span){
				w->line_start, jtok_offset(&w->tok) - lf};
		err = w->calls->line(w->arg, &w->line);
	}
	jtok_next_line(&w->tok);
	w->line_start = jtok_offset(&w->tok);
	/* All but the room for the key. */
	memset(&w->line, 0, offsetof(struct answer_line, key));
	memset(&w->line.has_response, 0,
		sizeof w->line - offsetof(struct answer_line, has_response));
	w->line.number = next;
	w->line.code = -1;
	w->first_candidate = true;
	w->after_damage = false;
	w->capturing = false;
	w->member = OTHER;
	word_clear(&w->name);
	return err;
}

static int on_event(struct line_walk *w, enum jtok_event e)
{
	bool piece_of_name = e == JTOK_PIECE && w->tok.is_name;

	if (e != JTOK_STRING && (e != JTOK_PIECE || piece_of_name))
		end_scalar(w);
	switch (e) {
	case JTOK_OPEN:
		line_on_open(w);
		return 0;
	case JTOK_CLOSE:
		return line_on_close(w);
	case JTOK_PIECE:
		if (piece_of_name)
			word_add(&w->name, w->tok.text, w->tok.len);
		else
			string_piece(w);
		return 0;
	case JTOK_NAME:
		line_on_name(w);
		return 0;
	case JTOK_STRING:
		line_end_string(w);
		return 0;
	case JTOK_NEWLINE:
		return walk_end_line(w, true);
	default:
		w->after_damage = true;
		return 0;
	}
}

static int line_feed(struct line_walk *w, const void *buf, size_t n)
{
	enum jtok_event e;
	int err = 0;

	jtok_feed(&w->tok, buf, n);
	do {
		const uint8_t *from = w->tok.p;

		e = jtok_next(&w->tok);
		if (w->capturing)
			capture(w, from, w->tok.p);
		if (e != JTOK_MORE)
			err = on_event(w, e);
	} while (e != JTOK_MORE && !err);
	return err;
}

/* Where the first line begins: not with a BOM. */
static uint64_t result_skip_bom(
	const struct text_source *source, uint64_t from, uint64_t to)
{
	static const char bom[] = "\xef\xbb\xbf";
	uint64_t n = 0;
	char c;

	while (from == 0 && n < 3 && n < to &&
		source->read(source->arg, n, &c, 1) == 1 && c == bom[n])
		n++;
	return n == 3 ? n : from;
}

int line_walk_run(struct line_walk *w, const struct text_source *source, uint64_t from,
	uint64_t to, const atomic_bool *cancel)
{
	_cleanup_free_ uint8_t *buf = malloc(BUFFER_SIZE);
	int err = buf ? 0 : -ENOMEM;

	from = result_skip_bom(source, from, to);
	w->tok.base = w->line_start = from;
	w->first_candidate = true;
	while (!err && from < to) {
		size_t want =
			to - from < BUFFER_SIZE ? (size_t)(to - from) : BUFFER_SIZE;
		ssize_t n;

		if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
			return -ECANCELED;
		n = source->read(source->arg, from, buf, want);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		err = line_feed(w, buf, (size_t)n);
		from += (uint64_t)n;
	}
	if (!err && w->line_start < to)
		err = walk_end_line(w, false);
	return err;
}
