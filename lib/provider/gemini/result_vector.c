#include "provider/gemini/result_vector.h"

#include <endian.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

enum {
	CHUNK = 32 << 10,
	/* More digits than a number half way between two floats can have: what follows
	 * only says that it is more than that. */
	DIGITS = 160,
	EXPONENT_MAX = 1000000000,
};

/* ---- where the values are ------------------------------------------------------------ */

struct finding {
	uint64_t at;          /* of the byte that comes next */
	char word[8];         /* the latest string outside the values */
	size_t len;
	bool in_string, escaped, inside, done, any;
	struct span values;
	uint64_t n;
};

static void find_in_string(struct finding *f, char c)
{
	if (!f->escaped && c == '"') {
		f->in_string = false;
		return;
	}
	f->escaped = !f->escaped && c == '\\';
	if (f->len < sizeof f->word)
		f->word[f->len] = c;
	f->len++;
}

static void find_outside(struct finding *f, char c)
{
	if (c == '"') {
		f->in_string = true;
		f->len = 0;
	} else if (c == '[' && f->len == 6 && memcmp(f->word, "values", 6) == 0) {
		f->inside = true;
		f->values.from = f->at + 1;
	}
}

/* Elements are counted as they are told apart when they are read: by commas. */
static void find_inside(struct finding *f, char c)
{
	if (c == ']') {
		f->done = true;
		f->values.to = f->at;
		f->n += f->any;
	} else if (c == ',') {
		f->n++;
	} else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
		f->any = true;
	}
}

static int find_put(void *arg, const void *buf, size_t n)
{
	struct finding *f = arg;
	const char *p = buf;

	for (size_t i = 0; i < n; i++, f->at++) {
		if (f->inside)
			find_inside(f, p[i]);
		else if (f->in_string)
			find_in_string(f, p[i]);
		else
			find_outside(f, p[i]);
		if (f->done)
			return 1;
	}
	return 0;
}

int vector_find(const struct text_source *from, struct span object, struct span *ret,
	uint64_t *ret_n)
{
	struct finding f = {.at = object.from};
	struct text_sink to = {find_put, &f, NULL};
	int err = text_raw(from, object, &to);

	if (err < 0)
		return err;
	*ret = f.done ? f.values : (struct span){0};
	*ret_n = f.done ? f.n : 0;
	return 0;
}

/* ---- a number -------------------------------------------------------------------------- */

static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
	1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* digits * 10^exponent in one rounding to double; false: that is not certain to become
 * the right float. It is, unless the double lies just half way between two floats: the
 * true number may be on either side of it then. */
static bool quick(uint64_t digits, int exponent, float *ret)
{
	uint64_t bits;
	double d = (double)digits;

	if (FLT_EVAL_METHOD != 0 || digits >> 53 || exponent < -22 || exponent > 22)
		return false;
	d = exponent < 0 ? d / powers[-exponent] : d * powers[exponent];
	memcpy(&bits, &d, sizeof bits);
	if (digits && (d < (double)FLT_MIN || d > (double)FLT_MAX ||
			      (bits & 0x1fffffff) == 0x10000000))
		return false;
	*ret = (float)d;
	return true;
}

/* A number in pieces: what strtof would see of it is digits, e, an exponent. */
struct number {
	bool negative, point, more, any;
	char digits[DIGITS];
	unsigned n;
	int64_t exponent;
};

static void add_digit(struct number *x, char c)
{
	x->any = true;
	x->exponent -= x->point && x->exponent > -EXPONENT_MAX;
	if (x->n == 0 && c == '0')
		return;
	if (x->n < DIGITS) {
		x->digits[x->n++] = c;
		return;
	}
	x->more |= c != '0';
	x->exponent += x->exponent < EXPONENT_MAX;
}

static float slow_value(const struct number *x)
{
	char text[DIGITS + 40];
	float f;

	snprintf(text, sizeof text, "%.*s%se%" PRId64, (int)x->n, x->digits,
		x->more ? "1" : "", x->exponent - x->more);
	f = x->n ? strtof(text, NULL) : 0;
	return x->negative ? -f : f;
}

static int64_t read_exponent(const char *p, const char *end, bool *ret_any)
{
	bool negative = p < end && *p == '-';
	int64_t e = 0;

	p += p < end && (*p == '-' || *p == '+');
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		*ret_any = true;
		e = e < EXPONENT_MAX ? e * 10 + (*p - '0') : e;
	}
	if (p < end)
		*ret_any = false;
	return negative ? -e : e;
}

static float no_number(const char *p, const char *end)
{
	size_t n = (size_t)(end - p);

	if (n == 10 && memcmp(p, "\"Infinity\"", 10) == 0)
		return INFINITY;
	if (n == 11 && memcmp(p, "\"-Infinity\"", 11) == 0)
		return -INFINITY;
	return NAN;
}

static float slow_number(const char *text, const char *end)
{
	struct number x = {.negative = text < end && *text == '-'};
	const char *p = text + x.negative;
	bool good = true;

	for (; p < end && ((*p >= '0' && *p <= '9') || (*p == '.' && !x.point)); p++)
		if (*p == '.')
			x.point = true;
		else
			add_digit(&x, *p);
	if (p < end && (*p == 'e' || *p == 'E')) {
		good = false;
		x.exponent += read_exponent(p + 1, end, &good);
	} else if (p < end) {
		good = false;
	}
	return good && x.any ? slow_value(&x) : no_number(text, end);
}

static bool vector_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static float trimmed_number(const char *p, const char *end)
{
	while (p < end && vector_space(*p))
		p++;
	while (p < end && vector_space(end[-1]))
		end--;
	return slow_number(p, end);
}

float vector_number(const char *text, size_t n)
{
	return trimmed_number(text, text + n);
}

/* The exponent at *p, of a digit or two, which is added to e; false: it is another. */
static bool quick_exponent(const char **p, const char *end, int *e)
{
	const char *q = *p;
	bool negative = q < end && *q == '-';
	int x = 0;

	q += q < end && (*q == '-' || *q == '+');
	const char *first = q;
	for (; q < end && *q >= '0' && *q <= '9' && q - first < 3; q++)
		x = x * 10 + (*q - '0');
	*e += negative ? -x : x;
	*p = q;
	return q > first && q - first < 3;
}

/* A number at p that ends in a comma and has few digits, as nearly all have: where it
 * ends; NULL: look closer. */
static const char *quick_number(const char *p, const char *end, float *ret)
{
	bool negative = *p == '-';
	uint64_t digits = 0;
	unsigned d;
	int e = 0;

	p += negative;
	const char *first = p;
	for (; p < end && (d = (unsigned)*p - '0') <= 9; p++)
		digits = digits * 10 + d;
	if (p == first)
		return NULL;
	if (p < end && *p == '.') {
		const char *point = ++p;

		for (; p < end && (d = (unsigned)*p - '0') <= 9; p++)
			digits = digits * 10 + d;
		e = (int)(point - p);
	}
	if (p - first > 18)
		return NULL;
	if (p < end && (*p | 0x20) == 'e' && (p++, !quick_exponent(&p, end, &e)))
		return NULL;
	if (p == end || *p != ',' || !quick(digits, e, ret))
		return NULL;
	if (negative)
		*ret = -*ret;
	return p;
}

/* ---- many ------------------------------------------------------------------------------ */

struct window {
	const struct text_source *from;
	struct vector_reading *r;
	const char *p, *end;
	uint64_t behind; /* offset in the source of what comes after end */
	char buf[CHUNK];
};

/* More bytes behind those that are left; 0: that is all, or the buffer is full. */
static ssize_t refill(struct window *w)
{
	size_t left = (size_t)(w->end - w->p);
	size_t room = sizeof w->buf - left;
	ssize_t n = 0;

	memmove(w->buf, w->p, left);
	if (room > w->r->to - w->behind)
		room = (size_t)(w->r->to - w->behind);
	if (room)
		n = w->from->read(w->from->arg, w->behind, w->buf + left, room);
	if (room && n == 0)
		return -EIO;
	w->p = w->buf;
	w->end = w->buf + left + (n > 0 ? n : 0);
	w->behind += n > 0 ? (uint64_t)n : 0;
	return n;
}

/* One that is longer than the buffer, which no float needs: passed over. */
static int pass_long(struct window *w)
{
	const char *comma;
	ssize_t n = 1;

	while (n > 0 && !(comma = memchr(w->p, ',', (size_t)(w->end - w->p)))) {
		w->p = w->end;
		n = refill(w);
	}
	if (n > 0)
		w->p = comma + 1;
	return n < 0 ? (int)n : 0;
}

static int one_number(struct window *w, float *ret)
{
	const char *comma;
	ssize_t n = 1;

	while (!(comma = memchr(w->p, ',', (size_t)(w->end - w->p))) && n > 0)
		n = refill(w);
	if (n < 0)
		return (int)n;
	*ret = NAN;
	if (!comma && w->behind < w->r->to)
		return pass_long(w);
	*ret = trimmed_number(w->p, comma ? comma : w->end);
	w->p = comma ? comma + 1 : w->end;
	return 0;
}

static void put_float(uint8_t *out, float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof bits);
	if (f != f)
		bits = UINT32_C(0x7fc00000);
	bits = htole32(bits);
	memcpy(out, &bits, sizeof bits);
}

int vector_read(const struct text_source *from, struct vector_reading *r, uint8_t *out,
	size_t n)
{
	struct window w; /* the buffer is not worth clearing */
	int err = 0;

	w.from = from;
	w.r = r;
	w.behind = r->at;
	w.p = w.end = w.buf;
	for (; n && !err; n--, out += 4) {
		const char *after = NULL;
		float f = NAN;

		while (w.p < w.end && vector_space(*w.p))
			w.p++;
		if (w.p < w.end && (after = quick_number(w.p, w.end, &f)))
			w.p = after + 1;
		else
			err = one_number(&w, &f);
		if (!err)
			put_float(out, f);
	}
	r->at = w.behind - (uint64_t)(w.end - w.p);
	return err;
}
