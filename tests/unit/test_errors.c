#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "provider/gemini/gemini.h"
#include "provider/errors.h"
#include "base/util.h"

static const struct {
	long status;
	const char *reason, *text;
	int err;
} http[] = {
	{200, NULL, NULL, 0},
	{204, NULL, NULL, 0},
	{302, NULL, NULL, -EIO},
	{400, "INVALID_ARGUMENT", "Error on line 2: invalid JSON", -EINVAL},
	{400, "API_KEY_INVALID", "API key not valid.", -EACCES},
	{400, "INVALID_ARGUMENT", "API key not valid. Please pass one.", -EACCES},
	{400, NULL, "API key expired. Please renew the API key.", -EACCES},
	{400, NULL, "Request payload size exceeds the limit: 20971520 bytes.", -EFBIG},
	{400, "FAILED_PRECONDITION", NULL, -EINVAL},
	{400, NULL, NULL, -EINVAL},
	{401, "UNAUTHENTICATED", NULL, -EACCES},
	{403, "PERMISSION_DENIED", NULL, -EACCES},
	{404, "NOT_FOUND", NULL, -ENOENT},
	{405, NULL, NULL, -EINVAL},
	{408, NULL, NULL, -ETIMEDOUT},
	{409, "ABORTED", NULL, -EBUSY},
	{410, NULL, NULL, -ENOENT},
	{413, NULL, NULL, -EFBIG},
	{416, NULL, NULL, -EINVAL},
	{429, "RESOURCE_EXHAUSTED", NULL, -EDQUOT},
	{499, NULL, NULL, -EIO},
	{500, "INTERNAL", NULL, -EIO},
	{501, NULL, NULL, -EIO},
	{503, "UNAVAILABLE", NULL, -EIO},
	{504, "DEADLINE_EXCEEDED", NULL, -EIO},
	{0, NULL, NULL, -EIO},
	{999, NULL, NULL, -EIO},
};

static void test_http(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(http); i++)
		if (errors_from_http(http[i].status, http[i].reason, http[i].text) !=
			http[i].err)
			fail_msg("%ld %s", http[i].status, http[i].reason);
}

static void test_grpc(void **state)
{
	assert_int_equal(errors_from_grpc(0), 0);
	assert_int_equal(errors_from_grpc(3), -EINVAL);
	assert_int_equal(errors_from_grpc(8), -EDQUOT);
	assert_int_equal(errors_from_grpc(16), -EACCES);
	assert_int_equal(errors_from_grpc(17), -EIO);
	assert_int_equal(errors_from_grpc(-1), -EIO);
	assert_string_equal(errors_grpc_name(14), "UNAVAILABLE");
	assert_string_equal(errors_grpc_name(99), "UNKNOWN");
}

/* Who may try again, in the order of enum errors_call: ask, upload, download, create, queue,
 * remove, request. */
static const struct {
	long status;
	int err;
	const char *calls;
} passing[] = {
	{302, -EIO, "..d.qr."},
	{400, -EINVAL, "......."},
	{401, -EACCES, "......."},
	{402, -EDQUOT, "....q.."},
	{403, -EACCES, "......."},
	{404, -ENOENT, "......."},
	{408, -ETIMEDOUT, "aud.qrn"},
	{409, -EBUSY, ".....r."},
	{410, -ENOENT, "......."},
	{413, -EFBIG, "......."},
	{429, -EDQUOT, "audcqrn"},
	{499, -EIO, "....qrn"},
	{500, -EIO, "aud.qrn"},
	{501, -EIO, "....qr."},
	{503, -EIO, "aud.qrn"},
	{511, -EIO, "aud.qrn"},
	/* What is no answer of the API. */
	{403, -EHOSTUNREACH, "..d.qr."},
	{404, -EHOSTUNREACH, "..d.qr."},
	/* Not answered, or answered badly. */
	{0, -EHOSTUNREACH, ".ud.qr."},
	{0, -ETIMEDOUT, "aud.qr."},
	{0, -EIO, "aud.qr."},
	{200, -EIO, "aud.qr."},
	{200, -EPROTO, ".u...r."},
	/* Here. */
	{0, -ECANCELED, "....qr."},
	{503, -ECANCELED, "....qr."},
	{0, -ENOMEM, "....qr."},
	{0, -ENOSPC, ".u..qr."},
	{0, -EMFILE, ".u..qr."},
	{0, -EINVAL, ".....r."},
};

static void check_passing(size_t row, const struct provider_error *e, const char *calls)
{
	for (size_t i = 0; calls[i]; i++)
		if (errors_may_pass(e, (enum errors_call)(1 << i)) != (calls[i] != '.'))
			fail_msg("row %zu, call %zu", row, i);
}

static void test_passes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(passing); i++) {
		struct provider_error e = {
			.status = passing[i].status, .err = passing[i].err};

		check_passing(i, &e, passing[i].calls);
	}
	check_passing(100, &(struct provider_error){.status = 429, .hopeless = true},
		"....qr.");
	check_passing(101,
		&(struct provider_error){.err = -EHOSTUNREACH, .untrusted = true},
		"..d.qr.");
	check_passing(102, &(struct provider_error){.err = -EACCES, .refused = true},
		".......");
}

static void test_code_passes(void **state)
{
	static const int64_t may[] = {-1, 1, 2, 4, 8, 10, 13, 14, 15, 408, 429, 499,
		500, 503},
			     not [] = {
				     0, 3, 5, 7, 9, 12, 16, 17, 99, 200, 400, 404, 501};

	for (size_t i = 0; i < ARRAY_SIZE(may); i++)
		assert_true(errors_code_may_pass(may[i]));
	for (size_t i = 0; i < ARRAY_SIZE(not ); i++)
		assert_false(errors_code_may_pass(not [i]));
}

static void test_hopeless(void **state)
{
	assert_false(errors_hopeless(NULL));
	assert_false(
		errors_hopeless("You exceeded your current quota, please check your "
				"plan and billing details."));
	assert_false(errors_hopeless(
		"You exceeded your current quota, please check your plan and billing "
		"details. For more information on this error, head to: "
		"https://ai.google.dev/gemini-api/docs/billing."));
	assert_false(
		errors_hopeless("Resource has been exhausted (e.g. check quota)."));
	assert_true(
		errors_hopeless("Your prepayment credits are depleted. Please go to "
				"AI Studio to manage your project and billing."));
	assert_true(
		errors_hopeless("Your project has exceeded its monthly spending cap."));
	assert_true(errors_hopeless("Billing is disabled."));
}

/* ---- whole replies  ---- */

static struct provider_error of(long status, const char *body)
{
	struct http_reply reply = {.status = status,
		.body = (char *)body,
		.body_len = body ? strlen(body) : 0,
		.retry_after = -1};
	struct provider_error e;

	gemini_error_from_reply(&reply, &e);
	return e;
}

static const char bad_key[] =
	"{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid "
	"API "
	"key.\",\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":"
	"\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"API_KEY_INVALID\","
	"\"domain\":\"googleapis.com\"},{\"@type\":"
	"\"type.googleapis.com/google.rpc.LocalizedMessage\",\"message\":\"x\"}]}}";

static void test_bodies(void **state)
{
	struct provider_error e = of(400, bad_key);
	char *line;

	assert_int_equal(e.err, -EACCES);
	assert_string_equal(e.reason, "API_KEY_INVALID");
	assert_non_null(
		strstr(e.text, "\nAPI key not valid. Please pass a valid API key."));
	assert_true(e.refused);
	line = provider_error_line(&e);
	assert_non_null(strstr(line, "aistudio"));
	free(line);
	provider_error_clear(&e);

	e = of(429, "[{\"error\":{\"code\":429,\"message\":\"slow\\ndown\",\"status\":"
		    "\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":"
		    "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":"
		    "\"34.5s\"}]}}]");
	assert_int_equal(e.err, -EDQUOT);
	assert_true(e.retry == 34.5);
	assert_false(e.hopeless);
	assert_true(e.refused);
	line = provider_error_line(&e);
	assert_non_null(strstr(line, "slow"));
	assert_null(strchr(line, '\n'));
	free(line);
	provider_error_clear(&e);

	e = of(404, "<!DOCTYPE html><html><head><title>Error 404 (Not Found)!!1</title>"
		    "<style>body { color: red }</style></head>\n<body><p>That&#39;s an "
		    "<b>error</b> &amp; all.</body></html>");
	assert_string_equal(e.text, "Error 404 (Not Found)!!1 That's an error & all.");
	provider_error_clear(&e);

	e = of(503, "plain words\x01\xff\n");
	assert_string_equal(e.text, "plain words ?");
	assert_false(e.refused);
	provider_error_clear(&e);

	e = of(400, "{\"error\":\"invalid_grant\",\"error_description\":\"no\"}");
	assert_string_equal(e.text, "no");
	provider_error_clear(&e);
	e = of(502, NULL);
	assert_null(e.text);
	line = provider_error_line(&e);
	assert_non_null(strstr(line, "502"));
	free(line);
	provider_error_clear(&e);
	e = of(400, "{\"error\":{\"message\":7,\"status\":[],\"details\":{}}}");
	assert_int_equal(e.err, -EINVAL);
	provider_error_clear(&e);
}

/* Only these say something about a job. */
static void test_from_api(void **state)
{
	static const struct {
		long status;
		const char *body;
		bool own;
	} cases[] = {
		{404,
			"{\"error\":{\"code\":404,\"message\":\"m\",\"status\":"
			"\"NOT_FOUND\"}}",
			true},
		{404,
			"[{\"error\":{\"code\":404,\"message\":\"m\",\"status\":"
			"\"NOT_FOUND\"}}]",
			true},
		{403, "{\"error\":{\"code\":403,\"message\":\"m\",\"errors\":[]}}",
			true},
		{403,
			"{\"error\":{\"code\":404,\"message\":\"m\",\"status\":"
			"\"NOT_FOUND\"}}",
			false},
		{404, "{\"error\":{\"code\":\"404\",\"status\":\"NOT_FOUND\"}}", false},
		{404, "{\"error\":{\"code\":404,\"message\":\"m\"}}", false},
		{404, "{\"error\":{\"code\":404,\"status\":\"no route\"}}", false},
		{404, "{\"error\":{\"code\":404,\"status\":\"OK\"}}", false},
		{404, "{\"code\":404,\"message\":\"m\",\"status\":\"NOT_FOUND\"}",
			false},
		{404, "{\"error\":\"not found\"}", false},
		{404, "{\"message\":\"no Route matched with those values\"}", false},
		{404, "{\"error\":{\"code\":404,\"message\":\"m\",\"status\":\"NOT_FOU",
			false},
		{404, "<html>Not Found</html>", false},
		{404, "", false},
		{404, NULL, false},
		{302, "<html>log in</html>", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct provider_error e = of(cases[i].status, cases[i].body);

		if (e.from_api != cases[i].own)
			fail_msg("%s", cases[i].body);
		provider_error_clear(&e);
	}
}

/* What to do comes first, then the API's own words. */
static void test_advice(void **state)
{
	static const struct {
		long status;
		const char *reason, *message, *advice;
	} cases[] = {
		{401, "ACCESS_TOKEN_TYPE_UNSUPPORTED",
			"Request had invalid authentication credentials. Expected "
			"OAuth 2 "
			"access token, login cookie or other valid authentication "
			"credential.",
			"not about OAuth"},
		{403, "API_KEY_SERVICE_BLOCKED", "Requests to this API are blocked.",
			"restrictions"},
		{403, "CONSUMER_SUSPENDED",
			"Consumer 'api_key:AIza' has been suspended.", "suspended"},
		{401, "OVERLOADED_CREDENTIALS", "The request has both.",
			"second credential"},
		{403, "SERVICE_DISABLED", "It has not been used before.", "enable"},
		{403, "PERMISSION_DENIED", "Your API key was reported as leaked.",
			"found in public"},
		{400, "API_KEY_INVALID", "API key expired. Please renew the API key.",
			"make a new one"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *body = util_format(
			"{\"error\":{\"code\":%ld,\"message\":\"%s\",\"status\":\"X\","
			"\"details\":[{\"@type\":\"type.googleapis.com/"
			"google.rpc.ErrorInfo\",\"reason\":\"%s\"}]}}",
			cases[i].status, cases[i].message, cases[i].reason);
		struct provider_error e = of(cases[i].status, body);
		const char *words = e.text ? strchr(e.text, '\n') : NULL;

		assert_int_equal(e.err, -EACCES);
		assert_true(e.from_api);
		assert_non_null(words);
		assert_string_equal(words + 1, cases[i].message);
		if (!strstr(e.text, cases[i].advice))
			fail_msg("%s", e.text);
		provider_error_clear(&e);
	}
}

/* Networks that want a login first. */
static void test_strangers(void **state)
{
	static const struct {
		long status;
		const char *elsewhere, *body;
		int err;
		const char *part;
	} cases[] = {
		{302, "https://login.example", "", -EIO, "https://login.example"},
		{307, "http://10.0.0.1", "<html>x", -EIO, "log in"},
		{200, "https://login.example", "<html>Welcome</html>", -EPROTO,
			"https://login.example"},
		{200, "", "\n<!DOCTYPE html><title>Welcome</title>", -EPROTO,
			"Welcome"},
		{200, "", "<html>", -EPROTO, "web page"},
		{511, "", "<html>pay</html>", -EIO, "log in"},
		{403, "https://login.example", "<html>no</html>", -EHOSTUNREACH,
			"log in"},
		{302, "", "moved", -EIO, "moved"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_reply reply = {.status = cases[i].status,
			.body = (char *)cases[i].body,
			.body_len = strlen(cases[i].body),
			.sent = HTTP_MAYBE_SENT,
			.retry_after = -1};
		struct provider_error e;

		strcpy(reply.elsewhere, cases[i].elsewhere);
		gemini_error_from_reply(&reply, &e);
		assert_int_equal(e.err, cases[i].err);
		assert_false(e.from_api);
		if (!e.text || !strstr(e.text, cases[i].part))
			fail_msg("%ld: %s", cases[i].status, e.text);
		provider_error_clear(&e);
	}
}

static void test_proofs(void **state)
{
	static const struct {
		long status;
		bool refused;
	} cases[] = {{400, true}, {403, true}, {404, true}, {408, false}, {409, false},
		{413, true}, {429, true}, {499, false}, {500, false}, {503, false},
		{200, false}, {302, false}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *own = util_format("{\"error\":{\"code\":%ld,\"details\":[]}}",
			cases[i].status);
		struct provider_error e = of(cases[i].status, own);

		if (e.refused != cases[i].refused)
			fail_msg("%ld", cases[i].status);
		provider_error_clear(&e);
		free(own);
		/* Whoever says that, it is not the API. */
		e = of(cases[i].status, "");
		assert_false(e.refused);
		provider_error_clear(&e);
	}
}

static void test_broken_off(void **state)
{
	struct http_reply reply = {.err = -EIO, .error = "gone", .retry_after = -1};
	struct provider_error e;

	gemini_error_from_reply(&reply, &e);
	assert_int_equal(e.err, -EIO);
	assert_string_equal(e.text, "gone");
	assert_false(e.refused);
	provider_error_clear(&e);
	/* A status is a status, even when its body broke off, but whose is it? */
	reply.status = 400;
	gemini_error_from_reply(&reply, &e);
	assert_int_equal(e.err, -EINVAL);
	assert_false(e.refused);
	provider_error_clear(&e);
	reply.status = 200;
	gemini_error_from_reply(&reply, &e);
	assert_int_equal(e.err, -EIO);
	provider_error_clear(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_grpc),
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_code_passes),
		cmocka_unit_test(test_hopeless),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_from_api),
		cmocka_unit_test(test_advice),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_broken_off),
	};

	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
