#include "record.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static char *sample(size_t *n)
{
	struct record r;

	record_init(&r);
	record_set(&r.name, "haiku");
	record_set(&r.display, "ha\niku \"x\"");
	record_set(&r.id, "batches/abc");
	record_set(&r.input_file, "files/xyz");
	record_set(&r.error, "line one\nline two\n");
	r.phase = PHASE_SENT;
	r.own = true;
	r.requests = 1234567890123;
	r.removal = REMOVAL_CANCELLED;
	char *text = record_dump(&r, n);
	record_clear(&r);
	return text;
}

static void test_round_trip(void **state)
{
	struct record r;
	size_t n;
	char *text = sample(&n);

	assert_non_null(text);
	assert_int_equal(record_parse(text, n, &r), 0);
	assert_string_equal(r.name, "haiku");
	assert_string_equal(r.display, "ha\niku \"x\"");
	assert_string_equal(r.id, "batches/abc");
	assert_string_equal(r.error, "line one\nline two\n");
	assert_int_equal(r.phase, PHASE_SENT);
	assert_int_equal(r.removal, REMOVAL_CANCELLED);
	assert_true(r.own);
	assert_false(r.home);
	assert_true(r.requests == 1234567890123);
	assert_null(r.session);
	record_clear(&r);
	free(text);
}

static void test_cut_or_flipped(void **state)
{
	struct record r;
	size_t n;
	char *text = sample(&n);

	record_init(&r);
	/* The last newline alone says nothing. */
	for (size_t cut = 0; cut + 1 < n; cut++)
		assert_int_equal(record_parse(text, cut, &r), -EBADMSG);
	for (size_t i = 0; i + 1 < n; i++) {
		text[i] ^= 0x10;
		int err = record_parse(text, n, &r);
		assert_int_equal(err, -EBADMSG);
		text[i] ^= 0x10;
	}
	free(text);
}

static char *with_crc(const char *json)
{
	return util_format("%s\n%08x\n", json, util_crc32c(0, json, strlen(json)));
}

static void test_not_plausible(void **state)
{
	static const char *const bad[] = {
		"{}", "[]", "{\"name\":\"a/b\"}", "{\"name\":\"a\",\"phase\":99}",
		"{\"name\":\"a\",\"phase\":-1}", "{\"name\":\"a\",\"phase\":\"x\"}",
		"{\"name\":\"a\",\"id\":\"batches/../x\"}", "{\"name\":\"a\",\"id\":\"x\"}",
		"{\"name\":\"a\",\"input_file\":\"files/a/b\"}",
		"{\"name\":\"a\",\"phase\":7}", "{\"name\":7}",
	};
	struct record r;

	record_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = with_crc(bad[i]);
		assert_int_equal(record_parse(text, strlen(text), &r), -EBADMSG);
		free(text);
	}
	/* What a later version may have added is passed over. */
	char *text = with_crc("{\"name\":\"a\",\"new_thing\":[1]}");
	assert_int_equal(record_parse(text, strlen(text), &r), 0);
	record_clear(&r);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_or_flipped),
		cmocka_unit_test(test_not_plausible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
