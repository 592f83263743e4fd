/* Replies whose head and body contradict each other: nothing of such a reply is given to
 * a reader, kept, or sealed. The engine is a fake one. */
#include "results_fixture.h"

#define SMALL (26700)
#define MEDIUM (3 * MIB + 700)

static char error_json[] =
	"{\"error\":{\"code\":503,\"message\":\"try again later\"}}\n";
static char error_lines[] = "{\n  \"error\": {\n    \"code\": 503\n  }\n}\n";
static char error_page[] = "<html><body>Sign in</body></html>\n";

/* What is wrong with a reply. Members that are 0 leave it honest. */
struct lie {
	const char *name;
	long status;
	int64_t length;      /* Content-Length; NONE: not told */
	int64_t start, end, total;
	const char *body;    /* instead of the file's */
	int64_t n;           /* bytes that come; NONE: not one */
	int64_t less;        /* come less than the honest ones */
	int break_off;
	bool page, encoded;
	bool harmless;       /* nothing need be asked again */
};

#define NONE (-2)

static const struct lie lies[] = {
	{"right head, an error comes", .body = error_json, .n = 48},
	{"… and ends with the connection", .body = error_json, .n = 48,
		.break_off = -EIO},
	{"… without a length", .body = error_json, .n = 48, .length = NONE},
	{"… told to be the whole file", .status = 200, .body = error_json, .n = 48},
	{"an error of several lines", .status = 200, .body = error_lines, .n = 38,
		.length = 38},
	{"… whole, without a length", .status = 200, .body = error_page, .n = 33,
		.length = NONE},
	{"a range longer than the length", .length = 48, .body = error_json, .n = 48},
	{"a length longer than the range", .end = 47, .length = 26700},
	{"a range that ends before it begins", .end = NONE, .length = 48},
	{"a range past the total", .end = SMALL + 5},
	{"another total", .total = SMALL - 1000},
	{"another start", .start = 100, .end = SMALL - 1},
	{"a byte less", .less = 1},
	{"a byte less, without a length", .less = 1, .length = NONE},
	{"a byte less, whole", .status = 200, .less = 1},
	{"half, then broken", .less = SMALL / 2, .break_off = -EIO},
	{"half, without a length", .less = SMALL / 2, .length = NONE},
	{"nothing", .n = NONE},
	{"nothing, without a length", .n = NONE, .length = NONE},
	{"a page by its type", .status = 200, .body = error_page, .n = 33, .length = 33,
		.page = true},
	{"… whose length is that of the file", .status = 200, .body = error_page,
		.n = 33, .page = true},
	{"an error in one line, whole", .status = 200, .body = error_json, .n = 48,
		.length = 48},
	{"packed", .encoded = true, .length = 300, .n = 300},
	{"an honest part", .end = SMALL / 2 - 1, .less = SMALL / 2, .length = SMALL / 2,
		.harmless = true},
};

static const struct lie *lie;
static unsigned lie_until; /* number of the request */

static int64_t told(int64_t value, int64_t honest)
{
	return value == NONE ? -1 : value ? value : honest;
}

static void tell_lie(struct engine *e, struct answer *a)
{
	struct http_reply *p = &a->reply;

	if (a->number > lie_until || p->status != 206)
		return;
	p->status = lie->status ? lie->status : 206;
	p->content_length = told(lie->length, p->content_length);
	p->range_start = told(lie->start, p->range_start);
	p->range_end = told(lie->end, p->range_end);
	p->range_total = told(lie->total, p->range_total);
	p->page = lie->page;
	p->encoded = lie->encoded;
	if (lie->body)
		a->body = lie->body;
	if (lie->n)
		a->n = lie->n == NONE ? 0 : (size_t)lie->n;
	a->n -= (size_t)lie->less;
	/* What ends before its length has come breaks, as far as one can tell. */
	a->break_off = lie->break_off;
	if (!a->break_off && p->content_length > (int64_t)a->n)
		a->break_off = -EIO;
}

static void be_small(void)
{
	setup(NULL);
	engine.size = SMALL;
	engine.hook = tell_lie;
}

static void assert_sealed(struct gb_results *r, uint64_t size)
{
	char *buf = malloc(size + 1);
	int64_t sealed = -1;
	int fd = openat(dir_fd, "f", O_RDONLY | O_CLOEXEC);

	assert_int_equal(results_seal(r), 0);
	assert_int_equal(results_sealed(dir_fd, "f", &sealed), 1);
	assert_int_equal(sealed, size);
	assert_int_equal(read(fd, buf, size + 1), size);
	assert_memory_equal(buf, engine.data, size);
	close(fd);
	free(buf);
}

/* One wrong reply costs another request. */
static void test_told_once(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct gb_results *r;
		uint64_t end;

		print_message("# %s\n", lies[i].name);
		be_small();
		lie = &lies[i];
		lie_until = 1;
		r = open_it();
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, SMALL);
		assert_int_equal(results_known_size(r), SMALL);
		assert_sealed(r, SMALL);
		assert_in_range(engine.calls, 2, 3);
		close_it(r);
	}
}

/* The same to a fetch that nobody reads along with. */
static void test_told_to_a_fetch(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct gb_results *r;

		be_small();
		lie = &lies[i];
		lie_until = 1;
		r = open_it();
		assert_int_equal(fetch(r), 0);
		assert_sealed(r, SMALL);
		close_it(r);
	}
}

/* Told again and again: an error, or the right bytes; never others, and no seal. */
static void test_told_always(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct gb_results *r;
		uint64_t end;
		int err;

		print_message("# %s\n", lies[i].name);
		be_small();
		lie = &lies[i];
		lie_until = 1000;
		if (lie->total || lie->harmless)
			continue; /* the file that all replies speak of */
		r = open_it();
		err = read_on(r, 0, &end);
		assert_true(err == 0 || err == -EIO);
		assert_true(err < 0 || end == SMALL);
		assert_int_equal(results_complete(r), err == 0);
		assert_in_range(engine.calls, 1, 8);
		close_it(r);
	}
}

/* In the middle of a larger file, where no first byte gives it away. */
static void in_the_middle(struct engine *e, struct answer *a)
{
	if (a->lo > 0)
		tell_lie(e, a);
}

static void test_told_in_the_middle(void **state)
{
	static const struct lie middle[] = {
		{.body = error_json, .n = 48},
		{.body = error_json, .n = 48, .break_off = -EIO},
		{.body = error_json, .n = 48, .length = NONE},
		{.body = error_json, .n = 48, .length = 48},
		{.less = 1, .length = NONE},
		{.status = 200,
			.body = error_page,
			.n = 33,
			.length = 33,
			.page = true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(middle); i++) {
		struct gb_results *r;
		uint64_t end;

		setup(NULL);
		engine.size = MEDIUM;
		content[MEDIUM - 1] = '\n';
		engine.hook = in_the_middle;
		lie = &middle[i];
		lie_until = 2;
		r = open_it();
		assert_true(read_at(r, MIB + 5, 10) == 10);
		fake_settle(&engine);
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, MEDIUM);
		assert_sealed(r, MEDIUM);
		close_it(r);
	}
	fill(content, BIG);
}

/* A long stream that goes wrong at its end: what readers had was right, what is left is
 * asked again. */
static void end_in_an_error(struct engine *e, struct answer *a)
{
	static char *mixed;

	if (a->number > 1)
		return;
	mixed = realloc(mixed, 3 * MIB);
	memcpy(mixed, content, 3 * MIB);
	memcpy(mixed + 2 * MIB + 100, error_json, 48);
	a->body = mixed;
	a->n = 2 * MIB + 148;
	a->break_off = -EIO;
}

static void test_an_error_after_good_bytes(void **state)
{
	struct gb_results *r = open_it();
	uint64_t end;

	engine.hook = end_in_an_error;
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	assert_sealed(r, BIG);
	close_it(r);
}

/* One reply with other bytes where some are local already. */
static void once_other(struct engine *e, struct answer *a)
{
	static char *other;

	if (a->number != 2)
		return;
	other = realloc(other, BIG);
	memcpy(other, content, BIG);
	other[3 * MIB + 500] ^= 1;
	a->body = other + a->lo;
}

static void test_one_reply_with_other_bytes(void **state)
{
	struct gb_results *r = open_it();

	assert_true(read_at(r, 3 * MIB, MIB) > 0);
	fake_settle(&engine);
	engine.hook = once_other;
	assert_int_equal(fetch(r), 0);
	assert_all_home(r);
	close_it(r);
}

/* ---- what a file may begin with -------------------------------------------- */

static void read_file(const char *text)
{
	struct gb_results *r;
	uint64_t end;

	setup(NULL);
	engine.data = text;
	engine.size = strlen(text);
	engine.chunk = 1;
	r = open_it();
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	assert_sealed(r, engine.size);
	close_it(r);
}

static void test_white_space(void **state)
{
	read_file("\n{\"key\":\"a\"}\n");
	read_file("  \r\n\t{\"key\":\"a\"}\r\n");
	read_file("{\"key\":\"a\"}\n\n\n");
	read_file("{\"key\":\"a\"}  ");
	read_file("{\"key\":\"a\"}");
	read_file("\xef\xbb\xbf{\"key\":\"a\"}\n");
}

/* ---- what no file of lines should begin or end with ---------------------------- */

enum way { RANGES, NO_RANGES, NO_LENGTH, WAYS };

static void serve(const char *text, size_t n, enum way way)
{
	setup(NULL);
	engine.data = text;
	engine.size = n;
	engine.no_range = way != RANGES;
	engine.no_length = way == NO_LENGTH;
}

#define ODD(text) {text, sizeof text - 1}
static const struct {
	const char *text;
	size_t n;
} odd[] = {
	ODD("{\"key\":\"a\"}\0"),
	ODD("{\"key\":\"a\"}\n\0\0\0"),
	ODD("{\"key\":\"a\"},"),
	ODD("{\"key\":\"a\"}]"),
	ODD("{\"key\":\"a\"}\n{\"key\":\"b"),
	ODD("[{\"key\":\"a\"},\n{\"key\":\"b\"}]\n"),
	ODD("{\n\"key\":\"a\"\n}\n"),
	ODD(",{\"key\":\"a\"}\n"),
};

/* Paid for is paid for: what the API says again and again is what there is. */
static void test_odd_ends_told_again_and_again(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(odd) * WAYS; i++) {
		struct gb_results *r;
		uint64_t end;

		print_message("# text %zu, way %zu\n", i / WAYS, i % WAYS);
		serve(odd[i / WAYS].text, odd[i / WAYS].n, i % WAYS);
		r = open_it();
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, engine.size);
		assert_int_equal(engine.calls, 5);
		assert_true(results_odd(r));
		assert_sealed(r, engine.size);
		close_it(r);
	}
}

static unsigned odd_until;
static int64_t odd_at = 26650;

static void end_oddly(struct engine *e, struct answer *a)
{
	if (a->number > odd_until || (int64_t)a->lo >= odd_at)
		return;
	a->n = (size_t)(odd_at - (int64_t)a->lo);
	a->reply.content_length = e->no_length ? -1 : (int64_t)a->n;
	a->reply.range_total = a->reply.status == 206 ? odd_at : -1;
	a->reply.range_end = a->reply.status == 206 ? odd_at - 1 : -1;
}

/* … and not what it said by mistake. */
static void test_odd_ends_told_by_mistake(void **state)
{
	for (unsigned i = 0; i < 4 * WAYS; i++) {
		struct gb_results *r;
		uint64_t end;

		serve(content, SMALL, i % WAYS);
		engine.hook = end_oddly;
		odd_until = 1 + i / WAYS;
		r = open_it();
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, SMALL);
		assert_false(results_odd(r));
		assert_sealed(r, SMALL);
		close_it(r);
	}
}

/* Cut at a brace, as one piece with itself: where the newline is missing, it is asked again. */
static void test_a_brace_by_mistake(void **state)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct gb_results *r;
		uint64_t end;

		serve(content, SMALL, way);
		engine.hook = end_oddly;
		odd_until = 1;
		odd_at = 25699;
		r = open_it();
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, SMALL);
		assert_sealed(r, SMALL);
		close_it(r);
	}
	odd_at = 26650;
}

/* What is none of the file tells nothing of its length, however often. */
static void noise(struct engine *e, struct answer *a)
{
	if (a->number > 4)
		return;
	a->reply.status = 200;
	a->reply.range_start = a->reply.range_end = a->reply.range_total = -1;
	a->body = "0123456789 and so on, 0123456789 and so on, 0123456789 and so on\n";
	a->n = strlen(a->body);
	a->reply.content_length = (int64_t)a->n;
}

static void test_noise_in_place_of_the_file(void **state)
{
	for (int first = 0; first < 3; first++) {
		struct gb_results *r;
		int64_t size = 0;
		uint64_t end;

		serve(content, SMALL, RANGES);
		engine.hook = noise;
		r = open_it();
		if (first == 0)
			assert_int_equal(size_of(r, &size), 0);
		if (first == 1)
			assert_int_equal(read_at(r, 20000, 100), 100);
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, SMALL);
		assert_true(first > 0 || size == SMALL);
		close_it(r);
	}
}

/* Two replies agree on a length, and no byte has come: it is shown, and no end. */
static void short_heads(struct engine *e, struct answer *a)
{
	if (a->number > 2)
		return;
	a->reply.range_total = 1000;
	if (a->reply.status == 416)
		return;
	if (a->reply.range_end > 999)
		a->reply.range_end = 999;
	a->reply.content_length = a->reply.range_end - (int64_t)a->lo + 1;
	a->n = 0;
	a->break_off = -EIO;
}

static void test_a_length_alone_is_no_end(void **state)
{
	struct gb_results *r;
	int64_t size;

	serve(content, SMALL, RANGES);
	engine.hook = short_heads;
	r = open_it();
	assert_int_equal(size_of(r, &size), 0);
	assert_true(read_at(r, 20000, 100) != 0);
	close_it(r);
}

/* ---- labels ------------------------------------------------------------------------ */

static void label_as_page(struct engine *e, struct answer *a)
{
	a->reply.page = true;
}

/* The body decides. */
static void test_true_results_by_the_name_of_a_page(void **state)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct gb_results *r;
		uint64_t end;

		serve(content, SMALL, way);
		engine.hook = label_as_page;
		r = open_it();
		assert_int_equal(read_on(r, 0, &end), 0);
		assert_int_equal(end, SMALL);
		assert_int_equal(engine.calls, 1);
		assert_sealed(r, SMALL);
		close_it(r);
	}
}

/* ---- connections that end early, always ----------------------------------------------- */

static size_t cut_after;
static int cut_with;

static void cut_always(struct engine *e, struct answer *a)
{
	if (a->n <= cut_after)
		return;
	a->n = cut_after;
	a->break_off = cut_with;
	if (!cut_with)
		a->reply.content_length = -1;
}

/* Less is asked for until it fits. */
static void test_connections_that_always_end_early(void **state)
{
	static const struct {
		size_t cut, size;
		int with;
	} rows[] = {{60 * KIB, MEDIUM, -EIO}, {10 * KIB, MEDIUM, -ETIMEDOUT},
		{1500, SMALL, -EIO}, {600, SMALL, -EIO}, {60 * KIB, MEDIUM, 0},
		{10 * KIB, SMALL, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		struct gb_results *r;
		uint64_t end = 0;

		setup(NULL);
		engine.size = rows[i / 2].size;
		content[MEDIUM - 1] = '\n';
		engine.hook = cut_always;
		cut_after = rows[i / 2].cut;
		cut_with = rows[i / 2].with;
		r = open_it();
		assert_int_equal(i % 2 ? fetch(r) : read_on(r, 0, &end), 0);
		assert_true(i % 2 || end == engine.size);
		assert_sealed(r, engine.size);
		close_it(r);
	}
	fill(content, BIG);
}

/* Distrust passes too: a server whose ranges were wrong once, and whose whole bodies end
 * early. */
static void lie_once_then_cut(struct engine *e, struct answer *a)
{
	if (a->number == 1)
		a->reply.range_start++;
	else if (!a->range[0])
		a->n /= 2, a->break_off = -EIO;
}

static void test_ranges_are_tried_again(void **state)
{
	struct gb_results *r = open_it();

	engine.hook = lie_once_then_cut;
	assert_int_equal(read_on(r, 0, NULL), 0);
	assert_sealed(r, BIG);
	close_it(r);
}

static void test_no_object(void **state)
{
	struct gb_results *r;

	setup(NULL);
	engine.data = "\n\n<html></html>\n";
	engine.size = strlen(engine.data);
	r = open_it();
	assert_int_equal(read_on(r, 0, NULL), -EIO);
	assert_false(results_complete(r));
	close_it(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_told_once),
		T(test_told_to_a_fetch),
		T(test_told_always),
		T(test_told_in_the_middle),
		T(test_an_error_after_good_bytes),
		T(test_one_reply_with_other_bytes),
		T(test_white_space),
		T(test_odd_ends_told_again_and_again),
		T(test_odd_ends_told_by_mistake),
		T(test_a_brace_by_mistake),
		T(test_noise_in_place_of_the_file),
		T(test_a_length_alone_is_no_end),
		T(test_true_results_by_the_name_of_a_page),
		T(test_connections_that_always_end_early),
		T(test_ranges_are_tried_again),
		T(test_no_object),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
