/*
 * The error text of a transfer that failed. libcurl's message may repeat what it was
 * given, including the password of a proxy's URL, complete or in pieces if it was
 * parsed wrongly. So with a proxy libcurl's message is used only if it is about the
 * other end's certificate, and what is used is cut by url_hide.
 */
#include "http/http_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define PORT_MAX 65535
#define LOGIN "this network may want you to log in: open a web page in a browser"

/* ---- the proxy in the environment  ---- */

/* In libcurl's order, for https. Plain http never goes through one. */
static const char *const proxy_variables[] = {
	"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

static const struct {
	const char *name;
	bool tls;
} proxy_schemes[] = {
	{"http://", false},
	{"https://", true},
	{"socks://", false},
	{"socks4://", false},
	{"socks4a://", false},
	{"socks5://", false},
	{"socks5h://", false},
};

/* Past the scheme, if any; NULL: an unknown one. */
static const char *skip_scheme(const char *p, bool *ret_tls)
{
	*ret_tls = false;
	if (!strstr(p, "://"))
		return p;
	for (size_t i = 0; i < ARRAY_SIZE(proxy_schemes); i++) {
		size_t n = strlen(proxy_schemes[i].name);

		if (strncasecmp(p, proxy_schemes[i].name, n) == 0) {
			*ret_tls = proxy_schemes[i].tls;
			return p + n;
		}
	}
	return NULL;
}

/* Past USER[:PASSWORD]@, if any; NULL: where it ends is open to doubt. */
static const char *skip_user(const char *p)
{
	const char *at = strchr(p, '@');

	if (!at)
		return p;
	for (; p < at; p++) {
		if (!isgraph((unsigned char)*p) || strchr("/?#\\", *p))
			return NULL;
		if (*p == '%' && (!isxdigit((unsigned char)p[1]) ||
					 !isxdigit((unsigned char)p[2])))
			return NULL;
	}
	return at + 1;
}

static bool is_port(const char *p)
{
	size_t n = strspn(p, "0123456789");

	return n > 0 && n < 6 && !p[n] && atoi(p) > 0 && atoi(p) <= PORT_MAX;
}

/* NAME, ADDRESS or [ADDRESS], with a port or without. */
static bool is_host(const char *at)
{
	size_t n = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			      "0123456789.-_");

	if (*at == '[') {
		n = 1 + strspn(at + 1, "0123456789abcdefABCDEF:.");
		if (n < 3 || at[n++] != ']')
			return false;
	}
	return n > 0 && (!at[n] || (at[n] == ':' && is_port(at + n + 1)));
}

static bool proxy_parse(const char *value, struct proxy *p)
{
	const char *rest = skip_scheme(value, &p->tls);
	size_t n;

	rest = rest ? skip_user(rest) : NULL;
	n = rest ? strcspn(rest, "/") : 0;
	if (n == 0 || n >= sizeof p->at || (rest[n] && rest[n + 1]))
		return false;
	snprintf(p->at, sizeof p->at, "%.*s", (int)n, rest);
	return is_host(p->at);
}

void proxy_from_env(struct proxy *ret)
{
	*ret = (struct proxy){0};
	for (size_t i = 0; i < ARRAY_SIZE(proxy_variables); i++) {
		const char *value = getenv(proxy_variables[i]);

		if (!value || !*value)
			continue;
		ret->variable = proxy_variables[i];
		ret->bad = !proxy_parse(value, ret);
		if (ret->bad)
			ret->at[0] = 0;
		return;
	}
}

/* ---- failures  ---- */

static void words_say(struct transfer *t, const char *fmt, ...) _printf_(2, 3);
static void words_say(struct transfer *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->reply.error, sizeof t->reply.error, fmt, ap);
	va_end(ap);
}

static bool about_tls(CURLcode code)
{
	return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CIPHER ||
	       code == CURLE_PEER_FAILED_VERIFICATION ||
	       code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_INVALIDCERTSTATUS;
}

/* A server that does not speak TLS on a TLS port answers every request: a portal does
 * so. */
static const char *tls_hint(CURLcode code, const char *text)
{
	static const char *const plain[] = {
		"wrong version number", "packet length too long", "http request"};

	if (code == CURLE_SSL_CACERT_BADFILE)
		return "; whom to trust is in no file here: apt install ca-certificates, "
		       "or name one with SSL_CERT_FILE";
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (strstr(text, plain[i]))
			return "; the server there does not speak TLS: " LOGIN;
	return "";
}

static bool goes_by_proxy(const struct transfer *t)
{
	return t->e->proxy.variable && !url_is_plain(t->url);
}

/* The proxy's answer to CONNECT, if that is what went wrong. */
static bool explain_connect(struct transfer *t)
{
	const char *at = t->e->proxy.at;
	long status = 0;

	if (!t->easy || t->requested || !goes_by_proxy(t) ||
		curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status) !=
			CURLE_OK ||
		status == 0 || status / 100 == 2)
		return false;
	if (status == 407)
		words_say(t,
			"the proxy %s refused the user or password in %s (HTTP 407)",
			at, t->e->proxy.variable);
	else
		words_say(t, "the proxy %s does not connect to the API (HTTP %ld)%s%s",
			at, status, status / 100 == 3 || status == 511 ? "; " : "",
			status / 100 == 3 || status == 511 ? LOGIN : "");
	return true;
}

void words_explain(struct transfer *t, CURLcode code)
{
	bool proxied = goes_by_proxy(t);
	bool quote = !proxied || (about_tls(code) && !t->e->proxy.tls);
	const char *text = curl_easy_strerror(code);

	if (t->fail) {
		words_say(t, "%s", strerror(-t->fail));
		return;
	}
	if (explain_connect(t))
		return;
	t->errbuf[strcspn(t->errbuf, "\r\n")] = 0;
	url_hide(t->errbuf);
	if (quote && t->errbuf[0])
		text = t->errbuf;
	words_say(t, "%s%s%s%s%s", text, proxied ? " (through the proxy " : "",
		proxied ? t->e->proxy.at : "", proxied ? ")" : "",
		about_tls(code) ? tls_hint(code, t->errbuf) : "");
}

void words_give_up(struct transfer *t, int err)
{
	t->reply.untrusted = err == -EHOSTUNREACH && t->e->proxy.bad;
	if (t->reply.untrusted)
		words_say(t,
			"%s must be [http://][USER:PASSWORD@]HOST[:PORT]; write "
			"characters like # / ? @ %% or a space in a password as %%23 "
			"%%2F %%3F %%40 %%25 %%20",
			t->e->proxy.variable);
	else
		words_say(t, "%s", strerror(-err));
}
