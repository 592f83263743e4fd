/* Who may have a state directory, and what is said to who may not. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/state_lock.h"

static char top[] = "/tmp/gembatch-lock-XXXXXX";

static int make_top(void **state)
{
	return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
	return util_remove_tree(AT_FDCWD, top);
}

static int make_dir(void **state)
{
	static int n;
	char name[16];
	int dir = open(top, O_RDONLY | O_DIRECTORY), *ret = malloc(sizeof(int));

	snprintf(name, sizeof(name), "d%d", ++n);
	*ret = util_mkdir_open(dir, name);
	close(dir);
	*state = ret;
	unsetenv("BATCHFS_TEST_REMOTE_STATE");
	return *ret < 0;
}

static int close_dir(void **state)
{
	close(*(int *)*state);
	free(*state);
	return 0;
}

static void refused(int dir, int want, const char *words)
{
	char *why = NULL;
	int fd = -1;

	assert_int_equal(state_lock_take(dir, "STATE", "/there", &fd, &why), want);
	assert_non_null(why);
	if (!strstr(why, words))
		print_message("# %s\n", why);
	assert_non_null(strstr(why, words));
	free(why);
}

static int taken(int dir, const char *holder)
{
	char *why = NULL;
	int fd = -1;

	assert_int_equal(state_lock_take(dir, "STATE", holder, &fd, &why), 0);
	assert_null(why);
	return fd;
}

static void write_as(int dir, const char *text)
{
	assert_int_equal(util_write_file(dir, "lock", text, strlen(text), false), 0);
}

static void test_one_at_a_time(void **state)
{
	int dir = *(int *)*state, fd = taken(dir, "/proc");
	char pid[32];

	snprintf(pid, sizeof(pid), "pid %d /proc (unmount it", (int)getpid());
	refused(dir, -EBUSY, pid);
	state_lock_release(fd);
	state_lock_release(taken(dir, "/proc"));
}

/* It lives, and where it was mounted nothing is: the mount lives on in another namespace. */
static void test_a_mount_that_cannot_be_seen(void **state)
{
	int dir = *(int *)*state, fd = taken(dir, "/not/mounted here");
	char kill_it[32];

	snprintf(kill_it, sizeof(kill_it), "kill %d;", (int)getpid());
	refused(dir, -EBUSY, "another mount namespace");
	refused(dir, -EBUSY, kill_it);
	refused(dir, -EBUSY, "/not/mounted here");
	state_lock_release(fd);
}

static void test_either_kind_of_lock_is_enough(void **state)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int dir = *(int *)*state, fd = openat(dir, "lock", O_RDWR | O_CREAT, 0600);

	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	refused(dir, -EBUSY, "in use by");
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	refused(dir, -EBUSY, "in use by");
	close(fd);
	state_lock_release(taken(dir, "/x"));
}

/* A crash leaves the text. On a local disk the kernel's word counts, on a network
 * filesystem that of another machine does too. */
static void test_the_text_of_another_host(void **state)
{
	int dir = *(int *)*state;
	char host[64] = "", own[128];

	setenv("BATCHFS_TEST_REMOTE_STATE", "0.01", 1);
	write_as(dir, "elsewhere pid 7 /mnt\n");
	refused(dir, -EBUSY, "pid 7 on elsewhere, /mnt");
	refused(dir, -EBUSY, "rm STATE/lock");
	gethostname(host, sizeof(host) - 1);
	snprintf(own, sizeof(own), "%s pid 7 /mnt\n", host);
	write_as(dir, own);
	state_lock_release(taken(dir, "/x"));
	/* Its end has emptied it. */
	struct stat st;
	assert_int_equal(fstatat(dir, "lock", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	unsetenv("BATCHFS_TEST_REMOTE_STATE");
	write_as(dir, "elsewhere pid 7 /mnt\n");
	state_lock_release(taken(dir, "/x"));
}

/* Somebody removes the file while the directory is in use: there is another lock. */
static void test_a_lock_that_was_removed(void **state)
{
	int dir = *(int *)*state;
	_cleanup_close_ int other =
		openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = taken(dir, "/there");

	assert_int_equal(unlinkat(dir, "lock", 0), 0);
	refused(other, -EBUSY, "in use");
	state_lock_release(fd);
	assert_int_equal(flock(dir, LOCK_UN), 0); /* as the directory's close does */
	state_lock_release(taken(other, "/there"));
}

/* A holder between its lock and its text: it writes the text, or was about to go. */
struct later {
	int fd;
	const char *text;
};

static void *after_a_moment(void *arg)
{
	struct later *l = arg;

	usleep(300000);
	if (l->text)
		assert_int_equal(pwrite(l->fd, l->text, strlen(l->text), 0),
			strlen(l->text));
	else
		close(l->fd);
	return NULL;
}

static int look_at(int dir, const char *text, char **ret_holder)
{
	struct later l = {openat(dir, "lock", O_RDWR | O_CREAT | O_TRUNC, 0600), text};
	pthread_t thread;

	assert_int_equal(flock(l.fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(pthread_create(&thread, NULL, after_a_moment, &l), 0);
	int err = state_lock_look(dir, ret_holder);
	pthread_join(thread, NULL);
	if (text)
		close(l.fd);
	return err;
}

static void test_a_holder_without_a_text(void **state)
{
	_cleanup_free_ char *holder = NULL;
	char host[64] = "", text[128];
	int dir = *(int *)*state;

	assert_int_equal(look_at(dir, NULL, &holder), 0);
	assert_null(holder);
	gethostname(host, sizeof(host) - 1);
	snprintf(text, sizeof(text), "%s pid 7 /there\n", host);
	assert_int_equal(look_at(dir, text, &holder), -EBUSY);
	assert_string_equal(holder, "/there");
	assert_int_equal(look_at(dir, "elsewhere pid 7 /mnt\n", &holder), -EREMOTE);
}

/* What is no lock of another's is not said to be one. */
static void test_no_lock_is_not_another(void **state)
{
	int dir = *(int *)*state;

	assert_int_equal(mkdirat(dir, "lock", 0700), 0);
	refused(dir, -EISDIR, "cannot be locked");
}

#define HERE(fn) cmocka_unit_test_setup_teardown(fn, make_dir, close_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HERE(test_one_at_a_time),
		HERE(test_a_mount_that_cannot_be_seen),
		HERE(test_either_kind_of_lock_is_enough),
		HERE(test_the_text_of_another_host),
		HERE(test_a_lock_that_was_removed),
		HERE(test_a_holder_without_a_text),
		HERE(test_no_lock_is_not_another),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
