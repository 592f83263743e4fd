#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "provider/gemini/parse.h"
#include "base/util.h"

static struct remote_batch parse(const char *text)
{
	struct remote_batch b;
	int r = gemini_batch_parse(text, strlen(text), &b);

	if (r < 0)
		fail_msg("%d: %s", r, text);
	return b;
}

static int parse_error(const char *text)
{
	struct remote_batch b;
	int r = gemini_batch_parse(text, strlen(text), &b);

	if (r == 0)
		remote_batch_clear(&b);
	return r;
}

static const char succeeded[] =
	"{\"name\":\"batches/b1\",\"metadata\":{\"@type\":\"type.googleapis.com/"
	"google.ai.generativelanguage.v1main.GenerateContentBatch\",\"model\":"
	"\"models/"
	"gemini-3.8-flash\",\"displayName\":\"haiku\",\"inputConfig\":{\"fileName\":"
	"\"files/f1\"},\"output\":{\"responsesFile\":\"files/"
	"batch-b1\"},\"createTime\":"
	"\"2026-01-02T03:04:05.123456789Z\",\"endTime\":\"2026-01-02T03:05:05Z\","
	"\"updateTime\":\"2026-01-02T03:05:04.5Z\",\"batchStats\":{\"requestCount\":"
	"\"3\","
	"\"successfulRequestCount\":\"2\",\"failedRequestCount\":\"1\"},\"state\":"
	"\"BATCH_STATE_SUCCEEDED\",\"name\":\"batches/"
	"b1\"},\"done\":true,\"response\":{"
	"\"@type\":\"x.GenerateContentBatchOutput\",\"responsesFile\":\"files/"
	"batch-b1\"}}";

static void test_succeeded(void **state)
{
	struct remote_batch b = parse(succeeded);

	assert_string_equal(b.id, "batches/b1");
	assert_string_equal(b.display, "haiku");
	assert_string_equal(b.model, "models/gemini-3.8-flash");
	assert_int_equal(b.state, REMOTE_STATE_SUCCEEDED);
	assert_string_equal(b.state_text, "JOB_STATE_SUCCEEDED");
	assert_true(b.ended);
	assert_false(b.embedding);
	assert_int_equal(b.created.tv_sec, 1767323045);
	assert_int_equal(b.created.tv_nsec, 123456789);
	assert_int_equal(b.ended_at.tv_sec, 1767323105);
	assert_int_equal(b.updated.tv_sec, 1767323104);
	assert_int_equal(b.requests, 3);
	assert_int_equal(b.succeeded, 2);
	assert_int_equal(b.failed, 1);
	assert_int_equal(b.pending, 0);
	assert_true(b.has_input_config);
	assert_string_equal(b.input_file, "files/f1");
	assert_string_equal(b.output_file, "files/batch-b1");
	assert_false(b.output_inline);
	assert_int_equal(b.error_code, 0);
	assert_null(b.error_text);
	assert_string_equal(b.json + strlen(b.json) - 2, "}\n");
	assert_non_null(strstr(b.json, "\n  \"name\": \"batches/b1\",\n"));
	remote_batch_clear(&b);
}

static void test_variants(void **state)
{
	/* snake_case, counts as numbers, the batch itself instead of an Operation */
	struct remote_batch b =
		parse("{\"name\":\"batches/"
		      "x\",\"display_name\":\"d\",\"input_config\":{\"file_name\":"
		      "\"files/in\"},\"output\":{\"responses_file\":\"files/"
		      "out\"},\"batch_stats\":{"
		      "\"request_count\":4,\"pending_request_count\":4.0,\"failed_"
		      "request_count\":\"x\""
		      "},\"state\":\"JOB_STATE_RUNNING\",\"create_time\":\"2026-01-"
		      "02T03:04:05Z\"}");

	assert_string_equal(b.display, "d");
	assert_string_equal(b.input_file, "files/in");
	assert_string_equal(b.output_file, "files/out");
	assert_int_equal(b.requests, 4);
	assert_int_equal(b.pending, 4);
	assert_int_equal(b.failed, -1);
	assert_int_equal(b.succeeded, 0);
	assert_int_equal(b.created.tv_sec, 1767323045);
	assert_int_equal(b.state, REMOTE_STATE_RUNNING);
	remote_batch_clear(&b);

	b = parse("{\"name\":\"batches/"
		  "x\",\"metadata\":{\"@type\":\"a.EmbedContentBatch\","
		  "\"displayName\":null,\"batchStats\":null}}");
	assert_true(b.embedding);
	assert_string_equal(b.display, "");
	assert_int_equal(b.requests, -1);
	assert_int_equal(b.state, REMOTE_STATE_NONE);
	assert_string_equal(b.state_text, "JOB_STATE_UNSPECIFIED");
	assert_false(b.ended);
	assert_null(b.model);
	remote_batch_clear(&b);
}

#define JOB(members, rest) "{\"name\":\"batches/x\",\"metadata\":{" members "}" rest "}"

static const struct {
	const char *json;
	enum remote_state state;
	const char *text;
	bool ended;
} states[] = {
	{JOB("\"state\":\"BATCH_STATE_PENDING\"", ""), REMOTE_STATE_PENDING,
		"JOB_STATE_PENDING", false},
	{JOB("\"state\":\"PENDING\"", ""), REMOTE_STATE_PENDING, "JOB_STATE_PENDING",
		false},
	{JOB("\"state\":\"BATCH_STATE_EXPIRED\"", ""), REMOTE_STATE_EXPIRED,
		"JOB_STATE_EXPIRED", true},
	{JOB("\"state\":\"BATCH_STATE_CANCELLED\"", ",\"error\":{\"code\":13}"),
		REMOTE_STATE_CANCELLED, "JOB_STATE_CANCELLED", true},
	{JOB("\"state\":\"JOB_STATE_QUEUED\"", ""), REMOTE_STATE_OTHER,
		"JOB_STATE_QUEUED", false},
	{JOB("\"state\":\"JOB_STATE_PARTIALLY_SUCCEEDED\"", ""), REMOTE_STATE_OTHER,
		"JOB_STATE_PARTIALLY_SUCCEEDED", true},
	{JOB("\"state\":\"BATCH_STATE_ODD\"", ""), REMOTE_STATE_OTHER,
		"BATCH_STATE_ODD", false},
	{JOB("\"state\":\"BATCH_STATE_ODD\"", ",\"done\":true"), REMOTE_STATE_OTHER,
		"BATCH_STATE_ODD", true},
	{JOB("\"state\":\"two\\nlines\"", ""), REMOTE_STATE_NONE,
		"JOB_STATE_UNSPECIFIED", false},
	{JOB("\"state\":7", ""), REMOTE_STATE_NONE, "JOB_STATE_UNSPECIFIED", false},
	{JOB("", ",\"done\":true"), REMOTE_STATE_SUCCEEDED, "JOB_STATE_SUCCEEDED",
		true},
	{JOB("", ",\"done\":true,\"error\":{\"code\":3,\"message\":\"m\"}"),
		REMOTE_STATE_FAILED, "JOB_STATE_FAILED", true},
	{JOB("", ",\"done\":true,\"error\":{\"code\":1}"), REMOTE_STATE_CANCELLED,
		"JOB_STATE_CANCELLED", true},
	{JOB("\"state\":\"BATCH_STATE_RUNNING\"", ",\"done\":true"),
		REMOTE_STATE_SUCCEEDED, "JOB_STATE_SUCCEEDED", true},
	{JOB("\"state\":\"BATCH_STATE_RUNNING\"", ",\"done\":\"true\""),
		REMOTE_STATE_RUNNING, "JOB_STATE_RUNNING", false},
};

static void test_states(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct remote_batch b = parse(states[i].json);

		if (b.state != states[i].state || b.ended != states[i].ended ||
			strcmp(b.state_text, states[i].text) != 0)
			fail_msg("%s: %d %s %d", states[i].json, b.state, b.state_text,
				b.ended);
		remote_batch_clear(&b);
	}
}

static void test_errors(void **state)
{
	struct remote_batch b =
		parse(JOB("", ",\"error\":{\"code\":8,\"message\":\"m\"}"));

	assert_int_equal(b.error_code, 8);
	assert_string_equal(b.error_text, "m");
	remote_batch_clear(&b);
	b = parse(JOB("\"error\":{\"message\":\"m\"}", ""));
	assert_int_equal(b.error_code, 2);
	remote_batch_clear(&b);
	b = parse(JOB("", ",\"error\":{}"));
	assert_int_equal(b.error_code, 0);
	remote_batch_clear(&b);
	b = parse(JOB("", ",\"error\":{\"code\":-5}"));
	assert_int_equal(b.error_code, 2);
	remote_batch_clear(&b);
}

static void test_inlined(void **state)
{
	static const char *const texts[] = {
		JOB("\"output\":{\"inlinedResponses\":{\"inlinedResponses\":[{"
		    "\"response\":{"
		    "\"SECRET\":1}}]}}",
			",\"response\":{\"inlinedResponses\":{\"inlinedResponses\":[{"
			"\"SECRET\":1}]}}"),
		JOB("\"output\":{\"inlinedResponses\":[{\"SECRET\":1}]}", ""),
		JOB("\"output\":{\"inlined_responses\":[{\"SECRET\":1}]}", ""),
		JOB("", ",\"response\":{\"inlinedEmbedContentResponses\":{"
			"\"inlinedResponses\""
			":[{\"SECRET\":1}]}}"),
		JOB("\"output\":{\"inlinedResponses\":{}}", ""),
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct remote_batch b = parse(texts[i]);

		assert_true(b.output_inline);
		assert_null(strstr(b.json, "SECRET"));
		assert_null(b.output_file);
		remote_batch_clear(&b);
	}
}

static void test_refused(void **state)
{
	assert_int_equal(parse_error(""), -EPROTO);
	assert_int_equal(parse_error("[]"), -EPROTO);
	assert_int_equal(parse_error("{}"), -EPROTO);
	assert_int_equal(parse_error("\"batches/x\""), -EPROTO);
	assert_int_equal(parse_error("{\"name\":\"batches/../x\"}"), -EPROTO);
	assert_int_equal(parse_error("{\"name\":\"batches/\"}"), -EPROTO);
	assert_int_equal(parse_error("{\"name\":\"files/x\"}"), -EPROTO);
	assert_int_equal(parse_error("{\"name\":\"batches/x\""), -EPROTO);
	assert_int_equal(parse_error("{\"name\":\"batches/x\"} junk"), -EPROTO);
	assert_int_equal(parse_error("{\"name\":\"batches/x\\u0000y\"}"), -EPROTO);
}

static void test_bad_ids_are_left_out(void **state)
{
	struct remote_batch b =
		parse(JOB("\"model\":\"models/../../x\",\"inputConfig\":{"
			  "\"fileName\":\"files/a/b\"},\"output\":{"
			  "\"responsesFile\":\"/etc/passwd\"}",
			""));

	assert_null(b.model);
	assert_null(b.input_file);
	assert_true(b.has_input_config);
	assert_null(b.output_file);
	remote_batch_clear(&b);
}

static void test_page(void **state)
{
	static const char text[] =
		"{\"operations\":[{\"name\":\"batches/a\"},7,null,{\"name\":\"x\"},"
		"{\"name\":\"batches/b\",\"metadata\":{\"displayName\":\"two\"}}],"
		"\"nextPageToken\":\"t/2\"}";
	struct remote_page p;

	assert_int_equal(gemini_page_parse(text, strlen(text), NULL, &p), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.skipped, 3);
	assert_string_equal(p.batches[1].display, "two");
	assert_string_equal(p.next, "t/2");
	remote_page_clear(&p);
	assert_int_equal(gemini_page_parse(text, strlen(text), "t/2", &p), 0);
	assert_null(p.next);
	remote_page_clear(&p);
	assert_int_equal(gemini_page_parse("{}", 2, NULL, &p), 0);
	assert_int_equal(p.n, 0);
	assert_null(p.next);
	remote_page_clear(&p);
	assert_int_equal(gemini_page_parse("[]", 2, NULL, &p), -EPROTO);
	assert_int_equal(
		gemini_page_parse("{\"operations\":{}}", 17, NULL, &p), -EPROTO);
	assert_int_equal(gemini_page_parse("<html>", 6, NULL, &p), -EPROTO);
}

/* Objects that gateways and portals answer with, with status 200. An empty list has no
 * members at all. */
static void test_strangers(void **state)
{
	static const char *const texts[] = {
		"{\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}",
		"{\"operations\":[],\"error\":{\"code\":13}}", "{\"error\":\"x\"}",
		"{\"message\":\"login\"}", "{\"status\":\"ok\",\"models\":7}",
		"{\"url\":\"http://portal/\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct remote_models m = {0};
		struct remote_page p;
		int64_t bytes;
		char *next;
		size_t n = strlen(texts[i]);

		assert_int_equal(gemini_page_parse(texts[i], n, NULL, &p), -EPROTO);
		assert_int_equal(gemini_models_parse(texts[i], n, &m, &next), -EPROTO);
		assert_int_equal(
			gemini_files_parse(texts[i], n, NULL, &bytes, &next), -EPROTO);
	}
}

static void test_models(void **state)
{
	static const char text[] =
		"{\"models\":[{\"name\":\"models/one\",\"supportedGenerationMethods\":["
		"\"generateContent\",\"batchGenerateContent\"]},{\"name\":\"models/"
		"two\","
		"\"supportedGenerationMethods\":[\"embedContent\"]},{\"name\":\"models/"
		"bad\\nx\","
		"\"supportedGenerationMethods\":[\"batchGenerateContent\"]},5,{"
		"\"name\":"
		"\"models/"
		"three\",\"supported_generation_methods\":[1,\"batchGenerateContent\"]"
		"}],\"nextPageToken\":\"\"}";
	struct remote_models all = {0};
	char *next = NULL;
	unsigned methods = 9;

	assert_int_equal(gemini_models_parse(text, strlen(text), &all, &next), 0);
	assert_int_equal(gemini_models_parse("[]", 2, &all, &next), -EPROTO);
	assert_null(next);
	assert_int_equal(all.n, 3);
	assert_string_equal(all.list[0].name, "one");
	assert_int_equal(all.list[0].methods, BATCH_GENERATE);
	assert_string_equal(all.list[1].name, "two");
	assert_int_equal(all.list[1].methods, 0);
	assert_string_equal(all.list[2].name, "three");
	assert_int_equal(all.list[2].methods, BATCH_GENERATE);
	remote_models_clear(&all);
	static const char one[] =
		"{\"name\":\"models/e\",\"supportedGenerationMethods\":"
		"[\"asyncBatchEmbedContent\"]}";

	assert_int_equal(gemini_model_parse(one, strlen(one), &methods), 0);
	assert_int_equal(methods, BATCH_EMBED);
	assert_int_equal(gemini_model_parse("{}", 2, &methods), -EPROTO);
}

static void test_file(void **state)
{
	static const char text[] =
		"{\"file\":{\"name\":\"files/abc\",\"mimeType\":\"application/jsonl\","
		"\"sizeBytes\":\"1234\",\"expirationTime\":\"2026-01-02T03:04:05Z\","
		"\"uri\":"
		"\"https://example.com/v1beta/files/abc\",\"state\":\"ACTIVE\"}}";
	struct remote_file f;

	assert_int_equal(gemini_file_parse(text, strlen(text), &f), 0);
	assert_string_equal(f.name, "files/abc");
	assert_string_equal(f.mime, "application/jsonl");
	assert_int_equal(f.size, 1234);
	assert_int_equal(f.expires.tv_sec, 1767323045);
	assert_true(f.active);
	remote_file_clear(&f);
	assert_int_equal(
		gemini_file_parse(
			"{\"name\":\"files/a\",\"state\":\"PROCESSING\"}", 39, &f),
		0);
	assert_false(f.active);
	assert_false(f.failed);
	assert_int_equal(f.size, -1);
	remote_file_clear(&f);
	assert_int_equal(gemini_file_parse(
				 "{\"name\":\"files/a\",\"state\":\"FAILED\"}", 35, &f),
		0);
	assert_true(f.failed);
	remote_file_clear(&f);
	assert_int_equal(gemini_file_parse("{}", 2, &f), -EPROTO);
	assert_int_equal(gemini_file_parse(NULL, 0, &f), -EPROTO);
	assert_int_equal(
		gemini_file_parse("{\"file\":{\"name\":\"f\"}}", 21, &f), -EPROTO);
}

/* Base64 of the hex text as the service sends it, or of the digest itself. */
static void test_file_digest(void **state)
{
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	static const struct {
		const char *base64, *hex;
	} digests[] = {
		{"YmE3ODE2YmY4ZjAxY2ZlYTQxNDE0MGRlNWRhZTIyMjNiMDAzNjFhMzk2MTc3YTljYjQxMGZmNjFm"
		 "MjAwMTVhZA==",
			ABC},
		{"QkE3ODE2YmY4ZjAxY2ZlYTQxNDE0MGRlNWRhZTIyMjNiMDAzNjFhMzk2MTc3YTljYjQxMGZmNjFm"
		 "MjAwMTVhZA",
			ABC},
		{"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", ABC},
		{"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFQ==", ""},
		{"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=x", ""},
		{"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=", ""},
		{"", ""},
		{"====", ""},
		{"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4"
		 "eHh4eHh4eA==",
			""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		_cleanup_free_ char *text =
			util_format("{\"name\":\"files/a\",\"sha256Hash\":\"%s\"}",
				digests[i].base64);
		struct remote_file f;

		assert_int_equal(gemini_file_parse(text, strlen(text), &f), 0);
		assert_string_equal(f.sha256, digests[i].hex);
		remote_file_clear(&f);
	}
}

static void test_files(void **state)
{
	static const char text[] =
		"{\"files\":[{\"name\":\"files/a\",\"sizeBytes\":\"100\"},{\"sizeBytes\":20},"
		"{\"sizeBytes\":\"7\",\"source\":\"GENERATED\"},{\"sizeBytes\":\"-5\"},{},[],"
		"{\"sizeBytes\":\"9223372036854775807\"}],\"nextPageToken\":\"t\"}";
	int64_t bytes = -1;
	char *next = NULL;

	assert_int_equal(
		gemini_files_parse(text, strlen(text), NULL, &bytes, &next), 0);
	assert_int_equal(bytes, 120);
	assert_string_equal(next, "t");
	free(next);
	assert_int_equal(gemini_files_parse("{}", 2, NULL, &bytes, &next), 0);
	assert_int_equal(bytes, 0);
	assert_null(next);
	assert_int_equal(
		gemini_files_parse("{\"files\":1}", 11, NULL, &bytes, &next), -EPROTO);
	assert_int_equal(gemini_files_parse("[]", 2, NULL, &bytes, &next), -EPROTO);
}

static void test_deep(void **state)
{
	size_t n = 3000000;
	char *text = malloc(n + 1);

	memset(text, '[', n);
	text[n] = 0;
	assert_int_equal(parse_error(text), -EPROTO);
	free(text);
}

/* An object inside n - 1 others. */
static json_t *parse_nested(size_t n)
{
	char text[8 * (API_JSON_DEPTH + 2)] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "{\"a\":");
	text[len++] = '1';
	memset(text + len, '}', n);
	return gemini_json(text, len + n);
}

static void test_depth(void **state)
{
	json_t *json = parse_nested(API_JSON_DEPTH);

	assert_non_null(json);
	json_decref(json);
	assert_null(parse_nested(API_JSON_DEPTH + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_succeeded),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_inlined),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_ids_are_left_out),
		cmocka_unit_test(test_page), cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_digest),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests_name("api_parse", tests, NULL, NULL);
}
