/* Who holds a file: the walk through /proc, on files and processes of our own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/io_uring.h>
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
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../fs/closing/census.h"
#include "../../fs/closing/proc.h"

static int file;
static int keeper; /* open for reading, so that no other file gets the inode's number */
static struct stat st;
static struct census *before_open; /* what is said to have been taken before the open */

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
	census_unref(before_open);
	before_open = NULL;
	return 0;
}

/* Asked by a child, which the walk does not count itself. */
static enum proc_holder holder(int flags, void (*before)(void))
{
	struct proc_question q = {
		.ino = st.st_ino, .since = proc_ticks(), .before = before_open};
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
		proc_find_holders(&q, 1, NULL);
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

/* ---- what cannot be looked at is unknown ----------------------------------------- */

static int keep_free;

static void use_up_descriptors(void)
{
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64});
	while (dup(0) >= 0)
		;
	for (int fd = 63; fd > 63 - keep_free; fd--)
		close(fd);
}

/* With none it cannot begin, with one not look at any descriptor. */
static void test_short_of_descriptors(void **state)
{
	for (keep_free = 0; keep_free <= 1; keep_free++) {
		enum proc_holder found = holder(-1, use_up_descriptors);

		if (found != HOLDER_UNKNOWN)
			fail_msg("%d descriptors left: %d", keep_free, (int)found);
	}
	keep_free = 1;
	assert_int_equal(holder(0, use_up_descriptors), HOLDER_UNKNOWN);
	keep_free = 2;
	assert_int_equal(holder(-1, use_up_descriptors), HOLDER_SOME);
}

/* ---- threads --------------------------------------------------------------------- */

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

/* ---- in a ring ------------------------------------------------------------------- */

/* It has been given to a ring for requests (io_uring), and closed. */
static void be_ring(const char *name)
{
	struct io_uring_params params = {};
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	char byte = 'x';

	close(go[1]);
	if (ring < 0 ||
		syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1))
		byte = '-';
	close(fd);
	if (write(ready[1], &byte, 1) != 1)
		_exit(9);
	_exit(read(go[0], &byte, 1) != 1);
}

static enum proc_holder holder_of_ring(const char *file_name, char *ret_ready)
{
	char dir[] = "/tmp/test_holders.XXXXXX", name[64];
	enum proc_holder found;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	snprintf(name, sizeof name, "%s/%s", dir, file_name);
	assert_int_equal(pipe(ready) | pipe(go), 0);
	pid = fork();
	if (!pid)
		be_ring(name);
	assert_int_equal(read(ready[0], ret_ready, 1), 1);
	found = holder(0, NULL);
	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 2; i++)
		close(ready[i]), close(go[i]);
	unlink(name);
	rmdir(dir);
	return found;
}

static void test_in_a_ring(void **state)
{
	enum proc_holder found, other_file;
	char ring;

	close(file);
	file = -1;
	other_file = holder_of_ring("x.requests.jsonl", &ring);
	found = holder_of_ring("requests.jsonl", &ring);
	if (ring != 'x')
		skip(); /* the machine allows none */
	assert_int_equal(other_file, HOLDER_NONE);
	assert_int_equal(found, HOLDER_FLYING);
}

/* ---- who has not run since ------------------------------------------------------- */

static int socks[2]; /* [1]: the other process's */
static pid_t other, other2;

static void send_file(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} u = {.head = {.cmsg_level = SOL_SOCKET,
		       .cmsg_type = SCM_RIGHTS,
		       .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.room,
		.msg_controllen = sizeof u.room};

	memcpy(CMSG_DATA(&u.head), &file, sizeof file);
	assert_int_equal(sendmsg(socks[0], &msg, 0), 1);
}

static void take_file(void)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof room};

	if (recvmsg(socks[1], &msg, 0) != 1 || msg.msg_controllen != sizeof room)
		_exit(9);
}

static void report_pid(void)
{
	if (write(ready[1], &(pid_t){getpid()}, sizeof(pid_t)) != sizeof(pid_t))
		_exit(9);
}

/* An orphan, so that it is none of our family: it keeps `file` if it has it, and, if
 * told so, takes one that it is sent, for which it closes another. */
static void be_other(bool keeps, bool takes)
{
	int spare = dup(0);
	char byte;

	close(socks[0]);
	close(go[1]); /* it ends with the test, whatever comes of that */
	if (!keeps)
		close(file);
	report_pid();
	if (takes) {
		take_file();
		close(spare);
		if (write(ready[1], "x", 1) != 1)
			_exit(9);
	}
	_exit(read(go[0], &byte, 1) != 1);
}

/* Until its state is one of these: S asleep, Z ended. */
static void await_state(pid_t pid, const char *states)
{
	char path[32], text[512] = "";

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	for (int i = 0; i < 10000; i++) {
		int fd = open(path, O_RDONLY);
		ssize_t n = read(fd, text, sizeof text - 1);
		const char *state;

		close(fd);
		text[n > 0 ? n : 0] = '\0';
		state = strrchr(text, ')');
		if (state ? strchr(states, state[2]) != NULL : *states == 'Z')
			return;
		usleep(1000);
	}
	fail_msg("%d is not %s", (int)pid, states);
}

/* Asleep, from what it shows: a switch away from it counts. */
static void await_sleep(pid_t pid)
{
	await_state(pid, "S");
}

/* A process that takes the file, closes another, and leaves the table (it ends, or
 * begins another program), and one that has the same table and sleeps. */
static void be_twins(bool ends)
{
	int spare = dup(0);
	char byte;

	close(socks[0]);
	close(go[1]);
	close(file);
	report_pid();
	if (!syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL)) {
		report_pid();
		_exit(read(go[0], &byte, 1) != 1);
	}
	take_file();
	close(spare);
	if (ends)
		_exit(0);
	dup2(go[0], 0);
	close_range(3, ~0u, CLOSE_RANGE_UNSHARE);
	_exit(read(0, &byte, 1) != 1);
}

static pid_t next_pid(void)
{
	pid_t pid;

	assert_int_equal(read(ready[0], &pid, sizeof pid), sizeof pid);
	await_sleep(pid);
	return pid;
}

enum kind {
	KEEPS,
	TAKES,
	TWINS,
	TWINS_PART,
};

/* Another program than the test, which runs all the time. */
static void exec_other(enum kind kind)
{
	char args[6][16];
	int fds[] = {(int)kind, file, ready[1], go[0], go[1], socks[1]};

	close(socks[0]);
	for (size_t i = 0; i < 6; i++)
		snprintf(args[i], sizeof args[i], "%d", fds[i]);
	execl("/proc/self/exe", "other", args[0], args[1], args[2], args[3], args[4],
		args[5], NULL);
	_exit(9);
}

static void become_other(char **args)
{
	enum kind kind = (enum kind)atoi(args[0]);

	file = atoi(args[1]);
	ready[1] = atoi(args[2]);
	go[0] = atoi(args[3]);
	go[1] = atoi(args[4]);
	socks[0] = -1;
	socks[1] = atoi(args[5]);
	if (kind >= TWINS)
		be_twins(kind == TWINS);
	be_other(kind == KEEPS, kind == TAKES);
}

static void await_has_taken(enum kind kind)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)other, ready[1]);
	if (kind == TWINS)
		await_state(other, "Z");
	while (kind == TWINS_PART && !access(path, F_OK))
		usleep(1000);
}

static void start_other(enum kind kind)
{
	pid_t pid;

	assert_int_equal(pipe(ready) | pipe(go), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
	pid = fork();
	if (!pid) {
		if (fork())
			_exit(0);
		exec_other(kind);
	}
	waitpid(pid, NULL, 0);
	other = next_pid();
	if (kind >= TWINS)
		other2 = next_pid();
	usleep(10000);
	before_open = census_take(NULL, true);
	assert_non_null(before_open);
}

static void end_other(void)
{
	assert_int_equal(write(go[1], "x", 1), 1);
	for (int i = 0; i < 2; i++)
		close(ready[i]), close(go[i]), close(socks[i]);
}

/* Whether what holder() says of a process that has the file and sleeps is NONE: so it
 * was left out. (In truth nobody has a file that is older than its first open.) */
static void test_who_sleeps_is_left_out(void **state)
{
	enum proc_holder found;

	start_other(KEEPS);
	close(file);
	file = -1;
	/* Where others have the processors it takes longer to tell than it may. */
	for (time_t until = time(NULL) + 60; /* wall: patience */
		(found = holder(0, NULL)) != HOLDER_NONE && time(NULL) < until;) {
		usleep(10000);
		census_unref(before_open);
		before_open = census_take(NULL, true);
	}
	assert_int_equal(found, HOLDER_NONE);
	census_unref(before_open);
	before_open = NULL;
	assert_int_equal(holder(0, NULL), HOLDER_SOME);
	end_other();
}

/* It ran, and has as many descriptors as before. */
static void test_who_took_it_from_a_socket_holds_it(void **state)
{
	char byte;

	start_other(TAKES);
	send_file();
	close(file);
	file = -1;
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(holder(0, NULL), HOLDER_SOME);
	end_other();
}

/* It slept, and has as many descriptors as before; the one that ran shares the table no
 * more. */
static void holds_through_a_twin(enum kind kind)
{
	start_other(kind);
	send_file();
	close(file);
	file = -1;
	await_has_taken(kind);
	assert_int_equal(holder(0, NULL), HOLDER_SOME);
	end_other();
}

static void test_held_through_a_twin_that_ended(void **state)
{
	holds_through_a_twin(TWINS);
}

static void test_held_through_a_twin_that_left(void **state)
{
	holds_through_a_twin(TWINS_PART);
}

/* A child of the opener's may be sent the file, though it sleeps. */
static void test_mail_for_a_sleeper(void **state)
{
	pid_t pid;

	assert_int_equal(pipe(ready) | pipe(go), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
	pid = fork();
	if (!pid)
		be_other(false, false);
	assert_int_equal(read(ready[0], &other, sizeof other), sizeof other);
	await_sleep(other);
	usleep(10000);
	before_open = census_take(NULL, true);
	send_file();
	close(file);
	close(socks[1]);
	file = -1;
	assert_int_equal(holder(0, NULL), HOLDER_FLYING);
	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(pid, NULL, 0);
	assert_int_equal(holder(0, NULL), HOLDER_NONE);
	for (int i = 0; i < 2; i++)
		close(ready[i]), close(go[i]);
	close(socks[0]);
}

/* Forked by a holder that then has closed it. */
static void test_who_is_younger_is_looked_at(void **state)
{
	struct census *before = census_take(NULL, true);

	start_other(KEEPS);
	census_unref(before_open);
	before_open = before;
	close(file);
	file = -1;
	assert_int_equal(holder(0, NULL), HOLDER_SOME);
	end_other();
}

/* What a container shows of the machine's processors may be made up (lxcfs). */
static void test_processors_made_up(void **state)
{
	const char *online = "/sys/devices/system/cpu/online";
	char list[] = "/tmp/test_holders.XXXXXX";
	int fd = mkstemp(list), status;
	pid_t pid;

	assert_int_equal(write(fd, "0\n", 2), 2);
	close(fd);
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWNS) ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
			mount(list, online, NULL, MS_BIND, NULL))
			_exit(77);
		_exit(census_settle());
	}
	waitpid(pid, &status, 0);
	unlink(list);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* ---- how often ------------------------------------------------------------------- */

/* By their number alone: a mkdir every tenth of a second, on machines on which a census
 * costs so much. */
static void test_a_census_costs_a_twentieth(void **state)
{
	static const double costs[] = {0, 0.0002, 0.023, 0.03, 0.4, 7};

	for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
		double at = 0, now = 1000, began = now, n = 0;

		while (n < 50) {
			if (census_is_due(now, at, costs[i])) {
				now += costs[i];
				at = now;
				n++;
			}
			now += 0.1;
		}
		assert_true(n * costs[i] <= (now - began) / 20 + costs[i]);
		assert_true(now - began < 50 * (0.7 + 21.5 * costs[i]));
	}
	assert_true(census_is_due(0.01, 0, 0));
	assert_false(census_is_due(10.4, 10, 0));
	assert_true(census_is_due(10.6, 10, 0));
}

/* ---- where it comes from --------------------------------------------------------- */

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

int main(int argc, char **argv)
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
		cmocka_unit_test_setup_teardown(test_in_a_ring, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_who_sleeps_is_left_out, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_who_took_it_from_a_socket_holds_it, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_held_through_a_twin_that_ended, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_held_through_a_twin_that_left, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_mail_for_a_sleeper, make_file, close_file),
		cmocka_unit_test_setup_teardown(
			test_who_is_younger_is_looked_at, make_file, close_file),
		cmocka_unit_test(test_processors_made_up),
		cmocka_unit_test(test_a_census_costs_a_twentieth),
		cmocka_unit_test(test_origin),
	};

	if (argc == 7)
		become_other(argv + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
