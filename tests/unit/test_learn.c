/* What replies teach, whatever order they come in. */
#include "provider/all/providers.h"
#include "client/remove.h"
#include "jobs/poller_private.h"
#include "jobs/observe.h"
#include "client_fixture.h"

#include <errno.h>
#include <string.h>

static void learn_from(struct gb_client *c, const char *text, uint64_t seq, bool listed)
{
	struct remote_batch b;

	assert_int_equal(provider_default()->parse(text, strlen(text), &b), 0);
	gb_job_unref(observe_batch(c, &b, seq, listed));
	remote_batch_clear(&b);
}

static void learn(struct gb_client *c, const char *text, uint64_t seq)
{
	learn_from(c, text, seq, false);
}

#define OPERATION(state, more)                                                            \
	"{\"name\":\"batches/j1\",\"metadata\":{\"displayName\":\"a\",\"state\":\"" state \
	"\"}" more "}"
#define RUNNING OPERATION("BATCH_STATE_RUNNING", "")
#define SUCCEEDED                                                                      \
	OPERATION("BATCH_STATE_SUCCEEDED",                                             \
		",\"done\":true,\"response\":{\"responsesFile\":\"files/batch-j1\"}")

#define COUNTED(state, stats, more)                                                       \
	"{\"name\":\"batches/j1\",\"metadata\":{\"displayName\":\"a\",\"state\":\"" state \
	"\",\"createTime\":\"2026-01-02T03:04:05Z\",\"batchStats\":{" stats "}}" more     \
	"}"
#define DONE ",\"done\":true,\"response\":{\"responsesFile\":\"files/batch-j1\"}"
#define TRUE_COUNTS                                                                    \
	COUNTED("BATCH_STATE_SUCCEEDED",                                               \
		"\"requestCount\":\"6\",\"successfulRequestCount\":\"5\","             \
		"\"failedRequestCount\":\"1\"",                                        \
		DONE)
#define LAGGING                                                                        \
	COUNTED("BATCH_STATE_SUCCEEDED",                                               \
		"\"requestCount\":\"6\",\"pendingRequestCount\":\"6\"",                \
		",\"done\":true")
#define STILL_RUNNING                                                                  \
	COUNTED("BATCH_STATE_RUNNING",                                                 \
		"\"requestCount\":\"6\",\"pendingRequestCount\":\"6\"", "")

static void expect_counts(struct gb_client *c, int64_t succeeded, int64_t pending)
{
	struct gb_job *job = gb_job_by_name(c, "a");
	struct gb_info i;

	assert_non_null(job);
	gb_job_info(job, &i);
	assert_string_equal(i.state, "JOB_STATE_SUCCEEDED");
	assert_int_equal(i.succeeded, succeeded);
	assert_int_equal(i.pending, pending);
	gb_job_unref(job);
}

static void expect_state(struct gb_client *c, const char *state)
{
	struct gb_job *job = gb_job_by_name(c, "a");
	struct gb_info i;

	assert_non_null(job);
	gb_job_info(job, &i);
	assert_string_equal(i.state, state);
	gb_job_unref(job);
}

static void test_in_order(void **state)
{
	uint64_t first = observe_seq(*state), second = observe_seq(*state);

	learn(*state, RUNNING, first);
	expect_state(*state, "JOB_STATE_RUNNING");
	learn(*state, SUCCEEDED, second);
	expect_state(*state, "JOB_STATE_SUCCEEDED");
}

static void test_a_slow_reply(void **state)
{
	uint64_t slow = observe_seq(*state), quick = observe_seq(*state);

	learn(*state, SUCCEEDED, quick);
	learn(*state, RUNNING, slow);
	expect_state(*state, "JOB_STATE_SUCCEEDED");
}

static void test_a_list_undoes_no_end(void **state)
{
	struct gb_client *c = *state;

	learn(c, TRUE_COUNTS, observe_seq(c));
	learn_from(c, LAGGING, observe_seq(c), true);
	expect_counts(c, 5, 0);
	learn_from(c, STILL_RUNNING, observe_seq(c), true);
	expect_counts(c, 5, 0);
	struct gb_job *job = gb_job_by_name(c, "a");
	client_lock(c);
	enum gb_output output = job_output(job);
	client_unlock(c);
	assert_int_equal(output, GB_OUTPUT_THERE);
	gb_job_unref(job);
}

static void test_the_end_of_a_list_is_an_end(void **state)
{
	struct gb_client *c = *state;

	learn_from(c, LAGGING, observe_seq(c), true);
	expect_counts(c, 0, 6);
	learn_from(c, STILL_RUNNING, observe_seq(c), true);
	expect_counts(c, 0, 6);
	learn(c, TRUE_COUNTS, observe_seq(c));
	expect_counts(c, 5, 0);
}

/* Of a job of others, and of one with a directory of its own. */
static void over_a_restart(void **state, bool local)
{
	struct gb_client *c = *state;

	learn_from(c, LAGGING, observe_seq(c), true);
	struct gb_job *job = gb_job_by_name(c, "a");
	if (local)
		assert_int_equal(job_dir_make(job), 0);
	gb_job_unref(job);
	learn(c, TRUE_COUNTS, observe_seq(c));
	gb_close(c);
	*state = c = open_client();
	expect_counts(c, 5, 0);
	learn_from(c, LAGGING, observe_seq(c), true);
	expect_counts(c, 5, 0);
}

static void test_over_a_restart(void **state)
{
	over_a_restart(state, false);
}

static void test_over_a_restart_with_a_directory(void **state)
{
	over_a_restart(state, true);
}

/* A job that others made leaves once a whole list was without it, too; not by a 404. */
static void test_missing(void **state)
{
	struct gb_client *c = *state;

	learn_from(c, STILL_RUNNING, observe_seq(c), true);
	struct gb_job *job = gb_job_by_name(c, "a");
	c->poller->whole_seq = observe_seq(c) - 1;
	observe_missed(job);
	expect_state(c, "JOB_STATE_RUNNING");
	assert_true(c->poller->want_whole);
	c->poller->whole_seq = observe_seq(c);
	observe_missed(job);
	gb_job_unref(job);
	assert_null(gb_job_by_name(c, "a"));
	learn_from(c, STILL_RUNNING, observe_seq(c), true);
	expect_state(c, "JOB_STATE_RUNNING");
}

static int drop_twin(struct gb_job *job, bool own)
{
	client_lock(job->c);
	job->dir->rec.own = own;
	int ret = job_drop_twin(job);
	client_unlock(job->c);
	return ret;
}

static void test_no_own_twin_is_dropped(void **state)
{
	struct gb_client *c = *state;

	learn_from(c, STILL_RUNNING, observe_seq(c), true);
	struct gb_job *job = gb_job_by_name(c, "a");
	assert_int_equal(job_dir_make(job), 0);
	assert_int_equal(drop_twin(job, true), -EEXIST);
	remove_twin(job);
	expect_state(c, "JOB_STATE_RUNNING");
	assert_false(job->dir->forgotten);
	assert_int_equal(drop_twin(job, false), 0);
	gb_job_unref(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_in_order), CASE(test_a_slow_reply),
		CASE(test_a_list_undoes_no_end), CASE(test_the_end_of_a_list_is_an_end),
		CASE(test_over_a_restart), CASE(test_over_a_restart_with_a_directory),
		CASE(test_missing), CASE(test_no_own_twin_is_dropped)};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
