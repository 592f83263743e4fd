/* Schemas and answers: what fits, and what is said of what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_fit.h"
#include "base/util.h"
#include "provider/gemini/answer_schema.h"

#define NO_JSON "?"

struct row {
	const char *schema, *text;
	const char *why; /* NULL: it fits */
};

static char *verdict_of(struct fit *f, const struct fit_schema *s, const char *text,
	size_t piece, char why[FIT_WHY_MAX])
{
	size_t len = strlen(text);

	fit_begin(f, s);
	for (size_t at = 0; at < len; at += piece) {
		/* Not behind it. */
		size_t n = len - at < piece ? len - at : piece;
		char *copy = malloc(n);

		memcpy(copy, text + at, n);
		assert_int_equal(fit_sink(f, copy, n), 0);
		free(copy);
	}
	switch (fit_end(f, why)) {
	case FIT_NO_JSON:
		return strcpy(why, NO_JSON);
	case FIT_FITS:
		return NULL;
	default:
		return why;
	}
}

static void check_row(struct fit *f, const struct row *r)
{
	static const size_t pieces[] = {1, 2, 3, 7, 1 << 20};
	struct fit_schema *s = NULL;
	char why[FIT_WHY_MAX];

	assert_int_equal(answer_schema_compile(r->schema, strlen(r->schema), &s), 0);
	if (!s)
		fail_msg("not compiled: %s", r->schema);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		const char *got = verdict_of(f, s, r->text, pieces[i], why);

		if (!got != !r->why || (got && strcmp(got, r->why) != 0))
			fail_msg("%s, %s, in %zus: %s, not %s", r->schema, r->text,
				pieces[i], got ? got : "fits",
				r->why ? r->why : "fits");
	}
	fit_schema_free(s);
}

static void check_rows(const struct row *rows, size_t n)
{
	struct fit *f = fit_new();

	for (size_t i = 0; i < n; i++)
		check_row(f, &rows[i]);
	fit_free(f);
}
#define CHECK(rows) check_rows(rows, ARRAY_SIZE(rows))

static void kinds(void **state)
{
	static const struct row rows[] = {
		{"{\"type\":\"STRING\"}", "\"a\"", NULL},
		{"{\"type\":\"string\"}", "\"\"", NULL},
		{"{\"type\":\"STRING\"}", "1", "the answer is a number, not a string"},
		{"{\"type\":\"STRING\"}", "null", "the answer is null, not a string"},
		{"{\"type\":\"STRING\"}", "[\"a\"]",
			"the answer is a list, not a string"},
		{"{\"type\":\"STRING\"}", " {} ",
			"the answer is an object, not a string"},
		{"{\"type\":\"STRING\"}", "true",
			"the answer is true or false, not a string"},
		{"{\"type\":\"STRING\",\"nullable\":true}", "null", NULL},
		{"{\"nullable\":true,\"type\":\"STRING\"}", "null", NULL},
		{"{\"nullable\":false,\"type\":\"STRING\"}", "null",
			"the answer is null, not a string"},
		{"{\"type\":\"NULL\"}", "null", NULL},
		{"{\"type\":\"NULL\"}", "0", "the answer is a number, not null"},
		{"{\"type\":[\"string\",\"null\"]}", "null", NULL},
		{"{\"type\":[\"string\",\"null\"]}", "1",
			"the answer is a number, not a string or null"},
		{"{\"type\":\"BOOLEAN\"}", "false", NULL},
		{"{\"type\":\"BOOLEAN\"}", "\"false\"",
			"the answer is a string, not true or false"},
		{"{\"type\":\"INTEGER\"}", "1", NULL},
		{"{\"type\":\"INTEGER\"}", "1.0", NULL},
		{"{\"type\":\"INTEGER\"}", "-12.50e1", NULL},
		{"{\"type\":\"INTEGER\"}", "1e400", NULL},
		{"{\"type\":\"INTEGER\"}", "123456789012345678901234567890", NULL},
		{"{\"type\":\"INTEGER\"}", "1.5",
			"the answer is a number, not a whole number"},
		{"{\"type\":\"NUMBER\"}", "7", NULL},
		{"{\"type\":\"NUMBER\"}", "-0.5", NULL},
		{"{\"type\":\"ARRAY\"}", "[]", NULL},
		{"{\"type\":\"ARRAY\"}", "{}", "the answer is an object, not a list"},
		{"{\"type\":\"OBJECT\"}", "{\"any\":[1,{\"x\":2}]}", NULL},
		{"{}", "[1,\"a\",{\"b\":null}]", NULL},
		/* What is unknown says nothing. */
		{"{\"type\":\"TYPE_UNSPECIFIED\"}", "1", NULL},
		{"{\"type\":\"date\"}", "1", NULL},
		{"{\"type\":7}", "1", NULL},
		{"{\"type\":[]}", "1", NULL},
		{"{\"type\":\"STRING\",\"pattern\":\"^b\"}", "\"a\"", NULL},
		{"{\"type\":\"STRING\",\"format\":\"date-time\"}", "\"a\"", NULL},
		{"{\"not\":{}}", "1", NULL},
	};

	CHECK(rows);
}

static void what_is_no_json(void **state)
{
	static const struct row rows[] = {
		{"{\"type\":\"OBJECT\"}", "", NO_JSON},
		{"{\"type\":\"OBJECT\"}", "{\"a\":1", NO_JSON},
		{"{\"type\":\"OBJECT\"}", "{\"a\":1}}", NO_JSON},
		{"{\"type\":\"OBJECT\"}", "{} {}", NO_JSON},
		{"{\"type\":\"OBJECT\"}", "{},\"b\":{}", NO_JSON},
		{"{\"type\":\"STRING\"}", "1, \"y\":2", NO_JSON},
		{"{\"type\":\"STRING\"}", "1}", NO_JSON},
		{"{\"type\":\"STRING\"}", "a", NO_JSON},
		{"{\"type\":\"STRING\"}", "```json\n\"a\"\n```", NO_JSON},
		/* Also where it does not fit. */
		{"{\"type\":\"STRING\"}", "[1,2", NO_JSON},
		{"{\"type\":\"STRING\"}", "{\"a\":[1,2}", NO_JSON},
		{"{\"type\":\"STRING\"}", "[1],2", NO_JSON},
	};

	CHECK(rows);
}

#define POINT                                                                            \
	"{\"type\":\"OBJECT\",\"properties\":{\"x\":{\"type\":\"NUMBER\"},"              \
	"\"y\":{\"type\":\"NUMBER\",\"nullable\":true},\"name\":{\"type\":\"STRING\"}}," \
	"\"required\":[\"x\",\"y\"],\"propertyOrdering\":[\"y\",\"x\"]}"

static void objects(void **state)
{
	static const struct row rows[] = {
		{POINT, "{\"x\":1,\"y\":2}", NULL},
		{POINT, "{\"y\":null,\"x\":-1e3,\"name\":\"p\",\"more\":[{}]}", NULL},
		{POINT, "{\"x\":1,\"y\":\"2\"}",
			"/y is a string, not a number or null"},
		{POINT, "{\"x\":null,\"y\":2}", "/x is null, not a number"},
		{POINT, "{\"x\":[1],\"y\":2}", "/x is a list, not a number"},
		{POINT, "{\"x\":1}", "the answer has no y"},
		{POINT, "{}", "the answer has no x"},
		{POINT, "{\"x\":1,\"y\":2,\"name\":5}",
			"/name is a number, not a string"},
		/* Escapes are no other names. */
		{POINT, "{\"\\u0078\":1,\"y\":2}", NULL},
		{POINT, "{\"\\u0078\":true,\"y\":2}",
			"/x is true or false, not a number"},
		{POINT, " { \"x\" : 1 ,\n\t\"y\" :\r2 } ", NULL},
		/* Of two, readers take different ones. */
		{POINT, "{\"x\":1,\"x\":\"a\",\"y\":2}", NULL},
		{POINT, "{\"x\":1,\"x\":2}", NULL},
		{"{\"required\":[\"a\"]}", "[]", NULL},
		{"{\"required\":[\"a\",\"a\",7]}", "{\"b\":1}", "the answer has no a"},
		{"{\"required\":\"a\"}", "{\"b\":1}", NULL},
		{"{\"properties\":{\"\":{\"type\":\"STRING\"}}}", "{\"\":1}",
			"/ is a number, not a string"},
		{"{\"minProperties\":1,\"maxProperties\":\"2\"}",
			"{\"a\":{\"b\":1},\"c\":1}", NULL},
		{"{\"min_properties\":1}", "{}",
			"the answer has fewer members than minProperties"},
		{"{\"maxProperties\":1}", "{\"a\":1,\"b\":2}",
			"the answer has more members than maxProperties"},
		{"{\"properties\":{\"a\":{}},\"additionalProperties\":false}",
			"{\"a\":1,\"b\":2}", "/b is not a property of the schema"},
		{"{\"required\":[\"a\"],\"additionalProperties\":false}", "{\"a\":1}",
			"/a is not a property of the schema"},
		{"{\"properties\":{\"a\":{}},\"additionalProperties\":false,"
		 "\"patternProperties\":{}}",
			"{\"a\":1,\"b\":2}", NULL},
		{"{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":\"OBJECT\","
		 "\"required\":[\"c\"]}}}}}",
			"{\"z\":0,\"a\":{\"b\":{\"d\":[[],{}]}}}", "/a/b has no c"},
	};

	CHECK(rows);
}

static void lists(void **state)
{
	static const struct row rows[] = {
		{"{\"type\":\"ARRAY\",\"items\":" POINT "}",
			"[{\"x\":1,\"y\":2},{\"x\":3,\"y\":4}]", NULL},
		{"{\"type\":\"ARRAY\",\"items\":" POINT "}",
			"[{\"x\":1,\"y\":2},{\"x\":3,\"y\":[4]}]",
			"/1/y is a list, not a number or null"},
		{"{\"type\":\"ARRAY\",\"items\":" POINT "}",
			"[{\"x\":1,\"y\":2},{\"x\":3}]", "/1 has no y"},
		{"{\"type\":\"ARRAY\",\"items\":" POINT "}", "[{\"x\":1,\"y\":2},7]",
			"/1 is a number, not an object"},
		{"{\"items\":{\"items\":{\"type\":\"INTEGER\"}}}",
			"[[],[1,2],[3, 4.5 ]]", "/2/1 is a number, not a whole number"},
		{"{\"items\":{\"type\":\"STRING\"}}", "[\"a\",\"b\" , 3]",
			"/2 is a number, not a string"},
		{"{\"items\":{\"type\":\"STRING\"}}", "{\"a\":3}", NULL},
		{"{\"minItems\":2,\"maxItems\":3}", "[1,2]", NULL},
		{"{\"minItems\":2,\"maxItems\":3}", "[[1,2,3,4,5],{}]", NULL},
		{"{\"minItems\":2}", "[[1,2,3]]",
			"the answer has fewer items than minItems"},
		{"{\"minItems\":1}", "[ ]", "the answer has fewer items than minItems"},
		{"{\"maxItems\":3}", "[1,\"2\",[3],{}]",
			"the answer has more items than maxItems"},
		{"{\"max_items\":\"1\"}", "[1,2]",
			"the answer has more items than maxItems"},
		{"{\"minItems\":-1,\"maxItems\":1.5}", "[1,2]", NULL},
		{"{\"prefixItems\":[{}],\"items\":{\"type\":\"STRING\"}}", "[1]", NULL},
		{"{\"items\":[{\"type\":\"STRING\"}]}", "[1]", NULL},
		{"{\"items\":false}", "[1]", NULL},
	};

	CHECK(rows);
}

static void strings(void **state)
{
	static const struct row rows[] = {
		{"{\"enum\":[\"red\",\"green\"]}", "\"green\"", NULL},
		{"{\"enum\":[\"red\",\"green\"]}", "\"Green\"",
			"the answer is none of the values in enum"},
		{"{\"enum\":[\"red\",\"green\"]}", "\"\"",
			"the answer is none of the values in enum"},
		{"{\"enum\":[\"r\xc3\xa9\"]}", "\"r\\u00e9\"", NULL},
		{"{\"enum\":[\"red\"],\"nullable\":true}", "null", NULL},
		{"{\"enum\":[\"red\",null]}", "\"red\"", NULL},
		/* Strings are all that can be compared. */
		{"{\"enum\":[\"red\",1]}", "\"blue\"", NULL},
		{"{\"enum\":[]}", "\"blue\"", NULL},
		{"{\"type\":\"INTEGER\",\"enum\":[\"1\",\"2\"]}", "3", NULL},
		{"{\"const\":\"a\"}", "\"b\"",
			"the answer is none of the values in enum"},
		{"{\"const\":1}", "2", NULL},
		{"{\"minLength\":2,\"maxLength\":3}", "\"ab\"", NULL},
		{"{\"minLength\":2}", "\"\\n\"",
			"the answer is shorter than minLength"},
		{"{\"maxLength\":3}", "\"abcd\"",
			"the answer is longer than maxLength"},
		/* Characters, however they are written. */
		{"{\"maxLength\":3}", "\"\\ud83d\\ude00\xc3\xa9\xf0\x9f\x98\x80\"",
			NULL},
		{"{\"minLength\":4}", "\"\\ud83d\\ude00\xc3\xa9\xf0\x9f\x98\x80\"",
			"the answer is shorter than minLength"},
		{"{\"maxLength\":0}", "\"\"", NULL},
		{"{\"items\":{\"maxLength\":1}}", "[\"a\",\"b\",\"cc\",\"d\"]",
			"/2 is longer than maxLength"},
		{"{\"maxLength\":3}", "12345", NULL},
	};

	CHECK(rows);
}

static void numbers(void **state)
{
	static const struct row rows[] = {
		{"{\"minimum\":1,\"maximum\":\"5\"}", "5", NULL},
		{"{\"minimum\":1,\"maximum\":5}", "5.5", "the answer is above maximum"},
		{"{\"minimum\":1,\"maximum\":5}", "-1", "the answer is below minimum"},
		{"{\"minimum\":0}", "-0", NULL},
		{"{\"minimum\":0}", "-1e-300", "the answer is below minimum"},
		{"{\"minimum\":0}", "-1e-400", NULL},
		{"{\"maximum\":10}", "1e999", "the answer is above maximum"},
		{"{\"maximum\":9007199254740992}", "9007199254740993", NULL},
		{"{\"exclusiveMinimum\":1}", "0.5", "the answer is below minimum"},
		{"{\"exclusiveMinimum\":1}", "1", NULL},
		/* More digits than are looked at. */
		{"{\"type\":\"INTEGER\",\"maximum\":1}",
			"2."
			"00000000000000000000000000000000000000000000000000000000000000000000",
			NULL},
		{"{\"maximum\":\"x\",\"minimum\":true}", "7", NULL},
		{"{\"minimum\":1}", "\"0\"", NULL},
	};

	CHECK(rows);
}

#define EITHER "{\"anyOf\":[{\"type\":\"STRING\"}," POINT ",{\"type\":\"INTEGER\"}]}"

static void alternatives(void **state)
{
	static const struct row rows[] = {
		{EITHER, "\"a\"", NULL},
		{EITHER, "5", NULL},
		{EITHER, "{\"x\":1,\"y\":2}", NULL},
		{EITHER, "5.5", "the answer fits none of anyOf"},
		{EITHER, "[]", "the answer fits none of anyOf"},
		/* The one that was meant. */
		{EITHER, "{\"x\":1,\"y\":\"2\"}",
			"/y is a string, not a number or null"},
		{EITHER, "{\"x\":1}", "the answer has no y"},
		{"{\"items\":" EITHER "}", "[1,\"a\",{\"x\":1,\"y\":2},null]",
			"/3 fits none of anyOf"},
		{"{\"anyOf\":[{\"type\":\"STRING\"}],\"nullable\":true}", "null", NULL},
		{"{\"any_of\":[{\"type\":\"STRING\"},{\"type\":\"NULL\"}]}", "null",
			NULL},
		{"{\"oneOf\":[{\"type\":\"STRING\"},{\"maxLength\":1}]}", "\"a\"",
			NULL},
		{"{\"anyOf\":[]}", "1", NULL},
		/* Both must fit: the one with what is beside it. */
		{"{\"type\":\"OBJECT\",\"required\":[\"a\"],\"anyOf\":[{\"required\":[\"b\"]},"
		 "{\"required\":[\"c\"]}]}",
			"{\"c\":1,\"a\":1}", NULL},
		{"{\"type\":\"OBJECT\",\"required\":[\"a\"],\"anyOf\":[{\"required\":[\"b\"]},"
		 "{\"required\":[\"c\"]}]}",
			"{\"c\":1}", "the answer has no a"},
		{"{\"type\":\"OBJECT\",\"required\":[\"a\"],\"anyOf\":[{\"required\":[\"b\"]},"
		 "{\"required\":[\"c\"]}]}",
			"{\"a\":1}", "the answer has no c"},
		/* By what is in them, long after they began. */
		{"{\"anyOf\":[{\"properties\":{\"k\":{\"enum\":[\"a\"]},\"v\":{\"type\":"
		 "\"STRING\"}}},{\"properties\":{\"k\":{\"enum\":[\"b\"]},\"v\":{\"type\":"
		 "\"NUMBER\"}}}]}",
			"{\"v\":1,\"k\":\"b\"}", NULL},
		{"{\"anyOf\":[{\"properties\":{\"k\":{\"enum\":[\"a\"]},\"v\":{\"type\":"
		 "\"STRING\"}}},{\"properties\":{\"k\":{\"enum\":[\"b\"]},\"v\":{\"type\":"
		 "\"NUMBER\"}}}]}",
			"{\"v\":1,\"k\":\"a\"}", "/k is none of the values in enum"},
		{"{\"anyOf\":[{\"items\":{\"anyOf\":[{\"type\":\"STRING\"},{\"items\":"
		 "{\"type\":\"NUMBER\"}}]}},{\"type\":\"NULL\"}]}",
			"[\"a\",[1,2],[3,\"b\"]]", "/2/1 is a string, not a number"},
		{"{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "2", NULL},
		{"{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "4",
			"the answer is above maximum"},
		{"{\"allOf\":[{\"required\":[\"a\"]},{\"items\":{\"minimum\":3}}]}",
			"[4,2]", "/1 is below minimum"},
	};

	CHECK(rows);
}

static void references(void **state)
{
	static const struct row rows[] = {
		{"{\"$ref\":\"#/$defs/P\",\"$defs\":{\"P\":{\"type\":\"object\","
		 "\"required\":[\"a\"]}}}",
			"{}", "the answer has no a"},
		{"{\"$ref\":\"#/$defs/Q\",\"$defs\":{\"P\":{\"type\":\"object\"},"
		 "\"Q\":{\"$ref\":\"#/$defs/P\"}}}",
			"1", "the answer is a number, not an object"},
		{"{\"properties\":{\"v\":{\"type\":\"number\"},\"next\":{\"$ref\":\"#\"}}}",
			"{\"v\":1,\"next\":{\"v\":2,\"next\":{\"v\":\"3\"}}}",
			"/next/next/v is a string, not a number"},
		{"{\"properties\":{\"a\":{\"$ref\":\"https://example.com/x\"},"
		 "\"b\":{\"$ref\":\"#/none\"}}}",
			"{\"a\":1,\"b\":2}", NULL},
		{"{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":{\"$ref\":\"#/$defs/B\"},"
		 "\"B\":{\"$ref\":\"#/$defs/A\"}}}",
			"1", NULL},
		/* Into themselves without a value between. */
		{"{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}],\"allOf\":[{\"$ref\":\"#\"},"
		 "{\"$ref\":\"#\"},{\"$ref\":\"#\"}],\"type\":\"object\"}",
			"{\"a\":[]}", NULL},
		{"{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
			"1", NULL},
	};

	/* The first of the last two says nothing at all. */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (i != 4)
			check_rows(&rows[i], 1);
	struct fit_schema *s;

	assert_int_equal(
		answer_schema_compile(rows[4].schema, strlen(rows[4].schema), &s), 0);
	assert_null(s);
}

/* Texts of what is shown are short and clean. */
static void names_that_are_shown(void **state)
{
	static const struct row rows[] = {
		{"{\"properties\":{\"a\\nb\":{\"type\":\"STRING\"}}}", "{\"a\\nb\":1}",
			"/a?b is a number, not a string"},
		{"{\"properties\":{\"0123456789012345678901234567890123456789012345678901"
		 "2345678901234567890\":{\"type\":\"STRING\"}}}",
			"{\"01234567890123456789012345678901234567890123456789012345678901"
			"234567890\":1}",
			"/0123456789012345678901234567890123456789 is a number, not a string"},
		{"{\"required\":[\"\xc3\xa9 x\"]}", "{}",
			"the answer has no \xc3\xa9 x"},
	};

	CHECK(rows);
}

/* n times text in one. */
static char *repeat(const char *before, const char *text, size_t n, const char *after)
{
	char *all = NULL;
	size_t len;
	FILE *out = open_memstream(&all, &len);

	fputs(before, out);
	for (size_t i = 0; i < n; i++)
		fputs(text, out);
	fputs(after, out);
	fclose(out);
	return all;
}

static void large_ones(void **state)
{
	struct fit *f = fit_new();
	char *long_list = repeat("[", "{\"x\":1,\"y\":2},", 20000, "{\"x\":1}]");
	char *long_text = repeat("[\"", "0123456789", 20000, "\"]");
	char *deep = repeat("", "[", 500, "");
	char *deep_end = repeat(deep, "]", 500, "");
	char *too_deep = repeat("", "[", 600, "");
	char *nested = repeat("", "{\"items\":", 60, "{\"type\":\"STRING\"}");
	char *nested_end = repeat(nested, "}", 60, "");
	const struct row rows[] = {
		{"{\"type\":\"ARRAY\",\"items\":" POINT "}", long_list,
			"/20000 has no y"},
		{"{\"items\":{\"enum\":[\"a\"]}}", long_text,
			"/0 is none of the values in enum"},
		{"{\"items\":{\"minLength\":200000,\"maxLength\":200000}}", long_text,
			NULL},
		{"{\"items\":{\"maxLength\":199999}}", long_text,
			"/0 is longer than maxLength"},
		{"{\"items\":{}}", deep_end, NULL},
		{"{\"items\":{}}", too_deep, NO_JSON},
		{nested_end, deep_end,
			"/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0"
			"/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0 is a list, not a string"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
	free(long_list);
	free(long_text);
	free(deep);
	free(deep_end);
	free(too_deep);
	free(nested);
	free(nested_end);
	fit_free(f);
}

/* More alternatives than there is room for are all fine. */
static void too_many_alternatives(void **state)
{
	char *many = repeat("{\"anyOf\":[", "{\"required\":[\"a\"]},", 5000,
		"{\"required\":[\"b\"]}]}");
	const struct row row = {many, "{}", NULL};

	check_rows(&row, 1);
	free(many);
}

static void what_is_no_schema(void **state)
{
	static const char *const texts[] = {"", "1", "null", "true", "[]",
		"{\"type\":", "\"a\"", "{\"enum\":[\"\\u0000\"]}", "{\"a\":1e999}"};
	struct fit_schema *s;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(
			answer_schema_compile(texts[i], strlen(texts[i]), &s), 0);
		assert_null(s);
	}
	char *long_name = repeat("{\"enum\":[\"", "0123456789", 200, "\"]}");

	assert_int_equal(answer_schema_compile(long_name, strlen(long_name), &s), 0);
	assert_null(s);
	free(long_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(what_is_no_json),
		cmocka_unit_test(objects),
		cmocka_unit_test(lists),
		cmocka_unit_test(strings),
		cmocka_unit_test(numbers),
		cmocka_unit_test(alternatives),
		cmocka_unit_test(references),
		cmocka_unit_test(names_that_are_shown),
		cmocka_unit_test(large_ones),
		cmocka_unit_test(too_many_alternatives),
		cmocka_unit_test(what_is_no_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
