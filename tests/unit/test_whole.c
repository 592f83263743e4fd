/* Results that end early in framing that fits: saved, in doubt, looked at again. */
#include "gembatch.h"
#include "jobs/job.h"
#include "httpd.h"
#include "archive/tally.h"
#include "base/util.h"
#include "base/waiter.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <stddef.h>
#include <cmocka.h>

enum { LINE = 101, LINES = 50, SIZE = LINE * LINES, CUT = 30 * LINE };

static char top[] = "/tmp/test-whole-XXXXXX";
static char content[SIZE + 1], padded[SIZE + 1]; /* with blanks after CUT */
static struct httpd server;
static struct gb_client *client;
static const char *_Atomic serving;
static atomic_int served;  /* bytes that the server has of it */
static atomic_bool bytes_once; /* so few only the first time */
static atomic_bool refusing;
static atomic_bool one_path;   /* "/download/" is not served */
static atomic_bool ranges; /* it knows them; else it tells no length either */
static atomic_int odd_by; /* bytes that the next reply says the file is longer; 0: none */
static atomic_bool gone_after; /* … and it is refused from then on */

/* ---- the API --------------------------------------------------------------------- */

#define JOB                                                                               \
	"{\"name\":\"batches/job\",\"metadata\":{\"displayName\":\"job\",\"state\":"      \
	"\"BATCH_STATE_SUCCEEDED\",\"endTime\":\"2990-01-01T00:00:00Z\","                 \
	"\"batchStats\":{\"requestCount\":\"50\","                                        \
	"\"successfulRequestCount\":\"48\",\"failedRequestCount\":\"2\"}},\"done\":true," \
	"\"response\":{\"responsesFile\":\"files/out\"}}"

static bool serve_part(int fd, const char *range, size_t size)
{
	size_t lo, hi = size, said = size + (size_t)atomic_exchange(&odd_by, 0);
	char *end;

	if (said > size && atomic_load(&gone_after))
		atomic_store(&refusing, true);
	lo = strtoull(range, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		hi = strtoull(end + 1, NULL, 10) + 1;
	if (hi > size)
		hi = size;
	return lo < size
		       ? httpd_print(fd,
				 "HTTP/1.1 206 X\r\nContent-Range: bytes %zu-%zu/%zu\r\n"
				 "Content-Length: %zu\r\n\r\n",
				 lo, hi - 1, said, hi - lo) &&
				 httpd_send(fd, atomic_load(&serving) + lo, hi - lo)
		       : httpd_reply(fd, 416, "", "");
}

static bool serve(struct httpd *h, int fd, struct httpd_request *q)
{
	const char *range = strcasestr(q->head, "\r\nRange: bytes=");
	size_t size = (size_t)atomic_load(&served);

	if (!strstr(q->head, "files/out"))
		return httpd_reply(fd, 200, "Content-Type: application/json\r\n",
			strstr(q->head, "batches/job")        ? JOB
			: strstr(q->head, "/v1beta/batches?") ? "{\"operations\":[" JOB
								"]}"
							      : "{}");
	if (atomic_load(&refusing))
		return httpd_reply(fd, 404, "",
			"{\"error\":{\"code\":404,\"status\":\"NOT_FOUND\"}}");
	if (atomic_load(&one_path) && strstr(q->head, "/download/"))
		return httpd_reply(fd, 404, "", "<html>no such page</html>");
	if (atomic_exchange(&bytes_once, false))
		atomic_store(&served, SIZE);
	if (range && atomic_load(&ranges))
		return serve_part(fd, range + 15, size);
	httpd_print(fd, "HTTP/1.1 200 X\r\nConnection: close\r\n\r\n");
	httpd_send(fd, atomic_load(&serving), size);
	return false;
}

/* ---- set up ------------------------------------------------------------------------ */

static void start_with(
	enum gb_fetch what, const char *doubt, size_t size, bool with_ranges)
{
	static int n;
	char state_dir[64], cache_dir[64], *why = NULL;
	struct gb_options o = {.key = "k", .fetch = what, .poll_s = 1000,
		.source = server.base, .state_dir = state_dir, .cache_dir = cache_dir};

	setenv("BATCHFS_TEST_DOUBT_SECONDS", doubt, 1);
	atomic_store(&serving, content);
	atomic_store(&served, (int)size);
	atomic_store(&ranges, with_ranges);
	snprintf(state_dir, sizeof state_dir, "%s/state%d", top, ++n);
	snprintf(cache_dir, sizeof cache_dir, "%s/cache%d", top, n);
	assert_int_equal(gb_open(&o, &client, &why), 0);
	free(why);
}

static void start(const char *doubt, size_t size, bool with_ranges)
{
	start_with(GB_FETCH_ALL, doubt, size, with_ranges);
}

static int group_setup(void **state)
{
	for (int i = 0; i < LINES; i++) {
		char *p = content + i * LINE;
		int n = sprintf(p,
			"{\"key\":\"%05d\",\"response\":{\"candidates\":[{\"content\":"
			"{\"parts\":[{\"text\":\"%d\"}]}}]}}",
			i, i);

		memset(p + n, ' ', LINE - n);
		p[LINE - 1] = '\n';
	}
	memcpy(padded, content, SIZE);
	memset(padded + CUT, ' ', 10);
	httpd_start(&server, serve);
	return mkdtemp(top) ? 0 : -1;
}

static int group_teardown(void **state)
{
	httpd_stop(&server);
	return util_remove_tree(AT_FDCWD, top);
}

/* What a call came to, with its waiter s. */
static int end_of_call(struct waiter_sync *s, int err)
{
	return (int)waiter_sync_end(s, err);
}

static struct gb_job *find_job(void)
{
	struct gb_job *job;
	struct waiter_sync s;

	waiter_sync_init(&s);
	assert_int_equal(
		end_of_call(&s, gb_list_refresh(client, GB_LIST_ONCE, &s.w)), 0);
	job = gb_job_by_name(client, "job");
	assert_non_null(job);
	return job;
}

static int fetch(struct gb_job *job)
{
	struct waiter_sync s;

	waiter_sync_init(&s);
	return end_of_call(&s, gb_save_results(job, &s.w));
}

static int64_t size_of(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i.results_safe ? i.results_size : -1;
}

static void assert_all_there(struct gb_job *job, size_t size)
{
	struct gb_results *r;
	char buf[SIZE + 1];
	struct waiter_sync s;

	waiter_sync_init(&s);
	assert_int_equal(size_of(job), size);
	assert_int_equal(gb_results_open(job, &r), 0);
	assert_int_equal(gb_results_ready(r, 0, sizeof buf, &s.w), size);
	assert_int_equal(gb_results_read(r, buf, size, 0), size);
	assert_memory_equal(buf, content, size);
	gb_results_close(r);
}

/* ---- tests -------------------------------------------------------------------------- */

static bool warned(struct gb_job *job)
{
	char *text = gb_job_warnings(job);
	bool warned = text && strstr(text, "lines");

	free(text);
	return warned;
}

/* Saved short; a fetch looks again, and takes what has come. */
static void fetch_takes_the_rest(size_t cut, bool with_ranges)
{
	struct gb_job *job;

	start("3600", cut, with_ranges);
	job = find_job();
	assert_int_equal(fetch(job), 0);
	assert_all_there(job, cut);
	assert_true(gb_verbs(job) & GB_FETCH_VERB);
	assert_true(warned(job));
	assert_int_equal(fetch(job), 0);
	assert_all_there(job, cut);
	atomic_store(&served, SIZE);
	assert_int_equal(fetch(job), 0);
	assert_all_there(job, SIZE);
	assert_false(gb_verbs(job) & GB_FETCH_VERB);
	assert_false(warned(job));
	gb_job_unref(job);
	gb_close(client);
}

static void test_cut_at_a_line(void **state)
{
	fetch_takes_the_rest(CUT, true);
	fetch_takes_the_rest(CUT, false);
}

static void test_cut_at_a_brace(void **state)
{
	size_t brace = CUT;

	while (content[brace - 1] != '}')
		brace++;
	fetch_takes_the_rest(brace, false);
	fetch_takes_the_rest(SIZE - LINE + brace - CUT, false);
}

/* A gateway has its own page for the path that it does not serve. */
static void test_on_the_other_path(void **state)
{
	atomic_store(&one_path, true);
	fetch_takes_the_rest(CUT, true);
	atomic_store(&one_path, false);
}

static int read_once(struct gb_job *job)
{
	struct gb_results *r;
	struct waiter_sync s;
	int err;

	waiter_sync_init(&s);
	err = gb_results_open(job, &r);
	if (err < 0)
		return err;
	err = end_of_call(&s, (int)gb_results_ready(r, 0, 10, &s.w));
	gb_results_close(r);
	return err;
}

/* Who reads in a loop what the API does not give out. */
static void test_refused_to_many(void **state)
{
	struct gb_job *job;
	int asked, err = -1;

	atomic_store(&refusing, true);
	start("3600", SIZE, true);
	job = find_job();
	asked = httpd_count(&server, "files/out");
	for (int i = 0; i < 200; i++)
		assert_true(read_once(job) < 0);
	assert_true(httpd_count(&server, "files/out") - asked < 60);
	atomic_store(&refusing, false);
	/* One that is under way is joined, and may have been refused before. */
	for (int i = 0; i < 100 && err; i++)
		err = fetch(job);
	assert_int_equal(err, 0);
	assert_int_equal(read_once(job), 10);
	gb_job_unref(job);
	gb_close(client);
}

/* Nobody asks: the rest is found all the same. */
static void test_found_in_the_background(void **state)
{
	struct gb_job *job;

	start("2", CUT, true);
	job = find_job();
	assert_int_equal(fetch(job), 0);
	atomic_store(&served, SIZE);
	for (int i = 0; i < 500 && size_of(job) != SIZE; i++)
		usleep(20000);
	assert_all_there(job, SIZE);
	gb_job_unref(job);
	gb_close(client);
}

/* All lines are there, and one byte is not. */
static void test_the_last_newline(void **state)
{
	struct gb_job *job;

	start("3600", SIZE - 1, true);
	job = find_job();
	atomic_store(&served, SIZE - 1);
	assert_int_equal(fetch(job), 0);
	assert_all_there(job, SIZE - 1);
	assert_false(gb_verbs(job) & GB_FETCH_VERB);
	gb_job_unref(job);
	gb_close(client);
	/* Found out while it is sealed. */
	start("2", SIZE - 1, true);
	atomic_store(&bytes_once, true);
	job = find_job();
	assert_int_equal(fetch(job), 0);
	for (int i = 0; i < 500 && size_of(job) != SIZE; i++)
		usleep(20000);
	assert_all_there(job, SIZE);
	gb_job_unref(job);
	gb_close(client);
}

/* The API has no more: after two looks it is left alone; a fetch still looks. */
static void test_no_more_than_that(void **state)
{
	struct gb_job *job;
	int before = httpd_count(&server, "files/out"), asked;

	/* What the download alone takes: doubt lasts longer than the test. */
	start("100000", CUT, true);
	job = find_job();
	assert_int_equal(fetch(job), 0);
	asked = httpd_count(&server, "files/out") - before;
	gb_job_unref(job);
	gb_close(client);

	before += asked;
	start("0.3", CUT, true);
	job = find_job();
	assert_int_equal(fetch(job), 0);
	asked += before + 2;
	for (int i = 0; i < 500 && httpd_count(&server, "files/out") < asked; i++)
		usleep(20000);
	usleep(500000);
	assert_int_equal(httpd_count(&server, "files/out"), asked);
	assert_int_equal(fetch(job), 0);
	assert_int_equal(httpd_count(&server, "files/out"), asked + 1);
	assert_all_there(job, CUT);
	gb_job_unref(job);
	gb_close(client);
}

/* What is longer and no better changes nothing. */
static void test_longer_is_not_better(void **state)
{
	struct gb_job *job;
	start("3600", CUT, true);
	job = find_job();
	assert_int_equal(fetch(job), 0);
	atomic_store(&serving, padded);
	atomic_store(&served, CUT + 10);
	assert_int_equal(fetch(job), 0);
	assert_all_there(job, CUT);
	gb_job_unref(job);
	gb_close(client);
}

/* ---- in the cache ----------------------------------------------------------------- */

/* size bytes, from the start, and then the end. */
static void read_all(struct gb_results *r, size_t size)
{
	char buf[SIZE + 1];
	struct waiter_sync s;
	size_t at = 0;
	ssize_t n = 1;

	for (; n > 0; at += (size_t)n) {
		do {
			waiter_sync_init(&s);
			n = gb_results_ready(r, at, sizeof buf - at, &s.w);
		} while (n == -EINPROGRESS && (n = waiter_sync_wait(&s)) == 0);
		assert_true(n >= 0);
		if (n > 0)
			assert_int_equal(gb_results_read(r, buf + at, (size_t)n, at), n);
	}
	assert_int_equal(at, size);
	assert_memory_equal(buf, content, size);
}

static void read_anew(struct gb_job *job, size_t size)
{
	struct gb_results *r;

	assert_int_equal(gb_results_open(job, &r), 0);
	read_all(r, size);
	gb_results_close(r);
}

static bool is_sealing(struct gb_job *job)
{
	client_lock(client);
	bool sealing = job->batch->sealing != SEAL_NONE;
	client_unlock(client);
	return sealing;
}

/* Somebody has read all of it, and then it is sealed: the next reply says that it is so much
 * longer, and the API has `then` bytes of it. */
static struct gb_job *cached(size_t size, int longer, size_t then)
{
	struct gb_results *r;

	start_with(GB_FETCH_READ, "3600", size, true);
	struct gb_job *job = find_job();
	assert_int_equal(gb_results_open(job, &r), 0);
	read_all(r, size);
	atomic_store(&odd_by, longer);
	atomic_store(&served, (int)then);
	gb_results_close(r);
	while (is_sealing(job))
		usleep(1000);
	assert_int_equal(odd_by, 0);
	return job;
}

/* Whole but for the last newline; one reply has a length that is not so, and later, or at
 * once, the API has the file no more. */
static void odd_length_once(size_t size, bool gone_at_once)
{
	atomic_store(&gone_after, gone_at_once);
	struct gb_job *job = cached(size, 1000, size);

	atomic_store(&refusing, true);
	assert_int_equal(size_of(job), size);
	read_anew(job, size);
	atomic_store(&refusing, false);
	atomic_store(&gone_after, false);
	gb_job_unref(job);
	gb_close(client);
}

static void test_cached_and_odd_length(void **state)
{
	odd_length_once(SIZE - 1, false);
	odd_length_once(SIZE - 1, true);
	odd_length_once(CUT, false);
	odd_length_once(CUT, true);
}

/* It was short indeed. */
static void cached_takes_the_rest(size_t size)
{
	struct gb_job *job = cached(size, 0, SIZE);

	atomic_store(&refusing, true);
	assert_int_equal(size_of(job), SIZE);
	read_anew(job, SIZE);
	atomic_store(&refusing, false);
	gb_job_unref(job);
	gb_close(client);
}

static void test_cached_short(void **state)
{
	cached_takes_the_rest(CUT);
	cached_takes_the_rest(SIZE - 1);
}

static void expect_tally(const char *text, int64_t lines, bool cut)
{
	struct tally t;
	int fd = memfd_create("lines", MFD_CLOEXEC);

	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(tally_file(fd, (int64_t)strlen(text), &t), 0);
	assert_int_equal(t.lines, lines);
	assert_int_equal(t.cut, cut);
	close(fd);
}

static void test_tally(void **state)
{
	expect_tally("", 0, false);
	expect_tally("\n \n", 0, false);
	expect_tally("{}", 1, false);
	expect_tally("\n{}\n\r\n{\"a\":{}}\r\n\n  ", 2, false);
	expect_tally("{}\n{\"a\":{}", 2, true);
	expect_tally("{}\n{\"a\":{}\n", 2, true);
	expect_tally("{\n\"error\":{}\n}\n", 3, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_cut_at_a_line),
		cmocka_unit_test(test_cut_at_a_brace),
		cmocka_unit_test(test_on_the_other_path),
		cmocka_unit_test(test_refused_to_many),
		cmocka_unit_test(test_found_in_the_background),
		cmocka_unit_test(test_the_last_newline),
		cmocka_unit_test(test_no_more_than_that),
		cmocka_unit_test(test_longer_is_not_better),
		cmocka_unit_test(test_cached_and_odd_length),
		cmocka_unit_test(test_cached_short),
	};

	setenv("BATCHFS_TEST_REST_SECONDS", "0.05", 1);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
