#include "http/http_private.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

void reply_init(struct http_reply *reply)
{
	*reply = (struct http_reply){
		.retry_after = -1,
		.content_length = -1,
		.range_start = -1,
		.range_end = -1,
		.range_total = -1,
	};
}

static void forget_kept(struct http_reply *reply)
{
	for (size_t i = 0; i < HTTP_KEPT; i++) {
		if (reply->kept[i])
			explicit_bzero(reply->kept[i], strlen(reply->kept[i]));
		free(reply->kept[i]);
	}
}

void http_reply_clear(struct http_reply *reply)
{
	free(reply->body);
	forget_kept(reply);
	reply_init(reply);
}

static void copy_header(char *to, size_t size, const char *value)
{
	if (strlen(value) < size)
		strcpy(to, value);
}

/* For a new leg, or a final head after an interim one. */
void reply_forget_head(struct transfer *t)
{
	http_reply_clear(&t->reply);
	copy_header(t->reply.elsewhere, sizeof t->reply.elsewhere, t->elsewhere);
	t->location[0] = 0;
	t->head_done = t->cut = t->chunked = false;
	t->date = t->retry_date = 0;
	t->head_bytes = t->discarded = t->body_alloc = 0;
}

/* ---- the head  ---- */

static int64_t number(const char *text)
{
	char *end;
	long long n;

	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || n < 0 || (*end && !isspace((unsigned char)*end)) ? -1 : n;
}

/* "bytes 0-99/1000", with `*` for either part. */
static void on_content_range(struct http_reply *p, const char *value)
{
	const char *slash = strchr(value, '/');
	char *end;
	long long start;

	p->range_start = p->range_end = p->range_total = -1;
	if (strncasecmp(value, "bytes ", 6) != 0 || !slash)
		return;
	p->range_total = number(slash + 1);
	value += 6;
	if (!isdigit((unsigned char)*value))
		return;
	errno = 0;
	start = strtoll(value, &end, 10);
	if (errno || *end != '-')
		return;
	p->range_start = start;
	value = end + 1;
	if (!isdigit((unsigned char)*value))
		return;
	start = strtoll(value, &end, 10);
	if (errno == 0 && end == slash)
		p->range_end = start;
}

/* One wrong Date (from a proxy, or from a machine that has just been started) is not a
 * clock. */
static void on_date(struct transfer *t, const char *value)
{
	time_t date = curl_getdate(value, NULL);

	if (!t->home || date <= 0)
		return;
	t->date = date;
	long long told = (long long)date - (long long)util_now();
	long long before = atomic_exchange(&t->e->clock_told, told);
	/* The first is compared with the wall clock; these two may agree too. */
	if (before == LLONG_MIN)
		before = time(NULL) - (long long)util_now(); /* wall: a second opinion */
	if (llabs(told - before) <= ENGINE_DATES_AGREE)
		atomic_store(&t->e->clock_offset, told);
}

/* Seconds of any length, or a date; of several headers the longest counts. */
static void on_retry_after(struct transfer *t, const char *value)
{
	bool seconds = *value && !value[strspn(value, "0123456789")];
	time_t date = seconds ? -1 : curl_getdate(value, NULL);

	if (seconds)
		t->reply.retry_after = fmax(t->reply.retry_after, strtod(value, NULL));
	else if (date > t->retry_date)
		t->retry_date = date;
}

/* A date is one of the clock that the same reply tells. */
static void take_retry_date(struct transfer *t)
{
	time_t now = t->date ? t->date : engine_server_time(t->e);

	if (t->retry_date)
		t->reply.retry_after = fmax(
			t->reply.retry_after, fmax(0, difftime(t->retry_date, now)));
}

/* The last of several of one name counts, but for one that is too long. Without memory
 * it is as if it were absent. */
static void keep_header(struct transfer *t, const char *name, const char *value)
{
	if (strlen(value) >= HTTP_KEPT_SIZE)
		return;
	for (size_t i = 0; t->r.keep && i < HTTP_KEPT && t->r.keep[i]; i++)
		if (strcasecmp(name, t->r.keep[i]) == 0) {
			free(t->reply.kept[i]);
			t->reply.kept[i] = strdup(value);
		}
}

static void on_header_pair(struct transfer *t, const char *name, const char *value)
{
	struct http_reply *p = &t->reply;

	if (strcasecmp(name, "Content-Length") == 0)
		p->content_length = number(value);
	else if (strcasecmp(name, "Transfer-Encoding") == 0)
		t->chunked = true;
	else if (strcasecmp(name, "Content-Range") == 0)
		on_content_range(p, value);
	else if (strcasecmp(name, "Content-Type") == 0)
		p->page = strncasecmp(value, "text/html", 9) == 0 ||
			  strncasecmp(value, "application/xhtml", 17) == 0;
	else if (strcasecmp(name, "Content-Encoding") == 0)
		p->encoded = *value && strcasecmp(value, "identity") != 0;
	else if (strcasecmp(name, "ETag") == 0)
		copy_header(p->etag, sizeof p->etag, value);
	else if (strcasecmp(name, "Date") == 0)
		on_date(t, value);
	else if (strcasecmp(name, "Retry-After") == 0)
		on_retry_after(t, value);
	else if (strcasecmp(name, "Location") == 0)
		copy_header(t->location, sizeof t->location, value);
	keep_header(t, name, value);
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	       status == 308;
}

/* Decide whether the reply leads elsewhere, before anybody is told of it. */
static void look_at_redirect(struct transfer *t)
{
	_cleanup_free_ char *url = NULL, *origin = NULL;

	if (!is_redirect(t->reply.status) || !*t->location)
		return;
	url = url_resolve(t->url, t->location);
	origin = url ? url_origin(url) : NULL;
	if (origin && strcmp(origin, t->e->base.origin) != 0)
		copy_header(t->elsewhere, sizeof t->elsewhere, origin);
	copy_header(t->reply.elsewhere, sizeof t->reply.elsewhere, t->elsewhere);
	if (t->r.method != HTTP_GET || t->hops >= ENGINE_HOPS_MAX)
		return;
	if (url && url_redirect(&t->e->base, url, &t->next_home))
		t->next_url = STEAL_PTR(url);
	else
		engine_log(t->e, LOG_WARNING,
			"the API answered with a redirect, which is not followed");
}

/* 0, or the reason to break off. */
static int end_of_head(struct transfer *t)
{
	if (t->reply.status < 200) {
		reply_forget_head(t);
		return 0;
	}
	t->head_done = true;
	take_retry_date(t);
	/* In chunks a Content-Length means nothing (RFC 9112, 6.3). */
	if (t->reply.encoded || t->chunked)
		t->reply.content_length = -1;
	look_at_redirect(t);
	if (t->next_url)
		return 0;
	if (t->r.on_sent && t->body_size > 0 && t->body_pos == t->body_size)
		t->r.on_sent(t->r.arg, t->body_size);
	return t->r.on_head ? t->r.on_head(t->r.arg, &t->reply) : 0;
}

static long status_of(const char *line)
{
	const char *p = strchr(line, ' ');

	return p && isdigit((unsigned char)p[1]) ? strtol(p + 1, NULL, 10) : 0;
}

static int head_line(struct transfer *t, char *line)
{
	char *colon, *value;

	if (!*line)
		return end_of_head(t);
	if (strncasecmp(line, "HTTP/", 5) == 0) {
		reply_forget_head(t);
		t->reply.status = status_of(line);
		return 0;
	}
	colon = strchr(line, ':');
	if (!colon)
		return 0;
	*colon = 0;
	value = colon + 1 + strspn(colon + 1, " \t");
	on_header_pair(t, line, value);
	return 0;
}

size_t reply_on_header(char *buf, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;
	char line[4096];

	if (t->head_done) /* trailers */
		return len;
	t->head_bytes += len;
	if (t->head_bytes > ENGINE_HEAD_MAX) {
		t->fail = -EPROTO;
		return 0;
	}
	n = len;
	while (n > 0 && isspace((unsigned char)buf[n - 1]))
		n--;
	if (n >= sizeof line) /* none of ours is that long */
		return len;
	memcpy(line, buf, n);
	line[n] = 0;
	t->fail = head_line(t, line);
	return t->fail ? 0 : len;
}

/* ---- the body  ---- */

/* Append to reply.body, NUL-terminated. */
static int keep_body(struct transfer *t, const char *buf, size_t n)
{
	struct http_reply *p = &t->reply;
	size_t need = p->body_len + n + 1, alloc = t->body_alloc ? t->body_alloc : 4096;
	char *body;

	while (alloc < need)
		alloc *= 2;
	if (alloc != t->body_alloc) {
		body = realloc(p->body, alloc);
		if (!body)
			return -ENOMEM;
		p->body = body;
		t->body_alloc = alloc;
	}
	memcpy(p->body + p->body_len, buf, n);
	p->body_len += n;
	p->body[p->body_len] = 0;
	return 0;
}

static int keep_reply(struct transfer *t, const char *buf, size_t n)
{
	size_t cap = t->r.cap ? t->r.cap : ENGINE_BODY_MAX;

	return n > cap - t->reply.body_len ? -EPROTO : keep_body(t, buf, n);
}

/* The beginning of an error's text will do; more is not even read. */
static int keep_error(struct transfer *t, const char *buf, size_t n)
{
	size_t room = ENGINE_ERROR_BODY_MAX - t->reply.body_len;

	t->cut = n > room;
	return keep_body(t, buf, n < room ? n : room);
}

static int discard_body(struct transfer *t, size_t n)
{
	t->discarded += n;
	t->cut = t->discarded > ENGINE_ERROR_BODY_MAX;
	return 0;
}

int reply_hand_over(struct transfer *t)
{
	size_t n = t->piece_len;

	t->piece_len = 0;
	if (n > 0 && !t->fail)
		t->fail = t->r.on_data(t->r.arg, t->piece, n);
	return t->fail;
}

/* libcurl hands out 16 KiB at most, however much it has read: small writes cost the
 * receiver more than this copy. The loop hands over what is left when nothing more is
 * at hand. */
static int gather(struct transfer *t, const char *buf, size_t n)
{
	int err = 0;

	if (!t->piece)
		t->piece = malloc(ENGINE_PIECE_MAX);
	if (!t->piece)
		return -ENOMEM;
	while (n > 0 && err == 0) {
		size_t room = ENGINE_PIECE_MAX - t->piece_len, k = n < room ? n : room;

		memcpy(t->piece + t->piece_len, buf, k);
		t->piece_len += k;
		buf += k;
		n -= k;
		if (t->piece_len == ENGINE_PIECE_MAX)
			err = reply_hand_over(t);
	}
	return err;
}

size_t reply_on_body(char *buf, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	if (t->next_url)
		t->fail = discard_body(t, len);
	else if (t->reply.status < 200 || t->reply.status > 299)
		t->fail = keep_error(t, buf, len);
	else if (t->r.on_data)
		t->fail = gather(t, buf, len);
	else
		t->fail = keep_reply(t, buf, len);
	return t->fail || t->cut ? 0 : len;
}

/* ---- the verdict  ---- */

static const struct {
	CURLcode code;
	int err;
} verdicts[] = {
	{CURLE_OK, 0},
	{CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH},
	{CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH},
	{CURLE_COULDNT_CONNECT, -EHOSTUNREACH},
	{CURLE_PROXY, -EHOSTUNREACH},
	{CURLE_SSL_CONNECT_ERROR, -EHOSTUNREACH},
	{CURLE_SSL_CERTPROBLEM, -EHOSTUNREACH},
	{CURLE_SSL_CIPHER, -EHOSTUNREACH},
	{CURLE_PEER_FAILED_VERIFICATION, -EHOSTUNREACH},
	{CURLE_SSL_CACERT_BADFILE, -EHOSTUNREACH},
	{CURLE_SSL_ISSUER_ERROR, -EHOSTUNREACH},
	{CURLE_SSL_INVALIDCERTSTATUS, -EHOSTUNREACH},
	{CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT},
	{CURLE_OUT_OF_MEMORY, -ENOMEM},
	{CURLE_URL_MALFORMAT, -EINVAL},
};

static int verdict(const struct transfer *t, CURLcode code)
{
	int err = -EIO;

	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++)
		if (verdicts[i].code == code)
			err = verdicts[i].err;
	if (err == -EIO || err == -ETIMEDOUT)
		return t->requested ? err : -EHOSTUNREACH;
	return err;
}

/* Proven not to have acted: never asked, or asked once with less than the whole body. A
 * request that libcurl may have repeated proves nothing. */
static enum http_sent how_far(const struct transfer *t)
{
	curl_off_t sent = 0;

	if (t->requested == 0)
		return HTTP_NOT_SENT;
	if (!t->r.once || t->requested > 1 || t->body_size == 0)
		return HTTP_MAYBE_SENT;
	if (t->body_pos < t->body_size)
		return HTTP_NOT_SENT;
	if (curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent) != CURLE_OK)
		return HTTP_MAYBE_SENT;
	return sent < t->body_size ? HTTP_NOT_SENT : HTTP_MAYBE_SENT;
}

static bool about_trust(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION ||
	       code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CACERT_BADFILE;
}

void reply_finish(struct transfer *t, CURLcode code)
{
	struct http_reply *p = &t->reply;

	engine_mask_key(t->e, p->body, p->body_len);
	engine_mask_key(t->e, p->elsewhere, strlen(p->elsewhere));
	engine_mask_key(t->e, p->etag, strlen(p->etag));
	p->sent = how_far(t);
	if (t->cut && !t->fail)
		code = CURLE_OK;
	p->err = t->fail ? t->fail : verdict(t, code);
	if (p->err == 0 && !t->head_done)
		p->err = -EIO;
	p->untrusted = p->err == -EHOSTUNREACH && about_trust(code);
	p->complete = p->err == 0 && !t->cut;
	if (p->err)
		words_explain(t, code);
}
