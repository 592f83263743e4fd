/* What stays of results on disk, and what is made of it later. The
 * engine is a fake one. */
#include "results_fixture.h"

/* ---- what stays on disk -------------------------------------------------- */

/* Blocks 0 to 4, and 20. */
static void leave_some(void)
{
	struct gb_results *r = open_it();

	engine.chunk = 256 * KIB;
	for (uint64_t off = 0; off < 5 * MIB + 100;)
		off += (uint64_t)read_at(r, off, 128 * KIB);
	read_at(r, 20 * MIB, 10);
	fake_settle(&engine);
	close_it(r);
	engine.calls = 0;
}

static void test_blocks_stay(void **state)
{
	struct gb_results *r;

	leave_some();
	r = open_it();
	assert_int_equal(results_known_size(r), BIG);
	assert_int_equal(read_at(r, 0, MIB + 5), MIB + 5);
	assert_int_equal(read_at(r, 20 * MIB + 7, 128 * KIB), 128 * KIB);
	assert_int_equal(engine.calls, 0);
	assert_int_equal(fetch(r), 0);
	assert_all_home(r);
	close_it(r);
	r = open_as(FILE_ID, true);
	engine.calls = 0;
	assert_all_home(r);
	close_it(r);
	r = open_as(NULL, false);
	assert_all_home(r);
	close_it(r);
}

static void scribble(const char *name, off_t off, const char *what, size_t n)
{
	int fd = openat(dir_fd, name, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, what, n, off), n);
	close(fd);
}

static void test_a_rotten_block_is_fetched_again(void **state)
{
	struct gb_results *r;

	leave_some();
	scribble("f", MIB + 500, "rot", 3);
	r = open_it();
	assert_int_equal(read_at(r, MIB - 10, 100), 10);
	assert_int_equal(read_at(r, MIB, 2000), 2000);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(damaged, 1);
	close_it(r);
}

static void test_a_rotten_block_offline(void **state)
{
	struct gb_results *r;

	leave_some();
	scribble("f", MIB + 500, "rot", 3);
	r = open_as(FILE_ID, true);
	assert_int_equal(read_at(r, 40 * MIB, 10), -EHOSTUNREACH);
	assert_int_equal(read_at(r, MIB, 2000), -EIO);
	assert_int_equal(read_at(r, 2 * MIB, 2000), 2000);
	close_it(r);
}

static void test_data_that_was_cut_or_lost(void **state)
{
	struct gb_results *r;

	leave_some();
	scribble("f.map", 300, "?", 1);
	r = open_it();
	assert_int_equal(results_known_size(r), -1);
	assert_int_equal(fetch(r), 0);
	assert_all_home(r);
	close_it(r);
	unlinkat(dir_fd, "f", 0);
	r = open_it();
	assert_int_equal(results_known_size(r), BIG);
	assert_false(results_complete(r));
	assert_int_equal(fetch(r), 0);
	close_it(r);
}

static void test_another_file_of_that_name(void **state)
{
	struct gb_results *r;

	leave_some();
	r = open_as("files/other", false);
	assert_int_equal(results_known_size(r), -1);
	assert_int_equal(faccessat(dir_fd, "f.aside", F_OK, 0), 0);
	close_it(r);
}

/* The transfer that found out may end after the last reference has gone, and a crash may
 * come at any time: what is believed no more is not believed by the next object. */
static void test_a_change_outlives_the_object(void **state)
{
	struct gb_results *r;
	uint64_t end;

	leave_some();
	r = open_it();
	assert_int_equal(read_at(r, 0, 100), 100);
	engine.size = 40 * MIB + 100;
	content[40 * MIB + 99] = '\n';
	assert_int_equal(read_at(r, 30 * MIB, 100), -EIO);
	assert_int_equal(faccessat(dir_fd, "f.map", F_OK, 0), -1);
	assert_int_equal(faccessat(dir_fd, "f.aside", F_OK, 0), 0);
	results_reader(r, -1);
	results_unref(r);
	content[500] ^= 1;
	r = open_it();
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, 40 * MIB + 100);
	assert_int_equal(faccessat(dir_fd, "f.aside", F_OK, 0), 0);
	close_it(r);
	fill(content, BIG);
}

static void test_another_name_of_a_whole_file(void **state)
{
	struct gb_results *r = open_it();

	assert_int_equal(fetch(r), 0);
	assert_int_equal(results_seal(r), 0);
	close_it(r);
	r = open_as("files/other", false);
	assert_all_home(r);
	assert_int_equal(faccessat(dir_fd, "f.aside", F_OK, 0), -1);
	close_it(r);
}

static void test_nothing_at_all(void **state)
{
	struct results_config c = {.api = &api, .dirfd = dir_fd, .name = "f"};
	struct gb_results *r;

	assert_int_equal(results_new(&c, &r), -ENOENT);
	c.file = "files/../../x";
	assert_int_equal(results_new(&c, &r), -EINVAL);
	c.file = FILE_ID;
	c.name = "a/b";
	assert_int_equal(results_new(&c, &r), -EINVAL);
}

static void test_a_longer_file_lay_there(void **state)
{
	struct gb_results *r;
	struct stat st;
	int64_t size;
	int fd = openat(dir_fd, "f", O_WRONLY | O_CREAT, 0600);

	assert_int_equal(ftruncate(fd, BIG + 5000), 0);
	close(fd);
	r = open_it();
	assert_int_equal(fetch(r), 0);
	assert_int_equal(results_seal(r), 0);
	assert_int_equal(fstatat(dir_fd, "f", &st, 0), 0);
	assert_int_equal(st.st_size, BIG);
	assert_int_equal(results_sealed(dir_fd, "f", &size), 1);
	close_it(r);
}

static void test_seal(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;

	read_at(r, 0, 10);
	assert_int_equal(results_seal(r), -EAGAIN);
	assert_int_equal(fetch(r), 0);
	assert_int_not_equal(results_sealed(dir_fd, "f", &size), 1);
	assert_int_equal(results_seal(r), 0);
	assert_int_equal(results_sealed(dir_fd, "f", &size), 1);
	assert_int_equal(size, BIG);
	close_it(r);
	assert_int_equal(results_sealed(dir_fd, "f", &size), 1);
}

static void test_seal_does_not_pass_rot(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;

	assert_int_equal(fetch(r), 0);
	close_it(r);
	scribble("f", 7 * MIB, "rot", 3);
	r = open_it();
	assert_true(results_complete(r));
	assert_int_equal(results_seal(r), -EAGAIN);
	assert_false(results_complete(r));
	assert_int_not_equal(results_sealed(dir_fd, "f", &size), 1);
	filled = 0;
	assert_int_equal(fetch(r), 0);
	assert_int_equal(filled, 1);
	assert_int_equal(results_seal(r), 0);
	assert_all_home(r);
	close_it(r);
}

static void rehome_to(int dirfd, const char *name)
{
	struct gb_results *r = open_it();
	int64_t size;

	engine.chunk = 128 * KIB;
	assert_true(read_at(r, 0, 10) > 0);
	assert_int_equal(fake_running(&engine), 1);
	if (dirfd == dir_fd)
		assert_int_equal(results_rehome(r, dirfd, name), 0);
	assert_int_equal(fetch(r), 0);
	assert_int_equal(results_seal(r), 0);
	fake_settle(&engine);
	assert_int_equal(results_rehome(r, dirfd, name), 0);
	assert_int_equal(results_rehome(r, dirfd, name), 0);
	assert_all_home(r);
	assert_int_equal(results_sealed(dirfd, name, &size), 1);
	assert_int_not_equal(results_sealed(dir_fd, "f", &size), 1);
	assert_int_equal(faccessat(dir_fd, "f", F_OK, 0), -1);
	assert_int_equal(faccessat(dir_fd, "f.map", F_OK, 0), -1);
	close_it(r);
}

static void test_rehome(void **state)
{
	rehome_to(dir_fd, "g");
}

static void test_rehome_to_another_filesystem(void **state)
{
	char path[] = "/dev/shm/test-results-XXXXXX";
	struct stat a, b;
	int fd;

	if (!mkdtemp(path))
		skip();
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &a) | fstat(dir_fd, &b), 0);
	if (a.st_dev != b.st_dev)
		rehome_to(fd, "g");
	util_remove_tree(AT_FDCWD, path);
	close(fd);
}

static void test_publish(void **state)
{
	struct gb_results *r;
	int64_t size;
	int fd = openat(dir_fd, "tmp", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(util_write_all(fd, content, BIG), 0);
	close(fd);
	assert_int_equal(results_publish(dir_fd, "tmp", "f"), 0);
	assert_int_equal(results_sealed(dir_fd, "f", &size), 1);
	assert_int_equal(size, BIG);
	assert_int_equal(faccessat(dir_fd, "tmp", F_OK, 0), -1);
	r = open_as(NULL, false);
	assert_all_home(r);
	close_it(r);
	assert_int_equal(results_publish(dir_fd, "tmp", "f"), -ENOENT);
}

static void test_adopt(void **state)
{
	struct gb_results *r;
	int64_t size = 0;

	assert_int_equal(results_adopt(dir_fd, "f", BIG), -EBADMSG);
	assert_int_equal(results_mapped(dir_fd, "f", &size), -ENOENT);
	assert_int_equal(util_write_file(dir_fd, "f", content, BIG, false), 0);
	assert_int_equal(results_fits(dir_fd, "f", BIG), 0);
	assert_int_equal(results_adopt(dir_fd, "f", BIG + 1), -EBADMSG);
	assert_int_equal(results_adopt(dir_fd, "f", BIG - 1), -EBADMSG);
	assert_int_equal(results_mapped(dir_fd, "f", &size), -ENOENT);
	assert_int_equal(results_adopt(dir_fd, "f", BIG), 0);
	assert_int_equal(results_mapped(dir_fd, "f", &size), 1);
	assert_int_equal(size, BIG);
	r = open_as(NULL, false);
	assert_all_home(r);
	close_it(r);
}

/* Each is as long as what was there, and none is what an output looks like. */
static void test_adopt_no_half_files(void **state)
{
	int fd;

	assert_int_equal(util_write_file(dir_fd, "f", content, BIG, false), 0);
	scribble("f", 0, "[", 1);
	assert_int_equal(results_adopt(dir_fd, "f", BIG), -EBADMSG);
	scribble("f", 0, "{", 1);
	scribble("f", 20 * MIB, "\0", 1);
	assert_int_equal(results_adopt(dir_fd, "f", BIG), -EBADMSG);
	scribble("f", 20 * MIB, "x", 1);
	scribble("f", BIG - 1, "x", 1);
	assert_int_equal(results_adopt(dir_fd, "f", BIG), -EBADMSG);
	scribble("f", BIG - 1, "\n", 1);
	assert_int_equal(results_adopt(dir_fd, "f", BIG), 0);
	fd = openat(dir_fd, "g", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, BIG), 0);
	close(fd);
	assert_int_equal(results_fits(dir_fd, "g", BIG), -EBADMSG);
}

/* ---- trimming ------------------------------------------------------------ */

static bool is_p(void *arg, const char *name)
{
	return strcmp(name, "p") == 0;
}

static int holders; /* names that are claimed */

static int truncate_f(off_t size)
{
	int fd = openat(dir_fd, "f", O_WRONLY | O_CLOEXEC), err = ftruncate(fd, size);

	close(fd);
	return err;
}

static void put(int fd, const char *name, time_t when)
{
	char map[32];
	struct timespec t[2] = {{.tv_sec = when}, {.tv_sec = when}};

	snprintf(map, sizeof map, "%s.map", name);
	assert_int_equal(util_write_file(fd, name, content, 100 * KIB, false), 0);
	if (when == 0)
		return;
	assert_int_equal(util_write_file(fd, map, "map", 3, false), 0);
	assert_int_equal(utimensat(fd, map, t, 0), 0);
}

static bool exists(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, 0) == 0;
}

static bool claim(void *arg, const char *name)
{
	bool may = !is_p(arg, name);

	holders += may;
	return may;
}

static void release(void *arg)
{
	holders--;
}

static int trim(int fd, uint64_t max)
{
	const struct results_trimmer t = {claim, release, NULL};

	return results_trim(fd, max, &t);
}

static void test_trim(void **state)
{
	int fd = util_mkdir_open(dir_fd, "cache");

	put(fd, "p", 1000);
	put(fd, "old", 2000);
	put(fd, "new", 3000);
	put(fd, "orphan", 0);
	assert_int_equal(trim(fd, 100 * MIB), 0);
	assert_true(exists(fd, "orphan") && exists(fd, "old"));
	assert_int_equal(trim(fd, 350 * KIB), 0);
	assert_false(exists(fd, "orphan"));
	assert_true(exists(fd, "old"));
	assert_int_equal(trim(fd, 250 * KIB), 0);
	assert_false(exists(fd, "old") || exists(fd, "old.map"));
	assert_true(exists(fd, "new") && exists(fd, "new.map"));
	assert_int_equal(trim(fd, 0), 0);
	assert_false(exists(fd, "new"));
	assert_true(exists(fd, "p") && exists(fd, "p.map"));
	assert_int_equal(holders, 0);
	close(fd);
}

/* ---- files that go or shrink behind our back -------------------------------- */

static struct gb_results *open_checked(void)
{
	return open_unread((struct results_config){.file = FILE_ID, .checked = true});
}

static struct gb_results *seal_small(void)
{
	struct gb_results *r = open_it();

	engine.size = 20972 * 100;
	assert_int_equal(fetch(r), 0);
	assert_int_equal(results_seal(r), 0);
	close_it(r);
	r = open_checked();
	assert_true(results_final(r));
	return r;
}

/* More bytes than an int has numbers for, which cost nothing on the disk. */
static void test_gigabytes_that_were_checked(void **state)
{
	enum { BLOCKS = 3000 };
	struct results_map m = {.size = (int64_t)(BLOCKS * RESULTS_BLOCK),
		.sealed = true,
		.file = FILE_ID};
	_cleanup_close_ int fd =
		openat(dir_fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct gb_results *r;

	assert_int_equal(ftruncate(fd, m.size), 0);
	m.sums = calloc(BLOCKS, sizeof *m.sums);
	m.n_sums = BLOCKS;
	assert_true(ranges_add(&m.blocks, 0, (uint64_t)m.size) > 0);
	assert_int_equal(results_map_save(dir_fd, "f", &m, false), 0);
	results_map_clear(&m);
	r = open_checked();
	assert_true(results_final(r));
	results_unref(r);
}

/* The map says that all is there, and the file goes before it is opened. */
static void test_data_goes_before_it_is_opened(void **state)
{
	struct gb_results *r = seal_small();
	uint64_t end;

	assert_int_equal(unlinkat(dir_fd, "f", 0), 0);
	results_reader(r, 1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	assert_int_equal(damaged, 1);
	assert_int_equal(results_seal(r), 0);
	close_it(r);
}

static void test_data_shrinks_before_it_is_opened(void **state)
{
	struct gb_results *r = seal_small();
	uint64_t end;

	assert_int_equal(truncate_f(0), 0);
	results_reader(r, 1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	assert_int_equal(damaged, 1);
	close_it(r);
}

/* What was promised is not there: an error, no end; and then fetched again. */
static void test_data_shrinks_under_a_reader(void **state)
{
	struct gb_results *r = seal_small();
	struct asker a = ASKER;
	char buf[100];
	uint64_t end;

	results_reader(r, 1);
	assert_int_equal(results_ready(r, MIB + 500, 100, &a.w), 100);
	assert_int_equal(truncate_f(MIB + 550), 0);
	assert_int_equal(results_read(r, buf, 100, MIB + 500), -EIO);
	assert_int_equal(damaged, 1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	close_it(r);
}

/* No seal for a file that has no name any more. */
static void test_data_goes_before_the_seal(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;

	engine.size = 20972 * 100;
	assert_int_equal(fetch(r), 0);
	assert_int_equal(unlinkat(dir_fd, "f", 0), 0);
	assert_int_equal(results_seal(r), -EAGAIN);
	assert_int_equal(fetch(r), 0);
	assert_int_equal(results_seal(r), 0);
	assert_int_equal(results_sealed(dir_fd, "f", &size), 1);
	close_it(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_blocks_stay),
		T(test_a_rotten_block_is_fetched_again),
		T(test_a_rotten_block_offline),
		T(test_data_that_was_cut_or_lost),
		T(test_another_file_of_that_name),
		T(test_a_change_outlives_the_object),
		T(test_another_name_of_a_whole_file),
		T(test_nothing_at_all),
		T(test_a_longer_file_lay_there),
		T(test_seal),
		T(test_seal_does_not_pass_rot),
		T(test_rehome),
		T(test_rehome_to_another_filesystem),
		T(test_publish),
		T(test_adopt),
		T(test_adopt_no_half_files),
		T(test_trim),
		T(test_gigabytes_that_were_checked),
		T(test_data_goes_before_it_is_opened),
		T(test_data_shrinks_before_it_is_opened),
		T(test_data_shrinks_under_a_reader),
		T(test_data_goes_before_the_seal),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
