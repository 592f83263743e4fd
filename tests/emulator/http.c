#include "http.h"
#include "knobs.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <strings.h>

const char *req_header(struct request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, name);
}

const char *req_query(struct request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->conn, MHD_GET_ARGUMENT_KIND, name);
}

bool req_query_int(
	struct request *rq, const char *name, int64_t fallback, int64_t *ret_value)
{
	const char *s = req_query(rq, name);
	char *end;
	int64_t v = fallback;

	if (s && *s) {
		errno = 0;
		v = strtoll(s, &end, 10);
		if (*end || errno) {
			reply_error(rq, 400, NULL,
				"Invalid value at '%s' (TYPE_INT32), \"%s\"", name, s);
			return false;
		}
	}
	*ret_value = v;
	return true;
}

/* Copies a quoted string, of either kind of quotes, in double ones. */
static const char *requote_string(const char *p, const char *end, struct buf *out)
{
	char quote = *p++;

	buf_puts(out, "\"");
	for (; p < end && *p != quote; p++) {
		if (*p == '\\' && p + 1 < end) {
			if (p[1] != '\'')
				buf_add(out, p, 1);
			p++;
		} else if (*p == '"') {
			buf_puts(out, "\\");
		}
		buf_add(out, p, 1);
	}
	buf_puts(out, "\"");
	return p < end ? p + 1 : p;
}

static const char *requote_word(const char *p, const char *end, struct buf *out)
{
	const char *start = p;
	size_t n;

	while (p < end && !strchr(",]}{[: \t\r\n", *p))
		p++;
	n = p - start;
	if (isdigit((unsigned char)*start) || *start == '-' ||
		(n == 4 && !memcmp(start, "true", 4)) ||
		(n == 4 && !memcmp(start, "null", 4)) ||
		(n == 5 && !memcmp(start, "false", 5))) {
		buf_add(out, start, n);
		return p;
	}
	buf_puts(out, "\"");
	buf_add(out, start, n);
	buf_puts(out, "\"");
	return p;
}

/* Google's parser forgives single quotes and bare words; jansson does not. */
static void requote(const struct buf *in, struct buf *out)
{
	const char *p = in->p, *end = in->p + in->len;

	while (p < end) {
		if (*p == '\'' || *p == '"')
			p = requote_string(p, end, out);
		else if (strchr(",]}{[: \t\r\n", *p))
			buf_add(out, p++, 1);
		else
			p = requote_word(p, end, out);
	}
}

static void reply_bad_json(struct request *rq, const json_error_t *e)
{
	reply_error(rq, 400, NULL,
		"Invalid JSON payload received. Unexpected token.\n%s\n^ (line %d)",
		e->text, e->line);
}

json_t *req_json(struct request *rq)
{
	json_error_t e;
	json_t *j;

	if (!rq->body.len)
		return json_object();
	j = json_loadb(rq->body.p, rq->body.len, JSON_ALLOW_NUL, &e);
	if (!j && knob_on(K_lenient_json)) {
		struct buf again = {0};

		requote(&rq->body, &again);
		j = json_loadb(again.p, again.len, JSON_ALLOW_NUL, NULL);
		if (j) {
			buf_free(&rq->body);
			rq->body = again;
		} else {
			buf_free(&again);
		}
	}
	if (!j)
		reply_bad_json(rq, &e);
	else if (!json_is_object(j))
		reply_error(rq, 400, NULL,
			"Invalid JSON payload received. Unknown name \"\": "
			"Root element must be a message.");
	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

char *req_origin(struct request *rq)
{
	_cleanup_free_ char *public = knob_text_dup(K_public_host);
	const char *host = req_header(rq, "Host");
	const union MHD_ConnectionInfo *tls =
		MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	if (*public)
		return xstrdup(public);
	return xasprintf("%s://%s", tls && tls->tls_session ? "https" : "http",
		host ? host : "localhost");
}

void reply_reset(struct request *rq)
{
	struct reply *r = &rq->reply;

	json_decref(r->json);
	buf_free(&r->text);
	if (r->is_file)
		close(r->fd);
	for (size_t i = 0; i < r->n_headers; i++) {
		free(r->headers[i][0]);
		free(r->headers[i][1]);
	}
	*r = (struct reply){.fd = -1};
}

void reply_header(struct request *rq, const char *name, const char *value)
{
	struct reply *r = &rq->reply;

	if (r->n_headers == MAX_HEADERS)
		return;
	r->headers[r->n_headers][0] = xstrdup(name);
	r->headers[r->n_headers++][1] = xstrdup(value);
}

void reply_json_take(struct request *rq, int status, json_t *json)
{
	rq->reply.status = status;
	rq->reply.json = json;
	rq->reply.has_length = knob_on(K_json_length);
	rq->reply.type = "application/json; charset=UTF-8";
}

void reply_empty(struct request *rq)
{
	reply_json_take(rq, 200, json_object());
}

static const char *status_name(int code)
{
	static const struct {
		int code;
		const char *name;
	} names[] = {{400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"},
		{403, "PERMISSION_DENIED"}, {404, "NOT_FOUND"}, {409, "ABORTED"},
		{429, "RESOURCE_EXHAUSTED"}, {499, "CANCELLED"}, {500, "INTERNAL"},
		{501, "UNIMPLEMENTED"}, {503, "UNAVAILABLE"},
		{504, "DEADLINE_EXCEEDED"}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return code < 500 ? "FAILED_PRECONDITION" : "UNKNOWN";
}

static void retry_after(struct request *rq, int code)
{
	_cleanup_free_ char *seconds = knob_text_dup(K_retry_after);

	if (*seconds && (code == 429 || code == 503))
		reply_header(rq, "Retry-After", seconds);
}

/* The same as a detail of the error. */
static json_t *with_retry_delay(int code, json_t *details_take)
{
	_cleanup_free_ char *delay = knob_text_dup(K_retry_delay);

	if (!*delay || (code != 429 && code != 503))
		return details_take;
	if (!details_take)
		details_take = json_array();
	json_array_append_new(details_take,
		json_pack("{ss ss}", "@type", "type.googleapis.com/google.rpc.RetryInfo",
			"retryDelay", delay));
	return details_take;
}

void reply_error_details(struct request *rq, int code, const char *status,
	const char *message, json_t *details_take)
{
	int shape = knob_choice(K_error_shape);
	json_t *e = json_object(), *body;

	details_take = with_retry_delay(code, details_take);
	json_object_set_new(e, "code", json_integer(code));
	json_object_set_new(e, "message", json_string_nocheck(message));
	json_object_set_new(
		e, "status", json_string(status ? status : status_name(code)));
	if (details_take)
		json_object_set_new(e, "details", details_take);
	body = json_pack("{so}", "error", e);
	if (shape == 2) {
		reply_text(rq, code, "text/plain", message);
		json_decref(body);
	} else if (shape == 3) {
		reply_html(rq, code);
		json_decref(body);
	} else {
		reply_json_take(rq, code, shape == 1 ? json_pack("[o]", body) : body);
	}
	retry_after(rq, code);
}

void reply_error(struct request *rq, int code, const char *status, const char *fmt, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		abort();
	va_end(ap);
	reply_error_details(rq, code, status, message, NULL);
}

void reply_quota(struct request *rq)
{
	static const char *const texts[] = {
		"You exceeded your current quota, please check your plan and billing "
		"details. For more information on this error, head to: "
		"https://ai.google.dev/gemini-api/docs/rate-limits.",
		"Resource has been exhausted (e.g. check quota).",
		("Your prepayment credits are depleted. Please go to AI Studio to "
		 "manage your project and billing."),
		"You exceeded your current quota, please check your plan and billing "
		"details. Please retry in 1.5s."};
	int pick = knob_choice(K_quota_text) % 4; /* named: none to name here */
	json_t *details = NULL;

	if (pick == 0)
		details = json_pack("[{ss s[{ss ss}]}]", "@type",
			"type.googleapis.com/google.rpc.Help", "links", "description",
			"Learn more about Gemini API quotas", "url",
			"https://ai.google.dev/gemini-api/docs/rate-limits");
	else if (pick == 3)
		details = json_pack("[{ss ss}]", "@type",
			"type.googleapis.com/google.rpc.RetryInfo", "retryDelay",
			"1.5s");
	reply_error_details(rq, 429, NULL, texts[pick], details);
}

void reply_not_found(struct request *rq)
{
	reply_error(rq, 404, NULL, "Requested entity was not found.");
}

void reply_html(struct request *rq, int status)
{
	struct reply *r = &rq->reply;

	r->status = status;
	r->type = "text/html; charset=UTF-8";
	r->has_length = true;
	buf_printf(&r->text,
		"<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
		"  <title>Error %d (%s)!!1</title>\n  <p><b>%d.</b> <ins>That's an "
		"error.</ins>\n  <p>The requested URL <code>%s</code> was not found on "
		"this server.  <ins>That's all we know.</ins>\n",
		status, status == 404 ? "Not Found" : "Error", status, rq->path);
}

void reply_text(struct request *rq, int status, const char *type, const char *text)
{
	rq->reply.status = status;
	rq->reply.type = type;
	rq->reply.has_length = true;
	buf_puts(&rq->reply.text, text);
}

void reply_file_take(struct request *rq, int status, const char *type, int fd,
	int64_t off, int64_t len)
{
	struct reply *r = &rq->reply;

	r->status = status;
	r->type = type;
	r->is_file = true;
	r->has_length = true;
	r->fd = fd;
	r->off = off;
	r->len = len;
}

void request_free(struct request *rq)
{
	reply_reset(rq);
	buf_free(&rq->body);
	fault_clear(&rq->fault);
	free(rq->uri);
	free(rq->path);
	free(rq);
}
