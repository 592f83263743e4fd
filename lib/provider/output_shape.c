#include "provider/output_shape.h"

#include "base/util.h"

#include <string.h>

static bool shape_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* White space, noughts, a byte order mark: what programs put before the first line. */
static bool is_filler(char c)
{
	return shape_space(c) || c == '\0' || (c && strchr("\xef\xbb\xbf", c));
}

bool shape_ends_well(char last)
{
	return last == '}' || shape_space(last);
}

/* The next character of p that is none of white space. */
static const char *skip_space(const char *p, const char *end)
{
	while (p < end && shape_space(*p))
		p++;
	return p;
}

/* word, behind white space: what follows it, or NULL. */
static const char *expect(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	p = p ? skip_space(p, end) : end;
	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

/* {"error":{"code":503: of HTTP. In lines of results the code is one of gRPC, of two
 * figures, and there is a key. */
static bool is_api_error(const char *p, const char *end)
{
	static const char *const words[] = {
		"{", "\"error\"", ":", "{", "\"code\"", ":"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		p = expect(p, end, words[i]);
	if (!p)
		return false;
	p = skip_space(p, end);
	for (int i = 0; i < 3; i++)
		if (p + i == end || p[i] < '0' || p[i] > '9')
			return false;
	return true;
}

bool shape_has_members(const char *p, size_t n)
{
	return memmem(p, n, "\"response\"", 10) || memmem(p, n, "\"key\"", 5);
}

enum shape shape_of_beginning(const char *buf, size_t n)
{
	const char *p = buf, *end = buf + n;

	while (p < end && is_filler(*p))
		p++;
	if (p == end || (*p == '{' && p + 1 == end))
		return SHAPE_UNTOLD;
	if (*p == '<' || is_api_error(p, end))
		return SHAPE_FOREIGN;
	return *p == '{' && p[1] != '\n' ? SHAPE_LINES : SHAPE_ODD;
}
