#include "base/waiter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static int calls, last_err;

static void count(struct gb_waiter *w, int err)
{
	calls++;
	last_err = err;
}

static int emptied;

static void note_empty(struct gb_waitq *q)
{
	emptied++;
}

static void test_wake_calls_each_once(void **state)
{
	struct gb_waiter w[3] = {{.done = count}, {.done = count}, {.done = count}};
	struct gb_waitq q;

	calls = 0;
	waitq_init(&q);
	for (int i = 0; i < 3; i++)
		assert_int_equal(waitq_add(&q, &w[i], 0, 0), -EINPROGRESS);
	assert_int_equal(waitq_count(&q), 3);
	waitq_wake(&q, -EIO);
	assert_int_equal(calls, 3);
	assert_int_equal(last_err, -EIO);
	assert_int_equal(waitq_count(&q), 0);
	assert_false(gb_waiter_drop(&w[0]));
	waitq_wake(&q, 0);
	assert_int_equal(calls, 3);
}

static void test_drop(void **state)
{
	struct gb_waiter a = {.done = count}, b = {.done = count};
	struct gb_waitq q;

	calls = emptied = 0;
	waitq_init(&q);
	q.emptied = note_empty;
	waitq_add(&q, &a, 0, 0);
	waitq_add(&q, &b, 0, 0);
	assert_true(gb_waiter_drop(&b));
	assert_int_equal(emptied, 0);
	assert_true(gb_waiter_drop(&a));
	assert_int_equal(emptied, 1);
	assert_false(gb_waiter_drop(&a));
	/* The tail is right again. */
	waitq_add(&q, &b, 0, 0);
	waitq_wake(&q, 0);
	assert_int_equal(calls, 1);
	waitq_destroy(&q);
}

static bool starts_below(const struct gb_waiter *w, void *arg)
{
	return w->lo < *(uint64_t *)arg;
}

static void test_move_if(void **state)
{
	struct gb_waiter w[3] = {{.done = count}, {.done = count}, {.done = count}};
	struct gb_waitq q, now;
	uint64_t limit = 10;

	calls = 0;
	waitq_init(&q);
	waitq_init(&now);
	waitq_add(&q, &w[0], 10, 20);
	waitq_add(&q, &w[1], 0, 5);
	waitq_add(&q, &w[2], 9, 20);
	waitq_move_if(&q, &now, starts_below, &limit);
	waitq_call(&now, 0);
	assert_int_equal(calls, 2);
	assert_true(gb_waiter_drop(&w[0]));
}

static struct gb_waiter *other;

static void drop_other(struct gb_waiter *w, int err)
{
	calls++;
	assert_true(gb_waiter_drop(other));
}

static void test_moved_can_be_dropped(void **state)
{
	struct gb_waiter a = {.done = drop_other}, b = {.done = count};
	struct gb_waitq q;

	calls = 0;
	other = &b;
	waitq_init(&q);
	waitq_add(&q, &a, 0, 0);
	waitq_add(&q, &b, 0, 0);
	waitq_wake(&q, 0);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake_calls_each_once),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_move_if),
		cmocka_unit_test(test_moved_can_be_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
