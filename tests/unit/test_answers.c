#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include "answers_fixture.h"
#include "base/util.h"

/* A request with key k, and what else is in it. */
#define ASK(k, more) "{\"key\":\"" k "\",\"request\":{\"contents\":[]" more "}}\n"
#define SAYS(k, text)                                                                  \
	"{\"response\":{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" text    \
	"\"}],\"role\":\"model\"},\"finishReason\":\"STOP\"}]},\"key\":\"" k "\"}\n"
#define FAILS(k, code) "{\"key\":\"" k "\",\"error\":{\"code\":" code "}}\n"
#define PARTS(k, parts, finish)                                                        \
	"{\"key\":\"" k                                                                \
	"\",\"response\":{\"candidates\":[{\"content\":{\"parts\":[" parts "]}" finish \
	"}]}}\n"

static void make(struct made *m, const char *requests, const char *results)
{
	assert_int_equal(made_new(m, requests, requests ? strlen(requests) : 0, results,
				 results ? strlen(results) : 0, 0),
		0);
}

/* The same whatever pieces the sources come in. */
static void expect(const char *requests, const char *results, const char *tsv,
	const char *tree, const char *retry)
{
	static const size_t pieces[] = {0, 1, 7, 64};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct made m;

		assert_int_equal(
			made_new(&m, requests, requests ? strlen(requests) : 0, results,
				results ? strlen(results) : 0, pieces[i]),
			0);
		_cleanup_free_ char *got_tsv = made_tsv(&m), *got_tree = made_tree(&m),
				    *got_retry = made_retry(&m);

		if (tsv)
			assert_string_equal(got_tsv, tsv);
		if (tree)
			assert_string_equal(got_tree, tree);
		if (retry)
			assert_string_equal(got_retry, retry);
		made_free(&m);
	}
}

static void in_the_order_asked(void **state)
{
	expect(ASK("a", "") ASK("b", "") ASK("c", ""),
		SAYS("c", "three") SAYS("a", "one") SAYS("b", "two"),
		"a\tanswered\tone\nb\tanswered\ttwo\nc\tanswered\tthree\n",
		"a.txt = one\nb.txt = two\nc.txt = three\n", "");
}

static void without_requests_in_the_order_that_came(void **state)
{
	expect(NULL, SAYS("c", "three") SAYS("a", "one"),
		"c\tanswered\tthree\na\tanswered\tone\n",
		"c.txt = three\na.txt = one\n", "");
}

static void missing_double_extra_and_keyless_lines(void **state)
{
	expect(ASK("a", "") ASK("b", ""),
		SAYS("a", "1") SAYS("a", "2") SAYS("x", "3")
			"{\"response\":{\"candidates\":[{\"content\":{\"parts\":"
			"[{\"text\":\"4\"}]}}]}}\n\n",
		"a\tanswered\t1\nb\tmissing\tthere is no result for this request\n"
		"a\tanswered\t2\nx\tanswered\t3\n\tanswered\t4\n",
		"a.txt = 1\nb.error = there is no result for this request\n"
		"a~2.txt = 2\nx.txt = 3\n~4.txt = 4\n",
		ASK("b", ""));
}

static void damaged_lines_are_failures(void **state)
{
	expect(ASK("a", "") ASK("b", ""),
		"{\"key\":\"a\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"
		"[{\"text\":\"x\"},{\"inlineData\":{\"data\":\"AAAA\"}}\n" SAYS(
			"b", "2") "{\"key\":\"b",
		"a\tfailed\tthe line of results is damaged\nb\tanswered\t2\n"
		"\tfailed\tthe line of results is damaged\n",
		"a.error = the line of results is damaged\nb.txt = 2\n"
		"~3.error = the line of results is damaged\n",
		ASK("a", ""));
}

static void a_bom_is_no_damage(void **state)
{
	expect(ASK("a", ""), "\xef\xbb\xbf" SAYS("a", "1"), "a\tanswered\t1\n",
		"a.txt = 1\n", "");
}

static void escapes_and_surrogates(void **state)
{
	expect(NULL,
		SAYS("\\u00e4\\/b",
			"tab\\tnl\\ncr\\r\\\\ \\\"q\\\" \\ud83d\\ude00 \\u00fc\\/"),
		"\xc3\xa4/b\tanswered\ttab\\tnl\\ncr\\r\\\\ \"q\" \xf0\x9f\x98\x80 \xc3\xbc/\n",
		"\xc3\xa4/\n\xc3\xa4/b.txt = tab\tnl\ncr\r\\ \"q\" \xf0\x9f\x98\x80 \xc3\xbc/\n",
		NULL);
	/* One newline at the end is enough. */
	expect(NULL, SAYS("a", "x\\n"), "a\tanswered\tx\\n\n", "a.txt = x\n", NULL);
}

static void thoughts_are_left_out(void **state)
{
	expect(NULL,
		PARTS("a",
			"{\"text\":\"hm\",\"thought\":true,\"thoughtSignature\":\"x\"},"
			"{\"thought\": true , \"text\":\"hm2\"},"
			"{\"text\":\"one \",\"thoughtSignature\":\"abc\"},"
			"{\"text\":\"two\",\"thought\":false}",
			""),
		"a\tanswered\tone two\n", "a.txt = one two\n", NULL);
}

static void only_the_first_candidate_counts(void **state)
{
	expect(NULL,
		"{\"key\":\"a\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"
		"[{\"text\":\"first\"}]}},{\"content\":{\"parts\":[{\"text\":\"second\"}]},"
		"\"finishReason\":\"MAX_TOKENS\"}]}}",
		"a\tanswered\tfirst\n", "a.txt = first\n", NULL);
}

static void truncated(void **state)
{
	expect(ASK("a", "") ASK("b", ""),
		PARTS("a", "{\"text\":\"so f\"}", ",\"finishReason\":\"MAX_TOKENS\"")
			PARTS("b", "", ",\"finish_reason\":\"MAX_TOKENS\""),
		"a\ttruncated\tso f\nb\ttruncated\tMAX_TOKENS\n",
		"a.txt = so f\nb.error = MAX_TOKENS\n", "");
}

static void blocked(void **state)
{
	static const char *const policies[] = {"SAFETY", "RECITATION",
		"PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY"};

	expect(ASK("a", "") ASK("b", "") ASK("c", ""),
		"{\"key\":\"a\",\"response\":{\"promptFeedback\":{\"blockReason\":"
		"\"PROHIBITED_CONTENT\"}}}\n" PARTS("b", "",
			",\"finishReason\":\"SAFETY\","
			"\"finishMessage\":\"No, \\u00e4.\"") PARTS("c",
			"{\"text\":\"\"}", ",\"finishReason\":\"RECITATION\""),
		"a\tblocked\tPROHIBITED_CONTENT\nb\tblocked\tSAFETY: No, \xc3\xa4.\n"
		"c\tblocked\tRECITATION\n",
		"a.error = PROHIBITED_CONTENT\nb.error = SAFETY: No, \xc3\xa4.\n"
		"c.error = RECITATION\n",
		"");
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		_cleanup_free_ char *line = util_format(
			"{\"key\":\"a\",\"response\":{\"candidates\":[{\"finishReason\":\"%s\"}]}}",
			policies[i]);
		_cleanup_free_ char *tsv = util_format("a\tblocked\t%s\n", policies[i]);

		expect(ASK("a", ""), line, tsv, NULL, "");
	}
}

/* Nobody forbade it: the next try often answers. */
static void nothing_said_is_a_failure_that_may_pass(void **state)
{
	static const struct {
		const char *parts, *more, *why;
	} empty[] = {
		{"", ",\"finishReason\":\"STOP\"", "STOP, no content"},
		{"{\"text\":\"\"}", ",\"finishReason\":\"STOP\"", "STOP, no content"},
		{"", "", "no content"},
		{"{\"text\":\"hm\",\"thought\":true}", ",\"finishReason\":\"STOP\"",
			"STOP, no content"},
		{"", ",\"finishReason\":\"OTHER\"", "OTHER, no content"},
		{"", ",\"finishReason\":\"MALFORMED_FUNCTION_CALL\",\"finishMessage\":\"f(\"",
			"MALFORMED_FUNCTION_CALL, no content: f("},
		{"", ",\"finishReason\":\"NO_IMAGE\"", "NO_IMAGE"},
		{"{\"text\":\"Here it is\"}", ",\"finishReason\":\"IMAGE_OTHER\"",
			"IMAGE_OTHER"},
		{"", ",\"finishReason\":\"SOMETHING_NEW\"",
			"SOMETHING_NEW, no content"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		_cleanup_free_ char *line = util_format(
			PARTS("a", "%s", "%s"), empty[i].parts, empty[i].more);
		_cleanup_free_ char *tsv = util_format("a\tfailed\t%s\n", empty[i].why);
		_cleanup_free_ char *tree = util_format("a.error = %s\n", empty[i].why);

		expect(ASK("a", ""), line, tsv, tree, ASK("a", ""));
	}
	expect(ASK("a", ""), "{\"key\":\"a\",\"response\":{\"candidates\":[]}}\n",
		"a\tfailed\tno candidates\n", "a.error = no candidates\n",
		ASK("a", ""));
}

/* As batches of other programs name their requests. */
static void keys_by_other_names(void **state)
{
#define WITH(more)                                                                      \
	"{\"response\":{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}" \
	"," more "}\n"
	expect(NULL,
		WITH("\"metadata\":{\"custom_id\":\"m\"}") WITH("\"custom_id\":\"c\"") WITH(
			"\"id\":\"i\"") WITH("\"metadata\":{\"id\":\"j\",\"n\":1}")
			WITH("\"metadata\":{\"key\":\"no\"},\"key\":\"k\",\"id\":\"no\"") WITH(
				"\"id\":\"no\",\"customId\":\"d\",\"metadata\":{\"key\":\"no\"}")
				WITH("\"metadata\":{\"id\":\"no\",\"key\":\"e\",\"custom_id\":\"no\"}")
					WITH("\"metadata\":{\"id\":7}") WITH(
						"\"metadata\":{\"id\":\"f\"},\"id\":7"),
		"m\tanswered\tx\nc\tanswered\tx\ni\tanswered\tx\nj\tanswered\tx\nk\tanswered\tx\n"
		"d\tanswered\tx\ne\tanswered\tx\n\tanswered\tx\nf\tanswered\tx\n",
		NULL, NULL);
	/* Requests that went inline are those of the file. */
	expect("{\"custom_id\":\"b\",\"request\":{}}\n{\"request\":{},\"metadata\":{\"id\":\"a\"}}\n"
	       "{\"id\":1,\"request\":{}}\n",
		SAYS("a", "1") SAYS("b", "2") SAYS("3", "3"),
		"b\tanswered\t2\na\tanswered\t1\n3\tanswered\t3\n", NULL, "");
}

static char *warnings_of(const struct made *m)
{
	return strndup(m->a->blob + m->a->head.warnings_at, m->a->head.warnings_len);
}

static void expect_warnings(const char *requests, const char *results, const char *want)
{
	struct made m;

	make(&m, requests, results);
	_cleanup_free_ char *got = warnings_of(&m);
	assert_string_equal(got, want);
	made_free(&m);
}

#define VERSION(v, more)                                                                        \
	"{\"key\":\"a\",\"response\":{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"" \
	"}]}}],\"modelVersion\":\"" v "\"" more "}}\n"

static void what_all_results_tell(void **state)
{
	struct made m;
	char text[ANSWERS_USAGE_MAX];

	expect_warnings(NULL, VERSION("gemini-3.8-flash", ""), "");
	expect_warnings(NULL, VERSION("models/gemini-3.8-flash-001", ""), "");
	expect_warnings(NULL, VERSION("gemini-3.8-flash-preview-09-2026", ""), "");
	expect_warnings(NULL,
		VERSION("gemini-3.8-flash-lite", "")
			VERSION("gemini-3.8-flash-lite", ""),
		"another model answered: gemini-3.8-flash-lite, not gemini-3.8-flash (2 "
		"requests); its price may differ\n");
	expect_warnings(NULL,
		VERSION("gemini-3.8-flash",
			",\"modelStatus\":{\"modelStage\":\"DEPRECATED\","
			"\"retirementTime\":\"2027-01-02T00:00:00Z\"}"),
		"the model's stage is DEPRECATED, it retires 2027-01-02T00:00:00Z (1 "
		"result): choose another model for the next job (names: .batchfs/models)\n");
	expect_warnings(NULL,
		"{\"key\":\"a\",\"error\":{\"code\":5,\"message\":\"gone\\nfor good\"}}\n"
		"{\"key\":\"b\",\"error\":{\"code\":5,\"message\":\"gone\"}}\n",
		"no request has an answer, all for the same reason: NOT_FOUND (5): gone for good\n");
	expect_warnings(ASK("a", "") ASK("b", "") ASK("c", ""),
		SAYS("a", "x") FAILS("b", "13"),
		"2 of 3 requests have no answer (blocked 0, failed 1, missing 1): "
		"answers.tsv says why; to ask again where that may help: echo "
		"retry > ctl\n");
	make(&m, NULL,
		VERSION("m-1", "") VERSION("m-2", "") VERSION("m-1", "")
			VERSION("a b", ""));
	answers_usage(m.a, text);
	assert_non_null(strstr(text, "\nmodel_version m-1 2\nmodel_version m-2 1\n"));
	made_free(&m);
}

/* Nobody knows by name which those are. */
static void missing_of_others(void **state)
{
	static const struct {
		int64_t asked;
		const char *line;
	} counts[] = {{5, "\nmissing 3\n"}, {1, "\nmissing 0\n"}, {-1, NULL}};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		char text[ANSWERS_USAGE_MAX];
		struct made m;

		made_asked = counts[i].asked;
		make(&m, NULL, SAYS("a", "x") SAYS("b", "x"));
		made_asked = -1;
		answers_usage(m.a, text);
		if (counts[i].line)
			assert_non_null(strstr(text, counts[i].line));
		else
			assert_null(strstr(text, "missing"));
		made_free(&m);
	}
}

static void missing_of_others_is_a_warning(void **state)
{
	made_asked = 3;
	expect_warnings(NULL, SAYS("a", "x"),
		"2 of 3 requests have no answer (blocked 0, failed 0, missing 2)\n");
	made_asked = -1;
}

/* Samples alone are opened by no player. */
static void samples_get_a_head(void **state)
{
	static const uint8_t want[] =
		"RIFF\x2a\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0\x80\xbb\0\0"
		"\0\xee\2\0\4\0\x10\0data\6\0\0\0abcdef";
	uint8_t got[64];
	struct made m;

	make(&m, NULL,
		PARTS("a",
			"{\"inlineData\":{\"mimeType\":\"audio/L16;codec=pcm; rate=48000;"
			"channels=2\",\"data\":\"YWJjZGVm\"}}",
			""));
	assert_string_equal(answers_name(m.a, &m.a->nodes[1]), "a.wav");
	assert_int_equal(answers_node_size(m.a, &m.a->nodes[1]), sizeof want - 1);
	for (uint64_t off = 0; off < sizeof want - 1; off++)
		for (size_t n = 1; n <= sizeof want - 1 - off; n++) {
			assert_int_equal(
				answers_read_node(m.a, &m.sources, 1, off, got, n), n);
			assert_memory_equal(got, want + off, n);
		}
	_cleanup_free_ char *tsv = made_tsv(&m);
	assert_string_equal(tsv, "a\tanswered\ta.wav\n");
	made_free(&m);
}

static void failures_that_pass_are_tried_again(void **state)
{
	static const struct {
		const char *code;
		bool again;
	} codes[] = {{"1", true}, {"2", true}, {"3", false}, {"4", true}, {"5", false},
		{"7", false}, {"8", true}, {"9", false}, {"10", true}, {"12", false},
		{"13", true}, {"14", true}, {"16", false}, {"400", false},
		{"404", false}, {"408", true}, {"429", true}, {"499", true},
		{"500", true}, {"501", false}, {"503", true}, {"\"14\"", true},
		{"\"3\"", false}, {"null", true}};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		_cleanup_free_ char *results = util_format(
			"{\"key\":\"a\",\"error\":{\"code\":%s}}\n", codes[i].code);

		print_message("# %s\n", codes[i].code);
		expect(ASK("a", ""), results, NULL, NULL,
			codes[i].again ? ASK("a", "") : "");
	}
	expect(ASK("a", "") ASK("b", "") ASK("c", ""),
		"{\"error\":{\"code\":13,\"message\":\"An \\\"internal\\\"\\nerror\"},"
		"\"key\":\"a\"}\n{\"key\":\"b\",\"status\":{\"code\":503}}\n"
		"{\"key\":\"c\",\"error\":{\"message\":\"?\",\"status\":\"ABORTED\"}}\n",
		"a\tfailed\tINTERNAL (13): An \"internal\"\\nerror\nb\tfailed\tHTTP (503)\n"
		"c\tfailed\tABORTED: ?\n",
		"a.error = INTERNAL (13): An \"internal\"\nerror\nb.error = HTTP (503)\n"
		"c.error = ABORTED: ?\n",
		ASK("a", "") ASK("b", "") ASK("c", ""));
}

/* Complete lines, with the keys that went out: as wide as the last line's number. */
static void retry_lines_have_their_keys(void **state)
{
	expect("{\"contents\":[1]}\n\n {\"request\":{\"x\":{}}} \n" ASK("k", "")
	       "\n\n\n\n\n{\"contents\":[10], \"y\":1}",
		SAYS("k", "v") FAILS("03", "14"), NULL, NULL,
		"{\"key\":\"01\",\"request\":{\"contents\":[1]}}\n"
		"{\"key\":\"03\",\"request\":{\"x\":{}}}\n"
		"{\"key\":\"10\",\"request\":{\"contents\":[10], \"y\":1}}\n");
}

static void all_is_tried_again_without_output(void **state)
{
	struct made m;

	make(&m, ASK("a", "") ASK("b", ""), NULL);
	_cleanup_free_ char *retry = made_retry(&m);

	assert_string_equal(retry, ASK("a", "") ASK("b", ""));
	assert_int_equal(m.a->head.counts[ANSWER_MISSING], 2);
	made_free(&m);
}

#define JSON ",\"generationConfig\":{\"responseMimeType\":\"application/json\"}"
#define JSON_SNAKE                                                                     \
	",\"generation_config\":{\"response_mime_type\":\"application/json\"}"

static void json_that_was_asked_for(void **state)
{
	expect(ASK("a", JSON) ASK("b", JSON_SNAKE) ASK("c", JSON) ASK("d", "")
			ASK("e", JSON) ASK("f", JSON) ASK("g", JSON),
		SAYS("a", "{\\\"x\\\": [1,2]}") SAYS("b", "[1]\\n") SAYS("c",
			"{\\\"x\\\": [1") SAYS("d", "{}") SAYS("e", "1, \\\"y\\\":2")
			SAYS("f", "1} ") SAYS("g", " \\\"s\\\" "),
		NULL,
		"a.json = {\"x\": [1,2]}\nb.json = [1]\nc.txt = {\"x\": [1\nd.txt = {}\n"
		"e.txt = 1, \"y\":2\nf.txt = 1} \ng.json =  \"s\" \n",
		"");
	expect("{\"contents\":[]" JSON "}\n", SAYS("1", "[]"), "1\tanswered\t[]\n",
		"1.json = []\n", NULL);
	/* In two parts, and cut short. */
	expect(ASK("a", JSON),
		PARTS("a", "{\"text\":\"[1\"},{\"text\":\",2]\"}",
			",\"finishReason\":\"MAX_TOKENS\""),
		"a\ttruncated\t[1,2]\n", "a.json = [1,2]\n", "");
}

#define WANTS(name, schema)                                                            \
	",\"generationConfig\":{\"" name "\":" schema                                   \
	",\"responseMimeType\":\"application/json\"}"
#define NUMBER_N                                                                       \
	"{\"type\":\"OBJECT\",\"properties\":{\"n\":{\"type\":\"NUMBER\"}},"              \
	"\"required\":[\"n\"]}"
#define WANTS_N WANTS("responseSchema", NUMBER_N)

static void what_does_not_fit_its_schema(void **state)
{
	expect(ASK("a", WANTS_N) ASK("b", WANTS_N) ASK("c", WANTS_N) ASK("d", WANTS_N)
			ASK("e", JSON) ASK("f", WANTS_N),
		SAYS("f", "{\\\"n\\\":1}") SAYS("c", "[]\\n") SAYS("a",
			"{\\\"n\\\": \\\"1\\\"}") SAYS("b", "{\\\"n\\\": 1e2 }")
			SAYS("d", "{\\\"n\\\": \\\"1\\\"") SAYS("e", "[]"),
		"a\tinvalid\t{\"n\": \"1\"}\nb\tanswered\t{\"n\": 1e2 }\n"
		"c\tinvalid\t[]\\n\nd\ttruncated\t{\"n\": \"1\"\ne\tanswered\t[]\n"
		"f\tanswered\t{\"n\":1}\n",
		"a.json = {\"n\": \"1\"}\na.error = /n is a string, not a number\n"
		"b.json = {\"n\": 1e2 }\nc.json = []\n"
		"c.error = the answer is a list, not an object\n"
		"d.txt = {\"n\": \"1\"\ne.json = []\nf.json = {\"n\":1}\n",
		ASK("a", WANTS_N) ASK("c", WANTS_N));
}

/* Each has its own: in another spelling, a JSON Schema, one that says nothing, none. */
static void schemas_of_their_own(void **state)
{
	char *requests = NULL, *results = NULL;
	size_t requests_len, results_len;
	FILE *asks = open_memstream(&requests, &requests_len);
	FILE *says = open_memstream(&results, &results_len);
	struct made m;

	expect(ASK("a", WANTS("response_schema", "{\"type\":\"STRING\"}"))
			ASK("b", WANTS("responseJsonSchema", "{\"type\":[\"null\"]}"))
				ASK("c", WANTS("responseSchema", "{\"type\":1e999}"))
					ASK("d", WANTS("responseSchema", "null")),
		SAYS("a", "1") SAYS("b", "2") SAYS("c", "3") SAYS("d", "4"),
		"a\tinvalid\t1\nb\tinvalid\t2\nc\tanswered\t3\nd\tanswered\t4\n", NULL,
		NULL);
	/* Not JSON that was asked for, not requests that are here. */
	expect(ASK("a", ",\"generationConfig\":{\"responseSchema\":{\"type\":\"STRING\"}}"),
		SAYS("a", "1"), "a\tanswered\t1\n", NULL, "");
	expect(NULL, SAYS("a", "1"), "a\tanswered\t1\n", NULL, NULL);
	/* Very many, in another order. */
	for (unsigned i = 0; i < 1000; i++) {
		fprintf(asks, ASK("%u", WANTS("responseSchema", "{\"minimum\":%u}")), i, i);
		/* The text comes first. */
		fprintf(says, SAYS("%u", "%d"), (int)(i * 7 % 1000) - (i % 10 == 0),
			i * 7 % 1000);
	}
	fclose(asks);
	fclose(says);
	assert_int_equal(
		made_new(&m, requests, requests_len, results, results_len, 0), 0);
	assert_int_equal(m.a->head.counts[ANSWER_INVALID], 100);
	assert_int_equal(m.a->head.counts[ANSWERED], 900);
	made_free(&m);
	free(requests);
	free(results);
}

static void what_is_no_matter_of_schemas(void **state)
{
	/* Cut short, in parts, beside a call. */
	expect(ASK("a", WANTS_N) ASK("b", WANTS_N) ASK("c", WANTS_N),
		PARTS("a", "{\"text\":\"[]\"}", ",\"finishReason\":\"MAX_TOKENS\"")
			PARTS("b", "{\"text\":\"{\\\"n\\\"\"},{\"text\":\":[]}\"}", "")
				PARTS("c", "{\"text\":\"[]\"},{\"functionCall\":{}}", ""),
		"a\ttruncated\t[]\nb\tinvalid\t{\"n\":[]}\nc\tanswered\t[]\n",
		"a.json = []\nb.json = {\"n\":[]}\nb.error = /n is a list, not a number\n"
		"c.json = []\n",
		ASK("b", WANTS_N));
}

static void what_does_not_fit_is_warned_of(void **state)
{
	expect_warnings(ASK("c", WANTS_N) ASK("b", WANTS_N), SAYS("b", "[]"),
		"1 of 2 requests has no answer (blocked 0, failed 0, missing 1): answers.tsv "
		"says why; to ask again where that may help: echo retry > ctl\n"
		"1 answer does not fit the schema that was asked for: in b, the answer is a "
		"list, not an object; responses/KEY.error says where; to ask again: echo "
		"retry > ctl\n");
	expect_warnings(ASK("x\\ny", WANTS_N) ASK("b", WANTS_N),
		SAYS("b", "[]") SAYS("x\\ny", "{}"),
		"2 answers do not fit the schema that was asked for: in the first, x?y, the "
		"answer has no n; responses/KEY.error says where; to ask again: echo "
		"retry > ctl\n");
}

static void parts_that_are_no_text(void **state)
{
	expect(ASK("a", ""),
		PARTS("a",
			"{\"functionCall\":{\"name\":\"f\",\"args\":{\"t\":\"\\\\n\"}}}",
			""),
		"a\tanswered\t[{\"functionCall\":{\"name\":\"f\",\"args\":{\"t\":\"\\\\\\\\n\"}}}]\n",
		"a.json = [{\"functionCall\":{\"name\":\"f\",\"args\":{\"t\":\"\\\\n\"}}}]\n",
		"");
	/* Beside a text both are there. */
	expect(NULL, PARTS("a", "{\"text\":\"t\"}, {\"functionCall\":{}}", ""),
		"a\tanswered\tt\n",
		"a.txt = t\na.json = [{\"text\":\"t\"}, {\"functionCall\":{}}]\n",
		NULL);
}

static void embeddings(void **state)
{
	struct made m;

	expect(NULL,
		"{\"response\":{\"tokenCount\":\"7\",\"embedding\":{\"values\":[0.5,-1e3]}},"
		"\"key\":\"a\"}\n",
		"a\tanswered\t2\n", "a.json = {\"values\":[0.5,-1e3]}\n", NULL);
	make(&m, NULL,
		"{\"response\":{\"tokenCount\":\"7\",\"embedding\":{\"values\":[]}},\"key\":\"a\"}");
	assert_int_equal(m.a->head.tokens[TOKENS_PROMPT], 7);
	assert_int_equal(m.a->head.tokens[TOKENS_TOTAL], 7);
	made_free(&m);
}

#define PICTURE(mime, data)                                                            \
	"{\"inlineData\":{\"mimeType\":\"" mime "\",\"data\":\"" data "\"}}"

static void pictures_and_sounds(void **state)
{
	/* "Man", "Ma", "M"; with escapes, without padding, for URLs, cut by what is none. */
	expect(NULL,
		PARTS("a",
			PICTURE("image/png", "TWFu") "," PICTURE("image/jpeg",
				"TWE=") ","
					"{\"text\":\"t\"}," PICTURE("audio/amr",
						"TQ==") ","
							"{\"inline_data\":{\"data\":\"T\\u0057\\nFu\",\"mime_type\":\"x/y\"}}," PICTURE(
								"image/gif",
								"TWE") "," PICTURE("image/webp",
								"TWFu*TWFu"),
			""),
		"a\tanswered\tt\n",
		"a.txt = t\na.png = Man\na.2.jpg = Ma\na.3.bin = M\na.4.bin = Man\n"
		"a.5.gif = Ma\na.6.webp = Man\n",
		NULL);
	expect(NULL, PARTS("a", PICTURE("image/png", "Pz8_Pz8\\/Pj4-"), ""),
		"a\tanswered\ta.png\n", "a.png = ?\?\?\?\?\?>>>\n", NULL);
	expect(NULL, PARTS("a", PICTURE("image/png", ""), ""), "a\tanswered\ta.png\n",
		"a.png = \n", NULL);
	expect(NULL,
		PARTS("d/a",
			PICTURE("image/png", "TWFu") "," PICTURE("image/png", "TWE="),
			""),
		"d/a\tanswered\td/a.png\n", "d/\nd/a.png = Man\nd/a.2.png = Ma\n",
		NULL);
}

/* Longer than any buffer on the way, read from the middle, too. */
static void a_large_picture(void **state)
{
	static const char digits[] =
		"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w";
	static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop";
	enum { TIMES = 20000 };
	size_t unit = strlen(digits), size = TIMES * strlen(bytes);
	_cleanup_free_ char *data = malloc(TIMES * unit + 1), *all = malloc(size);

	for (size_t i = 0; i < TIMES; i++) {
		memcpy(data + i * unit, digits, unit + 1);
		memcpy(all + i * strlen(bytes), bytes, strlen(bytes));
	}
	for (int escaped = 0; escaped < 2; escaped++) {
		_cleanup_free_ char *results = util_format(
			"{\"key\":\"a\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"
			"[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"%s%s\"}}]}}]}}",
			data, escaped ? "\\n" : "");
		char *got = malloc(size + 1);
		struct made m;

		make(&m, NULL, results);
		assert_int_equal(answers_node_size(m.a, &m.a->nodes[1]), size);
		assert_int_equal(m.a->extents[0].regular, !escaped);
		for (uint64_t off = 0; off < size; off = off * 2 + 1) {
			assert_int_equal(
				answers_read_node(m.a, &m.sources, 1, off, got, size),
				size - off);
			assert_memory_equal(got, all + off, size - off);
		}
		free(got);
		made_free(&m);
	}
}

/* A file read in pieces of `step`, forwards, and then some of it backwards: the same as in
 * one, and for little more than its bytes read once. */
static void cheap(
	struct made *m, made_read read, uint32_t node, uint64_t size, size_t step)
{
	uint64_t all = m->results.len + m->requests.len;
	_cleanup_free_ char *whole = made_whole(m, read, node, size, size + 1);
	char *buf = malloc(step);

	m->results.total = m->requests.total = 0;
	for (uint64_t off = 0; off < size; off += step) {
		ssize_t n = read(m, node, off, buf, step);

		assert_true(n > 0);
		assert_memory_equal(buf, whole + off, (size_t)n);
	}
	assert_true(m->results.total + m->requests.total < 4 * all);
	for (uint64_t off = size; off > step; off = off * 3 / 4) {
		ssize_t n = read(m, node, off - 1, buf, step);

		assert_true(n > 0);
		assert_memory_equal(buf, whole + off - 1, (size_t)n);
	}
	free(buf);
}

static void long_texts_are_decoded_once(void **state)
{
	static const char *const units[] = {"plain ", "\\n\\u00e9\\ud83d\\ude00\\\"",
		"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
		"a\\tb\xc3\xa9 and so on \\\\ "};
	enum { SIZE = 3 << 20 };

	for (size_t u = 0; u < ARRAY_SIZE(units); u++) {
		size_t unit = strlen(units[u]), n = SIZE / unit;
		_cleanup_free_ char *text = malloc(n * unit + 1);
		_cleanup_free_ char *results = NULL, *requests = NULL;
		struct made m;

		for (size_t i = 0; i < n; i++)
			memcpy(text + i * unit, units[u], unit + 1);
		results = util_format(
			SAYS("z", "first") SAYS("a", "%s") SAYS("b", "last"), text);
		requests = util_format(ASK("a", "") ASK("z", "") ASK("b", "")
			ASK("c", ",\"x\":\"%s\""), text);
		make(&m, requests, results);
		for (size_t step = 100000; step <= 131072; step += 31072) {
			cheap(&m, made_read_node, 1, m.a->nodes[1].size, step);
			cheap(&m, made_read_tsv, 0, m.a->head.tsv_size, step);
			cheap(&m, made_read_retry, 0, m.a->head.retry_size, step);
		}
		made_free(&m);
	}
}

static void odd_keys(void **state)
{
	expect(NULL,
		SAYS("..", "1") SAYS("../../etc/passwd", "2") SAYS("a//b", "3")
			SAYS("", "4") SAYS("x\\u0000y\\n\\u0085%41", "5")
				SAYS(".hid", "6") SAYS("/", "7") SAYS("100% sure", "8"),
		NULL,
		"%2E..txt = 1\n%2E./\n%2E./%2E./\n%2E./%2E./etc/\n"
		"%2E./%2E./etc/passwd.txt = 2\na/\na/%/\na/%/b.txt = 3\n%.txt = 4\n"
		"x%00y%0A%C2%85%41.txt = 5\n%2Ehid.txt = 6\n%/\n%/%.txt = 7\n"
		"100% sure.txt = 8\n",
		NULL);
}

static void names_that_collide(void **state)
{
	/* A file and a directory, the same key twice, a second picture and a key. */
	expect(NULL,
		SAYS("a", "1") SAYS("a.txt/b", "2") SAYS("a.txt/c", "3") SAYS(
			"d.txt/e", "4") SAYS("d", "5") SAYS("a", "6") SAYS("a~6", "7"),
		NULL,
		"a.txt = 1\na.txt~2/\na.txt~2/b.txt = 2\na.txt~3/\na.txt~3/c.txt = 3\n"
		"d.txt/\nd.txt/e.txt = 4\nd~5.txt = 5\na~6.txt = 6\na~6~7.txt = 7\n",
		NULL);
	expect(NULL,
		PARTS("p",
			PICTURE("image/png", "TWFu") "," PICTURE("image/png", "TWFu"),
			"") PARTS("p.2", PICTURE("image/png", "TWE="), ""),
		NULL, "p.png = Man\np.2.png = Man\np.2~2.png = Ma\n", NULL);
}

/* Where a row begins is kept of every so manieth: of rows of all lengths, some of which are
 * not in retry.jsonl. */
static void rows_between_marks(void **state)
{
	enum { N = 3 * ANSWERS_MARK_EVERY };

	for (unsigned n = N - 2; n <= N + 1; n++) {
		char *text[4] = {0};
		size_t len[4];
		FILE *f[4];
		struct made m;

		for (size_t k = 0; k < 4; k++)
			f[k] = open_memstream(&text[k], &len[k]);
		for (unsigned i = 0; i < n; i++) {
			bool fails = i % 20 < 9;

			fprintf(f[0], ASK("%u", ""), i);
			fprintf(f[1], fails ? FAILS("%u", "13") : SAYS("%u", "x"), i);
			fprintf(f[2], fails ? "%u\tfailed\tINTERNAL (13)\n"
					    : "%u\tanswered\tx\n", i);
			if (fails)
				fprintf(f[3], ASK("%u", ""), i);
		}
		for (size_t k = 0; k < 4; k++)
			fclose(f[k]);
		make(&m, text[0], text[1]);
		_cleanup_free_ char *tsv = made_tsv(&m), *retry = made_retry(&m);

		assert_string_equal(tsv, text[2]);
		assert_string_equal(retry, text[3]);
		assert_int_equal(answers_row_at(m.a, ANSWERS_TSV, len[2]), n);
		for (unsigned i = 0; i <= n; i++)
			assert_true(answers_row_at(m.a, ANSWERS_RETRY,
					    answers_row_begin(m.a, ANSWERS_RETRY, i)) >= i);
		made_free(&m);
		for (size_t k = 0; k < 4; k++)
			free(text[k]);
	}
}

/* Room is made for the directories that keys seem to need: each of the first kind is one
 * more, as a file has its name; each of the second is counted again and again. */
static void directories_are_counted_wrong(void **state)
{
	static const uint32_t n_nodes[] = {2 + 2 * 300, 4 + 300};

	for (size_t k = 0; k < ARRAY_SIZE(n_nodes); k++) {
		char *results = NULL;
		struct made m;
		size_t len;
		FILE *f = open_memstream(&results, &len);

		fputs(SAYS("a", "1"), f);
		for (unsigned i = 0; i < 300; i++)
			if (k == 0)
				fprintf(f, SAYS("a.txt/%u", "2"), i);
			else
				fprintf(f, SAYS("%u/k", "2"), i % 2);
		fclose(f);
		make(&m, NULL, results);
		_cleanup_free_ char *tree = made_tree(&m);

		assert_int_equal(m.a->head.n_nodes, n_nodes[k]);
		assert_true(m.a->head.n_slots < 2 * n_nodes[k]);
		assert_non_null(strstr(tree, k ? "1/k~301.txt = 2\n"
					       : "a.txt~301/299.txt = 2\n"));
		made_free(&m);
		free(results);
	}
}

static void long_keys(void **state)
{
	char key[6000], *requests, *results;
	struct made m;

	for (size_t n = 150; n < sizeof key; n = n * 2 + 1) {
		memset(key, 'k', n);
		key[n] = '\0';
		requests = util_format(ASK("%s", "") ASK("%sx", ""), key, key);
		results = util_format(SAYS("%sx", "2") SAYS("%s", "1"), key, key);
		make(&m, requests, results);
		_cleanup_free_ char *tree = made_tree(&m);

		assert_int_equal(m.a->head.counts[ANSWERED], 2);
		assert_int_equal(m.a->nodes[0].count, 2);
		assert_non_null(strstr(tree, ".txt = 1\n"));
		assert_non_null(strstr(tree, ".txt = 2\n"));
		free(requests);
		free(results);
		made_free(&m);
	}
}

static void deep_keys(void **state)
{
	char key[2 * 300 + 1];
	struct made m;

	for (size_t i = 0; i < 300; i++)
		memcpy(key + 2 * i, "d/", 3);
	_cleanup_free_ char *results = util_format(SAYS("%s", "x"), key);
	make(&m, NULL, results);
	_cleanup_free_ char *tree = made_tree(&m);

	assert_non_null(strstr(tree, "d%2Fd"));
	made_free(&m);
}

static void usage_is_summed_up(void **state)
{
	struct made m;
	char text[ANSWERS_USAGE_MAX];

	make(&m, ASK("a", "") ASK("b", "") ASK("c", ""),
		"{\"key\":\"a\",\"response\":{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
		"\"x\"}]}}],\"usageMetadata\":{\"promptTokenCount\": 5 ,\"candidatesTokenCount\":7,"
		"\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":99}],"
		"\"totalTokenCount\":12,\"thoughtsTokenCount\":3,\"cachedContentTokenCount\":2}}}\n"
		"{\"key\":\"b\",\"response\":{\"usage_metadata\":{\"prompt_token_count\":\"100\","
		"\"total_token_count\":-5,\"candidates_token_count\":1e2}}}\n"
		/* No count: a sum of millions of these would be none either. */
		"{\"key\":\"c\",\"response\":{\"usageMetadata\":{\"promptTokenCount\":"
		"999999999999999}}}\n");

	answers_usage(m.a, text);
	assert_string_equal(text,
		"prompt_token_count 105\ncandidates_token_count 107\nthoughts_token_count 3\n"
		"cached_content_token_count 2\ntotal_token_count 212\nanswered 1\n"
		"truncated 0\ninvalid 0\nblocked 0\nfailed 2\nmissing 0\n");
	made_free(&m);
}

/* ---- on disk ------------------------------------------------------------------------ */

static int scratch(void)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void saved_and_loaded(void **state)
{
	int dir = scratch();
	_cleanup_free_ char *name = util_format("answers-%d.index", (int)getpid());
	struct made m;

	make(&m, ASK("a", "") ASK("b/c", "") ASK("d", WANTS_N),
		SAYS("b/c", "2") SAYS("d", "{}"));
	_cleanup_free_ char *tsv = made_tsv(&m), *tree = made_tree(&m),
			    *retry = made_retry(&m);
	struct answers_stamp stamp = m.a->head.stamp, other = stamp;
	struct answers *loaded;

	assert_int_equal(answers_save(m.a, dir, name), 0);
	other.results_ns++;
	assert_int_equal(
		answers_load(dir, name, &other, &gemini_results, &loaded), -ESTALE);
	assert_int_equal(
		answers_load(dir, "none-such.index", &stamp, &gemini_results, &loaded),
		-ENOENT);
	for (int saved = 1; saved >= 0; saved--) {
		assert_int_equal(saved ? answers_load_saved(dir, name, m.a, &loaded)
				       : answers_load(dir, name, &stamp,
						 &gemini_results, &loaded),
			0);
		answers_unref(m.a);
		m.a = loaded;
		_cleanup_free_ char *tsv2 = made_tsv(&m), *tree2 = made_tree(&m),
				    *retry2 = made_retry(&m);
		assert_string_equal(tsv, tsv2);
		assert_string_equal(tree, tree2);
		assert_string_equal(retry, retry2);
	}
	made_free(&m);
	unlinkat(dir, name, 0);
	close(dir);
}

/* Any byte that is another, and any length, is found out. */
static void damage_is_found_out(void **state)
{
	int dir = scratch(), fd;
	_cleanup_free_ char *name = util_format("answers-%d.index", (int)getpid());
	_cleanup_free_ char *text = NULL;
	struct made m;

	make(&m, ASK("a", "") ASK("b/c", ""), SAYS("b/c", "2"));
	struct answers_stamp stamp = m.a->head.stamp;
	struct answers *loaded;
	size_t len;

	assert_int_equal(answers_save(m.a, dir, name), 0);
	assert_int_equal(util_read_file(dir, name, 1 << 20, &text, &len), 0);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 0x40;
		fd = openat(dir, name, O_WRONLY | O_TRUNC);
		assert_int_equal(util_write_all(fd, text, len), 0);
		close(fd);
		assert_int_equal(
			answers_load(dir, name, &stamp, &gemini_results, &loaded),
			-EBADMSG);
		text[i] ^= 0x40;
	}
	for (size_t n = 0; n < len; n += 97) {
		fd = openat(dir, name, O_WRONLY | O_TRUNC);
		assert_int_equal(util_write_all(fd, text, n), 0);
		close(fd);
		assert_int_equal(
			answers_load(dir, name, &stamp, &gemini_results, &loaded),
			-EBADMSG);
	}
	made_free(&m);
	unlinkat(dir, name, 0);
	close(dir);
}

/* Written by a machine of the other byte order, with checksums that fit all the same. */
static void other_layout_is_made_again(void **state)
{
	int dir = scratch(), fd;
	_cleanup_free_ char *name = util_format("answers-%d.index", (int)getpid());
	_cleanup_free_ char *text = NULL;
	struct answers_stamp stamp;
	struct answers_head head;
	struct answers *loaded;
	struct made m;
	size_t len;

	make(&m, ASK("a", ""), SAYS("a", "2"));
	stamp = m.a->head.stamp;
	assert_int_equal(answers_save(m.a, dir, name), 0);
	assert_int_equal(util_read_file(dir, name, 1 << 20, &text, &len), 0);
	memcpy(&head, text, sizeof head);
	head.layout = __builtin_bswap32(head.layout);
	head.crc = util_crc32c(0, &head.format,
		sizeof head - offsetof(struct answers_head, format));
	memcpy(text, &head, sizeof head);
	fd = openat(dir, name, O_WRONLY | O_TRUNC);
	assert_int_equal(util_write_all(fd, text, len), 0);
	close(fd);
	assert_int_equal(
		answers_load(dir, name, &stamp, &gemini_results, &loaded), -EBADMSG);
	made_free(&m);
	unlinkat(dir, name, 0);
	close(dir);
}

static void results_that_shrank_are_an_error(void **state)
{
	struct made m;
	char buf[100];

	make(&m, NULL, SAYS("a", "a text of some length"));

	m.results.len = 70;
	assert_int_equal(answers_read_tsv(m.a, &m.sources, 0, buf, sizeof buf), -EIO);
	assert_int_equal(
		answers_read_node(m.a, &m.sources, 1, 0, buf, sizeof buf), -EIO);
	made_free(&m);
}

/* Whatever the order of the results: long texts, failures and requests without a result among
 * them. */
static void many_rows_take_few_reads(void **state)
{
	enum { N = 500, STRIDE = 77 };
	_cleanup_free_ char *requests = NULL, *results = NULL, *want = NULL, *again = NULL;
	char text[3 * GATHER_LONG];
	size_t len;
	struct made m;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	FILE *q = open_memstream(&requests, &len), *r = open_memstream(&results, &len);
	FILE *t = open_memstream(&want, &len), *back = open_memstream(&again, &len);
	for (int i = 0; i < N; i++) {
		int k = i * STRIDE % N;

		fprintf(q, ASK("k%d", ""), i);
		if (k == 250)
			fprintf(r, SAYS("k%d", "%s"), text, k);
		else if (k % 50 == 7)
			fprintf(r, FAILS("k%d", "14"), k);
		else if (k % 50 != 8)
			fprintf(r, SAYS("k%d", "an \\\"answer\\\",\\n %d"), k, k);
		if (i == 250)
			fprintf(t, "k%d\tanswered\t%s\n", i, text);
		else if (i % 50 == 7)
			fprintf(t, "k%d\tfailed\tUNAVAILABLE (14)\n", i);
		else if (i % 50 == 8)
			fprintf(t, "k%d\tmissing\tthere is no result for this request\n", i);
		else
			fprintf(t, "k%d\tanswered\tan \"answer\",\\n %d\n", i, i);
		if (i % 50 == 7 || i % 50 == 8)
			fprintf(back, ASK("k%d", ""), i);
	}
	fclose(q);
	fclose(r);
	fclose(t);
	fclose(back);
	make(&m, requests, results);
	m.results.calls = m.requests.calls = 0;
	_cleanup_free_ char *tsv = made_whole(
		&m, made_read_tsv, 0, m.a->head.tsv_size, m.a->head.tsv_size + 1);
	/* Before and behind the long one, which takes some itself. */
	assert_in_range(m.results.calls, 2, 20);
	assert_string_equal(tsv, want);
	_cleanup_free_ char *retry = made_whole(
		&m, made_read_retry, 0, m.a->head.retry_size, m.a->head.retry_size + 1);
	assert_in_range(m.requests.calls, 1, 2);
	assert_string_equal(retry, again);
	made_free(&m);
}

/* Where a file is called like the key, and a suffix, both are in one place; others of the
 * row, and names that are no key, are not. */
static void names_beside_keys(void **state)
{
	struct made m;

	make(&m,
		ASK("plain", "") ASK("dir/below", "") ASK("other", "") ASK("json", JSON),
		SAYS("plain", "1") SAYS("dir/below", "2") SAYS("json", "{}"));
	const struct answers *a = m.a;

	for (uint32_t i = 1; i < a->head.n_nodes; i++) {
		const struct answers_node *n = &a->nodes[i];
		const char *name = answers_name(a, n);
		bool beside = n->kind != NODE_IS_DIR &&
			      n->name_at == a->rows[n->row].key_at;

		assert_int_equal(beside, strcmp(name, "plain.txt") == 0 ||
						 strcmp(name, "json.json") == 0);
	}
	_cleanup_free_ char *tree = made_tree(&m);
	_cleanup_free_ char *tsv = made_tsv(&m);

	assert_non_null(strstr(tree, "plain.txt = 1\n"));
	assert_non_null(strstr(tree, "other.error = "));
	assert_non_null(strstr(tsv, "plain\tanswered\t1\n"));
	made_free(&m);
}

static const char long_word[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMN";

static int keep_text(void *arg, const void *buf, size_t n)
{
	strncat(arg, buf, n);
	return 0;
}

/* Wherever in a long text a letter stands: those that are escaped, and others like them. */
static void letters_that_tsv_escapes(void **state)
{
	static const char letters[] = "\t\n\r\\\v\f\b\x01\x7f\xff\"t";
	static const char *const become[] = {"\\t", "\\n", "\\r", "\\\\", "\v", "\f", "\b",
		"\x01", "\x7f", "\xff", "\"", "t"};

	for (size_t i = 0; letters[i]; i++) {
		for (int at = 0; at < 50; at++) {
			char text[52], want[60], got[60] = "";
			struct text_sink to = {keep_text, got, NULL};

			snprintf(text, sizeof text, "%.*s%c%s", at, long_word, letters[i],
				long_word + at + 1);
			snprintf(want, sizeof want, "%.*s%s%s", at, long_word, become[i],
				long_word + at + 1);
			assert_int_equal(text_tsv(&to, text, 50), 0);
			assert_string_equal(got, want);
			assert_int_equal(strlen(want) - 50, text_tsv_extra(text, 50));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_the_order_asked),
		cmocka_unit_test(without_requests_in_the_order_that_came),
		cmocka_unit_test(missing_double_extra_and_keyless_lines),
		cmocka_unit_test(damaged_lines_are_failures),
		cmocka_unit_test(a_bom_is_no_damage),
		cmocka_unit_test(escapes_and_surrogates),
		cmocka_unit_test(thoughts_are_left_out),
		cmocka_unit_test(only_the_first_candidate_counts),
		cmocka_unit_test(truncated),
		cmocka_unit_test(blocked),
		cmocka_unit_test(nothing_said_is_a_failure_that_may_pass),
		cmocka_unit_test(keys_by_other_names),
		cmocka_unit_test(what_all_results_tell),
		cmocka_unit_test(missing_of_others),
		cmocka_unit_test(missing_of_others_is_a_warning),
		cmocka_unit_test(samples_get_a_head),
		cmocka_unit_test(failures_that_pass_are_tried_again),
		cmocka_unit_test(retry_lines_have_their_keys),
		cmocka_unit_test(all_is_tried_again_without_output),
		cmocka_unit_test(json_that_was_asked_for),
		cmocka_unit_test(what_does_not_fit_its_schema),
		cmocka_unit_test(schemas_of_their_own),
		cmocka_unit_test(what_is_no_matter_of_schemas),
		cmocka_unit_test(what_does_not_fit_is_warned_of),
		cmocka_unit_test(parts_that_are_no_text),
		cmocka_unit_test(embeddings),
		cmocka_unit_test(pictures_and_sounds),
		cmocka_unit_test(a_large_picture),
		cmocka_unit_test(long_texts_are_decoded_once),
		cmocka_unit_test(odd_keys),
		cmocka_unit_test(names_that_collide),
		cmocka_unit_test(directories_are_counted_wrong),
		cmocka_unit_test(rows_between_marks),
		cmocka_unit_test(long_keys),
		cmocka_unit_test(names_beside_keys),
		cmocka_unit_test(deep_keys),
		cmocka_unit_test(usage_is_summed_up),
		cmocka_unit_test(saved_and_loaded),
		cmocka_unit_test(damage_is_found_out),
		cmocka_unit_test(other_layout_is_made_again),
		cmocka_unit_test(results_that_shrank_are_an_error),
		cmocka_unit_test(many_rows_take_few_reads),
		cmocka_unit_test(letters_that_tsv_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
