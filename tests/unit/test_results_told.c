/* A size that one reply alone has told: it is shown, and no byte is read by it before a
 * second reply agrees. Where that does not, whoever has the file open gets an error, and
 * who opens it afterwards what is right. The engine is a fake one. */
#include "results_fixture.h"

#define LESS (5 * (int64_t)MIB)

/* ---- lies ------------------------------------------------------------------------------ */

static unsigned wrong_from, wrong_until; /* numbers of requests */
static int64_t wrong_by, wrong_more;     /* and by so much more with each request */

/* Every reply is one piece with itself. */
static void tell_wrong(struct engine *e, struct answer *a)
{
	int64_t total = (int64_t)e->size + wrong_by + wrong_more * a->number;

	if (a->number < wrong_from || a->number > wrong_until)
		return;
	if (!a->range[0] || e->no_range) {
		a->reply.content_length = total;
	} else if ((int64_t)a->lo >= total) {
		a->reply.status = 416;
		a->reply.content_length = a->n = 0;
		a->reply.range_total = total;
		return;
	} else {
		a->reply.status = 206;
		a->reply.range_total = total;
		a->reply.range_start = (int64_t)a->lo;
		a->reply.range_end =
			a->hi < (uint64_t)total ? (int64_t)a->hi - 1 : total - 1;
		a->reply.content_length = a->reply.range_end - (int64_t)a->lo + 1;
	}
	if ((int64_t)a->n > a->reply.content_length)
		a->n = (size_t)a->reply.content_length;
	if ((int64_t)a->n < a->reply.content_length)
		a->break_off = -EIO;
}

static struct gb_results *lying(unsigned from, unsigned until, int64_t by)
{
	setup(NULL);
	engine.hook = tell_wrong;
	wrong_from = from;
	wrong_until = until;
	wrong_by = by;
	wrong_more = 0;
	return open_it();
}

static void assert_right(struct gb_results *r)
{
	uint64_t end;
	int64_t size = -1;

	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, engine.size);
	assert_int_equal(read_at(r, (uint64_t)size - 500, 1000), 500);
	assert_int_equal(read_at(r, (uint64_t)size, 1000), 0);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
}

/* ---- what it costs --------------------------------------------------------------------- */

static void test_stat_and_read_are_two_requests(void **state)
{
	static const uint64_t at[] = {0, 100, 20 * MIB, BIG - 1};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct gb_results *r;
		int64_t size;

		setup(NULL);
		r = open_it();
		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(engine.calls, 1);
		assert_true(read_at(r, at[i], 4096) > 0);
		assert_int_equal(engine.calls, 2);
		assert_int_equal(results_known_size(r), BIG);
		close_it(r);
	}
}

static void test_a_whole_file_is_two_requests(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;
	int64_t size;

	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_int_equal(engine.calls, 2);
	close_it(r);
}

/* Nothing is kept of it. */
static void test_a_size_told_once_is_not_saved(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;

	assert_int_equal(size_of(r, &size), 0);
	close_it(r);
	r = open_as(FILE_ID, true);
	assert_int_equal(results_known_size(r), -1);
	assert_int_equal(results_size(r, NULL, &size), -EHOSTUNREACH);
	close_it(r);
}

/* ---- the first reply lies -------------------------------------------------------------- */

static void test_no_byte_by_a_wrong_size(void **state)
{
	static const int64_t by[] = {
		1, -1, 1000, -1000, LESS, -LESS, -BIG + 100, -BIG + 3 * (int64_t)MIB};
	static const int64_t at[] = {0, 4096, 20 * MIB, -500, 0, 1000};

	for (size_t i = 0; i < ARRAY_SIZE(by) * ARRAY_SIZE(at); i++) {
		struct gb_results *r = lying(1, 1, by[i / ARRAY_SIZE(at)]);
		size_t k = i % ARRAY_SIZE(at);
		int64_t size = -1, off;

		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(size, BIG + by[i / ARRAY_SIZE(at)]);
		off = k >= 3 ? size + at[k] : at[k];
		assert_int_equal(read_at(r, off < 0 ? 0 : (uint64_t)off, 1000), -EIO);
		/* Whatever is here by now, and wherever it is read. */
		fake_run(&engine);
		assert_int_equal(read_at(r, 0, 1000), -EIO);
		assert_int_equal(read_at(r, (uint64_t)size, 10), -EIO);
		reopen(r);
		assert_right(r);
		close_it(r);
	}
}

/* Also where no range is served: the whole file is what tells the size. */
static void test_no_byte_by_a_wrong_size_without_ranges(void **state)
{
	for (int64_t by = -LESS; by <= LESS; by += 2 * LESS) {
		struct gb_results *r;
		int64_t size = -1;

		setup(NULL);
		engine.no_range = true;
		engine.hook = tell_wrong;
		wrong_from = wrong_until = 1;
		wrong_by = by;
		r = open_it();
		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(size, BIG + by);
		assert_int_equal(read_at(r, 0, 1000), -EIO);
		reopen(r);
		assert_right(r);
		close_it(r);
	}
}

/* Of several who wait all are told, and of several who have it open each. */
static void test_all_readers_are_told(void **state)
{
	struct gb_results *r = lying(1, 1, -LESS);
	struct asker a = ASKER, b = ASKER;
	int64_t size;

	results_reader(r, 1);
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_ready(r, (uint64_t)size - 10, 10, &b.w), -EINPROGRESS);
	fake_run(&engine);
	assert_int_equal(a.calls + b.calls, 2);
	assert_int_equal(a.err, -EIO);
	assert_int_equal(b.err, -EIO);
	results_reader(r, -1);
	assert_int_equal(read_at(r, 0, 10), -EIO);
	reopen(r);
	assert_right(r);
	close_it(r);
}

/* A save that runs meanwhile settles it, whether or not anybody has the file open. */
static void test_a_save_settles_it(void **state)
{
	for (int open = 0; open < 2; open++) {
		struct gb_results *r = lying(1, 1, -LESS);
		int64_t size;

		assert_int_equal(size_of(r, &size), 0);
		if (!open)
			results_reader(r, -1);
		assert_int_equal(fetch(r), 0);
		assert_int_equal(results_known_size(r), BIG);
		if (open) {
			assert_int_equal(read_at(r, 0, 10), -EIO);
			results_reader(r, -1);
		}
		results_reader(r, 1);
		assert_right(r);
		close_it(r);
	}
}

/* Who was told nothing reads on: those who made it whole, say. */
static void test_those_inside_are_not_misled(void **state)
{
	struct gb_results *r = lying(1, 1, -LESS);
	struct asker a = ASKER;
	int64_t size;

	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(fetch(r), 0);
	assert_int_equal(read_at(r, 0, 10), -EIO);
	assert_int_equal(results_ready_inside(r, 0, 10, &a.w), 10);
	close_it(r);
}

static struct gb_results *early;

static void open_early(void *arg, struct gb_results *r, enum results_event ev)
{
	if (ev != RESULTS_SIZED || early)
		return;
	early = r;
	for (int delta = 1; delta >= -1; delta -= 2)
		results_reader(r, delta);
	results_reader(r, 1);
}

/* Opened before the news is out, when the old size may still be told: that counts as
 * open. */
static void test_opened_before_the_news(void **state)
{
	struct results_config c = {.api = &api, .dirfd = dir_fd, .name = "f",
		.file = FILE_ID, .shown = BIG - LESS, .event = open_early};
	struct gb_results *r = NULL;

	early = NULL;
	assert_int_equal(results_new(&c, &r), 0);
	assert_int_equal(fetch(r), 0);
	assert_ptr_equal(early, r);
	assert_int_equal(read_at(r, 0, 10), -EIO);
	reopen(r);
	assert_right(r);
	close_it(r);
}

/* ---- in another object ------------------------------------------------------------------ */

static void test_told_by_an_earlier_object(void **state)
{
	struct gb_results *r = open_shown(BIG);
	int64_t size = -1;

	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(engine.calls, 0);
	assert_int_equal(read_at(r, 0, 10), 10);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(results_known_size(r), BIG);
	close_it(r);
}

static void test_told_wrong_by_an_earlier_object(void **state)
{
	static const int64_t told[] = {1000, BIG - LESS, BIG + LESS};

	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		struct gb_results *r;

		setup(NULL);
		r = open_shown(told[i]);
		assert_int_equal(read_at(r, 0, 10), -EIO);
		assert_int_equal(read_at(r, 0, 10), -EIO);
		reopen(r);
		assert_right(r);
		close_it(r);
	}
}

static void never_a_size(struct engine *e, struct answer *a)
{
	a->reply.range_total = -1;
	if (a->reply.status == 200)
		a->reply.content_length = -1;
}

/* Only the first reply tells a size. */
static void no_more_sizes(struct engine *e, struct answer *a)
{
	if (a->number > 1)
		never_a_size(e, a);
}

static void cut_at_three(struct engine *e, struct answer *a)
{
	a->n = 3 * MIB + 100 * KIB;
	a->stall = true;
}

/* Blocks that are here from before say nothing about the end: nor are they read by a size
 * that is just as long. */
static void test_what_is_here_is_held(void **state)
{
	static const uint64_t told[] = {3 * MIB, 2 * MIB, 30 * MIB};

	for (size_t i = 0; i < ARRAY_SIZE(told) * 2; i++) {
		struct gb_results *r;

		setup(NULL);
		engine.no_range = engine.no_length = true;
		r = open_it();
		engine.hook = cut_at_three;
		assert_int_equal(read_at(r, 3 * MIB - 1, 1), 1);
		close_it(r);
		fake_init(&engine, content, BIG);
		r = open_shown((int64_t)told[i / 2]);
		engine.hook = i % 2 ? never_a_size : NULL;
		assert_int_equal(read_at(r, 0, 10), -EIO);
		assert_true(engine.calls > 0);
		reopen(r);
		assert_right(r);
		close_it(r);
	}
}

/* ---- the second reply lies, or all do ---------------------------------------------------- */

/* One wrong answer is no error where it is not the first. */
static void test_the_second_reply_lies(void **state)
{
	static const int64_t by[] = {1000, -1000, LESS, -LESS};

	for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
		struct gb_results *r = lying(2, 2, by[i]);
		int64_t size = -1;

		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(size, BIG);
		assert_int_equal(read_at(r, 0, 10), 10);
		assert_right(r);
		close_it(r);
	}
}

static void test_a_size_that_changes_with_every_reply(void **state)
{
	for (int64_t more = -1000; more <= 1000; more += 2000) {
		struct gb_results *r = lying(1, 99, 0);
		int64_t size;

		wrong_more = more;
		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(read_at(r, 0, 10), -EIO);
		assert_int_equal(read_at(r, 20 * MIB, 10), -EIO);
		assert_int_equal(results_known_size(r), -1);
		engine.hook = NULL;
		assert_int_equal(read_at(r, 0, 10), -EIO);
		reopen(r);
		assert_right(r);
		close_it(r);
	}
}

/* Replies that tell no size prove none: the first byte comes when the last has come, or
 * been asked for. */
static void only_whole_later(struct engine *e, struct answer *a)
{
	e->no_range = true;
	no_more_sizes(e, a);
}

static void test_replies_without_a_size(void **state)
{
	void (*const hooks[])(struct engine *e, struct answer *a) = {
		no_more_sizes, only_whole_later};

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		struct gb_results *r;
		int64_t size;

		setup(NULL);
		engine.hook = hooks[i];
		r = open_it();
		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(read_at(r, 0, 10), 10);
		assert_int_equal(results_known_size(r), BIG);
		assert_right(r);
		close_it(r);
	}
}

/* ---- with others ------------------------------------------------------------------------- */

/* Who reads already is not held up: the size is told when it is proven. */
static void test_not_told_beside_a_reader(void **state)
{
	struct gb_results *r = lying(1, 1, -LESS);
	struct asker a = ASKER;
	int64_t size = -1;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	while (a.calls == 0)
		assert_true(fake_step(&engine));
	assert_int_equal(results_ready(r, 0, 10, &a.w), 10);
	size_of(r, &size);
	assert_int_not_equal(size, BIG - LESS);
	close_it(r);
}

/* Beside a save it is told at once, and who reads by it waits for a small request, not for
 * the end. */
static void test_beside_a_save(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;
	int64_t size = -1;

	assert_int_equal(results_fetch(r, &a.w), -EINPROGRESS);
	for (int i = 0; i < 4; i++)
		assert_true(fake_step(&engine));
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(results_ready(r, 0, 10, &b.w), -EINPROGRESS);
	while (b.calls == 0)
		assert_true(fake_step(&engine));
	assert_int_equal(results_ready(r, 0, 10, &b.w), 10);
	assert_int_equal(engine.calls, 2);
	assert_string_equal(engine.ranges[1], "50332424-50332424");
	assert_int_equal(a.calls, 0);
	fake_run(&engine);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, 0);
	close_it(r);
}

/* Two replies that each tell another size, the first of which brought no end of a line:
 * once something was told, only what is proven is told after it. */
static void test_a_second_size_is_not_told(void **state)
{
	struct gb_results *r = lying(1, 2, 0);
	int64_t size = -1;

	engine.no_range = true;
	wrong_more = -10;
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG - 10);
	fake_settle(&engine);
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(read_at(r, 0, 10), -EIO);
	reopen(r);
	assert_right(r);
	close_it(r);
}

/* An interrupted reader leaves nothing that holds the next one. */
static void test_a_dropped_reader(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;
	int64_t size;

	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	assert_true(gb_waiter_drop(&a.w));
	assert_right(r);
	assert_int_equal(a.calls, 0);
	close_it(r);
}

/* Without the API a size that was told is no reason to give bytes. */
static void test_nothing_to_prove_it_by(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;

	assert_int_equal(size_of(r, &size), 0);
	results_stop(r);
	assert_int_equal(read_at(r, 0, 10), -EINTR);
	assert_int_equal(size_of(r, &size), 0);
	close_it(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_stat_and_read_are_two_requests),
		T(test_a_whole_file_is_two_requests),
		T(test_a_size_told_once_is_not_saved),
		T(test_no_byte_by_a_wrong_size),
		T(test_no_byte_by_a_wrong_size_without_ranges),
		T(test_all_readers_are_told),
		T(test_a_save_settles_it),
		T(test_those_inside_are_not_misled),
		T(test_opened_before_the_news),
		T(test_told_by_an_earlier_object),
		T(test_told_wrong_by_an_earlier_object),
		T(test_what_is_here_is_held),
		T(test_the_second_reply_lies),
		T(test_a_size_that_changes_with_every_reply),
		T(test_replies_without_a_size),
		T(test_not_told_beside_a_reader),
		T(test_beside_a_save),
		T(test_a_second_size_is_not_told),
		T(test_a_dropped_reader),
		T(test_nothing_to_prove_it_by),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
