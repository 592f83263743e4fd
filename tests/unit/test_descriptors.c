/* Descriptors: none for what rests, and what happens when there are none left. */
#include "client_fixture.h"
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Those that are open, the one that looks left out. */
static int count_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -3; /* ".", "..", and this one */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* No more than so many besides those that are open. */
static void allow(int more)
{
	struct rlimit r;
	int next = dup(0), holes = 0;

	for (int fd = 0; fd < next; fd++)
		holes += fcntl(fd, F_GETFD) < 0;
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	assert_int_equal(holes, 0);
	r.rlim_cur = (rlim_t)(next + more);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

static void allow_all(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static int make_draft(struct gb_client *c, int i)
{
	static const char line[] = "{\"contents\":[]}\n";
	struct gb_job *job;
	struct gb_file *f;
	char name[32];

	snprintf(name, sizeof(name), "draft%d", i);
	int err = gb_draft_create(c, name, true, &job);
	if (err)
		return err;
	err = gb_file_create(job, NULL, GB_REQUESTS, true, &f);
	if (!err) {
		err = gb_file_write(f, line, strlen(line), 0);
		gb_file_unref(f);
	}
	gb_job_unref(job);
	return err;
}

static void test_a_resting_job_holds_nothing(void **state)
{
	int before = count_open();

	allow(8);
	for (int i = 0; i < 100; i++)
		assert_int_equal(make_draft(*state, i), 0);
	allow_all();
	assert_int_equal(count_open(), before);
	gb_close(*state);
	*state = open_client();
	assert_int_equal(count_open(), before);
}

/* Whoever has a file open reads on when its name, or all of the draft, goes. */
static void test_an_open_file_outlives_its_draft(void **state)
{
	struct gb_waiter w = {0};
	struct gb_job *job;
	char buf[2] = "";

	assert_int_equal(make_draft(*state, 1), 0);
	gb_close(*state);
	*state = open_client();
	job = gb_job_by_name(*state, "draft1");
	struct gb_file *f = gb_file_by_name(job, NULL, GB_REQUESTS);
	assert_int_equal(gb_remove(job, &w), 0);
	gb_job_unref(job);
	assert_int_equal(pread(gb_file_fd(f), buf, 1, 0), 1);
	gb_file_unref(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_resting_job_holds_nothing),
		CASE(test_an_open_file_outlives_its_draft),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
