/* What the tests of the engine share: a server and an engine a test, and the plainest
 * requests. Included once a program. */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "http/http.h"
#include "httpd.h"
#include "base/util.h"

#define KEY "secret-key-0123456789"

/* ---- one server and one engine a test  ---- */

struct fixture {
	struct httpd server, other;
	struct engine *engine;
	struct canceller cancel;
};

static inline struct engine *engine_for(const char *base)
{
	struct engine_options o = {.base = base,
		.key = KEY,
		.key_header = "x-goog-api-key",
		.user_agent = "test/1"};
	struct engine *e = NULL;
	char *why = NULL;

	assert_int_equal(engine_new(&o, &e, &why), 0);
	assert_null(why);
	assert_int_equal(engine_start(e), 0);
	return e;
}

static inline void begin(struct fixture *f,
	bool (*handle)(struct httpd *h, int fd, struct httpd_request *r))
{
	memset(f, 0, sizeof *f);
	httpd_start(&f->server, handle);
	f->server.arg = f;
	f->engine = engine_for(f->server.base);
}

static inline void end(struct fixture *f)
{
	engine_free(f->engine);
	httpd_stop(&f->server);
}

static inline struct http_request get(const char *path)
{
	return (struct http_request){
		.method = HTTP_GET, .path = path, .body_fd = -1, .deadline = 20};
}

static inline struct http_request post(const void *body, size_t n)
{
	return (struct http_request){.method = HTTP_POST,
		.path = "/v1beta/x",
		.body = body,
		.body_len = n,
		.body_fd = -1,
		.deadline = 20,
		.once = true};
}

static inline int run(
	struct fixture *f, const struct http_request *r, struct http_reply *reply)
{
	return engine_call(f->engine, r, &f->cancel, reply);
}

static inline bool ok_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	return httpd_reply(fd, 200,
		"ETag: \"abc\"\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nRetry-After: "
		"7\r\n"
		"Content-Range: bytes 5-9/123\r\nX-Goog-Upload-Status: active\r\n"
		"x-goog-upload-size-received: 42\r\n",
		"hello");
}

#endif
