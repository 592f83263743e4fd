#include "base/sorted_array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MANY = 3000 };

/* Beside a plain table of what ought to be there. */
static void test_random(void **state)
{
	struct sorted_array n = {0};
	bool there[MANY] = {false};
	unsigned seed = 1;
	char things[MANY];

	for (int i = 0; i < 20000; i++) {
		uint32_t k = (uint32_t)rand_r(&seed) % MANY, next;

		if (there[k])
			sorted_array_remove(&n, k);
		else
			assert_int_equal(sorted_array_add(&n, k, &things[k]), 0);
		there[k] = !there[k];
		k = (uint32_t)rand_r(&seed) % MANY;
		for (next = k; next < MANY && !there[next];)
			next++;
		assert_ptr_equal(
			sorted_array_from(&n, k), next < MANY ? &things[next] : NULL);
	}
	sorted_array_remove(&n, MANY + 1);
	for (uint32_t k = 0; k < MANY; k++)
		sorted_array_remove(&n, k);
	assert_null(sorted_array_from(&n, 0));
	assert_int_equal(n.things, 0);
	sorted_array_clear(&n);
}

/* One alone is in no array, and moves into one when there are two. */
static void test_one(void **state)
{
	struct sorted_array n = {0};
	char a, b;

	assert_int_equal(sorted_array_add(&n, 7, &a), 0);
	assert_int_equal(n.cap, 0);
	assert_ptr_equal(sorted_array_from(&n, 7), &a);
	assert_null(sorted_array_from(&n, 8));
	sorted_array_remove(&n, 7);
	assert_null(sorted_array_from(&n, 0));
	assert_int_equal(sorted_array_add(&n, 5, &b), 0);
	assert_int_equal(sorted_array_add(&n, 3, &a), 0);
	assert_int_equal(n.used, 2);
	assert_ptr_equal(sorted_array_at(&n, 0), &a);
	assert_ptr_equal(sorted_array_at(&n, 1), &b);
	sorted_array_clear(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
