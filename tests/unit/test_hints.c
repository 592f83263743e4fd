/* What a server says about when to come back, on every method: never more calls than our
 * own pauses allow, and what asks for long is kept. Counted at a server that refuses all. */
#include "client_fixture.h"
#include "httpd.h"

#include "archive/save.h"
#include "base/waiter.h"
#include "provider/all/providers.h"
#include "jobs/client.h"
#include "provider/provider.h"

#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#define INFO(delay)                                                                    \
	"{\"error\":{\"code\":503,\"message\":\"no\",\"status\":\"UNAVAILABLE\","      \
	"\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","        \
	"\"retryDelay\":\"" delay "\"}]}}"

struct hint {
	const char *headers, *body;
	bool far; /* so much that a call is not repeated by itself */
};

static const struct hint hints[] = {
	{"", "", false},
	{"Retry-After: 0\r\n", "", false},
	{"Retry-After: -5\r\n", "", false},
	{"Retry-After: Thu, 01 Jan 2015 00:00:00 GMT\r\n", "", false},
	{"Retry-After: soon\r\n", "", false},
	{"Retry-After: \r\n", "", false},
	{"Retry-After: 1e-9\r\n", "", false},
	{"", INFO("0s"), false},
	{"", INFO("-3s"), false},
	{"Retry-After: 0\r\n", INFO("0s"), false},
	{"Retry-After: 3600\r\n", "", true},
	{"Retry-After: 99999999999999999999\r\n", "", true},
	{"", INFO("3600s"), true},
	{"Retry-After: 0\r\n", INFO("3600s"), true},
	{"Retry-After: 3600\r\n", INFO("0s"), true},
	{"Retry-After: 3600\r\nRetry-After: 0\r\n", "", true},
	/* By a clock that is another than ours. */
	{"Retry-After: Mon, 01 Jan 2001 01:00:00 GMT\r\n"
	 "Date: Mon, 01 Jan 2001 00:00:00 GMT\r\n", "", true},
	{"Date: Thu, 01 Jan 2015 00:00:00 GMT\r\n"
	 "Retry-After: Thu, 01 Jan 2015 00:00:00 GMT\r\n", "", false},
	/* Not where a time has 32 bits, as on i386. */
	{"Retry-After: Thu, 01 Jan 2150 00:00:00 GMT\r\n", "", true},
	{"Date: Fri, 01 Jan 2100 00:00:00 GMT\r\n"
	 "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\n", "", false},
};
#define HINTS (ARRAY_SIZE(hints) - (sizeof(time_t) > 4 ? 0 : 2))

/* ---- the server ---------------------------------------------------------------------- */

static struct world {
	struct httpd server;
	double first; /* of our own pauses */
	_Atomic(const struct hint *) refusal; /* of what `refuses` is part of; NULL: none */
	const char *refuses;
} world;

#define JOB                                                                                \
	"{\"name\":\"batches/j1\",\"metadata\":{\"displayName\":\"j1\",\"createTime\":"    \
	"\"2026-01-01T00:00:00Z\",\"endTime\":\"2026-01-01T01:00:00Z\",\"state\":"         \
	"\"BATCH_STATE_SUCCEEDED\",\"batchStats\":{\"requestCount\":\"1\","                \
	"\"successfulRequestCount\":\"1\"},\"output\":{\"responsesFile\":\"files/out\"}}," \
	"\"done\":true,\"response\":{\"responsesFile\":\"files/out\"}}"

static bool serve(struct httpd *h, int fd, struct httpd_request *r)
{
	const struct hint *hint = world.refusal;

	if (!httpd_body(fd, r, r->length))
		return false;
	if (hint && strstr(r->head, world.refuses))
		return httpd_reply(fd, 503, hint->headers, hint->body);
	if (strstr(r->head, "POST /upload/"))
		return httpd_print(fd,
			"HTTP/1.1 200 OK\r\nX-Goog-Upload-URL: %s/session\r\n"
			"X-Goog-Upload-Status: active\r\nContent-Length: 0\r\n\r\n",
			world.server.base);
	if (strstr(r->head, "/models?"))
		return httpd_reply(
			fd, 200, "", "{\"models\":[{\"name\":\"models/m\"}]}");
	if (strstr(r->head, "/batches?"))
		return httpd_reply(fd, 200, "", "{\"operations\":[" JOB "]}");
	if (strstr(r->head, "GET /v1beta/batches/"))
		return httpd_reply(fd, 200, "", JOB);
	return httpd_reply(fd, 200, "", "{}");
}

static void refuse(const struct hint *hint, const char *what)
{
	world.refuses = what;
	world.refusal = hint;
}

static void set_pauses(double first)
{
	char text[32];

	snprintf(text, sizeof(text), "%g", first);
	setenv("BATCHFS_TEST_BACKOFF_SECONDS", text, 1);
	world.first = first;
}

/* The shortest that n pauses of our own can be. */
static double least(int n)
{
	return world.first / 2 * ((1 << n) - 1);
}

/* The most calls that growing pauses allow within so many seconds, and one more. */
static int allowed(double seconds)
{
	int n = 0;

	while (n < 7 && least(n) < seconds)
		n++;
	return n + 1 + (int)(seconds / (32 * world.first));
}

/* ---- calls of the provider ------------------------------------------------------------- */

static struct provider_conn conn;
static struct canceller none;

static void do_check(struct provider_error *e)
{
	provider_check_key(&conn, 20, &none, e);
}

static void do_models(struct provider_error *e)
{
	struct remote_models m;

	provider_models(&conn, &none, &m, e);
}

static void do_model(struct provider_error *e)
{
	unsigned methods;

	provider_model_get(&conn, "m", &none, &methods, e);
}

static void do_list(struct provider_error *e)
{
	struct remote_page page;

	provider_list(&conn, NULL, &none, &page, e);
}

static void do_next(struct provider_error *e)
{
	struct remote_page page;

	provider_list(&conn, "t", &none, &page, e);
}

static void do_get(struct provider_error *e)
{
	struct remote_batch b;

	provider_get(&conn, "batches/j1", &none, &b, e);
}

static void do_look(struct provider_error *e)
{
	struct remote_batch b;

	provider_look(&conn, "batches/j1", &none, &b, e);
}

static void do_inline(struct provider_error *e)
{
	int fd = memfd_create("lines", 0);
	struct remote_batch b;
	int64_t lines;

	provider_inline_output(&conn, "batches/j1", fd, &none, &b, &lines, e);
	close(fd);
}

static void do_create(struct provider_error *e)
{
	const struct create_args a = {.model = "m", .input_file = "files/f1"};
	struct remote_batch b;

	provider_create(&conn, &a, &none, &b, e);
}

static void do_cancel(struct provider_error *e)
{
	provider_cancel(&conn, "batches/j1", &none, e);
}

static void do_remove(struct provider_error *e)
{
	provider_remove(&conn, "batches/j1", &none, e);
}

static void do_file_remove(struct provider_error *e)
{
	provider_file_remove(&conn, "files/f1", &none, e);
}

static void do_files(struct provider_error *e)
{
	int64_t used;
	bool whole;

	provider_files_used(&conn, &none, &used, &whole, e);
}

static void do_upload(struct provider_error *e)
{
	struct upload u = {.fd = memfd_create("requests", 0), .size = 5};
	struct remote_file f;

	assert_int_equal(write(u.fd, "12345", 5), 5);
	provider_upload(&conn, &u, &none, &f, e);
	close(u.fd);
}

static const struct {
	const char *refuses; /* part of the head */
	void (*run)(struct provider_error *e);
	int most; /* calls, by the module's own limit */
} methods[] = {
	{"GET /v1beta/models?pageSize=1 ", do_check, 4},
	{"GET /v1beta/models?", do_models, 4},
	{"GET /v1beta/models/m", do_model, 4},
	{"GET /v1beta/batches?", do_list, 1},
	{"GET /v1beta/batches?", do_next, 4},
	{"GET /v1beta/batches/", do_get, 4},
	{"GET /v1beta/batches/", do_look, 1},
	{"GET /v1beta/batches/", do_inline, 4},
	{":batchGenerateContent", do_create, 1},
	{":cancel", do_cancel, 4},
	{"DELETE /v1beta/batches/", do_remove, 4},
	{"DELETE /v1beta/files/", do_file_remove, 4},
	{"GET /v1beta/files?", do_files, 4},
	{"POST /upload/", do_upload, 7},
	{"POST /session", do_upload, 7 * 2}, /* what was sent, and a question, each time */
};

static void check_method(size_t m, const struct hint *hint)
{
	struct provider_error e = {.retry = -1};
	double since = util_now();
	int before = httpd_count(&world.server, methods[m].refuses), n;

	refuse(hint, methods[m].refuses);
	methods[m].run(&e);
	n = httpd_count(&world.server, methods[m].refuses) - before;
	assert_int_not_equal(e.err, 0);
	assert_in_range(n, 1, hint->far ? 1 : methods[m].most);
	if (methods[m].run != do_upload)
		assert_true(util_now() - since >= least(n - 1));
	assert_true(hint->far ? e.retry >= 3599 : e.retry <= 0);
	provider_error_clear(&e);
}

static void test_methods(void **state)
{
	struct engine_options o = {.key = "secret-key-0123456789"};
	char *why = NULL;

	set_pauses(0.002);
	httpd_start(&world.server, serve);
	o.base = world.server.base;
	assert_int_equal(engine_new(&o, &conn.engine, &why), 0);
	assert_int_equal(engine_start(conn.engine), 0);
	conn.provider = provider_default();
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++)
		for (size_t i = 0; i < HINTS; i++)
			check_method(m, &hints[i]);
	engine_free(conn.engine);
	httpd_stop(&world.server);
}

/* ---- what a client does by itself, and for those who ask again and again ----------------- */

static struct gb_client *open_world(enum gb_fetch fetch)
{
	struct gb_options o = {.state_dir = state_dir,
		.cache_dir = cache_dir,
		.key = "secret-key",
		.poll_s = 30,
		.ttl_s = 30,
		.trash_days = 1,
		.fetch = fetch};
	static int n;
	struct gb_client *c;
	char *why = NULL;

	set_pauses(0.01);
	httpd_start(&world.server, serve);
	o.source = world.server.base;
	snprintf(state_dir, sizeof(state_dir), "%s/hints%d", top, ++n);
	snprintf(cache_dir, sizeof(cache_dir), "%s/hintscache%d", top, n);
	assert_int_equal(gb_open(&o, &c, &why), 0);
	free(why);
	return c;
}

static void close_world(struct gb_client *c)
{
	gb_close(c);
	httpd_stop(&world.server);
}

static int list_now(struct gb_client *c)
{
	struct waiter_sync s;

	waiter_sync_init(&s);
	int err = gb_list_refresh(c, GB_LIST_FRESH, &s.w);
	return (int)waiter_sync_end(&s, err);
}

static int downloads(void)
{
	return httpd_count(&world.server, "files/out:download");
}

static void await_download(int n)
{
	while (downloads() < n)
		usleep(1000);
}

/* One read of the first byte by somebody who comes and goes. */
static int read_once(struct gb_job *job)
{
	struct gb_results *r;
	struct waiter_sync s;
	ssize_t n = gb_results_open(job, &r);

	if (n)
		return (int)n;
	waiter_sync_init(&s);
	n = gb_results_ready(r, 0, 1, &s.w);
	if (n == -EINPROGRESS)
		n = waiter_sync_wait(&s);
	gb_results_close(r);
	return n < 0 ? (int)n : 0;
}

/* Results that are saved by themselves. */
static void check_saving(const struct hint *hint)
{
	double since = util_now();

	refuse(hint, ":download");
	struct gb_client *c = open_world(GB_FETCH_ALL);
	assert_int_equal(list_now(c), 0);
	await_download(1);
	struct gb_job *job = gb_job_by_name(c, "j1");
	assert_non_null(job);
	usleep(200000);
	/* A download has six tries, and is begun anew after what a seventh would wait. */
	double span = util_now() - since, round = least(5) + 32 * world.first;
	assert_in_range(downloads(), 1, hint->far ? 1 : 6 * (1 + (int)(span / round)));
	/* A person's word is another matter. */
	int before = downloads();
	if (hint->far) {
		for (int i = 0; i < 5; i++)
			assert_int_equal(read_once(job), -EIO);
		assert_int_equal(downloads(), 1);
		struct waiter_sync s;
		waiter_sync_init(&s);
		if (gb_save_results(job, &s.w) == -EINPROGRESS)
			waiter_sync_wait(&s);
		assert_int_equal(downloads(), before + 1);
	}
	gb_job_unref(job);
	close_world(c);
}

static void test_saving(void **state)
{
	for (size_t i = 0; i < HINTS; i++)
		check_saving(&hints[i]);
}

/* Reads in a loop, by one who keeps the file open and by many who open it. */
static void check_reads(const struct hint *hint)
{
	struct gb_results *r;

	refuse(hint, ":download");
	struct gb_client *c = open_world(GB_FETCH_READ);
	assert_int_equal(list_now(c), 0);
	struct gb_job *job = gb_job_by_name(c, "j1");
	assert_int_equal(gb_results_open(job, &r), 0);
	for (int i = 0; i < 20; i++) {
		struct waiter_sync s;

		waiter_sync_init(&s);
		ssize_t n = gb_results_ready(r, 0, 1, &s.w);
		assert_int_equal(waiter_sync_end(&s, n), -EIO);
		assert_int_equal(read_once(job), -EIO);
	}
	gb_results_close(r);
	assert_int_equal(downloads(), 1);
	gb_job_unref(job);
	close_world(c);
}

static void test_reads(void **state)
{
	for (size_t i = 0; i < HINTS; i++)
		if (hints[i].far)
			check_reads(&hints[i]);
}

static int read_models(struct gb_client *c)
{
	struct waiter_sync s;
	char *text = NULL;

	waiter_sync_init(&s);
	int err = gb_models(c, &s.w, &text);
	if (err == -EINPROGRESS)
		err = waiter_sync_wait(&s);
	free(text);
	return err;
}

static void test_models(void **state)
{
	for (size_t i = 0; i < HINTS; i++) {
		double since = util_now();

		struct gb_client *c = open_world(GB_FETCH_READ);
		int before = httpd_count(&world.server, "/models?");
		refuse(&hints[i], "/models?");
		for (int n = 0; n < 15; n++) {
			assert_true(read_models(c) < 0);
			usleep(2000);
		}
		int calls = httpd_count(&world.server, "/models?") - before;
		/* Each try has four of its own. */
		assert_in_range(calls, 1,
			hints[i].far ? 1 : 4 * allowed(util_now() - since));
		refuse(NULL, "");
		close_world(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_methods),
		cmocka_unit_test(test_saving), cmocka_unit_test(test_reads),
		cmocka_unit_test(test_models)};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
