/* What becomes of local bytes, and of readers, where the API or something before it
 * answers oddly: of a file that was whole once, of a length that one reply told wrong.
 * The engine is a fake one. */
#include "results_fixture.h"

/* ---- what was whole once --------------------------------------------------------- */

static const char portal_page[] =
	"{\"message\":\"please log in\",\"portal\":\"http://10.0.0.1/\"}\n";

/* 200, JSON of something else, in place of the file. */
static void portal(struct engine *e, struct answer *a)
{
	a->reply.status = 200;
	a->reply.range_start = a->reply.range_end = a->reply.range_total = -1;
	a->reply.content_length = sizeof portal_page - 1;
	a->body = portal_page;
	a->n = sizeof portal_page - 1;
}

static void rot(off_t off)
{
	int fd = openat(dir_fd, "f", O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "rot", 3, off), 3);
	close(fd);
}

/* All of it, saved; later one block rots. */
static void leave_saved(void)
{
	struct gb_results *r = open_it();

	assert_int_equal(fetch(r), 0);
	assert_int_equal(results_seal(r), 0);
	close_it(r);
	rot(20 * MIB + 500);
}

static void others_are_there(struct gb_results *r)
{
	assert_int_equal(read_at(r, 20 * MIB, 4096), -EIO);
	assert_int_equal(read_at(r, 30 * MIB, 4096), 4096);
	close_it(r);
	r = open_as(FILE_ID, true);
	assert_int_equal(read_at(r, 30 * MIB, 4096), 4096);
	close_it(r);
	assert_int_equal(faccessat(dir_fd, "f.aside", F_OK, 0), -1);
}

static void test_a_saved_file_and_a_portal(void **state)
{
	struct gb_results *r;

	leave_saved();
	r = open_it();
	engine.hook = portal;
	others_are_there(r);
}

static void test_a_saved_file_and_another_length(void **state)
{
	struct gb_results *r;

	leave_saved();
	r = open_it();
	engine.size = 40 * MIB + 100;
	others_are_there(r);
}

static void test_a_saved_file_is_mended(void **state)
{
	struct gb_results *r;

	leave_saved();
	r = open_it();
	engine.size = 40 * MIB + 100;
	assert_int_equal(read_at(r, 20 * MIB, 4096), -EIO);
	engine.size = BIG;
	assert_int_equal(read_at(r, 20 * MIB, 4096), 4096);
	assert_int_equal(fetch(r), 0);
	close_it(r);
}

/* Nothing of it is left: what is downloaded in its place is believed no more than any. */
static void test_what_is_gone_is_not_kept(void **state)
{
	struct results_config c = {.file = FILE_ID, .was_whole = true};
	struct gb_results *r;
	uint64_t end;

	leave_saved();
	unlinkat(dir_fd, "f", 0);
	unlinkat(dir_fd, "f.map", 0);
	r = open_unread(c);
	results_reader(r, 1);
	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	engine.size -= 100;
	content[engine.size - 1] = '\n';
	assert_int_equal(read_at(r, 30 * MIB, 100), -EIO);
	reopen(r);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	close_it(r);
	fill(content, BIG);
}

/* ---- set aside ------------------------------------------------------------------- */

/* A second change does not take the place of what was set aside first. */
static void test_the_first_stays_aside(void **state)
{
	struct gb_results *r = open_it();
	struct stat st, later;

	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	engine.size -= 100;
	assert_int_equal(read_at(r, 30 * MIB, 100), -EIO);
	assert_int_equal(fstatat(dir_fd, "f.aside", &st, 0), 0);
	reopen(r);
	assert_int_equal(read_at(r, 30 * MIB, 100), 100);
	engine.size -= 100;
	assert_int_equal(read_at(r, 10 * MIB, 100), -EIO);
	assert_int_equal(fstatat(dir_fd, "f.aside", &later, 0), 0);
	assert_int_equal(later.st_ino, st.st_ino);
	close_it(r);
}

/* ---- a length told once ------------------------------------------------------------ */

static int64_t wrong_by;

/* Told by one reply, which breaks; from then on none tells a length. */
static void told_once(struct engine *e, struct answer *a)
{
	a->reply.content_length = a->number == 1 ? (int64_t)e->size + wrong_by : -1;
	if (a->number == 1) {
		a->break_off = -EIO;
		a->n = 1000;
	}
}

static int64_t tell_once(int64_t by)
{
	struct gb_results *r;
	int64_t size = -1;

	engine.no_range = true;
	engine.hook = told_once;
	wrong_by = by;
	r = open_it();
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG + by);
	close_it(r);
	return size;
}

/* Whoever opens it then is told otherwise once, and has the file. */
static void test_a_wrong_length_and_then_none(void **state)
{
	static const int64_t by[] = {-1000, 1000, 0};

	for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
		uint64_t end;

		setup(NULL);
		struct gb_results *r = open_shown(tell_once(by[i]));

		fetch(r);
		reopen(r);
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, BIG);
		assert_true(engine.calls < 10);
		close_it(r);
	}
}

/* A stat was told the right length; the replies to the reader tell none (chunks, gzip). */
static void test_held_readers_ask_once(void **state)
{
	struct gb_results *r = open_shown(BIG);
	uint64_t end;

	engine.chunk = 16 * KIB;
	engine.no_range = engine.no_length = true;
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_true(engine.calls < 10);
	close_it(r);
}

/* ---- blocks of an earlier object --------------------------------------------------- */

/* They are here, unchecked, and the size was told once: who reads them waits for the
 * proof, and the proof wakes him. */
static void held_on_old_blocks(bool no_range)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.no_range = no_range;
	engine.chunk = 256 * KIB;
	for (uint64_t off = 0; off < 3 * MIB + 100;)
		off += (uint64_t)read_at(r, off, 128 * KIB);
	close_it(r);
	/* What is known of the size goes with the map. */
	r = open_shown(BIG);
	if (results_known_size(r) < 0)
		assert_int_equal(results_ready(r, 0, 4096, &a.w), -EINPROGRESS);
	engine.calls = 0;
	assert_int_equal(read_at(r, 0, 4096), 4096);
	assert_true(engine.calls < 10);
	close_it(r);
}

static void test_held_on_old_blocks(void **state)
{
	held_on_old_blocks(false);
	setup(NULL);
	held_on_old_blocks(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_saved_file_and_a_portal),
		T(test_a_saved_file_and_another_length),
		T(test_a_saved_file_is_mended),
		T(test_what_is_gone_is_not_kept),
		T(test_the_first_stays_aside),
		T(test_a_wrong_length_and_then_none),
		T(test_held_readers_ask_once),
		T(test_held_on_old_blocks),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
