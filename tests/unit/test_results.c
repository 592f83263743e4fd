/* What readers of results meet at a server that does as it should. The
 * engine is a fake one. */
#include "results_fixture.h"

/* ---- reading ------------------------------------------------------------- */

static void test_reading_through_is_one_request(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	assert_int_equal(results_known_size(r), -1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_int_equal(engine.calls, 1);
	assert_string_equal(engine.ranges[0], "0-");
	assert_int_equal(results_known_size(r), BIG);
	assert_int_equal(sized, 1);
	assert_int_equal(filled, 1);
	assert_all_home(r);
	assert_int_equal(read_at(r, BIG + 5, 10), 0);
	close_it(r);
}

static void test_first_bytes_are_given_at_once(void **state)
{
	struct gb_results *r = open_it();

	engine.chunk = 1000;
	assert_int_equal(read_at(r, 0, 128 * KIB), 66 * 1000 - UNSURE);
	assert_int_equal(fake_running(&engine), 1);
	close_it(r);
	assert_int_equal(engine.aborted, 1);
}

static void test_size_is_one_small_request(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;
	int64_t size;

	assert_int_equal(results_size(r, &a.w, &size), -EINPROGRESS);
	assert_int_equal(results_size(r, &b.w, &size), -EINPROGRESS);
	fake_run(&engine);
	assert_int_equal(a.calls + b.calls, 2);
	assert_int_equal(results_size(r, &a.w, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(engine.calls, 1);
	assert_string_equal(engine.ranges[0], "0-0");
	/* It decides nothing. */
	assert_int_equal(results_known_size(r), -1);
	assert_int_equal(sized, 0);
	/* Read, it is proven and remembered. */
	assert_int_equal(read_at(r, 0, 10), 10);
	assert_int_equal(engine.calls, 2);
	assert_int_equal(results_known_size(r), BIG);
	assert_int_equal(sized, 1);
	close_it(r);
	r = open_it();
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(engine.calls, 2);
	close_it(r);
}

static void test_size_of_a_small_file(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;
	int64_t size;

	engine.size = 26700;
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, 26700);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, 26700);
	assert_int_equal(engine.calls, 2);
	close_it(r);
}

/* The last byte, which proved the size, is here before the rest of its block: that counts all
 * the same, and the next process asks for nothing. */
static void test_a_block_whose_end_came_first(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;
	int64_t size;

	engine.size = 700 * KIB;
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(read_at(r, (uint64_t)size, 10), 0);
	fake_settle(&engine);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, 700 * KIB);
	assert_string_equal(engine.ranges[1], "716799-716799");
	assert_string_equal(engine.ranges[2], "0-716798");
	assert_int_equal(filled, 1);
	close_it(r);
	unsigned calls = engine.calls;
	r = open_it();
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, 700 * KIB);
	assert_int_equal(engine.calls, calls);
	close_it(r);
}

static void test_size_of_what_is_being_read(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;
	int64_t size;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_size(r, &b.w, &size), -EINPROGRESS);
	assert_int_equal(engine.calls, 1);
	while (b.calls == 0)
		assert_true(fake_step(&engine));
	assert_int_equal(results_size(r, &b.w, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(engine.calls, 2);
	close_it(r);
}

/* The body tells, where its end is near. */
static void test_size_of_what_is_nearly_here(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;
	int64_t size;

	engine.size = 1048500;
	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_size(r, &b.w, &size), -EINPROGRESS);
	fake_run(&engine);
	assert_int_equal(b.calls, 1);
	assert_int_equal(results_size(r, &b.w, &size), 0);
	assert_int_equal(size, 1048500);
	assert_int_equal(engine.calls, 1);
	close_it(r);
}

static void test_a_jump_fetches_its_block(void **state)
{
	struct gb_results *r = open_it();

	assert_int_equal(read_at(r, 10 * MIB + 5, 4096), 4096);
	assert_int_equal(engine.calls, 1);
	assert_string_equal(engine.ranges[0], "10485760-11534335");
	/* Over the end of the block: what is there first, then a stream on. */
	fake_settle(&engine);
	assert_int_equal(read_at(r, 11 * MIB - 10, 4096), 10);
	assert_int_equal(read_at(r, 11 * MIB, 4096), 4096);
	assert_int_equal(engine.calls, 2);
	assert_string_equal(engine.ranges[1], "11534336-");
	close_it(r);
}

static void test_tail(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;

	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(read_at(r, (uint64_t)size - 100, 200), 100);
	assert_int_equal(engine.calls, 2);
	assert_string_equal(engine.ranges[1], "50331648-50332424");
	close_it(r);
}

static void test_a_read_past_the_end_of_unknown_size(void **state)
{
	struct gb_results *r = open_it();

	assert_int_equal(read_at(r, 100 * MIB, 10), 0);
	assert_int_equal(results_known_size(r), BIG);
	close_it(r);
}

static void test_readers_near_a_stream_wait_for_it(void **state)
{
	struct gb_results *r = open_it();
	struct asker a[8];

	for (unsigned i = 0; i < 8; i++) {
		a[i] = (struct asker)ASKER;
		assert_int_equal(
			results_ready(r, (7 - i) * 128 * KIB, 128 * KIB, &a[i].w),
			-EINPROGRESS);
	}
	assert_int_equal(engine.calls, 1);
	fake_settle(&engine);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(a[i].calls, 1);
	close_it(r);
}

static void test_at_most_four_transfers(void **state)
{
	struct gb_results *r = open_it();
	struct asker a[10];

	for (unsigned i = 0; i < 10; i++) {
		a[i] = (struct asker)ASKER;
		assert_int_equal(
			results_ready(r, (4 * i + 2) * MIB, 10, &a[i].w), -EINPROGRESS);
		assert_true(fake_running(&engine) <= 4);
	}
	while (fake_step(&engine))
		assert_true(fake_running(&engine) <= 4);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].err, 0);
	}
	close_it(r);
}

static void test_a_dropped_waiter_is_not_called(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	assert_true(gb_waiter_drop(&a.w));
	fake_settle(&engine);
	assert_int_equal(a.calls, 0);
	close_it(r);
}

/* ---- following and breaking off ------------------------------------------ */

static void test_a_stream_far_ahead_is_broken_off(void **state)
{
	struct gb_results *r = open_it();
	uint64_t off = 0, end;

	off += (uint64_t)read_at(r, 0, 128 * KIB);
	fake_settle(&engine);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(engine.aborted, 1);
	/* What came is enough for a while. */
	while (off < 3 * MIB) {
		off += (uint64_t)read_at(r, off, 128 * KIB);
		assert_int_equal(fake_running(&engine), 0);
	}
	while (fake_running(&engine) == 0 && off < 8 * MIB)
		off += (uint64_t)read_at(r, off, 128 * KIB);
	assert_in_range(off, 3 * MIB, 6 * MIB);
	assert_int_equal(engine.calls, 2);
	/* From now on it may be twice ahead of what was read. */
	assert_int_equal(read_on(r, off, &end), 0);
	assert_int_equal(end, BIG);
	assert_int_equal(engine.calls, 2);
	close_it(r);
}

static void test_the_last_reader_ends_a_stream(void **state)
{
	struct gb_results *r = open_it();

	engine.chunk = 1000;
	results_reader(r, 1);
	read_at(r, 0, 10);
	results_reader(r, -1);
	fake_step(&engine);
	assert_int_equal(fake_running(&engine), 1);
	results_reader(r, -1);
	fake_step(&engine);
	assert_int_equal(fake_running(&engine), 0);
	assert_int_equal(engine.aborted, 1);
	results_unref(r);
}

static void test_a_fetch_goes_on_without_readers(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.chunk = MIB;
	read_at(r, 0, 10);
	assert_int_equal(results_fetch(r, &a.w), -EINPROGRESS);
	results_reader(r, -1);
	assert_true(gb_waiter_drop(&a.w));
	fake_run(&engine);
	assert_int_equal(engine.calls, 1);
	assert_true(results_complete(r));
	results_unref(r);
}

static void test_fetch_gets_only_what_is_missing(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	/* 10 MiB in the middle, and the end. */
	for (uint64_t off = 20 * MIB; off < 30 * MIB;)
		off += (uint64_t)read_at(r, off, 128 * KIB);
	assert_int_equal(read_at(r, BIG - 10, 10), 10);
	results_reader(r, -1);
	fake_settle(&engine);
	engine.calls = 0;
	assert_int_equal(fetch(r), 0);
	assert_int_equal(filled, 1);
	assert_true(engine.calls <= 3);
	assert_string_equal(engine.ranges[0], "0-20971519");
	assert_int_equal(results_fetch(r, &a.w), 0);
	results_reader(r, 1);
	assert_all_home(r);
	close_it(r);
}

static void test_a_fetch_leaves_a_readers_block_alone(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.chunk = 100 * KIB;
	assert_true(read_at(r, 20 * MIB + 5, 10) > 0);
	assert_int_equal(results_fetch(r, &a.w), -EINPROGRESS);
	assert_int_equal(engine.calls, 2);
	fake_run(&engine);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, 0);
	assert_int_equal(filled, 1);
	close_it(r);
}

static void test_progress(void **state)
{
	struct gb_results *r = open_it();
	struct results_progress p;

	assert_false(results_progress(r, &p));
	engine.chunk = 1000;
	read_at(r, 0, 10);
	assert_true(results_progress(r, &p));
	assert_int_equal(p.have, 66 * 1000 - UNSURE);
	assert_int_equal(p.total, BIG);
	close_it(r);
}

/* ---- anything, in any order ---------------------------------------------- */

static unsigned seed;

static unsigned dice(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

/* Faults that are no lies about the content: nobody could tell those. */
static void be_bad(struct engine *e, struct answer *a)
{
	struct http_reply *p = &a->reply;

	switch (dice(12)) {
	case 0:
		p->status = 500 + dice(4);
		break;
	case 1:
		p->status = 0;
		break;
	case 2:
		a->n = a->n ? dice((unsigned)a->n) : 0;
		a->break_off = -EIO;
		break;
	case 3:
		p->range_start = (int64_t)dice((unsigned)e->size);
		break;
	case 4:
		p->content_length = -1;
		break;
	case 5:
		p->range_total = -1;
		break;
	case 6:
		p->encoded = true;
		p->content_length = -1;
		break;
	case 7:
		p->status = 200;
		p->range_start = p->range_total = -1;
		a->body = e->data;
		a->n = e->size;
		p->content_length = dice(2) ? (int64_t)e->size : -1;
		break;
	case 8:
		p->status = 416;
		p->range_total = -1;
		break;
	}
}

static void do_anything(struct gb_results *r, struct asker *a)
{
	uint64_t off = dice(3) ? dice((unsigned)engine.size) : dice(3) * MIB;
	ssize_t got;
	int64_t size;

	if (a->w.q || a->calls == 0)
		gb_waiter_drop(&a->w);
	*a = (struct asker)ASKER;
	switch (dice(8)) {
	case 0:
		size = -1;
		if (results_size(r, &a->w, &size) == 0 && size >= 0)
			assert_int_equal(size, engine.size);
		break;
	case 1:
		if (dice(4) == 0)
			results_fetch(r, &a->w);
		break;
	default:
		got = results_ready(r, off, 1 + dice(300000), &a->w);
		if (got > 0)
			check_bytes(r, off, (size_t)got);
	}
}

static void test_anything(void **state)
{
	for (unsigned round = 0; round < 240; round++) {
		struct asker a[6] = {ASKER, ASKER, ASKER, ASKER, ASKER, ASKER};
		struct gb_results *r;

		seed = round;
		if (round % 4 == 0) {
			setup(NULL);
			engine.size = 100 * (1 + dice(round % 3 ? 30000 : BIG / 100));
		}
		engine.hook = be_bad;
		engine.chunk = 1000 + dice(round % 3 ? 100000 : 600000);
		r = open_it();
		for (unsigned i = 0; i < 150; i++) {
			do_anything(r, &a[dice(6)]);
			for (unsigned n = dice(round % 5 ? 4 : 12); n > 0; n--)
				fake_step(&engine);
			assert_true(fake_running(&engine) <= 4);
		}
		engine.hook = NULL;
		fake_run(&engine);
		for (unsigned i = 0; i < 6; i++)
			assert_null(a[i].w.q);
		if (round % 4 == 3) {
			assert_int_equal(fetch(r), 0);
			assert_all_home(r);
		}
		close_it(r);
		assert_int_equal(fake_running(&engine), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reading_through_is_one_request),
		T(test_first_bytes_are_given_at_once),
		T(test_size_is_one_small_request), T(test_size_of_a_small_file),
		T(test_a_block_whose_end_came_first), T(test_size_of_what_is_nearly_here),
		T(test_size_of_what_is_being_read), T(test_size_of_what_is_nearly_here),
		T(test_a_jump_fetches_its_block),
		T(test_tail),
		T(test_a_read_past_the_end_of_unknown_size),
		T(test_readers_near_a_stream_wait_for_it),
		T(test_at_most_four_transfers),
		T(test_a_dropped_waiter_is_not_called),
		T(test_a_stream_far_ahead_is_broken_off),
		T(test_the_last_reader_ends_a_stream),
		T(test_a_fetch_goes_on_without_readers),
		T(test_fetch_gets_only_what_is_missing),
		T(test_a_fetch_leaves_a_readers_block_alone),
		T(test_progress),
		T(test_anything),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
