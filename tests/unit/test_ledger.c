/* The ledger's form, over versions and cuts; prices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/ledger.h"
#include "store/prices.h"

struct fixture {
	char path[64];
	int dir;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->path, "/tmp/gb_test_ledger.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->dir);
	assert_int_equal(util_remove_tree(AT_FDCWD, f->path), 0);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *name, const char *text)
{
	assert_int_equal(util_write_file(f->dir, name, text, strlen(text), false), 0);
}

/* What the file holds once it was opened, and a line appended if that is not NULL. */
static void expect_after(struct fixture *f, const char *line, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	int fd = ledger_open(f->dir);

	assert_true(fd >= 0);
	if (line)
		assert_int_equal(util_write_all(fd, line, strlen(line)), 0);
	close(fd);
	assert_int_equal(util_read_file(f->dir, "history", 1 << 20, &text, NULL), 0);
	assert_string_equal(text, expected);
}

#define JOB "2026-11-01T00:00:00Z\t0\t"
#define OF "\tbatches/x\ta name\tgemini\t3"

static void test_new(void **state)
{
	expect_after(*state, NULL, LEDGER_HEAD);
	expect_after(*state, JOB "ended" OF "\t-\t-\t-\t-\t-\n",
		LEDGER_HEAD JOB "ended" OF "\t-\t-\t-\t-\t-\n");
	expect_after(*state, NULL, LEDGER_HEAD JOB "ended" OF "\t-\t-\t-\t-\t-\n");
}

/* Nothing that stood there is lost, and every line has as many fields as the first. */
static void test_old(void **state)
{
	put(*state, "history",
		JOB "created" OF "\n" JOB "ended" OF "\t-\n" JOB "counted" OF
		    "\t1234\n");
	for (int again = 0; again < 2; again++)
		expect_after(*state, NULL,
			LEDGER_HEAD JOB "created" OF "\t-\t-\t-\t-\t-\n" JOB "ended" OF
				"\t-\t-\t-\t-\t-\n" JOB "counted" OF
				"\t-\t-\t-\t-\t1234\n");
}

/* An earlier version ran again in between, and a crash cut its last line. */
static void test_mixed(void **state)
{
	put(*state, "history",
		LEDGER_HEAD JOB "counted" OF "\t1\t2\t0\t0.5\t3\n" JOB "counted" OF
			    "\t7\n" JOB "ended" OF "\t-\t-\t-\t-\t-\textra\n2026-11-0");
	for (int again = 0; again < 2; again++)
		expect_after(*state, NULL,
			LEDGER_HEAD JOB "counted" OF "\t1\t2\t0\t0.5\t3\n" JOB
					"counted" OF "\t-\t-\t-\t-\t7\n" JOB "ended" OF
					"\t-\t-\t-\t-\t-\textra\n"
					"2026-11-0\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\n");
}

/* Bytes that are no text stay as they are, and cost no rewriting at each start. */
static void test_noise(void **state)
{
	static const char noise[] = LEDGER_HEAD "a\0b\n";
	struct fixture *f = *state;
	struct stat before, after;

	assert_int_equal(
		util_write_file(f->dir, "history", noise, sizeof(noise) - 1, false), 0);
	assert_int_equal(fstatat(f->dir, "history", &before, 0), 0);
	close(ledger_open(f->dir));
	assert_int_equal(fstatat(f->dir, "history", &after, 0), 0);
	assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);
}

static void test_fields(void **state)
{
	struct ledger_tokens t = {
		.in = 10, .out = 0, .cached = 4, .total = 12, .cost = "0.50"};
	_cleanup_free_ char *some = ledger_fields(&t);
	_cleanup_free_ char *none = ledger_fields(&LEDGER_NO_TOKENS);

	assert_string_equal(some, "10\t0\t4\t0.50\t12");
	assert_string_equal(none, "-\t-\t-\t-\t-");
}

static void test_prices(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = util_format("%s/prices.tsv", f->path);
	struct price p;

	assert_false(prices_find(NULL, "a", &p));
	assert_false(prices_find(path, "a", &p));
	put(f, "prices.tsv",
		"\xef\xbb\xbfmodel\tin\tout\n# b\t1\t1\n\nmodels/a\t0.15\t1.25\r\nb  2 3\n"
		"c\t-1\t2\nd\tx\t2\ne\t1\nf\t0\tinf\ng\t1e2\t0");
	assert_true(prices_find(path, "a", &p) && p.in == 0.15 && p.out == 1.25);
	assert_true(prices_find(path, "models/b", &p) && p.in == 2 && p.out == 3);
	assert_true(prices_find(path, "g", &p) && p.in == 100);
	static const char *const none[] = {"model", "c", "d", "e", "f", "h", "", "#"};
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(prices_find(path, none[i], &p));
	assert_false(prices_find(path, NULL, &p));
}

/* Of a file that is too long a number may be cut; no line of it is half believed. */
static void test_prices_cut(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = util_format("%s/prices.tsv", f->path);
	_cleanup_free_ char *text = malloc((1 << 20) + 3);
	struct price p;

	memset(text, '#', 1 << 20);
	memcpy(text, "a\t1\t2\n", 6);
	strcpy(text + (1 << 20) - 7, "\nb\t1\t250");
	put(f, "prices.tsv", text);
	assert_true(prices_find(path, "a", &p));
	assert_false(prices_find(path, "b", &p));
}

static void test_cost(void **state)
{
	static const struct {
		struct price price;
		int64_t in, out;
		const char *text;
	} rows[] = {
		{{0.15, 1.25}, 1000000, 2000000, "2.65"},
		{{0.15, 1.25}, 3, 0, "0.00000045"},
		{{1, 1}, 0, 0, "0.00"},
		{{100, 0}, 1000000, 5, "100.00"},
		{{1, 2}, 1, 1, "0.000003"},
		{{0.5, 0}, 1000000, 0, "0.50"},
	};
	char text[PRICES_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		prices_cost(&rows[i].price, rows[i].in, rows[i].out, text);
		assert_string_equal(text, rows[i].text);
	}
	prices_cost(&(struct price){1e300, 1e300}, INT64_MAX, INT64_MAX, text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_new), TEST(test_old), TEST(test_mixed), TEST(test_noise),
		TEST(test_fields),
		TEST(test_prices), TEST(test_prices_cut), TEST(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
