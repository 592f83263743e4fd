#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "requests/validate_ahead.h"
#include "base/util.h"
#include "provider/gemini/request_members.h"

/* A file of a little more than n bytes of requests, written in order as a program does
 * it, behind which workers look. */
struct t {
	struct thread_pool *work;
	struct follows *all;
	struct follow *fo;
	int fd;
	off_t size;
	unsigned lines;
};

static int file_new(void)
{
	char name[] = "/tmp/gb-follow-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	return fd;
}

static int setup(void **state)
{
	struct t *t = calloc(1, sizeof *t);

	t->work = pool_new();
	t->all = follows_new(t->work, &gemini_requests);
	t->fd = file_new();
	*state = t;
	return 0;
}

/* Whoever has been woken has looked. No more will be. */
static void wait_for_workers(struct t *t)
{
	pool_stop(t->work);
}

static int teardown(void **state)
{
	struct t *t = *state;

	wait_for_workers(t);
	follow_end(t->fo);
	follows_free(t->all);
	pool_free(t->work);
	close(t->fd);
	free(t);
	return 0;
}

static void append(struct t *t, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(util_pwrite_all(t->fd, text, n, t->size), 0);
	t->size += (off_t)n;
	if (!t->fo)
		t->fo = follow_begin(t->all, t->fd);
	assert_non_null(t->fo);
	follow_wrote(t->fo, t->size - (off_t)n, t->size);
}

static void append_lines(struct t *t, off_t until)
{
	static char fill[2048];
	char *line;

	memset(fill, 'x', sizeof fill - 1);
	while (t->size < until) {
		line = util_format(
			"{\"key\":\"%u\",\"request\":{\"contents\":\"%s\"}}\n",
			t->lines++, fill);
		append(t, line);
		free(line);
	}
}

/* What a scan of the file as it is would say. */
static void finish(struct t *t, struct validate_report *ret)
{
	memset(ret, 0, sizeof *ret);
	assert_int_equal(
		follow_finish(STEAL_PTR(t->fo), &gemini_requests, t->fd, NULL, ret), 0);
}

static void test_says_what_a_scan_says(void **state)
{
	struct validate_report got, want;
	struct t *t = *state;

	append_lines(t, 3 * FOLLOW_STEP);
	append(t, "{\"key\":\"7\",\"request\":{}}\n");
	append(t, "{\"request\":{}}");
	finish(t, &got);
	assert_int_equal(validate_file(&gemini_requests, t->fd, NULL, &want), 0);
	assert_int_equal(got.bad_total, 1); /* the key came before, in another step */
	assert_int_equal(got.bad[0].line, t->lines + 1);
	assert_int_equal(got.bad[0].line, want.bad[0].line);
	assert_int_equal(got.bad[0].other, want.bad[0].other);
	assert_int_equal(got.requests, want.requests);
	assert_int_equal(got.file_size, want.file_size);
	assert_int_equal(got.send_size, want.send_size);
	assert_int_equal(got.clean, want.clean);
}

/* That it is beside the writing: behind its back is not looked at again. */
static void test_looks_once(void **state)
{
	struct validate_report got;
	struct t *t = *state;

	append_lines(t, 2 * FOLLOW_STEP);
	wait_for_workers(t);
	assert_int_equal(pwrite(t->fd, "?", 1, 0), 1);
	finish(t, &got);
	assert_int_equal(validate_report_status(&got), 0);
	assert_int_equal(got.requests, t->lines);
}

static void test_a_change_of_what_was_looked_at(void **state)
{
	struct validate_report got;
	struct t *t = *state;

	append_lines(t, 2 * FOLLOW_STEP);
	assert_int_equal(pwrite(t->fd, "?", 1, 0), 1);
	follow_wrote(t->fo, 0, t->size);
	append_lines(t, 4 * FOLLOW_STEP);
	finish(t, &got);
	assert_int_equal(got.bad_total, 1);
	assert_int_equal(got.bad[0].line, 1);
	assert_int_equal(got.lines, t->lines);
}

/* A program may go back a little, to where nobody has been yet. */
static void test_a_change_of_what_was_not_looked_at(void **state)
{
	struct validate_report got;
	struct t *t = *state;

	append_lines(t, FOLLOW_STEP + 1);
	off_t at = t->size;
	append(t, "!\"key\":\"a\",\"request\":{}}\n");
	assert_int_equal(pwrite(t->fd, "{", 1, at), 1);
	follow_wrote(t->fo, at, t->size);
	finish(t, &got);
	assert_int_equal(validate_report_status(&got), 0);
	assert_int_equal(got.requests, t->lines + 1);
}

static void test_a_bad_line_ends_it_and_all_are_told(void **state)
{
	struct validate_report got;
	struct t *t = *state;

	append(t, "not JSON\n");
	append_lines(t, 3 * FOLLOW_STEP);
	append(t, "nor this\n");
	wait_for_workers(t);
	finish(t, &got);
	assert_int_equal(got.bad_total, 2);
	assert_int_equal(got.bad[0].line, 1);
	assert_int_equal(got.bad[1].line, t->lines + 2);
}

static void test_the_oldest_gives_way(void **state)
{
	struct follow *more[FOLLOW_MAX];
	struct validate_report got;
	struct t *t = *state;

	append_lines(t, 2 * FOLLOW_STEP);
	for (size_t i = 0; i < FOLLOW_MAX; i++)
		assert_non_null(more[i] = follow_begin(t->all, t->fd));
	assert_int_equal(pwrite(t->fd, "?", 1, 0), 1);
	wait_for_workers(t);
	finish(t, &got);
	assert_int_equal(got.bad_total, 1); /* looked at anew */
	for (size_t i = 0; i < FOLLOW_MAX; i++)
		follow_end(more[i]);
}

static void test_cancelled(void **state)
{
	atomic_bool cancel = true;
	struct validate_report got;
	struct t *t = *state;

	append_lines(t, 2 * FOLLOW_STEP);
	assert_int_equal(
		follow_finish(STEAL_PTR(t->fo), &gemini_requests, t->fd, &cancel, &got),
		-ECANCELED);
}

/* Keeps a worker until it is told. */
static void hold_worker(void *arg)
{
	while (!atomic_load((atomic_bool *)arg))
		usleep(100);
}

/* ThreadSanitizer sees whether the worker looks at what is the finisher's by then. */
static void test_a_late_worker_leaves_it_alone(void **state)
{
	struct validate_report got;
	struct t *t = *state;
	atomic_bool go = false;

	for (int i = 0; i < 8; i++)
		assert_int_equal(pool_add(t->work, POOL_SHORT, hold_worker, &go), 0);
	append_lines(t, 2 * FOLLOW_STEP);
	atomic_store(&go, true);
	finish(t, &got);
	assert_int_equal(got.requests, t->lines);
}

static void test_without_a_follower(void **state)
{
	struct validate_report got;
	struct t *t = *state;

	append(t, "{\"key\":\"a\",\"request\":{}}\n");
	follow_end(STEAL_PTR(t->fo));
	finish(t, &got);
	assert_int_equal(got.requests, 1);
	follow_end(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_says_what_a_scan_says),
		T(test_looks_once),
		T(test_a_change_of_what_was_looked_at),
		T(test_a_change_of_what_was_not_looked_at),
		T(test_a_bad_line_ends_it_and_all_are_told),
		T(test_the_oldest_gives_way),
		T(test_cancelled),
		T(test_a_late_worker_leaves_it_alone),
		T(test_without_a_follower),
	};

	return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
