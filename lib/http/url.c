#include "http/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

static void curlup(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void curlstrp(char **s)
{
	curl_free(*s);
}

#define _cleanup_curlu_ __attribute__((cleanup(curlup)))
#define _cleanup_curlstr_ __attribute__((cleanup(curlstrp)))

static CURLU *parse(const char *text)
{
	CURLU *u = curl_url();

	if (u && curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK) {
		curl_url_cleanup(u);
		return NULL;
	}
	return u;
}

/* NULL when the part is absent. */
static char *part(CURLU *u, CURLUPart what, unsigned flags)
{
	char *s = NULL;

	if (curl_url_get(u, what, &s, flags) != CURLUE_OK)
		return NULL;
	return s;
}

static bool has_any(CURLU *u, const CURLUPart *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_curlstr_ char *s = part(u, parts[i], 0);

		if (s)
			return true;
	}
	return false;
}

bool url_loopback_host(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	char bare[INET6_ADDRSTRLEN + 2];
	size_t n = strlen(host);

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (n > 2 && n < sizeof bare && host[0] == '[' && host[n - 1] == ']') {
		memcpy(bare, host + 1, n - 2);
		bare[n - 2] = 0;
		host = bare;
	}
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool url_loopback_addr(const struct sockaddr *sa)
{
	const struct in6_addr *v6;

	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 ==
		       127;
	if (sa->sa_family != AF_INET6)
		return false;
	v6 = &((const struct sockaddr_in6 *)sa)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(v6) ||
	       (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static char *origin_of(CURLU *u)
{
	_cleanup_curlstr_ char *scheme = part(u, CURLUPART_SCHEME, 0);
	_cleanup_curlstr_ char *host = part(u, CURLUPART_HOST, 0);
	_cleanup_curlstr_ char *port = part(u, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
	char *origin;

	if (!scheme || !host || !*host)
		return NULL;
	origin = util_format(
		"%s://%s%s%s", scheme, host, port ? ":" : "", port ? port : "");
	for (char *p = origin; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return origin;
}

/* "" for "/", no slash at the end. */
static char *prefix_of(CURLU *u)
{
	_cleanup_curlstr_ char *path = part(u, CURLUPART_PATH, 0);
	size_t n = path ? strlen(path) : 0;

	while (n > 0 && path[n - 1] == '/')
		n--;
	return strndup(path ? path : "", n);
}

static int check_base(CURLU *u, bool *ret_plain, const char **ret_why)
{
	static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD,
		CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT,
		CURLUPART_ZONEID};
	_cleanup_curlstr_ char *scheme = part(u, CURLUPART_SCHEME, 0);
	_cleanup_curlstr_ char *host = part(u, CURLUPART_HOST, 0);
	bool plain = scheme && strcasecmp(scheme, "http") == 0;

	*ret_why = "the base URL must be https://HOST[:PORT][/PATH]";
	if (!scheme || !host || (!plain && strcasecmp(scheme, "https") != 0))
		return -EINVAL;
	*ret_why = "the base URL must not have a user, a query or a fragment";
	if (has_any(u, unwanted, ARRAY_SIZE(unwanted)))
		return -EINVAL;
	*ret_why = "plain http is allowed for loopback addresses only: use https";
	if (plain && !url_loopback_host(host))
		return -EINVAL;
	*ret_plain = plain;
	return 0;
}

int url_base_parse(const char *text, struct url_base *ret, char **ret_why)
{
	_cleanup_curlu_ CURLU *u = text ? parse(text) : NULL;
	const char *why = "the base URL is not a URL";
	struct url_base b = {0};
	int r = u ? check_base(u, &b.plain, &why) : -EINVAL;

	if (r < 0) {
		*ret_why = strdup(why);
		return r;
	}
	b.origin = origin_of(u);
	b.prefix = prefix_of(u);
	if (!b.origin || !b.prefix) {
		url_base_clear(&b);
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

void url_base_clear(struct url_base *b)
{
	free(b->origin);
	free(b->prefix);
	*b = (struct url_base){0};
}

char *url_join(const struct url_base *b, const char *path)
{
	const char *at = path;
	size_t n = strlen(b->written);

	while ((at = strchr(at, '/')) &&
		(strncmp(at + 1, b->written, n) != 0 || at[1 + n] != '/'))
		at++;
	int head = at ? (int)(at - path) : 0;

	if (path[0] != '/')
		return NULL;
	if (!at || !n || !b->version[0])
		return util_format("%s%s%s", b->origin, b->prefix, path);
	return util_format("%s%s%.*s/%s%s", b->origin, b->prefix, head, path,
		b->version, at + 1 + n);
}

static bool below(const char *prefix, const char *path)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) == 0 && (path[n] == '/' || !path[n]);
}

char *url_session(const struct url_base *b, const char *session, bool under_prefix)
{
	_cleanup_curlu_ CURLU *u = parse(session);
	_cleanup_curlstr_ char *path = u ? part(u, CURLUPART_PATH, 0) : NULL;
	_cleanup_curlstr_ char *query = u ? part(u, CURLUPART_QUERY, 0) : NULL;

	if (!path || path[0] != '/')
		return NULL;
	under_prefix = under_prefix && !below(b->prefix, path);
	return util_format("%s%s%s%s%s", b->origin, under_prefix ? b->prefix : "", path,
		query ? "?" : "", query ? query : "");
}

char *url_resolve(const char *url, const char *location)
{
	_cleanup_curlu_ CURLU *u = parse(url);
	_cleanup_curlstr_ char *full = NULL;

	if (!u || curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK)
		return NULL;
	full = part(u, CURLUPART_URL, 0);
	return full ? strdup(full) : NULL;
}

char *url_origin(const char *url)
{
	_cleanup_curlu_ CURLU *u = parse(url);

	return u ? origin_of(u) : NULL;
}

/* ---- hiding  ---- */

static bool ends_word(char c)
{
	return isspace((unsigned char)c) || strchr("'\"`<>()", c); /* also at NUL */
}

static bool in_host(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("-._:[]", c));
}

/* Copy host[:port] from `from` to *to; where the word ends. A password may hold
 * anything, blanks and slashes too: whatever comes before an '@' may belong to it. */
static const char *keep_host(const char *from, char **to)
{
	const char *at = strrchr(from, '@');

	if (at)
		from = at + 1;
	for (; in_host(*from); from++)
		*(*to)++ = *from;
	while (!ends_word(*from))
		from++;
	return from;
}

void url_hide(char *text)
{
	const char *from = text;
	char *to = text, *word = text;

	while (*from) {
		if (strncmp(from, "://", 3) == 0) {
			memcpy(to, "://", 3);
			to += 3;
			from = keep_host(from + 3, &to);
			word = to;
		} else if (*from == '@') {
			to = word;
			from++;
		} else {
			if (ends_word(*from))
				word = to + 1;
			*to++ = *from++;
		}
	}
	*to = 0;
}

bool url_is_plain(const char *url)
{
	return strncasecmp(url, "http:", 5) == 0;
}

bool url_redirect(const struct url_base *b, const char *url, bool *ret_home)
{
	static const CURLUPart unwanted[] = {
		CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS};
	_cleanup_curlu_ CURLU *u = parse(url);
	_cleanup_curlstr_ char *scheme = u ? part(u, CURLUPART_SCHEME, 0) : NULL;
	_cleanup_curlstr_ char *host = u ? part(u, CURLUPART_HOST, 0) : NULL;
	_cleanup_free_ char *origin = u ? origin_of(u) : NULL;

	if (!scheme || !host || !origin || has_any(u, unwanted, ARRAY_SIZE(unwanted)))
		return false;
	if (strcasecmp(scheme, "https") != 0 &&
		!(b->plain && strcasecmp(scheme, "http") == 0 &&
			url_loopback_host(host)))
		return false;
	*ret_home = strcmp(origin, b->origin) == 0;
	return true;
}

char *url_escape(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 3 + 1), *q = out;

	if (!out)
		return NULL;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (isalnum(*p) || strchr("-._~", *p)) {
			*q++ = (char)*p;
		} else {
			*q++ = '%';
			*q++ = hex[*p >> 4];
			*q++ = hex[*p & 15];
		}
	}
	*q = 0;
	return out;
}
