/* What is said when a proxy is in the way: all that helps, and nothing of its password.
 */
#include "engine_fixture.h"

static const char *const spellings[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
	"ALL_PROXY", "http_proxy", "HTTP_PROXY"};

/* USER is alice, and every piece of a password that could be told apart is one of
 * these. PORT is the port of a proxy that refuses. */
static const char *const pieces[] = {"s3cr3t", "hunter2", "alice", "4711"};

static const struct {
	const char *value;
	bool connects; /* so well-formed that it is asked */
} values[] = {
	{"http://alice:s3cr3t@127.0.0.1:PORT", true},
	{"alice:s3cr3t@127.0.0.1:PORT", true},
	{"http://alice:s3cr3t%23hunter2@127.0.0.1:PORT/", true},
	{"http://alice:s3cr3t:hunter2@127.0.0.1:PORT", true},
	{"http://alice:s3cr3t!$&'()*+,;=~\"<>^`{|}@127.0.0.1:PORT", true},
	{"http://alice:s3cr3t#hunter2@127.0.0.1:PORT", false},
	{"http://alice:4711#hunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t/hunter2@127.0.0.1:PORT", false},
	{"http://alice:4711/hunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t?hunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t hunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t@hunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t\\hunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t%hunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t\thunter2@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t\xc3\xa9@127.0.0.1:PORT", false},
	{"http://alice:s3cr3t@127.0.0.1:PORT99999", false},
	{"http://alice:s3cr3t@127.0.0.1:port", false},
	{"http://alice:s3cr3t@127.0.0.1:", false},
	{"http://alice:s3cr3t@", false},
	{"http://alice:s3cr3t", false},
	{"http://alice:s3cr3t@[::1", false},
	{"http://alice:s3cr3t@127.0.0.1:PORT/hunter2", false},
	{"foo://alice:s3cr3t@127.0.0.1:PORT", false},
	{"alice://s3cr3t:hunter2@127.0.0.1:PORT", false},
	{"://alice:s3cr3t@127.0.0.1:PORT", false},
	{"http:/alice:s3cr3t@127.0.0.1:PORT", false},
};

static bool refusing_proxy(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_reply(fd, 403, "", "<html>alice:s3cr3t</html>");
	return false;
}

static char *said; /* of what the engine logs */

static void on_log(void *arg, int priority, const char *line)
{
	char *more = util_format("%s%s\n", said ? said : "", line);

	free(said);
	said = more;
}

static int ask(const char *base, struct http_reply *ret)
{
	struct engine_options o = {.base = base,
		.key = KEY,
		.key_header = "x-goog-api-key",
		.user_agent = "test/1",
		.log = on_log};
	struct http_request r = get("/v1beta/models");
	struct engine *e = NULL;
	char *why = NULL;
	int err;

	assert_int_equal(engine_new(&o, &e, &why), 0);
	assert_int_equal(engine_start(e), 0);
	err = engine_call(e, &r, NULL, ret);
	engine_free(e);
	return err;
}

static void no_piece(const char *where, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		if (text && strstr(text, pieces[i]))
			fail_msg("%s: %s", where, text);
}

static char *with_port(const char *text, int port)
{
	const char *at = strstr(text, "PORT");

	if (!at)
		return strdup(text);
	return util_format("%.*s%d%s", (int)(at - text), text, port, at + 4);
}

static void try_value(struct httpd *proxy, const char *variable, size_t i)
{
	_cleanup_free_ char *value = with_port(values[i].value, proxy->port);
	int before = httpd_requests(proxy);
	struct http_reply p;

	setenv(variable, value, 1);
	ask("https://api.example.invalid", &p);
	unsetenv(variable);
	if (strcasecmp(variable, "http_proxy") != 0) {
		assert_int_equal(p.err, -EHOSTUNREACH);
		assert_int_equal(p.sent, HTTP_NOT_SENT);
		if ((httpd_requests(proxy) > before) != values[i].connects)
			fail_msg("%s: %s", value, p.error);
	}
	no_piece(value, p.error);
	assert_true(p.error[0]);
	http_reply_clear(&p);
	no_piece(value, said);
}

static void test_password_nowhere(void **state)
{
	struct httpd proxy;

	httpd_start(&proxy, refusing_proxy);
	for (size_t s = 0; s < ARRAY_SIZE(spellings); s++)
		for (size_t i = 0; i < ARRAY_SIZE(values); i++)
			try_value(&proxy, spellings[s], i);
	assert_int_equal(httpd_count(&proxy, KEY), 0);
	httpd_stop(&proxy);
	free(said);
	said = NULL;
}

static void says(const char *value, const char *part, const char *other)
{
	struct http_reply p;

	setenv("https_proxy", value, 1);
	assert_int_equal(ask("https://api.example.invalid", &p), -EHOSTUNREACH);
	unsetenv("https_proxy");
	if (!strstr(p.error, part) || !strstr(p.error, other))
		fail_msg("%s", p.error);
	http_reply_clear(&p);
}

static int status; /* of the answer to CONNECT */

static bool answering_proxy(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_reply(fd, status, "Location: http://login.example/\r\n",
		"<html><title>Log in</title></html>");
	return false;
}

static void test_words(void **state)
{
	static const struct {
		int status;
		const char *words;
	} cases[] = {{403, "HTTP 403"}, {407, "user or password in https_proxy"},
		{302, "log in"}, {511, "log in"}, {200, "log in"}};
	char at[64], value[96];
	struct httpd proxy;

	httpd_start(&proxy, answering_proxy);
	snprintf(at, sizeof at, "127.0.0.1:%d", proxy.port);
	snprintf(value, sizeof value, "http://alice:s3cr3t@%s", at);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		status = cases[i].status;
		says(value, cases[i].words, at);
	}
	httpd_stop(&proxy);
	says(value, "connect", at);
	says("foo://alice:s3cr3t@h", "https_proxy must be", "%23");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_password_nowhere),
		cmocka_unit_test(test_words),
	};

	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++)
		unsetenv(spellings[i]);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
