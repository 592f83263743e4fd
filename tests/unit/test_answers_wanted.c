/* When the index of answers is made unasked, and when only if somebody looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>
#include <unistd.h>

#include "fake_client.h"
#include "parts_fixture.h"

#define ASK(k) "{\"key\":\"" k "\",\"request\":{\"contents\":[]}}\n"

/* Ended; of another client unless own. Its results are read only. */
static struct gb_job *ended(bool own)
{
	struct gb_job *job = NULL;
	struct fake_job *j = fake_stranger(&fake, "job");

	j->input = "files/in";
	j->requests = (char *)ASK("a") ASK("b");
	fake_end(&fake, j, REMOTE_STATE_SUCCEEDED);
	if (own) {
		job = make_draft("job", j->requests);
		client_lock(client);
		job->dir->rec.own = true;
		job->dir->rec.batch->sent_size = (int64_t)strlen(j->requests);
		job_set_phase(job, PHASE_SENT);
		client_unlock(client);
		bind_to(job, j);
		assert_int_equal(job_dir_save(job), 0);
	} else {
		assert_int_equal(BLOCKING(gb_list_refresh, client, GB_LIST_NEWS), 0);
		job = gb_job_by_name(client, "job");
	}
	assert_non_null(job);
	await_state(job, "JOB_STATE_SUCCEEDED");
	return job;
}

static struct gb_results *read_all(struct gb_job *job)
{
	struct gb_results *r;
	struct waiter_sync s;
	ssize_t n = 1;

	assert_int_equal(gb_results_open(job, &r), 0);
	for (uint64_t at = 0; n; at += (uint64_t)n) {
		char buf[4096];

		do {
			waiter_sync_init(&s);
			n = gb_results_ready(r, at, sizeof buf, &s.w);
		} while (n == -EINPROGRESS && waiter_sync_wait(&s) == 0);
		assert_true(n >= 0);
		assert_int_equal(gb_results_read(r, buf, (size_t)n, at), n);
	}
	return r;
}

static bool saved(struct gb_job *job)
{
	client_lock(client);
	bool yes = job->batch->cached || (job->dir && job->dir->rec.batch->home);
	client_unlock(client);
	return yes;
}

static bool indexed(struct gb_job *job)
{
	client_lock(client);
	bool yes = job->batch->answers || job->batch->indexing;
	client_unlock(client);
	return yes;
}

#define UNTIL(condition)                                                               \
	do {                                                                           \
		double until_ = util_now() + 60;                                       \
		while (!(condition) && util_now() < until_)                            \
			usleep(1000);                                                  \
		assert_true(condition);                                                \
	} while (0)

enum { LONG = 100000 /* microseconds: more than an index of two takes */ };

static void when_nobody_reads(void **state)
{
	struct gb_job *job = ended(true);

	gb_results_close(read_all(job));
	struct gb_results *again;
	assert_int_equal(gb_results_open(job, &again), 0);
	UNTIL(saved(job));
	usleep(LONG);
	assert_false(indexed(job));
	gb_results_close(again);
	UNTIL(indexed(job));
	gb_job_unref(job);
}

static void at_once_unread(void **state)
{
	struct gb_job *job = ended(true);

	setenv("BATCHFS_TEST_UNREAD_SECONDS", "1000", 1);
	assert_int_equal(BLOCKING(gb_save_results, job), 0);
	UNTIL(indexed(job));
	gb_job_unref(job);
}

/* Who waits for the end wants the answers. */
static void for_who_waits(void **state)
{
	struct gb_job *job = ended(true);

	setenv("BATCHFS_TEST_UNREAD_SECONDS", "1000", 1);
	gb_results_close(read_all(job));
	UNTIL(saved(job));
	client_lock(client);
	client->o.fetch = GB_FETCH_OWN;
	client_unlock(client);
	assert_int_equal(BLOCKING(gb_job_settle, job), 0);
	UNTIL(indexed(job));
	gb_job_unref(job);
}

static void of_others_if_asked(void **state)
{
	struct gb_job *job = ended(false);
	struct gb_answers *a;

	gb_results_close(read_all(job));
	UNTIL(saved(job));
	usleep(LONG);
	assert_false(indexed(job));
	assert_int_equal(BLOCKING(gb_answers_look, job), 0);
	assert_true(indexed(job));
	assert_int_equal(gb_answers_open(job, NULL, &a), 0);
	gb_answers_close(a);
	gb_job_unref(job);
}

static long faults(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
	return u.ru_minflt;
}

/* Each look at one took its pages out of memory: a listing of 200,000 answers read the
 * index from disk 200,000 times. */
static void looked_at_stays(void **state)
{
	struct gb_job *job = ended(true);
	struct gb_answer got;
	enum { LOOKS = 200 };

	assert_int_equal(BLOCKING(gb_save_results, job), 0);
	assert_int_equal(BLOCKING(gb_answers_look, job), 0);
	assert_true(gb_answer_next(job, 0, 0, &got));
	long before = faults();
	for (int i = 0; i < LOOKS; i++)
		assert_true(gb_answer_next(job, 0, 0, &got));
	assert_true(faults() - before < LOOKS / 2);
	gb_job_unref(job);
}

static int unread(void **state)
{
	setenv("BATCHFS_TEST_UNREAD_SECONDS", "0.01", 1);
	fake_setup(state);
	gb_close(client);
	fake_options.fetch = GB_FETCH_READ;
	open_fake();
	return 0;
}

#define UNREAD_CASE(fn) cmocka_unit_test_setup_teardown(fn, unread, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNREAD_CASE(when_nobody_reads),
		UNREAD_CASE(at_once_unread),
		UNREAD_CASE(for_who_waits),
		UNREAD_CASE(of_others_if_asked),
		UNREAD_CASE(looked_at_stays),
	};

	setenv("BATCHFS_TEST_REST_SECONDS", "0.01", 1);
	return cmocka_run_group_tests_name("answers wanted", tests, make_top, remove_top);
}
