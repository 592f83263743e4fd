/* The poller against a server that has many jobs, stalls, or refuses everything: what
 * those who ask are told, and how many calls it costs. */
#include "api_world.h"

/* Those that a list has not are asked for a few at a time, all of them in turn. */
static void test_missing_all(void **state)
{
	struct gb_client *c = open_world(50, 30);
	char head[64];

	assert_int_equal(list_now(c), 0);
	world.jobs = 0;
	for (int i = 0; i < 3; i++) {
		usleep(20000); /* a whole list is due again */
		assert_int_equal(list_now(c), 0);
	}
	assert_int_equal(gets(), 60);
	for (int i = 0; i < 50; i++) {
		snprintf(head, sizeof(head), "GET /v1beta/batches/j%d HTTP", i);
		assert_true(httpd_count(&world.server, head) > 0);
	}
	close_world(c);
}

/* Jobs of others that a whole list has not, and that are not there, leave the tree: once,
 * and are not asked for again. */
static void test_gone_leave(void **state)
{
	struct gb_client *c = open_world(30, 30);
	struct gb_job *job;

	assert_int_equal(list_now(c), 0);
	world.jobs = 10;
	world.forgets = true;
	assert_int_equal(read_state(c, "j25"), 0);
	for (int i = 0; i < 500 && (job = gb_job_by_name(c, "j25")); i++) {
		gb_job_unref(job);
		usleep(20000);
		assert_int_equal(list_now(c), 0);
	}
	assert_null(gb_job_by_name(c, "j25"));
	for (int i = 0; i < 2; i++) {
		usleep(20000);
		assert_int_equal(list_now(c), 0);
	}
	assert_null(gb_job_by_name(c, "j11"));
	int before = gets();
	for (int i = 0; i < 3; i++) {
		usleep(20000);
		assert_int_equal(list_now(c), 0);
	}
	assert_int_equal(gets(), before);
	job = gb_job_by_name(c, "j9");
	assert_non_null(job);
	gb_job_unref(job);
	close_world(c);
}

/* A call that stalls keeps nobody from what is known. */
static void test_stalled_list(void **state)
{
	struct gb_client *c = open_world(3, 30);
	int before;

	setenv("BATCHFS_TEST_READ_SECONDS", "0.3", 1);
	assert_int_equal(list_now(c), 0);
	before = lists();
	world.stalls = true;
	gb_list_refresh(c, GB_LIST_FRESH, NULL);
	while (lists() == before)
		usleep(1000);
	assert_int_equal(read_state(c, "j1"), 0);
	assert_int_equal(list_now(c), -ETIMEDOUT);
	assert_int_equal(read_state(c, "j2"), 0);
	close_world(c);
	unsetenv("BATCHFS_TEST_READ_SECONDS");
}

/* "": in the body. */
static const char *const refusals[] = {"X-None: 1\r\n", "Retry-After: 0\r\n",
	"Retry-After: Thu, 01 Jan 2015 00:00:00 GMT\r\n", "Retry-After: -5\r\n", ""};

/* Whatever the server says about when to come back. */
static void test_storm(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct gb_client *c = open_world(3, 30);
		struct gb_waiter w = {.done = over};
		int before;

		assert_int_equal(list_now(c), 0);
		before = lists() + gets();
		world.refusal = refusals[i];
		struct gb_job *job = gb_job_by_name(c, "j0");
		assert_int_equal(gb_job_wait(job, &w), -EINPROGRESS);
		for (int n = 0; n < 20; n++)
			assert_int_equal(read_state(c, "j1"), 0);
		assert_true(list_now(c) < 0);
		/* Pauses of 0.05, 0.1, 0.2, 0.4 … seconds at least. */
		assert_in_range(lists() + gets() - before, 4, 12);
		gb_waiter_drop(&w);
		gb_job_unref(job);
		close_world(c);
	}
}

static void await_rounds(int rounds, int pages)
{
	int end = lists() + rounds * pages;

	while (lists() < end)
		usleep(5000);
}

/* One round of lists a poll, and nothing beside. */
static void test_many_wait(void **state)
{
	enum { JOBS = 1000, WAIT = 300, POLL = 1, ROUNDS = 3 };
	struct gb_client *c = open_world(JOBS, POLL);
	static struct gb_waiter w[WAIT];
	char name[16];

	assert_int_equal(list_now(c), 0);
	for (int i = 0; i < WAIT; i++) {
		w[i] = (struct gb_waiter){.done = over};
		snprintf(name, sizeof(name), "j%d", i);
		struct gb_job *job = gb_job_by_name(c, name);
		assert_int_equal(gb_job_wait(job, &w[i]), -EINPROGRESS);
		gb_job_unref(job);
	}
	/* The first who came had GETs. */
	await_rounds(2, JOBS / PAGE);
	int asked = gets(), listed = lists();
	double since = util_now();
	await_rounds(ROUNDS, JOBS / PAGE);
	assert_int_equal(gets(), asked);
	assert_true(
		lists() - listed <= ((util_now() - since) / POLL + 2) * JOBS / PAGE);
	for (int i = 0; i < WAIT; i++)
		gb_waiter_drop(&w[i]);
	close_world(c);
}

/* One job is asked for alone. */
static void test_one_waits(void **state)
{
	struct gb_client *c = open_world(3, 1);
	struct gb_waiter w = {.done = over};

	assert_int_equal(list_now(c), 0);
	int before = lists();
	struct gb_job *job = gb_job_by_name(c, "j2");
	assert_int_equal(gb_job_wait(job, &w), -EINPROGRESS);
	while (gets() < 2)
		usleep(10000);
	assert_int_equal(lists(), before);
	gb_waiter_drop(&w);
	gb_job_unref(job);
	close_world(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_all), cmocka_unit_test(test_gone_leave),
		cmocka_unit_test(test_stalled_list),
		cmocka_unit_test(test_storm), cmocka_unit_test(test_many_wait),
		cmocka_unit_test(test_one_waits)};

	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.1", 1);
	setenv("BATCHFS_TEST_WHOLE_SECONDS", "0.01", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
