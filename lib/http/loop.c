#include "http/http_private.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>

void engine_log(struct engine *e, int priority, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!e->log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	e->log(e->log_arg, priority, line);
}

/* ---- transfers, on the engine thread  ---- */

static void list_add(struct transfer **head, struct transfer *t)
{
	t->next = *head;
	t->prev = head;
	if (t->next)
		t->next->prev = &t->next;
	*head = t;
}

static void list_remove(struct transfer *t)
{
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
}

static CURL *pool_get(struct engine *e)
{
	return e->pooled ? e->pool[--e->pooled] : curl_easy_init();
}

static void pool_put(struct engine *e, CURL *easy)
{
	if (e->pooled == ENGINE_POOL_MAX) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	e->pool[e->pooled++] = easy;
}

/* The handle goes back; what the reply needs has been read from it. */
static void leg_end(struct transfer *t)
{
	curl_off_t sent = 0, received = 0;

	if (!t->easy)
		return;
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	atomic_fetch_add(&t->e->sent, (unsigned long long)sent);
	atomic_fetch_add(&t->e->received, (unsigned long long)received);
	curl_multi_remove_handle(t->e->multi, t->easy);
	pool_put(t->e, STEAL_PTR(t->easy));
	curl_slist_free_all(STEAL_PTR(t->headers));
}

static void log_transfer_end(struct transfer *t)
{
	static const char *const verbs[] = {"GET", "POST", "DELETE"};
	const struct http_reply *p = &t->reply;
	const char *path = t->r.path ? t->r.path : "(upload session)";

	engine_log(t->e, LOG_DEBUG, "%s %.*s: %ld%s%s", verbs[t->r.method],
		(int)strcspn(path, "?"), path, p->status, p->err ? " " : "", p->error);
}

/* Tell the end and free t, which is in no list. */
static void transfer_end(struct transfer *t)
{
	log_transfer_end(t);
	if (t->done)
		t->done(t->done_arg, &t->reply);
	transfer_free(t);
}

static void transfer_give_up(struct transfer *t, int err)
{
	if (t->easy)
		reply_finish(t, CURLE_ABORTED_BY_CALLBACK);
	t->reply.err = err;
	t->reply.complete = false;
	words_give_up(t, err);
	list_remove(t);
	leg_end(t);
	transfer_end(t);
}

/* Send the leg to t->url; t is in the running list. */
static void leg_start(struct transfer *t)
{
	int r = -ENOMEM;

	if (t->deadline_at > 0 && util_now() >= t->deadline_at) {
		transfer_give_up(t, -ETIMEDOUT);
		return;
	}
	if (t->e->proxy.bad && !url_is_plain(t->url)) {
		transfer_give_up(t, -EHOSTUNREACH);
		return;
	}
	t->easy = pool_get(t->e);
	if (t->easy)
		r = transfer_prepare(t);
	if (r == 0 && curl_multi_add_handle(t->e->multi, t->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r < 0) {
		transfer_give_up(t, r);
		return;
	}
	t->leg_at = util_now();
	atomic_fetch_add(&t->e->calls, 1);
}

/* The connection broke soon, before a byte of the request was sent: on a bad network
 * the next one may work. An unknown name, a bad certificate or a proxy's answer would
 * be the same again. */
static bool worth_another_connection(const struct transfer *t, CURLcode code)
{
	long proxy = 0;

	curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
	return t->reply.err == -EHOSTUNREACH && t->requested == 0 && !t->fail &&
	       !t->reply.untrusted && proxy < 300 &&
	       code != CURLE_COULDNT_RESOLVE_HOST &&
	       code != CURLE_COULDNT_RESOLVE_PROXY &&
	       t->unsent < ENGINE_CONNECTIONS_MORE &&
	       util_now() - t->leg_at < ENGINE_BROKE_SOON_S;
}

static void leg_done(struct transfer *t, CURLcode code)
{
	reply_hand_over(t);
	reply_finish(t, code);
	bool again = worth_another_connection(t, code);
	leg_end(t);
	if (again) {
		t->unsent++;
		reply_forget_head(t);
		leg_start(t);
		return;
	}
	if (t->next_url && t->reply.err == 0) {
		free(t->url);
		t->url = STEAL_PTR(t->next_url);
		t->home = t->next_home;
		t->hops++;
		reply_forget_head(t);
		leg_start(t);
		return;
	}
	list_remove(t);
	transfer_end(t);
}

/* ---- the loop  ---- */

static struct transfer *take_queue(struct engine *e, bool *ret_stop)
{
	struct transfer *q;

	pthread_mutex_lock(&e->lock);
	q = e->queue;
	e->queue = NULL;
	e->queue_tail = &e->queue;
	*ret_stop = e->stopping;
	pthread_mutex_unlock(&e->lock);
	return q;
}

/* Start what was submitted, or when stopping only take it in. */
static bool start_queued(struct engine *e)
{
	bool stop;
	struct transfer *next, *t = take_queue(e, &stop);

	for (; t; t = next) {
		next = t->next;
		list_add(&e->running, t);
		if (!stop)
			leg_start(t);
	}
	return !stop;
}

/* One that is to be aborted, or NULL; with none left the mark is cleared, unless it
 * may be meant for one that was submitted since the queue was taken. */
static struct transfer *find_aborted(struct engine *e)
{
	struct transfer *found = NULL;

	pthread_mutex_lock(&e->lock);
	if (e->aborts) {
		for (found = e->running; found && !found->aborted;)
			found = found->next;
		e->aborts = found || e->queue;
	}
	pthread_mutex_unlock(&e->lock);
	return found;
}

static void end_aborted(struct engine *e)
{
	struct transfer *t;

	while ((t = find_aborted(e)))
		transfer_give_up(t, -ECANCELED);
}

static void end_finished(struct engine *e)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(e->multi, &left))) {
		CURLcode code = m->data.result;
		struct transfer *t = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		leg_done(t, code);
	}
}

static void hand_over(struct engine *e)
{
	struct transfer *next;

	for (struct transfer *t = e->running; t; t = next) {
		next = t->next;
		if (t->piece_len > 0 && reply_hand_over(t) < 0)
			transfer_give_up(t, t->fail);
	}
}

/* A timer that is due (all: any), taken out of the list. */
static struct timer *take_timer(struct engine *e, bool all, double now)
{
	struct timer *t;

	pthread_mutex_lock(&e->lock);
	t = e->timers;
	if (t && (all || t->at <= now))
		e->timers = t->next;
	else
		t = NULL;
	pthread_mutex_unlock(&e->lock);
	return t;
}

static void run_timers(struct engine *e, bool all)
{
	double now = util_now();
	struct timer *t;

	while ((t = take_timer(e, all, now))) {
		t->fn(t->arg);
		free(t);
	}
}

/* How long the loop may sleep if nothing wakes it. */
static int sleep_ms(struct engine *e)
{
	double left = 3600;

	pthread_mutex_lock(&e->lock);
	/* The clock of poll stands still while the machine sleeps. */
	if (e->timers)
		left = fmin(e->timers->at - util_now(), UTIL_LONGEST_SLEEP);
	pthread_mutex_unlock(&e->lock);
	return left <= 0 ? 0 : (int)ceil(left * 1000);
}

static void end_everything(struct engine *e)
{
	while (e->running)
		transfer_give_up(e->running, -ECANCELED);
	run_timers(e, true);
}

static void cleanup_curl(struct engine *e)
{
	CURLM *multi;

	while (e->pooled)
		curl_easy_cleanup(e->pool[--e->pooled]);
	pthread_mutex_lock(&e->lock);
	multi = STEAL_PTR(e->multi);
	pthread_mutex_unlock(&e->lock);
	curl_multi_cleanup(multi);
}

static void *engine_main(void *arg)
{
	struct engine *e = arg;
	int running;

	while (start_queued(e)) {
		end_aborted(e);
		curl_multi_perform(e->multi, &running);
		end_finished(e);
		hand_over(e);
		run_timers(e, false);
		curl_multi_poll(e->multi, NULL, 0, sleep_ms(e), NULL);
	}
	end_everything(e);
	cleanup_curl(e); /* here, where SIGPIPE is blocked */
	return NULL;
}

/* ---- what other threads call  ---- */

int engine_submit_for(struct engine *e, const struct http_request *r, bool borrow,
	void (*done)(void *arg, struct http_reply *reply), void *arg,
	struct transfer **ret)
{
	struct transfer *t;
	int err = transfer_new(e, r, borrow, &t);

	if (err < 0)
		return err;
	t->done = done;
	t->done_arg = arg;
	pthread_mutex_lock(&e->lock);
	if (e->stopping || !e->started) {
		pthread_mutex_unlock(&e->lock);
		transfer_free(t);
		return -ECANCELED;
	}
	*e->queue_tail = t;
	e->queue_tail = &t->next;
	if (ret)
		*ret = t;
	curl_multi_wakeup(e->multi);
	pthread_mutex_unlock(&e->lock);
	return 0;
}

int engine_submit(struct engine *e, const struct http_request *r, struct transfer **ret)
{
	return engine_submit_for(e, r, false, r->done, r->arg, ret);
}

void engine_abort(struct engine *e, struct transfer *t)
{
	pthread_mutex_lock(&e->lock);
	t->aborted = true;
	e->aborts = true;
	if (e->multi)
		curl_multi_wakeup(e->multi);
	pthread_mutex_unlock(&e->lock);
}

int engine_timer(struct engine *e, double delay, void (*fn)(void *arg), void *arg)
{
	struct timer *t = malloc(sizeof *t), **p;

	if (!t)
		return -ENOMEM;
	*t = (struct timer){.at = util_now() + fmax(delay, 0), .fn = fn, .arg = arg};
	pthread_mutex_lock(&e->lock);
	if (e->stopping || !e->started) {
		pthread_mutex_unlock(&e->lock);
		free(t);
		return -ECANCELED;
	}
	for (p = &e->timers; *p && (*p)->at <= t->at;)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	curl_multi_wakeup(e->multi);
	pthread_mutex_unlock(&e->lock);
	return 0;
}

const char *engine_origin(struct engine *e)
{
	return e->base.origin;
}

enum session_way engine_session_way(struct engine *e)
{
	return e->base.prefix[0] ? atomic_load(&e->session_way) : SESSION_BARE;
}

void engine_found_session_way(struct engine *e, enum session_way way)
{
	atomic_store(&e->session_way, way);
}

bool engine_server_clock(struct engine *e, time_t *ret)
{
	long long offset = atomic_load(&e->clock_offset);

	if (offset == LLONG_MIN)
		return false;
	*ret = (time_t)((long long)util_now() + offset);
	return true;
}

time_t engine_server_time(struct engine *e)
{
	time_t now;

	return engine_server_clock(e, &now) ? now : time(NULL); /* wall: for want of it */
}

uint64_t engine_calls(struct engine *e)
{
	return atomic_load(&e->calls);
}

uint64_t engine_bytes(struct engine *e, bool sent)
{
	return atomic_load(sent ? &e->sent : &e->received);
}

/* ---- life cycle  ---- */

/* Printable ASCII without blanks: anything else could break out of the header. */
static bool key_sane(const char *key)
{
	for (const char *p = key; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return strlen(key) < 4096;
}

static char *ca_file_from_env(void)
{
	static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *path = getenv(names[i]);

		if (path && *path)
			return strdup(path);
	}
	return NULL;
}

static void init_locks(struct engine *e)
{
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->call_lock, NULL);
	util_cond_init(&e->call_cond);
}

static double time_max_from_env(void)
{
	const char *value = getenv("BATCHFS_TEST_DEADLINE_SECONDS");

	return value && atof(value) > 0 ? atof(value) : INFINITY;
}

static int take_options(struct engine *e, const struct engine_options *o, char **why)
{
	int r = url_base_parse(o->base, &e->base, why);

	if (r < 0)
		return r;
	if (o->version && o->written) {
		if (!util_id_valid(o->version, "") ||
			strlen(o->version) >= sizeof e->base.version) {
			*why = strdup("this is not a version of the API");
			return -EINVAL;
		}
		strcpy(e->base.version, o->version);
		snprintf(e->base.written, sizeof e->base.written, "%s", o->written);
	}
	if (o->key && *o->key) {
		if (!key_sane(o->key)) {
			*why = strdup(
				"the API key has spaces or control characters in it");
			return -EINVAL;
		}
		e->key_header = util_format("%s: %s", o->key_header, o->key);
		if (!e->key_header)
			return -ENOMEM;
	}
	e->user_agent = strdup(o->user_agent ? o->user_agent : "gembatch");
	e->ca_file = ca_file_from_env();
	proxy_from_env(&e->proxy);
	e->time_max = time_max_from_env();
	e->log = o->log;
	e->log_arg = o->arg;
	return e->user_agent ? 0 : -ENOMEM;
}

int engine_new(const struct engine_options *o, struct engine **ret, char **ret_why)
{
	struct engine *e = calloc(1, sizeof *e);
	int r = -ENOMEM;

	*ret_why = NULL;
	if (!e)
		return -ENOMEM;
	init_locks(e);
	e->queue_tail = &e->queue;
	atomic_init(&e->clock_offset, LLONG_MIN);
	atomic_init(&e->clock_told, LLONG_MIN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(e);
		return -ENOMEM;
	}
	e->multi = curl_multi_init();
	/* Without free descriptors curl makes a handle that cannot be woken, and
	 * reports nothing. */
	if (e->multi && curl_multi_wakeup(e->multi) != CURLM_OK)
		r = -EMFILE;
	else if (e->multi)
		r = take_options(e, o, ret_why);
	if (r < 0) {
		engine_free(e);
		return r;
	}
	curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, 16L);
	curl_multi_setopt(e->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 64L);
	curl_multi_setopt(e->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	*ret = e;
	return 0;
}

int engine_start(struct engine *e)
{
	sigset_t all, old;
	int r;

	/* Signals are for others; SIGPIPE of a broken TLS connection, too. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&e->lock);
	r = pthread_create(&e->thread, NULL, engine_main, e);
	e->started = r == 0;
	pthread_mutex_unlock(&e->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

void engine_stop(struct engine *e)
{
	bool join;

	pthread_mutex_lock(&e->lock);
	join = e->started && !e->stopping;
	e->stopping = true;
	if (e->multi)
		curl_multi_wakeup(e->multi);
	pthread_mutex_unlock(&e->lock);
	pthread_mutex_lock(&e->call_lock);
	e->calls_end = true;
	pthread_cond_broadcast(&e->call_cond);
	pthread_mutex_unlock(&e->call_lock);
	if (join)
		pthread_join(e->thread, NULL);
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	engine_stop(e);
	if (e->multi)
		cleanup_curl(e);
	curl_global_cleanup();
	if (e->key_header)
		explicit_bzero(e->key_header, strlen(e->key_header));
	free(e->key_header);
	free(e->user_agent);
	free(e->ca_file);
	url_base_clear(&e->base);
	pthread_cond_destroy(&e->call_cond);
	pthread_mutex_destroy(&e->call_lock);
	pthread_mutex_destroy(&e->lock);
	free(e);
}
