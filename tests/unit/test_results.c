/* What readers of results meet, whatever the server does. The engine is a fake one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fake_engine.h"
#include "results.h"
#include "results_map.h"
#include "util.h"

#define MIB RESULTS_BLOCK
#define KIB ((uint64_t)1024)
#define FILE_ID "files/batch-abc"
#define BIG (48 * MIB + 777)

static char dir_path[] = "/tmp/test-results-XXXXXX";
static int dir_fd = -1;
static char *content; /* BIG bytes of lines */
static struct engine engine;
static unsigned sized, filled, lost;

/* Lines of 100 bytes that tell where they stand. */
static void fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i % 100 % 26);
	for (size_t i = 0; i + 100 <= n; i += 100) {
		char line[32];
		int len = snprintf(line, sizeof line, "{\"at\":%zu,\"x\":\"", i);

		memcpy(p + i, line, (size_t)len);
		memcpy(p + i + 97, "\"}\n", 3);
	}
	p[n - 1] = '\n';
}

static int group_setup(void **state)
{
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	content = malloc(BIG);
	fill(content, BIG);
	return dir_fd < 0 ? -1 : 0;
}

static int group_teardown(void **state)
{
	free(content);
	close(dir_fd);
	return util_remove_tree(AT_FDCWD, dir_path);
}

static int setup(void **state)
{
	fake_init(&engine, content, BIG);
	sized = filled = lost = 0;
	for (const char *name = "f\0f.map\0f.aside\0g\0g.map\0"; *name;
		name += strlen(name) + 1)
		unlinkat(dir_fd, name, 0);
	return 0;
}

static void event(void *arg, struct gb_results *r, enum results_event ev)
{
	unsigned *counts[] = {&sized, &filled, &lost};

	++*counts[ev];
}

static struct gb_results *open_as(const char *file, bool offline)
{
	struct results_config c = {.engine = &engine,
		.dirfd = dir_fd,
		.name = "f",
		.file = file,
		.offline = offline,
		.event = event};
	struct gb_results *r = NULL;

	assert_int_equal(results_new(&c, &r), 0);
	results_reader(r, 1);
	return r;
}

static struct gb_results *open_it(void)
{
	return open_as(FILE_ID, false);
}

static void close_it(struct gb_results *r)
{
	results_reader(r, -1);
	results_unref(r);
	fake_run(&engine);
}

struct asker {
	struct gb_waiter w;
	unsigned calls;
	int err;
};

static void answered(struct gb_waiter *w, int err)
{
	struct asker *a = CONTAINER_OF(w, struct asker, w);

	a->calls++;
	a->err = err;
}

#define ASKER                                                                          \
	{                                                                              \
		.w = {.done = answered }                                               \
	}

/* Whatever is said to be there is what the API has. */
static void check_bytes(struct gb_results *r, uint64_t off, size_t n)
{
	char *buf = malloc(n);

	assert_int_equal(pread(results_fd(r), buf, n, (off_t)off), n);
	assert_memory_equal(buf, engine.data + off, n);
	free(buf);
}

/* Read once, letting the engine run as long as it takes. */
static ssize_t read_at(struct gb_results *r, uint64_t off, size_t n)
{
	for (;;) {
		struct asker a = ASKER;
		ssize_t got = results_ready(r, off, n, &a.w);

		if (got > 0)
			check_bytes(r, off, (size_t)got);
		if (got != -EINPROGRESS)
			return got;
		while (a.calls == 0)
			assert_true(fake_step(&engine));
		assert_int_equal(a.calls, 1);
		if (a.err < 0)
			return a.err;
	}
}

/* Read on from off to the end or an error, as cat does. */
static int read_on(struct gb_results *r, uint64_t off, uint64_t *ret_end)
{
	ssize_t got;

	while ((got = read_at(r, off, 128 * KIB)) > 0)
		off += (uint64_t)got;
	if (ret_end)
		*ret_end = off;
	return (int)got;
}

static int fetch(struct gb_results *r)
{
	struct asker a = ASKER;
	int err = results_fetch(r, &a.w);

	if (err != -EINPROGRESS)
		return err;
	while (a.calls == 0)
		assert_true(fake_step(&engine));
	assert_int_equal(a.calls, 1);
	return a.err;
}

static int size_of(struct gb_results *r, int64_t *ret)
{
	for (;;) {
		struct asker a = ASKER;
		int err = results_size(r, &a.w, ret);

		if (err != -EINPROGRESS)
			return err;
		while (a.calls == 0)
			assert_true(fake_step(&engine));
		if (a.err < 0)
			return a.err;
	}
}

static void assert_all_home(struct gb_results *r)
{
	uint64_t end;
	unsigned calls = engine.calls;

	assert_true(results_complete(r));
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	assert_int_equal(engine.calls, calls);
}

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
	assert_int_equal(read_at(r, 0, 128 * KIB), 1000);
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
	close_it(r);
	/* It is remembered. */
	r = open_it();
	assert_int_equal(size_of(r, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(engine.calls, 1);
	close_it(r);
}

static void test_size_waits_for_a_running_stream(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;
	int64_t size;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_size(r, &b.w, &size), -EINPROGRESS);
	fake_step(&engine);
	assert_int_equal(b.calls, 1);
	assert_int_equal(results_size(r, &b.w, &size), 0);
	assert_int_equal(size, BIG);
	assert_int_equal(engine.calls, 1);
	fake_step(&engine);
	assert_int_equal(a.calls, 1);
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

/* ---- servers that do less, or lie ---------------------------------------- */

static void test_ignored_range(void **state)
{
	struct gb_results *r = open_it();

	engine.no_range = true;
	assert_int_equal(read_at(r, 30 * MIB, 100), 100);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(results_known_size(r), BIG);
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

static void cut_in_a_line(struct engine *e, struct answer *a)
{
	a->n = 5 * MIB + 50;
	a->reply.content_length = -1;
}

static void test_no_length_and_cut_in_a_line(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.no_range = engine.no_length = true;
	engine.hook = cut_in_a_line;
	assert_int_equal(read_on(r, 0, &end), -EIO);
	assert_int_equal(end, 5 * MIB + 50);
	assert_false(results_complete(r));
	assert_int_equal(results_known_size(r), -1);
	assert_int_equal(fetch(r), -EIO);
	/* The server has come to its senses. */
	engine.hook = NULL;
	assert_int_equal(fetch(r), 0);
	assert_all_home(r);
	close_it(r);
}

static void cut_as_if_whole(struct engine *e, struct answer *a)
{
	uint64_t cut = 5 * MIB + 50;

	if (a->range[0] && a->lo >= cut) {
		a->n = 0;
		a->reply.status = 416;
	} else if (a->n > cut - a->lo) {
		a->n = cut - a->lo;
	}
	a->reply.content_length = (int64_t)a->n;
	a->reply.range_total = (int64_t)cut;
}

static void test_a_file_that_ends_in_a_line(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.hook = cut_as_if_whole;
	assert_int_equal(read_on(r, 0, &end), -EIO);
	assert_true(end < 5 * MIB + 50);
	assert_false(results_complete(r));
	assert_int_equal(fetch(r), -EIO);
	assert_int_equal(filled, 0);
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
	assert_string_equal(engine.ranges[1], "3145805-");
	assert_int_equal(filled, 1);
	assert_int_equal(results_seal(r), 0);
	close_it(r);
}

static void short_but_complete(struct engine *e, struct answer *a)
{
	if (a->n > MIB / 2)
		a->n = MIB / 2;
	a->reply.content_length = -1;
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
	assert_int_equal(end, BIG / 2);
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
	assert_true(results_sealed(dir_fd, "f", &size));
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

static void reopen(struct gb_results *r)
{
	results_reader(r, -1);
	fake_run(&engine);
	results_reader(r, 1);
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

/* ---- refusals ------------------------------------------------------------ */

static long refuse_with;
static unsigned refuse_until;

static void refuse(struct engine *e, struct answer *a)
{
	if (a->number > refuse_until)
		return;
	a->reply.status = refuse_with;
	a->n = 0;
}

static int read_refused(long status, unsigned times)
{
	struct gb_results *r;
	int err;

	setup(NULL);
	r = open_it();
	engine.hook = refuse;
	refuse_with = status;
	refuse_until = times;
	err = read_on(r, 0, NULL);
	close_it(r);
	return err;
}

static void test_refusals(void **state)
{
	assert_int_equal(read_refused(404, 99), -ENODATA);
	assert_int_equal(engine.calls, 2); /* both paths */
	assert_int_equal(lost, 1);
	assert_int_equal(read_refused(403, 99), -ENODATA);
	assert_int_equal(lost, 1);
	assert_int_equal(read_refused(401, 99), -EACCES);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(lost, 0);
	assert_int_equal(read_refused(400, 99), -EINVAL);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(read_refused(500, 99), -EIO);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(429, 99), -EDQUOT);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(503, 5), 0);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(0, 99), -EHOSTUNREACH);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(204, 99), -EIO);
	assert_int_equal(read_refused(302, 99), -EIO);
	assert_int_equal(read_refused(416, 99), -EIO);
}

static void refuse_key(struct engine *e, struct answer *a)
{
	static char text[] =
		"{\"error\":{\"code\":403,\"message\":\"key\",\"status\":"
		"\"PERMISSION_DENIED\",\"details\":[{\"@type\":\"type.googleapis.com/"
		"google.rpc.ErrorInfo\",\"reason\":\"API_KEY_SERVICE_BLOCKED\"}]}}";

	a->reply.status = 403;
	a->n = 0;
	a->reply.body = text;
	a->reply.body_len = sizeof text - 1;
}

static void test_a_refused_key_loses_nothing(void **state)
{
	struct gb_results *r = open_it();

	engine.hook = refuse_key;
	assert_int_equal(read_at(r, 0, 10), -EACCES);
	assert_int_equal(lost, 0);
	engine.hook = NULL;
	assert_true(read_at(r, 0, 10) > 0);
	close_it(r);
}

static void test_what_is_here_outlives_the_api(void **state)
{
	struct gb_results *r = open_it();

	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	engine.hook = refuse;
	refuse_with = 404;
	refuse_until = 99;
	assert_int_equal(read_at(r, 30 * MIB, 100), -ENODATA);
	assert_int_equal(read_at(r, 31 * MIB, 100), -ENODATA);
	assert_int_equal(engine.calls, 3);
	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	close_it(r);
}

static void only_the_other_path(struct engine *e, struct answer *a)
{
	if (a->other)
		return;
	a->reply.status = 404;
	a->n = 0;
}

static void test_the_other_path(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;

	engine.hook = only_the_other_path;
	assert_int_equal(results_ready(r, 20 * MIB, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_ready(r, 30 * MIB, 10, &b.w), -EINPROGRESS);
	fake_settle(&engine);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, 0);
	assert_int_equal(lost, 0);
	assert_int_equal(engine.calls, 4);
	assert_int_equal(read_at(r, 20 * MIB, 10), 10);
	close_it(r);
}

static void test_one_failure_does_not_hurt_others(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	engine.hook = refuse;
	refuse_with = 400;
	refuse_until = 99;
	assert_int_equal(results_ready(r, 30 * MIB, 10, &b.w), -EINPROGRESS);
	fake_settle(&engine);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.err, -EINVAL);
	close_it(r);
}

static void test_a_full_disk(void **state)
{
	struct gb_results *r = open_it();
	struct rlimit old, tight;
	uint64_t end;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	tight = (struct rlimit){.rlim_cur = 5 * MIB, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &tight);
	assert_int_equal(read_on(r, 0, &end), -EFBIG);
	assert_int_equal(end, 5 * MIB);
	assert_int_equal(engine.calls, 1);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	close_it(r);
}

static void test_stop_answers_everybody(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER, c = ASKER, d = ASKER;
	int64_t size;

	engine.chunk = 1000;
	assert_int_equal(read_at(r, 0, 1000), 1000);
	assert_int_equal(results_ready(r, 20 * MIB, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_ready(r, 40 * MIB, 10, &b.w), -EINPROGRESS);
	assert_int_equal(results_fetch(r, &c.w), -EINPROGRESS);
	results_stop(r);
	assert_int_equal(a.err, -EINTR);
	assert_int_equal(b.err, -EINTR);
	assert_int_equal(c.err, -EINTR);
	assert_int_equal(results_ready(r, 20 * MIB, 10, &d.w), -EINTR);
	assert_int_equal(results_fetch(r, &d.w), -EINTR);
	assert_int_equal(results_size(r, &d.w, &size), 0);
	assert_int_equal(results_ready(r, 0, 10, &d.w), 10);
	fake_run(&engine);
	assert_int_equal(a.calls + b.calls + c.calls, 3);
	close_it(r);
}

static void test_the_engine_stops(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	fake_stop(&engine);
	assert_int_equal(a.err, -EINTR);
	assert_int_equal(read_at(r, 0, 10), -EINTR);
	close_it(r);
}

static void test_the_engine_stops_between_tries(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.hook = refuse;
	refuse_with = 500;
	refuse_until = 99;
	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	fake_settle(&engine);
	assert_int_equal(a.calls, 0);
	fake_stop(&engine);
	assert_int_equal(a.err, -EINTR);
	close_it(r);
}

static void test_the_last_reference_goes_with_everything_under_way(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.chunk = 1000;
	assert_int_equal(results_fetch(r, &a.w), -EINPROGRESS);
	fake_step(&engine);
	fake_step(&engine);
	results_unref(r); /* a reader that forgot itself, and a fetch */
	assert_int_equal(a.err, -EINTR);
	fake_run(&engine);
	assert_int_equal(sized, 1);
}

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

static void test_nothing_at_all(void **state)
{
	struct results_config c = {.engine = &engine, .dirfd = dir_fd, .name = "f"};
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
	assert_true(results_sealed(dir_fd, "f", &size));
	close_it(r);
}

static void test_seal(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;

	read_at(r, 0, 10);
	assert_int_equal(results_seal(r), -EAGAIN);
	assert_int_equal(fetch(r), 0);
	assert_false(results_sealed(dir_fd, "f", &size));
	assert_int_equal(results_seal(r), 0);
	assert_true(results_sealed(dir_fd, "f", &size));
	assert_int_equal(size, BIG);
	close_it(r);
	assert_true(results_sealed(dir_fd, "f", &size));
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
	assert_false(results_sealed(dir_fd, "f", &size));
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
	assert_true(results_sealed(dirfd, name, &size));
	assert_false(results_sealed(dir_fd, "f", &size));
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
	assert_true(results_sealed(dir_fd, "f", &size));
	assert_int_equal(size, BIG);
	assert_int_equal(faccessat(dir_fd, "tmp", F_OK, 0), -1);
	r = open_as(NULL, false);
	assert_all_home(r);
	close_it(r);
	assert_int_equal(results_publish(dir_fd, "tmp", "f"), -ENOENT);
}

/* ---- trimming ------------------------------------------------------------ */

static bool is_p(void *arg, const char *name)
{
	return strcmp(name, "p") == 0;
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

static void test_trim(void **state)
{
	int fd = util_mkdir_open(dir_fd, "cache");

	put(fd, "p", 1000);
	put(fd, "old", 2000);
	put(fd, "new", 3000);
	put(fd, "orphan", 0);
	assert_int_equal(results_trim(fd, 100 * MIB, is_p, NULL), 0);
	assert_true(exists(fd, "orphan") && exists(fd, "old"));
	assert_int_equal(results_trim(fd, 350 * KIB, is_p, NULL), 0);
	assert_false(exists(fd, "orphan"));
	assert_true(exists(fd, "old"));
	assert_int_equal(results_trim(fd, 250 * KIB, is_p, NULL), 0);
	assert_false(exists(fd, "old") || exists(fd, "old.map"));
	assert_true(exists(fd, "new") && exists(fd, "new.map"));
	assert_int_equal(results_trim(fd, 0, is_p, NULL), 0);
	assert_false(exists(fd, "new"));
	assert_true(exists(fd, "p") && exists(fd, "p.map"));
	close(fd);
}

static void test_progress(void **state)
{
	struct gb_results *r = open_it();
	struct results_progress p;

	assert_false(results_progress(r, &p));
	engine.chunk = 1000;
	read_at(r, 0, 10);
	assert_true(results_progress(r, &p));
	assert_int_equal(p.have, 1000);
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

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reading_through_is_one_request),
		T(test_first_bytes_are_given_at_once),
		T(test_size_is_one_small_request),
		T(test_size_waits_for_a_running_stream),
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
		T(test_ignored_range),
		T(test_ignored_range_twice_at_once),
		T(test_size_of_a_server_without_ranges),
		T(test_no_length),
		T(test_no_length_and_no_last_newline),
		T(test_no_length_and_cut_in_a_line),
		T(test_a_file_that_ends_in_a_line),
		T(test_a_broken_stream_goes_on_where_it_was),
		T(test_bodies_that_end_early),
		T(test_whole_bodies_that_break),
		T(test_a_lying_content_range),
		T(test_more_than_was_asked_for),
		T(test_a_total_that_is_not_told),
		T(test_an_encoded_body),
		T(test_an_empty_file),
		T(test_nothing_without_a_length_is_no_file),
		T(test_a_changed_length),
		T(test_a_length_that_keeps_changing),
		T(test_bytes_that_changed),
		T(test_refusals),
		T(test_a_refused_key_loses_nothing),
		T(test_what_is_here_outlives_the_api),
		T(test_the_other_path),
		T(test_one_failure_does_not_hurt_others),
		T(test_a_full_disk),
		T(test_stop_answers_everybody),
		T(test_the_engine_stops),
		T(test_the_engine_stops_between_tries),
		T(test_the_last_reference_goes_with_everything_under_way),
		T(test_blocks_stay),
		T(test_a_rotten_block_is_fetched_again),
		T(test_a_rotten_block_offline),
		T(test_data_that_was_cut_or_lost),
		T(test_another_file_of_that_name),
		T(test_nothing_at_all),
		T(test_a_longer_file_lay_there),
		T(test_seal),
		T(test_seal_does_not_pass_rot),
		T(test_rehome),
		T(test_rehome_to_another_filesystem),
		T(test_publish),
		T(test_trim),
		T(test_progress),
		T(test_anything),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
