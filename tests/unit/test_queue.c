/* Background work whose turn has not come: one is tried after a refusal, others wait. */
#include "jobs/job.h"
#include "submit/queue.h"
#include "client_fixture.h"

#include <errno.h>

static struct gb_job *draft(struct gb_client *c, const char *name, const char *model)
{
	struct gb_job *job;

	assert_int_equal(gb_draft_create(c, name, true, &job), 0);
	client_lock(c);
	job->model = client_intern(c, model);
	client_unlock(c);
	return job;
}

static bool admits(struct gb_job *job)
{
	client_lock(job->c);
	bool yes = queue_admits(job);
	client_unlock(job->c);
	return yes;
}

static void await_admitted(struct gb_job *job)
{
	while (!admits(job))
		usleep(1000);
}

static const struct provider_error told_hour = {.err = -EDQUOT,
					   .status = 429,
					   .retry = 3600},
				   refusal = {.err = -EDQUOT,
					   .status = 429,
					   .retry = -1},
				   at_once = {.err = -EDQUOT, .status = 429},
				   broken = {.err = -EIO, .retry = -1};

static void test_one_model_waits(void **state)
{
	struct gb_job *a = draft(*state, "a", "m"), *b = draft(*state, "b", "m");
	struct gb_job *other = draft(*state, "c", "n");

	assert_true(admits(a));
	assert_true(admits(b));
	queue_refused(a, &told_hour, true);
	assert_false(admits(a));
	assert_false(admits(b));
	assert_true(admits(other));
	queue_go_later(*state, true); /* what the API said stands */
	assert_false(admits(a));
	gb_job_unref(a);
	gb_job_unref(b);
	gb_job_unref(other);
}

static void test_one_probe(void **state)
{
	struct gb_job *a = draft(*state, "a", "m"), *b = draft(*state, "b", "m");

	queue_refused(a, &at_once, true);
	await_admitted(b);
	assert_false(admits(a));
	assert_true(admits(b)); /* it asks again before it buys */
	queue_refused(b, &refusal, true);
	assert_false(admits(b));
	queue_go_later(*state, true); /* an own job has ended */
	assert_true(admits(a));
	assert_false(admits(b));
	queue_passed(a);
	assert_true(admits(b));
	assert_true(admits(a));
	gb_job_unref(a);
	gb_job_unref(b);
}

/* A probe that ends without a word of the API makes way. */
static void test_probe_leaves(void **state)
{
	struct gb_job *a = draft(*state, "a", "m"), *b = draft(*state, "b", "m");

	queue_refused(a, &refusal, true);
	await_admitted(a);
	assert_false(admits(b));
	queue_left(a);
	assert_true(admits(b));
	queue_wait(b);
	assert_true(admits(a));
	gb_job_unref(a);
	gb_job_unref(b);
}

/* A connection that broke is no word of the API: one is tried again soon, and all as soon as
 * the network is back; but what the API asked for stands. */
static void test_broken_line(void **state)
{
	struct gb_job *a = draft(*state, "a", "m"), *b = draft(*state, "b", "m");

	setenv("BATCHFS_TEST_QUEUE_SECONDS", "1000", 1);
	queue_refused(a, &broken, true);
	assert_false(admits(a));
	await_admitted(b);
	assert_false(admits(a));
	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "60", 1);
	queue_refused(b, &broken, true);
	assert_false(admits(a));
	queue_online(*state);
	assert_true(admits(a));
	queue_refused(a, &told_hour, true);
	queue_online(*state);
	assert_false(admits(a));
	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.01", 1);
	setenv("BATCHFS_TEST_QUEUE_SECONDS", "0.05", 1);
	gb_job_unref(a);
	gb_job_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_one_model_waits),
		CASE(test_one_probe), CASE(test_probe_leaves), CASE(test_broken_line)};

	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.01", 1);
	setenv("BATCHFS_TEST_QUEUE_SECONDS", "0.05", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
