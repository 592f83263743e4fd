/* Errors of the API, of front ends before it, and of the way to it, as one struct. */
#include "provider/gemini/gemini.h"
#include "provider/gemini/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "provider/errors.h"
#include "base/utf8.h"
#include "base/util.h"

#define TEXT_MAX ((size_t)16 << 10)
#define PAGE_TEXT_MAX 400
#define RETRY_MAX_S 86400.0

/* ---- text  ---- */

/* A copy that is valid UTF-8 without control characters (but newline and tab) or
 * white space around it, at most TEXT_MAX bytes; NULL when nothing is left. */
static char *clean(const char *text, size_t n)
{
	char *out, *q;

	while (n > 0 && isspace((unsigned char)*text))
		text++, n--;
	n = n > TEXT_MAX ? util_utf8_cut(text, n, TEXT_MAX) : n;
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	out = n > 0 ? strndup(text, n) : NULL;
	for (q = out; q && *q; q++)
		if (((unsigned char)*q < ' ' && *q != '\n' && *q != '\t') || *q == 0x7f)
			*q = ' ';
	if (out && !util_utf8_valid(out, strlen(out)))
		for (q = out; *q; q++)
			if ((unsigned char)*q >= 0x80)
				*q = '?';
	return out;
}

/* Past the end of the tag at p; of script and style, past their content too. */
static const char *skip_tag(const char *p, const char *end)
{
	static const char *const hidden[] = {"script", "style"};
	const char *close = memchr(p, '>', (size_t)(end - p));

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		size_t n = strlen(hidden[i]);

		if ((size_t)(end - p) <= n + 2 || strncasecmp(p + 1, hidden[i], n) != 0)
			continue;
		for (; p + n + 2 < end; p++)
			if (p[0] == '<' && p[1] == '/' &&
				strncasecmp(p + 2, hidden[i], n) == 0)
				return skip_tag(p, end);
		return end;
	}
	return close ? close + 1 : end;
}

static const struct {
	const char *name;
	char c;
} entities[] = {
	{"&amp;", '&'},
	{"&lt;", '<'},
	{"&gt;", '>'},
	{"&quot;", '"'},
	{"&#39;", '\''},
	{"&nbsp;", ' '},
};

static char entity_char(const char **p, const char *end)
{
	for (size_t i = 0; i < ARRAY_SIZE(entities); i++) {
		size_t n = strlen(entities[i].name);

		if ((size_t)(end - *p) >= n && memcmp(*p, entities[i].name, n) == 0) {
			*p += n;
			return entities[i].c;
		}
	}
	return *(*p)++;
}

/* The words of an HTML page, on one line. */
static char *page_text(const char *p, size_t n)
{
	const char *end = p + n;
	char line[PAGE_TEXT_MAX + 1];
	size_t len = 0;

	while (p < end && len < PAGE_TEXT_MAX) {
		char c = ' ';

		if (*p == '<')
			p = skip_tag(p, end);
		else if (*p == '&')
			c = entity_char(&p, end);
		else
			c = *p++;
		if (isspace((unsigned char)c))
			c = ' ';
		if (c != ' ' || (len > 0 && line[len - 1] != ' '))
			line[len++] = c;
	}
	if (len == PAGE_TEXT_MAX)
		len = util_utf8_cut(line, len, len - 1);
	return clean(line, len);
}

static bool looks_like_page(const char *p, size_t n)
{
	while (n > 0 && isspace((unsigned char)*p))
		p++, n--;
	return n > 0 && *p == '<';
}

/* ---- google.rpc.Status  ---- */

static bool is_type(const json_t *detail, const char *type)
{
	const char *t = json_string_value(json_object_get(detail, "@type"));
	size_t n = t ? strlen(t) : 0, m = strlen(type);

	return n >= m && strcmp(t + n - m, type) == 0;
}

/* "34.5s", or {"seconds": 34}. */
static double duration(const json_t *v)
{
	const char *text = json_string_value(v);
	char *end;
	double d;

	if (json_is_object(v))
		return (double)gemini_field_count(v, "seconds", -1);
	if (!text || !isdigit((unsigned char)*text))
		return -1;
	d = strtod(text, &end);
	return strcmp(end, "s") == 0 && d >= 0 ? d : -1;
}

static void keep_reason(struct provider_error *e, const char *reason)
{
	if (reason && strlen(reason) < sizeof e->reason &&
		strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
			strlen(reason))
		strcpy(e->reason, reason);
}

/* google.rpc.QuotaFailure names the quotas. */
static void from_violations(const json_t *violations, struct provider_error *e)
{
	json_t *v;
	size_t i;

	json_array_foreach(violations, i, v)
	{
		if (!e->quota)
			e->quota = errors_quota(gemini_field_text(v, "quotaId"));
		if (!e->quota)
			e->quota = errors_quota(gemini_field_text(v, "quotaMetric"));
	}
}

static void from_details(const json_t *details, struct provider_error *e)
{
	json_t *d;
	size_t i;

	json_array_foreach(details, i, d)
	{
		if (is_type(d, "google.rpc.ErrorInfo"))
			keep_reason(e, gemini_field_text(d, "reason"));
		if (is_type(d, "google.rpc.QuotaFailure"))
			from_violations(gemini_field(d, "violations"), e);
		/* Beside a header: the later of the two. */
		if (is_type(d, "google.rpc.RetryInfo"))
			e->retry = fmax(
				e->retry, duration(gemini_field(d, "retryDelay")));
	}
}

/* Gateways, portals and proxies answer JSON too. The API's own always repeats the
 * status as a number, and says it in a google.rpc word or with Google's lists. */
static bool is_own(const json_t *error, long status)
{
	const json_t *code = json_object_get(error, "code");
	const char *name = json_string_value(json_object_get(error, "status"));

	if (!json_is_integer(code) || json_integer_value(code) != status)
		return false;
	return errors_is_grpc_name(name) ||
	       json_is_array(json_object_get(error, "details")) ||
	       json_is_array(json_object_get(error, "errors"));
}

static bool from_json(const json_t *root, struct provider_error *e)
{
	const json_t *obj = json_is_array(root) ? json_array_get(root, 0) : root;
	const json_t *error = gemini_field(obj, "error");
	const char *text = NULL;

	e->from_api = is_own(error, e->status);
	if (json_is_object(error))
		obj = error;
	else
		text = json_string_value(error);
	if (!text || gemini_field_text(obj, "error_description"))
		text = gemini_field_text(obj, "error_description");
	if (!text)
		text = gemini_field_text(obj, "message");
	keep_reason(e, gemini_field_text(obj, "status"));
	from_details(gemini_field(obj, "details"), e);
	if (text)
		e->text = clean(text, strlen(text));
	return e->text || e->reason[0];
}

void gemini_error_parse(const char *body, size_t n, struct provider_error *e)
{
	json_t *root = gemini_json(body, n);
	bool known = root && from_json(root, e);

	json_decref(root);
	if (known || !body)
		return;
	e->text = looks_like_page(body, n) ? page_text(body, n) : clean(body, n);
}

/* Only the API knows what it has done: what filters replies answers so after the deed,
 * too. */
static bool proves_refusal(const struct provider_error *e)
{
	return e->from_api && e->status >= 400 && e->status < 500 && e->status != 408 &&
	       e->status != 409 && e->status != 499;
}

/* ---- who answered  ---- */

/* In front of what is there already. */
static void put_before(struct provider_error *e, const char *line)
{
	char *text = util_format(
		"%s%s%s", line, e->text ? "\n" : "", e->text ? e->text : "");

	if (!text)
		return;
	if (strlen(text) > TEXT_MAX)
		text[util_utf8_cut(text, strlen(text), TEXT_MAX)] = 0;
	free(e->text);
	e->text = text;
}

/* A page where JSON was asked for. Streams are looked at by those who read them. */
static bool is_page(const struct http_reply *reply)
{
	return reply->body && looks_like_page(reply->body, reply->body_len);
}

/* Networks that want a login, and wrong addresses, answer with redirects and pages. */
static void name_stranger(const struct http_reply *reply, struct provider_error *e)
{
	_cleanup_free_ char *line = NULL;

	if (e->from_api || reply->err)
		return;
	if (reply->elsewhere[0])
		line = util_format(
			"A redirect to %s came instead of the API's reply: this "
			"network may want you to log in (open a web page in a "
			"browser), or SOURCE is not the API's address.",
			reply->elsewhere);
	else if (e->status == 511)
		line = strdup("This network wants you to log in: open a web page in a "
			      "browser.");
	else if (e->status < 300 && is_page(reply))
		line = strdup("A web page came instead of the API's reply: this "
			      "network may want you to log in (open a web page in a "
			      "browser), or SOURCE is not the API's address.");
	if (line)
		put_before(e, line);
}

static void give_advice(struct provider_error *e)
{
	const char *advice = errors_advice(e->reason, e->text);

	if (advice)
		put_before(e, advice);
}

/* The text about money over ten minutes mentions billing, too. Where nothing says which
 * quota it is, one that names a time may be a rate. */
static void judge_quota(struct provider_error *e)
{
	if (e->status != 429) {
		e->quota = QUOTA_UNTOLD;
		return;
	}
	if (!e->quota)
		e->quota = errors_quota(e->text);
	e->hopeless = e->quota != QUOTA_MONEY && errors_hopeless(e->text);
	if (!e->quota && e->retry >= 0)
		e->quota = QUOTA_TIMED;
	if (e->quota == QUOTA_MONEY && e->retry < 0)
		e->retry = GEMINI_MONEY_SPAN;
}

/* A reply that came, by its status and body. */
static void read_reply(const struct http_reply *reply, struct provider_error *e)
{
	bool stranger = reply->err == 0 && e->status < 300 && is_page(reply);

	if (e->status < 300 && !stranger)
		return;
	gemini_error_parse(reply->body, reply->body_len, e);
	if (stranger)
		e->err = -EPROTO;
	else if (e->err != -ECANCELED)
		e->err = errors_from_http(e->status, e->reason, e->text);
	judge_quota(e);
	give_advice(e);
	name_stranger(reply, e);
}

/* A 404 or 403 that is not from the API itself (but from a portal, a gateway) says
 * nothing about a job, a file or the key: the API could not be asked. */
static void doubt_refusal(struct provider_error *e)
{
	if (e->status > 400 && !e->from_api && (e->err == -ENOENT || e->err == -EACCES))
		e->err = -EHOSTUNREACH;
}

void gemini_error_from_reply(const struct http_reply *reply, struct provider_error *ret)
{
	struct provider_error e = {
		.err = reply->err,
		.status = reply->status,
		.sent = reply->sent,
		.untrusted = reply->untrusted,
		.retry = reply->retry_after,
	};

	if (reply->status >= 400 || (reply->err == 0 && reply->status > 0))
		read_reply(reply, &e);
	if (e.retry > RETRY_MAX_S)
		e.retry = RETRY_MAX_S;
	if (!e.text && reply->error[0])
		e.text = clean(reply->error, strlen(reply->error));
	doubt_refusal(&e);
	e.refused = proves_refusal(&e);
	*ret = e;
}

/* ---- downloads  ---- */

/* 403 is how the API says "not there, or not yours", and also how it refuses keys. */
static bool is_about_key(const struct provider_error *e)
{
	static const char *const reasons[] = {"API_KEY", "SERVICE_", "CONSUMER_",
		"BILLING", "USER_PROJECT", "ACCESS_"};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strncmp(e->reason, reasons[i], strlen(reasons[i])) == 0)
			return true;
	return false;
}

/* Not every endpoint serves an output by the first of its two paths. */
struct download_verdict gemini_judge_download(
	const struct http_reply *reply, unsigned way)
{
	struct provider_error e = {0};
	struct download_verdict v = {.err = -EIO, .hint = -1};

	if (reply->status == 404 && way == 0) {
		v.other_way = true;
		return v;
	}
	gemini_error_from_reply(reply, &e);
	v.err = e.err < 0 ? e.err : -EIO;
	v.hint = e.retry;
	v.again = errors_may_pass(&e, CALL_DOWNLOAD);
	if (e.from_api && (reply->status == 404 || reply->status == 410 ||
				  (reply->status == 403 && !is_about_key(&e))))
		v.refused = (unsigned)reply->status;
	if (v.refused) {
		v.err = -ENODATA;
		v.words = STEAL_PTR(e.text);
	}
	provider_error_clear(&e);
	return v;
}
