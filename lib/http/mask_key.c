/*
 * Hiding the key in the API's texts. A server that repeats it may write it as in JSON,
 * HTML and URLs, broken into lines, in base64 or hexadecimal; decoded later, that would
 * be the key again.
 */
#include "http/http_private.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#define KEY_MIN 8     /* what is shorter is no secret, and part of many words */
#define ENCODED_MIN 10 /* the same of base64 */

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Whether n digits at p are c; p < end. */
static bool is_hex(const char *p, const char *end, size_t n, char c)
{
	int value = 0;

	if ((size_t)(end - p) < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int d = hex_value(p[i]);

		if (d < 0)
			return false;
		value = value * 16 + d;
	}
	return value == (unsigned char)c;
}

/* "\u0041" or "\/"; JSON within JSON has more backslashes. */
static size_t escaped(const char *p, const char *end, char c)
{
	const char *q = p;

	while (q < end && *q == '\\')
		q++;
	if (q == p || q == end)
		return 0;
	if ((*q == 'u' || *q == 'U') && is_hex(q + 1, end, 4, c))
		return (size_t)(q - p) + 5;
	if (*q == 'x' && is_hex(q + 1, end, 2, c))
		return (size_t)(q - p) + 3;
	return *q == c && ispunct((unsigned char)c) ? (size_t)(q - p) + 1 : 0;
}

/* "%41", or "%2541". */
static size_t percent(const char *p, const char *end, char c)
{
	const char *q = p + 1;

	while (end - q >= 2 && q[0] == '2' && q[1] == '5' && !is_hex(q, end, 2, c))
		q += 2;
	return is_hex(q, end, 2, c) ? (size_t)(q - p) + 2 : 0;
}

/* "&#65;" or "&#x41;", with zeros before the number or without */
static size_t entity_length(const char *p, const char *end, char c)
{
	char text[16];
	const char *q = p + 1;

	if (q == end || *q++ != '#')
		return 0;
	bool hex = q < end && (*q == 'x' || *q == 'X');
	snprintf(text, sizeof text, hex ? "%x;" : "%d;", (unsigned char)c);
	q += hex;
	while (q < end && *q == '0')
		q++;
	size_t n = strlen(text);
	return (size_t)(end - q) >= n && strncasecmp(q, text, n) == 0
		       ? (size_t)(q - p) + n
		       : 0;
}

/* How many bytes at p stand for c; 0: it is not that. */
static size_t stands_for(const char *p, const char *end, char c)
{
	size_t n = 0;

	if (p == end)
		return 0;
	if (*p == '\\')
		n = escaped(p, end, c);
	else if (*p == '%')
		n = percent(p, end, c);
	else if (*p == '&')
		n = entity_length(p, end, c);
	return n ? n : *p == c;
}

/* White space as it is, or as JSON writes it. */
static const char *skip_break(const char *p, const char *end)
{
	for (;;) {
		const char *q = p;

		while (q < end && *q == '\\')
			q++;
		if (q > p && q < end && strchr("nrt", *q))
			p = q + 1;
		else if (p < end && isspace((unsigned char)*p))
			p++;
		else
			return p;
	}
}

/* The end of the key that begins at p, or NULL. */
static const char *key_end(const char *p, const char *end, const char *key)
{
	const char *begin = p;

	for (;;) {
		const char *next;
		size_t n = stands_for(p, end, *key);

		if (n == 0 && p > begin && (next = skip_break(p, end)) != p)
			n = stands_for(p = next, end, *key);
		if (n == 0)
			return NULL;
		p += n;
		if (!*++key)
			return p;
	}
}

/* The characters that key has in base64 for sure, behind `before` other bytes. */
static size_t in_base64(
	const char *key, size_t before, bool url, char *ret, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t bits = 8 * strlen(key), n = 0;

	for (size_t at = (6 - 8 * before % 6) % 6; at + 6 <= bits && n + 1 < size;
		at += 6) {
		unsigned pair = (unsigned char)key[at / 8] * 256u +
				(unsigned char)key[at / 8 + 1];
		unsigned d = pair >> (10 - at % 8) & 63;

		ret[n++] = d < 62 ? digits[d] : d == 62 ? "+-"[url] : "/_"[url];
	}
	ret[n] = 0;
	return n;
}

static bool mask_text(char *text, const char *end, const char *what, size_t n)
{
	bool found = false;

	while ((text = memmem(text, (size_t)(end - text), what, n))) {
		memset(text, '*', n);
		found = true;
	}
	return found;
}

/* Stars from p to last; returns the last of them. */
static char *mask_span(char *p, const char *last)
{
	memset(p, '*', (size_t)(last - p));
	return p + (last - p) - 1;
}

/* The same of what may be broken into lines. */
static bool mask_broken(char *text, const char *end, const char *what)
{
	bool found = false;

	for (char *p = text; (p = memchr(p, *what, (size_t)(end - p))); p++) {
		const char *last = key_end(p, end, what);

		if (!last)
			continue;
		p = mask_span(p, last);
		found = true;
	}
	return found;
}

/* In base64, and in hexadecimal. */
static bool mask_coded(char *text, const char *end, const char *key)
{
	char what[8192];
	size_t len = strlen(key);
	bool found = false;

	for (size_t i = 0; i < 6; i++)
		if (in_base64(key, i / 2, i % 2, what, sizeof what) >= ENCODED_MIN)
			found |= mask_broken(text, end, what);
	for (size_t i = 0; i < 2 && 2 * len < sizeof what; i++) {
		for (size_t k = 0; k < len; k++)
			snprintf(what + 2 * k, 3, i ? "%02X" : "%02x",
				(unsigned char)key[k]);
		found |= mask_broken(text, end, what);
	}
	explicit_bzero(what, sizeof what);
	return found;
}

static bool is_first(char c, char key)
{
	return c == key || c == '\\' || c == '%' || c == '&';
}

bool engine_mask_key(struct engine *e, char *text, size_t n)
{
	const char *key = e->key_header ? strchr(e->key_header, ' ') + 1 : NULL;
	const char *end = text + n, *last;
	bool found;

	if (!text || !key || strlen(key) < KEY_MIN)
		return false;
	found = mask_text(text, end, key, strlen(key));
	found |= mask_coded(text, end, key);
	for (char *p = text; p < end; p++) {
		last = is_first(*p, *key) ? key_end(p, end, key) : NULL;
		/* All of a run of them has been looked at. */
		while (!last && *p == '\\' && p + 1 < end && p[1] == '\\')
			p++;
		if (!last)
			continue;
		p = mask_span(p, last);
		found = true;
	}
	return found;
}
