/* Results over the real engine and real connections: many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include "provider/all/providers.h"
#include "httpd.h"
#include "results/results.h"
#include "results/block_map.h"
#include "base/util.h"

#define MIB ((uint64_t)1 << 20)
#define SIZE ((size_t)(24 * MIB + 4321))

static char dir_path[] = "/tmp/test-results-net-XXXXXX";
static int dir_fd = -1;
static char *content;
static struct httpd server;
static struct engine *engine;
static struct provider_conn api;
static atomic_uint filled;
static atomic_bool unreliable, rangeless, lengthless;

/* ---- the server ---------------------------------------------------------- */

static bool send_chunked(int fd, const char *p, size_t n)
{
	while (n > 0) {
		size_t piece = n < 70000 ? n : 70000;

		if (!httpd_print(fd, "%zx\r\n", piece) || !httpd_send(fd, p, piece) ||
			!httpd_send(fd, "\r\n", 2))
			return false;
		p += piece;
		n -= piece;
	}
	return httpd_send(fd, "0\r\n\r\n", 5);
}

static bool parse_range(const struct httpd_request *q, size_t *lo, size_t *hi)
{
	const char *p = strcasestr(q->head, "\r\nRange: bytes=");
	char *end;

	*lo = 0;
	*hi = SIZE;
	if (!p || atomic_load(&rangeless))
		return false;
	*lo = strtoull(p + 15, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		*hi = strtoull(end + 1, NULL, 10) + 1;
	if (*hi > SIZE)
		*hi = SIZE;
	return true;
}

static bool serve(struct httpd *h, int fd, struct httpd_request *q)
{
	size_t lo, hi, n;
	bool part = parse_range(q, &lo, &hi);
	bool chunked = atomic_load(&lengthless);
	char range[100] = "", length[60] = "Transfer-Encoding: chunked\r\n";

	if (lo >= SIZE)
		return httpd_reply(fd, 416, "Content-Range: bytes */25170145\r\n", "");
	n = hi - lo;
	if (part)
		snprintf(range, sizeof range, "Content-Range: bytes %zu-%zu/%zu\r\n",
			lo, hi - 1, SIZE);
	if (!chunked)
		snprintf(length, sizeof length, "Content-Length: %zu\r\n", n);
	if (!httpd_print(
		    fd, "HTTP/1.1 %d X\r\n%s%s\r\n", part ? 206 : 200, range, length))
		return false;
	if (atomic_load(&unreliable) && q->number % 4 == 3) {
		httpd_send(fd, content + lo, n / 2);
		httpd_reset(fd);
		return false;
	}
	return chunked ? send_chunked(fd, content + lo, n)
		       : httpd_send(fd, content + lo, n);
}

/* ---- set up -------------------------------------------------------------- */

static int group_setup(void **state)
{
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	content = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (char)('a' + (i ^ i >> 8 ^ i >> 16) % 26);
	for (size_t i = 99; i < SIZE; i += 100)
		content[i] = '\n';
	content[0] = '{';
	content[SIZE - 1] = '\n';
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
	struct engine_options o = {
		.key = "k", .key_header = "x-goog-api-key", .user_agent = "test/1"};
	char *why = NULL;

	httpd_start(&server, serve);
	o.base = server.base;
	if (engine_new(&o, &engine, &why) < 0 || engine_start(engine) < 0)
		return -1;
	api = (struct provider_conn){provider_default(), engine, NULL};
	atomic_store(&filled, 0);
	atomic_store(&unreliable, false);
	atomic_store(&rangeless, false);
	atomic_store(&lengthless, false);
	unlinkat(dir_fd, "f", 0);
	unlinkat(dir_fd, "f.map", 0);
	return 0;
}

static int teardown(void **state)
{
	engine_stop(engine);
	engine_free(engine);
	httpd_stop(&server);
	return 0;
}

static void event(void *arg, struct gb_results *r, enum results_event ev)
{
	if (ev == RESULTS_FILLED)
		atomic_fetch_add(&filled, 1);
}

static struct gb_results *open_it(void)
{
	struct results_config c = {.api = &api,
		.dirfd = dir_fd,
		.name = "f",
		.file = "files/batch-abc",
		.event = event};
	struct gb_results *r = NULL;

	return results_new(&c, &r) == 0 ? r : NULL;
}

/* ---- waiting ------------------------------------------------------------- */

static ssize_t read_at(struct gb_results *r, uint64_t off, size_t n)
{
	for (;;) {
		struct waiter_sync s;
		ssize_t got;
		int err;

		waiter_sync_init(&s);
		got = results_ready(r, off, n, &s.w);
		if (got != -EINPROGRESS)
			return got;
		err = waiter_sync_wait(&s);
		if (err < 0)
			return err;
	}
}

static int fetch(struct gb_results *r)
{
	struct waiter_sync s;
	int err;

	waiter_sync_init(&s);
	err = results_fetch(r, &s.w);
	return (int)waiter_sync_end(&s, err);
}

/* 0, or what went wrong; -EILSEQ: wrong bytes. */
static int read_and_check(struct gb_results *r, uint64_t off, size_t n, char *buf)
{
	ssize_t got = read_at(r, off, n);

	if (got <= 0)
		return (int)got;
	if (pread(results_fd(r), buf, (size_t)got, (off_t)off) != got ||
		memcmp(buf, content + off, (size_t)got) != 0)
		return -EILSEQ;
	return (int)got;
}

static int read_through(struct gb_results *r, uint64_t *ret_end)
{
	_cleanup_free_ char *buf = malloc(128 << 10);
	uint64_t off = 0;
	int got;

	while ((got = read_and_check(r, off, 128 << 10, buf)) > 0)
		off += (unsigned)got;
	*ret_end = off;
	return got;
}

/* ---- tests --------------------------------------------------------------- */

static void read_cold(void)
{
	struct gb_results *r = open_it();
	uint64_t end = 0;

	results_reader(r, 1);
	assert_int_equal(read_through(r, &end), 0);
	assert_int_equal(end, SIZE);
	assert_int_equal(results_known_size(r), SIZE);
	assert_true(results_complete(r));
	results_reader(r, -1);
	results_unref(r);
}

static void test_cold(void **state)
{
	read_cold();
	assert_in_range(httpd_requests(&server), 1, 2);
}

static void test_cold_without_ranges(void **state)
{
	atomic_store(&rangeless, true);
	read_cold();
	assert_int_equal(httpd_requests(&server), 1);
}

static void test_cold_without_length(void **state)
{
	atomic_store(&rangeless, true);
	atomic_store(&lengthless, true);
	read_cold();
	assert_int_equal(httpd_requests(&server), 1);
}

static void test_cold_with_broken_connections(void **state)
{
	struct gb_results *r = open_it();
	int64_t size;
	struct waiter_sync s;

	atomic_store(&unreliable, true);
	waiter_sync_init(&s);
	if (results_size(r, &s.w, &size) == -EINPROGRESS)
		waiter_sync_wait(&s);
	results_unref(r);
	read_cold();
}

struct worker {
	struct gb_results *r;
	unsigned seed;
	int err;
};

static void *jump_about(void *arg)
{
	struct worker *w = arg;
	_cleanup_free_ char *buf = malloc(300000);

	for (int i = 0; i < 60 && w->err == 0; i++) {
		uint64_t off = (uint64_t)rand_r(&w->seed) % SIZE;
		size_t n = 1 + (size_t)rand_r(&w->seed) % 300000;
		int got;

		results_reader(w->r, 1);
		for (int k = 0; k < 4 && (got = read_and_check(w->r, off, n, buf)) > 0;
			k++)
			off += (unsigned)got;
		results_reader(w->r, -1);
		w->err = got < 0 ? got : 0;
	}
	return NULL;
}

static void *ask_and_leave(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 200; i++) {
		struct waiter_sync s;
		int64_t size;
		bool ask_size = rand_r(&w->seed) % 4 == 0;
		int err;

		waiter_sync_init(&s);
		err = ask_size ? results_size(w->r, &s.w, &size)
			       : (int)results_ready(w->r,
					 (uint64_t)rand_r(&w->seed) % SIZE, 10, &s.w);
		if (err == -EINPROGRESS && !gb_waiter_drop(&s.w))
			waiter_sync_wait(&s);
	}
	return NULL;
}

static void *go_through(void *arg)
{
	struct worker *w = arg;
	uint64_t end;

	results_reader(w->r, 1);
	w->err = read_through(w->r, &end);
	if (w->err == 0 && end != SIZE)
		w->err = -ERANGE;
	results_reader(w->r, -1);
	return NULL;
}

static void *bring_home(void *arg)
{
	struct worker *w = arg;

	w->err = fetch(w->r);
	if (w->err == 0)
		w->err = results_seal(w->r);
	if (w->err == 0)
		w->err = results_rehome(w->r, dir_fd, "g");
	if (w->err == 0)
		w->err = results_rehome(w->r, dir_fd, "f");
	return NULL;
}

static void run_crowd(void)
{
	static void *(*const work[])(void *) = {jump_about, go_through, ask_and_leave,
		jump_about, bring_home, jump_about, go_through, ask_and_leave};
	pthread_t threads[ARRAY_SIZE(work)];
	struct worker workers[ARRAY_SIZE(work)];
	struct gb_results *r = open_it();
	int64_t size;

	for (unsigned i = 0; i < ARRAY_SIZE(work); i++) {
		workers[i] = (struct worker){.r = r, .seed = i};
		pthread_create(&threads[i], NULL, work[i], &workers[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(work); i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(work); i++)
		assert_int_equal(workers[i].err, 0);
	results_unref(r);
	assert_int_equal(atomic_load(&filled), 1);
	assert_int_equal(results_sealed(dir_fd, "f", &size), 1);
	assert_int_equal(size, SIZE);
}

static void test_crowd(void **state)
{
	run_crowd();
}

static void test_crowd_with_broken_connections(void **state)
{
	atomic_store(&unreliable, true);
	run_crowd();
}

static void test_crowd_without_ranges(void **state)
{
	atomic_store(&rangeless, true);
	run_crowd();
}

/* To another filesystem and back, while a reader and a fetch go on. */
static void test_move_while_it_comes(void **state)
{
	char path[] = "/dev/shm/test-results-net-XXXXXX";
	struct gb_results *r = open_it();
	struct worker reader = {.r = r}, jumper = {.r = r, .seed = 7};
	pthread_t threads[2];
	struct waiter_sync s;
	int fd = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int err;

	if (fd < 0)
		skip();
	waiter_sync_init(&s);
	err = results_fetch(r, &s.w);
	pthread_create(&threads[0], NULL, go_through, &reader);
	pthread_create(&threads[1], NULL, jump_about, &jumper);
	for (int i = 0; i < 3; i++) {
		int moved = results_rehome(r, i % 2 ? dir_fd : fd, "g");

		assert_true(moved == 0 || moved == -EBUSY);
		usleep(2000);
	}
	if (err == -EINPROGRESS)
		err = waiter_sync_wait(&s);
	assert_int_equal(err, 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_int_equal(reader.err, 0);
	assert_int_equal(jumper.err, 0);
	assert_int_equal(results_rehome(r, dir_fd, "f"), 0);
	assert_int_equal(results_seal(r), 0);
	results_reader(r, 1);
	assert_int_equal(read_through(r, &(uint64_t){0}), 0);
	results_reader(r, -1);
	results_unref(r);
	util_remove_tree(AT_FDCWD, path);
	close(fd);
}

/* The engine stops in the middle: everybody gets an answer, nothing is left over. */
static void test_stop_in_the_middle(void **state)
{
	struct worker workers[4];
	pthread_t threads[4];
	struct gb_results *r = open_it();

	for (unsigned i = 0; i < 4; i++) {
		workers[i] = (struct worker){.r = r, .seed = i};
		pthread_create(
			&threads[i], NULL, i ? jump_about : go_through, &workers[i]);
	}
	usleep(5000);
	engine_stop(engine);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_true(workers[i].err == 0 || workers[i].err == -EINTR);
	}
	results_unref(r);
}

static void test_leave_in_the_middle(void **state)
{
	for (unsigned i = 0; i < 40; i++) {
		struct gb_results *r = open_it();
		struct waiter_sync s;
		_cleanup_free_ char *buf = malloc(10000);
		int err;

		waiter_sync_init(&s);
		results_reader(r, 1);
		assert_true(read_and_check(r, i % 24 * MIB, 10000, buf) > 0);
		err = results_fetch(r, &s.w);
		usleep(i * 50);
		results_reader(r, -1);
		results_unref(r);
		if (err == -EINPROGRESS)
			err = waiter_sync_wait(&s);
		assert_true(err == 0 || err == -EINTR);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cold),
		T(test_cold_without_ranges),
		T(test_cold_without_length),
		T(test_cold_with_broken_connections),
		T(test_crowd),
		T(test_crowd_with_broken_connections),
		T(test_crowd_without_ranges),
		T(test_move_while_it_comes),
		T(test_stop_in_the_middle),
		T(test_leave_in_the_middle),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
