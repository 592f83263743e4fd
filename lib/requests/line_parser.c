#include "requests/line_parser_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

/* Small enough to stay in the processor's cache between pread and the look. */
#define BUFFER_SIZE (256 * 1024)

/* What has been seen on a line. */
enum {
	SEEN_KEY = 1 << KEY,
	SEEN_REQUEST = 1 << REQUEST,
	SEEN_CONTENTS = 1 << CONTENTS,
	SEEN_CONTENT = 1 << CONTENT,
	SEEN_BORROWED = 1 << BORROWED,
	SEEN_METADATA = 1 << METADATA,
	KEY_IS_STRING = 1 << 16,
	REQUEST_IS_OBJECT = 1 << 17,
};

static const uint8_t bom[3] = {0xef, 0xbb, 0xbf};
enum { BOM_SEEN = sizeof bom, NO_BOM };

void lines_init(struct lines *l, const struct request_grammar *g, struct keyseed seed,
	lines_fn each, void *arg)
{
	memset(l, 0, sizeof *l);
	jtok_init(&l->tok, true);
	l->tok.initial = 'f';
	l->grammar = g;
	placement_filter_init(&l->filter, g);
	l->seed = seed;
	l->each = each;
	l->arg = arg;
	l->line.number = 1;
	l->places[1] = IN_LINE;
}

static void lines_keep_part(struct lines *l)
{
	size_t room = sizeof l->name - l->name_len;
	size_t n = l->tok.len < room ? l->tok.len : room;

	memcpy(l->name + l->name_len, l->tok.text, n);
	l->name_len += n;
}

/* The text of a name or URI whose last part is at hand: as much as is kept, also of
 * one that came whole, so that both are judged alike. */
static const char *whole_text(struct lines *l, size_t *ret_len)
{
	if (l->name_len == 0) {
		*ret_len = l->tok.len < sizeof l->name ? l->tok.len : sizeof l->name;
		return (const char *)l->tok.text;
	}
	lines_keep_part(l);
	*ret_len = l->name_len;
	l->name_len = 0;
	return l->name;
}

/* ---- events -------------------------------------------------------------------- */

static enum member top_member(const char *text, size_t len)
{
	if (lines_is(text, len, "key"))
		return KEY;
	if (lines_is(text, len, "request"))
		return REQUEST;
	if (lines_is(text, len, "contents"))
		return CONTENTS;
	if (lines_is(text, len, "content"))
		return CONTENT;
	if (lines_is(text, len, "metadata"))
		return METADATA;
	if (lines_is(text, len, "custom_id") || lines_is(text, len, "id"))
		return BORROWED;
	return OTHER;
}

static void on_top_name(struct lines *l, const char *text, size_t len)
{
	enum member m = top_member(text, len);

	if (m == OTHER)
		return;
	l->top_start = l->tok.quote;
	if (m == BORROWED) {
		l->seen |= 1u << m;
		lines_want_borrowed(l, IN_LINE, text, len);
		return;
	}
	if (m != METADATA && l->seen & 1u << m)
		lines_bad(l, "the same member twice", lines_column(l, l->tok.quote));
	l->seen |= 1u << m;
	l->member = m;
	if (m == CONTENTS || m == CONTENT)
		l->requests[0].asks |= m == CONTENTS ? ASKS_ANSWER : ASKS_EMBEDDING;
	if (m != KEY)
		return;
	l->line.member_start = l->tok.quote;
	l->tok.want = true;
	siphash_init(&l->hash, l->seed);
}

/* Whether the innermost bracket is an object that file_refs.h is about. */
static bool in_file_data(const struct lines *l)
{
	unsigned depth = l->tok.depth;

	return l->file_data[depth / 64] >> (depth % 64) & 1;
}

static void set_file_data(struct lines *l, bool is)
{
	unsigned depth = l->tok.depth;
	uint64_t bit = UINT64_C(1) << (depth % 64);

	if (is)
		l->file_data[depth / 64] |= bit;
	else
		l->file_data[depth / 64] &= ~bit;
}

/* What the name announces. */
static void look_at_name(struct lines *l)
{
	uint8_t place = lines_place(l);
	size_t len;
	const char *text = whole_text(l, &len);

	if (place == IN_LINE)
		on_top_name(l, text, len);
	else if (place == IN_CONTENT && lines_is(text, len, "role"))
		l->member = ROLE, l->tok.want = true;
	else if (place == IN_REQUEST && lines_is(text, len, "contents"))
		l->member = CONTENTS, l->requests[1].asks |= ASKS_ANSWER;
	else if (place == IN_REQUEST && lines_is(text, len, "content"))
		l->member = CONTENT, l->requests[1].asks |= ASKS_EMBEDDING;
	else if (place == IN_METADATA)
		lines_want_borrowed(l, place, text, len);
	if (place >= IN_LINE && place <= IN_THINKING && l->member == OTHER &&
		placement_may_know(&l->filter, lines_place_of(place), text, len))
		lines_on_request_name(l, place, text, len);
	if (l->member != OTHER)
		return;
	if (lines_is(text, len, "file_data") || lines_is(text, len, "fileData")) {
		l->member = FILE_DATA;
	} else if (in_file_data(l) && (lines_is(text, len, "file_uri") ||
					      lines_is(text, len, "fileUri"))) {
		l->member = FILE_URI;
		l->tok.want = true;
	}
}

static void lines_on_name(struct lines *l)
{
	l->member = OTHER;
	l->tok.want = false;
	look_at_name(l);
	/* Nothing is at stake: of the next names, so deep, only files matter. */
	l->tok.quiet_depth = l->member == OTHER ? LINES_PLACES : 0;
}

static void lines_on_string(struct lines *l)
{
	const char *text;
	size_t len;

	if (l->member == KEY) {
		siphash_add(&l->hash, l->tok.text, l->tok.len);
		l->line.hash = siphash_end(&l->hash);
		l->line.key_start = l->tok.quote;
		l->line.member_end = l->line.key_end = jtok_offset(&l->tok);
		l->seen |= KEY_IS_STRING;
	} else if (l->member == BORROWED) {
		lines_on_borrowed(l);
	} else if (l->member == ROLE) {
		text = whole_text(l, &len);
		lines_on_role(l, text, len);
	} else if (l->member == FILE_URI) {
		text = whole_text(l, &len);
		l->line.uris++;
		l->line.loose_uris += !l->grammar->has_scheme(text, len);
	} else if (l->member == CONFIG || l->member == SYSTEM) {
		l->name_len = 0;
		lines_on_request_string(l);
	}
	l->member = OTHER;
}

static void on_piece(struct lines *l)
{
	if (!l->tok.is_name && (l->member == KEY || l->member == BORROWED))
		siphash_add(&l->hash, l->tok.text, l->tok.len);
	else
		lines_keep_part(l);
}

static void set_place(struct lines *l)
{
	static const uint8_t places[] = {[REQUEST] = IN_REQUEST, [CONFIG] = IN_CONFIG,
		[METADATA] = IN_METADATA, [THINKING] = IN_THINKING, [ROLE] = NOWHERE};
	unsigned depth = l->tok.depth;

	if (depth < 2 || depth >= LINES_PLACES)
		return;
	if (!jtok_in_object(&l->tok))
		l->places[depth] = l->member == CONTENTS ? IN_CONTENTS : NOWHERE;
	else if (l->places[depth - 1] != IN_CONTENTS)
		l->places[depth] = places[l->member];
	else
		l->places[depth] = IN_CONTENT;
	if (l->places[depth] == IN_CONTENT)
		lines_request_of(l)->prefilled = false;
}

static void lines_on_open(struct lines *l)
{
	uint64_t at = jtok_offset(&l->tok) - 1;

	set_file_data(l, l->member == FILE_DATA && jtok_in_object(&l->tok));
	set_place(l);
	if (l->member == CONTENT && !jtok_in_object(&l->tok))
		lines_bad(l,
			"\"content\" is a list: for an embedding it is one object, and a "
			"list for an answer is called \"contents\"",
			lines_column(l, at));
	if (l->tok.depth == 1)
		l->line.start = at;
	else if (l->member == REQUEST && jtok_in_object(&l->tok)) {
		l->line.request_start = at;
		l->seen |= REQUEST_IS_OBJECT;
	}
	l->member = OTHER;
}

static void lines_on_close(struct lines *l)
{
	uint64_t after = jtok_offset(&l->tok);

	if (l->tok.depth == 0)
		l->line.end = after;
	else if (l->tok.depth == 1 && l->places[2] == IN_METADATA &&
		 l->borrowed.rank >= RANK_METADATA)
		l->borrowed.member_end = after;
	else if (l->tok.depth == 1 && (l->seen & REQUEST_IS_OBJECT) &&
		 !l->line.request_end)
		l->line.request_end = after;
	l->member = OTHER;
}

/* Of a good line. */
static enum line_kind kind_of(struct lines *l)
{
	const struct lines_request *r = &l->requests[(l->seen & SEEN_REQUEST) != 0];

	l->line.warned = r->warned | (uint16_t)(r->prefilled << WARN_PREFILLED);
	if (!(l->seen & SEEN_REQUEST))
		return LINE_BARE;
	if (l->seen & SEEN_METADATA &&
		(l->seen & SEEN_KEY || l->borrowed.rank < RANK_METADATA))
		l->line.warned |= 1u << WARN_METADATA;
	if (l->seen & SEEN_KEY)
		return LINE_KEYED;
	if (!l->borrowed.rank) {
		if (l->seen & (SEEN_BORROWED | SEEN_METADATA))
			l->line.warned |= 1u << WARN_ODD_KEY;
		return LINE_NO_KEY;
	}
	lines_borrow_key(l);
	return LINE_KEYED;
}

/* What a complete object is. */
static enum line_kind judge_line(struct lines *l)
{
	struct lines_request *request;
	unsigned seen = l->seen;

	if ((seen & SEEN_KEY) && !(seen & KEY_IS_STRING))
		lines_bad(l, "\"key\" is not a string", 0);
	if ((seen & SEEN_REQUEST) && !(seen & REQUEST_IS_OBJECT))
		lines_bad(l, "\"request\" is not an object", 0);
	if (!(seen & (SEEN_REQUEST | SEEN_CONTENTS | SEEN_CONTENT)))
		lines_bad(l, "no request", 0);
	if ((seen & (SEEN_REQUEST | SEEN_KEY)) == SEEN_KEY)
		lines_bad(l,
			seen & SEEN_CONTENT
				? "\"key\" beside \"content\": put the rest into \"request\""
				: "\"key\" beside \"contents\": put the rest into \"request\"",
			0);
	if (!(seen & SEEN_REQUEST) && seen & (SEEN_BORROWED | SEEN_METADATA))
		lines_bad(l,
			seen & SEEN_METADATA
				? "\"metadata\" beside \"contents\": put the rest "
				  "into \"request\""
				: "\"id\" or \"custom_id\" beside \"contents\": put "
				  "the rest into \"request\"",
			0);
	request = &l->requests[(seen & SEEN_REQUEST) != 0];
	l->line.asks = request->asks;
	if (request->asks == ASKS_BOTH)
		lines_bad(l,
			"has both \"contents\" (for an answer) and \"content\" (for an "
			"embedding): keep one of them",
			0);
	if (request->parts & (1u << PART_MISPLACED | 1u << PART_CACHED))
		lines_judge_request(l, request);
	return l->line.reason ? LINE_BAD : kind_of(l);
}

static void classify(struct lines *l)
{
	struct line *line = &l->line;

	if (!line->reason && jtok_complete(&l->tok)) {
		line->kind = judge_line(l);
		return;
	}
	if (!line->reason && jtok_blank(&l->tok)) {
		line->kind = LINE_BLANK;
		return;
	}
	lines_bad(l,
		line->lf ? "ends before the object does"
			 : "ends in the middle of a line (cut short?)",
		lines_column(l, jtok_offset(&l->tok)) - line->lf);
	line->kind = LINE_BAD;
}

/* The byte before the newline just read. */
static uint8_t byte_before(const struct lines *l)
{
	return l->tok.p - l->tok.buf >= 2 ? l->tok.p[-2] : l->last_byte;
}

/* What must not be left over; the rest is set before it is looked at. */
static void begin_line(struct lines *l)
{
	l->line_start = jtok_offset(&l->tok);
	l->line.number++;
	l->line.request_end = 0;
	l->line.uris = l->line.loose_uris = 0;
	l->line.reason = l->line.name = NULL;
	l->line.borrowed = false;
	l->line.warned = 0;
	l->seen = 0;
	l->borrowed.rank = 0;
	for (size_t i = 0; i < 2; i++) {
		l->requests[i].parts = 0;
		l->requests[i].asks = 0;
		l->requests[i].warned = 0;
		l->requests[i].prefilled = false;
	}
	l->member = OTHER;
	l->name_len = 0;
}

static int lines_end_line(struct lines *l, bool lf)
{
	int r;

	l->line.lf = lf;
	l->line.cr = lf && byte_before(l) == '\r';
	classify(l);
	r = l->each(l->arg, &l->line);
	jtok_next_line(&l->tok);
	begin_line(l);
	return r;
}

/* A byte order mark at the start of the file; anything else that begins like one
 * is left for the JSON grammar to refuse. */
static size_t lines_skip_bom(struct lines *l, const uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && l->bom < BOM_SEEN; i++) {
		if (p[i] != bom[l->bom]) {
			if (l->bom > 0)
				lines_bad(l, "not a JSON object", 1);
			l->bom = NO_BOM;
			break;
		}
		l->bom++;
	}
	return i;
}

static void on_bad(struct lines *l)
{
	bool nul = l->tok.p < l->tok.end && !*l->tok.p;

	lines_bad(l,
		nul ? "a NUL byte (not text, or damaged by a crash)" : l->tok.reason,
		lines_column(l, jtok_offset(&l->tok)));
}

static int lines_run(struct lines *l)
{
	enum jtok_event e;
	int r = 0;

	while (r == 0 && (e = jtok_next(&l->tok)) != JTOK_MORE) {
		switch (e) {
		case JTOK_OPEN:
			lines_on_open(l);
			break;
		case JTOK_CLOSE:
			lines_on_close(l);
			break;
		case JTOK_PIECE:
			on_piece(l);
			break;
		case JTOK_NAME:
			lines_on_name(l);
			break;
		case JTOK_STRING:
			lines_on_string(l);
			break;
		case JTOK_NEWLINE:
			r = lines_end_line(l, true);
			break;
		default:
			on_bad(l);
			break;
		}
	}
	return r;
}

int lines_feed(struct lines *l, const void *buf, size_t n)
{
	int r;

	if (n == 0)
		return 0;
	for (size_t i = 0; l->n_head < sizeof l->head && i < n; i++)
		l->head[l->n_head++] = ((const uint8_t *)buf)[i];
	jtok_feed(&l->tok, buf, n);
	if (l->bom < BOM_SEEN)
		l->tok.p += lines_skip_bom(l, buf, n);
	r = lines_run(l);
	l->last_byte = ((const uint8_t *)buf)[n - 1];
	return r;
}

int lines_finish(struct lines *l)
{
	if (l->bom > 0 && l->bom < BOM_SEEN)
		lines_bad(l, "not a JSON object", 1);
	if (jtok_offset(&l->tok) == l->line_start)
		return 0;
	return lines_end_line(l, false);
}

uint64_t lines_offset(const struct lines *l)
{
	return jtok_offset(&l->tok);
}

bool lines_have_bom(const struct lines *l)
{
	return l->bom == BOM_SEEN;
}

int lines_file(struct lines *l, int fd, const atomic_bool *cancel)
{
	_cleanup_free_ uint8_t *buf = malloc(BUFFER_SIZE);
	off_t off = 0;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (r == 0) {
		ssize_t n;

		if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
			return -ECANCELED;
		n = pread(fd, buf, BUFFER_SIZE, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return lines_finish(l);
		r = lines_feed(l, buf, (size_t)n);
		off += n;
	}
	return r;
}

const uint8_t *lines_peek(const struct lines *l, uint64_t from, uint64_t to)
{
	const struct jtok *j = &l->tok;

	if (from < j->base || to > jtok_offset(j))
		return NULL;
	return j->buf + (from - j->base);
}

size_t lines_number_key(uint64_t number, unsigned width, char ret[LINES_KEY_MAX])
{
	int n = snprintf(ret, LINES_KEY_MAX, "%0*ju", (int)width, (uintmax_t)number);

	return (size_t)n;
}
