#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "keyset.h"
#include "scan.h"
#include "util.h"

#define REQUEST "\"request\":{\"contents\":[]}"
#define KEYED(key) "{\"key\":\"" key "\"," REQUEST "}"
#define NO_KEY "{" REQUEST "}"
#define BARE "{\"contents\":[]}"
#define BOM "\xef\xbb\xbf"

static int file_of(const void *text, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, text, n), 0);
	return fd;
}

static void scan_bytes(const void *text, size_t n, struct scan_report *ret)
{
	int fd = file_of(text, n);

	memset(ret, 0xa5, sizeof *ret);
	assert_int_equal(scan_file(fd, NULL, ret), 0);
	close(fd);
}

static struct scan_report scan_text(const char *text)
{
	struct scan_report r;

	scan_bytes(text, strlen(text), &r);
	return r;
}

/* The file in pieces of n bytes, each in memory of its own size, so that a read
 * past a piece is seen by the sanitizer. */
static void scan_pieces(
	const char *text, size_t n, size_t first, size_t rest, struct scan_report *ret)
{
	struct scan *s = scan_new();
	int fd = file_of(text, n);
	char *last = NULL;

	for (size_t at = 0, piece = first; at < n; at += piece, piece = rest) {
		char *copy;

		if (piece > n - at)
			piece = n - at;
		if (piece == 0)
			piece = 1;
		copy = malloc(piece);
		memcpy(copy, text + at, piece);
		assert_int_equal(scan_feed(s, copy, piece), 0);
		free(last);
		last = copy;
	}
	memset(ret, 0xa5, sizeof *ret);
	assert_int_equal(scan_finish(s, fd, NULL, ret), 0);
	free(last);
	scan_free(s);
	close(fd);
}

static void assert_same_report(const struct scan_report *a, const struct scan_report *b)
{
	assert_int_equal(a->lines, b->lines);
	assert_int_equal(a->last_line, b->last_line);
	assert_int_equal(a->requests, b->requests);
	assert_int_equal(a->keyed, b->keyed);
	assert_int_equal(a->no_key, b->no_key);
	assert_int_equal(a->bare, b->bare);
	assert_int_equal(a->blank, b->blank);
	assert_int_equal(a->width, b->width);
	assert_int_equal(a->clean, b->clean);
	assert_int_equal(a->too_big, b->too_big);
	assert_int_equal(a->file_size, b->file_size);
	assert_int_equal(a->send_size, b->send_size);
	assert_int_equal(a->loose_uris, b->loose_uris);
	assert_int_equal(a->bad_total, b->bad_total);
	assert_int_equal(a->n_bad, b->n_bad);
	for (unsigned i = 0; i < a->n_bad; i++) {
		assert_int_equal(a->bad[i].line, b->bad[i].line);
		assert_int_equal(a->bad[i].column, b->bad[i].column);
		assert_int_equal(a->bad[i].other, b->bad[i].other);
		assert_string_equal(a->bad[i].reason, b->bad[i].reason);
	}
}

static void test_good_files(void **state)
{
	struct scan_report r = scan_text(KEYED("a") "\n" KEYED("b") "\n");

	assert_int_equal(scan_report_status(&r), 0);
	assert_int_equal(r.lines, 2);
	assert_int_equal(r.last_line, 2);
	assert_int_equal(r.requests, 2);
	assert_int_equal(r.keyed, 2);
	assert_true(r.clean);
	assert_int_equal(r.send_size, r.file_size);

	r = scan_text("\t {\"request\" : { } , \"key\" :\"a\",\"more\":[1,{}]} \t\n");
	assert_int_equal(scan_report_status(&r), 0);
	assert_true(r.clean);

	r = scan_text("{\"k\\u0065y\":\"a\",\"\\u0072equest\":{}}\n");
	assert_int_equal(r.keyed, 1);
	r = scan_text("{\"contents\":[],\"request\":{},\"key\":\"\"}\n");
	assert_int_equal(r.keyed, 1);
	r = scan_text("{\"request\":{\"key\":1,\"request\":2},\"a\":{\"key\":[]}}\n");
	assert_int_equal(r.no_key, 1);
	assert_int_equal(scan_report_status(&r), 0);
}

static void test_kinds_and_sizes(void **state)
{
	struct scan_report r = scan_text(BARE "\n" NO_KEY "\n" KEYED("x") "\n");

	assert_int_equal(scan_report_status(&r), 0);
	assert_int_equal(r.bare, 1);
	assert_int_equal(r.no_key, 1);
	assert_int_equal(r.keyed, 1);
	assert_int_equal(r.width, 1);
	assert_false(r.clean);
	assert_int_equal(
		r.send_size, strlen("{\"key\":\"1\",\"request\":" BARE "}\n"
				    "{\"key\":\"2\"," REQUEST "}\n" KEYED("x") "\n"));
}

static void test_unclean(void **state)
{
	static const char *const texts[] = {
		BOM KEYED("a") "\n",
		KEYED("a") "\r\n",
		KEYED("a") "\n\n",
		"\n" KEYED("a") "\n",
		KEYED("a") "\n \t\r\n" KEYED("b") "\n",
		KEYED("a") "\n  ",
		KEYED("a"),
		KEYED("a") "  ",
		NO_KEY "\n",
		BARE "\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct scan_report r = scan_text(texts[i]);

		if (scan_report_status(&r) != 0 || r.clean)
			fail_msg("%s", texts[i]);
	}
}

static void test_sizes_without_dirt(void **state)
{
	struct scan_report r =
		scan_text(BOM "\r\n " KEYED("a") " \r\n\n" KEYED("b") "\r\n \n");

	assert_int_equal(r.lines, 5);
	assert_int_equal(r.last_line, 4);
	assert_int_equal(r.blank, 3);
	assert_int_equal(r.send_size, 2 * strlen(KEYED("a") "\n"));
}

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
	{"{\"request\":{},\"a\":\"\\u12g4\"}", 24, "\\u wants four hex digits"},
	{"{\"request\":{},\"a\":\"\\u12\"}", 24, "\\u wants four hex digits"},
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
	{"{\"content\":[]}", 0, "no request"},
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
		struct scan_report r = scan_text(text);

		assert_int_equal(r.requests, 2);
		assert_int_equal(r.bad_total, 1);
		assert_int_equal(r.n_bad, 1);
		if (strcmp(r.bad[0].reason, bad_lines[i].reason) != 0 ||
			r.bad[0].column != bad_lines[i].column || r.bad[0].line != 2)
			fail_msg("%s: %ju:%ju: %s", bad_lines[i].line,
				(uintmax_t)r.bad[0].line, (uintmax_t)r.bad[0].column,
				r.bad[0].reason);
		assert_int_equal(scan_report_status(&r), -EBADMSG);
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
		struct scan_report r = scan_text(text);

		if (scan_report_status(&r) != 0)
			fail_msg("%s: %s", text, r.bad[0].reason);
	}
}

static void test_no_request(void **state)
{
	static const char *const texts[] = {"", "\n", "  \r\n\t\n", BOM, BOM "\n"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct scan_report r = scan_text(texts[i]);
		_cleanup_free_ char *text = scan_report_text(&r);

		assert_int_equal(scan_report_status(&r), -EBADMSG);
		assert_int_equal(r.requests, 0);
		assert_int_equal(r.bad_total, 0);
		assert_false(r.clean);
		assert_string_equal(text, "there is no request in the file\n");
	}
}

/* Every prefix that cuts a line is told so, and only those. */
static void test_cut(void **state)
{
	static const char line[] =
		"{\"key\":\"\xc3\xa9\\u00e9\",\"request\":{\"a\":[1.5e3,true]}}";
	size_t n = sizeof line - 1;

	for (size_t cut = 1; cut < n; cut++) {
		struct scan_report r;

		scan_bytes(line, cut, &r);
		assert_int_equal(r.n_bad, 1);
		assert_int_equal(r.bad[0].line, 1);
		assert_int_equal(r.bad[0].column, cut + 1);
		assert_string_equal(
			r.bad[0].reason, "ends in the middle of a line (cut short?)");
	}
	for (size_t cut = 1; cut < 3; cut++) {
		struct scan_report r;

		scan_bytes(BOM, cut, &r);
		assert_int_equal(r.bad_total, 1);
	}
}

static void test_zero_bytes(void **state)
{
	static const char text[] = "{\"request\":{\"a\":\"x\0y\"}}\n\0\n";
	struct scan_report r;

	scan_bytes(text, sizeof text - 1, &r);
	assert_int_equal(r.bad_total, 2);
}

static void test_repeated_keys(void **state)
{
	struct scan_report r = scan_text(KEYED("a") "\n" KEYED(
		"b") "\n\n"
		     "{" REQUEST ",\"key\":\"\\u0061\"}\n" KEYED("a") "\n");
	_cleanup_free_ char *text = scan_report_text(&r);

	assert_int_equal(r.bad_total, 2);
	assert_string_equal(text, "line 4: the same key as on line 1\n"
				  "line 5: the same key as on line 1\n");

	r = scan_text(KEYED("\\ud83d\\ude00") "\n" KEYED("\xf0\x9f\x98\x80") "\n");
	assert_int_equal(r.bad_total, 1);
	r = scan_text(KEYED("\xc3\xa9") "\n" KEYED("\\u00E9") "\n" KEYED("e") "\n");
	assert_int_equal(r.bad_total, 1);
	r = scan_text(KEYED("a\\u0000b") "\n" KEYED("a\\u0000c") "\n" KEYED("a") "\n");
	assert_int_equal(r.bad_total, 0);
	r = scan_text(KEYED("") "\n" KEYED("") "\n");
	assert_int_equal(r.bad_total, 1);
	/* A bad line's key is not taken. */
	r = scan_text("{\"key\":\"a\"}\n" KEYED("a") "\n");
	assert_int_equal(r.bad_total, 1);
	assert_int_equal(r.bad[0].line, 1);
}

static void test_number_keys(void **state)
{
	struct scan_report r = scan_text(NO_KEY "\n" KEYED("1") "\n");

	assert_int_equal(r.bad_total, 1);
	assert_int_equal(r.bad[0].line, 2);
	assert_int_equal(r.bad[0].other, 1);
	assert_string_equal(
		r.bad[0].reason, "its key is the number, and so the key, of line");

	r = scan_text(KEYED("3") "\n\n" BARE "\n");
	assert_int_equal(r.bad_total, 1);
	assert_int_equal(r.bad[0].line, 3);
	assert_int_equal(r.bad[0].other, 1);
	assert_string_equal(r.bad[0].reason, "its number is the key of line");

	/* Another width, a line that has a key, a line that is blank, no line. */
	r = scan_text(KEYED("01") "\n" NO_KEY "\n");
	assert_int_equal(r.bad_total, 0);
	r = scan_text(KEYED("2") "\n" KEYED("1") "\n" NO_KEY "\n");
	assert_int_equal(r.bad_total, 0);
	r = scan_text(KEYED("2") "\n\n" NO_KEY "\n");
	assert_int_equal(r.bad_total, 0);
	r = scan_text(KEYED("9") "\n" NO_KEY "\n");
	assert_int_equal(r.bad_total, 0);
	/* Blank lines at the end do not widen. */
	r = scan_text(NO_KEY "\n" KEYED("1") "\n\n\n\n\n\n\n\n\n\n\n\n");
	assert_int_equal(r.width, 1);
	assert_int_equal(r.bad_total, 1);
	/* Ten lines: two digits. */
	r = scan_text(NO_KEY "\n" KEYED("01") "\n" KEYED("1") "\n\n\n\n\n\n\n" BARE);
	assert_int_equal(r.width, 2);
	assert_int_equal(r.bad_total, 1);
	assert_int_equal(r.bad[0].line, 2);
}

/* The first ten in order of line, both sorts of faults; the rest is counted. */
static void test_many_bad(void **state)
{
	char *text = NULL, *told;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct scan_report r;

	for (int i = 1; i <= 40; i++)
		fputs(i % 2 ? "{}\n" : KEYED("a") "\n", f);
	fclose(f);
	scan_bytes(text, n, &r);
	assert_int_equal(r.bad_total, 20 + 19);
	assert_int_equal(r.n_bad, SCAN_BAD_MAX);
	for (unsigned i = 0; i < SCAN_BAD_MAX; i++) {
		assert_int_equal(r.bad[i].line, i == 0 ? 1 : i + 2);
		assert_int_equal(r.bad[i].other, r.bad[i].line % 2 ? 0 : 2);
	}
	told = scan_report_text(&r);
	assert_non_null(strstr(told, "and 29 more bad lines\n"));
	free(told);
	free(text);
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
		{"a+b-c.9:x", false},
		/* Only so much of it is kept, in one piece or in many. */
		{LETTERS_60 "abc:x", false},
		{LETTERS_60 "abcd:x", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(uris); i++)
		for (int camel = 0; camel < 2; camel++) {
			_cleanup_free_ char *text =
				util_format("{\"request\":{\"p\":[{\"%s\":{\"%s\":\"%"
					    "s\"}},\"x\"]}}\n",
					camel ? "fileData" : "file_d\\u0061ta",
					camel ? "fileUri" : "file_uri", uris[i].uri);
			struct scan_report r = scan_text(text);

			assert_int_equal(scan_report_status(&r), 0);
			if (r.loose_uris != uris[i].loose || r.uris != 1)
				fail_msg("%s", text);
			scan_pieces(text, strlen(text), 9, 9, &r);
			if (r.loose_uris != uris[i].loose)
				fail_msg("%s", text);
		}
	assert_int_equal(scan_text("{\"request\":{\"fileData\":{\"file_uri\":1,\"a\":[\"x\"],"
				   "\"fileUri\":[\"x\",{\"a\":\"x\"}]}}}\n")
				 .uris,
		0);
	/* Elsewhere it is something else. */
	assert_int_equal(scan_text("{\"request\":{\"file_uri\":\"a\",\"file_data\":[{"
				   "\"file_uri\":\"a\"}],\"fileData\":{\"a\":{\"fileUri\":"
				   "\"a\"}},\"b\":[{\"fileUri\":\"a\"}]}}\n")
				 .uris,
		0);
	assert_int_equal(scan_text("{\"request\":{\"a\":[{\"file_uri\":1},\"x\"],"
				   "\"b\":{\"file_uri\":{}},\"c\":\"x\"}}\n")
				 .loose_uris,
		0);
}

static void test_nesting(void **state)
{
	for (int deep = 510; deep <= 512; deep++) {
		char *text = NULL;
		size_t n;
		FILE *f = open_memstream(&text, &n);
		struct scan_report r;

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
	struct scan_report r;

	for (int i = 0; i < 200; i++)
		p = stpcpy(p, opens[i % 3]);
	for (int i = 199; i >= 0; i--)
		p = stpcpy(p, i % 3 == 1 ? "]" : "}");
	strcpy(p, "}\n");
	r = scan_text(text);
	assert_int_equal(scan_report_status(&r), 0);
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
	struct scan_report whole, r;

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
	struct scan_report r;

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

static void test_many_keys(void **state)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct scan_report r;

	for (int i = 0; i < 200000; i++)
		fprintf(f, "{\"key\":\"%d\",\"request\":{}}\n", i);
	fputs("{\"key\":\"77777\",\"request\":{}}\n", f);
	fclose(f);
	scan_bytes(text, n, &r);
	assert_int_equal(r.requests, 200001);
	assert_int_equal(r.bad_total, 1);
	assert_int_equal(r.bad[0].line, 200001);
	assert_int_equal(r.bad[0].other, 77778);
	free(text);
}

static void test_too_big(void **state)
{
	/* A sparse file would be NULs, so the same megabytes are fed again. */
	size_t n = 1 << 20;
	char *text = malloc(n);
	struct scan *s = scan_new();
	struct scan_report r;
	_cleanup_free_ char *told = NULL;

	memset(text, 'x', n);
	memcpy(text, "{\"request\":{\"a\":\"", 17);
	memcpy(text + n - 4, "\"}}\n", 4);
	for (int i = 0; i < 2047; i++)
		assert_int_equal(scan_feed(s, text, n), 0);
	assert_int_equal(scan_feed(s, text, n), 0);
	assert_int_equal(scan_finish(s, -1, NULL, &r), 0);
	/* The objects alone are just 2 GiB: the keys put in are too much. */
	assert_true(r.too_big);
	assert_int_equal(r.requests, 2048);
	assert_int_equal(scan_report_status(&r), -EFBIG);
	told = scan_report_text(&r);
	assert_non_null(strstr(told, "2147483648"));
	scan_free(s);

	s = scan_new();
	for (int i = 0; i < 2060; i++)
		assert_int_equal(scan_feed(s, text, n), 0);
	assert_int_equal(scan_finish(s, -1, NULL, &r), 0);
	assert_true(r.too_big);
	assert_int_equal(r.requests, 2049);
	scan_free(s);
	free(text);
}

static void test_cancel_and_errors(void **state)
{
	atomic_bool cancel = true;
	struct scan_report r = {.lines = 7};
	int fd = file_of(KEYED("a"), strlen(KEYED("a")));

	assert_int_equal(scan_file(fd, &cancel, &r), -ECANCELED);
	assert_int_equal(scan_file(-1, NULL, &r), -EBADF);
	assert_int_equal(r.lines, 7);
	cancel = false;
	assert_int_equal(scan_file(fd, &cancel, &r), 0);
	close(fd);
	scan_free(NULL);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Against qsort, with hashes that share bytes, where sorting is hardest. */
static void test_keyset(void **state)
{
	static const uint64_t masks[] = {UINT64_MAX, 0xff, 0xffff, 0xff000000000000ff,
		0x0f0f, 0xfffff00000000000, 0};

	for (size_t m = 0; m < ARRAY_SIZE(masks); m++)
		for (size_t n = 0; n < 5000; n = 2 * n + 1) {
			struct keyset set = {0};
			uint64_t *all = calloc(n + 1, sizeof *all);
			size_t repeated = 0, kept = 0;

			for (size_t i = 0; i < n; i++) {
				all[i] = util_random_u64() & masks[m];
				assert_int_equal(keyset_add(&set, all[i]), 0);
			}
			qsort(all, n, sizeof *all, by_value);
			for (size_t i = 1; i < n; i++)
				repeated += all[i] == all[i - 1];
			assert_int_equal(keyset_reduce(&set), repeated);
			for (size_t i = 0; i < n; i++) {
				bool twice = (i > 0 && all[i - 1] == all[i]) ||
					     (i + 1 < n && all[i + 1] == all[i]);
				ssize_t at = keyset_find(&set, all[i]);

				assert_int_equal(at >= 0, twice);
				if (twice && (i == 0 || all[i - 1] != all[i]))
					assert_int_equal(at, kept++);
			}
			assert_int_equal(set.n, kept);
			keyset_clear(&set);
			free(all);
		}
}

/* However a key is cut, its hash is the same; other keys, lengths and seeds give
 * others. */
static void test_keyhash(void **state)
{
	static const char key[] = "a key of more than sixteen bytes";
	struct keyseed seed = {1, 2}, other = {1, 3};
	struct keypair first = {0}, pair;
	struct keyhash h;

	for (size_t a = 0; a < sizeof key; a++)
		for (size_t b = a; b < sizeof key; b++) {
			keyhash_init(&h, seed);
			keyhash_add(&h, key, a);
			keyhash_add(&h, key + a, b - a);
			keyhash_add(&h, key + b, sizeof key - b);
			pair = keyhash_end(&h);
			if (a == 0 && b == 0)
				first = pair;
			assert_true(pair.first == first.first);
			assert_true(pair.second == first.second);
		}
	assert_true(first.first != first.second);
	keyhash_init(&h, other);
	keyhash_add(&h, key, sizeof key);
	assert_true(keyhash_end(&h).first != first.first);
	keyhash_init(&h, seed);
	keyhash_add(&h, key, sizeof key - 1);
	assert_true(keyhash_end(&h).first != first.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_files),
		cmocka_unit_test(test_kinds_and_sizes),
		cmocka_unit_test(test_unclean),
		cmocka_unit_test(test_sizes_without_dirt),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_good_values),
		cmocka_unit_test(test_no_request),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_zero_bytes),
		cmocka_unit_test(test_repeated_keys),
		cmocka_unit_test(test_number_keys),
		cmocka_unit_test(test_many_bad),
		cmocka_unit_test(test_loose_uris),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_mixed_nesting),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_cancel_and_errors),
		cmocka_unit_test(test_keyset),
		cmocka_unit_test(test_keyhash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
