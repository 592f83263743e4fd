#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "emulator.h"
#include "httpd.h"
#include "provider/gemini/calls.h"
#include "provider/gemini/upload.h"
#include "base/util.h"

#define KEY "secret-key-0123456789"
#define FILE_JSON                                                                      \
	"{\"file\":{\"name\":\"files/f1\",\"sizeBytes\":\"0\",\"state\":\"ACTIVE\"}}"
#define MIME_JSON                                                                      \
	"{\"error\":{\"code\":400,\"message\":\"Unsupported MIME type: "               \
	"application/jsonl\","                                                         \
	"\"status\":\"INVALID_ARGUMENT\"}}"

/* ---- an upload service that follows a script  ---- */

enum step {
	GOOD,       /* as it should be */
	DROP,       /* closed without an answer, nothing done */
	DROP_AFTER, /* done, then closed without an answer */
	HALF,       /* half of the bytes taken, then reset */
	E400,
	E404,
	E412,
	E429,
	E503,
	E400_FINAL,
	MIME,      /* 400: MIME type refused */
	NO_URL,    /* start: 200 without an upload URL */
	NAMELESS,  /* done, but the reply names no file */
	NO_STATUS, /* 200, nothing else */
	CANCELLED,
	TOO_MUCH,   /* query: more received than there is */
	PROCESSING, /* the file is not ready yet */
	END = -1
};

struct service {
	struct httpd server;
	struct engine *engine;
	struct canceller cancel;
	const int *script; /* a step for each request, GOOD after END */
	bool final;
	char *data;
	int64_t have, size;
	char mime[64];
	const char *sent_as; /* NULL: application/jsonl */
	char session[1024]; /* as the caller was told */
	int sessions, gets;
	const char *gateway; /* a path that sessions are below of; NULL: the root */
	int64_t progress;
};

static int step_of(struct service *s, int number)
{
	for (int i = 0; i <= number; i++)
		if (s->script[i] == END)
			return GOOD;
	return s->script[number];
}

static bool answer(struct service *s, int fd, int status, const char *upload_status,
	const char *body)
{
	char headers[256];

	snprintf(headers, sizeof headers, "X-Goog-Upload-Status: %s\r\n%s%lld%s",
		upload_status,
		*upload_status ? "X-Goog-Upload-Size-Received: " : "X-N: ",
		(long long)s->have, "\r\n");
	return httpd_reply(fd, status, *upload_status ? headers : "", body);
}

static bool misbehave(struct service *s, int fd, int step, bool *ret_more)
{
	static const struct {
		int step, status;
		const char *upload_status, *body;
	} replies[] = {
		{E400, 400, "active", "{}"},
		{E412, 412, "active", "{}"},
		{E404, 404, "", "<html>gone</html>"},
		{E429, 429, "", "{}"},
		{E503, 503, "", "busy"},
		{E400_FINAL, 400, "final", "{}"},
		{MIME, 400, "final", MIME_JSON},
		{NO_URL, 200, "active", "{}"},
		{NO_STATUS, 200, "", "{}"},
		{CANCELLED, 200, "cancelled", ""},
	};

	*ret_more = false;
	if (step == DROP)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
		if (replies[i].step == step) {
			*ret_more = answer(s, fd, replies[i].status,
				replies[i].upload_status, replies[i].body);
			return true;
		}
	return false;
}

static bool on_start(struct service *s, int fd, struct httpd_request *r, int step)
{
	const char *mime = strcasestr(r->head, "Header-Content-Type: ");
	char headers[256];
	bool more;

	if (mime)
		snprintf(s->mime, sizeof s->mime, "%.*s", (int)strcspn(mime + 21, "\r"),
			mime + 21);
	if (misbehave(s, fd, step, &more))
		return more;
	s->final = false;
	s->have = 0;
	snprintf(headers, sizeof headers,
		"X-Goog-Upload-Status: active\r\nX-Goog-Upload-URL: "
		"https://elsewhere.example.com/up?upload_id=S%d\r\n",
		++s->sessions);
	return httpd_reply(fd, 200, headers, "{}");
}

static bool take_bytes(struct service *s, int fd, struct httpd_request *r, int64_t n)
{
	if (!httpd_body(fd, r, n))
		return false;
	memcpy(s->data + s->have, r->body, (size_t)n);
	s->have += n;
	return true;
}

static bool on_piece(struct service *s, int fd, struct httpd_request *r, int step)
{
	const char *offset = strcasestr(r->head, "Upload-Offset: ");
	bool more;

	if (step == HALF) {
		take_bytes(s, fd, r, r->length / 2);
		httpd_reset(fd);
		return false;
	}
	if (misbehave(s, fd, step, &more)) {
		httpd_body(fd, r, r->length);
		return more;
	}
	if (!offset || atoll(offset + 15) != s->have ||
		s->have + r->length != s->size) {
		httpd_body(fd, r, r->length);
		return answer(s, fd, 400, "active", "{}");
	}
	if (!take_bytes(s, fd, r, r->length))
		return false;
	s->final = true;
	if (step == DROP_AFTER)
		return false;
	if (step == PROCESSING)
		return answer(s, fd, 200, "final",
			"{\"file\":{\"name\":\"files/f1\",\"state\":\"PROCESSING\"}}");
	return answer(s, fd, 200, "final", step == NAMELESS ? "{}" : FILE_JSON);
}

static bool on_query(struct service *s, int fd, int step)
{
	bool more;

	if (misbehave(s, fd, step, &more))
		return more;
	if (step == TOO_MUCH)
		s->have = 1LL << 60; /* of a session that is dead by this */
	return answer(s, fd, 200, s->final ? "final" : "active",
		s->final && step != NAMELESS ? FILE_JSON : "");
}

static bool serve(struct httpd *h, int fd, struct httpd_request *r)
{
	struct service *s = h->arg;
	int step = step_of(s, r->number);
	char id[64];

	if (strstr(r->head, "GET /v1beta/files/f1"))
		return httpd_reply(fd, 200, "",
			s->gets++ ? FILE_JSON
				  : "{\"name\":\"files/f1\",\"state\":"
				    "\"PROCESSING\"}");
	if (strcasestr(r->head, "Upload-Command: start")) {
		httpd_body(fd, r, r->length);
		return on_start(s, fd, r, step);
	}
	snprintf(id, sizeof id, "POST %s/up?upload_id=S%d ",
		s->gateway ? s->gateway : "", s->sessions);
	if (!strstr(r->head, id)) {
		httpd_body(fd, r, r->length);
		return httpd_reply(fd, 404, "", "<html>no such page</html>");
	}
	if (strcasestr(r->head, "Upload-Command: query"))
		return on_query(s, fd, step);
	return on_piece(s, fd, r, step);
}

/* ---- the other side  ---- */

static int on_session(void *arg, const char *url)
{
	struct service *s = arg;

	snprintf(s->session, sizeof s->session, "%s", url);
	return 0;
}

static void on_progress(void *arg, int64_t n)
{
	struct service *s = arg;

	s->progress = n;
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

static int payload(int64_t size)
{
	int fd = memfd_create("payload", MFD_CLOEXEC);
	char *text = malloc((size_t)size + 1);

	for (int64_t i = 0; i < size; i++)
		text[i] = (char)('a' + i * 7 % 26);
	assert_int_equal(util_write_all(fd, text, (size_t)size), 0);
	free(text);
	return fd;
}

static void begin(struct service *s, const int *script, int64_t size)
{
	*s = (struct service){.script = script, .size = size};
	s->data = calloc(1, (size_t)size + 1);
	httpd_start(&s->server, serve);
	s->server.arg = s;
	s->engine = engine_for(s->server.base);
}

static void end(struct service *s)
{
	engine_free(s->engine);
	httpd_stop(&s->server);
	free(s->data);
}

static int run(struct service *s, const char *session, struct provider_error *err)
{
	struct remote_file file = {0};
	struct upload u = {
		.fd = payload(s->size),
		.size = s->size,
		.mime = s->sent_as ? s->sent_as : "application/jsonl",
		.display = "some \"name\"",
		.on_session = on_session,
		.on_progress = on_progress,
		.arg = s,
	};
	int r;

	snprintf(u.session, sizeof u.session, "%s", session);
	r = upload_run(s->engine, &u, &s->cancel, &file, err);
	if (r == 0) {
		assert_string_equal(file.name, "files/f1");
		assert_true(file.active);
		for (int64_t i = 0; i < s->size; i++)
			if (s->data[i] != (char)('a' + i * 7 % 26))
				fail_msg("byte %lld is wrong", (long long)i);
	}
	remote_file_clear(&file);
	close(u.fd);
	return r;
}

/* One upload by a script; how many sessions and requests it must take. */
static void check(const int *script, int result, int sessions, int requests)
{
	struct service s;
	struct provider_error err;
	int r;

	begin(&s, script, 300000);
	r = run(&s, "", &err);
	if (r != result || s.sessions != sessions ||
		httpd_requests(&s.server) != requests)
		fail_msg("%d, %d sessions, %d requests: %s", r, s.sessions,
			httpd_requests(&s.server), err.text);
	if (r == 0) {
		assert_int_equal(s.progress, s.size);
		assert_null(err.text);
	} else {
		assert_non_null(err.text);
		assert_null(strstr(err.text, "upload_id"));
	}
	/* The key goes with each start, and with nothing else. */
	assert_int_equal(httpd_count(&s.server, KEY),
		httpd_count(&s.server, "Upload-Command: start") +
			httpd_count(&s.server, "GET /"));
	provider_error_clear(&err);
	end(&s);
}

/* Behind a gateway at /gw: what the first and the second upload take. */
static void check_gateway(
	const char *sessions_below, int result, int sessions, int first, int second)
{
	struct service s;
	struct provider_error err;
	char base[128];

	begin(&s, (int[]){END}, 1000);
	s.gateway = sessions_below;
	engine_free(s.engine);
	snprintf(base, sizeof base, "%s/gw", s.server.base);
	s.engine = engine_for(base);
	assert_int_equal(run(&s, "", &err), result);
	if (result)
		assert_non_null(strstr(err.text, "The gateway at SOURCE"));
	provider_error_clear(&err);
	assert_int_equal(s.sessions, sessions);
	assert_int_equal(httpd_requests(&s.server), first);
	if (!result) {
		assert_int_equal(run(&s, "", &err), 0);
		assert_int_equal(httpd_requests(&s.server), first + second);
		provider_error_clear(&err);
	}
	end(&s);
}

static void test_gateway(void **state)
{
	/* As Google's SDKs expect it: start, query, bytes. */
	check_gateway("", 0, 1, 3, 2);
	/* A plain one: looked for at the root first, once. */
	check_gateway("/gw", 0, 1, 4, 2);
	check_gateway("/nowhere", -EIO, 2, 6, 0);
}

static void test_good(void **state)
{
	check((int[]){END}, 0, 1, 2);
}

static void test_breaks(void **state)
{
	check((int[]){DROP, END}, 0, 1, 3);
	check((int[]){E503, NO_URL, END}, 0, 1, 4);
	check((int[]){GOOD, DROP, END}, 0, 1, 4);
	check((int[]){GOOD, HALF, GOOD, HALF, END}, 0, 1, 6);
	check((int[]){GOOD, E412, END}, 0, 1, 4);
	check((int[]){GOOD, E503, DROP, END}, 0, 1, 5);
}

static void test_lost_answer(void **state)
{
	check((int[]){GOOD, DROP_AFTER, END}, 0, 1, 3);
	check((int[]){GOOD, DROP_AFTER, E429, END}, 0, 1, 4);
}

static void test_dead_session(void **state)
{
	check((int[]){GOOD, E404, END}, 0, 2, 4);
	check((int[]){GOOD, DROP, E404, END}, 0, 2, 5);
	check((int[]){GOOD, DROP, CANCELLED, END}, 0, 2, 5);
	check((int[]){GOOD, DROP, TOO_MUCH, END}, 0, 2, 5);
	check((int[]){GOOD, E400_FINAL, END}, 0, 2, 4);
}

static void test_mime_fallback(void **state)
{
	static const int script[] = {GOOD, MIME, END};
	struct service s;
	struct provider_error err;

	begin(&s, script, 1000);
	assert_int_equal(run(&s, "", &err), 0);
	assert_string_equal(s.mime, "text/plain");
	end(&s);
	/* Only once. */
	check((int[]){GOOD, MIME, GOOD, MIME, END}, -EINVAL, 2, 4);
	check((int[]){MIME, END}, 0, 1, 3);
}

/* A picture is no text, and is not sent as one. */
static void test_mime_of_media(void **state)
{
	static const int refused[] = {GOOD, MIME, END},
			 nameless[] = {GOOD, NAMELESS, NAMELESS, END};
	struct service s;
	struct provider_error err;

	begin(&s, refused, 1000);
	s.sent_as = "image/png";
	assert_int_equal(run(&s, "", &err), -EINVAL);
	assert_int_equal(s.sessions, 1);
	assert_string_equal(s.mime, "image/png");
	provider_error_clear(&err);
	end(&s);
	begin(&s, nameless, 1000);
	s.sent_as = "image/png";
	assert_int_equal(run(&s, "", &err), 0);
	assert_string_equal(s.mime, "image/png");
	provider_error_clear(&err);
	end(&s);
}

static void test_nameless(void **state)
{
	/* 200 without a file, then the query tells; or nothing does, and it is tried
	 * as plain text. */
	check((int[]){GOOD, NAMELESS, END}, 0, 1, 3);
	check((int[]){GOOD, NAMELESS, NAMELESS, END}, 0, 2, 5);
	check((int[]){GOOD, NO_STATUS, END}, 0, 1, 4);
}

static void test_refusals(void **state)
{
	static const int forever[] = {E404, E404, END};

	check(forever, -EHOSTUNREACH, 0, 1); /* a page, not the API */
	check((int[]){GOOD, E400_FINAL, GOOD, E400_FINAL, GOOD, E400_FINAL, END},
		-EINVAL, 3, 6);
}

static void test_processing(void **state)
{
	check((int[]){GOOD, PROCESSING, END}, 0, 1, 4);
}

static void test_resume(void **state)
{
	static const int script[] = {END};
	struct service s;
	struct provider_error err;

	begin(&s, script, 5000);
	s.sessions = 1;
	s.have = 2000;
	for (int i = 0; i < 2000; i++)
		s.data[i] = (char)('a' + i * 7 % 26);
	assert_int_equal(run(&s, "https://x.example.com/up?upload_id=S1", &err), 0);
	assert_int_equal(s.sessions, 1);
	assert_int_equal(httpd_requests(&s.server), 2);
	/* A session that was dead all along. */
	assert_int_equal(run(&s, "https://x.example.com/up?upload_id=S0", &err), 0);
	assert_int_equal(s.sessions, 2);
	assert_non_null(strstr(s.session, "S2"));
	end(&s);
}

static void test_empty(void **state)
{
	static const int script[] = {END};
	struct service s;
	struct provider_error err;

	begin(&s, script, 0);
	assert_int_equal(run(&s, "", &err), 0);
	end(&s);
}

static bool never_answers(struct httpd *h, int fd, struct httpd_request *r)
{
	char c;

	recv(fd, &c, 1, 0);
	return false;
}

static void *cancel_soon(void *arg)
{
	struct service *s = arg;

	while (httpd_count(&s->server, "POST") == 0)
		usleep(1000);
	canceller_set(s->engine, &s->cancel);
	return NULL;
}

static void test_cancel(void **state)
{
	static const int script[] = {END};
	struct service s;
	struct provider_error err;
	pthread_t thread;

	begin(&s, script, 100);
	s.server.handle = never_answers;
	pthread_create(&thread, NULL, cancel_soon, &s);
	assert_int_equal(run(&s, "", &err), -ECANCELED);
	pthread_join(thread, NULL);
	provider_error_clear(&err);
	end(&s);
}

/* ---- against the emulator  ---- */

static void emulate(const char *const *args)
{
	static const char line[] =
		"{\"key\":\"k%07d\",\"request\":{\"contents\":[{\"parts\":[{\"text\":"
		"\"hello\"}]}]}}\n";
	struct emulator m;
	struct engine *e;
	struct remote_file file = {0};
	struct remote_batch b;
	struct provider_error err;
	int fd = memfd_create("lines", MFD_CLOEXEC);
	struct upload u = {
		.fd = fd, .mime = "application/jsonl", .display = "emulated"};

	if (!emulator_there())
		skip();
	for (int i = 0; i < 20000; i++)
		u.size += dprintf(fd, line, i);
	assert_true(emulator_start(&m, args));
	e = engine_for(m.base);
	if (upload_run(e, &u, NULL, &file, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(file.size, u.size);
	struct create_args in = {"gemini-3.8-flash", "emulated", file.name};
	if (gemini_create(e, &in, NULL, &b, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(b.input_file, file.name);
	remote_batch_clear(&b);
	remote_file_clear(&file);
	engine_free(e);
	emulator_stop(&m);
	close(fd);
}

static void test_emulator(void **state)
{
	emulate(NULL);
}

static void test_emulator_public_host(void **state)
{
	emulate((const char *[]){"--set",
		"public_host=https://generativelanguage.googleapis.com", NULL});
}

static void test_emulator_faults(void **state)
{
	emulate((const char *[]){
		"--fault", "match=upload&kind=cut_body&at=500000", NULL});
	emulate((const char *[]){"--set", "upload_keep=granules", "--set",
		"granularity=262144", "--fault", "match=upload&kind=cut_body&at=700000",
		NULL});
	emulate((const char *[]){"--set", "upload_keep=none", "--set",
		"upload_mismatch=416", "--fault", "match=upload&kind=cut_body&at=1000",
		NULL});
	emulate((const char *[]){"--fault", "match=upload&kind=drop_after", NULL});
	emulate((const char *[]){"--set", "processing=1", "--fault",
		"match=upload_start&kind=status&status=503", NULL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_gateway),
		cmocka_unit_test(test_breaks),
		cmocka_unit_test(test_lost_answer),
		cmocka_unit_test(test_dead_session),
		cmocka_unit_test(test_mime_fallback),
		cmocka_unit_test(test_mime_of_media),
		cmocka_unit_test(test_nameless),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_processing),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_emulator),
		cmocka_unit_test(test_emulator_public_host),
		cmocka_unit_test(test_emulator_faults),
	};

	return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
