#include "../../fs/util/log_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROOM = 4 << 20 };

/* What r reads on from off, in pieces of n bytes; the new offset. */
static uint64_t read_on(struct log_reader *r, uint64_t off, size_t n, char *ret)
{
	size_t got;

	*ret = '\0';
	while ((got = log_lines_read(r, off, ret, n)) > 0) {
		off += got;
		ret += got;
		*ret = '\0';
	}
	return off;
}

static void add(int from, int count)
{
	char line[32];

	for (int i = from; i < from + count; i++) {
		snprintf(line, sizeof(line), "line %d", i);
		log_lines_add(i % 7 ? "" : "warning: ", line);
	}
}

/* Whether text is the lines from first on, `count` of them, in order. */
static void assert_lines(const char *text, int first, int count)
{
	char end[32];

	for (int i = first; i < first + count; i++) {
		const char *newline = strchr(text, '\n');
		size_t n = (size_t)snprintf(end, sizeof(end), "line %d\n", i);

		assert_non_null(newline);
		assert_memory_equal(newline + 1 - n, end, n);
		text = newline + 1;
	}
	assert_string_equal(text, "");
}

static void test_newest_lines(void **state)
{
	char *text = malloc(ROOM);
	struct timespec newest;
	struct log_reader r = {0};

	assert_int_equal(log_lines_size(&newest), 0);
	assert_int_equal(newest.tv_sec, 0);
	log_lines_open(&r);
	assert_int_equal(read_on(&r, 0, 100, text), 0);
	add(0, 400);
	log_lines_open(&r);
	assert_int_equal(read_on(&r, 0, 100, text), log_lines_size(&newest));
	assert_lines(text, 0, 400);
	add(400, 1100);
	log_lines_open(&r);
	assert_int_equal(read_on(&r, 0, 4096, text), log_lines_size(&newest));
	assert_lines(text, 500, LOG_LINES);
	free(text);
}

/* tail -f: reads on where it was; once the file is shorter than what it has read, from 0. */
static void test_follower(void **state)
{
	char *text = malloc(ROOM);
	struct log_reader r;
	struct timespec newest;
	int next = 10000;

	log_lines_open(&r);
	uint64_t off = read_on(&r, 0, 4096, text);
	for (int i = 0; i < 50; i++) {
		int n = 1 + i * 7 % 300;

		add(next, n);
		if (log_lines_size(&newest) < off)
			off = 0;
		off = read_on(&r, off, 1000, text);
		assert_lines(text, next, n);
		next += n;
	}
	free(text);
}

/* Who was away too long misses what was dropped, and reads on with what is kept. */
static void test_left_behind(void **state)
{
	char *text = malloc(ROOM);
	struct log_reader r;

	log_lines_open(&r);
	uint64_t off = read_on(&r, 0, 4096, text);
	add(50000, 2500);
	read_on(&r, off, 4096, text);
	assert_lines(text, 51500, LOG_LINES);
	free(text);
}

static void test_odd_lines(void **state)
{
	char *text = malloc(ROOM), *longest = malloc(100000);
	struct log_reader r;

	memset(longest, 'x', 99999);
	longest[99999] = '\0';
	log_lines_open(&r);
	uint64_t off = read_on(&r, 0, 4096, text);
	log_lines_add("", longest);
	log_lines_add("", "two\nlines\r");
	log_lines_add("", "");
	read_on(&r, off, 4096, text);
	assert_true(strlen(text) < 1200);
	assert_non_null(strstr(text, "two lines"));
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(longest);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newest_lines),
		cmocka_unit_test(test_follower),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_odd_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
