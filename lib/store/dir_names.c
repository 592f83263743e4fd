#include "store/dir_names.h"

#include "base/util.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static bool is_escape(const char *s)
{
	return s[0] == '%' && isxdigit((unsigned char)s[1]) &&
	       isxdigit((unsigned char)s[2]);
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0'
					 : tolower((unsigned char)c) - 'a' + 10;
}

/* Bytes of the character at s if it is U+0000-1F or U+007F-9F, else 0. */
static size_t control_bytes(const char *s)
{
	unsigned char c = s[0];

	if (c < 0x20 || c == 0x7f)
		return 1;
	if (c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] <= 0x9f)
		return 2;
	return 0;
}

/* Bytes of the character at s if it must be escaped at position pos, else 0. */
static size_t forbidden(const char *s, size_t pos)
{
	if (*s == '/' || (*s == '.' && pos == 0) || is_escape(s))
		return 1;
	return control_bytes(s);
}

static size_t char_len(const char *s)
{
	unsigned char c = s[0];

	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

size_t name_cut(const char *text, size_t n, size_t max)
{
	size_t keep = util_utf8_cut(text, n, max);

	/* Never inside an escape: "%4" of "%41" would read as itself. */
	for (size_t back = 1; back <= 2 && back <= keep; back++)
		if (text[keep - back] == '%' && n - (keep - back) >= 3 &&
			is_escape(text + keep - back))
			keep -= back;
	return keep;
}

static void cut_and_mark(const char *text, size_t n, const char *tail, char *ret)
{
	size_t keep = name_cut(text, n, NAME_SIZE - 2 - strlen(tail));
	char marked[2 * NAME_SIZE];

	snprintf(marked, sizeof(marked), "%.*s~%s", (int)keep, text, tail);
	memcpy(ret, marked, strnlen(marked, NAME_SIZE - 1) + 1);
	ret[NAME_SIZE - 1] = '\0';
}

void name_encode(const char *display, const char *tail, char ret[NAME_SIZE])
{
	char out[2 * NAME_SIZE + 16];
	size_t n = 0;

	for (const char *s = display; *s && n <= NAME_SIZE;) {
		size_t bad = forbidden(s, n);
		size_t len = bad ? bad : char_len(s);

		for (size_t i = 0; i < len && s[i]; i++)
			n += bad ? (size_t)sprintf(
					   out + n, "%%%02X", (unsigned char)s[i])
				 : (size_t)sprintf(out + n, "%c", s[i]);
		s += strnlen(s, len);
	}
	if (n == 0)
		snprintf(ret, NAME_SIZE, "%s", tail);
	else if (n < NAME_SIZE)
		memcpy(ret, out, n + 1);
	else
		cut_and_mark(out, n, tail, ret);
}

/* The two digits behind a '%', n bytes of text in all, at the beginning of a name or
 * not: would they be read back as a byte that had to be escaped? */
static bool reads_back(const char *digits, size_t n, bool first)
{
	char three[4] = "%";
	unsigned byte;

	if (n < 2)
		return false;
	memcpy(three + 1, digits, 2);
	if (!is_escape(three))
		return false;
	byte = (unsigned)(hex(digits[0]) << 4 | hex(digits[1]));
	if (byte == '%')
		return reads_back(digits + 2, n - 2, first);
	if (byte == 0xc2)
		return n >= 5 && digits[2] == '%' &&
		       (digits[3] == '8' || digits[3] == '9') &&
		       isxdigit((unsigned char)digits[4]);
	return byte < 0x20 || byte == 0x7f || byte == '/' || (byte == '.' && first);
}

size_t name_encode_part(const char *part, size_t n, char *ret)
{
	char next[3] = "";
	size_t len = 0, bad;

	for (size_t i = 0; i < n; i += bad ? bad : 1) {
		/* What is looked at: up to two bytes, and a NUL. */
		memset(next, 0, sizeof next);
		memcpy(next, part + i, n - i < 2 ? n - i : 2);
		bad = part[i] == '%' ? reads_back(part + i + 1, n - i - 1, i == 0)
				     : forbidden(next, i);
		for (size_t k = 0; k < bad; k++)
			len += (size_t)sprintf(
				ret + len, "%%%02X", (unsigned char)next[k]);
		if (!bad)
			ret[len++] = part[i];
	}
	if (n == 0)
		ret[len++] = '%';
	ret[len] = '\0';
	return len;
}

void name_mark(const char *name, const char *tail, char ret[NAME_SIZE])
{
	size_t n = strlen(name);

	cut_and_mark(name, n, tail, ret);
}

int name_decode(const char *name, char ret[NAME_SIZE])
{
	size_t n = strlen(name), len = 0;
	char again[NAME_SIZE], plain[NAME_SIZE];

	if (n == 0)
		return -EINVAL;
	if (n >= NAME_SIZE)
		return -ENAMETOOLONG;
	if (!util_utf8_valid(name, n))
		return -EILSEQ;
	if (name[0] == '.')
		return -EPERM;
	for (const char *s = name; *s; s += char_len(s))
		if (control_bytes(s))
			return -EILSEQ;
	for (const char *s = name; *s; s += is_escape(s) ? 3 : 1)
		plain[len++] = is_escape(s) ? (char)(hex(s[1]) << 4 | hex(s[2])) : *s;
	plain[len] = '\0';
	/* Only what encodes back to the same name is an escape; "50%20" typed by a
	 * person stays what it is. */
	if (strlen(plain) == len && util_utf8_valid(plain, len)) {
		name_encode(plain, "", again);
		if (strcmp(again, name) == 0) {
			memcpy(ret, plain, len + 1);
			return 0;
		}
	}
	memcpy(ret, name, n + 1);
	return 0;
}
