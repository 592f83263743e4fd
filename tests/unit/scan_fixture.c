#include "scan_fixture.h"
#include "provider/gemini/request_members.h"

int file_of(const void *text, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, text, n), 0);
	return fd;
}

void scan_bytes(const void *text, size_t n, struct validate_report *ret)
{
	int fd = file_of(text, n);

	memset(ret, 0xa5, sizeof *ret);
	assert_int_equal(validate_file(&gemini_requests, fd, NULL, ret), 0);
	close(fd);
}

struct validate_report scan_text(const char *text)
{
	struct validate_report r;

	scan_bytes(text, strlen(text), &r);
	return r;
}

void scan_pieces(const char *text, size_t n, size_t first, size_t rest,
	struct validate_report *ret)
{
	struct validator *s = validate_new(&gemini_requests);
	int fd = file_of(text, n);
	char *last = NULL;

	for (size_t at = 0, piece = first; at < n; at += piece, piece = rest) {
		char *copy;

		if (piece > n - at)
			piece = n - at;
		if (piece == 0)
			piece = 1;
		copy = malloc(piece);
		memcpy(copy, text + at, piece);
		assert_int_equal(validate_feed(s, copy, piece), 0);
		free(last);
		last = copy;
	}
	memset(ret, 0xa5, sizeof *ret);
	assert_int_equal(validate_finish(s, fd, NULL, ret), 0);
	free(last);
	validate_free(s);
	close(fd);
}

void assert_same_report(
	const struct validate_report *a, const struct validate_report *b)
{
	assert_int_equal(a->lines, b->lines);
	assert_int_equal(a->last_line, b->last_line);
	assert_int_equal(a->requests, b->requests);
	assert_int_equal(a->keyed, b->keyed);
	assert_int_equal(a->no_key, b->no_key);
	assert_int_equal(a->bare, b->bare);
	assert_int_equal(a->blank, b->blank);
	assert_int_equal(a->width, b->width);
	assert_int_equal(a->clean, b->clean);
	assert_int_equal(a->too_big, b->too_big);
	assert_int_equal(a->file_size, b->file_size);
	assert_int_equal(a->send_size, b->send_size);
	assert_int_equal(a->loose_uris, b->loose_uris);
	assert_int_equal(a->bad_total, b->bad_total);
	assert_int_equal(a->n_bad, b->n_bad);
	for (unsigned i = 0; i < a->n_bad; i++) {
		assert_int_equal(a->bad[i].line, b->bad[i].line);
		assert_int_equal(a->bad[i].column, b->bad[i].column);
		assert_int_equal(a->bad[i].other, b->bad[i].other);
		assert_string_equal(a->bad[i].reason, b->bad[i].reason);
	}
}
