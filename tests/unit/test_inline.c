#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "provider/gemini/inline_output.h"
#include "base/util.h"

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

/* Fed in pieces of the given size, the first of its own size. */
static struct result filter(const char *text, size_t n, size_t first, size_t rest)
{
	struct result r = {0};
	FILE *f = open_memstream(&r.lines, &r.lines_len);
	struct inline_filter *filter = inline_filter_new(sink, f);

	for (size_t at = 0, piece = first; at < n && r.err == 0; piece = rest) {
		char *copy;

		if (piece > n - at)
			piece = n - at;
		copy = malloc(piece);
		memcpy(copy, text + at, piece);
		r.err = inline_filter_feed(filter, copy, piece);
		free(copy);
		at += piece;
	}
	if (r.err == 0)
		r.err = inline_filter_finish(
			filter, &r.object, &r.object_len, &r.count);
	else
		assert_int_equal(inline_filter_finish(
					 filter, &r.object, &r.object_len, &r.count),
			r.err);
	inline_filter_free(filter);
	fclose(f);
	return r;
}

static struct result filter_text(const char *text)
{
	return filter(text, strlen(text), strlen(text), strlen(text));
}

static void clear(struct result *r)
{
	free(r->object);
	free(r->lines);
}

static void expect(const char *text, const char *object, const char *lines)
{
	struct result r = filter_text(text);

	if (r.err != 0)
		fail_msg("%d for %s", r.err, text);
	assert_string_equal(r.object, object);
	assert_string_equal(r.lines, lines);
	assert_int_equal(r.object_len, strlen(object));
	clear(&r);
}

#define RESPONSE(list) "{\"done\":true,\"response\":{\"inlinedResponses\":" list "}}"
#define KEPT RESPONSE("{}")

static void test_passes(void **state)
{
	static const char *const texts[] = {"{}", " { \"name\" : \"batches/a\" }\n",
		"{\"inlinedResponses\":[1]}",
		"{\"metadata\":{\"inlinedResponses\":[1]}}",
		"{\"output\":{\"inlinedResponses\":[1]}}",
		"{\"a\":{\"response\":{\"inlinedResponses\":[1]}}}",
		"{\"response\":[{\"inlinedResponses\":[1]}]}",
		"{\"response\":{\"a\":{\"inlinedResponses\":[1]}}}",
		"{\"response\":{\"inlinedResponses\":null}}",
		"{\"response\":{\"inlinedResponses\":\"a\",\"b\":{}}}",
		"{\"response\":{\"inlinedResponsesX\":[1]}}",
		"{\"response\":1,\"x\":{\"inlinedResponses\":[1]}}",
		"{\"metadata\":{\"output\":{\"responsesFile\":\"files/batch-a\"}}}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		expect(texts[i], texts[i], "");
}

static void test_forms(void **state)
{
	const char *line = "{\"response\":{\"a\":1},\"key\":\"x\"}\n";

	expect(RESPONSE("{\"inlinedResponses\":[{\"response\":{\"a\":1},"
			"\"metadata\":{\"key\":\"x\"}}]}"),
		KEPT, line);
	expect(RESPONSE("[{\"response\":{\"a\":1},\"metadata\":{\"key\":\"x\"}}]"),
		KEPT, line);
	expect("{\"metadata\":{\"output\":{\"inlinedEmbedContentResponses\":"
	       "{\"inlinedResponses\":[{\"response\":{\"a\":1},"
	       "\"metadata\":{\"key\":\"x\"}}]},\"b\":2}}}",
		"{\"metadata\":{\"output\":{\"inlinedEmbedContentResponses\":{},\"b\":"
		"2}}}",
		line);
	expect("{\"r\\u0065sponse\":{\"inlined\\u0052esponses\":[{\"response\":{\"a\":"
	       "1},"
	       "\"m\\u0065tadata\":{\"key\":\"x\"}}]}}",
		"{\"r\\u0065sponse\":{\"inlined\\u0052esponses\":{}}}", line);
	/* Empty in one place, filled in the other. */
	expect("{\"metadata\":{\"output\":{\"inlinedResponses\":{\"inlinedResponses\":"
	       "[]}}},\"response\":{\"inlinedResponses\":[{\"response\":{\"a\":1},"
	       "\"metadata\":{\"key\":\"x\"}}]}}",
		"{\"metadata\":{\"output\":{\"inlinedResponses\":{}}},"
		"\"response\":{\"inlinedResponses\":{}}}",
		line);
	expect(RESPONSE("{}"), KEPT, "");
	expect(RESPONSE("[ ]"), KEPT, "");
	expect(RESPONSE("{\"x\":[{\"y\":1}],\"inlinedResponses\":5}"), KEPT, "");
}

static void test_twice(void **state)
{
	expect("{\n \"metadata\": {\n  \"output\": {\"inlinedResponses\": {\n"
	       "   \"inlinedResponses\": [ {\"response\": {}, \"metadata\": {\"key\": "
	       "\"a\"}} ,\n {\"error\" : { \"code\" : 3 } , \"metadata\": {\"key\": "
	       "\"b\" } } ] } } },\n \"done\": true, \"response\": {\n  \"@type\": "
	       "\"t\","
	       "\n  \"inlinedResponses\": {\"inlinedResponses\": [{\"response\": {}, "
	       "\"metadata\": {\"key\": \"a\"}}, {}]}}}\n",
		"{\n \"metadata\": {\n  \"output\": {\"inlinedResponses\": {} } },\n"
		" \"done\": true, \"response\": {\n  \"@type\": \"t\",\n"
		"  \"inlinedResponses\": {}}}\n",
		"{\"response\":{},\"key\":\"a\"}\n{\"error\":{\"code\":3},\"key\":"
		"\"b\"}\n");
}

static const struct {
	const char *element, *line;
} elements[] = {
	{"{}", "{}"},
	{"{ }", "{}"},
	{"{\"response\": [1 , 2 ,\t3]}", "{\"response\":[1,2,3]}"},
	{"{\"metadata\":{\"key\":\"a\"},\"response\":{}}",
		"{\"key\":\"a\",\"response\":{}}"},
	{"{\"x\":1,\"metadata\":{\"key\":\"a\"},\"response\":\" a  b \"}",
		"{\"x\":1,\"key\":\"a\",\"response\":\" a  b \"}"},
	{"{\"metadata\":{ \"n\" : 1 ,\"key\":\"a\"},\"response\":{}}",
		"{\"key\":\"a\",\"response\":{},\"metadata\":{\"n\":1,\"key\":\"a\"}}"},
	{"{\"metadata\":{\"key\":\"a\",\"m\":{\"key\":\"b\"}}}",
		"{\"key\":\"a\",\"metadata\":{\"key\":\"a\",\"m\":{\"key\":\"b\"}}}"},
	{"{\"metadata\":{\"n\":{\"key\":\"b\"}},\"response\":{}}",
		"{\"response\":{},\"metadata\":{\"n\":{\"key\":\"b\"}}}"},
	{"{\"metadata\":{\"k\\u0065y\":\"a\",\"k\\n\":1},\"x\":2}",
		"{\"key\":\"a\",\"x\":2,\"metadata\":{\"k\\u0065y\":\"a\",\"k\\n\":1}"
		"}"},
	{"{\"metadata\":{\"k\\u0065y\":\"a\"}}", "{\"key\":\"a\"}"},
	{"{\"metadata\":{\"key\":5},\"response\":{}}",
		"{\"response\":{},\"metadata\":{\"key\":5}}"},
	{"{\"metadata\":{\"key\":[\"a\"]},\"response\":{}}",
		"{\"response\":{},\"metadata\":{\"key\":[\"a\"]}}"},
	{"{\"metadata\":{\"key\":{\"key\":\"a\"}}}",
		"{\"metadata\":{\"key\":{\"key\":\"a\"}}}"},
	{"{\"metadata\":{\"key\":null,\"x\":\"a\"}}",
		"{\"metadata\":{\"key\":null,\"x\":\"a\"}}"},
	{"{\"metadata\":{},\"response\":{}}", "{\"response\":{}}"},
	{"{\"metadata\":null,\"response\":{}}", "{\"response\":{}}"},
	{"{\"metadata\":\"x\",\"response\":{}}",
		"{\"response\":{},\"metadata\":\"x\"}"},
	{"{\"response\":{\"metadata\":{\"key\":\"no\"}},\"metadata\":{\"key\":\"\"}}",
		"{\"response\":{\"metadata\":{\"key\":\"no\"}},\"key\":\"\"}"},
	{"{\"metadata\":{\"key\":\"\\u00e9\xc3\xa9\\\" \\\\\"}}",
		"{\"key\":\"\\u00e9\xc3\xa9\\\" \\\\\"}"},
	{"{\"a b\" : 1.5e3, \"t\" : true , \"s\" : \"x \\\" y\\\\\" , \"n\":null }",
		"{\"a b\":1.5e3,\"t\":true,\"s\":\"x \\\" y\\\\\",\"n\":null}"},
	{"{\"metadata\":{\"key\":\"a\",\"key\":\"b\"}}",
		"{\"key\":\"a\",\"metadata\":{\"key\":\"a\",\"key\":\"b\"}}"},
};

static void test_elements(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
		_cleanup_free_ char *text = util_format(RESPONSE("[%s , %s]"),
			elements[i].element, elements[i].element);
		_cleanup_free_ char *lines =
			util_format("%s\n%s\n", elements[i].line, elements[i].line);

		expect(text, KEPT, lines);
	}
}

static void test_refused(void **state)
{
	static const char *const texts[] = {"", " ", "null", "[]", "{", "{}x", "{} {}",
		"<html>", "{\"a\":1,}", "{\"a\":\"\xff\"}", "{\"a\":\"\n\"}",
		RESPONSE("[1]"), RESPONSE("[{},null]"), RESPONSE("[[]]"),
		RESPONSE("[\"a\",{}]"), RESPONSE("[{},]"), RESPONSE("[{\"a\":}]"),
		RESPONSE("[{\"metadata\":{},\"metadata\":{}}]"),
		RESPONSE("[{\"metadata\":{\"key\":\"a\",}}]"), RESPONSE("[}"),
		"{\"response\":{\"inlinedResponses\":[{\"response\":{}}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct result r = filter_text(texts[i]);

		if (r.err != -EPROTO)
			fail_msg("%d for %s", r.err, texts[i]);
		assert_null(r.object);
		clear(&r);
	}
}

static const char sample[] =
	"{\n  \"name\": \"batches/\\u00e9\",\n  \"metadata\": {\n    \"output\": {\n"
	"      \"inlinedResponses\": {\n        \"inlinedResponses\": [\n          {\n"
	"            \"response\": {\"t\": \"a \\\" b \\\\\xe2\x82\xac\", \"n\": [1, "
	"-2.5e3]},\n"
	"            \"metadata\": {\"key\": \"k\\n\\ud83d\\ude00\"}\n          },\n"
	"          {\"metadata\": {\"m\": {\"key\": 1}, \"key\": \"2\"}, \"error\": "
	"{}},\n"
	"          {\"long member name of the element\": \" x \", \"b\" : null}\n"
	"        ]\n      }\n    },\n    \"state\": \"BATCH_STATE_SUCCEEDED\"\n  },\n"
	"  \"response\": {\"inlinedResponses\": [{\"response\": 1}]}\n}\n";

/* Whatever the pieces, the outcome is the same. */
static void test_pieces(void **state)
{
	size_t n = sizeof sample - 1;
	struct result whole = filter(sample, n, n, n);

	assert_int_equal(whole.err, 0);
	assert_int_equal(whole.count, 3);
	assert_string_equal(whole.lines,
		"{\"response\":{\"t\":\"a \\\" b \\\\\xe2\x82\xac\",\"n\":[1,-2.5e3]},"
		"\"key\":\"k\\n\\ud83d\\ude00\"}\n"
		"{\"key\":\"2\",\"error\":{},\"metadata\":{\"m\":{\"key\":1},\"key\":"
		"\"2\"}}\n"
		"{\"long member name of the element\":\" x \",\"b\":null}\n");
	for (size_t first = 1; first <= n; first++) {
		struct result r = filter(sample, n, first, first % 2 ? n : first);

		assert_int_equal(r.err, 0);
		assert_string_equal(r.object, whole.object);
		assert_string_equal(r.lines, whole.lines);
		assert_int_equal(r.count, whole.count);
		clear(&r);
	}
	clear(&whole);
}

/* A reply that was cut, at whatever place, is refused. */
static void test_cut(void **state)
{
	for (size_t n = 0; n < sizeof sample - 2; n++) {
		struct result r = filter(sample, n, n, n);

		assert_int_equal(r.err, -EPROTO);
		clear(&r);
	}
}

/* An element of megabytes, with metadata before and after. */
static void test_big_element(void **state)
{
	size_t n = 5 << 20, size;
	char *x = malloc(n + 1), *text, *lines;
	FILE *f = open_memstream(&text, &size);
	struct result r;

	memset(x, 'A', n);
	x[n] = '\0';
	fprintf(f,
		RESPONSE("[{\"response\":\"%s\", \"metadata\":{\"key\":\"a\"}},"
			 "{\"metadata\":{\"key\":\"b\"}, \"response\":\"%s\"}]"),
		x, x);
	fclose(f);
	r = filter(text, size, 16384, 16384);
	assert_int_equal(r.err, 0);
	assert_string_equal(r.object, KEPT);
	lines = util_format("{\"response\":\"%s\",\"key\":\"a\"}\n"
			    "{\"key\":\"b\",\"response\":\"%s\"}\n",
		x, x);
	assert_int_equal(r.lines_len, strlen(lines));
	assert_memory_equal(r.lines, lines, r.lines_len);
	free(lines);
	clear(&r);
	free(text);
	free(x);
}

static int filter_filled(const char *format, size_t n)
{
	char *x = malloc(n + 1), *text;
	struct result r;

	memset(x, 'A', n);
	x[n] = '\0';
	text = util_format("%s%s%s", format, x, strchr(format, '\0') + 1);
	r = filter(text, strlen(text), 60000, 60000);
	clear(&r);
	free(text);
	free(x);
	return r.err;
}

static void test_caps(void **state)
{
	static const char object[] = "{\"a\":\"\0\"}";
	static const char metadata[] =
		"{\"response\":{\"inlinedResponses\":[{\"metadata\":{\"a\":\"\0\"}}]}}";
	static const char name[] = "{\"response\":{\"inlinedResponses\":[{\"\0\":1}]}}";

	assert_int_equal(filter_filled(object, INLINE_REPLY_MAX - 8), 0);
	assert_int_equal(filter_filled(object, INLINE_REPLY_MAX - 7), -EPROTO);
	assert_int_equal(filter_filled(metadata, INLINE_METADATA_MAX - 9), 0);
	assert_int_equal(filter_filled(metadata, INLINE_METADATA_MAX - 8), -EPROTO);
	assert_int_equal(filter_filled(name, 4000), 0);
	assert_int_equal(filter_filled(name, 5000), -EPROTO);
}

static void test_deep(void **state)
{
	char text[1200];
	struct result r;

	memset(text, '[', sizeof text);
	memcpy(text, "{\"a\":", 5);
	r = filter(text, sizeof text, sizeof text, 1);
	assert_int_equal(r.err, -EPROTO);
	clear(&r);
}

static int broken_sink(void *arg, const void *buf, size_t n)
{
	(*(int *)arg)++;
	return -ENOSPC;
}

static void test_sinks(void **state)
{
	const char *text = RESPONSE("[{\"a\":1},{\"a\":2}]");
	int fd = memfd_create("lines", MFD_CLOEXEC), calls = 0;
	struct inline_filter *f;
	char *object = NULL, lines[64] = "";
	uint64_t count = 0;
	size_t n;

	f = inline_filter_new(broken_sink, &calls);
	assert_int_equal(inline_filter_feed(f, text, strlen(text)), 0);
	assert_int_equal(inline_filter_finish(f, &object, &n, &count), -ENOSPC);
	assert_int_equal(inline_filter_feed(f, " ", 1), -ENOSPC);
	assert_int_equal(calls, 1);
	assert_null(object);
	inline_filter_free(f);

	f = inline_filter_new(NULL, NULL);
	assert_int_equal(inline_filter_feed(f, text, strlen(text)), 0);
	assert_int_equal(inline_filter_finish(f, &object, &n, &count), 0);
	assert_string_equal(object, KEPT);
	assert_int_equal(count, 2);
	free(object);
	inline_filter_free(f);

	f = inline_filter_new(inline_sink_fd, &fd);
	assert_int_equal(inline_filter_feed(f, text, strlen(text)), 0);
	assert_int_equal(inline_filter_finish(f, &object, &n, NULL), 0);
	assert_true(pread(fd, lines, sizeof lines - 1, 0) > 0);
	assert_string_equal(lines, "{\"a\":1}\n{\"a\":2}\n");
	free(object);
	inline_filter_free(f);
	close(fd);
	inline_filter_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_big_element),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_sinks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
