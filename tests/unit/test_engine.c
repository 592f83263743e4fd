#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "engine.h"
#include "httpd.h"
#include "util.h"

#define KEY "secret-key-0123456789"

/* ---- one server and one engine a test  ---- */

struct fixture {
	struct httpd server, other;
	struct engine *engine;
	struct canceller cancel;
};

static struct engine *engine_for(const char *base)
{
	struct engine_options o = {.base = base, .key = KEY, .user_agent = "test/1"};
	struct engine *e = NULL;
	char *why = NULL;

	assert_int_equal(engine_new(&o, &e, &why), 0);
	assert_null(why);
	assert_int_equal(engine_start(e), 0);
	return e;
}

static void begin(struct fixture *f,
	bool (*handle)(struct httpd *h, int fd, struct httpd_request *r))
{
	memset(f, 0, sizeof *f);
	httpd_start(&f->server, handle);
	f->server.arg = f;
	f->engine = engine_for(f->server.base);
}

static void end(struct fixture *f)
{
	engine_free(f->engine);
	httpd_stop(&f->server);
}

static struct http_request get(const char *path)
{
	return (struct http_request){
		.method = HTTP_GET, .path = path, .body_fd = -1, .deadline = 20};
}

static struct http_request post(const void *body, size_t n)
{
	return (struct http_request){.method = HTTP_POST,
		.path = "/v1beta/x",
		.body = body,
		.body_len = n,
		.body_fd = -1,
		.deadline = 20,
		.once = true};
}

static int run(
	struct fixture *f, const struct http_request *r, struct http_reply *reply)
{
	return engine_call(f->engine, r, &f->cancel, reply);
}

/* ---- bases and keys  ---- */

static int try_new(const char *base, const char *key)
{
	struct engine_options o = {.base = base, .key = key};
	struct engine *e = NULL;
	char *why = NULL;
	int r = engine_new(&o, &e, &why);

	if (r < 0)
		assert_non_null(why);
	free(why);
	engine_free(e);
	return r;
}

static void test_new_refuses(void **state)
{
	assert_int_equal(try_new("http://example.com", KEY), -EACCES);
	assert_int_equal(try_new("http://127.0.0.1.example.com", KEY), -EACCES);
	assert_int_equal(try_new("http://10.0.0.1/", KEY), -EACCES);
	assert_int_equal(try_new("ftp://localhost", KEY), -EINVAL);
	assert_int_equal(try_new("", KEY), -EINVAL);
	assert_int_equal(try_new("https://a@example.com", KEY), -EINVAL);
	assert_int_equal(try_new("https://example.com", "a\r\nX-Evil: 1"), -EINVAL);
	assert_int_equal(try_new("https://example.com", "a b"), -EINVAL);
	assert_int_equal(try_new("https://example.com", "\x80"), -EINVAL);
	assert_int_equal(try_new("https://example.com", KEY), 0);
	assert_int_equal(try_new("http://[::1]:8080/gw/", KEY), 0);
	assert_int_equal(try_new("http://localhost", NULL), 0);
}

/* ---- plain calls  ---- */

static bool ok_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return httpd_reply(fd, 200,
		"ETag: \"abc\"\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nRetry-After: "
		"7\r\n"
		"Content-Range: bytes 5-9/123\r\nX-Goog-Upload-Status: active\r\n"
		"x-goog-upload-size-received: 42\r\n",
		"hello");
}

static void test_get(void **state)
{
	struct fixture f;
	struct http_request r = get("/v1beta/models?pageSize=1");
	struct http_reply p;

	begin(&f, ok_handler);
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.status, 200);
	assert_string_equal(p.body, "hello");
	assert_int_equal(p.body_len, 5);
	assert_true(p.complete);
	assert_int_equal(p.content_length, 5);
	assert_int_equal(p.range_start, 5);
	assert_int_equal(p.range_total, 123);
	assert_string_equal(p.etag, "\"abc\"");
	assert_string_equal(p.upload_status, "active");
	assert_int_equal(p.upload_received, 42);
	assert_int_equal(p.upload_granularity, -1);
	assert_true(p.retry_after == 7);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "x-goog-api-key: " KEY "\r\n"), 1);
	assert_int_equal(httpd_count(&f.server, "GET /v1beta/models?pageSize=1 "), 1);
	assert_int_equal(httpd_count(&f.server, "User-Agent: test/1"), 1);
	assert_in_range(engine_server_time(f.engine), 1767323045, 1767323047);
	assert_int_equal(engine_calls(f.engine), 1);
	assert_true(engine_answered(f.engine) > 0);
	end(&f);
}

static void test_base_path(void **state)
{
	struct fixture f;
	struct http_request r = get("/v1beta/models");
	struct http_reply p;
	char base[128];

	begin(&f, ok_handler);
	engine_free(f.engine);
	snprintf(base, sizeof base, "%s/gate/way/", f.server.base);
	f.engine = engine_for(base);
	assert_string_equal(engine_origin(f.engine), f.server.base);
	assert_int_equal(run(&f, &r, &p), 0);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "GET /gate/way/v1beta/models "), 1);
	/* An upload session keeps its path, loses its host, and gets no key. */
	r = (struct http_request){.method = HTTP_POST,
		.session_url =
			"https://upload.example.com/upload/v1beta/files?upload_id=x",
		.body_fd = -1,
		.no_key = true,
		.deadline = 20};
	assert_int_equal(run(&f, &r, &p), 0);
	http_reply_clear(&p);
	assert_int_equal(
		httpd_count(&f.server, "POST /upload/v1beta/files?upload_id=x HTTP"),
		1);
	assert_int_equal(httpd_count(&f.server, KEY), 1);
	assert_int_equal(httpd_count(&f.server, "Expect:"), 0);
	end(&f);
}

static void test_bad_headers(void **state)
{
	static const char *const headers[] = {"X-A: b\r\nX-Evil: c", NULL};
	struct fixture f;
	struct http_request r = get("/x");
	struct http_reply p;

	begin(&f, ok_handler);
	r.headers = headers;
	assert_int_equal(run(&f, &r, &p), -EINVAL);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "GET"), 0);
	end(&f);
}

/* ---- redirects  ---- */

static bool target_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return httpd_reply(fd, 200, "", "there");
}

static bool redirect_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	struct fixture *f = h->arg;
	char headers[256];

	httpd_body(fd, r, r->length);
	if (strstr(r->head, "/away"))
		snprintf(headers, sizeof headers, "Location: %s/t\r\n", f->other.base);
	else if (strstr(r->head, "/home"))
		snprintf(headers, sizeof headers, "Location: there?x=1\r\n");
	else if (strstr(r->head, "/loop"))
		snprintf(headers, sizeof headers, "Location: /loop\r\n");
	else if (strstr(r->head, "/plain"))
		snprintf(headers, sizeof headers, "Location: http://example.com/\r\n");
	else
		return httpd_reply(fd, 200, "", "here");
	return httpd_reply(fd, 302, headers, "moved");
}

static void begin_redirects(struct fixture *f)
{
	begin(f, redirect_handler);
	httpd_start(&f->other, target_handler);
}

static void end_redirects(struct fixture *f)
{
	httpd_stop(&f->other);
	end(f);
}

static void test_redirect_away_without_key(void **state)
{
	struct fixture f;
	struct http_request r = get("/away");
	struct http_reply p;

	begin_redirects(&f);
	r.accept_range = "0-3";
	assert_int_equal(run(&f, &r, &p), 0);
	assert_string_equal(p.body, "there");
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.other, "GET /t "), 1);
	assert_int_equal(httpd_count(&f.other, "Range: bytes=0-3"), 1);
	assert_int_equal(httpd_count(&f.other, "api-key"), 0);
	assert_int_equal(httpd_count(&f.other, KEY), 0);
	assert_int_equal(httpd_count(&f.server, KEY), 1);
	end_redirects(&f);
}

static void test_redirect_home_with_key(void **state)
{
	struct fixture f;
	struct http_request r = get("/v1/home");
	struct http_reply p;

	begin_redirects(&f);
	assert_int_equal(run(&f, &r, &p), 0);
	assert_string_equal(p.body, "here");
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "GET /v1/there?x=1 "), 1);
	assert_int_equal(httpd_count(&f.server, KEY), 2);
	end_redirects(&f);
}

static int count_head(void *arg, const struct http_reply *head)
{
	++*(int *)arg;
	return 0;
}

static void test_redirect_limits(void **state)
{
	struct fixture f;
	struct http_request r = get("/loop");
	struct http_reply p;
	int heads = 0;

	begin_redirects(&f);
	r.on_head = count_head;
	r.arg = &heads;
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.status, 302);
	assert_int_equal(heads, 1);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "GET /loop "), 4);
	r = get("/plain");
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.status, 302);
	assert_string_equal(p.body, "moved");
	http_reply_clear(&p);
	end_redirects(&f);
}

static void test_no_redirect_of_post(void **state)
{
	struct fixture f;
	struct http_request r = post("abc", 3);
	struct http_reply p;

	begin_redirects(&f);
	r.path = "/away";
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.status, 302);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.other, " "), 0);
	end_redirects(&f);
}

/* ---- proxies  ---- */

static const char *const proxy_names[] = {"http_proxy", "https_proxy", "all_proxy"};

static bool proxy_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_reply(fd, 403, "", "no");
	return false;
}

static void test_proxies(void **state)
{
	struct fixture f;
	struct http_request r = get("/x");
	struct http_reply p;
	struct engine *e;

	begin(&f, ok_handler);
	httpd_start(&f.other, proxy_handler);
	for (size_t i = 0; i < ARRAY_SIZE(proxy_names); i++)
		setenv(proxy_names[i], f.other.base, 1);
	/* Plain http never goes through one. */
	assert_int_equal(run(&f, &r, &p), 0);
	http_reply_clear(&p);
	assert_int_equal(httpd_requests(&f.other), 0);
	/* https may, but the proxy does not see the key, and what it says is no reply
	 * of the API. */
	e = engine_for("https://api.example.com");
	r = post("abc", 3);
	assert_int_equal(engine_call(e, &r, NULL, &p), -EHOSTUNREACH);
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	assert_int_equal(p.status, 0);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.other, "CONNECT api.example.com:443"), 1);
	assert_int_equal(httpd_count(&f.other, KEY), 0);
	engine_free(e);
	for (size_t i = 0; i < ARRAY_SIZE(proxy_names); i++)
		unsetenv(proxy_names[i]);
	httpd_stop(&f.other);
	end(&f);
}

/* ---- how far it got  ---- */

static bool drop_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	if (strstr(r->head, "/early")) {
		httpd_body(fd, r, 1000);
		httpd_reset(fd);
		return false;
	}
	httpd_body(fd, r, r->length);
	if (strstr(r->head, "/garbage"))
		httpd_print(fd, "\x16\x03 this is no HTTP at all\r\n\r\n");
	if (strstr(r->head, "/cut"))
		httpd_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"na");
	if (strstr(r->head, "/cut400"))
		httpd_print(fd, "HTTP/1.1 400 No\r\nContent-Length: 50\r\n\r\n{\"na");
	return false;
}

static void test_sent_refused_connection(void **state)
{
	struct engine *e = engine_for("http://127.0.0.1:1");
	struct http_request r = post("abc", 3);
	struct http_reply p;

	assert_int_equal(engine_call(e, &r, NULL, &p), -EHOSTUNREACH);
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	assert_int_equal(p.status, 0);
	assert_true(strlen(p.error) > 0);
	http_reply_clear(&p);
	engine_free(e);
}

static void test_sent_no_name(void **state)
{
	struct engine *e = engine_for("https://does-not-exist.invalid");
	struct http_request r = post("abc", 3);
	struct http_reply p;

	assert_int_equal(engine_call(e, &r, NULL, &p), -EHOSTUNREACH);
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	http_reply_clear(&p);
	engine_free(e);
}

static bool tls_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return false;
}

static void test_sent_no_tls(void **state)
{
	struct fixture f;
	struct http_request r = post("abc", 3);
	struct http_reply p;
	char base[64];

	begin(&f, tls_handler);
	engine_free(f.engine);
	snprintf(base, sizeof base, "https://127.0.0.1:%d", f.server.port);
	f.engine = engine_for(base);
	httpd_stop(&f.server);
	assert_int_equal(run(&f, &r, &p), -EHOSTUNREACH);
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	http_reply_clear(&p);
	engine_free(f.engine);
}

static void check_drop(const char *path, size_t size, enum http_sent sent, long status)
{
	struct fixture f;
	char *body = calloc(1, size);
	struct http_request r = post(body, size);
	struct http_reply p;

	begin(&f, drop_handler);
	r.path = path;
	assert_int_equal(run(&f, &r, &p), -EIO);
	assert_int_equal(p.sent, sent);
	assert_int_equal(p.status, status);
	assert_false(p.complete);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "POST "), 1);
	free(body);
	end(&f);
}

static void test_sent_dropped(void **state)
{
	check_drop("/early", 64 << 20, HTTP_NOT_SENT, 0);
	check_drop("/late", 1000, HTTP_MAYBE_SENT, 0);
	check_drop("/late", 5 << 20, HTTP_MAYBE_SENT, 0);
	check_drop("/garbage", 1000, HTTP_MAYBE_SENT, 0);
	check_drop("/cut", 1000, HTTP_MAYBE_SENT, 200);
	check_drop("/cut400", 1000, HTTP_MAYBE_SENT, 200);
}

/* First request of a connection answered, the second met by a close: libcurl sends
 * again what goes out on a reused connection, but never what is sent once. */
static bool second_dies_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_body(fd, r, r->length);
	if (strstr(r->head, "/first"))
		return httpd_reply(fd, 200, "", "ok");
	return false;
}

static void test_once_is_once(void **state)
{
	struct fixture f;
	struct http_request r = get("/first");
	struct http_reply p;

	begin(&f, second_dies_handler);
	assert_int_equal(run(&f, &r, &p), 0);
	http_reply_clear(&p);
	r = post("abc", 3);
	assert_int_equal(run(&f, &r, &p), -EIO);
	assert_int_equal(p.sent, HTTP_MAYBE_SENT);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "POST "), 1);
	assert_int_equal(httpd_accepts(&f.server), 2);
	/* And to see that the test sees something: */
	r.once = false;
	assert_int_equal(run(&f, &r, &p), -EIO);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "POST "), 3);
	end(&f);
}

static bool early_reply_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_body(fd, r, 1000);
	httpd_reply(fd, 413, "Connection: close\r\n", "too large");
	shutdown(fd, SHUT_WR);
	while (httpd_body(fd, r, 65536))
		;
	return false;
}

static void test_early_reply(void **state)
{
	struct fixture f;
	char *body = calloc(1, 32 << 20);
	struct http_request r = post(body, 32 << 20);
	struct http_reply p;

	begin(&f, early_reply_handler);
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.status, 413);
	assert_string_equal(p.body, "too large");
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	http_reply_clear(&p);
	free(body);
	end(&f);
}

/* ---- bodies from files  ---- */

static bool echo_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_body(fd, r, r->length);
	return httpd_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n\r\n",
		       (long long)r->length) &&
	       httpd_send(fd, r->body, (size_t)r->length);
}

struct sent_log {
	int64_t last;
	int calls;
};

static void on_sent(void *arg, int64_t n)
{
	struct sent_log *s = arg;

	assert_true(n >= s->last);
	s->last = n;
	s->calls++;
}

static void test_body_fd(void **state)
{
	enum { SIZE = 9 << 20, OFF = 12345 };
	struct fixture f;
	struct sent_log sent = {0};
	char *bytes = malloc(SIZE);
	int fd = memfd_create("body", MFD_CLOEXEC);
	struct http_request r = post(NULL, 0);
	struct http_reply p;

	for (int i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	assert_int_equal(util_write_all(fd, bytes, SIZE), 0);
	begin(&f, echo_handler);
	r.body_fd = fd;
	r.body_off = OFF;
	r.body_fd_len = SIZE - OFF;
	r.on_sent = on_sent;
	r.arg = &sent;
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.body_len, SIZE - OFF);
	assert_memory_equal(p.body, bytes + OFF, SIZE - OFF);
	assert_int_equal(sent.last, SIZE - OFF);
	assert_true(sent.calls > 2);
	http_reply_clear(&p);
	/* A file that is shorter than was said ends it, and proves it unsent. */
	r.body_fd_len = SIZE;
	sent.last = 0;
	assert_int_equal(run(&f, &r, &p), -EIO);
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	http_reply_clear(&p);
	end(&f);
	close(fd);
	free(bytes);
}

/* ---- replies that are too much  ---- */

static bool endless_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	char chunk[65536];

	memset(chunk, 'x', sizeof chunk);
	if (strstr(r->head, "/headers")) {
		httpd_print(fd, "HTTP/1.1 200 OK\r\n");
		while (httpd_print(fd, "X-Filler: %.1000s\r\n", chunk))
			;
		return false;
	}
	if (strstr(r->head, "/interim"))
		while (httpd_print(
			fd, "HTTP/1.1 102 Wait\r\nX: %.1000s\r\n\r\n", chunk))
			;
	httpd_print(fd, "HTTP/1.1 %s\r\n\r\n",
		strstr(r->head, "/error") ? "500 Bad" : "200 OK");
	while (httpd_send(fd, chunk, sizeof chunk))
		;
	return false;
}

static void test_caps(void **state)
{
	struct fixture f;
	struct http_request r = get("/reply");
	struct http_reply p;

	begin(&f, endless_handler);
	r.cap = 100000;
	assert_int_equal(run(&f, &r, &p), -EPROTO);
	assert_true(p.body_len <= 100000);
	http_reply_clear(&p);
	r = get("/reply");
	assert_int_equal(run(&f, &r, &p), -EPROTO);
	http_reply_clear(&p);
	r = get("/error");
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.status, 500);
	assert_int_equal(p.body_len, 64 << 10);
	assert_false(p.complete);
	http_reply_clear(&p);
	r = get("/headers");
	assert_true(run(&f, &r, &p) < 0);
	http_reply_clear(&p);
	r = get("/interim");
	assert_true(run(&f, &r, &p) < 0);
	http_reply_clear(&p);
	end(&f);
}

/* ---- gzip  ---- */

/* gzip of SQUEEZED */
#define SQUEEZED "squeezed squeezed squeezed"
static const unsigned char squeezed[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0x2b, 0x2e,
	0x2c, 0x4d, 0x4d, 0xad, 0x4a, 0x4d, 0x51, 0x28, 0x46, 0x67, 0, 0, 0x46, 0x8f,
	0xd8, 0x1a, 0x1a, 0, 0, 0};

static bool gzip_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	if (strstr(r->head, "/odd"))
		return httpd_reply(fd, 200, "Content-Encoding: martian\r\n", "??");
	return httpd_print(fd,
		       "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
		       "Content-Length: %zu\r\n\r\n",
		       sizeof squeezed) &&
	       httpd_send(fd, squeezed, sizeof squeezed);
}

struct stream {
	char text[256];
	size_t n;
	bool encoded;
	int64_t length;
	int fail;
};

static int stream_head(void *arg, const struct http_reply *head)
{
	struct stream *s = arg;

	s->encoded = head->encoded;
	s->length = head->content_length;
	return 0;
}

static int stream_data(void *arg, const void *buf, size_t n)
{
	struct stream *s = arg;

	if (s->fail)
		return s->fail;
	assert_true(s->n + n < sizeof s->text);
	memcpy(s->text + s->n, buf, n);
	s->n += n;
	return 0;
}

static void test_gzip(void **state)
{
	struct fixture f;
	struct http_request r = get("/x");
	struct stream s = {0};
	struct http_reply p;

	begin(&f, gzip_handler);
	assert_int_equal(run(&f, &r, &p), 0);
	assert_string_equal(p.body, SQUEEZED);
	assert_true(p.encoded);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "Accept-Encoding: gzip"), 1);
	r.on_head = stream_head;
	r.on_data = stream_data;
	r.arg = &s;
	assert_int_equal(run(&f, &r, &p), 0);
	assert_string_equal(s.text, SQUEEZED);
	assert_true(s.encoded);
	assert_int_equal(s.length, -1);
	assert_null(p.body);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "Accept-Encoding: identity"), 1);
	r = get("/odd");
	assert_int_equal(run(&f, &r, &p), -EIO);
	http_reply_clear(&p);
	end(&f);
}

static void test_callback_breaks_off(void **state)
{
	struct fixture f;
	struct http_request r = get("/x");
	struct stream s = {.fail = -ENOSPC};
	struct http_reply p;

	begin(&f, ok_handler);
	r.on_data = stream_data;
	r.arg = &s;
	assert_int_equal(run(&f, &r, &p), -ENOSPC);
	assert_int_equal(p.status, 200);
	assert_false(p.complete);
	http_reply_clear(&p);
	end(&f);
}

/* ---- error texts and the key  ---- */

static bool echo_key_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return httpd_reply(
		fd, strstr(r->head, "/good") ? 200 : 403, "", "bad key " KEY ", " KEY);
}

static void test_key_masked(void **state)
{
	struct fixture f;
	struct http_request r = get("/x"), good = get("/good");
	struct http_reply p;

	begin(&f, echo_key_handler);
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.status, 403);
	assert_null(strstr(p.body, KEY));
	assert_non_null(strstr(p.body, "bad key ***"));
	http_reply_clear(&p);
	assert_int_equal(run(&f, &good, &p), 0);
	assert_int_equal(p.status, 200);
	assert_null(strstr(p.body, KEY));
	http_reply_clear(&p);
	end(&f);
}

/* ---- time, cancelling, stopping  ---- */

static bool slow_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_body(fd, r, r->length);
	if (strstr(r->head, "/silent")) {
		char c;

		recv(fd, &c, 1, 0); /* until the other side hangs up */
		return false;
	}
	httpd_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	while (httpd_send(fd, ".", 1))
		usleep(20000);
	return false;
}

static void test_deadline(void **state)
{
	struct fixture f;
	struct http_request r = get("/drip");
	struct http_reply p;
	double t = util_now();

	begin(&f, slow_handler);
	r.deadline = 0.5;
	assert_int_equal(run(&f, &r, &p), -ETIMEDOUT);
	assert_true(util_now() - t < 10);
	http_reply_clear(&p);
	r = get("/silent");
	r.deadline = 0;
	r.stall = 1;
	assert_int_equal(run(&f, &r, &p), -ETIMEDOUT);
	http_reply_clear(&p);
	end(&f);
}

struct waiting {
	struct fixture *f;
	struct http_request r;
	struct http_reply reply;
	int result;
};

static void *wait_call(void *arg)
{
	struct waiting *w = arg;

	w->result = run(w->f, &w->r, &w->reply);
	return NULL;
}

static void *wait_sleep(void *arg)
{
	struct waiting *w = arg;

	w->result = engine_sleep(w->f->engine, 600, &w->f->cancel);
	return NULL;
}

static void await_requests(struct httpd *h, int n)
{
	bool there = false;

	while (!there) {
		usleep(1000);
		pthread_mutex_lock(&h->lock);
		there = h->requests >= n;
		pthread_mutex_unlock(&h->lock);
	}
}

static void test_cancel(void **state)
{
	struct fixture f;
	struct waiting w = {.f = &f, .r = get("/silent")};
	pthread_t thread;

	begin(&f, slow_handler);
	pthread_create(&thread, NULL, wait_call, &w);
	await_requests(&f.server, 1);
	canceller_set(f.engine, &f.cancel);
	pthread_join(thread, NULL);
	assert_int_equal(w.result, -ECANCELED);
	http_reply_clear(&w.reply);
	/* It stays set. */
	assert_int_equal(run(&f, &w.r, &w.reply), -ECANCELED);
	assert_int_equal(w.reply.sent, HTTP_NOT_SENT);
	http_reply_clear(&w.reply);
	assert_int_equal(engine_sleep(f.engine, 600, &f.cancel), -ECANCELED);
	end(&f);
}

static void test_cancel_sleep(void **state)
{
	struct fixture f;
	struct waiting w = {.f = &f};
	pthread_t thread;

	begin(&f, slow_handler);
	assert_int_equal(engine_sleep(f.engine, 0.01, &f.cancel), 0);
	pthread_create(&thread, NULL, wait_sleep, &w);
	usleep(20000);
	canceller_set(f.engine, &f.cancel);
	pthread_join(thread, NULL);
	assert_int_equal(w.result, -ECANCELED);
	end(&f);
}

static void count_timer(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_stop(void **state)
{
	struct fixture f;
	struct waiting call = {.f = &f, .r = get("/silent")}, sleeper = {.f = &f};
	pthread_t a, b;
	atomic_int fired = 0;
	struct http_request r = get("/x");

	begin(&f, slow_handler);
	pthread_create(&a, NULL, wait_call, &call);
	pthread_create(&b, NULL, wait_sleep, &sleeper);
	await_requests(&f.server, 1);
	assert_int_equal(engine_timer(f.engine, 1000, count_timer, &fired), 0);
	engine_stop(f.engine);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	assert_int_equal(call.result, -ECANCELED);
	assert_int_equal(sleeper.result, -ECANCELED);
	assert_int_equal(fired, 1);
	assert_int_equal(engine_timer(f.engine, 0, count_timer, &fired), -ECANCELED);
	assert_int_equal(engine_submit(f.engine, &r, NULL), -ECANCELED);
	http_reply_clear(&call.reply);
	end(&f);
}

static void test_timers(void **state)
{
	struct fixture f;
	atomic_int fired = 0;

	begin(&f, ok_handler);
	for (int i = 0; i < 10; i++)
		engine_timer(f.engine, 0.01 * (10 - i), count_timer, &fired);
	engine_timer(f.engine, 0, count_timer, &fired);
	while (atomic_load(&fired) < 11)
		usleep(1000);
	end(&f);
}

static void test_backoff(void **state)
{
	assert_true(engine_backoff(1, 5) == 5);
	assert_true(engine_backoff(1, 0) == 0);
	assert_true(engine_backoff(1, 1e9) == 60);
	for (int n = -1; n < 100; n++) {
		double most = n < 2 ? 1 : n < 7 ? 1 << (n - 1) : 60;

		for (int i = 0; i < 20; i++) {
			double s = engine_backoff(n, -1);

			assert_true(s >= 0 && s <= most);
		}
	}
}

/* ---- many at once, aborted from all sides  ---- */

struct crowd {
	atomic_int done, cancelled;
};

static void crowd_done(void *arg, struct http_reply *reply)
{
	struct crowd *c = arg;

	if (reply->err == -ECANCELED)
		atomic_fetch_add(&c->cancelled, 1);
	else
		assert_string_equal(reply->body, "hello");
	atomic_fetch_add(&c->done, 1);
}

static void *crowd_submit(void *arg)
{
	struct fixture *f = ((void **)arg)[0];
	struct http_request r = get("/x");

	r.done = crowd_done;
	r.arg = ((void **)arg)[1];
	for (int i = 0; i < 50; i++)
		assert_int_equal(engine_submit(f->engine, &r, NULL), 0);
	return NULL;
}

static void test_crowd(void **state)
{
	struct fixture f;
	struct crowd c = {0};
	void *arg[2] = {&f, &c};
	pthread_t threads[4];

	begin(&f, ok_handler);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, crowd_submit, arg);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	while (atomic_load(&c.done) < 150)
		usleep(1000);
	engine_stop(f.engine);
	assert_int_equal(c.done, 200);
	end(&f);
}

static void test_abort(void **state)
{
	struct fixture f;
	struct crowd c = {0};
	struct http_request r = get("/silent");
	struct transfer *t[20];

	begin(&f, slow_handler);
	r.done = crowd_done;
	r.arg = &c;
	for (int i = 0; i < 20; i++)
		assert_int_equal(engine_submit(f.engine, &r, &t[i]), 0);
	for (int i = 0; i < 20; i += 2)
		engine_abort(f.engine, t[i]);
	while (atomic_load(&c.cancelled) < 10)
		usleep(1000);
	engine_stop(f.engine);
	assert_int_equal(c.cancelled, 20);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_refuses),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_base_path),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_redirect_away_without_key),
		cmocka_unit_test(test_redirect_home_with_key),
		cmocka_unit_test(test_redirect_limits),
		cmocka_unit_test(test_no_redirect_of_post),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_sent_refused_connection),
		cmocka_unit_test(test_sent_no_name),
		cmocka_unit_test(test_sent_no_tls),
		cmocka_unit_test(test_sent_dropped),
		cmocka_unit_test(test_once_is_once),
		cmocka_unit_test(test_early_reply),
		cmocka_unit_test(test_body_fd),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_callback_breaks_off),
		cmocka_unit_test(test_key_masked),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_sleep),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_abort),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
