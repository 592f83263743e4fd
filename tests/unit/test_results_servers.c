/* Servers that do less than readers of results would like, or lie. The
 * engine is a fake one. */
#include "results_fixture.h"

/* ---- servers that do less, or lie ---------------------------------------- */

static void test_ignored_range(void **state)
{
	struct gb_results *r = open_it();

	engine.no_range = true;
	assert_int_equal(read_at(r, 30 * MIB, 100), 100);
	assert_int_equal(engine.calls, 1);
	/* Not broken off however far it is ahead, and another jump needs no request. */
	fake_settle(&engine);
	assert_int_equal(engine.calls, 1);
	assert_all_home(r);
	close_it(r);
}

static void test_ignored_range_twice_at_once(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;

	engine.no_range = true;
	assert_int_equal(results_ready(r, 30 * MIB, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_ready(r, 40 * MIB, 10, &b.w), -EINPROGRESS);
	assert_int_equal(engine.calls, 2);
	/* One of the two bodies is enough. */
	fake_settle(&engine);
	assert_int_equal(engine.calls, 2);
	assert_int_equal(engine.aborted, 1);
	assert_int_equal(a.calls + b.calls, 2);
	assert_all_home(r);
	close_it(r);
}

static void test_size_of_a_server_without_ranges(void **state)
{
	struct gb_results *r = open_it();
	int64_t size = 0;

	engine.no_range = true;
	results_reader(r, -1);
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG);
	fake_settle(&engine);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(engine.aborted, 1);
	results_unref(r);
}

static void test_no_length(void **state)
{
	struct gb_results *r = open_it();
	int64_t size = 0;
	uint64_t end;

	engine.no_range = engine.no_length = true;
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, -1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(filled, 1);
	assert_int_equal(sized, 1);
	assert_int_equal(engine.calls, 1);
	close_it(r);
}

static void without_last_newline(struct engine *e, struct answer *a)
{
	a->n--;
	a->reply.content_length = -1;
	a->reply.status = 200;
}

static void test_no_length_and_no_last_newline(void **state)
{
	struct gb_results *r = open_it();
	char kept = content[BIG - 2];
	uint64_t end;

	content[BIG - 2] = '}';
	engine.no_range = true;
	engine.hook = without_last_newline;
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG - 1);
	assert_true(results_complete(r));
	content[BIG - 2] = kept;
	close_it(r);
}

static unsigned cut_until; /* number of the request */

static void cut_in_a_line(struct engine *e, struct answer *a)
{
	if (a->number > cut_until)
		return;
	a->n = 5 * MIB + 50;
	a->reply.content_length = -1;
}

/* A few times it is no end. */
static void test_no_length_and_cut_in_a_line(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.no_range = engine.no_length = true;
	engine.hook = cut_in_a_line;
	cut_until = 4;
	assert_int_equal(read_at(r, 0, 10), 10);
	fake_settle(&engine);
	assert_false(results_complete(r));
	assert_int_equal(results_known_size(r), -1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_all_home(r);
	close_it(r);
}

static void cut_as_if_whole(struct engine *e, struct answer *a)
{
	uint64_t cut = 5 * MIB + 50;

	if (a->number > cut_until)
		return;
	if (a->range[0] && a->lo >= cut) {
		a->n = 0;
		a->reply.status = 416;
	} else if (a->n > cut - a->lo) {
		a->n = cut - a->lo;
		a->reply.range_end = (int64_t)cut - 1;
	}
	a->reply.content_length = (int64_t)a->n;
	a->reply.range_total = (int64_t)cut;
}

static void test_a_file_that_ends_in_a_line(void **state)
{
	struct gb_results *r;
	uint64_t end;

	for (cut_until = 1; cut_until < 5; cut_until++) {
		setup(NULL);
		r = open_it();
		engine.hook = cut_as_if_whole;
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, BIG);
		assert_int_equal(filled, 1);
		close_it(r);
	}
}

/* Always: that is all there is. */
static void test_a_file_that_always_ends_in_a_line(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.hook = cut_as_if_whole;
	cut_until = 99;
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, 5 * MIB + 50);
	assert_true(results_odd(r));
	assert_int_equal(engine.calls, 5);
	assert_int_equal(results_seal(r), 0);
	close_it(r);
}

static void nothing_in_ranges(struct engine *e, struct answer *a)
{
	if (!a->range[0])
		return;
	a->n = 0;
	a->reply.status = 416;
	a->reply.content_length = a->reply.range_total = 0;
}

/* That there is nothing is believed of a whole reply alone. */
static void test_empty_by_ranges_alone(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.hook = nothing_in_ranges;
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	close_it(r);
}

static void break_at_3(struct engine *e, struct answer *a)
{
	if (a->number == 1) {
		a->n = 3 * MIB + 77;
		a->break_off = -EIO;
	}
}

static void test_a_broken_stream_goes_on_where_it_was(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.hook = break_at_3;
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_int_equal(engine.calls, 2);
	assert_string_equal(engine.ranges[1], "3080269-");
	assert_int_equal(filled, 1);
	assert_int_equal(results_seal(r), 0);
	close_it(r);
}

static void short_but_complete(struct engine *e, struct answer *a)
{
	if (a->n > MIB / 2)
		a->n = MIB / 2;
	a->reply.content_length = -1;
	a->reply.range_end = a->reply.range_start + (int64_t)a->n - 1;
}

static void test_bodies_that_end_early(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.hook = short_but_complete;
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	close_it(r);
}

static void half_a_body(struct engine *e, struct answer *a)
{
	a->n /= 2;
	a->break_off = -EIO;
}

static void test_whole_bodies_that_break(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.no_range = true;
	engine.hook = half_a_body;
	assert_int_equal(read_on(r, 0, &end), -EIO);
	assert_int_equal(end, BIG / 2 - UNSURE);
	assert_int_equal(engine.calls, 6);
	close_it(r);
}

static void lie_about_start(struct engine *e, struct answer *a)
{
	if (a->reply.status == 206) {
		a->reply.range_start += 100;
		a->body = e->data + a->lo + 100;
		a->n -= 100;
	}
}

static void test_a_lying_content_range(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.hook = lie_about_start;
	assert_int_equal(read_at(r, 5 * MIB, 100), 100);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_string_equal(engine.ranges[1], "");
	close_it(r);
}

static void send_too_much(struct engine *e, struct answer *a)
{
	if (a->reply.status == 206) {
		a->n = e->size - a->lo;
		a->reply.content_length = -1;
	}
}

static void test_more_than_was_asked_for(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.hook = send_too_much;
	assert_int_equal(read_at(r, 5 * MIB, 100), 100);
	fake_settle(&engine);
	engine.calls = 0;
	assert_int_equal(results_ready(r, 6 * MIB + 1, 100, &a.w), -EINPROGRESS);
	close_it(r);
}

static void no_total(struct engine *e, struct answer *a)
{
	a->reply.range_total = -1;
}

static void test_a_total_that_is_not_told(void **state)
{
	struct gb_results *r = open_it();
	int64_t size = 0;
	uint64_t end;

	engine.hook = no_total;
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, -1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	close_it(r);
}

static void pack(struct engine *e, struct answer *a)
{
	a->reply.encoded = true;
	a->reply.content_length = -1;
	a->reply.range_total = a->reply.status == 206 ? 12345 : -1;
}

static void test_an_encoded_body(void **state)
{
	struct gb_results *r = open_it();
	int64_t size = 0;
	uint64_t end;

	engine.hook = pack;
	assert_int_equal(read_at(r, 5 * MIB, 100), 100);
	assert_string_equal(engine.ranges[1], "");
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, -1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_int_equal(results_known_size(r), BIG);
	close_it(r);
}

/* Ranges of what is packed: the numbers are as good as any, the bytes are others. */
static void pack_ranges(struct engine *e, struct answer *a)
{
	a->reply.encoded = true;
	a->reply.content_length = -1;
	if (a->reply.status == 206)
		a->reply.range_total = BIG - 12345;
}

static void test_an_encoded_range(void **state)
{
	struct gb_results *r = open_it();

	engine.hook = pack_ranges;
	assert_int_equal(read_at(r, 5 * MIB, 100), 100);
	assert_string_equal(engine.ranges[1], "");
	assert_int_equal(fetch(r), 0);
	assert_int_equal(results_known_size(r), BIG);
	assert_all_home(r);
	close_it(r);
}

static void test_an_empty_file(void **state)
{
	struct gb_results *r = open_it();
	int64_t size = -1;

	engine.size = 0;
	assert_int_equal(read_at(r, 0, 10), 0);
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(filled, 1);
	assert_int_equal(results_seal(r), 0);
	assert_int_equal(results_sealed(dir_fd, "f", &size), 1);
	close_it(r);
}

static void test_nothing_without_a_length_is_no_file(void **state)
{
	struct gb_results *r = open_it();

	engine.size = 0;
	engine.no_range = engine.no_length = true;
	assert_int_equal(read_at(r, 0, 10), -EIO);
	assert_false(results_complete(r));
	close_it(r);
}

static unsigned wrong_until; /* number of the request */
static int64_t wrong_by;

/* Every reply is one piece with itself. */
static void tell_wrong_length(struct engine *e, struct answer *a)
{
	int64_t total = (int64_t)e->size + wrong_by;

	if (a->number > wrong_until || !a->range[0])
		return;
	a->reply.range_total = total;
	if (a->reply.status == 206 && a->reply.range_end < total)
		return;
	a->reply.status = (int64_t)a->lo < total ? 206 : 416;
	a->reply.range_start = (int64_t)a->lo;
	a->reply.range_end = total - 1;
	a->n = (size_t)(total - (int64_t)a->lo);
	a->reply.content_length = (int64_t)a->n;
	if (wrong_by > 0)
		a->n = 0;
}

/* It is the end for nobody. */
static void test_an_end_told_wrong_once(void **state)
{
	for (int past = 0; past < 2; past++) {
		struct gb_results *r;

		setup(NULL);
		r = open_it();
		engine.hook = tell_wrong_length;
		wrong_until = 1;
		wrong_by = -5 * (int64_t)MIB;
		assert_int_equal(
			read_at(r, past ? BIG + 1000 : BIG - MIB, 100), past ? 0 : 100);
		close_it(r);
	}
}

/* Who reckoned with a length that was told twice gets an error, not other bytes, whether or
 * not bytes came with it; opened anew it is right. */
static void test_a_length_told_wrong_twice(void **state)
{
	for (int past = 0; past < 2; past++) {
		struct gb_results *r;
		int64_t size = 0;

		setup(NULL);
		r = open_it();
		engine.hook = tell_wrong_length;
		wrong_until = 2;
		wrong_by = 1000;
		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(size, BIG + 1000);
		assert_int_equal(read_on(r, past ? (uint64_t)size : BIG - 500, NULL), -EIO);
		assert_int_equal(read_at(r, 0, 1000), -EIO);
		reopen(r);
		assert_int_equal(size_of(r, &size), 0);
		assert_int_equal(size, BIG);
		assert_int_equal(read_at(r, (uint64_t)size - 500, 1000), 500);
		assert_int_equal(read_on(r, 0, NULL), 0);
		close_it(r);
	}
}

/* ---- a file that changes ------------------------------------------------- */

static void test_a_changed_length(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;
	uint64_t end;

	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	engine.size = 40 * MIB + 100;
	content[40 * MIB + 99] = '\n';
	assert_int_equal(read_at(r, 30 * MIB, 100), -EIO);
	/* Not even what was there is given any more. */
	assert_int_equal(results_ready(r, 20 * MIB, 100, &a.w), -EIO);
	results_reader(r, -1);
	fake_run(&engine);
	assert_int_equal(faccessat(dir_fd, "f.aside", F_OK, 0), 0);
	results_reader(r, 1);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, 40 * MIB + 100);
	close_it(r);
	fill(content, BIG);
}

static void test_a_length_that_keeps_changing(void **state)
{
	struct gb_results *r = open_it();

	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	engine.size -= 100;
	assert_int_equal(read_at(r, 30 * MIB, 100), -EIO);
	reopen(r);
	assert_int_equal(read_at(r, 30 * MIB, 100), 100);
	engine.size -= 100;
	assert_int_equal(read_at(r, 10 * MIB, 100), -EIO);
	/* Twice is enough. */
	reopen(r);
	assert_int_equal(read_at(r, 30 * MIB, 100), -EIO);
	close_it(r);
}

static void test_bytes_that_changed(void **state)
{
	struct gb_results *r = open_it();
	char *other = malloc(BIG);

	/* Block 3 is here; a whole stream passes over it with other bytes. */
	assert_int_equal(read_at(r, 3 * MIB, MIB), 64 * KIB);
	fake_settle(&engine);
	memcpy(other, content, BIG);
	other[3 * MIB + 500] ^= 1;
	engine.data = other;
	engine.no_range = true;
	assert_int_equal(fetch(r), -EIO);
	assert_false(results_complete(r));
	engine.data = content;
	close_it(r);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ignored_range),
		T(test_ignored_range_twice_at_once),
		T(test_size_of_a_server_without_ranges),
		T(test_no_length),
		T(test_no_length_and_no_last_newline),
		T(test_no_length_and_cut_in_a_line),
		T(test_a_file_that_ends_in_a_line),
		T(test_a_file_that_always_ends_in_a_line),
		T(test_empty_by_ranges_alone),
		T(test_a_broken_stream_goes_on_where_it_was),
		T(test_bodies_that_end_early),
		T(test_whole_bodies_that_break),
		T(test_a_lying_content_range),
		T(test_more_than_was_asked_for),
		T(test_a_total_that_is_not_told),
		T(test_an_encoded_body),
		T(test_an_encoded_range),
		T(test_an_empty_file),
		T(test_nothing_without_a_length_is_no_file),
		T(test_an_end_told_wrong_once),
		T(test_a_length_told_wrong_twice),
		T(test_a_changed_length),
		T(test_a_length_that_keeps_changing),
		T(test_bytes_that_changed),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
