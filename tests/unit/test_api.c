#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "provider/gemini/calls.h"
#include "provider/gemini/count_tokens.h"
#include "emulator.h"
#include "httpd.h"
#include "base/util.h"

#define KEY "secret-key-0123456789"
#define JOB "{\"name\":\"batches/b1\",\"metadata\":{\"state\":\"BATCH_STATE_PENDING\"}}"
#define OTHER_JOB                                                                      \
	"{\"name\":\"batches/b2\",\"metadata\":{\"state\":\"BATCH_STATE_PENDING\"}}"

/* ---- a server that gives the listed replies, the last one again and again  ---- */

struct reply {
	int status; /* 0: hang up; -1: hang up in the middle of the body */
	const char *headers, *body;
};

struct fixture {
	struct httpd server;
	struct engine *engine;
	const struct reply *replies;
	int n;
	char body[4096]; /* of the last request */
};

static bool serve(struct httpd *h, int fd, struct httpd_request *r)
{
	struct fixture *f = h->arg;
	const struct reply *a = &f->replies[r->number < f->n ? r->number : f->n - 1];

	if (!httpd_body(fd, r, r->length))
		return false;
	snprintf(f->body, sizeof f->body, "%s", r->body);
	if (a->status == 0)
		return false;
	if (a->status < 0) {
		httpd_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n%s",
			a->body);
		return false;
	}
	return httpd_reply(fd, a->status, a->headers ? a->headers : "", a->body);
}

static struct engine *engine_for(const char *base)
{
	struct engine_options o = {
		.base = base, .key = KEY, .key_header = "x-goog-api-key"};
	struct engine *e = NULL;
	char *why = NULL;

	assert_int_equal(engine_new(&o, &e, &why), 0);
	assert_int_equal(engine_start(e), 0);
	return e;
}

static void begin(struct fixture *f, const struct reply *replies, int n)
{
	*f = (struct fixture){.replies = replies, .n = n};
	httpd_start(&f->server, serve);
	f->server.arg = f;
	f->engine = engine_for(f->server.base);
}

static void end(struct fixture *f)
{
	engine_free(f->engine);
	httpd_stop(&f->server);
}

#define BEGIN(f, ...)                                                                  \
	static const struct reply replies_[] = {__VA_ARGS__};                          \
	begin(&f, replies_, ARRAY_SIZE(replies_))

/* ---- create  ---- */

static void test_create_bodies(void **state)
{
	struct fixture f;
	struct remote_batch b;
	struct provider_error err;

	BEGIN(f, {200, NULL, JOB});
	struct create_args by_file = {.model = "models/m-1",
		.display = "a \"b\"\n\xc3\xa4", .input_file = "files/f"};
	assert_int_equal(gemini_create(f.engine, &by_file, NULL, &b, &err), 0);
	assert_string_equal(f.body,
		"{\"batch\":{\"displayName\":\"a \\\"b\\\"\\n\xc3\xa4\","
		"\"inputConfig\":{\"fileName\":\"files/f\"}}}");
	assert_string_equal(b.id, "batches/b1");
	remote_batch_clear(&b);
	assert_int_equal(
		httpd_count(&f.server,
			"POST /v1beta/models/m-1:batchGenerateContent HTTP/1.1"),
		1);
	struct create_args inlined = {.model = "tunedModels/t", .display = "",
		.inline_requests = "{\"x\":1},{}", .inline_len = 10};
	assert_int_equal(gemini_create(f.engine, &inlined, NULL, &b, &err), 0);
	assert_string_equal(f.body,
		"{\"batch\":{\"inputConfig\":{\"requests\":{\"requests\""
		":[{\"x\":1},{}]}}}}");
	remote_batch_clear(&b);
	assert_int_equal(
		httpd_count(&f.server, "POST /v1beta/tunedModels/t:batchGenerate"), 1);
	struct create_args embeds = {.model = "e", .input_file = "files/f",
		.embedding = true, .webhook = "https://h/\"x\""};
	assert_int_equal(gemini_create(f.engine, &embeds, NULL, &b, &err), 0);
	assert_string_equal(f.body,
		"{\"batch\":{\"webhookConfig\":{\"uris\":[\"https://h/\\\"x\\\"\"]},"
		"\"inputConfig\":{\"fileName\":\"files/f\"}}}");
	remote_batch_clear(&b);
	assert_int_equal(
		httpd_count(&f.server, "POST /v1beta/models/e:asyncBatchEmbedContent"),
		1);
	assert_int_equal(httpd_count(&f.server, "Content-Type: application/json"), 3);
	end(&f);
}

#define OWN_404 "{\"error\":{\"code\":404,\"message\":\"m\",\"status\":\"NOT_FOUND\"}}"
#define OWN_429                                                                        \
	"{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}"
#define OWN_403                                                                        \
	"{\"error\":{\"code\":403,\"message\":\"m\",\"status\":\"PERMISSION_DENIED\"}}"

static void test_create_invalid(void **state)
{
	struct fixture f;
	struct remote_batch b;
	struct provider_error err;
	static const char *const bad[][3] = {
		{"../m", "d", "files/f"},
		{"m/x", "d", "files/f"},
		{"", "d", "files/f"},
		{"m", "\xff", "files/f"},
		{"m", "d", "files/../f"},
		{"m", "d", "f"},
	};

	BEGIN(f, {200, NULL, JOB});
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct create_args args = {.model = bad[i][0], .display = bad[i][1],
			.input_file = bad[i][2]};
		assert_int_equal(
			gemini_create(f.engine, &args, NULL, &b, &err), -EINVAL);
		assert_int_equal(err.sent, HTTP_NOT_SENT);
		provider_error_clear(&err);
	}
	assert_int_equal(httpd_requests(&f.server), 0);
	end(&f);
}

/* What a create's failure proves, and that nothing is ever sent twice. */
static void check_create(const struct reply *reply, int result, bool proves)
{
	struct fixture f;
	struct remote_batch b;
	struct provider_error err;
	int r;

	begin(&f, reply, 1);
	r = gemini_create(
		f.engine, &(struct create_args){"m", "d", "files/f"}, NULL, &b, &err);
	if (r != result || httpd_requests(&f.server) != 1 ||
		(err.sent == HTTP_NOT_SENT || err.refused) != proves)
		fail_msg("status %d: %d, %d requests, sent %d, refused %d",
			reply->status, r, httpd_requests(&f.server), err.sent,
			err.refused);
	provider_error_clear(&err);
	end(&f);
}

static void test_create_proofs(void **state)
{
	check_create(&(struct reply){0, NULL, NULL}, -EIO, false);
	check_create(&(struct reply){-1, NULL, JOB}, -EIO, false);
	check_create(&(struct reply){200, NULL, "{}"}, -EIO, false);
	check_create(&(struct reply){200, NULL, "<html>"}, -EIO, false);
	check_create(&(struct reply){200, "Content-Encoding: x\r\n", JOB}, -EIO, false);
	check_create(&(struct reply){302, "Location: /\r\n", ""}, -EIO, false);
	check_create(&(struct reply){408, NULL, ""}, -ETIMEDOUT, false);
	check_create(&(struct reply){409, NULL, ""}, -EBUSY, false);
	check_create(&(struct reply){499, NULL, ""}, -EIO, false);
	check_create(&(struct reply){500, NULL, ""}, -EIO, false);
	check_create(&(struct reply){503, "Retry-After: 0\r\n", ""}, -EIO, false);
	check_create(&(struct reply){404, NULL, OWN_404}, -EINVAL, true);
	check_create(&(struct reply){429, "Retry-After: 0\r\n", OWN_429}, -EDQUOT, true);
	/* Not the API's own words: something between filtered what it said. */
	check_create(&(struct reply){400, NULL, "{}"}, -EINVAL, false);
	check_create(&(struct reply){404, NULL, "<html>"}, -EINVAL, false);
	check_create(&(struct reply){413, NULL, ""}, -EFBIG, false);
	check_create(&(struct reply){429, "Retry-After: 0\r\n", ""}, -EDQUOT, false);
}

/* ---- repeating  ---- */

static void check_get(const struct reply *replies, int n, int result, int requests)
{
	struct fixture f;
	struct remote_batch b;
	struct provider_error err;
	int r;

	begin(&f, replies, n);
	r = gemini_get(f.engine, "batches/b1", -1, NULL, &b, NULL, &err);
	if (r != result || httpd_requests(&f.server) != requests)
		fail_msg("%d, %d requests", r, httpd_requests(&f.server));
	if (r == 0)
		remote_batch_clear(&b);
	provider_error_clear(&err);
	end(&f);
}

#define NOW "Retry-After: 0\r\n"
#define CHECK_GET(result, requests, ...)                                               \
	do {                                                                           \
		const struct reply list[] = {__VA_ARGS__};                             \
		check_get(list, ARRAY_SIZE(list), result, requests);                   \
	} while (0)

static void test_repeats(void **state)
{
	CHECK_GET(0, 3, {503, NOW, ""}, {429, NOW, ""}, {200, NULL, JOB});
	CHECK_GET(-EIO, 4, {503, NOW, ""});
	CHECK_GET(0, 2, {0, NULL, NULL}, {200, NULL, JOB});
	CHECK_GET(0, 2, {-1, NULL, JOB}, {200, NULL, JOB});
	CHECK_GET(-EIO, 1, {501, NOW, ""});
	CHECK_GET(-ENOENT, 1, {404, NOW, OWN_404});
	CHECK_GET(-EHOSTUNREACH, 1, {404, NOW, ""});
	CHECK_GET(-EIO, 1, {200, NULL, "junk"});
	CHECK_GET(-EIO, 1, {200, NULL, OTHER_JOB});
	CHECK_GET(-EDQUOT, 1,
		{429, NOW,
			"{\"error\":{\"message\":\"Your prepayment credits are "
			"depleted\"}}"});
	CHECK_GET(0, 2,
		{429, NULL,
			"{\"error\":{\"details\":[{\"@type\":\"x/"
			"google.rpc.RetryInfo\","
			"\"retryDelay\":\"0.01s\"}]}}"},
		{200, NULL, JOB});
}

static void *cancel_soon(void *arg)
{
	void **args = arg;
	struct fixture *f = args[0];

	while (httpd_count(&f->server, "GET") == 0)
		usleep(1000);
	usleep(10000);
	canceller_set(f->engine, args[1]);
	return NULL;
}

static void test_cancelled_in_pause(void **state)
{
	struct fixture f;
	struct canceller c = CANCELLER_INIT;
	struct remote_batch b;
	struct provider_error err;
	void *args[] = {&f, &c};
	pthread_t thread;

	BEGIN(f, {503, "Retry-After: 50\r\n", ""});
	pthread_create(&thread, NULL, cancel_soon, args);
	assert_int_equal(
		gemini_get(f.engine, "batches/b1", -1, &c, &b, NULL, &err), -ECANCELED);
	pthread_join(thread, NULL);
	provider_error_clear(&err);
	end(&f);
}

static void test_check_key(void **state)
{
	struct fixture f;
	struct provider_error err;

	BEGIN(f, {400, NULL,
			 "{\"error\":{\"code\":400,\"message\":\"API key not "
			 "valid.\"}}"});
	assert_int_equal(gemini_check_key(f.engine, 10, NULL, &err), -EACCES);
	assert_non_null(strstr(err.text, "\nAPI key not valid."));
	provider_error_clear(&err);
	assert_int_equal(httpd_count(&f.server, "GET /v1beta/models?pageSize=1 "), 1);
	end(&f);
}

/* ---- tokens  ---- */

static bool is_loose(void *arg, const char *uri)
{
	return strcmp(uri, "cat.png") == 0;
}

static void test_count_bodies(void **state)
{
#define ASK "{\"generateContentRequest\":{\"model\":\"models/m\","
	static const char files[] =
		"{\"contents\":[{\"parts\":[{\"text\":\"a\"},{\"file_data\":{\"file_uri\":"
		"\"cat.png\"}},{\"fileData\":{\"fileUri\":\"https://x/y\"}}]},{\"parts\":"
		"[{\"fileData\":{\"fileUri\":\"cat.png\"}}]}]}";
	static const struct {
		struct count_args args;
		const char *body;
	} rows[] = {
		{{.model = "m", .request = "{\"contents\": [{}]}"},
			ASK "\"contents\": [{}]}}"},
		{{.model = "models/m", .request = "{ \"contents\":1,\"tools\":[]}"},
			ASK " \"contents\":1,\"tools\":[]}}"},
		{{.model = "m", .request = "{\"model\":\"x\",\"contents\":[]}"},
			"{\"generateContentRequest\":{\"model\":\"models/m\","
			"\"contents\":[]}}"},
		{{.model = "m", .request = files, .leave_out = is_loose},
			"{\"generateContentRequest\":{\"contents\":[{\"parts\":["
			"{\"text\":\"a\"},{\"fileData\":{\"fileUri\":\"https://x/y\"}}]},"
			"{\"parts\":[{\"text\":\".\"}]}],\"model\":\"models/m\"}}"},
		{{.model = "m", .embedding = true,
			 .request = "{\"taskType\":\"X\",\"content\":{\"parts\":[]}}"},
			"{\"contents\":[{\"parts\":[]}]}"},
		{{.model = "m", .data = "Man!", .data_len = 4, .mime = "image/png"},
			"{\"contents\":[{\"parts\":[{\"inlineData\":{\"mimeType\":"
			"\"image/png\",\"data\":\"TWFuIQ==\"}}]}]}"},
		{{.model = "m", .uri = "https://x/f", .mime = "audio/wav"},
			"{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":"
			"\"audio/wav\",\"fileUri\":\"https://x/f\"}}]}]}"},
	};
	struct fixture f;
	struct provider_error err;
	int64_t n;

	BEGIN(f, {200, NULL, "{\"totalTokens\":31}"});
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct count_args a = rows[i].args;

		a.request_len = a.request ? strlen(a.request) : 0;
		n = 0;
		assert_int_equal(gemini_count(f.engine, &a, NULL, &n, &err), 0);
		assert_int_equal(n, 31);
		assert_string_equal(f.body, rows[i].body);
	}
	assert_int_equal(
		httpd_count(&f.server, "POST /v1beta/models/m:countTokens HTTP/1.1"),
		ARRAY_SIZE(rows));
	end(&f);
}

static void test_count_replies(void **state)
{
	static const int errs[] = {-EIO, -EIO, -EIO, -EIO, -EINVAL, -ENOENT};
	const struct count_args a = {
		.model = "m", .request = "{\"contents\":1}", .request_len = 14};
	const struct count_args bad = {
		.model = "a/b", .request = "{\"contents\":1}", .request_len = 14};
	struct fixture f;
	struct provider_error err;
	int64_t n = 7;

	BEGIN(f, {200, NULL, "{}"}, {200, NULL, "<html>Log in</html>"},
		{200, NULL, "{\"totalTokens\":-1}"},
		{200, NULL, "{\"totalTokens\":1,\"error\":{\"code\":400}}"},
		{400, NULL,
			"{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\","
			"\"message\":\"m\"}}"},
		{404, NULL, OWN_404}, {200, NULL, "{\"totalTokens\":\"12\"}"});
	for (size_t i = 0; i < ARRAY_SIZE(errs); i++) {
		assert_int_equal(gemini_count(f.engine, &a, NULL, &n, &err), errs[i]);
		provider_error_clear(&err);
	}
	assert_int_equal(n, 7);
	assert_int_equal(gemini_count(f.engine, &bad, NULL, &n, &err), -EINVAL);
	provider_error_clear(&err);
	assert_int_equal(gemini_count(f.engine, &a, NULL, &n, &err), 0);
	assert_int_equal(n, 12);
	end(&f);
}

/* ---- verbs  ---- */

static void test_verbs(void **state)
{
	struct fixture f;
	struct provider_error err;

	BEGIN(f, {200, NULL, "{}"}, {404, NULL, OWN_404}, {404, NULL, OWN_404},
		{403, NULL, OWN_403}, {404, NULL, OWN_404});
	assert_int_equal(gemini_cancel(f.engine, "batches/b1", NULL, &err), 0);
	assert_string_equal(f.body, "{}");
	assert_int_equal(gemini_delete(f.engine, "batches/b1", NULL, &err), -ENOENT);
	provider_error_clear(&err);
	assert_int_equal(gemini_file_delete(f.engine, "files/f1", NULL, &err), 0);
	provider_error_clear(&err);
	assert_int_equal(gemini_file_delete(f.engine, "files/f1", NULL, &err), -EACCES);
	provider_error_clear(&err);
	assert_int_equal(gemini_cancel(f.engine, "batches/b1", NULL, &err), -ENOENT);
	provider_error_clear(&err);
	assert_int_equal(httpd_count(&f.server, "POST /v1beta/batches/b1:cancel "), 2);
	assert_int_equal(httpd_count(&f.server, "DELETE /v1beta/batches/b1 "), 1);
	assert_int_equal(httpd_count(&f.server, "DELETE /v1beta/files/f1 "), 2);
	assert_int_equal(
		gemini_delete(f.engine, "batches/../files", NULL, &err), -EINVAL);
	provider_error_clear(&err);
	assert_int_equal(httpd_requests(&f.server), 5);
	end(&f);
}

/* What a proxy says in the API's place is no deed. */
static void test_verbs_answered_by_a_page(void **state)
{
	struct fixture f;
	struct provider_error err;

	BEGIN(f, {200, NULL, "<html>Log in</html>"}, {200, NULL, "[]"},
		{200, NULL, "{"},
		{200, NULL, "{\"error\":{\"code\":503,\"message\":\"m\"}}"},
		{200, NULL, "{\"message\":\"log in\"}"}, {200, NULL, ""});
	assert_int_equal(gemini_cancel(f.engine, "batches/b1", NULL, &err), -EIO);
	provider_error_clear(&err);
	assert_int_equal(gemini_delete(f.engine, "batches/b1", NULL, &err), -EIO);
	provider_error_clear(&err);
	assert_int_equal(gemini_file_delete(f.engine, "files/f1", NULL, &err), -EIO);
	provider_error_clear(&err);
	assert_int_equal(gemini_delete(f.engine, "batches/b1", NULL, &err), -EIO);
	provider_error_clear(&err);
	assert_int_equal(gemini_cancel(f.engine, "batches/b1", NULL, &err), -EIO);
	provider_error_clear(&err);
	assert_int_equal(gemini_delete(f.engine, "batches/b1", NULL, &err), 0);
	end(&f);
}

static void test_list_token(void **state)
{
	struct fixture f;
	struct remote_page p;
	struct provider_error err;

	BEGIN(f, {200, NULL,
			 "{\"operations\":[" JOB "],\"nextPageToken\":\"a/b&c=d\"}"});
	assert_int_equal(gemini_list(f.engine, NULL, NULL, &p, &err), 0);
	assert_int_equal(p.n, 1);
	assert_string_equal(p.next, "a/b&c=d");
	remote_page_clear(&p);
	/* The same token again: no end to it, so that is the end. */
	assert_int_equal(gemini_list(f.engine, "a/b&c=d", NULL, &p, &err), 0);
	assert_null(p.next);
	remote_page_clear(&p);
	assert_int_equal(
		httpd_count(&f.server,
			"GET /v1beta/batches?pageSize=100&pageToken=a%2Fb%26c%3Dd "
			"HTTP"),
		1);
	end(&f);
}

static void test_models_end(void **state)
{
	struct fixture f;
	struct provider_error err;
	struct remote_models all;

	/* A server that never stops paging. */
	BEGIN(f, {200, NULL,
			 "{\"models\":[{\"name\":\"models/"
			 "m\",\"supportedGenerationMethods\""
			 ":[\"batchGenerateContent\"]}],\"nextPageToken\":\"again\"}"});
	assert_int_equal(gemini_models(f.engine, NULL, &all, &err), 0);
	assert_int_equal(all.n, httpd_requests(&f.server));
	assert_string_equal(all.list[1].name, "m");
	assert_true(httpd_requests(&f.server) <= 20);
	remote_models_clear(&all);
	end(&f);
}

static void test_download_request(void **state)
{
	char path[256], tiny[20];
	struct http_request r;

	assert_int_equal(gemini_download_request(
				 "files/batch-x1", false, path, sizeof path, "0-", &r),
		0);
	assert_string_equal(path, "/download/v1beta/files/batch-x1:download?alt=media");
	assert_string_equal(r.accept_range, "0-");
	assert_int_equal(gemini_download_request(
				 "files/batch-x1", true, path, sizeof path, NULL, &r),
		0);
	assert_string_equal(path, "/v1beta/files/batch-x1:download?alt=media");
	assert_int_equal(gemini_download_request(
				 "files/batch-x1", false, path, sizeof path, "0-", &r),
		0);
	assert_int_equal(r.method, HTTP_GET);
	assert_int_equal(gemini_download_request(
				 "files/../x", false, path, sizeof path, NULL, &r),
		-EINVAL);
	assert_int_equal(gemini_download_request(
				 "files/batch-x1", false, tiny, sizeof tiny, NULL, &r),
		-ENAMETOOLONG);
}

/* ---- inline output  ---- */

#define INLINE                                                                         \
	"{\"name\":\"batches/b1\",\"done\":true,\"metadata\":{\"state\":"              \
	"\"BATCH_STATE_SUCCEEDED\"},\"response\":{\"inlinedResponses\":{"              \
	"\"inlinedResponses\":[{\"response\":{\"x\":1},\"metadata\":{\"key\":\"a\"}}," \
	"{"                                                                            \
	"\"error\":{\"code\":3},\"metadata\":{\"key\":\"b\"}}]}}}"
#define LINES                                                                          \
	"{\"response\":{\"x\":1},\"key\":\"a\"}\n{\"error\":{\"code\":3},\"key\":"     \
	"\"b\"}\n"

static void check_lines(int fd, const char *want)
{
	char text[1024] = "";

	assert_int_equal(pread(fd, text, sizeof text - 1, 0), strlen(want));
	assert_string_equal(text, want);
}

static void test_inline(void **state)
{
	struct fixture f;
	struct remote_batch b;
	struct provider_error err;
	int64_t lines = 0;
	int fd = memfd_create("lines", MFD_CLOEXEC);

	/* The first try breaks off within the list: its lines must not stay. */
	BEGIN(f, {-1, NULL, INLINE}, {200, NULL, INLINE});
	assert_int_equal(
		gemini_get(f.engine, "batches/b1", fd, NULL, &b, &lines, &err), 0);
	assert_int_equal(lines, 2);
	check_lines(fd, LINES);
	assert_true(b.output_inline);
	assert_null(strstr(b.json, "\"x\""));
	assert_int_equal(b.state, REMOTE_STATE_SUCCEEDED);
	remote_batch_clear(&b);
	assert_int_equal(
		gemini_get(f.engine, "batches/b1", -1, NULL, &b, NULL, &err), 0);
	assert_true(b.output_inline);
	remote_batch_clear(&b);
	close(fd);
	/* A descriptor that takes nothing. */
	fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(gemini_get(f.engine, "batches/b1", fd, NULL, &b, &lines, &err),
		-ENOSPC);
	provider_error_clear(&err);
	close(fd);
	end(&f);
}

/* ---- against the emulator  ---- */

static struct remote_batch await_end(struct engine *e, const char *id)
{
	for (;;) {
		struct remote_batch b;
		struct provider_error err;

		if (gemini_get(e, id, -1, NULL, &b, NULL, &err) < 0)
			fail_msg("%s", err.text);
		if (b.ended)
			return b;
		remote_batch_clear(&b);
		usleep(20000);
	}
}

static void emulate(const char *const *args, bool file_output)
{
	static const char request[] =
		"{\"request\":{\"contents\":[{\"parts\":[{\"text\":"
		"\"hi\"}]}]},\"metadata\":{\"key\":\"k1\"}}";
	struct emulator m;
	struct engine *e;
	struct provider_error err;
	struct remote_batch b;
	struct remote_page p;
	struct remote_models all;
	unsigned methods = 0;
	char id[64];
	int64_t lines = 0;
	int fd = memfd_create("lines", MFD_CLOEXEC);

	if (!emulator_there())
		skip();
	assert_true(emulator_start(&m, args));
	e = engine_for(m.base);
	assert_int_equal(gemini_check_key(e, 10, NULL, &err), 0);
	assert_int_equal(gemini_models(e, NULL, &all, &err), 0);
	assert_true(all.n > 5);
	remote_models_clear(&all);
	assert_int_equal(
		gemini_model_get(e, "gemini-3.8-flash", NULL, &methods, &err), 0);
	assert_int_equal(methods, BATCH_GENERATE);
	assert_int_equal(
		gemini_model_get(e, "no-such-model", NULL, &methods, &err), -ENOENT);
	assert_true(err.from_api);
	provider_error_clear(&err);
	struct create_args args_in = {.model = "gemini-3.8-flash",
		.display = "emulated",
		.inline_requests = request,
		.inline_len = strlen(request)};
	if (gemini_create(e, &args_in, NULL, &b, &err) < 0)
		fail_msg("%s", err.text);
	snprintf(id, sizeof id, "%s", b.id);
	remote_batch_clear(&b);
	assert_int_equal(gemini_list(e, NULL, NULL, &p, &err), 0);
	assert_int_equal(p.n, 1);
	assert_string_equal(p.batches[0].id, id);
	assert_string_equal(p.batches[0].display, "emulated");
	remote_page_clear(&p);
	b = await_end(e, id);
	assert_int_equal(b.state, REMOTE_STATE_SUCCEEDED);
	assert_int_equal(b.output_inline, !file_output);
	assert_int_equal(b.output_file != NULL, file_output);
	remote_batch_clear(&b);
	if (!file_output) {
		assert_int_equal(gemini_get(e, id, fd, NULL, &b, &lines, &err), 0);
		assert_int_equal(lines, 1);
		remote_batch_clear(&b);
	}
	assert_int_equal(gemini_cancel(e, id, NULL, &err), 0);
	assert_int_equal(gemini_delete(e, id, NULL, &err), 0);
	assert_int_equal(gemini_delete(e, id, NULL, &err), -ENOENT);
	provider_error_clear(&err);
	assert_int_equal(gemini_get(e, id, -1, NULL, &b, NULL, &err), -ENOENT);
	provider_error_clear(&err);
	engine_free(e);
	emulator_stop(&m);
	close(fd);
}

#define FAST "--pending", "0.05", "--running", "0.05"

static void test_emulator(void **state)
{
	emulate((const char *[]){FAST, NULL}, false);
	emulate((const char *[]){FAST, "--key", KEY, "--set", "output_kind=flat",
			"--set", "state_spelling=job", "--set", "counts=number", NULL},
		false);
	emulate((const char *[]){FAST, "--set", "output_kind=file", "--set",
			"state_spelling=bare", "--set", "output_where=response", NULL},
		true);
	emulate((const char *[]){FAST, "--set", "state_missing=on", "--set",
			"no_stats=on", "--set", "pretty=off", "--set", "json_length=on",
			NULL},
		false);
	emulate((const char *[]){FAST, "--prefix", "/gateway", NULL}, false);
}

static void test_emulator_errors(void **state)
{
	static const char *const shapes[] = {"object", "array", "text", "html"};

	if (!emulator_there())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct emulator m;
		struct engine *e;
		struct provider_error err;
		struct remote_batch b;
		char set[64];

		snprintf(set, sizeof set, "error_shape=%s", shapes[i]);
		assert_true(emulator_start(&m, (const char *[]){"--set", set, NULL}));
		e = engine_for(m.base);
		/* The last two are no words of the API's own. */
		assert_int_equal(
			gemini_get(e, "batches/none", -1, NULL, &b, NULL, &err),
			i < 2 ? -ENOENT : -EHOSTUNREACH);
		assert_non_null(err.text);
		assert_null(strchr(err.text, '<'));
		provider_error_clear(&err);
		engine_free(e);
		emulator_stop(&m);
	}
}

static void test_emulator_oddities(void **state)
{
	static const char *const kinds[] = {"wrongtypes", "hugejson&bytes=20000000",
		"deepjson&bytes=1000000", "garbage", "truncate&at=20",
		"html&status=200", "html&status=500&count=9",
		"status&status=500&count=9", "cut&at=30&count=9"};

	if (!emulator_there())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct emulator m;
		struct engine *e;
		struct provider_error err;
		struct remote_page p;
		char fault[128];
		int r;

		snprintf(fault, sizeof fault, "match=list&kind=%s", kinds[i]);
		assert_true(
			emulator_start(&m, (const char *[]){"--fault", fault, NULL}));
		e = engine_for(m.base);
		r = gemini_list(e, NULL, NULL, &p, &err);
		if (r == 0) {
			assert_int_equal(p.n, 0);
			remote_page_clear(&p);
		} else {
			assert_true(r == -EIO);
			assert_non_null(err.text);
		}
		provider_error_clear(&err);
		engine_free(e);
		emulator_stop(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_bodies),
		cmocka_unit_test(test_create_invalid),
		cmocka_unit_test(test_create_proofs),
		cmocka_unit_test(test_repeats),
		cmocka_unit_test(test_cancelled_in_pause),
		cmocka_unit_test(test_check_key),
		cmocka_unit_test(test_count_bodies),
		cmocka_unit_test(test_count_replies),
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_verbs_answered_by_a_page),
		cmocka_unit_test(test_list_token),
		cmocka_unit_test(test_models_end),
		cmocka_unit_test(test_download_request),
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_emulator),
		cmocka_unit_test(test_emulator_errors),
		cmocka_unit_test(test_emulator_oddities),
	};

	return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
