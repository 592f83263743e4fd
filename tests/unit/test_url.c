#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "http/url.h"
#include "base/util.h"

static const struct {
	const char *text;
	int err;
	const char *origin, *joined;
} bases[] = {
	{"https://generativelanguage.googleapis.com", 0,
		"https://generativelanguage.googleapis.com",
		"https://generativelanguage.googleapis.com/v1beta/x"},
	{"HTTPS://Example.COM:443/", 0, "https://example.com",
		"https://example.com/v1beta/x"},
	{"https://example.com:8443/a/b//", 0, "https://example.com:8443",
		"https://example.com:8443/a/b/v1beta/x"},
	{"http://localhost:80", 0, "http://localhost", "http://localhost/v1beta/x"},
	{"http://127.1.2.3:99/gw", 0, "http://127.1.2.3:99",
		"http://127.1.2.3:99/gw/v1beta/x"},
	{"http://[::1]:8080/", 0, "http://[::1]:8080", "http://[::1]:8080/v1beta/x"},
	{"http://example.com", -EINVAL, NULL, NULL},
	{"http://127.0.0.1.example.com", -EINVAL, NULL, NULL},
	{"http://localhost.example.com", -EINVAL, NULL, NULL},
	{"http://128.0.0.1", -EINVAL, NULL, NULL},
	{"http://0.0.0.0", -EINVAL, NULL, NULL},
	{"http://[::2]", -EINVAL, NULL, NULL},
	{"ftp://localhost", -EINVAL, NULL, NULL},
	{"file:///etc/passwd", -EINVAL, NULL, NULL},
	{"localhost:8080", -EINVAL, NULL, NULL},
	{"https://", -EINVAL, NULL, NULL},
	{"https://user@example.com", -EINVAL, NULL, NULL},
	{"https://user:pw@example.com", -EINVAL, NULL, NULL},
	{"https://example.com/?a=b", -EINVAL, NULL, NULL},
	{"https://example.com/#a", -EINVAL, NULL, NULL},
	{"https://exa mple.com/", -EINVAL, NULL, NULL},
	{"https://example.com\r\nX: y", -EINVAL, NULL, NULL},
	{"https://[fe80::1%25eth0]/", -EINVAL, NULL, NULL},
	{"", -EINVAL, NULL, NULL},
};

static void test_base(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		struct url_base b = {0};
		_cleanup_free_ char *why = NULL, *joined = NULL;
		int r = url_base_parse(bases[i].text, &b, &why);

		if (r != bases[i].err)
			fail_msg("%s: %d", bases[i].text, r);
		if (r < 0) {
			assert_non_null(why);
			continue;
		}
		assert_null(why);
		assert_string_equal(b.origin, bases[i].origin);
		joined = url_join(&b, "/v1beta/x");
		assert_string_equal(joined, bases[i].joined);
		assert_null(url_join(&b, "v1beta/x"));
		assert_null(url_join(&b, "@evil.example.com/"));
		url_base_clear(&b);
	}
}

static void test_version(void **state)
{
	static const char *const paths[][2] = {
		{"/v1beta/batches?pageSize=1", "https://h/gw/v1/batches?pageSize=1"},
		{"/upload/v1beta/files", "https://h/gw/upload/v1/files"},
		{"/download/v1beta/files/f:download?alt=media",
			"https://h/gw/download/v1/files/f:download?alt=media"},
		{"/v1beta/models/v1beta?x=/v1beta/",
			"https://h/gw/v1/models/v1beta?x=/v1beta/"},
	};
	struct url_base b;
	char *why = NULL;

	assert_int_equal(url_base_parse("https://h/gw", &b, &why), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_free_ char *plain = url_join(&b, paths[i][0]), *url = NULL;

		assert_string_equal(plain + strlen("https://h/gw"), paths[i][0]);
		strcpy(b.version, "v1");
		strcpy(b.written, "v1beta");
		url = url_join(&b, paths[i][0]);
		assert_string_equal(url, paths[i][1]);
		b.version[0] = 0;
	}
	url_base_clear(&b);
}

static void test_session(void **state)
{
	static const char *const urls[][2] = {
		{"https://upload.example.org/upload/v1beta/files?upload_id=A-_b&x=%2F",
			"https://example.com/upload/v1beta/files?upload_id=A-_b&x=%2F"},
		{"http://127.0.0.1:1/up#frag", "https://example.com/up"},
		{"https://u:p@example.org", "https://example.com/"},
		{"/relative?x", NULL},
		{"", NULL},
	};
	static const char *const below[][2] = {
		{"https://upload.example.org/up?id=1",
			"https://example.com/gateway/up?id=1"},
		{"https://x.org/gateway/up?id=1",
			"https://example.com/gateway/up?id=1"},
		{"https://x.org/gateways/up",
			"https://example.com/gateway/gateways/up"},
	};
	struct url_base b;
	char *why = NULL;

	assert_int_equal(url_base_parse("https://example.com/gateway", &b, &why), 0);
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		_cleanup_free_ char *url = url_session(&b, urls[i][0], false);

		if (urls[i][1])
			assert_string_equal(url, urls[i][1]);
		else
			assert_null(url);
	}
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		_cleanup_free_ char *url = url_session(&b, below[i][0], true);

		assert_string_equal(url, below[i][1]);
	}
	url_base_clear(&b);
}

enum verdict { NO, HOME, AWAY };

static const struct {
	const char *base, *url;
	enum verdict verdict;
} redirects[] = {
	{"https://example.com/gw", "https://example.com/other", HOME},
	{"https://example.com", "https://EXAMPLE.com:443/other", HOME},
	{"https://example.com", "https://example.com:444/", AWAY},
	{"https://example.com", "https://www.example.com/", AWAY},
	{"https://example.com", "https://example.com.evil.org/", AWAY},
	{"https://example.com", "http://example.com/", NO},
	{"https://example.com", "http://127.0.0.1/", NO},
	{"https://example.com", "https://user@example.com/", NO},
	{"https://example.com", "https://example.com@evil.org/", NO},
	{"https://example.com", "file:///etc/passwd", NO},
	{"https://example.com", "ftp://example.com/", NO},
	{"https://example.com", "gopher://x", NO},
	{"https://example.com", "", NO},
	{"http://127.0.0.1:80", "http://127.0.0.1/x", HOME},
	{"http://127.0.0.1:80", "http://127.0.0.1:81/x", AWAY},
	{"http://127.0.0.1:80", "http://localhost/x", AWAY},
	{"http://127.0.0.1:80", "http://10.0.0.1/x", NO},
	{"http://127.0.0.1:80", "https://127.0.0.1/x", AWAY},
};

static void test_redirect(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(redirects); i++) {
		struct url_base b;
		char *why = NULL;
		bool home = false;
		enum verdict v = NO;

		assert_int_equal(url_base_parse(redirects[i].base, &b, &why), 0);
		if (url_redirect(&b, redirects[i].url, &home))
			v = home ? HOME : AWAY;
		if (v != redirects[i].verdict)
			fail_msg(
				"%s -> %s: %d", redirects[i].base, redirects[i].url, v);
		url_base_clear(&b);
	}
}

static void test_resolve(void **state)
{
	static const char *const cases[][3] = {
		{"https://a.com/x/y?q", "z", "https://a.com/x/z"},
		{"https://a.com/x/y?q", "/z?w", "https://a.com/z?w"},
		{"https://a.com/x", "//b.com/z", "https://b.com/z"},
		{"https://a.com/x", "http://b.com/", "http://b.com/"},
		{"https://a.com/x", "http://[", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *url = url_resolve(cases[i][0], cases[i][1]);

		if (cases[i][2])
			assert_string_equal(url, cases[i][2]);
		else
			assert_null(url);
	}
}

static bool addr_is_loopback(int family, const char *text)
{
	struct sockaddr_storage ss = {.ss_family = (sa_family_t)family};

	if (family == AF_INET)
		inet_pton(AF_INET, text, &((struct sockaddr_in *)&ss)->sin_addr);
	else
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&ss)->sin6_addr);
	return url_loopback_addr((struct sockaddr *)&ss);
}

static void test_loopback(void **state)
{
	assert_true(addr_is_loopback(AF_INET, "127.0.0.1"));
	assert_true(addr_is_loopback(AF_INET, "127.255.0.3"));
	assert_false(addr_is_loopback(AF_INET, "126.0.0.1"));
	assert_false(addr_is_loopback(AF_INET, "0.0.0.0"));
	assert_true(addr_is_loopback(AF_INET6, "::1"));
	assert_true(addr_is_loopback(AF_INET6, "::ffff:127.0.0.1"));
	assert_false(addr_is_loopback(AF_INET6, "::ffff:10.0.0.1"));
	assert_false(addr_is_loopback(AF_INET6, "::"));
	assert_false(addr_is_loopback(AF_INET6, "2001:db8::1"));
	assert_false(addr_is_loopback(AF_UNIX, "x"));
	assert_true(url_loopback_host("LOCALHOST"));
	assert_true(url_loopback_host("::1"));
	assert_false(url_loopback_host("1"));
	assert_false(url_loopback_host(""));
	assert_false(url_loopback_host("[]"));
}

static void test_escape(void **state)
{
	_cleanup_free_ char *a = url_escape("aZ0-._~"),
			    *b = url_escape("a/b&c=d %\n\xc3\xa4"), *c = url_escape("");

	assert_string_equal(a, "aZ0-._~");
	assert_string_equal(b, "a%2Fb%26c%3Dd%20%25%0A%C3%A4");
	assert_string_equal(c, "");
}

static void test_hide(void **state)
{
	static const struct {
		const char *text, *left;
	} cases[] = {
		{"", ""},
		{"no URL in it", "no URL in it"},
		{"at 'http://u:p@h.example:80/x?y' now",
			"at 'http://h.example:80' now"},
		{"Unsupported proxy syntax in 'http://u:p#q@h:80'",
			"Unsupported proxy syntax in 'http://h:80'"},
		{"in 'http://u:p q@h:1/z'", "in 'http://h:1'"},
		{"in 'http://u:p/q@r@h'", "in 'http://h'"},
		{"x://u:'p\"@h y", "x://h y"},
		{"https://a.b/c and https://d/e?f", "https://a.b and https://d"},
		{"resolve proxy: u:p@h", "resolve proxy: h"},
		{"proxy (u:p@h)", "proxy (h)"},
		{"@", ""},
		{"a@b@c d", "c d"},
		{"http://", "http://"},
		{"://@", "://"},
		{"http://[::1]:8/x", "http://[::1]:8"},
		{"http://h/p:w", "http://h"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = strdup(cases[i].text);

		url_hide(text);
		assert_string_equal(text, cases[i].left);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_redirect),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_hide),
	};

	return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
