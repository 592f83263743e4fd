/* The lines of a file, good and bad, however they are cut. */
#include "scan_fixture.h"
#include "provider/gemini/request_members.h"
#include "requests/warning_rules.h"

static const struct {
	const char *line;
	uint64_t column;
	const char *reason;
} bad_lines[] = {
	{"x", 1, "not a JSON object"},
	{"[]", 1, "not a JSON object"},
	{"\"a\"", 1, "not a JSON object"},
	{"null", 1, "not a JSON object"},
	{"\xff", 1, "not a JSON object"},
	{"{", 2, "ends before the object does"},
	{"{\"request\":{}", 14, "ends before the object does"},
	{"{\"request", 10, "ends before the object does"},
	{"{\"request\":{}}}", 15, "something follows the object"},
	{"{\"request\":{}} {}", 16, "something follows the object"},
	{"{\"request\":{},}", 15, "a name in double quotes is expected"},
	{"{,\"request\":{}}", 2, "a name in double quotes or '}' is expected"},
	{"{'request':{}}", 2, "a name in double quotes or '}' is expected"},
	{"{\"request\" {}}", 12, "':' is expected"},
	{"{\"request\":}", 12, "a value is expected"},
	{"{\"request\":{}\"a\":1}", 14, "',' or a closing bracket is expected"},
	{"{\"request\":{\"a\":[1,]}}", 20, "a value is expected"},
	{"{\"request\":{\"a\":[,]}}", 18, "a value or ']' is expected"},
	{"{\"request\":{\"a\":[1}}", 19, "']' is expected"},
	{"{\"request\":{\"a\":1]}", 18, "'}' is expected"},
	{"{\"request\":{},\"a\":tru}", 22, "a word that is not true, false or null"},
	{"{\"request\":{},\"a\":True}", 19, "a value is expected"},
	{"{\"request\":{},\"a\":NaN}", 19, "a value is expected"},
	{"{\"request\":{},\"a\":nulll}", 23, "',' or a closing bracket is expected"},
	{"{\"request\":{},\"a\":01}", 20, "malformed number"},
	{"{\"request\":{},\"a\":1.}", 21, "malformed number"},
	{"{\"request\":{},\"a\":.1}", 19, "a value is expected"},
	{"{\"request\":{},\"a\":+1}", 19, "a value is expected"},
	{"{\"request\":{},\"a\":-}", 20, "malformed number"},
	{"{\"request\":{},\"a\":1e}", 21, "malformed number"},
	{"{\"request\":{},\"a\":1e+}", 22, "malformed number"},
	{"{\"request\":{},\"a\":1.5.5}", 22, "malformed number"},
	{"{\"request\":{},\"a\":0x1}", 20, "malformed number"},
	{"{\"request\":{},\"a\":\"\\x\"}", 21, "unknown escape"},
	{"{\"request\":{},\"a\":\"\\u12g4\"}", 24, "\\u needs four hex digits"},
	{"{\"request\":{},\"a\":\"\\u12\"}", 24, "\\u needs four hex digits"},
	{"{\"request\":{},\"a\":\"\\ud800\"}", 26, "half of a surrogate pair"},
	{"{\"request\":{},\"a\":\"\\udc00\"}", 25, "half of a surrogate pair"},
	{"{\"request\":{},\"a\":\"\\ud800x\"}", 26, "half of a surrogate pair"},
	{"{\"request\":{},\"a\":\"\\ud800\\n\"}", 27, "half of a surrogate pair"},
	{"{\"request\":{},\"a\":\"\\ud800\\u0041\"}", 31, "half of a surrogate pair"},
	{"{\"request\":{},\"a\":\"\\ud800\\ud800\"}", 31, "half of a surrogate pair"},
	{"{\"request\":{},\"a\":\"\t\"}", 20,
		"control character in a string (write it as an escape)"},
	{"{\"request\":{},\"a\":\"\x1f\"}", 20,
		"control character in a string (write it as an escape)"},
	{"{\"request\":{},\"a\":\"\x80\"}", 20, "not valid UTF-8"},
	{"{\"request\":{},\"a\":\"\xc3\"}", 21, "not valid UTF-8"},
	{"{\"request\":{},\"a\":\"\xc0\x80\"}", 20, "not valid UTF-8"},
	{"{\"request\":{},\"a\":\"\xed\xa0\x80\"}", 21, "not valid UTF-8"},
	{"{\"request\":{},\"a\":\"\xf4\x90\x80\x80\"}", 21, "not valid UTF-8"},
	{"{\"request\":{},\"\xe2\x82\":1}", 18, "not valid UTF-8"},
	{"{\"request\":{},\"a\":\xc3\xa9}", 19, "a value is expected"},
	{"{}", 0, "no request"},
	{"{\"key\":\"a\"}", 0, "no request"},
	{"{\"content\":[]}", 12,
		"\"content\" is a list: for an embedding it is one object, and a list "
		"for an "
		"answer is called \"contents\""},
	{"{\"key\":\"a\",\"content\":{}}", 0,
		"\"key\" beside \"content\": put the rest into \"request\""},
	{"{\"request\":{\"content\":{},\"contents\":[]}}", 0,
		"has both \"contents\" (for an answer) and \"content\" (for an "
		"embedding): keep "
		"one of them"},
	{"{\"a\":{\"request\":{}}}", 0, "no request"},
	{"{\"key\":1,\"request\":{}}", 0, "\"key\" is not a string"},
	{"{\"key\":null,\"request\":{}}", 0, "\"key\" is not a string"},
	{"{\"key\":[\"a\"],\"request\":{}}", 0, "\"key\" is not a string"},
	{"{\"key\":{\"key\":\"a\"},\"request\":{}}", 0, "\"key\" is not a string"},
	{"{\"request\":[]}", 0, "\"request\" is not an object"},
	{"{\"request\":\"{}\"}", 0, "\"request\" is not an object"},
	{"{\"request\":1,\"contents\":[]}", 0, "\"request\" is not an object"},
	{"{\"key\":\"a\",\"contents\":[]}", 0,
		"\"key\" beside \"contents\": put the rest into \"request\""},
	{"{\"key\":\"a\",\"request\":{},\"key\":\"b\"}", 25, "the same member twice"},
	{"{\"request\":{},\"request\":{}}", 15, "the same member twice"},
	{BOM "{\"request\":{}}", 1, "not a JSON object"},
};

/* Each between two good lines, which stay good. */
static void test_bad_lines(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_lines); i++) {
		_cleanup_free_ char *text = util_format(
			"%s\n%s\n%s\n", KEYED("a"), bad_lines[i].line, KEYED("z"));
		struct validate_report r = scan_text(text);

		assert_int_equal(r.requests, 2);
		assert_int_equal(r.bad_total, 1);
		assert_int_equal(r.n_bad, 1);
		if (strcmp(r.bad[0].reason, bad_lines[i].reason) != 0 ||
			r.bad[0].column != bad_lines[i].column || r.bad[0].line != 2)
			fail_msg("%s: %ju:%ju: %s", bad_lines[i].line,
				(uintmax_t)r.bad[0].line, (uintmax_t)r.bad[0].column,
				r.bad[0].reason);
		assert_int_equal(validate_report_status(&r), -EBADMSG);
		assert_false(r.clean);
	}
}

static void test_good_values(void **state)
{
	static const char *const values[] = {"0", "-0", "-0.0", "1e5", "1E+5", "1e-5",
		"12.50e0007", "1e999999", "123456789012345678901234567890", "true",
		"false", "null", "\"\"", "[]", "{}", "[[],[{}],\"\"]", "[1 , 2 ]",
		"{ }", "[ ]", "\"\\u0000\"", "\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\"\x7f\"", "\"\xc3\xa9\"",
		"\"\xe2\x82\xac\xed\x9f\xbf\xee\x80\x80\"", "\"\xf0\x9f\x98\x80\"",
		"\"\xf4\x8f\xbf\xbf\"", "\r1\r"};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		_cleanup_free_ char *text =
			util_format("{\"request\":{\"v\":%s}}\n", values[i]);
		struct validate_report r = scan_text(text);

		if (validate_report_status(&r) != 0)
			fail_msg("%s: %s", text, r.bad[0].reason);
	}
}

static void test_no_request(void **state)
{
	static const char *const texts[] = {"", "\n", "  \r\n\t\n", BOM, BOM "\n"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct validate_report r = scan_text(texts[i]);
		_cleanup_free_ char *text = validate_report_text(&r);

		assert_int_equal(validate_report_status(&r), -EBADMSG);
		assert_int_equal(r.requests, 0);
		assert_int_equal(r.bad_total, 0);
		assert_false(r.clean);
		assert_string_equal(text, "there is no request in the file\n");
	}
}

/* By what its requests have; where they have neither it is the API's to judge. */
static void test_kinds(void **state)
{
	static const struct {
		const char *text;
		enum line_asks asks;
		uint64_t line, bad;
	} files[] = {
		{"{\"request\":{\"contents\":[]}}\n{\"contents\":[]}\n", ASKS_ANSWER, 1,
			0},
		{"{\"request\":{}}\n{\"key\":\"a\",\"request\":{\"content\":{\"contents\":1}}}\n"
		 "{\"content\":{\"parts\":[]}}\n",
			ASKS_EMBEDDING, 2, 0},
		{"{\"request\":{\"a\":{\"content\":{}}},\"content\":1}\n", ASKS_UNKNOWN,
			0, 0},
		{"{\"content\":{}}\n{\"content\":{}}\n{\"contents\":[]}\n{\"content\":{}}\n",
			ASKS_EMBEDDING, 1, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct validate_report r = scan_text(files[i].text);
		_cleanup_free_ char *text = validate_report_text(&r);

		assert_int_equal(r.asks, files[i].asks);
		assert_int_equal(r.asks_line, files[i].line);
		assert_int_equal(r.bad_total, files[i].bad);
		if (r.bad_total)
			assert_string_equal(text,
				"line 3: a job has one kind of request, and this one "
				"asks for an answer (\"contents\"), unlike line 1\n");
	}
}

/* Every prefix that cuts a line is told so, and only those. */
static void test_cut(void **state)
{
	static const char line[] =
		"{\"key\":\"\xc3\xa9\\u00e9\",\"request\":{\"a\":[1.5e3,true]}}";
	size_t n = sizeof line - 1;

	for (size_t cut = 1; cut < n; cut++) {
		struct validate_report r;

		scan_bytes(line, cut, &r);
		assert_int_equal(r.n_bad, 1);
		assert_int_equal(r.bad[0].line, 1);
		assert_int_equal(r.bad[0].column, cut + 1);
		assert_string_equal(
			r.bad[0].reason, "ends in the middle of a line (cut short?)");
	}
	for (size_t cut = 1; cut < 3; cut++) {
		struct validate_report r;

		scan_bytes(BOM, cut, &r);
		assert_int_equal(r.bad_total, 1);
	}
}

/* Said of the file as a whole, with what to do. */
static void test_other_encodings(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *says;
	} files[] = {
		{"\xff\xfe{\0\"\0", 6, "\nThe file is UTF-16: iconv -f UTF-16 "},
		{"{\0\"\0k\0", 6, "\nThe file is UTF-16: iconv -f UTF-16LE "},
		{"\x1f\x8b\x08\0", 4, "\nThe file is compressed with gzip: gunzip -c "},
		{"{\"a\":\0}\n", 8, "line 1, column 6: a NUL byte"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct validate_report r;

		scan_bytes(files[i].bytes, files[i].n, &r);
		_cleanup_free_ char *text = validate_report_text(&r);
		if (!strstr(text, files[i].says))
			fail_msg("%s", text);
	}
}

static void test_zero_bytes(void **state)
{
	static const char text[] = "{\"request\":{\"a\":\"x\0y\"}}\n\0\n";
	struct validate_report r;

	scan_bytes(text, sizeof text - 1, &r);
	assert_int_equal(r.bad_total, 2);
}

#define LETTERS_20 "abcdefghijabcdefghij"
#define LETTERS_60 LETTERS_20 LETTERS_20 LETTERS_20

static void test_loose_uris(void **state)
{
	static const struct {
		const char *uri;
		bool loose;
	} uris[] = {
		{"inputs/cat.png", true},
		{"", true},
		{"cat.png", true},
		{"inputs/a:b.png", true},
		{"://x", true},
		{"1http://x", true},
		{"\\u0069nputs/x", true},
		{"https://example.com/x", false},
		{"\\u0068ttps://example.com/x", false},
		{"gs://bucket/x", false},
		{"a+b-c.9://x", false},
		{"p:1.png", true},
		{"C:\\\\a.png", true},
		{"C:/a.png", true},
		{"file:///a.png", true},
		{"FILE://a/b", true},
		/* A scheme is not longer, in one piece or in many. */
		{LETTERS_20 "abcdefghijkl://x", false},
		{LETTERS_20 "abcdefghijklm://x", true},
		{LETTERS_60 "abc://x", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(uris); i++)
		for (int camel = 0; camel < 2; camel++) {
			_cleanup_free_ char *text =
				util_format("{\"request\":{\"p\":[{\"%s\":{\"%s\":\"%"
					    "s\"}},\"x\"]}}\n",
					camel ? "fileData" : "file_d\\u0061ta",
					camel ? "fileUri" : "file_uri", uris[i].uri);
			struct validate_report r = scan_text(text);

			assert_int_equal(validate_report_status(&r), 0);
			if (r.loose_uris != uris[i].loose || r.uris != 1)
				fail_msg("%s", text);
			scan_pieces(text, strlen(text), 9, 9, &r);
			if (r.loose_uris != uris[i].loose)
				fail_msg("%s", text);
		}
	assert_int_equal(
		scan_text("{\"request\":{\"fileData\":{\"file_uri\":1,\"a\":[\"x\"],"
			  "\"fileUri\":[\"x\",{\"a\":\"x\"}]}}}\n")
			.uris,
		0);
	/* Elsewhere it is something else. */
	assert_int_equal(
		scan_text("{\"request\":{\"file_uri\":\"a\",\"file_data\":[{"
			  "\"file_uri\":\"a\"}],\"fileData\":{\"a\":{\"fileUri\":"
			  "\"a\"}},\"b\":[{\"fileUri\":\"a\"}]}}\n")
			.uris,
		0);
	assert_int_equal(scan_text("{\"request\":{\"a\":[{\"file_uri\":1},\"x\"],"
				   "\"b\":{\"file_uri\":{}},\"c\":\"x\"}}\n")
				 .loose_uris,
		0);
}

static void test_warnings(void **state)
{
	static const char text[] =
		"{\"request\":{\"contents\":[{\"role\":\"user\"},{\"role\":\"model\"}]}}\n"
		"{\"contents\":[{\"role\":\"model\"},{}],\"generationConfig\":{\"top_k\":1,\"topP\":1,"
		"\"candidateCount\": 12,\"thinkingConfig\":{\"thinkingBudget\":0}}}\n"
		"{\"id\":\"a\",\"request\":{\"contents\":[],\"cachedContent\":\"c\",\"generation_config\":"
		"{\"temperature\":1,\"response_json_schema\":{\"topK\":1},\"candidateCount\":1,"
		"\"presencePenalty\":1,\"thinkingLevel\":\"x\"}}}\n"
		"{\"metadata\":{\"id\":1},\"request\":{\"contents\":[],\"tools\":[{\"topK\":1}]}}\n";
	static const struct validate_warned want[LINE_WARNINGS] = {
		[WARN_PREFILLED] = {1, 1},
		[WARN_SAMPLING] = {2, 2},
		[WARN_CANDIDATES] = {1, 2},
		[WARN_BUDGET] = {1, 2},
		[WARN_BORROWED] = {1, 3},
		[WARN_CACHED] = {1, 3},
		[WARN_JSON_SCHEMA] = {1, 3},
		[WARN_PENALTY] = {1, 3},
		[WARN_ODD_KEY] = {1, 4},
		[WARN_METADATA] = {1, 4}};
	struct validate_report r = scan_text(text);
	struct warnings w = {0};

	assert_int_equal(r.bad_total, 0);
	for (size_t i = 0; i < LINE_WARNINGS; i++) {
		assert_int_equal(r.warned[i].n, want[i].n);
		assert_int_equal(r.warned[i].first, want[i].first);
	}
	warn_lines(&r, &gemini_requests, "gemini-4-carbon", &w);
	assert_int_equal(w.n, 6);
	free(warnings_text_take(&w));
	warn_lines(&r, &gemini_requests, "models/gemini-2.5-flash", &w);
	_cleanup_free_ char *all = warnings_text_take(&w);
	assert_string_equal(all,
		"line 3: there is no \"key\": the value of custom_id, id or metadata "
		"is sent as the key\n"
		"line 4: custom_id, id or metadata has no string that could be the "
		"key: the line number is the key\n"
		"line 3: responseJsonSchema is known to give useless answers in "
		"batches: use responseSchema\n"
		"line 2: candidateCount above 1 is refused or ignored by current "
		"models, and only the first candidate is shown here\n");
}

static void test_many_warnings(void **state)
{
	struct warnings w = {0};
	size_t lines = 0;

	for (int i = 0; i < 250; i++)
		warnings_add(&w, "%d", i);
	_cleanup_free_ char *all = warnings_text_take(&w);
	for (const char *p = all; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, WARNINGS_MAX + 1);
	assert_non_null(strstr(all, "\n99\nand 150 more\n"));
	_cleanup_free_ char *none = warnings_text_take(&w);
	assert_string_equal(none, "");
}

static void test_nesting(void **state)
{
	for (int deep = 510; deep <= 512; deep++) {
		char *text = NULL;
		size_t n;
		FILE *f = open_memstream(&text, &n);
		struct validate_report r;

		/* Two brackets are the line's and the request's. */
		fputs("{\"request\":{\"a\":", f);
		for (int i = 0; i < deep; i++)
			fputc('[', f);
		for (int i = 0; i < deep; i++)
			fputc(']', f);
		fputs("}}\n" KEYED("a") "\n", f);
		fclose(f);
		scan_bytes(text, n, &r);
		assert_int_equal(r.bad_total, deep > 510);
		if (deep > 510)
			assert_string_equal(r.bad[0].reason, "nested too deeply");
		free(text);
	}
}

/* Brackets of both sorts at every depth are told apart. */
static void test_mixed_nesting(void **state)
{
	static const char *const opens[] = {"{\"a\":", "[", "{\"b\":"};
	char text[2048] = "{\"request\":", *p = text + strlen(text);
	struct validate_report r;

	for (int i = 0; i < 200; i++)
		p = stpcpy(p, opens[i % 3]);
	for (int i = 199; i >= 0; i--)
		p = stpcpy(p, i % 3 == 1 ? "]" : "}");
	strcpy(p, "}\n");
	r = scan_text(text);
	assert_int_equal(validate_report_status(&r), 0);
	p[-3] = ']';
	r = scan_text(text);
	assert_int_equal(r.bad_total, 1);
}

/* Whatever the pieces, the report is the same. */
static void test_pieces(void **state)
{
	static const char text[] = BOM KEYED(
		"a") "\r\n\n"
		     "{\"key\":\"\\ud83d\\ude00\xf0\x9f\x98\x80\xc3\xa9\\n\\u0061\","
		     "\"request\":"
		     "{\"t\":\"\xe2\x82\xac plain text of some length \\\" \\\\ "
		     "\\ud83d\\ude00\","
		     "\"n\":[-1.5e+10,true,false,null,{}],\"file_uri\":\"a/b\"}}\n" BARE
		     " \n" NO_KEY
		     "\n" KEYED("05") "\n{\"a\":\"\\ud800\"}\n"
				      "{\"request\":{\"t\":\"\xe2\x82\"}}\r\n" KEYED(
					      "\\u0061") "\n{\"request\":{}";
	size_t n = sizeof text - 1;
	struct validate_report whole, r;

	scan_bytes(text, n, &whole);
	assert_int_equal(whole.requests, 6);
	/* Line 6 has the number of line 5 as key; 7, 8 and 10 are bad; 9 is "a". */
	assert_int_equal(whole.bad_total, 5);
	for (size_t first = 1; first <= n; first++) {
		scan_pieces(text, n, first, n, &r);
		assert_same_report(&whole, &r);
	}
	for (size_t piece = 1; piece <= 40; piece++) {
		scan_pieces(text, n, piece, piece, &r);
		assert_same_report(&whole, &r);
	}
}

/* Lines much longer than any buffer, with keys and names longer too. */
static void test_long_lines(void **state)
{
	size_t n = 3 << 20, size;
	char *text = NULL, *x = malloc(n + 1);
	FILE *f = open_memstream(&text, &size);
	struct validate_report r;

	memset(x, 'x', n);
	x[n] = '\0';
	fprintf(f, "{\"key\":\"%s\",\"request\":{\"%s\":\"\\n%s\"}}\n", x, x, x);
	fprintf(f, "{\"key\":\"%sy\",\"request\":{\"a\":1%*s2}}\n", x, 1000000, "");
	fprintf(f, "{\"key\":\"\\u0078%s\",\"request\":{}}\n", x + 1);
	fclose(f);
	scan_bytes(text, size, &r);
	assert_int_equal(r.bad_total, 2);
	assert_int_equal(r.bad[0].line, 2);
	assert_int_equal(r.bad[1].line, 3);
	assert_int_equal(r.bad[1].other, 1);
	free(text);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_good_values),
		cmocka_unit_test(test_no_request),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_other_encodings),
		cmocka_unit_test(test_zero_bytes),
		cmocka_unit_test(test_loose_uris),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_many_warnings),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_mixed_nesting),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
