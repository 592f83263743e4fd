#include "base/json_text.h"

#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/util.h"

#define CHUNK (64 << 10)
#define SMALL (4 << 10) /* most texts are shorter */

ssize_t text_source_fd(void *arg, uint64_t off, void *buf, size_t n)
{
	ssize_t r;

	do
		r = pread(*(int *)arg, buf, n, (off_t)off);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int text_source_fdv(void *arg, uint64_t off, struct iovec *v, int n)
{
	return util_preadv_all(*(int *)arg, v, n, (off_t)off);
}

/* A step of the walk over a span: bytes read, never 0. */
static ssize_t next_bytes(
	const struct text_source *from, struct span at, void *buf, size_t room)
{
	ssize_t n;

	if (at.to - at.from < room)
		room = (size_t)(at.to - at.from);
	n = from->read(from->arg, at.from, buf, room);
	return n == 0 ? -EIO : n;
}

/* Memory for a walk over a span: `small`, of SMALL bytes, does for most, and for the others
 * if there is no more. *ret_big: to be freed, or NULL. */
static char *walk_room(struct span at, char *small, char **ret_big, size_t *ret_size)
{
	*ret_big = at.to - at.from > SMALL ? malloc(CHUNK) : NULL;
	*ret_size = *ret_big ? CHUNK : SMALL;
	return *ret_big ? *ret_big : small;
}

/* Skip n bytes, if that many are not wanted. Returns how many were skipped. */
static uint64_t pass_over(struct text_range *r, uint64_t n)
{
	if (n > r->skip)
		n = r->skip;
	r->skip -= n;
	r->pos += n;
	return n;
}

int text_raw(const struct text_source *from, struct span at, const struct text_sink *to)
{
	_cleanup_free_ char *big = NULL;
	char small[SMALL];
	size_t room;
	int err = 0;

	if (to->put == text_sink_range)
		at.from += pass_over(to->range, at.to - at.from);

	char *buf = walk_room(at, small, &big, &room);
	while (!err && at.from < at.to) {
		ssize_t n = next_bytes(from, at, buf, room);

		if (n < 0)
			return (int)n;
		err = to->put(to->arg, buf, (size_t)n);
		at.from += (uint64_t)n;
	}
	return err;
}

/* ---- strings ---------------------------------------------------------------------- */

/* The tokenizer needs an object, so it is given one that has the string as a member, or
 * the beginning of one. */
static void text_begin_string(struct jtok *j, bool inside)
{
	static const char before[] = "{\"\":\"";

	jtok_init(j, false);
	jtok_feed(j, before, sizeof before - 2);
	while (jtok_next(j) != JTOK_MORE)
		;
	j->want = true;
	if (!inside)
		return;
	jtok_feed(j, before + sizeof before - 2, 1);
	jtok_next(j);
}

/* A piece of a string at an offset; escaped: it was an escape somewhere before. */
typedef int (*piece_fn)(
	void *arg, const void *text, size_t n, bool escaped, uint64_t at);

static int string_pieces(
	struct jtok *j, uint64_t at, piece_fn piece, void *arg, bool *ret_over)
{
	enum jtok_event e;
	int err = 0;

	while (!err && (e = jtok_next(j)) != JTOK_MORE) {
		bool escaped = j->text == j->utf8_text;

		if (e != JTOK_PIECE && e != JTOK_STRING)
			return -EBADMSG;
		if (j->len)
			err = piece(arg, j->text, j->len, escaped,
				escaped ? 0 : at + (uint64_t)(j->text - j->buf));
		*ret_over = e == JTOK_STRING;
	}
	return err;
}

/* at: from its quote, or inside of it, to the other quote. */
static int each_piece(const struct text_source *from, struct span at, bool inside,
	piece_fn piece, void *arg)
{
	_cleanup_free_ char *big = NULL;
	char small[SMALL];
	size_t room;
	char *buf = walk_room(at, small, &big, &room);
	bool over = false;
	struct jtok j;
	int err = 0;

	text_begin_string(&j, inside);
	while (!err && at.from < at.to) {
		ssize_t n = next_bytes(from, at, buf, room);

		if (n < 0)
			return (int)n;
		jtok_feed(&j, buf, (size_t)n);
		err = string_pieces(&j, at.from, piece, arg, &over);
		at.from += (uint64_t)n;
	}
	return !err && !over ? -EBADMSG : err;
}

static struct span with_quotes(struct span at)
{
	return (struct span){at.from - 1, at.to + 1};
}

/* Where a piece begins that does not continue a character can be begun again. */
static int pass_on(void *arg, const void *text, size_t n, bool escaped, uint64_t at)
{
	const struct text_sink *to = arg;
	bool begins = !escaped && (*(const uint8_t *)text & 0xc0) != 0x80;
	struct text_range *r = to->range;

	if (begins && r && r->pos >= r->place.pos)
		r->place = (struct text_place){r->pos, at};
	return to->put(to->arg, text, n);
}

/* Whether the string at a span can be begun at the range's place, and then it is. */
static bool begin_at_place(struct text_range *r, struct span at)
{
	struct text_place p = r->place;

	if (p.at <= at.from || p.at >= at.to || p.pos < r->pos ||
		p.pos - r->pos > r->skip)
		return false;
	r->skip -= p.pos - r->pos;
	r->pos = p.pos;
	return true;
}

int text_string(
	const struct text_source *from, struct span at, const struct text_sink *to)
{
	struct text_sink copy = *to;
	struct span whole = with_quotes(at);
	bool inside = to->range && begin_at_place(to->range, at);

	if (inside)
		whole.from = to->range->place.at;
	return each_piece(from, whole, inside, pass_on, &copy);
}

/* ---- TSV -------------------------------------------------------------------------- */

static const char tsv_letters[256] = {
	['\\'] = '\\', ['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};

uint64_t text_tsv_extra(const void *buf, size_t n)
{
	const uint8_t *p = buf;
	uint64_t extra = 0;

	for (size_t i = 0; i < n; i++)
		extra += tsv_letters[p[i]] != 0;
	return extra;
}

/* From p on, over what stands for itself. */
static const char *tsv_run(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i backslash = _mm_set1_epi8('\\'), last = _mm_set1_epi8('\r');

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)p);
		/* Beside the letters, control characters that need none: they are looked
		 * at one by one. */
		__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, last), v);

		if (_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(v, backslash))))
			break;
	}
#endif
	while (p < end && !tsv_letters[(uint8_t)*p])
		p++;
	return p;
}

int text_tsv(const struct text_sink *to, const void *buf, size_t n)
{
	const char *p = buf, *end = p + n;
	int err = 0;

	while (!err && p < end) {
		const char *from = p;

		p = tsv_run(p, end);
		if (p > from)
			err = to->put(to->arg, from, (size_t)(p - from));
		if (!err && p < end) {
			char escape[2] = {'\\', tsv_letters[(uint8_t)*p++]};

			err = to->put(to->arg, escape, sizeof escape);
		}
	}
	return err;
}

int text_sink_tsv(void *arg, const void *buf, size_t n)
{
	return text_tsv(arg, buf, n);
}

/* ---- base64 ----------------------------------------------------------------------- */

enum { SPACE = 65, OVER = 66 }; /* beside 1 + the value of a digit */

static const uint8_t digits[256] = {['A'] = 1,
	['B'] = 2,
	['C'] = 3,
	['D'] = 4,
	['E'] = 5,
	['F'] = 6,
	['G'] = 7,
	['H'] = 8,
	['I'] = 9,
	['J'] = 10,
	['K'] = 11,
	['L'] = 12,
	['M'] = 13,
	['N'] = 14,
	['O'] = 15,
	['P'] = 16,
	['Q'] = 17,
	['R'] = 18,
	['S'] = 19,
	['T'] = 20,
	['U'] = 21,
	['V'] = 22,
	['W'] = 23,
	['X'] = 24,
	['Y'] = 25,
	['Z'] = 26,
	['a'] = 27,
	['b'] = 28,
	['c'] = 29,
	['d'] = 30,
	['e'] = 31,
	['f'] = 32,
	['g'] = 33,
	['h'] = 34,
	['i'] = 35,
	['j'] = 36,
	['k'] = 37,
	['l'] = 38,
	['m'] = 39,
	['n'] = 40,
	['o'] = 41,
	['p'] = 42,
	['q'] = 43,
	['r'] = 44,
	['s'] = 45,
	['t'] = 46,
	['u'] = 47,
	['v'] = 48,
	['w'] = 49,
	['x'] = 50,
	['y'] = 51,
	['z'] = 52,
	['0'] = 53,
	['1'] = 54,
	['2'] = 55,
	['3'] = 56,
	['4'] = 57,
	['5'] = 58,
	['6'] = 59,
	['7'] = 60,
	['8'] = 61,
	['9'] = 62,
	['+'] = 63,
	['-'] = 63,
	['/'] = 64,
	['_'] = 64,
	[' '] = SPACE,
	['\t'] = SPACE,
	['\n'] = SPACE,
	['\r'] = SPACE};

/* 0: none; 1 to 64; SPACE; what ends it counts as none. */
static inline bool is_digit(uint8_t c)
{
	return digits[c] - 1u < 64;
}

/* Without a jump for each of them. */
static inline bool are_digits(const uint8_t p[8])
{
	unsigned good = 1;

	for (int i = 0; i < 8; i++)
		good &= is_digit(p[i]);
	return good;
}

static size_t digit_run(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i + 8 <= n && are_digits(p + i))
		i += 8;
	while (i < n && is_digit(p[i]))
		i++;
	return i;
}

void text_data_count(struct line_data *d, const void *piece, size_t n, bool escaped)
{
	const uint8_t *p = piece;

	if (escaped && !d->over)
		d->regular = false;
	for (size_t i = 0; i < n && !d->over;) {
		size_t run = digit_run(p + i, n - i);

		d->chars += run;
		i += run;
		if (i == n)
			break;
		if (digits[p[i]] == SPACE)
			d->regular = false;
		else
			d->over = true;
		i++;
	}
}

struct decoder {
	uint64_t skip; /* bytes of the result still to be left out */
	const struct text_sink *to;
	uint32_t bits;
	unsigned have; /* digits in bits, 0 to 3 */
	bool over;
	uint8_t out[3 * 1024];
	size_t n;
};

static int drain(struct decoder *d)
{
	size_t from = d->skip < d->n ? (size_t)d->skip : d->n;
	size_t n = d->n - from;

	d->skip -= from;
	d->n = 0;
	return n ? d->to->put(d->to->arg, d->out + from, n) : 0;
}

static int decode_digit(struct decoder *d, uint8_t value)
{
	d->bits = d->bits << 6 | value;
	if (++d->have < 4)
		return 0;
	d->out[d->n++] = (uint8_t)(d->bits >> 16);
	d->out[d->n++] = (uint8_t)(d->bits >> 8);
	d->out[d->n++] = (uint8_t)d->bits;
	d->have = 0;
	d->bits = 0;
	return d->n == sizeof d->out ? drain(d) : 0;
}

/* Four digits at a time, while they are and there is room; how many were taken. */
static size_t decode_fours(struct decoder *d, const uint8_t *p, size_t n)
{
	size_t i = 0;

	if (d->have)
		return 0;
	for (; n - i >= 4 && d->n + 3 < sizeof d->out; i += 4) {
		uint32_t a = digits[p[i]] - 1u, b = digits[p[i + 1]] - 1u;
		uint32_t c = digits[p[i + 2]] - 1u, e = digits[p[i + 3]] - 1u;

		if ((a | b | c | e) > 63)
			break;
		d->out[d->n++] = (uint8_t)(a << 2 | b >> 4);
		d->out[d->n++] = (uint8_t)(b << 4 | c >> 2);
		d->out[d->n++] = (uint8_t)(c << 6 | e);
	}
	return i;
}

static int decode_piece(
	void *arg, const void *text, size_t n, bool escaped, uint64_t at)
{
	struct decoder *d = arg;
	const uint8_t *p = text;
	int err = 0;

	(void)escaped;
	(void)at;
	for (size_t i = 0; !err && i < n && !d->over; i++) {
		i += decode_fours(d, p + i, n - i);
		if (i == n)
			break;
		uint8_t digit = digits[p[i]];

		if (digit - 1u < 64)
			err = decode_digit(d, (uint8_t)(digit - 1));
		else
			d->over = digit != SPACE;
	}
	return err;
}

static int finish_decoding(struct decoder *d)
{
	uint32_t bits = d->bits << (6 * (4 - d->have));

	if (d->have >= 2)
		d->out[d->n++] = (uint8_t)(bits >> 16);
	if (d->have == 3)
		d->out[d->n++] = (uint8_t)(bits >> 8);
	return drain(d);
}

static int put_digits(void *arg, const void *buf, size_t n)
{
	return decode_piece(arg, buf, n, false, 0);
}

int text_data(const struct text_source *from, struct span at, bool regular,
	uint64_t skip, const struct text_sink *to)
{
	struct decoder d = {.skip = skip, .to = to};
	struct text_sink raw = {put_digits, &d, NULL};
	int err;

	if (regular && skip / 3 <= (at.to - at.from) / 4) {
		at.from += skip / 3 * 4;
		d.skip = skip % 3;
		err = text_raw(from, at, &raw);
	} else {
		err = each_piece(from, with_quotes(at), false, decode_piece, &d);
	}
	return err ? err : finish_decoding(&d);
}

/* ---- JSON ------------------------------------------------------------------------- */

static void json_feed(struct text_json *j, const void *buf, size_t n)
{
	enum jtok_event e;

	if (j->bad)
		return;
	jtok_feed(&j->tok, buf, n);
	while (!j->bad && (e = jtok_next(&j->tok)) != JTOK_MORE)
		j->bad = e == JTOK_BAD || e == JTOK_COMMA;
}

/* The tokenizer knows objects only: the value is that of the one member of one, and a
 * comma beside it would be a second. */
void text_json_init(struct text_json *j)
{
	jtok_init(&j->tok, false);
	j->bad = false;
	j->tok.comma_depth = 1;
	json_feed(j, "{\"\":", 4);
}

int text_sink_json(void *arg, const void *buf, size_t n)
{
	json_feed(arg, buf, n);
	return 0;
}

bool text_json_valid(struct text_json *j)
{
	if (jtok_complete(&j->tok))
		return false;
	json_feed(j, "}", 1);
	return !j->bad && jtok_complete(&j->tok);
}

/* ---- a range ---------------------------------------------------------------------- */

int text_sink_range(void *arg, const void *buf, size_t n)
{
	struct text_range *r = arg;
	size_t from = r->skip < n ? (size_t)r->skip : n;
	size_t take = n - from;

	r->pos += n;
	r->skip -= from;
	if (take > r->room - r->have)
		take = r->room - r->have;
	memcpy(r->buf + r->have, (const char *)buf + from, take);
	r->have += take;
	return r->have == r->room;
}
