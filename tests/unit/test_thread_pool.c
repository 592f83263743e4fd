#include "base/thread_pool.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { ROUNDS = 100, PATIENCE = 20 };

static sem_t came, went;
static _Atomic unsigned alone;

static bool wait_for(sem_t *s)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	return sem_timedwait(s, &until) == 0;
}

/* Ends when the other has come. */
static void meet(void *arg)
{
	sem_t *mine = arg;

	sem_post(mine);
	if (!wait_for(mine == &came ? &went : &came))
		alone++;
}

static void begin(void *arg)
{
	sem_post(arg);
}

/* One thread rests. */
static struct thread_pool *pool_with_one(void)
{
	struct thread_pool *p = pool_new();

	assert_int_equal(pool_add(p, POOL_SHORT, begin, &came), 0);
	assert_true(wait_for(&came));
	usleep(1000);
	return p;
}

/* While there are threads to be had none waits behind another: of two that come at once to a
 * thread that rests, the second does not wait for the first. */
static void test_none_waits_behind_another(void **state)
{
	sem_init(&came, 0, 0);
	sem_init(&went, 0, 0);
	for (int i = 0; i < ROUNDS && !alone; i++) {
		struct thread_pool *p = pool_with_one();

		assert_int_equal(pool_add(p, POOL_SHORT, meet, &came), 0);
		assert_int_equal(pool_add(p, POOL_SHORT, meet, &went), 0);
		pool_free(p);
	}
	assert_int_equal(alone, 0);
}

static _Atomic unsigned done;

static void count(void *arg)
{
	done++;
}

/* What is queued when the end comes is done. */
static void test_queued_is_done(void **state)
{
	struct thread_pool *p = pool_new();

	done = 0;
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(
			pool_add(p, i % 2 ? POOL_SHORT : POOL_LONG, count, NULL), 0);
	pool_stop(p);
	assert_int_equal(done, ROUNDS);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_waits_behind_another),
		cmocka_unit_test(test_queued_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
