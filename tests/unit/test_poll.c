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

/* ---- those who wait ------------------------------------------------------------------ */

enum { JOBS = 1000, PAGES = JOBS / PAGE, WAIT = 300, POLL = 1 };

static void await_lists(int more)
{
	int end = lists() + more;

	while (lists() < end)
		usleep(5000);
}

static void await_gets(int more)
{
	int end = gets() + more;

	while (gets() < end)
		usleep(5000);
}

static int gets_of(int n)
{
	char head[64];

	snprintf(head, sizeof(head), "GET /v1beta/batches/j%d HTTP", n);
	return httpd_count(&world.server, head);
}

static void wait_for(struct gb_client *c, int n, struct gb_waiter *w)
{
	char name[16];

	*w = (struct gb_waiter){.done = over};
	snprintf(name, sizeof(name), "j%d", n);
	struct gb_job *job = gb_job_by_name(c, name);
	assert_int_equal(gb_job_wait(job, w), -EINPROGRESS);
	gb_job_unref(job);
}

/* Where the machine is slow a list takes longer than anybody waits for one. */
static int list_at_last(struct gb_client *c)
{
	int err;

	do
		err = list_now(c);
	while (err == -ETIMEDOUT);
	return err;
}

static struct gb_client *many_wait(struct gb_waiter *w)
{
	struct gb_client *c = open_world(JOBS, POLL);

	assert_int_equal(list_at_last(c), 0);
	world.slow_us = 20000;
	for (int i = 0; i < WAIT; i++)
		wait_for(c, i * (JOBS / WAIT), &w[i]);
	/* The first who come have calls of their own, until they are many. */
	await_lists(2 * PAGES);
	return c;
}

static void many_leave(struct gb_client *c, struct gb_waiter *w)
{
	for (int i = 0; i < WAIT; i++)
		gb_waiter_drop(&w[i]);
	close_world(c);
}

/* What was asked since: no more than so many calls a poll. */
struct tally {
	int lists, gets;
	double since;
};

static struct tally count_from_now(void)
{
	return (struct tally){lists(), gets(), util_now()};
}

/* One more than the polls that have begun, and one that is spare (jobs/looks.h). */
static double polls_since(const struct tally *t)
{
	return (util_now() - t->since) / POLL + 2;
}

/* One round of lists a poll, and nothing beside. */
static void test_many_wait(void **state)
{
	static struct gb_waiter w[WAIT];
	struct gb_client *c = many_wait(w);
	struct tally t = count_from_now();

	await_lists(3 * PAGES);
	assert_int_equal(gets(), t.gets);
	assert_true(lists() - t.lists <= polls_since(&t) * PAGES);
	many_leave(c, w);
}

/* The same while others come, with what they know old, and go. */
static void test_come_and_go(void **state)
{
	static struct gb_waiter w[WAIT];
	struct gb_client *c = many_wait(w);
	struct tally t = count_from_now();

	for (int n = 0; lists() - t.lists < 2 * PAGES; n++) {
		struct gb_waiter guest;

		wait_for(c, (n * 7 + 1) % JOBS, &guest);
		usleep(2000);
		gb_waiter_drop(&guest);
	}
	assert_int_equal(gets(), t.gets);
	assert_true(lists() - t.lists <= polls_since(&t) * PAGES);
	many_leave(c, w);
}

/* Those of one page of ten cost that page. */
static void test_pages_needed(void **state)
{
	enum { FEW = 20 };
	static struct gb_waiter w[FEW];
	struct gb_client *c = open_world(JOBS, POLL);

	assert_int_equal(list_now(c), 0);
	for (int i = 0; i < FEW; i++)
		wait_for(c, i, &w[i]);
	await_lists(2);
	struct tally t = count_from_now();
	await_lists(3);
	assert_int_equal(gets(), t.gets);
	assert_true(lists() - t.lists <= polls_since(&t));
	for (int i = 0; i < FEW; i++)
		gb_waiter_drop(&w[i]);
	close_world(c);
}

/* Few of the last page are asked for one by one. */
static void test_few_far_down(void **state)
{
	enum { FEW = 3 };
	static struct gb_waiter w[FEW];
	struct gb_client *c = open_world(JOBS, POLL);

	assert_int_equal(list_now(c), 0);
	for (int i = 0; i < FEW; i++)
		wait_for(c, JOBS - 1 - i, &w[i]);
	await_gets(FEW);
	struct tally t = count_from_now();
	await_gets(2 * FEW);
	assert_int_equal(lists(), t.lists);
	assert_true(gets() - t.gets <= polls_since(&t) * FEW);
	for (int i = 0; i < FEW; i++)
		gb_waiter_drop(&w[i]);
	close_world(c);
}

/* Whoever waits for one job shares one call a poll. */
static void test_thousand_wait_for_one(void **state)
{
	enum { THOUSAND = 1000 };
	static struct gb_waiter w[THOUSAND];
	struct gb_client *c = open_world(3, POLL);

	assert_int_equal(list_now(c), 0);
	struct tally t = count_from_now();
	for (int i = 0; i < THOUSAND; i++)
		wait_for(c, 2, &w[i]);
	await_gets(4);
	assert_int_equal(lists(), t.lists);
	assert_true(gets() - t.gets <= polls_since(&t));
	for (int i = 0; i < THOUSAND; i++)
		gb_waiter_drop(&w[i]);
	close_world(c);
}

/* The server says when to come back: nobody does sooner, and then all are told. */
static void test_refused_meanwhile(void **state)
{
	static struct gb_waiter w[WAIT];
	struct gb_client *c = many_wait(w);

	world.status = 429;
	world.refusal = "Retry-After: 2\r\n";
	while (!world.refused)
		usleep(5000);
	struct tally t = count_from_now();
	while (util_now() < t.since + 1.8)
		usleep(5000);
	assert_int_equal(lists() + gets(), t.lists + t.gets);
	world.refusal = NULL;
	t = count_from_now();
	await_lists(2 * PAGES);
	assert_int_equal(gets(), t.gets);
	assert_true(lists() - t.lists <= polls_since(&t) * PAGES);
	many_leave(c, w);
}

/* A job that the list does not have is settled by a GET, and does not make all the others'
 * rounds longer. */
static void test_list_omits_one(void **state)
{
	enum { FEW = 20, OMITTED = 7 };
	static struct gb_waiter w[FEW];
	struct gb_client *c = open_world(JOBS, POLL);

	assert_int_equal(list_now(c), 0);
	world.omitted = OMITTED;
	for (int i = 0; i < FEW; i++)
		wait_for(c, i, &w[i]);
	while (!gets_of(OMITTED))
		usleep(5000);
	await_lists(2);
	struct tally t = count_from_now();
	int before = gets_of(OMITTED);
	await_lists(3);
	assert_int_equal(gets() - t.gets, gets_of(OMITTED) - before);
	assert_true(lists() - t.lists <= polls_since(&t));
	assert_in_range(gets_of(OMITTED) - before, 1, (int)polls_since(&t));
	for (int i = 0; i < FEW; i++)
		gb_waiter_drop(&w[i]);
	close_world(c);
}

static atomic_int ends;

static void count_end(struct gb_waiter *w, int err)
{
	ends++;
}

/* What has ended is not asked for again, whoever goes on waiting for others. */
static void test_ended_is_left_alone(void **state)
{
	static struct gb_waiter w[2];
	struct gb_client *c = open_world(JOBS, POLL);

	ends = 0;
	assert_int_equal(list_now(c), 0);
	wait_for(c, 0, &w[0]);
	wait_for(c, JOBS - 1, &w[1]);
	w[0].done = count_end;
	world.ended = 1;
	while (!ends)
		usleep(5000);
	int asked = gets_of(0);
	await_gets(2);
	assert_int_equal(gets_of(0), asked);
	gb_waiter_drop(&w[1]);
	close_world(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_all), cmocka_unit_test(test_gone_leave),
		cmocka_unit_test(test_stalled_list), cmocka_unit_test(test_storm),
		cmocka_unit_test(test_many_wait), cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_pages_needed),
		cmocka_unit_test(test_few_far_down),
		cmocka_unit_test(test_thousand_wait_for_one),
		cmocka_unit_test(test_refused_meanwhile),
		cmocka_unit_test(test_list_omits_one),
		cmocka_unit_test(test_ended_is_left_alone)};

	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.1", 1);
	setenv("BATCHFS_TEST_WHOLE_SECONDS", "0.01", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
