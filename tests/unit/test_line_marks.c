/* Where a file of requests is cut: what the marks of the check lead to is what reading all
 * of it would. */
#include "requests/line_marks.h"

#include "scan_fixture.h"

#include "base/util.h"
#include "provider/gemini/request_members.h"
#include "requests/normalize.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Lines of all kinds; dirty: some that are not sent as they are. */
static char *lines_of(int n, bool dirty)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < n; i++) {
		int pad = i * 7919 % 300;

		if (dirty && i % 3 == 0)
			fprintf(f, "{\"contents\":[{\"parts\":[{\"text\":\"%*d\"}]}]}%s\n",
				pad, i, i % 2 ? "\r" : "");
		else if (dirty && i % 3 == 1)
			fprintf(f, "\n{\"request\":{\"contents\":[{\"parts\":[{\"text\":"
				   "\"%*d\"}]}]}}\n",
				pad, i);
		else
			fprintf(f, "%*s{\"key\":\"k%d\",\"request\":{\"contents\":[{"
				   "\"parts\":[{\"text\":\"%*d\"}]}]}}\n",
				i % 4, "", i, pad, i);
	}
	fclose(f);
	return text;
}

static int sent_of(int in, const struct validate_report *r)
{
	int out = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	off_t size;

	if (r->clean)
		return dup(in);
	assert_true(out >= 0);
	assert_int_equal(normalize_file(in, out, r, NULL, &size), 0);
	return out;
}

static void cut_all(int n, bool dirty, struct line_run most)
{
	char *text = lines_of(n, dirty);
	int in = file_of(text, strlen(text));
	struct validate_report r;
	int64_t at = 0, requests = 0;

	assert_int_equal(validate_file(&gemini_requests, in, NULL, &r), 0);
	assert_int_equal(r.clean, !dirty);
	int fd = sent_of(in, &r);
	int64_t total = lseek(fd, 0, SEEK_END);
	assert_int_equal(total, r.send_size);
	while (at < total) {
		struct line_run a, b;

		assert_int_equal(
			line_marks_cut(&r.marks, fd, at, total, most, &a), 0);
		assert_int_equal(line_marks_cut(NULL, fd, at, total, most, &b), 0);
		assert_int_equal(a.bytes, b.bytes);
		assert_int_equal(a.requests, b.requests);
		assert_true(a.requests >= 1 && a.requests <= most.requests);
		assert_true(a.bytes <= most.bytes || a.requests == 1);
		at += a.bytes;
		requests += a.requests;
	}
	assert_int_equal(at, total);
	assert_int_equal(requests, n);
	close(fd);
	close(in);
	free(text);
}

static void test_cuts(void **state)
{
	static const int sizes[] = {1, 2, 511, 512, 513, 1024, 1025, 5000};
	static const struct line_run mosts[] = {{INT64_MAX, 1}, {INT64_MAX, 7},
		{INT64_MAX, 1000}, {10, 100}, {700, 100}, {9000, INT64_MAX},
		{INT64_MAX, INT64_MAX}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t k = 0; k < ARRAY_SIZE(mosts); k++) {
			cut_all(sizes[i], false, mosts[k]);
			cut_all(sizes[i], true, mosts[k]);
		}
}

/* Of parts only a line must fit. */
static void test_any_size(void **state)
{
	struct request_grammar small = gemini_requests;
	char *text = lines_of(100, false);
	int fd = file_of(text, strlen(text));
	struct validate_report r;

	small.max = 400;
	assert_int_equal(validate_file(&small, fd, NULL, &r), 0);
	assert_true(r.too_big && !r.big_line);
	assert_int_equal(validate_file_any_size(&small, fd, NULL, &r), 0);
	assert_false(r.too_big);
	assert_int_equal(r.requests, 100);
	assert_int_equal(r.send_size, strlen(text));
	small.max = 300;
	assert_int_equal(validate_file_any_size(&small, fd, NULL, &r), 0);
	assert_true(r.too_big && r.big_line);
	char *told = validate_report_text(&r);
	assert_non_null(strstr(told, "alone"));
	free(told);
	close(fd);
	free(text);
}

static void test_changed_file(void **state)
{
	char *text = lines_of(50, false);
	int fd = file_of(text, strlen(text));
	struct line_run most = {INT64_MAX, INT64_MAX}, run;

	assert_int_equal(line_marks_cut(NULL, fd, 0, (int64_t)strlen(text) + 9, most,
				 &run), -ESTALE);
	close(fd);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_any_size),
		cmocka_unit_test(test_changed_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
