/* A whole file: what it counts, its size, keys that repeat. */
#include "scan_fixture.h"
#include "provider/gemini/request_members.h"

static void test_good_files(void **state)
{
	struct validate_report r = scan_text(KEYED("a") "\n" KEYED("b") "\n");

	assert_int_equal(validate_report_status(&r), 0);
	assert_int_equal(r.lines, 2);
	assert_int_equal(r.last_line, 2);
	assert_int_equal(r.requests, 2);
	assert_int_equal(r.keyed, 2);
	assert_true(r.clean);
	assert_int_equal(r.send_size, r.file_size);

	r = scan_text("\t {\"request\" : { } , \"key\" :\"a\",\"more\":[1,{}]} \t\n");
	assert_int_equal(validate_report_status(&r), 0);
	assert_true(r.clean);

	r = scan_text("{\"k\\u0065y\":\"a\",\"\\u0072equest\":{}}\n");
	assert_int_equal(r.keyed, 1);
	r = scan_text("{\"contents\":[],\"request\":{},\"key\":\"\"}\n");
	assert_int_equal(r.keyed, 1);
	r = scan_text("{\"request\":{\"key\":1,\"request\":2},\"a\":{\"key\":[]}}\n");
	assert_int_equal(r.no_key, 1);
	assert_int_equal(validate_report_status(&r), 0);
}

static void test_kinds_and_sizes(void **state)
{
	struct validate_report r = scan_text(BARE "\n" NO_KEY "\n" KEYED("x") "\n");

	assert_int_equal(validate_report_status(&r), 0);
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
		struct validate_report r = scan_text(texts[i]);

		if (validate_report_status(&r) != 0 || r.clean)
			fail_msg("%s", texts[i]);
	}
}

static void test_sizes_without_dirt(void **state)
{
	struct validate_report r =
		scan_text(BOM "\r\n " KEYED("a") " \r\n\n" KEYED("b") "\r\n \n");

	assert_int_equal(r.lines, 5);
	assert_int_equal(r.last_line, 4);
	assert_int_equal(r.blank, 3);
	assert_int_equal(r.send_size, 2 * strlen(KEYED("a") "\n"));
}

static void test_repeated_keys(void **state)
{
	struct validate_report r = scan_text(KEYED("a") "\n" KEYED(
		"b") "\n\n"
		     "{" REQUEST ",\"key\":\"\\u0061\"}\n" KEYED("a") "\n");
	_cleanup_free_ char *text = validate_report_text(&r);

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
	struct validate_report r = scan_text(NO_KEY "\n" KEYED("1") "\n");

	assert_int_equal(r.bad_total, 1);
	assert_int_equal(r.bad[0].line, 2);
	assert_int_equal(r.bad[0].other, 1);
	assert_string_equal(r.bad[0].reason,
		"its key equals the line number that is the key of line");

	r = scan_text(KEYED("3") "\n\n" BARE "\n");
	assert_int_equal(r.bad_total, 1);
	assert_int_equal(r.bad[0].line, 3);
	assert_int_equal(r.bad[0].other, 1);
	assert_string_equal(r.bad[0].reason,
		"its key is its line number, which is also the key of line");

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
	struct validate_report r;

	for (int i = 1; i <= 40; i++)
		fputs(i % 2 ? "{}\n" : KEYED("a") "\n", f);
	fclose(f);
	scan_bytes(text, n, &r);
	assert_int_equal(r.bad_total, 20 + 19);
	assert_int_equal(r.n_bad, VALIDATE_BAD_MAX);
	for (unsigned i = 0; i < VALIDATE_BAD_MAX; i++) {
		assert_int_equal(r.bad[i].line, i == 0 ? 1 : i + 2);
		assert_int_equal(r.bad[i].other, r.bad[i].line % 2 ? 0 : 2);
	}
	told = validate_report_text(&r);
	assert_non_null(strstr(told, "and 29 more bad lines\n"));
	free(told);
	free(text);
}

static void test_many_keys(void **state)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct validate_report r;

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
	struct validator *s = validate_new(&gemini_requests);
	struct validate_report r;
	_cleanup_free_ char *told = NULL;

	memset(text, 'x', n);
	memcpy(text, "{\"request\":{\"a\":\"", 17);
	memcpy(text + n - 4, "\"}}\n", 4);
	for (int i = 0; i < 2047; i++)
		assert_int_equal(validate_feed(s, text, n), 0);
	assert_int_equal(validate_feed(s, text, n), 0);
	assert_int_equal(validate_finish(s, -1, NULL, &r), 0);
	/* The objects alone are just 2 GiB: the keys put in are too much. */
	assert_true(r.too_big);
	assert_int_equal(r.requests, 2048);
	assert_int_equal(validate_report_status(&r), -EFBIG);
	told = validate_report_text(&r);
	assert_non_null(strstr(told, "2147483648"));
	validate_free(s);

	s = validate_new(&gemini_requests);
	for (int i = 0; i < 2060; i++)
		assert_int_equal(validate_feed(s, text, n), 0);
	assert_int_equal(validate_finish(s, -1, NULL, &r), 0);
	assert_true(r.too_big);
	assert_int_equal(r.requests, 2049);
	validate_free(s);
	free(text);
}

static void test_cancel_and_errors(void **state)
{
	atomic_bool cancel = true;
	struct validate_report r = {.lines = 7};
	int fd = file_of(KEYED("a"), strlen(KEYED("a")));

	assert_int_equal(validate_file(&gemini_requests, fd, &cancel, &r), -ECANCELED);
	assert_int_equal(validate_file(&gemini_requests, -1, NULL, &r), -EBADF);
	assert_int_equal(r.lines, 7);
	cancel = false;
	assert_int_equal(validate_file(&gemini_requests, fd, &cancel, &r), 0);
	close(fd);
	validate_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_files),
		cmocka_unit_test(test_kinds_and_sizes),
		cmocka_unit_test(test_unclean),
		cmocka_unit_test(test_sizes_without_dirt),
		cmocka_unit_test(test_repeated_keys),
		cmocka_unit_test(test_number_keys),
		cmocka_unit_test(test_many_bad),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_cancel_and_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
