/* A reply of any bytes through the filter, against jansson.
 *
 * Checked: whole or in pieces, the outcome is the same; what comes out is JSON, and
 * as many lines as were counted; and, where no name stands twice in an object, the
 * lines and the object are those that jansson's tree gives. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/gemini/inline_output.h"
#include "base/json_tokens.h"

#define FLAGS (JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

struct result {
	int err;
	char *object, *lines;
	size_t object_len, lines_len;
	uint64_t count;
};

static int sink(void *arg, const void *buf, size_t n)
{
	return fwrite(buf, 1, n, arg) == n ? 0 : -EIO;
}

static struct result filter(const uint8_t *data, size_t n, size_t piece)
{
	struct result r = {0};
	FILE *f = open_memstream(&r.lines, &r.lines_len);
	struct inline_filter *filter = inline_filter_new(sink, f);

	for (size_t at = 0; at < n && r.err == 0; at += piece)
		r.err = inline_filter_feed(
			filter, data + at, n - at < piece ? n - at : piece);
	if (r.err == 0)
		r.err = inline_filter_finish(
			filter, &r.object, &r.object_len, &r.count);
	inline_filter_free(filter);
	fclose(f);
	check(r.err == 0 || r.err == -EPROTO, "error");
	check((r.err == 0) == (r.object != NULL), "object");
	return r;
}

static void clear(struct result *r)
{
	free(r->object);
	free(r->lines);
}

static json_t *load(const char *text, size_t n, bool *ret_unknown)
{
	json_error_t error;
	json_t *json = json_loadb(text, n, FLAGS | JSON_REJECT_DUPLICATES, &error);
	enum json_error_code code = json ? json_error_unknown : json_error_code(&error);

	*ret_unknown |= !json && (code == json_error_numeric_overflow ||
					 code == json_error_null_byte_in_key ||
					 code == json_error_duplicate_key);
	return json;
}

/* ---- the same by a tree ---------------------------------------------------------- */

struct model {
	json_t *lines; /* of the first list that is not empty */
	bool refused;  /* elements that are no objects */
	bool unclear;  /* an element has a key of its own */
};

static json_t *model_line(struct model *m, json_t *element)
{
	json_t *line = json_deep_copy(element);
	json_t *metadata = json_object_get(element, "metadata");
	json_t *key = json_object_get(metadata, "key");

	m->unclear |= metadata && json_object_get(element, "key");
	if (!metadata)
		return line;
	json_object_del(line, "metadata");
	if (json_is_string(key))
		json_object_set(line, "key", key);
	if (json_is_object(metadata)
			? json_object_size(metadata) > (json_is_string(key) ? 1u : 0u)
			: !json_is_null(metadata))
		json_object_set(line, "metadata", metadata);
	return line;
}

static void model_array(struct model *m, json_t *array)
{
	json_t *element;
	size_t i;

	if (json_array_size(m->lines) > 0)
		return;
	json_array_foreach(array, i, element)
	{
		if (!json_is_object(element))
			m->refused = true;
		else
			json_array_append_new(m->lines, model_line(m, element));
	}
}

static void model_output(struct model *m, json_t *output)
{
	const char *name;
	json_t *list;

	json_object_foreach(output, name, list)
	{
		if (strcmp(name, "inlinedResponses") != 0 &&
			strcmp(name, "inlinedEmbedContentResponses") != 0)
			continue;
		if (json_is_array(list))
			model_array(m, list);
		else if (json_is_object(list))
			model_array(m, json_object_get(list, "inlinedResponses"));
		else
			continue;
		json_object_set_new(output, name, json_object());
	}
}

static struct model model(json_t *reply)
{
	struct model m = {.lines = json_array()};
	const char *name;
	json_t *value;

	json_object_foreach(reply, name, value)
	{
		if (strcmp(name, "response") == 0)
			model_output(&m, value);
		if (strcmp(name, "metadata") == 0)
			model_output(&m, json_object_get(value, "output"));
	}
	return m;
}

/* The lines as a list; NULL if one is no JSON. */
static json_t *parse_lines(const struct result *r, bool *ret_unknown)
{
	json_t *list = json_array(), *json;
	const char *p = r->lines, *end = p + r->lines_len, *lf;

	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		check(lf != NULL, "last line ends");
		json = load(p, (size_t)(lf - p), ret_unknown);
		check(json_is_object(json) || *ret_unknown, "line is an object");
		json_array_append_new(list, json ? json : json_null());
	}
	check(json_array_size(list) == r->count, "count");
	return list;
}

/* Deeper than the filter goes; jansson goes further. */
static bool too_deep(const uint8_t *data, size_t n)
{
	size_t brackets = 0;

	for (size_t i = 0; i < n; i++)
		brackets += data[i] == '[' || data[i] == '{';
	return brackets > JTOK_DEPTH_MAX;
}

static void compare(const struct result *r, const uint8_t *data, size_t n)
{
	bool unknown = false;
	json_t *reply, *object, *lines;
	struct model m;

	/* Never JSON, but jansson passes over it. */
	if (memchr(data, '\0', n)) {
		check(r->err != 0, "NUL, and accepted");
		return;
	}
	reply = load((const char *)data, n, &unknown);
	if (unknown || (!reply && r->err == 0)) {
		check(unknown, "not JSON, and accepted");
		return;
	}
	if (!json_is_object(reply) || too_deep(data, n)) {
		check(r->err != 0 || json_is_object(reply), "no object, and accepted");
		json_decref(reply);
		return;
	}
	m = model(reply);
	check((r->err != 0) == m.refused, "refused");
	if (r->err == 0) {
		object = load(r->object, r->object_len, &unknown);
		check(json_equal(object, reply), "object");
		lines = parse_lines(r, &unknown);
		check(m.unclear || json_equal(lines, m.lines), "lines");
		json_decref(object);
		json_decref(lines);
	}
	json_decref(m.lines);
	json_decref(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct result whole = filter(data, n, n + 1), parts;
	size_t piece = 1;

	for (size_t i = 0; i < n; i++)
		piece += data[i];
	parts = filter(data, n, 1 + piece % 67);
	check(whole.err == parts.err, "error in pieces");
	if (whole.err == 0) {
		check(whole.count == parts.count &&
				whole.object_len == parts.object_len &&
				whole.lines_len == parts.lines_len,
			"lengths in pieces");
		check(memcmp(whole.object, parts.object, whole.object_len) == 0,
			"object in pieces");
		check(memcmp(whole.lines, parts.lines, whole.lines_len) == 0,
			"lines in pieces");
	}
	compare(&whole, data, n);
	clear(&whole);
	clear(&parts);
	return 0;
}
