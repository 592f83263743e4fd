#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/ranges.h"

static void test_empty(void **state)
{
	struct ranges r = {0};

	assert_int_equal(ranges_end(&r, 7), 7);
	assert_true(ranges_next(&r, 0) == RANGES_NONE);
	assert_int_equal(ranges_limit(&r), 0);
	assert_int_equal(ranges_total(&r), 0);
	ranges_remove(&r, 0, 100);
	assert_int_equal(ranges_add(&r, 5, 5), 0);
	assert_int_equal(r.n, 0);
	ranges_clear(&r);
}

static void test_touching_ranges_merge(void **state)
{
	struct ranges r = {0};

	assert_int_equal(ranges_add(&r, 10, 20), 10);
	assert_int_equal(ranges_add(&r, 30, 40), 10);
	assert_int_equal(r.n, 2);
	assert_int_equal(ranges_add(&r, 20, 30), 10);
	assert_int_equal(r.n, 1);
	assert_int_equal(ranges_end(&r, 10), 40);
	assert_int_equal(ranges_add(&r, 0, 100), 70);
	assert_int_equal(r.n, 1);
	assert_int_equal(ranges_total(&r), 100);
	ranges_clear(&r);
}

static void test_end_and_next(void **state)
{
	struct ranges r = {0};

	ranges_add(&r, 10, 20);
	ranges_add(&r, 30, 40);
	assert_int_equal(ranges_end(&r, 9), 9);
	assert_int_equal(ranges_end(&r, 10), 20);
	assert_int_equal(ranges_end(&r, 19), 20);
	assert_int_equal(ranges_end(&r, 20), 20);
	assert_int_equal(ranges_next(&r, 0), 10);
	assert_int_equal(ranges_next(&r, 15), 15);
	assert_int_equal(ranges_next(&r, 20), 30);
	assert_true(ranges_next(&r, 40) == RANGES_NONE);
	assert_int_equal(ranges_limit(&r), 40);
	ranges_clear(&r);
}

static void test_remove_splits(void **state)
{
	struct ranges r = {0};

	ranges_add(&r, 0, 100);
	ranges_remove(&r, 40, 60);
	assert_int_equal(r.n, 2);
	assert_int_equal(ranges_end(&r, 0), 40);
	assert_int_equal(ranges_next(&r, 40), 60);
	ranges_remove(&r, 90, RANGES_NONE);
	assert_int_equal(ranges_limit(&r), 90);
	ranges_remove(&r, 0, RANGES_NONE);
	assert_int_equal(r.n, 0);
	ranges_clear(&r);
}

static bool no_memory;

/* Of the library, too. */
void *reallocarray(void *p, size_t n, size_t size)
{
	return no_memory ? NULL : realloc(p, n * size);
}

/* Where there is no room for a split one forgets more, and the other nothing. */
static void test_remove_without_memory(void **state)
{
	struct ranges r = {0};

	ranges_add(&r, 0, 10);
	ranges_add(&r, 20, 50);
	assert_int_equal(r.n, r.cap);
	no_memory = true;
	assert_int_equal(ranges_remove_exactly(&r, 30, 40), -ENOMEM);
	assert_int_equal(ranges_total(&r), 40);
	ranges_remove(&r, 30, 40);
	assert_int_equal(ranges_total(&r), 20);
	no_memory = false;
	assert_int_equal(ranges_remove_exactly(&r, 22, 24), 0);
	assert_int_equal(ranges_total(&r), 18);
	ranges_clear(&r);
}

enum { SPACE = 200 };

static void compare(const struct ranges *r, const bool *model)
{
	uint64_t total = 0;

	for (size_t i = 0; i < r->n; i++) {
		assert_true(r->v[i].lo < r->v[i].hi);
		assert_true(i == 0 || r->v[i - 1].hi < r->v[i].lo);
	}
	for (unsigned i = 0; i < SPACE; i++) {
		unsigned end = i, next = i;

		while (end < SPACE && model[end])
			end++;
		while (next < SPACE && !model[next])
			next++;
		assert_int_equal(ranges_end(r, i), end);
		assert_true(ranges_next(r, i) == (next < SPACE ? next : RANGES_NONE));
		total += model[i];
	}
	assert_int_equal(ranges_total(r), total);
}

/* Against a plain array of flags. */
static void test_model(void **state)
{
	struct ranges r = {0};
	bool model[SPACE] = {0};

	srand(1);
	for (int step = 0; step < 5000; step++) {
		unsigned lo = (unsigned)rand() % SPACE, n = (unsigned)rand() % 30,
			 fresh = 0;
		bool add = rand() % 2;

		if (lo + n > SPACE)
			n = SPACE - lo;
		for (unsigned i = lo; i < lo + n; i++) {
			fresh += !model[i];
			model[i] = add;
		}
		if (add)
			assert_int_equal(ranges_add(&r, lo, lo + n), fresh);
		else
			ranges_remove(&r, lo, lo + n);
		compare(&r, model);
	}
	ranges_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_touching_ranges_merge),
		cmocka_unit_test(test_end_and_next),
		cmocka_unit_test(test_remove_splits),
		cmocka_unit_test(test_remove_without_memory),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
