/* Background work whose turn has not come: one is tried after a refusal, others wait. */
#include "jobs/client.h"
#include "submit/queue.h"
#include "client_fixture.h"

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

static void test_one_model_waits(void **state)
{
	struct gb_job *a = draft(*state, "a", "m"), *b = draft(*state, "b", "m");
	struct gb_job *other = draft(*state, "c", "n");

	assert_true(admits(a));
	assert_true(admits(b));
	queue_refused(a, 3600, true);
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

	queue_refused(a, 0, true);
	await_admitted(b);
	assert_false(admits(a));
	assert_true(admits(b)); /* it asks again before it buys */
	queue_refused(b, -1, true);
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

	queue_refused(a, -1, true);
	await_admitted(a);
	assert_false(admits(b));
	queue_left(a);
	assert_true(admits(b));
	queue_wait(b);
	assert_true(admits(a));
	gb_job_unref(a);
	gb_job_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_one_model_waits), CASE(test_one_probe), CASE(test_probe_leaves)};

	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.01", 1);
	setenv("BATCHFS_TEST_QUEUE_SECONDS", "0.05", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
