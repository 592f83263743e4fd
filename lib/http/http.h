/*
 * The engine: one thread that owns a CURLM and runs every HTTP transfer.
 *
 * Other threads start and abort transfers; callbacks run on the engine thread, without
 * locks held, must not block on the network and may start or abort transfers. A
 * transfer's done() is called exactly once, as the last of its callbacks; after it the
 * handle is invalid.
 *
 * Where requests go. The engine is made for one base URL. Requests name a path, which
 * is joined to the base, or (for upload sessions) a URL, of which only path and query
 * are used, on the base's origin. So bytes and key can only go to the base's origin.
 * One function builds the headers of a request, from the origin it goes to: the key is
 * sent to the base's origin only. Redirects are followed by the engine, for GET alone,
 * at most 3, to https (from a plain base also to plain http on a loopback address); the
 * key is left out wherever the origin differs. Plain http is used for loopback
 * addresses only, never through a proxy, and the connected address is checked. TLS is
 * verified, 1.2 or newer; SSL_CERT_FILE and CURL_CA_BUNDLE are honoured.
 *
 * libcurl repeats a request by itself if a reused connection turns out to be dead. So a
 * request with `once` set gets a fresh connection, over HTTP/1.1, and leaves this
 * machine at most once.
 *
 * If a connection breaks soon, before a byte of the request was sent, it is tried again
 * at once, up to three times: nothing has happened yet, whatever the request.
 *
 * For tests BATCHFS_TEST_DEADLINE_SECONDS, read once, shortens every deadline and stall
 * that is longer; without it nothing changes.
 *
 * Facts of libcurl relied on: docs/api-facts.md, "libcurl".
 */
#ifndef GB_ENGINE_H
#define GB_ENGINE_H

#include "base/util.h"

#include "gembatch.h"
#include <stdatomic.h>

struct engine;
struct transfer;

struct engine_options {
	const char *base; /* scheme://host[:port][/path][/] */
	const char *key;  /* copied; wiped in engine_free; may be NULL */
	const char *key_header; /* name of the header that carries the key */
	const char
		*version; /* a segment of every path, in place of `written`; NULL: as it
				   is written */
	const char *written;
	const char *user_agent;
	void (*log)(void *arg, int priority, const char *line);
	void *arg;
};

/* -EINVAL: base is not a URL; -EACCES: plain http to another machine. *ret_why as in
 * gb_open. engine_start starts the thread. */
int engine_new(const struct engine_options *o, struct engine **ret, char **ret_why);
int engine_start(struct engine *e);
/* Abort everything (-ECANCELED), call the remaining timers, join the thread. New
 * transfers and timers are refused, and blocking calls end. Not from a callback. */
void engine_stop(struct engine *e);
void engine_free(struct engine *e);

/* scheme://host[:port] in lower case, default ports left out; borrowed. */
const char *engine_origin(struct engine *e);
/* The server's clock: known once two Date headers in a row agreed, or the first one
 * agreed with the wall clock. */
bool engine_server_clock(struct engine *e, time_t *ret);
/* The same; the wall clock as long as it is not known. */
time_t engine_server_time(struct engine *e);
/* The URL of an upload session comes without the path of the base, and Google's SDKs
 * use it so. A simple gateway knows it below that path only. The code that finds out
 * reports it here. */
enum session_way { SESSION_UNKNOWN, SESSION_BARE, SESSION_UNDER_PREFIX };
/* SESSION_BARE where the base has no path. */
enum session_way engine_session_way(struct engine *e);
void engine_found_session_way(struct engine *e, enum session_way way);
/* For `status`: how many requests have been sent. */
uint64_t engine_calls(struct engine *e);
/* The same: bytes of bodies that were sent or received by what has ended. */
uint64_t engine_bytes(struct engine *e, bool sent);

enum http_method { HTTP_GET, HTTP_POST, HTTP_DELETE };

/* How far a request got, when it failed. */
enum http_sent {
	HTTP_NOT_SENT,  /* no connection, or not wholly sent: the server did nothing */
	HTTP_MAYBE_SENT /* all of it left: the server may have acted */
};

enum { HTTP_KEPT = 4, HTTP_KEPT_SIZE = 1024 };

struct http_reply {
	int err;       /* 0: a complete reply arrived (error bodies may be cut); else
	                  -EHOSTUNREACH (no route, DNS, TLS, refused), -ETIMEDOUT, -EIO
	                  (broken off, garbage), -EPROTO (larger than the cap),
	                  -ECANCELED (aborted) */
	bool untrusted; /* -EHOSTUNREACH because the server's certificate or the proxy's
	                   variable is bad: trying again is useless */
	enum http_sent sent;
	long status;   /* of the last response, 0: none */
	char *body;    /* of a reply without on_data, or of any status other than
			  2xx (then at most 64 KiB), NUL-terminated; NULL: none */
	size_t body_len;
	bool complete; /* the body arrived completely, according to its framing */
	double retry_after;     /* seconds, -1: no such header */
	int64_t content_length; /* -1: none, or the body is `encoded` */
	/* From Content-Range; -1: none or `*`. range_end: of the last byte, as
	 * stated. */
	int64_t range_start, range_end, range_total;
	bool page;              /* Content-Type says HTML */
	bool encoded;           /* Content-Encoding other than identity */
	char etag[128];
	char *kept[HTTP_KEPT];  /* values of the headers that the request names; NULL:
				  absent, or HTTP_KEPT_SIZE or longer. They may be
				  secrets */
	char elsewhere[128];    /* scheme://host[:port] that a redirect led or would lead to,
				   if it is not the base's; "" */
	char error[256];        /* why, when err; no path, user or password in it */
};

struct http_request {
	enum http_method method;
	const char *path;       /* "/…?query", copied */
	const char *session_url;/* instead of path: an upload session, a secret; copied */
	const char *const *headers; /* "Name: value", NULL-terminated, copied; or NULL */
	const char *const *keep;    /* names of headers of the reply to keep, at most
				       HTTP_KEPT, NULL-terminated, constant; or NULL */
	const char *accept_range;   /* "a-b" or "a-" of the Range header; or NULL; copied */
	const void *body;       /* copied; sent with Content-Length */
	size_t body_len;
	int body_fd;            /* used when body_fd_len > 0: the body is so many bytes */
	int64_t body_off, body_fd_len; /* of this file from body_off; kept open by the
					  caller. Not both body and body_fd */
	bool once;              /* not idempotent: see above */
	bool no_key;            /* upload sessions need none */
	bool under_prefix;      /* session_url: its path is appended to that of the
	                           base */
	size_t cap;             /* of a body kept in memory; 0: 16 MiB */
	double deadline;        /* seconds for the whole request; 0: no limit, but
	                           aborted (-ETIMEDOUT) after `stall` seconds below 1
	                           byte/s */
	double stall;           /* seconds; 0: 60 */

	/* All optional. on_head: the final response's head, before any of its body;
	 * non-zero (negative errno) aborts. on_data: body of a 2xx, in pieces of up to
	 * 256 KiB but never held back; the same.
	 * on_sent: so many bytes of the body have gone so far. */
	int (*on_head)(void *arg, const struct http_reply *head);
	int (*on_data)(void *arg, const void *buf, size_t n);
	void (*on_sent)(void *arg, int64_t n);
	void (*done)(void *arg, struct http_reply *reply); /* frees nothing; body is
							      freed afterwards */
	void *arg;
};

/* Start a transfer. *ret (optional) stays valid until done() returns; a caller that
 * keeps it outside the engine thread must order engine_abort and done() itself.
 * -ECANCELED: stopping; then done() is not called. */
int engine_submit(
	struct engine *e, const struct http_request *r, struct transfer **ret);

/* Abort a transfer: done() follows with -ECANCELED. */
void engine_abort(struct engine *e, struct transfer *t);

/* Call fn on the engine thread after delay seconds (0: as soon as possible), or when
 * the engine stops. -ECANCELED: stopping, fn is not called. */
_must_check_ int engine_timer(
	struct engine *e, double delay, void (*fn)(void *arg), void *arg);

/*
 * Blocking calls, for worker threads only (never a FUSE thread).
 *
 * A canceller lets another thread end blocking calls early: -ECANCELED. One
 * canceller may serve many calls, also of several threads at the same time; once set
 * it stays set.
 */
struct canceller {
	atomic_bool set;
	struct call *calls; /* under a lock of the engine module */
};

#define CANCELLER_INIT {0}
void canceller_set(struct engine *e, struct canceller *c);

/* One try, no repetition. r->body is not copied. The caller frees reply with
 * http_reply_clear. done and arg of r are not used for the end; the other callbacks
 * are, on the engine thread. Returns reply->err. */
int engine_call(struct engine *e, const struct http_request *r, struct canceller *c,
	struct http_reply *reply);
void http_reply_clear(struct http_reply *reply);

/* Sleep, or be cancelled (-ECANCELED), or the engine stops (-ECANCELED). */
int engine_sleep(struct engine *e, double seconds, struct canceller *c);

/* Overwrite the key with asterisks wherever it is in n bytes. Texts of the API are
 * shown and stored, and may repeat what was sent, as it was or as written in JSON,
 * URLs, HTML or base64. Bodies in replies have passed through this; what on_data gets
 * has not. Not for keys of less than 8 characters. Returns whether the key was
 * there. */
bool engine_mask_key(struct engine *e, char *text, size_t n);

/* The one source of pauses after failures. Seconds to wait after the nth failure in a
 * row (1, 2, …): 1, 2, 4 … 60, of which between half and all. hint, the server's
 * Retry-After or RetryInfo (< 0: none), can only make that longer, by up to an hour and
 * a tenth: a hint of 0 does not permit asking without a pause. For tests
 * BATCHFS_TEST_BACKOFF_SECONDS replaces the first second. */
double engine_backoff(int n, double hint);

/* Sleep for so long: 0, -ECANCELED, or at once -EAGAIN if it is longer than a caller
 * who waits for the result should wait (ENGINE_PATIENCE seconds); then the failure is
 * final. */
#define ENGINE_PATIENCE 61
int engine_pause(struct engine *e, int n, double hint, struct canceller *c);

#endif
