/* The head of a reply, line by line as libcurl hands it out, and its body.
 *
 * Checked: numbers are numbers or -1, texts fit, the body is bounded; a redirect that
 * would be followed is https or stays on this machine, and takes the key along only to
 * the same origin; of an upload's URL only path and query are used. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_private.h"

static const char *const kept[] = {"X-Goog-Upload-URL", "X-Goog-Upload-Status", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Where a URL goes to, as libcurl understands it. */
static char *origin_of(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *ret = NULL;

	if (!curl_url_set(u, CURLUPART_URL, url, 0) &&
		!curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
		!curl_url_get(u, CURLUPART_HOST, &host, 0) &&
		!curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
		ret = util_format("%s://%s:%s", scheme, host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return ret;
}

static void check_redirect(const struct transfer *t)
{
	char *origin, *base;

	if (!t->next_url)
		return;
	check(begins(t->next_url, "https://"), "a redirect from https stays with it");
	origin = origin_of(t->next_url);
	base = origin_of(t->e->base.origin);
	check(origin && base, "a redirect can be understood");
	check(t->next_home == (strcasecmp(origin, base) == 0), "home is the same origin");
	free(origin);
	free(base);
}

static void check_session(const struct transfer *t)
{
	char *url, *origin, *base;

	if (!t->reply.kept[0])
		return;
	url = url_session(&t->e->base, t->reply.kept[0], t->hops & 1);
	if (!url)
		return;
	origin = origin_of(url);
	base = origin_of(t->e->base.origin);
	check(origin && base && strcmp(origin, base) == 0, "uploads go to the base");
	free(url);
	free(origin);
	free(base);
}

static void check_reply(const struct transfer *t)
{
	const struct http_reply *p = &t->reply;

	check(p->content_length >= -1 && p->range_start >= -1 && p->range_total >= -1,
		"numbers");
	check(p->retry_after == -1 || p->retry_after >= 0, "Retry-After");
	check(!isnan(p->retry_after) && !isinf(p->retry_after), "Retry-After is finite");
	check(p->body_len <= ENGINE_BODY_MAX, "a bounded body");
	check(!p->body || strlen(p->body) <= p->body_len, "ends in NUL");
	check(strlen(t->location) < sizeof t->location, "Location fits");
	check(strlen(p->etag) < sizeof p->etag, "ETag fits");
}

static struct engine *the_engine(void)
{
	static struct engine e;
	char *why = NULL;

	if (!e.base.origin) {
		check(url_base_parse("https://api.example/gateway", &e.base, &why) == 0, "base");
		atomic_store(&e.clock_offset, LLONG_MIN);
		atomic_store(&e.clock_told, LLONG_MIN);
	}
	return &e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct transfer t = {.e = the_engine(), .home = true};
	const char *at = (const char *)data, *end = at + n;
	bool body = false;

	t.r.method = n && data[0] & 1 ? HTTP_GET : HTTP_POST;
	t.r.keep = kept;
	t.url = strdup("https://api.example/gateway/v1beta/x");
	reply_init(&t.reply);
	while (at < end && !t.fail && t.url) {
		const char *nl = body ? NULL : memchr(at, '\n', (size_t)(end - at));
		size_t len = nl ? (size_t)(nl + 1 - at) : (size_t)(end - at);
		char *line = malloc(len);

		if (!line)
			break;
		memcpy(line, at, len);
		if (body)
			reply_on_body(line, 1, len, &t);
		else if (reply_on_header(line, 1, len, &t) != len)
			check(t.fail < 0, "a reason to break off");
		check_reply(&t);
		free(line);
		at += len;
		body = t.head_done;
	}
	check_redirect(&t);
	check_session(&t);
	free(t.next_url);
	free(t.url);
	http_reply_clear(&t.reply);
	return 0;
}
