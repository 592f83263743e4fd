#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

static char dir_path[] = "/tmp/test-util-XXXXXX";
static int dir_fd = -1;

static int setup(void **state)
{
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	close(dir_fd);
	return util_remove_tree(AT_FDCWD, dir_path);
}

static void test_random_hex(void **state)
{
	char a[33], b[33], none[1] = {'x'};

	util_random_hex(a, 16);
	util_random_hex(b, 16);
	assert_int_equal(strlen(a), 32);
	assert_int_equal(strspn(a, "0123456789abcdef"), 32);
	assert_string_not_equal(a, b);
	util_random_hex(none, 0);
	assert_int_equal(none[0], 0);
}

static void test_format(void **state)
{
	char *text = util_format("%s-%d", "a", 7);

	assert_string_equal(text, "a-7");
	free(text);
}

static void test_crc32c(void **state)
{
	unsigned char buf[300];
	uint32_t whole, parts;

	assert_int_equal(util_crc32c(0, "123456789", 9), 0xe3069283);
	memset(buf, 0, 32);
	assert_int_equal(util_crc32c(0, buf, 32), 0x8a9136aa);
	for (size_t i = 0; i < sizeof buf; i++)
		buf[i] = (unsigned char)(i * 7);
	whole = util_crc32c(0, buf, sizeof buf);
	for (size_t cut = 0; cut <= sizeof buf; cut++) {
		parts = util_crc32c(
			util_crc32c(0, buf, cut), buf + cut, sizeof buf - cut);
		assert_int_equal(whole, parts);
	}
}

/* Long buffers go another way than bytes one by one. */
static void test_crc32c_long(void **state)
{
	static const size_t lengths[] = {
		767, 768, 769, 1535, 1536, 6143, 6144, 6145, 7000, 20000, 65536};
	unsigned char *buf = malloc(65537);

	for (size_t i = 0; i < 65537; i++)
		buf[i] = (unsigned char)(i * i >> 7 ^ i);
	for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
		uint32_t bytewise = 0;

		for (size_t i = 0; i < lengths[k]; i++)
			bytewise = util_crc32c(bytewise, buf + 1 + i, 1);
		assert_int_equal(util_crc32c(0, buf + 1, lengths[k]), bytewise);
	}
	free(buf);
}

static void test_files(void **state)
{
	char *text = NULL;
	size_t n = 0;
	struct stat st;

	assert_int_equal(util_write_file(dir_fd, "a", "hello", 5, true), 0);
	assert_int_equal(util_read_file(dir_fd, "a", 5, &text, &n), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(n, 5);
	free(text);
	assert_int_equal(util_read_file(dir_fd, "a", 4, &text, &n), -EFBIG);
	assert_int_equal(util_write_file(dir_fd, "a", "", 0, false), 0);
	assert_int_equal(util_read_file(dir_fd, "a", 0, &text, NULL), 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(fstatat(dir_fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(util_read_file(dir_fd, "none", 9, &text, &n), -ENOENT);
	assert_int_equal(util_write_file(dir_fd, "x/y", "", 0, false), -EINVAL);
	assert_int_equal(symlinkat("a", dir_fd, "link"), 0);
	assert_int_equal(util_read_file(dir_fd, "link", 9, &text, &n), -ELOOP);
	assert_int_equal(mkfifoat(dir_fd, "fifo", 0600), 0);
	assert_int_equal(util_read_file(dir_fd, "fifo", 9, &text, &n), -EINVAL);
}

/* A failed write leaves neither a change nor a temporary file. */
static void test_write_fails(void **state)
{
	int fd = util_mkdir_open(dir_fd, "full");
	char *text;

	assert_true(fd >= 0);
	assert_int_equal(mkdirat(fd, "name", 0700), 0);
	assert_int_equal(util_write_file(fd, "name", "x", 1, false), -EISDIR);
	assert_int_equal(unlinkat(fd, "name", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir_fd, "full", AT_REMOVEDIR), 0);
	assert_int_equal(util_read_file(fd, "name", 9, &text, NULL), -ENOENT);
	close(fd);
}

static void test_directories(void **state)
{
	_cleanup_free_ char *deep = util_format("%s/p/q//r/", dir_path);
	int fd = util_mkdir_open(dir_fd, "d");

	assert_true(fd >= 0);
	close(fd);
	fd = util_mkdir_open(dir_fd, "d");
	assert_true(fd >= 0);
	assert_int_equal(util_sync_dir(fd), 0);
	close(fd);
	assert_int_equal(symlinkat("d", dir_fd, "dlink"), 0);
	assert_int_equal(util_mkdir_open(dir_fd, "dlink"), -ENOTDIR);
	fd = util_mkpath_open(deep);
	assert_true(fd >= 0);
	close(fd);
	fd = util_mkpath_open(deep);
	assert_true(fd >= 0);
	close(fd);
	fd = util_mkpath_open("/");
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(util_mkpath_open(""), -ENOENT);
	assert_int_equal(util_mkpath_open("/dev/null/x"), -ENOTDIR);
	/* Why the first cannot be made, not that the second cannot be, either. In a chroot
	 * /sys may be a directory like others. */
	if (mkdir("/sys/none", 0700) < 0) {
		int why = errno;
		assert_int_equal(util_mkpath_open("/sys/none/x/y"), -why);
	} else {
		rmdir("/sys/none");
	}
}

static void test_remove_tree(void **state)
{
	int top = util_mkdir_open(dir_fd, "top"), sub = util_mkdir_open(top, "sub");
	struct stat st;

	assert_int_equal(util_write_file(dir_fd, "kept", "k", 1, false), 0);
	assert_int_equal(symlinkat("../../kept", sub, "link"), 0);
	assert_int_equal(symlinkat("../..", sub, "up"), 0);
	for (int i = 0; i < 500; i++) {
		char name[16];

		snprintf(name, sizeof name, "f%d", i);
		assert_int_equal(util_write_file(sub, name, "x", 1, false), 0);
	}
	close(sub);
	close(top);
	assert_int_equal(util_remove_tree(dir_fd, "top"), 0);
	assert_int_equal(fstatat(dir_fd, "top", &st, 0), -1);
	assert_int_equal(fstatat(dir_fd, "kept", &st, 0), 0);
	assert_int_equal(util_remove_tree(dir_fd, "top"), 0);
}

/* More than one piece, the last of them short, at an offset. */
static void test_pwrite_all(void **state)
{
	static char out[3 * UTIL_WRITE_PIECE + 7], in[sizeof out + 5];
	_cleanup_close_ int fd =
		openat(dir_fd, "pieces", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (size_t i = 0; i < sizeof out; i++)
		out[i] = (char)(i % 251 + 1);
	assert_int_equal(util_pwrite_all(fd, out, sizeof out, 5), 0);
	assert_int_equal(util_pread_at(fd, in, sizeof in, 0), sizeof in);
	assert_memory_equal(in, "\0\0\0\0\0", 5);
	assert_memory_equal(in + 5, out, sizeof out);
	assert_int_equal(util_pwrite_all(-1, out, 1, 0), -EBADF);
	assert_int_equal(util_pwrite_all(-1, out, 0, 0), 0);
}

static void test_write_all(void **state)
{
	int fd = openat(dir_fd, "w", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char buf[8] = "";

	assert_int_equal(util_write_all(fd, "abc", 3), 0);
	assert_int_equal(util_pwrite_all(fd, "XY", 2, 1), 0);
	assert_int_equal(pread(fd, buf, 8, 0), 3);
	assert_string_equal(buf, "aXY");
	close(fd);
	assert_int_equal(util_write_all(-1, "a", 1), -EBADF);
	assert_int_equal(util_pwrite_all(-1, "a", 1, 0), -EBADF);
}

static const struct {
	const char *text;
	bool good;
	time_t sec;
	long nsec;
} times[] = {
	{"1970-01-01T00:00:00Z", true, 0, 0},
	{"2026-01-02T03:04:05.123456789Z", true, 1767323045, 123456789},
	{"2026-01-02T03:04:05.1234567891234Z", true, 1767323045, 123456789},
	{"2026-01-02T03:04:05.5Z", true, 1767323045, 500000000},
	{"2026-01-02t03:04:05z", true, 1767323045, 0},
	{"2026-01-02T04:04:05+01:00", true, 1767323045, 0},
	{"2026-01-01T21:34:05-05:30", true, 1767323045, 0},
	{"2016-12-31T23:59:60Z", true, 1483228800, 0},
	{"2024-02-29T00:00:00Z", true, 1709164800, 0},
	{"1969-12-31T23:59:59Z", true, -1, 0},
	{"2023-02-29T00:00:00Z", false, 0, 0},
	{"2026-13-01T00:00:00Z", false, 0, 0},
	{"2026-00-01T00:00:00Z", false, 0, 0},
	{"2026-01-32T00:00:00Z", false, 0, 0},
	{"2026-01-01T24:00:00Z", false, 0, 0},
	{"2026-01-01T00:00:00", false, 0, 0},
	{"2026-01-01T00:00:00.Z", false, 0, 0},
	{"2026-01-01T00:00:00Zx", false, 0, 0},
	{"2026-01-01T00:00:00+1:00", false, 0, 0},
	{"2026-01-01T00:00:00+24:00", false, 0, 0},
	{"2026-01-01 00:00:00Z", false, 0, 0},
	{"26-01-01T00:00:00Z", false, 0, 0},
	{"", false, 0, 0},
	{"2026", false, 0, 0},
};

static void test_preadv_all(void **state)
{
	char a[4] = "", b[2] = "", rest[8] = "";
	struct iovec v[] = {{a, 3}, {NULL, 0}, {b, 1}, {rest, 4}};
	struct iovec more[] = {{a, 3}, {rest, 5}};
	int fd = openat(dir_fd, "vector", O_RDWR | O_CREAT, 0600);

	assert_int_equal(util_write_all(fd, "0123456789", 10), 0);
	assert_int_equal(util_preadv_all(fd, v, 4, 1), 0);
	assert_string_equal(a, "123");
	assert_string_equal(b, "4");
	assert_string_equal(rest, "5678");
	assert_int_equal(util_preadv_all(fd, more, 2, 3), -EIO);
	assert_int_equal(util_preadv_all(fd, NULL, 0, 100), 0);
	assert_int_equal(util_preadv_all(-1, (struct iovec[]){{a, 1}}, 1, 0), -EBADF);
	close(fd);
}

static void test_parse_time(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		struct timespec ts = {-7, -7};

		if (util_parse_time(times[i].text, &ts) != times[i].good)
			fail_msg("%s", times[i].text);
		assert_int_equal(ts.tv_sec, times[i].good ? times[i].sec : -7);
		assert_int_equal(ts.tv_nsec, times[i].good ? times[i].nsec : -7);
	}
	assert_false(util_parse_time(NULL, NULL));
}

static const struct {
	const char *text;
	bool good;
} utf8[] = {
	{"", true},
	{"plain", true},
	{"sixteen bytes --\xc3\xa9 and more text behind it", true},
	{"\xc2\x80", true},
	{"\xe0\xa0\x80", true},
	{"\xed\x9f\xbf", true},
	{"\xee\x80\x80", true},
	{"\xef\xbf\xbf", true},
	{"\xf0\x90\x80\x80", true},
	{"\xf4\x8f\xbf\xbf", true},
	{"\x80", false},
	{"\xc0\x80", false},
	{"\xc1\xbf", false},
	{"\xe0\x9f\xbf", false},
	{"\xed\xa0\x80", false},
	{"\xed\xbf\xbf", false},
	{"\xf0\x8f\xbf\xbf", false},
	{"\xf4\x90\x80\x80", false},
	{"\xf5\x80\x80\x80", false},
	{"\xff", false},
	{"\xc3", false},
	{"\xe2\x82", false},
	{"\xe2\x82"
	 "a",
		false},
	{"\xf0\x9f\x98", false},
	{"twelve bytes\xf0\x9f\x98 and", false},
};

static void test_utf8_valid(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(utf8); i++)
		if (util_utf8_valid(utf8[i].text, strlen(utf8[i].text)) != utf8[i].good)
			fail_msg("case %zu", i);
}

static void test_utf8_cut(void **state)
{
	const char *text = "a\xc3\xa9\xf0\x9f\x98\x80z";
	static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 3, 7, 8, 8};

	for (size_t max = 0; max < ARRAY_SIZE(cuts); max++)
		assert_int_equal(util_utf8_cut(text, 8, max), cuts[max]);
	assert_int_equal(util_utf8_cut("\x80\x80\x80\x80\x80\x80", 6, 5), 5);
}

static void test_id_valid(void **state)
{
	char longest[7 + 130] = "models/";

	memset(longest + 7, 'x', 128);
	assert_true(util_id_valid(longest, "models/"));
	longest[7 + 128] = 'x';
	assert_false(util_id_valid(longest, "models/"));
	assert_true(util_id_valid("batches/abc123", "batches/"));
	assert_true(util_id_valid("files/batch-abc", "files/"));
	assert_true(util_id_valid("models/gemini-3.8-flash", "models/"));
	assert_false(util_id_valid("batches/", "batches/"));
	assert_false(util_id_valid("files/abc", "batches/"));
	assert_false(util_id_valid("batches/a/b", "batches/"));
	assert_false(util_id_valid("batches/..", "batches/"));
	assert_false(util_id_valid("batches/a b", "batches/"));
	assert_false(util_id_valid("batches/a?b", "batches/"));
	assert_false(util_id_valid("batches/a\n", "batches/"));
	assert_false(util_id_valid("batches/a\xc3\xa9", "batches/"));
	assert_false(util_id_valid(NULL, "batches/"));
}

/* Nobody can set it, and it goes on while the machine sleeps. */
static void test_now(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	struct timespec ts;
	double before, end = util_now() + 0.02;

	assert_int_equal(util_cond_init(&cond), 0);
	clock_gettime(CLOCK_BOOTTIME, &ts);
	before = (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
	assert_true(util_now() >= before);
	pthread_mutex_lock(&lock);
	assert_int_equal(util_cond_wait_until(&cond, &lock, before), -ETIMEDOUT);
	while (util_cond_wait_until(&cond, &lock, end) == 0)
		;
	assert_true(util_now() >= end);
	pthread_mutex_unlock(&lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_hex),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_crc32c_long),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_write_fails),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_remove_tree),
		cmocka_unit_test(test_write_all),
		cmocka_unit_test(test_pwrite_all),
		cmocka_unit_test(test_preadv_all),
		cmocka_unit_test(test_parse_time),
		cmocka_unit_test(test_utf8_valid),
		cmocka_unit_test(test_utf8_cut),
		cmocka_unit_test(test_id_valid),
		cmocka_unit_test(test_now),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
