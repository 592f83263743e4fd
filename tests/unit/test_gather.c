#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answers/gather.h"
#include "base/util.h"

enum { SIZE = 40 << 20, FAR = GATHER_GAP + 1 };

/* What a source is asked for. */
static struct {
	unsigned vectors, reads; /* calls */
	uint64_t bytes;
	struct span bad; /* what is not to be had, … */
	int err;         /* … because of this */
	uint64_t end;
	unsigned last; /* buffers of the last vector */
} seen;

static char byte_at(uint64_t off)
{
	return (char)(off * 2654435761u >> 13);
}

static void fill(char *buf, uint64_t off, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(off + i);
	seen.bytes += n;
}

static bool touches(uint64_t off, uint64_t n)
{
	return off < seen.bad.to && off + n > seen.bad.from;
}

static ssize_t source_read(void *arg, uint64_t off, void *buf, size_t n)
{
	(void)arg;
	seen.reads++;
	if (touches(off, n))
		return seen.err;
	n = off >= seen.end ? 0 : n < seen.end - off ? n : (size_t)(seen.end - off);
	fill(buf, off, n);
	return (ssize_t)n;
}

static int source_readv(void *arg, uint64_t off, struct iovec *v, int n)
{
	uint64_t all = 0;

	(void)arg;
	seen.vectors++;
	seen.last = (unsigned)n;
	assert_in_range(n, 1, 1024);
	for (int i = 0; i < n; i++)
		all += v[i].iov_len;
	if (touches(off, all))
		return seen.err;
	if (off + all > seen.end)
		return -EIO;
	for (int i = 0; i < n; i++) {
		fill(v[i].iov_base, off, v[i].iov_len);
		off += v[i].iov_len;
		memset(&v[i], 0xff, sizeof v[i]); /* they are used up */
	}
	return 0;
}

static const struct text_source source = {source_read, NULL, source_readv};

static int begin(void **state)
{
	memset(&seen, 0, sizeof seen);
	seen.end = SIZE;
	return 0;
}

static void add_all(struct gather *g, const struct span *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(gather_add(g, at[i]));
}

/* Reads all of a span, and sees that it is right. */
static void expect(struct gather *g, struct span at)
{
	_cleanup_free_ char *buf = malloc(at.to - at.from + 1);

	while (at.from < at.to) {
		size_t n = (size_t)(at.to - at.from);
		ssize_t got = g->source.read(g->source.arg, at.from, buf, n);

		assert_in_range(got, 1, n);
		for (ssize_t i = 0; i < got; i++)
			assert_int_equal(buf[i], byte_at(at.from + (uint64_t)i));
		at.from += (uint64_t)got;
	}
}

static void expect_all(struct gather *g, const struct span *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(g, at[i]);
}

static void neighbours_are_read_at_once(void **state)
{
	static const struct span at[] = {
		{5000, 5400}, {1000, 1010}, {7000, 7001}, {1010, 1500}, {3000, 3300}};
	struct gather g;

	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), 0);
	assert_int_equal(seen.vectors, 1);
	assert_int_equal(seen.bytes, 7001 - 1000);
	assert_int_equal(seen.last, 4 + 3); /* two touch each other */
	expect_all(&g, at, ARRAY_SIZE(at));
	expect(&g, (struct span){1005, 1490});
	assert_int_equal(seen.reads, 0);
	gather_end(&g);
}

static void what_is_far_is_read_apart(void **state)
{
	static const struct span at[] = {{4 * FAR, 4 * FAR + 10}, {0, 10},
		{10 + FAR, 30 + FAR}, {30 + FAR + GATHER_GAP, 31 + FAR + GATHER_GAP}};
	struct gather g;

	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), 0);
	assert_int_equal(seen.vectors, 3); /* the middle two are just near enough */
	expect_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(seen.reads, 0);
	gather_end(&g);
}

/* Where all are far from each other, as in large results of any order, no byte too much is
 * read. */
static void nothing_else_is_read_of_scattered_ones(void **state)
{
	enum { N = 1000 };
	struct span at[N];
	struct gather g;

	for (uint64_t i = 0; i < N; i++) {
		uint64_t from = i * 7 % N * (FAR + 300);

		at[i] = (struct span){from, from + 300};
	}
	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, N);
	assert_int_equal(gather_read(&g), 0);
	assert_int_equal(seen.bytes, N * 300);
	assert_int_equal(seen.vectors, N);
	expect_all(&g, at, N);
	assert_int_equal(seen.reads, 0);
	gather_end(&g);
}

static void overlaps_are_read_once(void **state)
{
	static const struct span at[] = {
		{100, 200}, {150, 160}, {150, 300}, {100, 200}, {299, 350}, {400, 401}};
	struct gather g;

	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), 0);
	assert_int_equal(seen.bytes, 401 - 100);
	expect_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(seen.reads, 0);
	gather_end(&g);
}

static void long_and_empty_ones_are_left_out(void **state)
{
	static const struct span at[] = {{0, 0}, {500, 600},
		{90000, 90001 + GATHER_LONG}, {700, 800}, {300, 200}};
	struct gather g;

	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), 0);
	assert_int_equal(seen.bytes, 800 - 500);
	expect(&g, at[1]);
	expect(&g, at[3]);
	assert_int_equal(seen.reads, 0);
	expect(&g, at[2]);
	assert_int_equal(seen.reads, 1);
	/* And what nobody asked for, before it and between. */
	expect(&g, (struct span){10, 20});
	expect(&g, (struct span){600, 700});
	assert_int_equal(seen.reads, 3);
	gather_end(&g);
}

static void one_alone_takes_no_memory(void **state)
{
	struct gather g;

	gather_init(&g, &source, NULL);
	gather_begin(&g);
	assert_true(gather_add(&g, (struct span){10, 20}));
	assert_true(gather_add(&g, (struct span){0, 0}));
	assert_int_equal(gather_read(&g), 0);
	assert_null(g.room);
	assert_int_equal(seen.vectors, 0);
	expect(&g, (struct span){10, 20});
	gather_end(&g);
}

/* Spans of `size` bytes every `step`, in rounds: how many fit into the first. */
static uint32_t rounds(uint32_t n, uint64_t size, uint64_t step)
{
	uint32_t first = 0, done = 0;
	struct gather g;

	gather_init(&g, &source, NULL);
	while (done < n) {
		uint32_t i = done;

		gather_begin(&g);
		while (i < n &&
			gather_add(&g, (struct span){i * step, i * step + size}))
			i++;
		assert_true(i > done);
		first = first ? first : i;
		assert_int_equal(gather_read(&g), 0);
		for (; done < i; done++)
			expect(&g, (struct span){done * step, done * step + size});
	}
	assert_int_equal(seen.reads, 0);
	gather_end(&g);
	return first;
}

static void more_than_there_is_room_for(void **state)
{
	assert_int_equal(rounds(5000, 10, 20), GATHER_SPANS);
	begin(NULL);
	assert_int_equal(
		rounds(100, GATHER_LONG, GATHER_LONG + 1), GATHER_ROOM / GATHER_LONG);
}

static void an_error_is_of_those_that_it_concerns(void **state)
{
	static const struct span at[] = {{100, 200}, {300 + FAR, 400 + FAR},
		{500 + FAR, 600 + FAR}, {700 + 2 * FAR, 800 + 2 * FAR}};
	struct gather g;
	char buf[100];

	seen.bad = (struct span){510 + FAR, 520 + FAR};
	seen.err = -EIO;
	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), 0);
	expect(&g, at[0]);
	expect(&g, at[3]);
	assert_int_equal(seen.reads, 0);
	/* It has no fault, but is read with one that has. */
	expect(&g, at[1]);
	assert_int_equal(seen.reads, 1);
	assert_int_equal(g.source.read(g.source.arg, at[2].from, buf, 100), -EIO);
	gather_end(&g);
}

static void what_is_on_its_way_is_waited_for_once(void **state)
{
	static const struct span at[] = {
		{100, 200}, {300 + FAR, 400 + FAR}, {500 + 2 * FAR, 600 + 2 * FAR}};
	struct gather g;

	seen.bad = at[1];
	seen.err = -EINPROGRESS;
	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), -EINPROGRESS);
	assert_int_equal(seen.vectors, 2);
	gather_end(&g);
}

static void a_source_that_ends_early(void **state)
{
	static const struct span at[] = {{100, 200}, {250, 300}};
	struct gather g;
	char buf[100];

	seen.end = 280;
	gather_init(&g, &source, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), 0);
	expect(&g, at[0]);
	assert_int_equal(g.source.read(g.source.arg, 250, buf, 50), 30);
	assert_int_equal(g.source.read(g.source.arg, 280, buf, 20), 0);
	gather_end(&g);
}

static void a_source_without_vectors(void **state)
{
	static const struct text_source plain = {source_read, NULL, NULL};
	static const struct span at[] = {{100, 200}, {250, 300}};
	struct gather g;

	gather_init(&g, &plain, NULL);
	gather_begin(&g);
	add_all(&g, at, ARRAY_SIZE(at));
	assert_int_equal(gather_read(&g), 0);
	assert_null(g.room);
	expect_all(&g, at, ARRAY_SIZE(at));
	gather_end(&g);
}

static void memory_goes_from_read_to_read(void **state)
{
	static const struct span at[] = {{100, 200}, {250, 300}};
	struct gather_spare spare = {NULL};
	struct gather g, h;

	for (int i = 0; i < 2; i++) {
		gather_init(&g, &source, &spare);
		gather_init(&h, &source, &spare);
		gather_begin(&g);
		add_all(&g, at, 2);
		struct gather_room *first = g.room;
		assert_non_null(first);
		gather_begin(&h);
		add_all(&h, at, 2);
		assert_ptr_not_equal(h.room, first);
		gather_end(&h);
		gather_end(&g);
		assert_ptr_equal(spare.room, first);
	}
	gather_spare_free(&spare);
	assert_null(spare.room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(neighbours_are_read_at_once, begin),
		cmocka_unit_test_setup(what_is_far_is_read_apart, begin),
		cmocka_unit_test_setup(nothing_else_is_read_of_scattered_ones, begin),
		cmocka_unit_test_setup(overlaps_are_read_once, begin),
		cmocka_unit_test_setup(long_and_empty_ones_are_left_out, begin),
		cmocka_unit_test_setup(one_alone_takes_no_memory, begin),
		cmocka_unit_test_setup(more_than_there_is_room_for, begin),
		cmocka_unit_test_setup(an_error_is_of_those_that_it_concerns, begin),
		cmocka_unit_test_setup(what_is_on_its_way_is_waited_for_once, begin),
		cmocka_unit_test_setup(a_source_that_ends_early, begin),
		cmocka_unit_test_setup(a_source_without_vectors, begin),
		cmocka_unit_test_setup(memory_goes_from_read_to_read, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
