#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "results/block_map.h"
#include "base/util.h"

#define MIB RESULTS_BLOCK

static char dir_path[] = "/tmp/test-map-XXXXXX";
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

/* 5.5 MiB; blocks 0, 1, 3 and the last one. */
static void make(struct results_map *m)
{
	*m = (struct results_map){.size = 11 * (int64_t)MIB / 2, .file = "files/abc-1"};
	ranges_add(&m->blocks, 0, 2 * MIB);
	ranges_add(&m->blocks, 3 * MIB, 4 * MIB);
	ranges_add(&m->blocks, 5 * MIB, (uint64_t)m->size);
	m->n_sums = 6;
	m->sums = calloc(6, sizeof *m->sums);
	for (uint32_t i = 0; i < 6; i++)
		m->sums[i] = 1000 + i;
}

static void make_data(const char *name, off_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void test_there_and_back(void **state)
{
	struct results_map m, got;
	char *text;
	size_t n;

	make(&m);
	assert_int_equal(results_map_format(&m, &text, &n), 0);
	assert_int_equal(n, RESULTS_MAP_HEAD + 3 * 8 + 4 * 4);
	assert_int_equal(results_map_parse(text, n, &got), 0);
	assert_int_equal(got.size, m.size);
	assert_string_equal(got.file, "files/abc-1");
	assert_false(got.sealed);
	assert_false(results_map_complete(&got));
	assert_int_equal(got.blocks.n, 3);
	assert_memory_equal(got.blocks.v, m.blocks.v, 3 * sizeof *m.blocks.v);
	assert_int_equal(got.sums[1], 1001);
	assert_int_equal(got.sums[3], 1003);
	assert_int_equal(got.sums[5], 1005);
	results_map_clear(&got);
	results_map_clear(&m);
	free(text);
}

static void test_size_unknown_and_nothing(void **state)
{
	struct results_map m = {.size = -1, .no_length = true}, got;
	char *text;
	size_t n;

	assert_int_equal(results_map_format(&m, &text, &n), 0);
	assert_int_equal(n, RESULTS_MAP_HEAD);
	assert_int_equal(results_map_parse(text, n, &got), 0);
	assert_int_equal(got.size, -1);
	assert_true(got.no_length);
	assert_int_equal(got.blocks.n, 0);
	results_map_clear(&got);
	free(text);
}

static void test_any_flipped_bit_is_noticed(void **state)
{
	struct results_map m, got;
	char *text;
	size_t n;

	make(&m);
	assert_int_equal(results_map_format(&m, &text, &n), 0);
	for (size_t bit = 0; bit < n * 8; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		assert_true(results_map_parse(text, n, &got) < 0);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(results_map_parse(text, cut, &got), -EBADMSG);
	results_map_clear(&m);
	free(text);
}

static void put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> 8 * i);
}

/* Right checksums, wrong content. */
static int parse_with(size_t at, uint32_t value)
{
	struct results_map m, got;
	char *text;
	size_t n;
	int err;

	make(&m);
	assert_int_equal(results_map_format(&m, &text, &n), 0);
	put32(text + at, value);
	put32(text + 180,
		util_crc32c(0, text + RESULTS_MAP_HEAD, n - RESULTS_MAP_HEAD));
	put32(text + 188, util_crc32c(0, text, 188));
	err = results_map_parse(text, n, &got);
	if (err == 0)
		results_map_clear(&got);
	results_map_clear(&m);
	free(text);
	return err;
}

static void test_lies_with_right_checksums(void **state)
{
	assert_int_equal(parse_with(8, 1), 0);
	assert_int_equal(parse_with(8, 2), -EPROTO);
	assert_int_equal(parse_with(8, 0), -EBADMSG);
	assert_int_equal(parse_with(12, 4), -EBADMSG);          /* unknown flag */
	assert_int_equal(parse_with(12, 1), -EBADMSG);          /* sealed with holes */
	assert_int_equal(parse_with(20, 0x7fffffff), -EBADMSG); /* huge */
	assert_int_equal(parse_with(16, 100), -EBADMSG); /* smaller than the blocks */
	assert_int_equal(parse_with(24, 3), -EBADMSG);
	assert_int_equal(parse_with(24, 0xffffffff), -EBADMSG);
	assert_int_equal(parse_with(28, 4), -EBADMSG);
	assert_int_equal(parse_with(32, 0x41414141), -EBADMSG); /* not "files/…" */
	assert_int_equal(parse_with(176, 4096), -EBADMSG);
	assert_int_equal(parse_with(192, 3), -EBADMSG); /* runs overlap */
	assert_int_equal(parse_with(192, 1), -EBADMSG); /* runs touch */
	assert_int_equal(parse_with(196, 0), -EBADMSG);
	assert_int_equal(parse_with(196, 3), -EBADMSG);
	assert_int_equal(parse_with(208, 0xffffffff), -EBADMSG);
}

static void test_load_fits_the_data(void **state)
{
	struct results_map m, got;

	make(&m);
	assert_int_equal(results_map_load(dir_fd, "f", &got), -ENOENT);
	assert_int_equal(results_map_save(dir_fd, "f", &m, false), 0);
	/* No data: nothing is there, but what is known of the size stays. */
	assert_int_equal(results_map_load(dir_fd, "f", &got), 0);
	assert_int_equal(got.blocks.n, 0);
	assert_int_equal(got.size, m.size);
	results_map_clear(&got);
	make_data("f", m.size);
	assert_int_equal(results_map_load(dir_fd, "f", &got), 0);
	assert_int_equal(got.blocks.n, 3);
	results_map_clear(&got);
	make_data("f", 3 * MIB + 5);
	assert_int_equal(results_map_load(dir_fd, "f", &got), 0);
	assert_int_equal(ranges_limit(&got.blocks), 2 * MIB);
	results_map_clear(&got);
	results_map_clear(&m);
}

static void test_sealed_needs_all_the_data(void **state)
{
	struct results_map m = {.size = 10, .sealed = true}, got;
	uint32_t sum = 7;

	ranges_add(&m.blocks, 0, 10);
	m.sums = &sum;
	m.n_sums = 1;
	make_data("s", 10);
	assert_int_equal(results_map_save(dir_fd, "s", &m, true), 0);
	assert_int_equal(results_map_load_head(dir_fd, "s", &got), 0);
	assert_true(got.sealed);
	make_data("s", 9);
	assert_int_equal(results_map_load_head(dir_fd, "s", &got), 0);
	assert_false(got.sealed);
	make_data("s", 11);
	assert_int_equal(results_map_load_head(dir_fd, "s", &got), 0);
	assert_false(got.sealed);
	unlinkat(dir_fd, "s", 0);
	assert_int_equal(symlinkat("/etc/passwd", dir_fd, "s"), 0);
	assert_int_equal(results_map_load_head(dir_fd, "s", &got), -EBADMSG);
	assert_int_equal(results_map_load(dir_fd, "s", &got), -EBADMSG);
	ranges_clear(&m.blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_size_unknown_and_nothing),
		cmocka_unit_test(test_any_flipped_bit_is_noticed),
		cmocka_unit_test(test_lies_with_right_checksums),
		cmocka_unit_test(test_load_fits_the_data),
		cmocka_unit_test(test_sealed_needs_all_the_data),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
