/* A job's whole life on a provider in memory: nothing below the table of provider.h is
 * needed for it, and no test of it waits. */
#include "provider/all/ids.h"
#include "fake_client.h"
#include "jobs/client.h"

#define REQUEST "\"request\":{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}"
#define TWO "{\"key\":\"a\"," REQUEST "}\n{\"key\":\"b\"," REQUEST "}\n"

static char *read_results(struct gb_job *job)
{
	char *text = calloc(1, 65536);
	struct gb_results *r;
	size_t n = 0;
	ssize_t got;

	assert_int_equal(gb_results_open(job, &r), 0);
	do {
		struct waiter_sync s;

		waiter_sync_init(&s);
		got = gb_results_ready(r, n, 65535 - n, &s.w);
		if (got > 0)
			got = gb_results_read(r, text + n, (size_t)got, n);
		if (got > 0)
			n += (size_t)got;
		else if (got == -EINPROGRESS)
			assert_int_equal(waiter_sync_wait(&s), 0);
	} while (got > 0 || got == -EINPROGRESS);
	assert_int_equal(got, 0);
	gb_results_close(r);
	return text;
}

static void assert_answered(struct gb_job *job)
{
	char *text = read_results(job);

	assert_string_equal(text, fake_job(&fake, 0)->results);
	assert_non_null(strstr(text, "{\"key\":\"a\",\"response\""));
	assert_non_null(strstr(text, "{\"key\":\"b\",\"response\""));
	free(text);
}

static void live(struct gb_job *job)
{
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	assert_int_equal(fake_made(&fake), 1);
	assert_int_equal(fake_job(&fake, 0)->n_requests, 2);
	assert_string_equal(state_of_job(job), "JOB_STATE_PENDING");
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	await_state(job, "JOB_STATE_SUCCEEDED");
	assert_int_equal(BLOCKING(gb_save_results, job), 0);
	assert_answered(job);
	assert_int_equal(BLOCKING(gb_remove, job), 0);
	assert_int_equal(fake_made(&fake), 1);
}

static void test_life(void **state)
{
	struct gb_job *job = make_draft("job", TWO);

	live(job);
	assert_int_equal(fake_there(&fake), 0);
	assert_int_equal(fake_count(&fake, FAKE_CREATE), 1);
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 1);
	assert_int_equal(fake_job(&fake, 0)->requests[strlen(TWO) - 1], '\n');
	gb_job_unref(job);
}

static void test_inline_life(void **state)
{
	struct gb_job *job;

	fake_options.inline_max = 1 << 20;
	reopen();
	job = make_draft("job", TWO);
	live(job);
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	assert_int_equal(fake_count(&fake, FAKE_DOWNLOAD), 0);
	gb_job_unref(job);
}

/* The answers of a script come in order, and then all is well. */
static void test_script(void **state)
{
	struct provider_conn conn = client->api;
	struct canceller none = CANCELLER_INIT;
	struct provider_error err;
	struct create_args args = {
		.model = "m", .inline_requests = "", .inline_len = 0};
	struct remote_batch b;
	static const struct {
		struct fake_answer a;
		int err;
		enum create_verdict verdict;
		unsigned made;
	} cases[] = {
		{{FAKE_STATUS, 400}, -EINVAL, CREATE_NOT_MADE, 0},
		{{FAKE_STATUS, 429, .retry = 7}, -EDQUOT, CREATE_NOT_MADE, 0},
		{{FAKE_STATUS, 503}, -EIO, CREATE_UNKNOWN, 0},
		{{FAKE_PAGE, 404}, -EHOSTUNREACH, CREATE_UNKNOWN, 0},
		{{FAKE_UNREACHED}, -EHOSTUNREACH, CREATE_NOT_MADE, 0},
		{{FAKE_LOST_BEFORE}, -EIO, CREATE_UNKNOWN, 0},
		{{FAKE_NO_ANSWER}, -ETIMEDOUT, CREATE_UNKNOWN, 0},
		{{FAKE_LOST_AFTER}, -EIO, CREATE_UNKNOWN, 1},
		{{FAKE_OK}, 0, CREATE_MADE, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases) - 1; i++)
		fake_script(&fake, FAKE_CREATE, cases[i].a);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = provider_create(&conn, &args, &none, &b, &err);

		assert_int_equal(r, cases[i].err);
		assert_int_equal(err.err, r);
		assert_int_equal(provider_create_verdict(&err), cases[i].verdict);
		assert_int_equal(fake_made(&fake), cases[i].made);
		if (cases[i].a.retry > 0)
			assert_int_equal((int)err.retry, (int)cases[i].a.retry);
		if (r == 0)
			remote_batch_clear(&b);
		provider_error_clear(&err);
	}
}

static void test_ids(void **state)
{
	char id[REMOTE_ID_SIZE];

	assert_true(remote_id_valid(REMOTE_BATCH, "batches/a.b-1"));
	assert_false(remote_id_valid(REMOTE_BATCH, "files/a"));
	assert_false(remote_id_valid(REMOTE_FILE, "files/../x"));
	assert_string_equal(remote_id_tail("batches/x"), "x");
	assert_string_equal(remote_id_tail("files/y"), "y");
	assert_true(remote_id_from(REMOTE_BATCH, "x", id));
	assert_string_equal(id, "batches/x");
	assert_true(remote_id_from(REMOTE_BATCH, "batches/x", id));
	assert_string_equal(id, "batches/x");
	assert_false(remote_id_from(REMOTE_BATCH, "", id));
	assert_false(remote_id_from(REMOTE_BATCH, "a/b", id));
	assert_false(remote_id_from(REMOTE_FILE, "batches/x", id));
}

static void test_model_names(void **state)
{
	assert_string_equal(remote_model_name("models/m"), "m");
	assert_string_equal(remote_model_name("m"), "m");
	assert_string_equal(remote_model_name("tunedModels/m"), "tunedModels/m");
	assert_null(remote_model_name(NULL));
	assert_true(remote_model_valid("m-1.5"));
	assert_true(remote_model_valid("models/m"));
	assert_true(remote_model_valid("tunedModels/m"));
	assert_false(remote_model_valid("models/"));
	assert_false(remote_model_valid("a b"));
	assert_false(remote_model_valid("other/m"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_CASE(test_life),
		FAKE_CASE(test_inline_life),
		FAKE_CASE(test_script),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_model_names),
	};

	return cmocka_run_group_tests_name("provider", tests, make_top, remove_top);
}
