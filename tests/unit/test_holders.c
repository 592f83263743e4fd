/* Who holds a file: the walk through /proc, on files and processes of our own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../fs/closing/proc.h"

static int file;
static int keeper; /* open for reading, so that no other file gets the inode's number */
static struct stat st;

static int make_file(void **state)
{
	char path[] = "/tmp/test_holders.XXXXXX";

	file = mkstemp(path);
	keeper = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 || keeper < 0)
		return -1;
	unlink(path);
	return fstat(file, &st);
}

static int close_file(void **state)
{
	if (file >= 0)
		close(file);
	close(keeper);
	return 0;
}

/* Asked by a child, which the walk does not count itself. */
static enum proc_holder holder(int flags, void (*before)(void))
{
	struct proc_question q = {.ino = st.st_ino, .since = proc_ticks()};
	int status;
	pid_t pid;

	if (flags >= 0)
		q.origins[0] =
			(struct proc_origin){.process = getpid(), .unknown = flags};
	pid = fork();
	if (!pid) {
		close(file);
		if (before)
			before();
		proc_find_holders(&q, 1);
		_exit((int)q.found);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_held(void **state)
{
	assert_int_equal(holder(0, NULL), HOLDER_SOME);
	assert_int_equal(holder(-1, NULL), HOLDER_SOME);
}

static void test_read_only_is_not_held(void **state)
{
	char path[32];
	int reading;

	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	reading = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(reading >= 0);
	close(file);
	file = reading;
	assert_int_equal(holder(0, NULL), HOLDER_NONE);
}

static void test_nobody(void **state)
{
	close(file);
	file = -1;
	assert_int_equal(holder(0, NULL), HOLDER_NONE);
}

/* ---- what cannot be looked at is unknown ---------------------------------------------- */

static int keep_free;

static void use_up_descriptors(void)
{
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64});
	while (dup(0) >= 0)
		;
	for (int fd = 63; fd > 63 - keep_free; fd--)
		close(fd);
}

/* With none it cannot begin, with one it cannot look into any process, with two not at any
 * descriptor of one that it finds by the walk. */
static void test_short_of_descriptors(void **state)
{
	for (keep_free = 0; keep_free <= 2; keep_free++) {
		enum proc_holder found = holder(-1, use_up_descriptors);

		if (found != HOLDER_UNKNOWN)
			fail_msg("%d descriptors left: %d", keep_free, (int)found);
	}
	keep_free = 1;
	assert_int_equal(holder(0, use_up_descriptors), HOLDER_UNKNOWN);
}

/* ---- threads --------------------------------------------------------------------------- */

static int alone[2], ready[2], go[2];

static void *hold_alone(void *arg)
{
	char byte;

	if (unshare(CLONE_FILES) || write(alone[1], "x", 1) != 1)
		_exit(9);
	if (read(go[0], &byte, 1) != 1)
		_exit(9);
	return NULL;
}

static void hold_in_thread(void)
{
	pthread_t thread;
	char byte;

	pthread_create(&thread, NULL, hold_alone, NULL);
	if (read(alone[0], &byte, 1) != 1)
		_exit(9);
	close(file);
	if (write(ready[1], "x", 1) != 1)
		_exit(9);
	pthread_join(thread, NULL);
	_exit(0);
}

static void test_thread_with_a_table_of_its_own(void **state)
{
	char byte;
	pid_t pid;

	assert_int_equal(pipe(alone) | pipe(ready) | pipe(go), 0);
	pid = fork();
	if (!pid)
		hold_in_thread();
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(file);
	file = -1;
	assert_int_equal(holder(0, NULL), HOLDER_SOME);
	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(pid, NULL, 0);
	assert_int_equal(holder(0, NULL), HOLDER_NONE);
}

/* ---- where it comes from --------------------------------------------------------------- */

static void test_origin(void **state)
{
	struct proc_origin o;
	pid_t pid;

	proc_origin(gettid(), proc_ticks(), &o);
	assert_false(o.unknown);
	assert_int_equal(o.process, getpid());
	assert_int_equal(o.kin[0], getppid());
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	proc_origin(pid, proc_ticks(), &o);
	assert_true(o.unknown);
	/* Somebody who bears the number since, only. */
	proc_origin(gettid(), 0, &o);
	assert_true(o.unknown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_held, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_read_only_is_not_held, make_file, close_file),
		cmocka_unit_test_setup_teardown(test_nobody, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_short_of_descriptors, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_thread_with_a_table_of_its_own, make_file, close_file),
		cmocka_unit_test(test_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
