/* Members of a request in places where the API refuses them. */
#include "scan_fixture.h"

#include "provider/gemini/request_members.h"

#define CONFIG_BELONGS "belongs in generationConfig: {\"generationConfig\": {…}}"
#define NO_OBJECT "is not an object: write {…}"
#define STRING "is a string: write {\"parts\": [{\"text\": \"…\"}]}"
#define TOGETHER                                                                       \
	"cannot be used together with a system instruction, tools or toolConfig: put " \
	"those into the cache"
#define ROLE                                                                           \
	"must be user or model: a system instruction goes into systemInstruction, "    \
	"beside contents"
#define BESIDE "belongs beside generationConfig, not in it"

/* What is wrong with a request, and where, from 1, the fault is; 0: nothing. */
static const struct {
	const char *request;
	uint64_t column;
	const char *name, *reason;
} requests[] = {
	{"{\"contents\":[]}", 0, NULL, NULL},
	{"{\"contents\":[],\"temperature\":1}", 16, "temperature", CONFIG_BELONGS},
	{"{\"thinking_config\":{},\"contents\":[]}", 2, "thinkingConfig",
		CONFIG_BELONGS},
	{"{\"contents\":[],\"top_k\":1,\"topP\":1}", 16, "topK", CONFIG_BELONGS},
	{"{\"contents\":[],\"t\\u006fpK\":1}", 16, "topK", CONFIG_BELONGS},
	{"{\"contents\":[],\"config\":{}}", 16, "config",
		"is the SDK's name for it, not the API's: put its members into "
		"generationConfig, or beside it"},
	{"{\"contents\":[],\"system_instructions\":{}}", 16, "systemInstructions",
		"is misspelt: write systemInstruction"},
	{"{\"contents\":[],\"systemInstruction\":\"Be brief.\"}", 36,
		"systemInstruction", STRING},
	{"{\"contents\":[],\"system_instruction\":\"\\u0041 \\n b\"}", 37,
		"systemInstruction", STRING},
	{"{\"contents\":[],\"generationConfig\":\"x\"}", 35, "generationConfig",
		NO_OBJECT},
	{"{\"contents\":[],\"generationConfig\":{\"cachedContent\":\"a\"}}", 36,
		"cachedContent", BESIDE},
	{"{\"contents\":[],\"generation_config\":{\"topK\":1,\"safety_settings\":[]}}",
		46, "safetySettings", BESIDE},
	{"{\"contents\":[],\"cachedContent\":\"a\",\"tools\":[]}", 16, "cachedContent",
		TOGETHER},
	{"{\"toolConfig\":{},\"contents\":[],\"cached_content\":\"a\"}", 32,
		"cachedContent", TOGETHER},
	{"{\"systemInstruction\":{},\"cachedContent\":\"a\",\"contents\":[]}", 25,
		"cachedContent", TOGETHER},
	{"{\"contents\":[{\"role\":\"user\"},{\"parts\":[],\"role\":\"system\"}]}", 49,
		"role", ROLE},
	{"{\"contents\":[{\"role\":\"assis\\u0074ant\"}]}", 22, "role", ROLE},
	/* Right, or not for us to judge. */
	{"{\"contents\":[{\"role\":\"\"},{\"role\":\"us\\u0065r\"},{\"role\":\"model\"}"
	 ",{\"role\":"
	 "\"function\",\"parts\":[{\"role\":\"x\"}]}],\"systemInstruction\":{\"role\":"
	 "\"system\"}}",
		0, NULL, NULL},
	{"{\"contents\":[],\"cachedContent\":\"a\",\"generationConfig\":{\"tool\":1}}",
		0, NULL, NULL},
	{"{\"contents\":[{\"temperature\":1,\"generationConfig\":{\"tools\":1}}]}", 0,
		NULL, NULL},
	{"{\"contents\":[],\"generationConfig\":{\"temperature\":1,\"responseSchema\":{"
	 "\"properties\":{\"tools\":{},\"config\":{}}},\"a\":{\"tools\":1}}}",
		0, NULL, NULL},
	{"{\"contents\":[],\"systemInstruction\":{\"parts\":[{\"text\":\"a\"}]},"
	 "\"tools\":[{"
	 "\"functionDeclarations\":[{\"temperature\":1}]}],\"toolConfig\":{}}",
		0, NULL, NULL},
	{"{\"contents\":[],\"generationConfig\":[{\"tools\":1}]}", 0, NULL, NULL},
	{"{\"contents\":[],\"Temperature\":1,\"top__k\":1,\"topk\":1,\"_topK\":1,"
	 "\"topK_\":1}",
		0, NULL, NULL},
	{"{\"contents\":[],\"other\":{\"temperature\":1}}", 0, NULL, NULL},
};

/* As the value of "request", where the columns are later, and as a bare line. */
static void check(const char *before, const char *request, const char *after, size_t i)
{
	_cleanup_free_ char *text = util_format("%s%s%s\n", before, request, after);
	struct validate_report whole, r;

	scan_bytes(text, strlen(text), &whole);
	if (whole.bad_total != (requests[i].column != 0))
		fail_msg("%s", text);
	for (size_t piece = 1; piece < 40; piece += 4) {
		scan_pieces(text, strlen(text), piece, piece, &r);
		assert_same_report(&whole, &r);
	}
	if (!requests[i].column)
		return;
	assert_int_equal(whole.bad[0].column, requests[i].column + strlen(before));
	assert_string_equal(whole.bad[0].name, requests[i].name);
	assert_string_equal(whole.bad[0].reason, requests[i].reason);
}

static void test_requests(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		check("", requests[i].request, "", i);
		check("{\"key\":\"a\",\"request\":", requests[i].request, "}", i);
		check("{\"request\": ", requests[i].request, ",\"key\":\"a\"}", i);
		check("{\"tools\":[],\"topP\":1,\"request\":", requests[i].request, "}",
			i);
	}
}

/* Beside "request" it is the API's to judge. */
static void test_beside_request(void **state)
{
	static const char *const lines[] = {
		"{\"temperature\":1,\"request\":{\"contents\":[]}}\n",
		"{\"request\":{\"contents\":[]},\"config\":{\"tools\":[]}}\n",
		"{\"generationConfig\":{\"tools\":[]},\"request\":{\"contents\":[]}}\n",
		"{\"cachedContent\":\"a\",\"request\":{\"contents\":[],\"tools\":[]}}\n",
		"{\"systemInstruction\":\"a\",\"request\":{\"contents\":[]},\"key\":\"a\"}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct validate_report r = scan_text(lines[i]);

		if (validate_report_status(&r) != 0)
			fail_msg("%s", lines[i]);
	}
}

/* A line forgets the one before it. */
static void test_lines_apart(void **state)
{
	static const char text[] =
		"{\"contents\":[],\"cachedContent\":\"a\"}\n"
		"{\"contents\":[],\"tools\":[]}\n"
		"{\"key\":\"a\",\"request\":{\"topK\":1}}\n"
		"{\"key\":\"b\",\"request\":{\"generationConfig\":{}}}\n"
		"{\"key\":\"c\",\"request\":{\"generationConfig\":{},\"generationConfig\":{"
		"\"tools\":[]}}}\n";
	struct validate_report r = scan_text(text);
	_cleanup_free_ char *told = validate_report_text(&r);

	assert_int_equal(validate_report_status(&r), -EBADMSG);
	assert_string_equal(told,
		"line 3, column 23: \"topK\" " CONFIG_BELONGS "\n"
		"line 5, column 65: \"tools\" " BESIDE "\n");
}

/* The filter lets every name of the table through, in both spellings. */
static void test_filter(void **state)
{
	const struct request_grammar *g = &gemini_requests;
	struct placement_filter f;

	placement_filter_init(&f, g);
	for (enum place place = 0; place < N_PLACES; place++) {
		size_t n = g->places[place].n;
		const struct placement *rows = g->places[place].rows;

		for (size_t i = 0; i < n; i++) {
			assert_int_equal(strlen(rows[i].name), rows[i].len);
			assert_ptr_equal(
				placement_find(g, place, rows[i].name, rows[i].len),
				&rows[i]);
			if (rows[i].part != PART_UNWANTED)
				assert_true(placement_may_know(
					&f, place, rows[i].name, rows[i].len));
		}
	}
	assert_true(placement_may_know(&f, PLACE_REQUEST, "max_output_tokens", 17));
	assert_ptr_equal(placement_find(g, PLACE_REQUEST, "max_output_tokens", 17),
		placement_find(g, PLACE_REQUEST, "maxOutputTokens", 15));
	assert_false(placement_may_know(&f, PLACE_REQUEST, "", 0));
	assert_null(placement_find(g, PLACE_REQUEST, "tools\0AAAAAAAAA", 15));
	assert_null(placement_find(g, PLACE_REQUEST, "max_output_", 11));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_beside_request),
		cmocka_unit_test(test_lines_apart),
		cmocka_unit_test(test_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
