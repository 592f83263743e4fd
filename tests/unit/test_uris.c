#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "provider/gemini/file_refs.h"
#include "base/util.h"

#define BOM "\xef\xbb\xbf"

static int file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	return fd;
}

/* "LINE[!][?] TEXT;" for each: ! loose, ? odd. */
static int note(void *arg, const struct uris_found *f)
{
	fprintf(arg, "%d%s%s %s;", (int)f->line, f->loose ? "!" : "", f->odd ? "?" : "",
		f->text);
	return strcmp(f->text, "stop") == 0 ? -EXDEV : 0;
}

static int found_in(const char *text, char **ret)
{
	int fd = file_of(text), r;
	size_t n;
	FILE *f = open_memstream(ret, &n);

	r = file_refs_each((struct lines_span){fd, 0, -1}, NULL, note, f);
	fclose(f);
	close(fd);
	return r;
}

static const struct {
	const char *text, *found;
} finds[] = {
	{"{\"request\":{}}\n", ""},
	{"{\"file_data\":{\"file_uri\":\"a.png\"}}\n", "1! a.png;"},
	{BOM "\n{\"a\":[[{\"fileData\":{\"x\":[1],\"fileUri\":\"inputs/a b.png\"}}]]}",
		"2! inputs/a b.png;"},
	{"{\"file\\u005fdata\" : { \"fil\\u0065Uri\" :\t\"\\u0061\\n\\\"\" }}\n",
		"1! a\n\";"},
	{"{\"file_data\":{\"file_uri\":\"https://x/files/y\"}}\n",
		"1 https://x/files/y;"},
	{"{\"file_data\":{\"file_uri\":\"a\\u0000b\"}}\n", "1!? a;"},
	{"{\"file_data\":{\"file_uri\":\"\"}}\n", "1! ;"},
	{"{\"file_data\":{\"file_uri\":\"a\",\"fileUri\":\"b\"}}\r\n"
	 "{\"file_data\":{\"b\":{\"file_data\":{\"file_uri\":\"c\"}},\"file_uri\":"
	 "\"d\"}}\n",
		"1! a;1! b;2! c;2! d;"},
	/* Elsewhere a name like that is something else. */
	{"{\"file_uri\":\"a\",\"file_data\":[{\"file_uri\":\"b\"}],\"fileData\":\"c\","
	 "\"file_data\":{\"x\":{\"file_uri\":\"d\"},\"y\":[\"file_uri\",\"e\"]}}\n",
		""},
	{"{\"file_data\":{\"file_uri\":[\"a\"],\"fileUri\":7,\"b\":\"c\"}}\n", ""},
	{"{\"file_data\":1,\"x\":{\"file_uri\":\"a\"}}\n", ""},
	{"{\"file_data\":\n", NULL},
	{"{\"file_data\":{\"file_uri\":\"a\"", NULL},
	{"[]\n", NULL},
};

static void test_finds(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(finds); i++) {
		_cleanup_free_ char *got = NULL;
		int r = found_in(finds[i].text, &got);

		assert_int_equal(r, finds[i].found ? 0 : -ESTALE);
		if (finds[i].found)
			assert_string_equal(got, finds[i].found);
	}
}

static void test_stop(void **state)
{
	_cleanup_free_ char *got = NULL;

	assert_int_equal(
		found_in("{\"file_data\":{\"file_uri\":\"stop\"}}\n{", &got), -EXDEV);
}

static const struct uris_new *known(void *arg, const char *text)
{
	static const struct uris_new cat = {"https://h/files/1", "image/png"},
				     dog = {"https://h/files/22", "image/gif"};

	return strcmp(text, "cat") == 0          ? &cat
	       : strcmp(text, "inputs/dog") == 0 ? &dog
						 : NULL;
}

static char *replaced(const char *text, int *ret)
{
	int in = file_of(text), out = memfd_create("out", MFD_CLOEXEC);
	off_t size = -1;
	char *got;

	*ret = file_refs_replace((struct lines_span){in, 0, -1}, out, NULL, known, NULL, &size);
	got = calloc(1, *ret ? 1 : (size_t)size + 1);
	if (!*ret) {
		assert_int_equal(lseek(out, 0, SEEK_END), size);
		assert_int_equal(pread(out, got, (size_t)size, 0), size);
	}
	close(in);
	close(out);
	return got;
}

#define CAT "https://h/files/1"
#define DOG "https://h/files/22"

static const struct {
	const char *in, *out;
} replacements[] = {
	{"{\"key\":\"cat\",\"request\":{\"file_uri\":\"cat\"}}\n",
		"{\"key\":\"cat\",\"request\":{\"file_uri\":\"cat\"}}\n"},
	{"{\"file_data\":{\"file_uri\":\"cat\"}}\n",
		"{\"file_data\":{\"file_uri\":\"" CAT
		"\",\"mime_type\":\"image/png\"}}\n"},
	{"{\"fileData\": { \"fileUri\" : \"cat\" } }\n",
		"{\"fileData\": { \"fileUri\" : \"" CAT
		"\" ,\"mimeType\":\"image/png\"} }\n"},
	{"{\"file_data\":{\"mime_type\":\"x\",\"file_uri\":\"inputs\\/d\\u006fg\"}}",
		"{\"file_data\":{\"mime_type\":\"x\",\"file_uri\":\"" DOG "\"}}"},
	{"{\"file_data\":{\"file_uri\":\"cat\",\"mimeType\":\"x\"}}\r\n",
		"{\"file_data\":{\"file_uri\":\"" CAT "\",\"mimeType\":\"x\"}}\r\n"},
	{"{\"file_data\":{\"file_uri\":\"other\"},\"a\":[{\"file_data\":{\"file_uri\":"
	 "\"cat\"}},"
	 "{\"file_data\":{\"file_uri\":\"inputs/dog\"}}]}\n",
		"{\"file_data\":{\"file_uri\":\"other\"},\"a\":[{\"file_data\":{\"file_"
		"uri\":\"" CAT
		"\",\"mime_type\":\"image/png\"}},{\"file_data\":{\"file_uri\":\"" DOG
		"\",\"mime_type\":\"image/gif\"}}]}\n"},
	{"{\"file_data\":{\"x\":{\"fileData\":{\"file_uri\":\"cat\"}},\"fileUri\":"
	 "\"cat\"}}\n",
		"{\"file_data\":{\"x\":{\"fileData\":{\"file_uri\":\"" CAT
		"\",\"mime_type\":\"image/png\"}},\"fileUri\":\"" CAT
		"\",\"mimeType\":\"image/png\"}}\n"},
	{"{\"file_data\":{\"file_uri\":\"cat\\u0000\"}}\n",
		"{\"file_data\":{\"file_uri\":\"cat\\u0000\"}}\n"},
	{BOM "{}\n\n{\"file_data\":{\"file_uri\":\"cat\"}}\n",
		"{}\n\n{\"file_data\":{\"file_uri\":\"" CAT
		"\",\"mime_type\":\"image/png\"}}\n"},
	{"{\"file_data\":{\"file_uri\":\"cat\"}", NULL},
};

static void test_replace(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(replacements); i++) {
		int r;
		_cleanup_free_ char *got = replaced(replacements[i].in, &r);

		assert_int_equal(r, replacements[i].out ? 0 : -ESTALE);
		if (replacements[i].out)
			assert_string_equal(got, replacements[i].out);
	}
}

/* What is replaced lies across the end of a buffer, at every place of it. */
static void test_buffers(void **state)
{
	static const char part[] = "{\"file_data\":{ \"file_uri\" : \"\\u0063at\" }}\n",
			  wanted[] = "{\"file_data\":{ \"file_uri\" : \"" CAT
				     "\" ,\"mime_type\":\"image/png\"}}\n";
	size_t edge = 256 * 1024, n = strlen(part);

	for (size_t before = edge - n - 1; before < edge + 1; before++) {
		_cleanup_free_ char *in = malloc(before + n + 1), *out = NULL;
		int r;

		memset(in, ' ', before);
		in[before - 1] = '\n';
		strcpy(in + before, part);
		out = replaced(in, &r);
		assert_int_equal(r, 0);
		assert_memory_equal(out, in, before);
		assert_string_equal(out + before, wanted);
	}
}

/* Longer than what is looked at: told by its beginning, and left as it is. */
static void test_long(void **state)
{
	char name[URIS_TEXT_MAX + 10];
	int r;

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	_cleanup_free_ char *text =
		util_format("{\"file_data\":{\"file_uri\":\"%s\"}}\n", name);
	_cleanup_free_ char *same = replaced(text, &r), *found = NULL;
	assert_int_equal(r, 0);
	assert_string_equal(same, text);
	assert_int_equal(found_in(text, &found), 0);
	assert_int_equal(strlen(found), strlen("1!? ;") + URIS_TEXT_MAX);
	assert_memory_equal(found, "1!? xxx", 7);
}

static void test_cancel(void **state)
{
	atomic_bool cancel = true;
	int fd = file_of("{}\n");

	assert_int_equal(file_refs_each((struct lines_span){fd, 0, -1}, &cancel, note, NULL), -ECANCELED);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
