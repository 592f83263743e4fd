/*
 * The machine: start → (query →) send → done. Any failure while sending leads to a
 * query, which says where to continue or that the session is invalid.
 * docs/api-facts.md, "Upload".
 */
#include "provider/gemini/upload.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "provider/gemini/calls.h"
#include "provider/gemini/parse.h"
#include "provider/errors.h"
#include "base/mime.h"
#include "base/util.h"

#define BREAKS_MAX 6
#define UNREACHED_MAX 3 /* without a connection, and nothing of it is there yet */
#define RESTARTS_MAX 2  /* after a refusal that names no reason to hope */
#define CONTROL_S 60.0
#define STALL_S 120.0
#define PROCESSING_S 600.0
#define POLL_FIRST_S 0.25
#define POLL_LAST_S 8.0
#define FALLBACK_MIME "text/plain"

enum step { STEP_START, STEP_QUERY, STEP_SEND, STEP_DONE };

struct run {
	struct engine *e;
	struct upload *u;
	struct canceller *c;
	struct remote_file *file;
	struct provider_error *err;
	const char *mime;
	int64_t offset; /* of the piece to send */
	int64_t best;   /* most bytes the server ever said to have */
	int breaks, restarts;
	bool have_file;
	bool under_prefix; /* where the session is looked for */
	bool both_ways;    /* and the other place was tried too */
};

/* ---- ends and breaks  ---- */

static int upload_fail(struct run *run, int err, const char *text)
{
	provider_error_clear(run->err);
	run->err->err = err;
	run->err->text = text ? strdup(text) : NULL;
	return err;
}

/* Something broke that passes: wait, then go on with next. */
static int break_then(struct run *run, enum step next)
{
	bool unreached = next == STEP_START && run->err->err == -EHOSTUNREACH;

	if (++run->breaks > (unreached ? UNREACHED_MAX : BREAKS_MAX))
		return run->err->err ? run->err->err : upload_fail(run, -EIO, NULL);
	switch (engine_pause(run->e, run->breaks, run->err->retry, run->c)) {
	case 0:
		return (int)next;
	case -EAGAIN:
		return run->err->err ? run->err->err : upload_fail(run, -EIO, NULL);
	default:
		return upload_fail(run, -ECANCELED, NULL);
	}
}

/* What is kept on disk of a session's URL: nothing where the key is in it. */
static int tell_session(const struct run *run, const char *url)
{
	_cleanup_free_ char *copy = strdup(url);
	bool has_key;

	if (!copy)
		return -ENOMEM;
	has_key = engine_mask_key(run->e, copy, strlen(copy));
	explicit_bzero(copy, strlen(copy));
	return run->u->on_session(run->u->arg, has_key ? "" : url);
}

static int set_session(struct run *run, const char *url)
{
	int r;

	run->both_ways = false;
	explicit_bzero(run->u->session, sizeof run->u->session);
	snprintf(run->u->session, sizeof run->u->session, "%s", url);
	run->offset = 0;
	r = run->u->on_session ? tell_session(run, url) : 0;
	return r ? upload_fail(run, r < 0 ? r : -ECANCELED, NULL) : 0;
}

/* The session is invalid: forget it and start again, a limited number of times. */
static int start_anew(struct run *run)
{
	int r = set_session(run, "");

	if (r < 0)
		return r;
	run->best = 0;
	return break_then(run, STEP_START);
}

static bool about_mime(const struct provider_error *e)
{
	return e->status >= 400 && e->status < 500 && e->text &&
	       strcasestr(e->text, "mime");
}

/* Whether it can be sent as plain text, which a picture is not. */
static bool may_be_plain(const struct run *run)
{
	return strcmp(run->mime, FALLBACK_MIME) != 0 &&
	       (strcmp(run->mime, "application/jsonl") == 0 || mime_is_text(run->mime));
}

/* A refusal. MIME types of texts are tried once more as plain text; else it is final,
 * unless a new session may help. */
static int refused(struct run *run, bool anew)
{
	if (about_mime(run->err) && may_be_plain(run)) {
		run->mime = FALLBACK_MIME;
		return start_anew(run);
	}
	if (anew && run->restarts++ < RESTARTS_MAX)
		return start_anew(run);
	return run->err->err;
}

enum { KEPT_URL, KEPT_STATUS, KEPT_RECEIVED, KEPT_GRANULARITY };

static const char *const kept[] = {
	[KEPT_URL] = "X-Goog-Upload-URL",
	[KEPT_STATUS] = "X-Goog-Upload-Status",
	[KEPT_RECEIVED] = "X-Goog-Upload-Size-Received",
	[KEPT_GRANULARITY] = "X-Goog-Upload-Chunk-Granularity",
	NULL,
};

static int upload_call(
	struct run *run, struct http_request *r, struct http_reply *reply)
{
	r->keep = kept;
	engine_call(run->e, r, run->c, reply);
	provider_error_clear(run->err);
	gemini_error_from_reply(reply, run->err);
	return run->err->err;
}

/* ---- start  ---- */

static char *start_body(const struct upload *u)
{
	json_t *root;
	char *text;

	root = u->display && *u->display
		       ? json_pack("{s:{s:s}}", "file", "displayName", u->display)
		       : json_pack("{s:{}}", "file");
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

static int started(struct run *run, const struct http_reply *reply)
{
	const char *url = reply->kept[KEPT_URL];
	int r;

	if (!url || strlen(url) >= sizeof run->u->session) {
		upload_fail(run, -EIO,
			"the API started an upload but did not say where to send it");
		return break_then(run, STEP_START);
	}
	r = set_session(run, url);
	if (r < 0)
		return r;
	/* Not with all the bytes: they might go to nobody. */
	return engine_session_way(run->e) == SESSION_UNKNOWN ? STEP_QUERY : STEP_SEND;
}

static int upload_step_start(struct run *run)
{
	_cleanup_free_ char *body = start_body(run->u);
	char length[80], type[256];
	const char *headers[] = {"Content-Type: application/json",
		"X-Goog-Upload-Protocol: resumable", "X-Goog-Upload-Command: start",
		length, type, NULL};
	struct http_request r = {
		.method = HTTP_POST,
		.path = "/upload/v1beta/files",
		.headers = headers,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.body_fd = -1,
		.deadline = CONTROL_S,
	};
	struct http_reply reply;
	int next;

	if (!body)
		return upload_fail(
			run, -EINVAL, "the file's display name is not UTF-8");
	snprintf(length, sizeof length, "X-Goog-Upload-Header-Content-Length: %lld",
		(long long)run->u->size);
	snprintf(type, sizeof type, "X-Goog-Upload-Header-Content-Type: %s", run->mime);
	if (upload_call(run, &r, &reply) == 0)
		next = started(run, &reply);
	else
		next = errors_may_pass(run->err, CALL_UPLOAD)
			       ? break_then(run, STEP_START)
			       : refused(run, false);
	http_reply_clear(&reply);
	return next;
}

/* ---- what a session's replies say  ---- */

static bool says(const struct http_reply *reply, const char *status)
{
	const char *told = reply->kept[KEPT_STATUS];

	return told && strcasecmp(told, status) == 0;
}

/* How much of the upload the API has; -1: it does not say. */
static int64_t received(const struct http_reply *reply)
{
	const char *text = reply->kept[KEPT_RECEIVED];
	char *end;
	long long n;

	if (!text || !isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || *end ? -1 : n;
}

/* The finished file, if the reply holds one. */
static bool take_remote_file(struct run *run, const struct http_reply *reply)
{
	if (!run->have_file)
		run->have_file =
			gemini_file_parse(reply->body, reply->body_len, run->file) == 0;
	return run->have_file;
}

/* All bytes are there, but the reply names no file. Seen where the MIME type was
 * not liked. */
static int finished_nameless(struct run *run)
{
	upload_fail(run, -EIO, "the API finished an upload without naming the file");
	if (may_be_plain(run)) {
		run->mime = FALLBACK_MIME;
		return start_anew(run);
	}
	return refused(run, true);
}

/* ---- query  ---- */

static int upload_go_on(struct run *run, int64_t had)
{
	if (had < 0)
		had = 0;
	if (had > run->u->size) {
		upload_fail(run, -EIO,
			"the API reports more uploaded bytes than there are");
		return refused(run, true);
	}
	if (had > run->best) {
		run->best = had;
		run->breaks = 0;
	}
	run->offset = had;
	return STEP_SEND;
}

/* Whether whoever refuses knows nothing of upload sessions: no word of the protocol,
 * none of the API. */
static bool knows_no_sessions(const struct run *run, const struct http_reply *reply)
{
	bool page = reply->status / 100 == 2 && run->err->err == -EPROTO;

	return (page || (reply->status >= 300 &&
				!errors_may_pass(
					&(struct provider_error){
						.status = reply->status},
					CALL_UPLOAD))) &&
	       !run->err->from_api && !reply->kept[KEPT_STATUS] &&
	       !reply->kept[KEPT_RECEIVED] && !reply->kept[KEPT_GRANULARITY];
}

/* The base has a path, and it is not known whether sessions are below it: try the other
 * way. With neither, a session that was kept may be dead, a new one is not. */
static int look_elsewhere(struct run *run)
{
	run->under_prefix = !run->under_prefix;
	if (!run->both_ways) {
		run->both_ways = true;
		return STEP_QUERY;
	}
	upload_fail(run, -EIO,
		"The upload was started, but the address that the API gave for its "
		"bytes does not answer, neither below the path of SOURCE nor without "
		"it.\n"
		"The gateway at SOURCE must pass on /upload/, or SOURCE must be given "
		"without its path.");
	if (run->restarts++ > 0)
		return run->err->err;
	return start_anew(run);
}

static void found_way(struct run *run, const struct http_reply *reply)
{
	if (reply->kept[KEPT_STATUS])
		engine_found_session_way(run->e,
			run->under_prefix ? SESSION_UNDER_PREFIX : SESSION_BARE);
}

static int queried(struct run *run, const struct http_reply *reply)
{
	if (take_remote_file(run, reply))
		return STEP_DONE;
	if (says(reply, "final"))
		return finished_nameless(run);
	if (says(reply, "cancelled")) {
		upload_fail(run, -EIO, "the API has cancelled the upload");
		return refused(run, true);
	}
	if (says(reply, "active"))
		return upload_go_on(run, received(reply));
	upload_fail(run, -EIO, "the API does not say how far the upload is");
	return break_then(run, STEP_QUERY);
}

static int step_query(struct run *run)
{
	static const char *const headers[] = {"X-Goog-Upload-Command: query", NULL};
	struct http_request r = {
		.method = HTTP_POST,
		.session_url = run->u->session,
		.under_prefix = run->under_prefix,
		.headers = headers,
		.body_fd = -1,
		.no_key = true,
		.deadline = CONTROL_S,
	};
	struct http_reply reply;
	int next;

	upload_call(run, &r, &reply);
	found_way(run, &reply);
	if (engine_session_way(run->e) == SESSION_UNKNOWN &&
		knows_no_sessions(run, &reply))
		next = look_elsewhere(run);
	else if (run->err->err == 0)
		next = queried(run, &reply);
	else if (errors_may_pass(run->err, CALL_UPLOAD))
		next = break_then(run, STEP_QUERY);
	else if (run->err->status == 404 || run->err->status == 410)
		next = start_anew(run);
	else
		next = run->err->status ? refused(run, true) : run->err->err;
	http_reply_clear(&reply);
	return next;
}

/* ---- send  ---- */

static void on_sent(void *arg, int64_t n)
{
	struct run *run = arg;

	if (run->u->on_progress)
		run->u->on_progress(run->u->arg, run->offset + n);
}

/* A 2xx without the file: the server wants more, or it got lost. */
static int sent_without_file(struct run *run, const struct http_reply *reply)
{
	upload_fail(run, -EIO, "the API accepted the upload but named no file");
	return break_then(run, STEP_QUERY);
}

static int send_refused(struct run *run, const struct http_reply *reply)
{
	long status = run->err->status;

	if (status == 404 || status == 410)
		return start_anew(run);
	if (about_mime(run->err) || status == 401 || status == 403)
		return refused(run, false);
	if (says(reply, "final") || says(reply, "cancelled"))
		return refused(run, true);
	if (status == 400 || status == 412 || status == 416)
		return break_then(run, STEP_QUERY);
	return status ? refused(run, true) : run->err->err;
}

static int step_send(struct run *run)
{
	char offset[64];
	const char *headers[] = {
		"X-Goog-Upload-Command: upload, finalize", offset, NULL};
	struct http_request r = {
		.method = HTTP_POST,
		.session_url = run->u->session,
		.under_prefix = run->under_prefix,
		.headers = headers,
		.body_fd = run->u->fd,
		.body_off = run->u->off + run->offset,
		.body_fd_len = run->u->size - run->offset,
		.once = true, /* libcurl would begin at this offset again */
		.no_key = true,
		.stall = STALL_S,
		.on_sent = on_sent,
		.arg = run,
	};
	struct http_reply reply;
	int next;

	snprintf(offset, sizeof offset, "X-Goog-Upload-Offset: %lld",
		(long long)run->offset);
	if (upload_call(run, &r, &reply) == 0)
		next = take_remote_file(run, &reply) ? STEP_DONE
					      : sent_without_file(run, &reply);
	else if (errors_may_pass(run->err, CALL_UPLOAD))
		next = break_then(run, STEP_QUERY);
	else
		next = send_refused(run, &reply);
	http_reply_clear(&reply);
	return next;
}

/* ---- after  ---- */

/* Text is ready at once; videos are not, so wait for them. */
static int await_active(struct run *run)
{
	_cleanup_free_ char *name = strdup(run->file->name);
	double end = util_now() + PROCESSING_S, pause = POLL_FIRST_S;
	int failures = 0;

	while (name && !run->file->active && !run->file->failed) {
		struct remote_file now;

		if (util_now() > end)
			return upload_fail(run, -ETIMEDOUT,
				"the API is still processing the uploaded file");
		if (engine_sleep(run->e, pause, run->c) < 0)
			return upload_fail(run, -ECANCELED, NULL);
		pause = pause < POLL_LAST_S ? 2 * pause : POLL_LAST_S;
		provider_error_clear(run->err);
		if (gemini_file_get(run->e, name, run->c, &now, run->err) == 0) {
			remote_file_clear(run->file);
			*run->file = now;
			failures = 0;
		} else if (!errors_may_pass(run->err, CALL_UPLOAD) ||
			   engine_pause(run->e, ++failures, run->err->retry, run->c)) {
			return run->err->err;
		}
	}
	if (!name)
		return upload_fail(run, -ENOMEM, NULL);
	if (run->file->failed)
		return upload_fail(
			run, -EINVAL, "the API could not process the uploaded file");
	provider_error_clear(run->err);
	return 0;
}

int upload_run(struct engine *e, struct upload *u, struct canceller *c,
	struct remote_file *ret, struct provider_error *err)
{
	static int (*const steps[])(struct run * run) = {
		[STEP_START] = upload_step_start,
		[STEP_QUERY] = step_query,
		[STEP_SEND] = step_send,
	};
	struct remote_file file = {0};
	struct run run = {.e = e,
		.u = u,
		.c = c,
		.file = &file,
		.err = err,
		.mime = u->mime,
		.under_prefix = engine_session_way(e) == SESSION_UNDER_PREFIX};
	int step = u->session[0] ? STEP_QUERY : STEP_START, r;

	*err = (struct provider_error){.retry = -1};
	while (step >= 0 && step != STEP_DONE)
		step = steps[step](&run);
	if (step == STEP_DONE && u->on_progress)
		u->on_progress(
			u->arg, u->size); /* the last answer may have been lost */
	r = step < 0 ? step : await_active(&run);
	if (r < 0)
		remote_file_clear(&file);
	else
		*ret = file;
	return r;
}
