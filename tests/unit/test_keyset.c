#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/siphash_set.h"
#include "base/util.h"

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
			struct siphash_set set = {0};
			uint64_t *all = calloc(n + 1, sizeof *all);
			size_t repeated = 0, kept = 0;

			for (size_t i = 0; i < n; i++) {
				all[i] = util_random_u64() & masks[m];
				assert_int_equal(siphash_set_add(&set, all[i]), 0);
			}
			qsort(all, n, sizeof *all, by_value);
			for (size_t i = 1; i < n; i++)
				repeated += all[i] == all[i - 1];
			assert_int_equal(siphash_set_reduce(&set), repeated);
			for (size_t i = 0; i < n; i++) {
				bool twice = (i > 0 && all[i - 1] == all[i]) ||
					     (i + 1 < n && all[i + 1] == all[i]);
				ssize_t at = siphash_set_find(&set, all[i]);

				assert_int_equal(at >= 0, twice);
				if (twice && (i == 0 || all[i - 1] != all[i]))
					assert_int_equal(at, kept++);
			}
			assert_int_equal(set.n, kept);
			siphash_set_clear(&set);
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
	struct siphash h;

	for (size_t a = 0; a < sizeof key; a++)
		for (size_t b = a; b < sizeof key; b++) {
			siphash_init(&h, seed);
			siphash_add(&h, key, a);
			siphash_add(&h, key + a, b - a);
			siphash_add(&h, key + b, sizeof key - b);
			pair = siphash_end(&h);
			if (a == 0 && b == 0)
				first = pair;
			assert_true(pair.first == first.first);
			assert_true(pair.second == first.second);
		}
	assert_true(first.first != first.second);
	siphash_init(&h, other);
	siphash_add(&h, key, sizeof key);
	assert_true(siphash_end(&h).first != first.first);
	siphash_init(&h, seed);
	siphash_add(&h, key, sizeof key - 1);
	assert_true(siphash_end(&h).first != first.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keyset),
		cmocka_unit_test(test_keyhash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
