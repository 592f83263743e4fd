#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "answers_fixture.h"
#include "base/util.h"
#include "provider/gemini/result_vector.h"

#define ASK(k) "{\"key\":\"" k "\",\"request\":{\"content\":{}}}\n"
#define EMBED(k, values)                                                               \
	"{\"response\":{\"tokenCount\":\"1\",\"embedding\":{\"values\":[" values       \
	"]}},\"key\":\"" k "\"}\n"

static uint32_t bits_of(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof bits);
	return bits;
}

static uint32_t bits_at(const char *p)
{
	const uint8_t *b = (const uint8_t *)p;

	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* As one of many, which goes the quick way where it can. */
static uint32_t read_among_others(const char *number)
{
	_cleanup_free_ char *text = util_format("7, %s ,8", number);
	struct memory m = {.text = text, .len = strlen(text)};
	struct text_source from = memory_source(&m);
	struct vector_reading r = {0, m.len};
	uint8_t out[12];

	assert_int_equal(vector_read(&from, &r, out, 3), 0);
	assert_int_equal(bits_at((char *)out), bits_of(7));
	assert_int_equal(bits_at((char *)out + 8), bits_of(8));
	return bits_at((char *)out + 4);
}

static void is_exact(const char *number)
{
	uint32_t want = bits_of(strtof(number, NULL));

	if (bits_of(vector_number(number, strlen(number))) != want ||
		read_among_others(number) != want)
		fail_msg("%s: not %08" PRIx32, number, want);
}

static void odd_numbers_are_exact(void **state)
{
	static const char *const numbers[] = {"0", "-0", "-0.0", "1e-45", "1.5E+3",
		"1.5e3", "7.0e-46", "7.1e-46", "-1e-46", "1.17549435e-38",
		"1.17549428e-38", "3.4028235e38", "3.4028236e38", "1e400", "-1e400",
		"1e-400", "16777217", "16777217.0000001", "16777219", "0.1",
		"-0.016578470000000000000001",
		/* Half way between two floats, and a little more or less. */
		"1.00000005960464477539062500",
		"1.000000059604644775390625000000000001",
		"1.00000005960464477539062499999999999", "9007199791611904",
		"9007199791611905", "9007199254740993",
		"123456789012345678901234567890",
		"0.00000000000000000000000000000000000000000000000000001e53",
		"1000000000000000000000000000000000000000000000000000000e-54",
		"0.000000000000000000000000000000000000011754943508222875",
		"1e0000000001", "1e+22", "1e23", "123456789012345678",
		"1234567890123456789"};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		is_exact(numbers[i]);
}

static void random_numbers_are_exact(void **state)
{
	char text[64];
	uint64_t x = 1;

	for (unsigned i = 0; i < 200000; i++) {
		float f;

		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		uint32_t bits = (uint32_t)(x >> 32);
		memcpy(&f, &bits, sizeof f);
		if (!isfinite(f))
			continue;
		snprintf(text, sizeof text, i & 1 ? "%.*g" : "%.*e",
			(int)(x >> 20 & 15) + 1, (double)f);
		is_exact(text);
		/* The middle of two floats is what rounding is about. */
		snprintf(text, sizeof text, "%.17g",
			((double)f + (double)nextafterf(f, INFINITY)) / 2);
		is_exact(text);
		snprintf(text, sizeof text, "%.*f", (int)(x >> 20 & 15),
			(double)(int32_t)bits / 2147483648.0);
		is_exact(text);
	}
}

/* Digits beyond those that are kept say that it is more than half way. */
static void long_decimals_are_exact(void **state)
{
	_cleanup_free_ char *text = NULL;
	char zeros[3001];

	memset(zeros, '0', 3000);
	zeros[3000] = '\0';
	text = util_format("1.000000059604644775390625%s1", zeros);
	is_exact(text);
	free(text);
	text = util_format("1.000000059604644775390625%s", zeros);
	is_exact(text);
	free(text);
	text = util_format("0.%s123e3000", zeros);
	is_exact(text);
	free(text);
	text = util_format("1%s.5e-3000", zeros);
	is_exact(text);
}

static void what_is_no_number_is_nan(void **state)
{
	static const char *const texts[] = {"", "null", "\"NaN\"", "-", "1e", "1e+",
		"1x", "e5", ".", "1.2.3", "{}", "0x10", "inf"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_true(isnan(vector_number(texts[i], strlen(texts[i]))));
		assert_int_equal(read_among_others(texts[i]), 0x7fc00000);
	}
	assert_int_equal(read_among_others("\"Infinity\""), bits_of(INFINITY));
	assert_int_equal(read_among_others("\"-Infinity\""), bits_of(-INFINITY));
}

/* ---- the file ------------------------------------------------------------------------ */

static ssize_t read_vectors(
	const struct made *m, uint32_t node, uint64_t off, void *buf, size_t n)
{
	(void)node;
	return answers_read_vectors(m->a, &m->sources, off, buf, n);
}

static void rows_are_in_the_order_asked(void **state)
{
	static const size_t pieces[] = {0, 1, 7};
	static const char want[] =
		"\x93NUMPY\x01\x00\x76\x00"
		"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
	static const uint32_t floats[] = {
		0x3f000000, 0xc47a0000, 0x7fc00000, 0x7fc00000, 0x3f800000, 0x80000000};
	const char *plain =
		EMBED("c", "1,-0") EMBED("a", " 0.5 ,\t-1e3 ") EMBED("z", "9,9");

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct made m;

		assert_int_equal(made_new(&m, ASK("a") ASK("b") ASK("c"),
					 strlen(ASK("a") ASK("b") ASK("c")), plain,
					 strlen(plain), pieces[i]),
			0);
		assert_int_equal(answers_vectors_size(m.a), 128 + 4 * 6);
		_cleanup_free_ char *all = made_file(&m, read_vectors, 0, 128 + 4 * 6);
		assert_memory_equal(all, want, sizeof want - 1);
		assert_int_equal(all[127], '\n');
		for (size_t k = 0; k < ARRAY_SIZE(floats); k++)
			assert_int_equal(bits_at(all + 128 + 4 * k), floats[k]);
		_cleanup_free_ char *tsv = made_tsv(&m);
		assert_string_equal(tsv,
			"a\tanswered\t2\nb\tmissing\tthere is no result for "
			"this request\nc\tanswered\t2\nz\tanswered\t2\n");
		_cleanup_free_ char *tree = made_tree(&m), *retry = made_retry(&m);
		assert_non_null(strstr(tree, "c.json = {\"values\":[1,-0]}\n"));
		assert_string_equal(retry, ASK("b"));
		made_free(&m);
	}
}

static void other_lengths_are_no_file(void **state)
{
	const char *results = EMBED("a", "1,2") EMBED("b", "1,2,3");
	struct made m;
	char byte;

	assert_int_equal(made_new(&m, NULL, 0, results, strlen(results), 0), 0);
	assert_int_equal(answers_vectors_size(m.a), 0);
	assert_int_equal(answers_read_vectors(m.a, &m.sources, 0, &byte, 1), -ENOENT);
	_cleanup_free_ char *warnings =
		strndup(m.a->blob + m.a->head.warnings_at, m.a->head.warnings_len);
	assert_non_null(strstr(warnings, "different lengths (2 and 3)"));
	made_free(&m);
}

/* Reading by pieces decodes nothing twice, however long a row is. */
static void long_rows_are_read_once(void **state)
{
	enum { N = 100000, STEP = 4096 };
	FILE *out;
	char *text, buf[STEP];
	size_t len;
	struct made m;
	uint64_t size, before;

	out = open_memstream(&text, &len);
	fputs("{\"key\":\"a\",\"response\":{\"embedding\":{\"shape\":[1],\"values\":[",
		out);
	for (int i = 0; i < N; i++)
		fprintf(out, "%s%d.25", i ? "," : "", i);
	fputs("]}}}\n", out);
	fclose(out);
	assert_int_equal(made_new(&m, NULL, 0, text, len, 0), 0);
	size = answers_vectors_size(m.a);
	assert_int_equal(size, 128 + 4 * N);
	before = m.results.total;
	for (uint64_t at = 0; at < size; at += STEP) {
		ssize_t n = answers_read_vectors(m.a, &m.sources, at, buf, STEP);

		assert_int_equal(n, size - at < STEP ? size - at : STEP);
		assert_int_equal(bits_at(buf + (at ? 0 : 128)),
			bits_of((float)(at ? (at - 128) / 4 : 0) + 0.25f));
	}
	assert_true(m.results.total - before < 10 * len);
	made_free(&m);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_numbers_are_exact),
		cmocka_unit_test(random_numbers_are_exact),
		cmocka_unit_test(long_decimals_are_exact),
		cmocka_unit_test(what_is_no_number_is_nan),
		cmocka_unit_test(rows_are_in_the_order_asked),
		cmocka_unit_test(other_lengths_are_no_file),
		cmocka_unit_test(long_rows_are_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
