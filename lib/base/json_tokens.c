#include "base/json_tokens.h"

#include <endian.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/json_tokens_table.h"
#include "base/utf8.h"

void jtok_init(struct jtok *j, bool lines)
{
	memset(j, 0, sizeof *j);
	j->lines = lines;
	j->classes = lines ? classes_lines : classes_text;
	j->state = START;
}

void jtok_feed(struct jtok *j, const void *buf, size_t n)
{
	j->base += (uint64_t)(j->end - j->buf);
	j->buf = j->p = buf;
	j->end = j->buf + n;
}

bool jtok_blank(const struct jtok *j)
{
	return j->state == START;
}

bool jtok_complete(const struct jtok *j)
{
	return j->state == DONE;
}

void jtok_next_line(struct jtok *j)
{
	j->state = START;
	j->depth = 0;
	j->utf8 = 0;
	j->want = false;
}

#ifdef __SSE2__
/* Of the 16 bytes at p, a bit for each that is a quote, a backslash, a control
 * character or not ASCII. */
static unsigned stops(const uint8_t *p)
{
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(' ');
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	/* As signed numbers, bytes from 0x80 on are less than a space too. */
	__m128i stop = _mm_or_si128(_mm_cmplt_epi8(v, space),
		_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)));

	return (unsigned)_mm_movemask_epi8(stop);
}
#endif

/* The first byte from p on that stops; end when there is none. */
static const uint8_t *jtok_plain_run(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		unsigned mask = stops(p);

		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* Length of the valid character of two to four bytes at p, where four may be
 * read; 0 when the table has to judge. */
static unsigned long_character(const uint8_t *p)
{
	uint32_t w, t;

	memcpy(&w, p, 4);
	w = le32toh(w);
	if ((w & 0xc0e0) == 0x80c0)
		return w & 0x1e ? 2 : 0;
	if ((w & 0xc0c0f0) == 0x8080e0) {
		t = w & 0x200f;
		return t != 0 && t != 0x200d ? 3 : 0;
	}
	if ((w & 0xc0c0c0f8) == 0x808080f0) {
		t = w & 0x3007;
		return t != 0 && (t & 7) < 4 ? 4 : t == 4 ? 4 : 0;
	}
	return 0;
}

/* From p on, over characters that are not ASCII, up to one that is, the end, or a
 * byte that cannot be (then utf8 is UTF8_BAD). */
static const uint8_t *long_run(struct jtok *j, const uint8_t *p, const uint8_t *end)
{
	unsigned n;

	while (p < end && (j->utf8 || *p >= 0x80)) {
		if (!j->utf8 && end - p >= 4 && (n = long_character(p))) {
			p += n;
			continue;
		}
		j->utf8 = utf8_step(j->utf8, *p);
		if (j->utf8 == UTF8_BAD)
			break;
		p++;
	}
	return p;
}

/* From p on, over everything that stands for itself in a string. */
static const uint8_t *text_run(struct jtok *j, const uint8_t *p, const uint8_t *end)
{
	for (;;) {
		if (!j->utf8)
			p = jtok_plain_run(p, end);
		if (p == end || (*p < 0x80 && !j->utf8))
			return p;
		p = long_run(j, p, end);
		if (j->utf8 == UTF8_BAD)
			return p;
	}
}

static enum jtok_event jtok_bad(struct jtok *j, const uint8_t *p, const char *reason)
{
	j->p = p;
	j->state = SKIP;
	j->reason = reason;
	return JTOK_BAD;
}

static enum jtok_event bad_in_string(struct jtok *j, const uint8_t *p)
{
	if (*p == '\n' && j->lines) {
		j->p = p + 1;
		return JTOK_NEWLINE;
	}
	if (j->utf8 == UTF8_BAD)
		return jtok_bad(j, p, "not valid UTF-8");
	return jtok_bad(j, p, "control character in a string (write it as an escape)");
}

/* The rest of a line that has been called bad. */
static enum jtok_event jtok_skip(struct jtok *j)
{
	const uint8_t *p;

	if (!j->lines)
		return JTOK_BAD;
	p = memchr(j->p, '\n', (size_t)(j->end - j->p));
	j->p = p ? p + 1 : j->end;
	return p ? JTOK_NEWLINE : JTOK_MORE;
}

static enum jtok_event piece(struct jtok *j, const void *text, size_t len)
{
	j->text = text;
	j->len = len;
	return JTOK_PIECE;
}

/* Code is the character of an escape; it is part of the string. */
static enum jtok_event unescaped(struct jtok *j, uint32_t code)
{
	uint8_t *t = j->utf8_text;
	size_t n = 0;

	j->state = STRING;
	if (!j->is_name && !j->want)
		return JTOK_MORE;
	if (code < 0x80) {
		t[n++] = (uint8_t)code;
		return piece(j, t, n);
	}
	if (code < 0x800) {
		t[n++] = (uint8_t)(0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			t[n++] = (uint8_t)(0xe0 | code >> 12);
		} else {
			t[n++] = (uint8_t)(0xf0 | code >> 18);
			t[n++] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
		}
		t[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
	}
	t[n++] = (uint8_t)(0x80 | (code & 0x3f));
	return piece(j, t, n);
}

/* The four digits of \u are complete. */
static enum jtok_event unicode_escape(struct jtok *j)
{
	uint32_t code = j->code, high = j->high;

	if (code >= 0xd800 && code < 0xdc00 && !high) {
		j->high = code;
		j->state = LOW_BACKSLASH;
		return JTOK_MORE;
	}
	if ((code >= 0xdc00 && code < 0xe000) != (high != 0))
		return jtok_bad(j, j->p - 1, "half of a surrogate pair");
	j->high = 0;
	if (high)
		code = 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00);
	return unescaped(j, code);
}

/* Of a hex digit 16 and its value, else 0. */
static const uint8_t hex[256] = {['0'] = 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
	['A'] = 26, 27, 28, 29, 30, 31, ['a'] = 26, 27, 28, 29, 30, 31};

/* What four digits say; more than 0xffff if they are none. */
static unsigned hex_code(const uint8_t *p)
{
	unsigned a = hex[p[0]], b = hex[p[1]], c = hex[p[2]], d = hex[p[3]];

	if (!(a & b & c & d & 16))
		return 0x10000;
	return (a & 15) << 12 | (b & 15) << 8 | (c & 15) << 4 | (d & 15);
}

static enum jtok_event jtok_hex_digit(struct jtok *j, uint8_t c)
{
	if (!hex[c])
		return jtok_bad(j, j->p - 1, "\\u needs four hex digits");
	j->code = j->code << 4 | (hex[c] & 15);
	return ++j->digits == 4 ? unicode_escape(j) : JTOK_MORE;
}

static enum jtok_event begin_hex(struct jtok *j)
{
	j->state = HEX;
	j->code = 0;
	j->digits = 0;
	return JTOK_MORE;
}

static const uint8_t escapes[256] = {['"'] = '"',
	['\\'] = '\\',
	['/'] = '/',
	['b'] = '\b',
	['f'] = '\f',
	['n'] = '\n',
	['r'] = '\r',
	['t'] = '\t'};

/* One byte of an escape. JTOK_MORE: nothing to tell, go on. */
static enum jtok_event escape_byte(struct jtok *j)
{
	uint8_t c = *j->p;

	if (c == '\n' && j->lines)
		return bad_in_string(j, j->p);
	j->p++;
	switch (j->state) {
	case HEX:
		return jtok_hex_digit(j, c);
	case LOW_BACKSLASH:
		if (c != '\\')
			return jtok_bad(j, j->p - 1, "half of a surrogate pair");
		j->state = LOW_U;
		return JTOK_MORE;
	case LOW_U:
		if (c != 'u')
			return jtok_bad(j, j->p - 1, "half of a surrogate pair");
		return begin_hex(j);
	default:
		if (c == 'u')
			return begin_hex(j);
		if (!escapes[c])
			return jtok_bad(j, j->p - 1, "unknown escape");
		return unescaped(j, escapes[c]);
	}
}

static enum jtok_event jtok_end_string(struct jtok *j)
{
	enum jtok_event e = j->is_name ? JTOK_NAME : j->want ? JTOK_STRING : JTOK_MORE;

	j->state = j->is_name ? COLON : AFTER;
	if (!j->is_name)
		j->want = false;
	return e;
}

/* How long the escape at p is, where ESCAPE_MAX bytes may be read; 0 when it has to be
 * looked at byte by byte. */
#define ESCAPE_MAX 12
static unsigned escape_length(const uint8_t *p)
{
	unsigned high, low;

	if (escapes[p[1]])
		return 2;
	if (p[1] != 'u' || (high = hex_code(p + 2)) > 0xffff)
		return 0;
	if (high - 0xd800 >= 0x800)
		return 6;
	low = p[6] == '\\' && p[7] == 'u' ? hex_code(p + 8) : 0;
	return high < 0xdc00 && low - 0xdc00 < 0x400 ? 12 : 0;
}

/* From p on over text and escapes, several of which are found by one look; to the end
 * of the string at most. */
static const uint8_t *escaped_run(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
	while (end - p >= 16 + ESCAPE_MAX) {
		unsigned mask = stops(p), at = 0, n;

		if (!mask) {
			p += 16;
			continue;
		}
		while (mask) {
			at = (unsigned)__builtin_ctz(mask);
			n = p[at] == '\\' ? escape_length(p + at) : 0;
			if (!n)
				return p + at;
			at += n;
			mask = at < 16 ? mask >> at << at : 0;
		}
		p += at > 16 ? at : 16;
	}
#endif
	return p;
}

/* From a backslash at p as text_run, over escapes too: of a string that is not wanted.
 * Most strings have none, and the rest of the code is quicker without this in it. */
static __attribute__((noinline)) const uint8_t *unwanted_run(
	struct jtok *j, const uint8_t *p, const uint8_t *end)
{
	unsigned n;

	while (end - p >= ESCAPE_MAX && *p == '\\' && !j->utf8) {
		n = escape_length(p);
		if (!n)
			break;
		p = text_run(j, escaped_run(p + n, end), end);
	}
	return p;
}

/* Whether the name at hand, or its last part, is one that nobody asked for. */
static bool is_quiet(const struct jtok *j)
{
	return j->quiet_depth && j->depth >= j->quiet_depth && j->len > 0 &&
	       j->text[0] != (uint8_t)j->initial &&
	       jtok_offset(j) == j->quote + j->len + 2;
}

/* From p in a string up to the next thing to tell. JTOK_MORE: the string or the
 * chunk has ended, or an escape begins. */
static enum jtok_event string_part(struct jtok *j)
{
	bool wanted = j->is_name || j->want;
	const uint8_t *from = j->p;
	const uint8_t *p = text_run(j, from, j->end);

	if (!wanted && p < j->end && *p == '\\')
		p = unwanted_run(j, p, j->end);
	j->p = p;
	piece(j, from, (size_t)(p - from));
	if (p < j->end && *p == '"' && !j->utf8) {
		j->p = p + 1;
		if (j->is_name && is_quiet(j)) {
			j->state = COLON;
			return JTOK_MORE;
		}
		return jtok_end_string(j);
	}
	if (wanted && p > from)
		return JTOK_PIECE;
	if (p == j->end)
		return JTOK_MORE;
	if (*p != '\\' || j->utf8)
		return bad_in_string(j, p);
	j->p = p + 1;
	j->state = ESCAPE;
	return JTOK_MORE;
}

static enum jtok_event string_next(struct jtok *j)
{
	enum jtok_event e = JTOK_MORE;

	while (e == JTOK_MORE && j->p < j->end && j->state >= STRING && j->state < SKIP)
		e = j->state == STRING ? string_part(j) : escape_byte(j);
	return e;
}

static enum jtok_event open_bracket(struct jtok *j, bool object)
{
	uint64_t bit;

	if (j->depth == JTOK_DEPTH_MAX)
		return jtok_bad(j, j->p - 1, "nested too deeply");
	j->depth++;
	bit = UINT64_C(1) << (j->depth % 64);
	if (object)
		j->objects[j->depth / 64] |= bit;
	else
		j->objects[j->depth / 64] &= ~bit;
	j->state = object ? MEMBER : FIRST;
	j->want = false;
	return JTOK_OPEN;
}

static enum jtok_event close_bracket(struct jtok *j, bool object)
{
	if (jtok_in_object(j) != object)
		return jtok_bad(
			j, j->p - 1, object ? "']' is expected" : "'}' is expected");
	j->depth--;
	j->state = j->depth ? AFTER : DONE;
	j->want = false;
	return JTOK_CLOSE;
}

static unsigned after_comma(const struct jtok *j)
{
	return jtok_in_object(j) ? NAME : VALUE;
}

static enum jtok_event jtok_begin_string(struct jtok *j, bool is_name)
{
	j->quote = jtok_offset(j) - 1;
	j->is_name = is_name;
	j->state = STRING;
	j->high = 0;
	return string_next(j);
}

/* Act on what the table says about the byte before p. */
static enum jtok_event jtok_act(struct jtok *j, uint8_t action)
{
	/* Most are these: no jump through a table. */
	if (action == BEGIN_NAME || action == BEGIN_STRING)
		return jtok_begin_string(j, action == BEGIN_NAME);
	switch (action) {
	case OPEN_OBJECT:
	case OPEN_ARRAY:
		return open_bracket(j, action == OPEN_OBJECT);
	case CLOSE_OBJECT:
	case CLOSE_ARRAY:
		return close_bracket(j, action == CLOSE_OBJECT);
	case COMMA:
		j->state = (uint8_t)after_comma(j);
		return JTOK_COMMA;
	case NEWLINE:
		return JTOK_NEWLINE;
	default:
		return jtok_bad(j, j->p - 1, reasons[j->state]);
	}
}

/* Along the table up to the next thing to tell, or into a string. */
static enum jtok_event structure_next(struct jtok *j)
{
	const uint8_t *p = j->p, *end = j->end, *classes = j->classes;
	unsigned state = j->state, next;

	/* Nearly always a name is followed by ": " or ":". */
	if (state == COLON && end - p > 2 && *p == ':') {
		p += p[1] == ' ' ? 2 : 1;
		state = VALUE;
	}
	while (p < end) {
		next = table[state][classes[*p++]];
		if (next - 1 < N_STATES - 1) {
			state = next;
			continue;
		}
		if (next == COMMA && j->depth != j->comma_depth) {
			state = after_comma(j);
			p += p < end && *p == ' ';
			continue;
		}
		j->p = p;
		j->state = (uint8_t)state;
		return jtok_act(j, (uint8_t)next);
	}
	j->p = p;
	j->state = (uint8_t)state;
	return JTOK_MORE;
}

enum jtok_event jtok_next(struct jtok *j)
{
	enum jtok_event e = JTOK_MORE;

	while (e == JTOK_MORE && j->p < j->end) {
		if (j->state < N_STATES)
			e = structure_next(j);
		else if (j->state < SKIP)
			e = string_next(j);
		else
			e = jtok_skip(j);
	}
	return e;
}
