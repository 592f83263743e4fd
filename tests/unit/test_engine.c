/* Where requests go, and the key with them. */
#include "engine_fixture.h"

/* ---- bases and keys  ---- */

static int try_new(const char *base, const char *key)
{
	struct engine_options o = {
		.base = base, .key = key, .key_header = "x-goog-api-key"};
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
	assert_int_equal(try_new("http://example.com", KEY), -EINVAL);
	assert_int_equal(try_new("http://127.0.0.1.example.com", KEY), -EINVAL);
	assert_int_equal(try_new("http://10.0.0.1/", KEY), -EINVAL);
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

static void test_get(void **state)
{
	struct fixture f;
	struct http_request r = get("/v1beta/models?pageSize=1");
	struct http_reply p;

	r.keep = (const char *const[]){"X-Goog-Upload-Status",
		"x-goog-upload-size-received", "X-Goog-Upload-URL", NULL};
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
	assert_string_equal(p.kept[0], "active");
	assert_string_equal(p.kept[1], "42");
	assert_null(p.kept[2]);
	assert_true(p.retry_after == 7);
	http_reply_clear(&p);
	assert_int_equal(httpd_count(&f.server, "x-goog-api-key: " KEY "\r\n"), 1);
	assert_int_equal(httpd_count(&f.server, "GET /v1beta/models?pageSize=1 "), 1);
	assert_int_equal(httpd_count(&f.server, "User-Agent: test/1"), 1);
	assert_int_equal(engine_calls(f.engine), 1);
	end(&f);
}

static bool chunks_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return httpd_print(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
			       "Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

/* The length of what comes in chunks is told by the chunks. */
static void test_length_of_chunks(void **state)
{
	struct fixture f;
	struct http_request r = get("/x");
	struct http_reply p;

	begin(&f, chunks_handler);
	assert_int_equal(run(&f, &r, &p), 0);
	assert_int_equal(p.body_len, 5);
	assert_int_equal(p.content_length, -1);
	http_reply_clear(&p);
	end(&f);
}

/* Dates that two replies have right, one has wrong, and one has right again. */
static bool date_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	static const char *const dates[] = {
		"Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n",
		"Date: Fri, 02 Jan 2026 03:04:06 GMT\r\n",
		"Date: Fri, 09 Jan 2026 03:04:06 GMT\r\n",
		"Date: Fri, 02 Jan 2026 03:04:06 GMT\r\n",
	};

	return httpd_reply(fd, 200, dates[r->number], "hello");
}

static void test_server_clock(void **state)
{
	struct fixture f;
	struct http_request r = get("/x");
	struct http_reply p;
	time_t now;

	begin(&f, date_handler);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(run(&f, &r, &p), 0);
		http_reply_clear(&p);
		assert_int_equal(engine_server_clock(f.engine, &now), i > 0);
		if (i > 0)
			assert_in_range(now, 1767323045, 1767323090);
	}
	assert_in_range(engine_server_time(f.engine), 1767323045, 1767323090);
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

static const char *echo; /* what the server says */

static bool echo_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return httpd_reply(fd, 403, "", echo);
}

/* However it is written: what is decoded later would be the key again. */
static void test_key_masked_in_other_words(void **state)
{
	static const char *const ways[] = {
		"<\\u0073ecret-key\\u002d0123456789>",
		"<\\\\u0073ecret-key-0123456789>",
		"<%73ecret%2Dkey%2d0123456789>",
		"<%2573ecret-key-0123456789>",
		"<s&#101;cret-key&#x2D;0123456789>",
		"<s&#0101;cret-key&#x002d;0123456789>",
		"<secret-key-\n0123456789>",
		"<secret-\\n key-0123456789>",
		"<c2VjcmV0LWtleS0wMTIzNDU2Nzg5>",
		"<OnNlY3JldC1rZXktMDEyMzQ1Njc4OQ==>",
		"<ezpzZWNyZXQta2V5LTAxMjM0NTY3ODl9>",
		"<c2VjcmV0LWtl\neS0wMTIzNDU2Nzg5>",
		"<c2VjcmV0LWtl\\r\\neS0wMTIzNDU2Nzg5>",
		"<7365637265742d6b65792d30313233343536373839>",
		"<7365637265742D6B65792D\n30313233343536373839>",
	};
	struct fixture f;
	struct http_request r = get("/x");
	struct http_reply p;

	begin(&f, echo_handler);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		echo = ways[i];
		assert_int_equal(run(&f, &r, &p), 0);
		/* Of base64 the edges hold bits of others, and may stay. */
		if (!strstr(p.body, "********"))
			fail_msg("%s", p.body);
		assert_true(strspn(strchr(p.body, '*'), "*") + 8 >= strlen(echo));
		http_reply_clear(&p);
	}
	end(&f);
}

/* Whatever a reply holds, looking for the key does not hold up the others: each of these
 * would take minutes if a part of it were looked at again and again. */
static void test_mask_takes_no_time(void **state)
{
	static const char *const texts[] = {"\\", "\\n", "%25", "s\n", "&#0", "7 3"};
	struct fixture f;
	size_t n = 1 << 20;
	_cleanup_free_ char *text = calloc(1, n + 1);

	begin(&f, echo_handler);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t k = 0; k < n; k++)
			text[k] = texts[i][k % strlen(texts[i])];
		assert_false(engine_mask_key(f.engine, text, n));
	}
	end(&f);
}

static bool elsewhere_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return httpd_reply(fd, 302, "Location: https://" KEY ".example.com/\r\n", "");
}

static void test_key_masked_in_redirects(void **state)
{
	struct fixture f;
	struct http_request r = get("/x");
	struct http_reply p;

	begin(&f, elsewhere_handler);
	run(&f, &r, &p);
	assert_non_null(strstr(p.elsewhere, ".example.com"));
	assert_null(strstr(p.elsewhere, KEY));
	http_reply_clear(&p);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_refuses),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_length_of_chunks),
		cmocka_unit_test(test_server_clock),
		cmocka_unit_test(test_base_path),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_redirect_away_without_key),
		cmocka_unit_test(test_redirect_home_with_key),
		cmocka_unit_test(test_redirect_limits),
		cmocka_unit_test(test_no_redirect_of_post),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_key_masked),
		cmocka_unit_test(test_key_masked_in_other_words),
		cmocka_unit_test(test_mask_takes_no_time),
		cmocka_unit_test(test_key_masked_in_redirects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
