/* What replies teach, whatever order they come in. */
#include "client.h"
#include "client_fixture.h"

#include <string.h>

static void learn(struct gb_client *c, const char *text, uint64_t seq)
{
	struct api_batch b;

	assert_int_equal(api_batch_parse(text, strlen(text), &b), 0);
	gb_job_unref(learn_batch(c, &b, seq, false));
	api_batch_clear(&b);
}

#define OPERATION(state, more)                                                         \
	"{\"name\":\"batches/j1\",\"metadata\":{\"displayName\":\"a\",\"state\":\"" state "\"}" \
	more "}"
#define RUNNING OPERATION("BATCH_STATE_RUNNING", "")
#define SUCCEEDED                                                                      \
	OPERATION("BATCH_STATE_SUCCEEDED",                                             \
		",\"done\":true,\"response\":{\"responsesFile\":\"files/batch-j1\"}")

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
	uint64_t first = learn_seq(*state), second = learn_seq(*state);

	learn(*state, RUNNING, first);
	expect_state(*state, "JOB_STATE_RUNNING");
	learn(*state, SUCCEEDED, second);
	expect_state(*state, "JOB_STATE_SUCCEEDED");
}

static void test_a_slow_reply(void **state)
{
	uint64_t slow = learn_seq(*state), quick = learn_seq(*state);

	learn(*state, SUCCEEDED, quick);
	learn(*state, RUNNING, slow);
	expect_state(*state, "JOB_STATE_SUCCEEDED");
}

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_in_order), CASE(test_a_slow_reply)};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
