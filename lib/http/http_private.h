/*
 * What the engine's files share. loop.c: life cycle, the loop, timers. request.c: a
 * transfer's handle and headers. response.c: what comes back. error_text.c: the error
 * text when it fails. blocking.c: blocking calls.
 *
 * Locks: engine.lock is a leaf; it may be taken under engine.call_lock. Neither is held
 * across a call out.
 */
#ifndef GB_ENGINE_INTERNAL_H
#define GB_ENGINE_INTERNAL_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http/http.h"
#include "http/url.h"
#include "base/util.h"

#define ENGINE_HOPS_MAX 3
#define ENGINE_CONNECTIONS_MORE 3 /* connections tried at once after one that broke */
#define ENGINE_BROKE_SOON_S 3.0
#define ENGINE_ERROR_BODY_MAX (64 << 10) /* of a reply that is no 2xx */
#define ENGINE_BODY_MAX ((size_t)16 << 20)
#define ENGINE_HEAD_MAX (256 << 10)
#define ENGINE_POOL_MAX 8
#define ENGINE_DATES_AGREE 60 /* seconds */
#define ENGINE_PIECE_MAX ((size_t)256 << 10) /* of a body, for on_data */

/* The proxy that libcurl takes from the environment. Its value may hold a password, so
 * only host and port are shown, and only if the value is well-formed. */
struct proxy {
	const char *variable; /* the variable that it comes from; NULL: none */
	bool bad;             /* not a URL that can be parsed reliably */
	bool tls;             /* https to the proxy itself */
	char at[128];         /* host[:port] */
};

struct timer {
	struct timer *next;
	double at;
	void (*fn)(void *arg);
	void *arg;
};

struct engine {
	/* Fixed after engine_new. */
	struct url_base base;
	char *key_header; /* "NAME: KEY" or NULL */
	char *user_agent, *ca_file;
	struct proxy proxy;
	double time_max; /* of a deadline or stall; for tests */
	void (*log)(void *arg, int priority, const char *line);
	void *log_arg;
	CURLM *multi;

	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	struct transfer *queue, **queue_tail; /* lock; submitted, not yet started */
	struct timer *timers;                 /* lock; soonest first */
	bool stopping;                        /* lock */
	bool aborts;                          /* lock; some transfer is to be aborted */

	/* Engine thread only. */
	struct transfer *running;
	CURL *pool[ENGINE_POOL_MAX];
	size_t pooled;

	/* Blocking calls: one lock and one condition for all of them. */
	pthread_mutex_t call_lock;
	pthread_cond_t call_cond;
	bool calls_end; /* call_lock; engine_stop has begun */

	atomic_ullong calls, sent, received;
	_Atomic(enum session_way) session_way;
	atomic_llong clock_told;   /* a reply's Date - util_now(), the newest; LLONG_MIN: none */
	atomic_llong clock_offset; /* the newest of two that agreed; LLONG_MIN: none */
};

struct transfer {
	struct transfer *next, **prev; /* in engine.queue or engine.running */
	struct engine *e;
	struct http_request r; /* pointers in it are to copies, body maybe borrowed */
	void *body_copy;
	char **header_copies;
	void (*done)(void *arg, struct http_reply *reply);
	void *done_arg;
	bool aborted; /* engine.lock */
	double deadline_at; /* 0: none */
	double leg_at;      /* when the leg was started */
	int unsent;         /* connections that broke before anything was sent */

	/* The leg in progress (a request, or a redirect of it). */
	CURL *easy;
	char *url;
	bool home; /* the leg goes to the base's origin */
	int hops;
	char *next_url; /* where the reply's redirect leads, if it is followed */
	bool next_home;
	struct curl_slist *headers;
	struct curl_slist key_node; /* points into headers: no copy of the key */
	char errbuf[CURL_ERROR_SIZE];

	int64_t body_size, body_pos;
	int requested; /* how often there was a connection and a request was sent */

	/* The reply so far. */
	struct http_reply reply;
	char location[2048];
	char elsewhere[128]; /* of all legs, for reply.elsewhere */
	time_t date, retry_date; /* of the head, and that of its Retry-After; 0: none */
	bool head_done;
	bool chunked; /* it has a Transfer-Encoding */
	bool cut;     /* enough was read: we ended it, and this is not a failure */
	int fail;     /* a callback's reason to abort, negative errno */
	size_t head_bytes, discarded, body_alloc;
	char *piece; /* ENGINE_PIECE_MAX bytes, gathered for on_data; or NULL */
	size_t piece_len;
};

/* loop.c */
void engine_log(struct engine *e, int priority, const char *fmt, ...) _printf_(3, 4);
/* engine_submit, with the end reported to another function. borrow: r->body is not
 * copied. */
int engine_submit_for(struct engine *e, const struct http_request *r, bool borrow,
	void (*done)(void *arg, struct http_reply *reply), void *arg,
	struct transfer **ret);

/* request.c */
int transfer_new(struct engine *e, const struct http_request *r, bool borrow,
	struct transfer **ret);
void transfer_free(struct transfer *t);
/* Set up t->easy (from the pool, reset) for the leg to t->url. */
int transfer_prepare(struct transfer *t);

/* response.c */
void reply_init(struct http_reply *reply);
void reply_forget_head(struct transfer *t);
size_t reply_on_header(char *buf, size_t size, size_t n, void *arg);
size_t reply_on_body(char *buf, size_t size, size_t n, void *arg);
/* Call on_data with what was gathered. 0, or t->fail. */
int reply_hand_over(struct transfer *t);
/* Turn libcurl's verdict into reply.err, sent, complete and error. */
void reply_finish(struct transfer *t, CURLcode code);

/* error_text.c */
void proxy_from_env(struct proxy *ret);
/* Fill reply.error from libcurl's verdict; transfer is t. Only here does text of
 * libcurl enter. */
void words_explain(struct transfer *t, CURLcode code);
/* The same for a transfer that we give up, with err. */
void words_give_up(struct transfer *t, int err);

#endif
