#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/string_index.h"

enum { MANY = 20000 };

static char (*texts)[16];

static const char *text_of(void *arg, uint32_t number)
{
	return texts[number];
}

static int setup(void **state)
{
	struct string_index *ix = malloc(sizeof *ix);

	texts = calloc(MANY, sizeof *texts);
	for (unsigned i = 0; i < MANY; i++)
		snprintf(texts[i], sizeof *texts, "text %u", i);
	string_index_init(ix, text_of, NULL);
	*state = ix;
	return 0;
}

static int teardown(void **state)
{
	string_index_clear(*state);
	free(*state);
	free(texts);
	return 0;
}

static void assert_there(const struct string_index *ix, uint32_t number)
{
	uint32_t found = MANY;

	assert_true(string_index_find(ix, texts[number], &found));
	assert_int_equal(found, number);
}

static void assert_not_there(const struct string_index *ix, const char *text)
{
	uint32_t found;

	assert_false(string_index_find(ix, text, &found));
}

static void test_empty(void **state)
{
	assert_not_there(*state, "text 1");
	string_index_remove(*state, 1);
}

static void test_many(void **state)
{
	struct string_index *ix = *state;

	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(string_index_add(ix, i), 0);
	for (uint32_t i = 0; i < MANY; i++)
		assert_there(ix, i);
	assert_not_there(ix, "");
	assert_not_there(ix, "text");
	assert_true(ix->size * sizeof *ix->cells <= 16 * MANY);
}

static void test_removed(void **state)
{
	struct string_index *ix = *state;

	for (uint32_t i = 0; i < MANY; i++)
		string_index_add(ix, i);
	for (uint32_t i = 0; i < MANY; i += 2)
		string_index_remove(ix, i);
	string_index_remove(ix, 0);
	for (uint32_t i = 0; i < MANY; i++)
		if (i % 2)
			assert_there(ix, i);
		else
			assert_not_there(ix, texts[i]);
	for (uint32_t i = 0; i < MANY; i += 2)
		string_index_add(ix, i);
	for (uint32_t i = 0; i < MANY; i++)
		assert_there(ix, i);
}

/* Coming and going fills nothing up: it stays small and is found to the end. */
static void test_coming_and_going(void **state)
{
	struct string_index *ix = *state;

	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(string_index_add(ix, i), 0);
		if (i >= 10)
			string_index_remove(ix, i - 10);
		assert_not_there(ix, "never");
	}
	for (uint32_t i = MANY - 10; i < MANY; i++)
		assert_there(ix, i);
	assert_true(ix->size <= 64);
}

static void test_the_text_of_another(void **state)
{
	struct string_index *ix = *state;

	strcpy(texts[2], texts[1]);
	string_index_add(ix, 1);
	string_index_remove(ix, 2); /* is not there, though its text is */
	assert_there(ix, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_empty), T(test_many), T(test_removed), T(test_coming_and_going),
		T(test_the_text_of_another),
	};

	return cmocka_run_group_tests_name("strindex", tests, NULL, NULL);
}
