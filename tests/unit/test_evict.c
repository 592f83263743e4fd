/* A cache that is too small for what is read: twelve results of others, room for three, six
 * readers. Whatever is evicted under them, they get the right bytes. */
#include "gembatch.h"
#include "httpd.h"
#include "base/util.h"
#include "base/waiter.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

enum {
	JOBS = 12,
	READERS = 6,
	LINE = 101,
	LINES = 2000,
	SIZE = LINE * LINES,
	ROUNDS = 200
};

static char top[] = "/tmp/test-evict-XXXXXX";
static char *content[JOBS];
static struct httpd server;
static struct gb_client *client;

/* ---- the API --------------------------------------------------------------------- */

static char *write_job(char *at, int i)
{
	return at +
	       sprintf(at,
		       "{\"name\":\"batches/job%d\",\"metadata\":{\"displayName\":\"job%d\","
		       "\"state\":\"BATCH_STATE_SUCCEEDED\",\"batchStats\":{\"requestCount\":"
		       "\"%d\",\"successfulRequestCount\":\"%d\"}},\"done\":true,\"response\":"
		       "{\"responsesFile\":\"files/out%d\"}}",
		       i, i, LINES, LINES, i);
}

static void write_list(char *at)
{
	at += sprintf(at, "{\"operations\":[");
	for (int i = 0; i < JOBS; i++) {
		at = write_job(at, i);
		*at++ = i < JOBS - 1 ? ',' : ']';
	}
	strcpy(at, "}");
}

static bool serve_file(int fd, const char *head, const char *file)
{
	const char *data = content[atoi(file) % JOBS];
	const char *range = strcasestr(head, "\r\nRange: bytes=");
	size_t lo = 0, hi = SIZE;
	char *end;

	if (!range)
		return httpd_reply(fd, 200, "", data);
	lo = strtoull(range + 15, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		hi = strtoull(end + 1, NULL, 10) + 1;
	if (hi > SIZE)
		hi = SIZE;
	if (lo >= SIZE)
		return httpd_reply(fd, 416, "", "");
	return httpd_print(fd,
		       "HTTP/1.1 206 X\r\nContent-Range: bytes %zu-%zu/%d\r\n"
		       "Content-Length: %zu\r\n\r\n", lo, hi - 1, SIZE, hi - lo) &&
	       httpd_send(fd, data + lo, hi - lo);
}

static bool serve(struct httpd *h, int fd, struct httpd_request *q)
{
	const char *file = strstr(q->head, "files/out"),
		   *job = strstr(q->head, "batches/job");
	char text[JOBS * 400 + 100] = "{}";

	if (file)
		return serve_file(fd, q->head, file + strlen("files/out"));
	if (job)
		write_job(text, atoi(job + strlen("batches/job")));
	else if (strstr(q->head, "/v1beta/batches?"))
		write_list(text);
	return httpd_reply(fd, 200, "Content-Type: application/json\r\n", text);
}

/* ---- set up ------------------------------------------------------------------------ */

static char *make_content(int job)
{
	char *p = malloc(SIZE + 1);

	for (int i = 0; i < LINES; i++) {
		int n = sprintf(p + i * LINE,
			"{\"key\":\"%05d\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"
			"[{\"text\":\"%02d %05d\"}]}}]}}",
			i, job, i);

		memset(p + i * LINE + n, ' ', LINE - n);
		p[i * LINE + LINE - 1] = '\n';
	}
	p[SIZE] = 0;
	return p;
}

static int group_setup(void **state)
{
	struct gb_options o = {.key = "k", .cache_max = 3 * SIZE + SIZE / 2,
		.fetch = GB_FETCH_READ, .poll_s = 1000};
	char state_dir[64], cache_dir[64], *why = NULL;
	int err;

	if (!mkdtemp(top))
		return -1;
	setenv("BATCHFS_TEST_REST_SECONDS", "0.01", 1);
	for (int i = 0; i < JOBS; i++)
		content[i] = make_content(i);
	snprintf(state_dir, sizeof state_dir, "%s/state", top);
	snprintf(cache_dir, sizeof cache_dir, "%s/cache", top);
	httpd_start(&server, serve);
	o.source = server.base;
	o.state_dir = state_dir;
	o.cache_dir = cache_dir;
	err = gb_open(&o, &client, &why);
	if (why)
		print_message("# %s\n", why);
	free(why);
	return err;
}

static int group_teardown(void **state)
{
	gb_close(client);
	httpd_stop(&server);
	for (int i = 0; i < JOBS; i++)
		free(content[i]);
	return util_remove_tree(AT_FDCWD, top);
}

/* ---- readers ----------------------------------------------------------------------- */

/* What a call came to, with its waiter s. */
static int end_of_call(struct waiter_sync *s, int err)
{
	return (int)waiter_sync_end(s, err);
}

static struct gb_job *find_job(int i)
{
	char name[16];

	snprintf(name, sizeof name, "job%d", i);
	return gb_job_by_name(client, name);
}

/* Bytes that were read right; less than SIZE: where it went wrong. */
static int64_t read_results(struct gb_job *job, const char *want)
{
	static const size_t piece = 50000;
	struct gb_results *r;
	uint64_t off = 0;
	ssize_t n = 0;
	char *buf = malloc(piece);
	int err = gb_results_open(job, &r);

	while (!err) {
		struct waiter_sync s;

		waiter_sync_init(&s);
		n = gb_results_ready(r, off, piece, &s.w);
		if (n == -EINPROGRESS) {
			err = end_of_call(&s, (int)n);
			continue;
		}
		if (n > 0)
			n = gb_results_read(r, buf, (size_t)n, off);
		if (n <= 0 || memcmp(buf, want + off, (size_t)n) != 0)
			break;
		off += (uint64_t)n;
	}
	if (!err)
		gb_results_close(r);
	free(buf);
	return err ? err : n < 0 ? n : (int64_t)off;
}

static int64_t count_answers(struct gb_job *job)
{
	struct gb_answers *a = NULL;
	int64_t lines = 0;
	uint64_t off = 0;
	char buf[8192];
	ssize_t n = 0;
	int err = -EINPROGRESS;

	for (int i = 0; i < 100 && !a && (err == -EINPROGRESS || !err); i++) {
		struct waiter_sync s;

		waiter_sync_init(&s);
		err = gb_answers_open(job, &s.w, &a);
		if (err == -EINPROGRESS)
			err = end_of_call(&s, err);
	}
	while (a && !err) {
		struct waiter_sync s;

		waiter_sync_init(&s);
		n = gb_answers_read(a, GB_ANSWERS_TSV, 0, off, buf, sizeof buf, &s.w);
		if (n == -EINPROGRESS) {
			err = end_of_call(&s, (int)n);
			continue;
		}
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
		off += (uint64_t)n;
	}
	gb_answers_close(a);
	return err ? err : n < 0 ? n : lines;
}

struct reader {
	pthread_t thread;
	unsigned seed;
	int64_t wrong; /* what came instead; SIZE: nothing did */
	bool answers;  /* it was those */
};

static void *keep_reading(void *arg)
{
	struct reader *me = arg;

	for (int i = 0; i < ROUNDS && me->wrong == SIZE; i++) {
		int n = (int)((unsigned)rand_r(&me->seed) % JOBS);
		struct gb_job *job = find_job(n);

		me->wrong = read_results(job, content[n]);
		if (me->wrong == SIZE && i % 20 == 19) {
			int64_t lines = count_answers(job);

			me->answers = lines != LINES;
			me->wrong = me->answers ? lines : SIZE;
		}
		gb_job_unref(job);
	}
	return NULL;
}

static void test_eviction_under_readers(void **state)
{
	struct reader readers[READERS];
	struct gb_job *job;
	struct waiter_sync s;

	waiter_sync_init(&s);
	assert_int_equal(
		end_of_call(&s, gb_list_refresh(client, GB_LIST_ONCE, &s.w)), 0);
	job = find_job(JOBS - 1);
	assert_non_null(job);
	gb_job_unref(job);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.seed = i, .wrong = SIZE};
		pthread_create(&readers[i].thread, NULL, keep_reading, &readers[i]);
	}
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i].thread, NULL);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(readers[i].wrong, SIZE);
		assert_false(readers[i].answers);
	}
	/* It was as small as it was to be: things went, and were fetched again. */
	assert_true(httpd_count(&server, "files/out") > 2 * JOBS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eviction_under_readers)};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
