/* Look threads and the clerk: what is stuck keeps nothing else from being answered. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../fs/util/util.h"
#include "../../fs/closing/look.h"

static atomic_int turns;

static double no_turn(void *arg)
{
	turns++;
	return -1;
}

struct probe {
	struct look look;
	int fd; /* to look at */
	int saw;
	sem_t *blocks; /* waited for in work */
	sem_t done;
};

static void work(struct look *l)
{
	struct probe *p = CONTAINER_OF(l, struct probe, look);

	if (p->blocks)
		sem_wait(p->blocks);
	p->saw = fcntl(p->fd, F_GETFD) < 0 ? errno : 0;
}

static void done(struct look *l)
{
	struct probe *p = CONTAINER_OF(l, struct probe, look);

	sem_post(&p->done);
}

static void probe_init(struct probe *p, int fd, sem_t *blocks)
{
	*p = (struct probe){.look = {work, done}, .fd = fd, .saw = -1, .blocks = blocks};
	sem_init(&p->done, 0, 0);
}

static void test_own_descriptors(void **state)
{
	struct looks *s;
	struct probe p;

	assert_int_equal(looks_new(no_turn, NULL, &s), 0);
	for (int quick = 0; quick < 2; quick++) {
		probe_init(&p, 1, NULL);
		looks_post(s, &p.look, quick);
		sem_wait(&p.done);
		assert_int_equal(p.saw, EBADF);
	}
	assert_true(fcntl(1, F_GETFD) >= 0);
	looks_stop(s);
	looks_free(s);
}

static void test_slow_ones_that_are_stuck_keep_no_quick_one(void **state)
{
	struct probe slow[10], quick;
	struct looks *s;
	sem_t gate;

	sem_init(&gate, 0, 0);
	assert_int_equal(looks_new(no_turn, NULL, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		probe_init(&slow[i], 1, &gate);
		looks_post(s, &slow[i].look, false);
	}
	for (int i = 0; i < 100; i++) {
		probe_init(&quick, 1, NULL);
		looks_post(s, &quick.look, true);
		sem_wait(&quick.done);
	}
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		sem_post(&gate);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		sem_wait(&slow[i].done);
	looks_stop(s);
	looks_free(s);
}

/* The clerk turns at the time it said, whatever is stuck. */
static double soon(void *arg)
{
	sem_post(arg);
	return 0.01;
}

static void test_the_clerk_turns_by_itself(void **state)
{
	struct probe p[20];
	struct looks *s;
	sem_t turned, gate;

	sem_init(&turned, 0, 0);
	sem_init(&gate, 0, 0);
	assert_int_equal(looks_new(soon, &turned, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		probe_init(&p[i], 1, &gate);
		looks_post(s, &p[i].look, i % 2);
	}
	looks_nudge(s);
	for (int i = 0; i < 5; i++)
		sem_wait(&turned);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		sem_post(&gate);
	looks_stop(s);
	/* Each is handed back, whether it was looked at or not. */
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		sem_wait(&p[i].done);
	looks_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_descriptors),
		cmocka_unit_test(test_slow_ones_that_are_stuck_keep_no_quick_one),
		cmocka_unit_test(test_the_clerk_turns_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
