/* Many directories at once, under a quota that takes two jobs at a time. */
#include "fake_parts.h"

enum { DIRS = 60 };

static struct gb_job *dirs[DIRS];

static struct gb_job *directory(int n)
{
	_cleanup_free_ char *text = lines_of(4);
	char name[16];

	snprintf(name, sizeof(name), "d%d", n);
	struct gb_job *job = make_draft(name, text);
	/* Every third goes as two jobs. */
	assert_int_equal(gb_draft_set_split(job, n % 3 ? "none" : "2"), 0);
	return job;
}

static unsigned jobs_of_all(void)
{
	return DIRS + DIRS / 3;
}

static void end_those_made(void)
{
	for (unsigned i = 0; i < fake_made(&fake); i++)
		if (!fake_job(&fake, i)->ended)
			fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_SUCCEEDED);
	see_all();
}

static void none_twice(void)
{
	for (unsigned i = 0; i < fake_made(&fake); i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(
				fake_job(&fake, i)->display, fake_job(&fake, j)->display);
}

/* Each is bought once, all of them in the end; and a refusal costs no call of those that wait
 * behind it: at most one create is refused for each job that ends, beside those that were on
 * their way when the first was. */
static void test_sixty(void **state)
{
	/* What goes on goes on because a job has ended, not because time has passed. */
	setenv("BATCHFS_TEST_QUEUE_SECONDS", "3", 1);
	fake.takes_jobs = 2;
	for (int i = 0; i < DIRS; i++)
		dirs[i] = directory(i);
	for (int i = 0; i < DIRS; i++)
		assert_int_equal(BLOCKING(gb_submit, dirs[i], GB_BY_QUEUE), 0);
	double until = util_now() + 100;
	while (fake_made(&fake) < jobs_of_all() && util_now() < until) {
		end_those_made();
		usleep(2000);
	}
	assert_int_equal(fake_made(&fake), jobs_of_all());
	none_twice();
	unsigned refused = fake_count(&fake, FAKE_CREATE) - fake_made(&fake);
	print_message("# %u creates were refused\n", refused);
	assert_true(refused <= 2 * jobs_of_all());
	for (int i = 0; i < DIRS; i++)
		gb_job_unref(dirs[i]);
	setenv("BATCHFS_TEST_QUEUE_SECONDS", "0.002", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_sixty)};

	hurry_parts();
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
