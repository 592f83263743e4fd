#include "store/journal.h"
#include "base/util.h"

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
	assert_int_equal(counted_set(&r.name, "haiku"), 0);
	assert_int_equal(counted_set(&r.display, "ha\niku \"x\""), 0);
	assert_int_equal(counted_set(&r.batch->id, "batches/abc"), 0);
	assert_int_equal(record_set(&r.batch->input_file, "files/xyz"), 0);
	assert_int_equal(record_set(&r.error, "line one\nline two\n"), 0);
	r.batch->phase = PHASE_SENT;
	r.own = true;
	r.batch->requests = 1234567890123;
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
	assert_string_equal(r.batch->id, "batches/abc");
	assert_string_equal(r.error, "line one\nline two\n");
	assert_int_equal(r.batch->phase, PHASE_SENT);
	assert_int_equal(r.removal, REMOVAL_CANCELLED);
	assert_true(r.own);
	assert_false(r.batch->home);
	assert_true(r.batch->requests == 1234567890123);
	assert_null(r.batch->session);
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

/* As the version before wrote it: what is a batch's stands among the rest. */
static void test_format_1(void **state)
{
	char *text = with_crc(
		"{\"name\":\"a\",\"phase\":7,\"id\":\"batches/b\",\"requests\":3,"
		"\"input_file\":\"files/f\",\"home\":true,\"results_size\":9,"
		"\"removal\":1,\"own\":true}");
	struct record r;

	assert_int_equal(record_parse(text, strlen(text), &r), 0);
	assert_int_equal(r.batch->phase, PHASE_SENT);
	assert_string_equal(r.batch->id, "batches/b");
	assert_string_equal(r.batch->input_file, "files/f");
	assert_true(r.batch->requests == 3 && r.batch->results_size == 9);
	assert_true(r.batch->home && r.own);
	assert_int_equal(r.removal, REMOVAL_INTENDED);
	record_clear(&r);
	free(text);
}

/* A count of lost parts does not say of which it was told: it is passed over. */
static void test_lost_parts(void **state)
{
	_cleanup_free_ char *old = with_crc(
		"{\"name\":\"a\",\"lost_told\":2,\"parts_removed\":true}");
	struct record r;
	size_t n;

	assert_int_equal(record_parse(old, strlen(old), &r), 0);
	assert_null(r.parts_told);
	assert_true(r.parts_removed);
	assert_int_equal(record_set(&r.parts_told, "2-4"), 0);
	_cleanup_free_ char *text = record_dump(&r, &n);
	record_clear(&r);
	assert_int_equal(record_parse(text, n, &r), 0);
	assert_string_equal(r.parts_told, "2-4");
	record_clear(&r);
}

/* More than this version can look after, or none, is not taken for one. */
static void test_other_numbers_of_batches(void **state)
{
	static const char *const bad[] = {
		"{\"name\":\"a\",\"batches\":[]}",
		"{\"name\":\"a\",\"batches\":{}}",
		"{\"name\":\"a\",\"batches\":[{},{}]}",
		"{\"name\":\"a\",\"batches\":[1]}",
	};
	struct record r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = with_crc(bad[i]);

		assert_int_equal(record_parse(text, strlen(text), &r), -EBADMSG);
		free(text);
	}
}

static void test_not_plausible(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"name\":\"a/b\"}",
		"{\"name\":\"a\",\"phase\":99}",
		"{\"name\":\"a\",\"phase\":-1}",
		"{\"name\":\"a\",\"phase\":\"x\"}",
		"{\"name\":\"a\",\"id\":\"batches/../x\"}",
		"{\"name\":\"a\",\"id\":\"x\"}",
		"{\"name\":\"a\",\"input_file\":\"files/a/b\"}",
		"{\"name\":\"a\",\"phase\":7}",
		"{\"name\":7}",
		"{\"name\":\"a\",\"put_by\":[{\"phase\":1}]}",
		"{\"name\":\"a\",\"put_by\":[{\"phase\":6,\"input_file\":\"files/a/b\"}]}",
		"{\"name\":\"a\",\"put_by\":[{\"phase\":6,\"range_len\":-1}]}",
		"{\"name\":\"a\",\"put_by\":[7]}",
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

/* The span of work that is queued, read out of such a file. */
static double queued_for(const char *boot, long long written, long long since)
{
	_cleanup_free_ char *json = util_format(
		"{\"name\":\"a\",\"phase\":4,\"boot\":\"%s\",\"written\":%lld,"
		"\"queued_since\":%lld}", boot, written, since);
	_cleanup_free_ char *text = with_crc(json);
	struct record r;

	assert_int_equal(record_parse(text, strlen(text), &r), 0);
	double span = record_span(r.batch->queued_since);
	record_clear(&r);
	return span;
}

static bool about(double span, double want)
{
	return span >= want - 2 && span < want + 60;
}

/* A span grows by time that has passed in sight: all of it within one boot, and after
 * another none of that between the two. */
static void test_spans(void **state)
{
	long long now = record_now(), far = INT64_MAX;

	assert_true(about(queued_for(util_boot(), now - 50, now - 500), 500));
	assert_true(about(queued_for("another", 5000, 4000), 1000));
	assert_true(about(queued_for("another", now + 100000, now + 99000), 1000));
	/* The clock of this boot has not come so far yet: it is another's. */
	assert_true(about(queued_for(util_boot(), now + 900, now + 100), 800));
	/* What cannot be begins now. */
	assert_true(about(queued_for("another", 5000, 6000), 0));
	assert_true(about(queued_for("another", far, -far), 0));
	assert_true(about(queued_for("another", -far, far), 0));
	/* An older version wrote no clock. */
	struct record r;
	_cleanup_free_ char *old =
		with_crc("{\"name\":\"a\",\"phase\":4,\"queued_at\":1}");
	assert_int_equal(record_parse(old, strlen(old), &r), 0);
	assert_true(
		r.batch->queued_since && about(record_span(r.batch->queued_since), 0));
	record_clear(&r);
}

static void test_spans_round_trip(void **state)
{
	struct record r;
	size_t n;

	record_init(&r);
	assert_int_equal(counted_set(&r.name, "a"), 0);
	r.batch->phase = PHASE_SUBMITTING;
	r.batch->intent_since = record_now() - 77;
	_cleanup_free_ char *text = record_dump(&r, &n);
	record_clear(&r);
	assert_int_equal(record_parse(text, n, &r), 0);
	assert_true(about(record_span(r.batch->intent_since), 77));
	record_clear(&r);
}

/* An intent that another takes the place of stays, with what it was for and its span; it is
 * taken up as it was. */
static void test_put_by(void **state)
{
	struct record r;
	size_t n;

	record_init(&r);
	assert_int_equal(counted_set(&r.name, "a"), 0);
	assert_int_equal(record_set(&r.part_of, "0123456789abcdef"), 0);
	r.part = 3;
	r.range_off = 10;
	for (int i = 0; i < 3; i++) {
		char file[] = "files/x0";

		file[7] += (char)i;
		assert_int_equal(record_set(&r.batch->input_file, i ? file : NULL), 0);
		r.batch->phase = i % 2 ? PHASE_SUBMITTING : PHASE_UNCERTAIN;
		r.batch->is_inline = !i;
		r.batch->intent_server = 1000 + i;
		r.batch->intent_since = record_now() - 77;
		r.batch->requests = r.range_len = 100 - i;
		r.batch->sent_size = 200 - i;
		assert_int_equal(record_put_by(&r), 0);
		assert_null(r.batch->input_file);
	}
	_cleanup_free_ char *text = record_dump(&r, &n);
	record_clear(&r);
	assert_int_equal(record_parse(text, n, &r), 0);
	assert_int_equal(r.n_put_by, 3);
	assert_int_equal(record_find_intent(&r, "files/x2"), 2);
	assert_int_equal(record_find_intent(&r, "files/x0"), 3);
	record_take_up(&r, 1);
	assert_int_equal(r.n_put_by, 2);
	assert_int_equal(r.batch->phase, PHASE_SUBMITTING);
	assert_string_equal(r.batch->input_file, "files/x1");
	assert_int_equal(r.batch->intent_server, 1001);
	assert_true(about(record_span(r.batch->intent_since), 77));
	assert_int_equal(r.range_len, 99);
	assert_int_equal(r.batch->requests, 99);
	assert_int_equal(r.batch->sent_size, 199);
	assert_true(r.put_by[0].is_inline && !r.put_by[1].is_inline);
	record_drop_intent(&r, 0);
	assert_int_equal(record_find_intent(&r, "files/x2"), 0);
	record_clear(&r);
}

static void test_counted(void **state)
{
	const char *a = counted_new("a"), *b = counted_new("a"), *c = NULL;

	assert_ptr_not_equal(a, b);
	counted_merge(&b, a);
	assert_ptr_equal(a, b);
	counted_unref(a);
	assert_string_equal(b, "a");
	assert_int_equal(counted_set(&c, b), 0);
	assert_ptr_not_equal(b, c);
	counted_take(&c, &b);
	assert_null(b);
	counted_merge(&b, c); /* none stays none */
	assert_null(b);
	counted_merge(&c, NULL);
	assert_string_equal(c, "a");
	assert_int_equal(counted_set(&b, "b"), 0);
	counted_merge(&b, c); /* it says something else */
	assert_string_equal(b, "b");
	counted_unset(&b);
	counted_unset(&c);
	counted_unset(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_or_flipped),
		cmocka_unit_test(test_format_1),
		cmocka_unit_test(test_lost_parts),
		cmocka_unit_test(test_other_numbers_of_batches),
		cmocka_unit_test(test_not_plausible),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_spans_round_trip),
		cmocka_unit_test(test_put_by),
		cmocka_unit_test(test_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
