/* A directory of several parts on a machine that lacks something for a while: nobody is there
 * to ask again, so what was taken on waits, and is bought once. */
#include "fake_client.h"

#include <sys/resource.h>

#define ASK(k) "{\"key\":\"" k "\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}}\n"

static struct rlimit usual;
static enum fake_call lacks_after;
static atomic_uint calls, lacks_from;

static void let_open(bool yes)
{
	struct rlimit l = {yes ? usual.rlim_cur : 3, usual.rlim_max};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
}

/* From then on no file can be opened. */
static void lack(struct fake_provider *f, enum fake_call call)
{
	if (call == lacks_after && ++calls == lacks_from)
		let_open(false);
}

static bool has_error(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i.has_error;
}

static void lack_at(enum fake_call call, unsigned from, enum gb_by by)
{
	struct gb_job *job =
		make_draft("job", ASK("a") ASK("b") ASK("c") ASK("d"));
	double until = util_now() + 60;

	assert_int_equal(gb_draft_set_split(job, "1"), 0);
	lacks_after = call;
	lacks_from = from;
	calls = 0;
	fake.after = lack;
	assert_int_equal(BLOCKING(gb_submit, job, by), 0);
	while (!(calls >= from && has_error(job)) && util_now() < until)
		usleep(1000);
	assert_true(has_error(job));
	usleep(20000);
	assert_string_equal(state_of_job(job), "QUEUED");
	let_open(true);
	while (fake_made(&fake) < 4 && util_now() < until)
		usleep(1000);
	assert_int_equal(fake_made(&fake), 4);
	while (has_error(job) && util_now() < until)
		usleep(1000);
	assert_false(has_error(job));
	gb_job_unref(job);
}

/* Before the journal of the second can say what is intended; and before there is a second. */
static void test_descriptors(void **state)
{
	static const struct {
		enum fake_call call;
		unsigned n;
		enum gb_by by;
	} rows[] = {{FAKE_UPLOAD_BYTES, 2, GB_BY_CTL}, {FAKE_UPLOAD_BYTES, 2, GB_BY_QUEUE},
		{FAKE_UPLOAD_BYTES, 4, GB_BY_QUEUE}, {FAKE_UPLOAD, 3, GB_BY_CTL}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lack_at(rows[i].call, rows[i].n, rows[i].by);
		fake_teardown(state);
		fake_setup(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_descriptors)};

	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.001", 1);
	setenv("BATCHFS_TEST_QUEUE_SECONDS", "0.002", 1);
	setenv("BATCHFS_TEST_LOOK_SECONDS", "0.002", 1);
	setenv("BATCHFS_TEST_OWN_SECONDS", "0.01", 1);
	setenv("BATCHFS_TEST_SAVE_SECONDS", "0.01", 1);
	getrlimit(RLIMIT_NOFILE, &usual);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
