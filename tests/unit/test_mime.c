#include "base/mime.h"
#include "base/util.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

static int file_of(const void *bytes, size_t n)
{
	int fd = memfd_create("mime", 0);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, bytes, n), 0);
	return fd;
}

static const struct sample {
	const char *bytes;
	size_t n;
	const char *mime;
	bool media;
} samples[] = {
#define SAMPLE(b, m, media) {b, sizeof(b) - 1, m, media}
	SAMPLE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde",
		"image/png", true),
	SAMPLE("\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", "image/jpeg", true),
	SAMPLE("RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x44\xac\0\0\x88\x58\1\0\2\0"
	       "\x10\0data\0\0\0\0",
		"audio/wav", true),
	SAMPLE("\0\0\0\x18""ftypmp42\0\0\0\0mp42isom", "video/mp4", true),
	SAMPLE("%PDF-1.4\n1 0 obj\n", "application/pdf", true),
	SAMPLE("Just a line of text.\n", "text/plain", true),
	SAMPLE("{\"a\": 1}\n", "application/json", true),
	SAMPLE("\x7f""ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\x3e\0", NULL, false),
	SAMPLE("\x1f\x8b\x08\0\0\0\0\0\0\3", "application/gzip", false),
	SAMPLE("\1\2\3\4\5\0\xff\xfe\x80", "application/octet-stream", false),
};

static void check(const struct sample *s)
{
	_cleanup_close_ int fd = file_of(s->bytes, s->n);
	char mime[MIME_SIZE];

	assert_int_equal(mime_of_fd(fd, mime), 0);
	if (s->mime)
		assert_string_equal(mime, s->mime);
	assert_int_equal(mime_is_media(mime), s->media);
	/* By pread: what others do with the descriptor is not disturbed. */
	assert_int_equal(lseek(fd, 0, SEEK_CUR), s->n);
}

static void test_samples(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		check(&samples[i]);
}

static void test_empty(void **state)
{
	_cleanup_close_ int fd = file_of("", 0);
	char mime[MIME_SIZE];

	assert_int_equal(mime_of_fd(fd, mime), -ENODATA);
	assert_int_equal(mime_of_fd(-1, mime), -EBADF);
}

static void test_text(void **state)
{
	assert_true(mime_is_text("text/plain"));
	assert_true(mime_is_text("text/x-c"));
	assert_true(mime_is_text("application/json"));
	assert_false(mime_is_text("application/pdf"));
	assert_false(mime_is_text("image/png"));
	assert_true(mime_is_text("image/svg+xml"));
	assert_false(mime_is_media("application/zip"));
}

static void *ask_often(void *arg)
{
	char mime[MIME_SIZE];

	for (int i = 0; i < 200; i++) {
		const struct sample *s = &samples[i % 6];
		_cleanup_close_ int fd = file_of(s->bytes, s->n);

		if (mime_of_fd(fd, mime) || strcmp(mime, s->mime))
			return arg;
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	void *bad = NULL, *ret;

	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, ask_often, threads), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &ret);
		bad = ret ? ret : bad;
	}
	assert_null(bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
