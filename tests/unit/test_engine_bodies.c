/* What goes out and comes in, and how far it got when it breaks. */
#include "engine_fixture.h"

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
	assert_int_equal(engine_calls(e), 4);
	http_reply_clear(&p);
	engine_free(e);
}

/* A line on which connections break while they are made. */
struct closer {
	int listener;
	atomic_int accepted;
};

static void *close_all(void *arg)
{
	struct closer *c = arg;
	int fd;

	while ((fd = accept(c->listener, NULL, NULL)) >= 0) {
		c->accepted++;
		httpd_reset(fd);
		close(fd);
	}
	return NULL;
}

static void test_sent_broken_connections(void **state)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct closer c = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
	struct http_request r = post("abc", 3);
	socklen_t n = sizeof sa;
	struct http_reply p;
	pthread_t thread;
	char base[64];

	assert_int_equal(bind(c.listener, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(c.listener, 8), 0);
	getsockname(c.listener, (struct sockaddr *)&sa, &n);
	pthread_create(&thread, NULL, close_all, &c);
	snprintf(base, sizeof base, "https://127.0.0.1:%d", ntohs(sa.sin_port));
	struct engine *e = engine_for(base);
	assert_int_equal(engine_call(e, &r, NULL, &p), -EHOSTUNREACH);
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	assert_int_equal(c.accepted, 4);
	http_reply_clear(&p);
	engine_free(e);
	shutdown(c.listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(c.listener);
}

static void test_sent_no_name(void **state)
{
	struct engine *e = engine_for("https://does-not-exist.invalid");
	struct http_request r = post("abc", 3);
	struct http_reply p;

	assert_int_equal(engine_call(e, &r, NULL, &p), -EHOSTUNREACH);
	assert_int_equal(p.sent, HTTP_NOT_SENT);
	assert_int_equal(engine_calls(e), 1);
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

/* A server that closes connections some time after a reply, up to 50 ms. */
static bool closing_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_body(fd, r, r->length);
	httpd_reply(fd, 200, "", "{}");
	usleep((useconds_t)(r->number * 7919 % 50 * 1000));
	return false;
}

/* A create never meets a connection that is about to be closed, other calls may: each
 * is sent once and answered, what is around it notwithstanding. */
static void test_once_among_closing(void **state)
{
	struct fixture f;
	struct http_reply p;

	begin(&f, closing_handler);
	for (int i = 0; i < 200; i++) {
		struct http_request r = get("/v1beta/y");

		assert_int_equal(run(&f, &r, &p), 0);
		http_reply_clear(&p);
		r = post("abc", 3);
		assert_int_equal(run(&f, &r, &p), 0);
		http_reply_clear(&p);
	}
	assert_int_equal(httpd_count(&f.server, "POST /v1beta/x "), 200);
	end(&f);
}

/* localhost is ::1 first, where nobody listens. */
static void test_dead_ipv6(void **state)
{
	struct fixture f;
	struct http_request r = post("abc", 3);
	struct http_reply p;
	char base[64];

	begin(&f, closing_handler);
	engine_free(f.engine);
	snprintf(base, sizeof base, "http://localhost:%d", f.server.port);
	f.engine = engine_for(base);
	assert_int_equal(run(&f, &r, &p), 0);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "POST"), 1);
	end(&f);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sent_refused_connection),
		cmocka_unit_test(test_sent_broken_connections),
		cmocka_unit_test(test_sent_no_name),
		cmocka_unit_test(test_sent_no_tls),
		cmocka_unit_test(test_sent_dropped),
		cmocka_unit_test(test_once_is_once),
		cmocka_unit_test(test_once_among_closing),
		cmocka_unit_test(test_dead_ipv6),
		cmocka_unit_test(test_early_reply),
		cmocka_unit_test(test_body_fd),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_callback_breaks_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
