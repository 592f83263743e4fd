/* JSON from the wire: whether it may be taken apart, and the fields of an object. */
#include "provider/gemini/parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"

/* About what a value costs in memory that begins with, or follows, such a byte:
 * jansson's nodes and tables, and the white space before it when it is written down
 * again, twice. "{},{},…" takes a hundred times its length. */
static size_t price(char c, size_t depth)
{
	switch (c) {
	case '{':
		return 280 + 4 * depth;
	case '[':
		return 150 + 4 * depth;
	case ':':
		return 110;
	case ',':
		return 60 + 4 * depth;
	default:
		return 1;
	}
}

/* Is it cheap and flat enough to be taken apart? Whether it is JSON is seen then. */
static bool affordable(const char *text, size_t n)
{
	size_t cost = 0, depth = 0;
	bool string = false;

	for (size_t i = 0; i < n && cost <= API_JSON_COST; i++) {
		char c = text[i];

		if (string) {
			i += c == '\\';
			string = c != '"';
			cost++;
			continue;
		}
		string = c == '"';
		depth += c == '{' || c == '[';
		cost += price(c, depth);
		depth -= depth > 0 && (c == '}' || c == ']');
		if (depth > API_JSON_DEPTH)
			return false;
	}
	return cost <= API_JSON_COST;
}

json_t *gemini_json(const char *text, size_t n)
{
	json_error_t e;

	if (!text || n > API_TEXT_MAX || !affordable(text, n))
		return NULL;
	return json_loadb(text, n, JSON_ALLOW_NUL, &e);
}

/* displayName -> display_name; false when it is the same or too long. */
static bool to_snake(const char *name, char *ret, size_t size)
{
	bool changed = false;
	size_t n = 0;

	for (; *name; name++) {
		if (n + 3 > size)
			return false;
		if (isupper((unsigned char)*name)) {
			ret[n++] = '_';
			changed = true;
		}
		ret[n++] = (char)tolower((unsigned char)*name);
	}
	ret[n] = 0;
	return changed;
}

json_t *gemini_field(const json_t *obj, const char *name)
{
	char snake[64];
	json_t *v = json_object_get(obj, name);

	if (!v && to_snake(name, snake, sizeof snake))
		v = json_object_get(obj, snake);
	return json_is_null(v) ? NULL : v;
}

const char *gemini_field_text(const json_t *obj, const char *name)
{
	const char *s = json_string_value(gemini_field(obj, name));

	return s && *s ? s : NULL;
}

int64_t gemini_field_count(const json_t *obj, const char *name, int64_t absent)
{
	json_t *v = gemini_field(obj, name);
	const char *text = json_string_value(v);
	long long n = -1;
	char *end;

	if (!v)
		return absent;
	if (json_is_integer(v))
		n = json_integer_value(v);
	else if (json_is_real(v) && json_real_value(v) >= 0 &&
		 json_real_value(v) < 1e15)
		n = (long long)json_real_value(v);
	else if (text && isdigit((unsigned char)*text)) {
		errno = 0;
		n = strtoll(text, &end, 10);
		if (errno || *end)
			n = -1;
	}
	return n < 0 ? -1 : n;
}

struct timespec gemini_field_time(const json_t *obj, const char *name)
{
	const char *text = gemini_field_text(obj, name);
	struct timespec ts;

	if (!text || !util_parse_time(text, &ts))
		return (struct timespec){0};
	return ts;
}

char *gemini_field_id(
	const json_t *obj, const char *name, const char *prefix, const char *other)
{
	const char *text = gemini_field_text(obj, name);

	/* Not what stands before a NUL, as with other texts. */
	if (!text || strlen(text) != json_string_length(gemini_field(obj, name)))
		return NULL;
	if (!util_id_valid(text, prefix) && !(other && util_id_valid(text, other)))
		return NULL;
	return strdup(text);
}
