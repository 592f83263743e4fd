#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "requests/normalize.h"
#include "requests/validate.h"
#include "base/util.h"
#include "provider/gemini/request_members.h"

#define INLINE_MAX 20000000

#define BOM "\xef\xbb\xbf"

static int file_of(const void *text, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, text, n), 0);
	return fd;
}

static void scan_good(int fd, struct validate_report *ret)
{
	assert_int_equal(validate_file(&gemini_requests, fd, NULL, ret), 0);
	assert_int_equal(validate_report_status(ret), 0);
}

/* What normalize_file writes for text; the caller frees. */
static char *composed(const char *text, size_t n, size_t *ret_len)
{
	int in = file_of(text, n), out = memfd_create("out", MFD_CLOEXEC);
	struct validate_report report;
	char *buf;
	off_t size = -1;

	scan_good(in, &report);
	assert_int_equal(normalize_file(in, out, &report, NULL, &size), 0);
	if (!report.clean)
		assert_int_equal(size, report.send_size);
	assert_int_equal(lseek(out, 0, SEEK_END), size);
	buf = malloc((size_t)size + 1);
	assert_int_equal(pread(out, buf, (size_t)size, 0), size);
	buf[size] = '\0';
	close(in);
	close(out);
	*ret_len = (size_t)size;
	return buf;
}

static const struct {
	const char *in, *out;
} files[] = {
	{"{\"key\":\"a\",\"request\":{}}\n", "{\"key\":\"a\",\"request\":{}}\n"},
	{"{\"key\":\"a\",\"request\":{}}", "{\"key\":\"a\",\"request\":{}}\n"},
	{BOM "{\"key\":\"a\",\"request\":{}}\n", "{\"key\":\"a\",\"request\":{}}\n"},
	{"\n\r\n{\"key\":\"a\",\"request\":{}}\r\n \t\n",
		"{\"key\":\"a\",\"request\":{}}\n"},
	{" {\"key\" : \"a\", \"request\":{ \"a\": 1 "
	 "}}\t\r\r\n{\"request\":{},\"key\":\"b\"}",
		"{\"key\" : \"a\", \"request\":{ \"a\": 1 }}\n"
		"{\"request\":{},\"key\":\"b\"}\n"},
	{"{\"custom_id\":\"a\",\"request\":{}}\n{\"request\":{}, \"id\" : \"\\u0062\" , \"x\":1}\n",
		"{\"key\":\"a\",\"request\":{}}\n{\"request\":{}, \"key\":\"\\u0062\" , \"x\":1}\n"},
	{"{\"metadata\":{\"a\":{},\"custom_id\":\"no\",\"key\":\"c\",\"id\":\"no\"},\"request\":{}}\n",
		"{\"key\":\"c\",\"request\":{}}\n"},
	{"{\"metadata\":{\"key\":\"no\"},\"id\":\"d\",\"request\":{}}\n",
		"{\"metadata\":{\"key\":\"no\"},\"key\":\"d\",\"request\":{}}\n"},
	{"{\"id\":\"no\",\"custom_id\":\"e\",\"request\":{\"id\":\"no\"}}\n",
		"{\"id\":\"no\",\"key\":\"e\",\"request\":{\"id\":\"no\"}}\n"},
	{"{\"id\":7,\"request\":{}}\n", "{\"key\":\"1\",\"id\":7,\"request\":{}}\n"},
	{"{\"contents\":[]}", "{\"key\":\"1\",\"request\":{\"contents\":[]}}\n"},
	{"{ \"request\":{}, \"x\":1}\n", "{\"key\":\"1\", \"request\":{}, \"x\":1}\n"},
	{"{\"contents\":[]}\n\n\n\n\n\n\n\n\n{\"request\":{}}\n"
	 "{\"key\":\"k\",\"request\":{}}\n\n",
		"{\"key\":\"01\",\"request\":{\"contents\":[]}}\n"
		"{\"key\":\"10\",\"request\":{}}\n"
		"{\"key\":\"k\",\"request\":{}}\n"},
};

static void test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		size_t n;
		char *out = composed(files[i].in, strlen(files[i].in), &n), *again;

		assert_string_equal(out, files[i].out);
		/* What is sent is clean, and stays as it is. */
		again = composed(out, n, &n);
		assert_string_equal(again, out);
		free(again);
		free(out);
	}
}

/* Lines longer than the buffers, which come from the file again. */
static void test_long_lines(void **state)
{
	size_t n = 1 << 20, size, len;
	char *x = malloc(n + 1), *text, *expected, *out;
	FILE *f;

	memset(x, 'x', n);
	x[n] = '\0';
	f = open_memstream(&text, &size);
	fprintf(f, "\n{\"contents\":\"%s\"}\n{\"request\":{\"a\":\"%s\"}}\r\n", x, x);
	fprintf(f, "{\"request\":{},\"key\":\"%s\"} \n{\"contents\":1}", x);
	fclose(f);
	out = composed(text, size, &len);
	free(text);
	f = open_memstream(&expected, &size);
	fprintf(f, "{\"key\":\"2\",\"request\":{\"contents\":\"%s\"}}\n", x);
	fprintf(f, "{\"key\":\"3\",\"request\":{\"a\":\"%s\"}}\n", x);
	fprintf(f, "{\"request\":{},\"key\":\"%s\"}\n", x);
	fprintf(f, "{\"key\":\"5\",\"request\":{\"contents\":1}}\n");
	fclose(f);
	assert_int_equal(len, size);
	assert_memory_equal(out, expected, size);
	free(out);
	free(expected);
	free(x);
}

/* Many lines, so that lines lie across the buffers' ends. */
static void test_many_lines(void **state)
{
	char *text, *expected, *out;
	size_t size, len;
	FILE *f = open_memstream(&text, &size);

	for (int i = 1; i <= 50000; i++)
		fprintf(f, "{\"contents\":[%d]}%s", i, i % 3 ? "\n" : "\r\n");
	fclose(f);
	out = composed(text, size, &len);
	free(text);
	f = open_memstream(&expected, &size);
	for (int i = 1; i <= 50000; i++)
		fprintf(f, "{\"key\":\"%05d\",\"request\":{\"contents\":[%d]}}\n", i,
			i);
	fclose(f);
	assert_int_equal(len, size);
	assert_memory_equal(out, expected, size);
	free(out);
	free(expected);
}

static const struct {
	const char *in, *out;
} inlines[] = {
	{"{\"key\":\"a\",\"request\":{ \"b\":1}}\n",
		"{\"metadata\":{\"key\":\"a\"},\"request\":{ \"b\":1}}"},
	{BOM "{\"request\":{} , \"k\\u0065y\" : \"\\u0061\" }\r\n\n{\"contents\":[]}",
		"{\"request\":{} , \"metadata\":{\"key\":\"\\u0061\"} },"
		"{\"request\":{\"contents\":[]},\"metadata\":{\"key\":\"3\"}}"},
	{"{\"custom_id\":\"a\",\"request\":{}}\n{\"request\":{},\"metadata\":{\"id\":\"b\",\"x\":1}}",
		"{\"metadata\":{\"key\":\"a\"},\"request\":{}},{\"request\":{},\"metadata\":{\"key\":"
		"\"b\"}}"},
	{"{\"request\":{},\"x\":1}\n",
		"{\"metadata\":{\"key\":\"1\"},\"request\":{},\"x\":1}"},
};

static void test_inline(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(inlines); i++) {
		int fd = file_of(inlines[i].in, strlen(inlines[i].in));
		struct validate_report report;
		char *text = NULL;
		size_t n = 0;

		scan_good(fd, &report);
		assert_int_equal(
			normalize_inline(fd, &report, INLINE_MAX, &text, &n), 0);
		assert_string_equal(text, inlines[i].out);
		assert_int_equal(n, strlen(text));
		free(text);
		close(fd);
	}
}

static void test_inline_is_json(void **state)
{
	char *text, *elements, *list;
	size_t size, n;
	FILE *f = open_memstream(&text, &size);
	struct validate_report report;
	json_t *json;
	int fd;

	for (int i = 1; i <= 20000; i++)
		fprintf(f,
			i % 2 ? "{\"contents\":[%d]}\n"
			      : "{\"key\":\"k%d\",\"request\":{}}\n",
			i);
	fclose(f);
	fd = file_of(text, size);
	scan_good(fd, &report);
	assert_int_equal(normalize_inline(fd, &report, INLINE_MAX, &elements, &n), 0);
	list = util_format("[%s]", elements);
	json = json_loads(list, 0, NULL);
	assert_int_equal(json_array_size(json), 20000);
	for (size_t i = 0; i < 20000; i++) {
		json_t *e = json_array_get(json, i);
		json_t *key = json_object_get(json_object_get(e, "metadata"), "key");
		_cleanup_free_ char *expected =
			util_format(i % 2 ? "k%zu" : "%05zu", i + 1);

		assert_int_equal(json_object_size(e), 2);
		assert_string_equal(json_string_value(key), expected);
		assert_true(json_is_object(json_object_get(e, "request")));
	}
	json_decref(json);
	free(list);
	free(elements);
	free(text);
	close(fd);
}

/* A file that is not what was scanned is not sent. */
static void test_changed(void **state)
{
	static const char before[] = "{\"contents\":[]}\n";
	static const char *const after[] = {"{\"contents\":[1]}\n", "{\"contents\":[",
		"", "{\"contents\":[]}\n{\"contents\":[]}\n", "{\"contents\":[]}\n\n"};
	struct validate_report report;
	int fd = file_of(before, strlen(before)), out = memfd_create("o", MFD_CLOEXEC);
	char *text;
	size_t n;
	off_t size;

	scan_good(fd, &report);
	for (size_t i = 0; i < ARRAY_SIZE(after); i++) {
		int other = file_of(after[i], strlen(after[i]));

		assert_int_equal(
			normalize_file(other, out, &report, NULL, &size), -ESTALE);
		assert_int_equal(
			normalize_inline(other, &report, INLINE_MAX, &text, &n),
			-ESTALE);
		close(other);
	}
	close(fd);
	close(out);
}

static void test_errors(void **state)
{
	static const char text[] = "{\"contents\":[]}\n";
	atomic_bool cancel = true;
	struct validate_report report;
	int fd = file_of(text, strlen(text)), full = open("/dev/full", O_WRONLY);
	char *elements = NULL;
	off_t size = 7;
	size_t n;

	scan_good(fd, &report);
	assert_int_equal(normalize_file(fd, full, &report, &cancel, &size), -ECANCELED);
	assert_int_equal(normalize_file(fd, full, &report, NULL, &size), -ENOSPC);
	assert_int_equal(size, 7);
	report.send_size = INLINE_MAX + 1;
	assert_int_equal(
		normalize_inline(fd, &report, INLINE_MAX, &elements, &n), -EFBIG);
	assert_null(elements);
	close(full);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_inline_is_json),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
