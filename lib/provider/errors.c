#include "provider/errors.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "provider/provider.h"

/* First match wins; NULL and 0 match everything. reason is matched as a prefix,
 * text anywhere. docs/api-facts.md, "Errors". */
static const struct {
	long first, last;
	const char *reason, *text;
	int err;
} table[] = {
	{200, 299, NULL, NULL, 0},
	{100, 399, NULL, NULL, -EIO},
	{400, 400, "API_KEY_", NULL, -EACCES},
	{400, 400, NULL, "API key not valid", -EACCES},
	{400, 400, NULL, "API key expired", -EACCES},
	{400, 400, NULL, "payload size exceeds", -EFBIG},
	{401, 401, NULL, NULL, -EACCES},
	{402, 402, NULL, NULL, -EDQUOT},
	{403, 403, NULL, NULL, -EACCES},
	{404, 404, NULL, NULL, -ENOENT},
	{407, 407, NULL, NULL, -EACCES},
	{408, 408, NULL, NULL, -ETIMEDOUT},
	{409, 409, NULL, NULL, -EBUSY},
	{410, 410, NULL, NULL, -ENOENT},
	{413, 413, NULL, NULL, -EFBIG},
	{429, 429, NULL, NULL, -EDQUOT},
	{499, 499, NULL, NULL, -EIO},
	{400, 498, NULL, NULL, -EINVAL},
	{0, 0, NULL, NULL, -EIO},
};

static const struct {
	const char *name;
	int err;
	bool passes; /* of a request of a job (CALL_REQUEST) */
} grpc[] = {
	{"OK", 0, false},
	{"CANCELLED", -ECANCELED, true},
	{"UNKNOWN", -EIO, true},
	{"INVALID_ARGUMENT", -EINVAL, false},
	{"DEADLINE_EXCEEDED", -ETIMEDOUT, true},
	{"NOT_FOUND", -ENOENT, false},
	{"ALREADY_EXISTS", -EBUSY, false},
	{"PERMISSION_DENIED", -EACCES, false},
	{"RESOURCE_EXHAUSTED", -EDQUOT, true},
	{"FAILED_PRECONDITION", -EINVAL, false},
	{"ABORTED", -EBUSY, true},
	{"OUT_OF_RANGE", -EINVAL, false},
	{"UNIMPLEMENTED", -EIO, false},
	{"INTERNAL", -EIO, true},
	{"UNAVAILABLE", -EIO, true},
	{"DATA_LOSS", -EIO, true},
	{"UNAUTHENTICATED", -EACCES, false},
};

static const struct {
	int err;
	const char *text;
} meanings[] = {
	{-EBADMSG, "the requests are not valid"},
	{-EINVAL, "the API refused it"},
	{-EACCES, "the API refused the key, or access with it"},
	{-ENOENT, "the API does not have it"},
	{-EDQUOT, "a quota or rate limit of the API is used up"},
	{-EFBIG, "too large for the API"},
	{-EBUSY, "the API cannot do this now"},
	{-EIO, "the API failed, or its reply was cut off"},
	{-EPROTO, "the API's reply could not be understood"},
	{-EHOSTUNREACH, "the API cannot be reached"},
	{-ETIMEDOUT, "the API did not answer in time"},
	{-ENOSPC, "the local disk is full"},
	{-EINTR, "given up"},
	{-ECANCELED, "given up"},
	{-ENOMEM, "out of memory"},
};

#define NEW_KEY "make a new one at https://aistudio.google.com/apikey"
#define RESTRICTED                                                                     \
	"The key is restricted to other programs or addresses: change that "           \
	"at "                                                                          \
	"https://console.cloud.google.com/apis/credentials, or " NEW_KEY "."

/* First match wins; a NULL matches nothing. docs/api-facts.md, "Errors". */
static const struct {
	const char *reason, *text, *advice;
} advices[] = {
	{"API_KEY_INVALID", "API key not valid",
		"The API does not know this key: check that all of it was copied, "
		"or " NEW_KEY "."},
	{NULL, "API key expired", "The key has expired: " NEW_KEY "."},
	{NULL, "reported as leaked",
		"The key was found in public and has been blocked: " NEW_KEY "."},
	{"ACCESS_TOKEN_TYPE_UNSUPPORTED", NULL,
		"This is not about OAuth: the key is an old unrestricted one, and "
		"those are blocked now, or it was damaged when it was copied: " NEW_KEY
		"."},
	{"API_KEY_SERVICE_BLOCKED", NULL,
		"The key's restrictions exclude this API: allow the Generative Language "
		"API for it at https://console.cloud.google.com/apis/credentials, "
		"or " NEW_KEY "."},
	{"API_KEY_HTTP_REFERRER_BLOCKED", NULL, RESTRICTED},
	{"API_KEY_IP_ADDRESS_BLOCKED", NULL, RESTRICTED},
	{"API_KEY_ANDROID_APP_BLOCKED", NULL, RESTRICTED},
	{"API_KEY_IOS_APP_BLOCKED", NULL, RESTRICTED},
	{"CONSUMER_SUSPENDED", NULL,
		"The project that the key belongs to is suspended: see its messages at "
		"https://console.cloud.google.com, or use a key of another project."},
	{"SERVICE_DISABLED", NULL,
		"The Generative Language API is not enabled in the key's project: "
		"enable it at https://console.cloud.google.com/apis/library and wait a "
		"few minutes."},
	{"OVERLOADED_CREDENTIALS", NULL,
		"The API received a second credential beside the key: something "
		"between here and the API (a gateway, SOURCE) adds one of its own."},
};

const char *errors_advice(const char *reason, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		if (advices[i].reason && reason &&
			strcmp(advices[i].reason, reason) == 0)
			return advices[i].advice;
		if (advices[i].text && text && strstr(text, advices[i].text))
			return advices[i].advice;
	}
	return NULL;
}

int errors_from_http(long status, const char *reason, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].first &&
			(status < table[i].first || status > table[i].last))
			continue;
		if (table[i].reason &&
			(!reason || strncmp(reason, table[i].reason,
					    strlen(table[i].reason)) != 0))
			continue;
		if (table[i].text && (!text || !strstr(text, table[i].text)))
			continue;
		return table[i].err;
	}
	return -EIO;
}

int errors_from_grpc(int code)
{
	if (code < 0 || (size_t)code >= ARRAY_SIZE(grpc))
		return -EIO;
	return grpc[code].err;
}

const char *errors_grpc_name(int code)
{
	if (code < 0 || (size_t)code >= ARRAY_SIZE(grpc))
		return "UNKNOWN";
	return grpc[code].name;
}

bool errors_is_grpc_name(const char *name)
{
	for (size_t i = 1; name && i < ARRAY_SIZE(grpc); i++)
		if (strcmp(grpc[i].name, name) == 0)
			return true;
	return false;
}

const char *errors_meaning(int err)
{
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].err == err)
			return meanings[i].text;
	return "it failed";
}

/* ---- may it pass? ---------------------------------------------------------------- */

enum {
	FOR_AGES =
		CALL_QUEUE | CALL_REMOVE, /* nobody waits: they only stop at a proof */
	AT_ONCE = CALL_ASK | CALL_UPLOAD | CALL_DOWNLOAD,
};

/* First match wins; 0 matches everything. A status below 300 is none: what is wrong
 * with such a reply is what err says. For whom it passes: */
static const struct {
	long first, last;
	int err;
	unsigned calls;
} passing[] = {
	{0, 0, -ECANCELED, FOR_AGES},
	/* Something else answered instead of the API: a problem of the network, which
	 * may end, but not within a call. */
	{400, 499, -EHOSTUNREACH, CALL_DOWNLOAD | FOR_AGES},
	{300, 399, 0, CALL_DOWNLOAD | FOR_AGES},
	{402, 402, 0, CALL_QUEUE},
	{408, 408, 0, AT_ONCE | FOR_AGES | CALL_REQUEST},
	{409, 409, 0, CALL_REMOVE},
	{429, 429, 0, AT_ONCE | FOR_AGES | CALL_CREATE | CALL_REQUEST},
	{499, 499, 0, FOR_AGES | CALL_REQUEST},
	{400, 498, 0, 0},
	/* 501: the server cannot do this; a minute later it still cannot. */
	{501, 501, 0, FOR_AGES},
	{500, LONG_MAX, 0, AT_ONCE | FOR_AGES | CALL_REQUEST},
	{0, 0, -EIO, AT_ONCE | FOR_AGES},
	{0, 0, -ETIMEDOUT, AT_ONCE | FOR_AGES},
	{0, 0, -EHOSTUNREACH, CALL_UPLOAD | CALL_DOWNLOAD | FOR_AGES},
	{0, 0, -EDQUOT, CALL_UPLOAD | FOR_AGES},
	/* What this machine lacks now it may have later. */
	{0, 0, -ENOMEM, FOR_AGES},
	{0, 0, -ENOSPC, CALL_UPLOAD | FOR_AGES},
	{0, 0, -EMFILE, CALL_UPLOAD | FOR_AGES},
	{0, 0, -ENFILE, CALL_UPLOAD | FOR_AGES},
	{0, 0, -EINVAL, CALL_REMOVE},
	{0, 0, 0, CALL_UPLOAD | CALL_REMOVE},
};

static unsigned passes_for(long status, int err)
{
	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		if ((!passing[i].first || (status >= passing[i].first &&
						  status <= passing[i].last)) &&
			(!passing[i].err || err == passing[i].err))
			return passing[i].calls;
	return 0;
}

bool errors_may_pass(const struct provider_error *e, enum errors_call call)
{
	long status = e->status >= 300 ? e->status : 0;
	unsigned calls = passes_for(status, e->err);

	if (e->hopeless)
		calls &= FOR_AGES;
	if (e->untrusted)
		calls &= ~(unsigned)CALL_UPLOAD;
	if (e->refused && !status) /* by this program: another key's */
		return false;
	return calls & call;
}

bool errors_code_may_pass(int64_t code)
{
	if (code < 0)
		return true;
	if (code < 100)
		return code < (int64_t)ARRAY_SIZE(grpc) && grpc[code].passes;
	return errors_may_pass(
		&(struct provider_error){.status = (long)code}, CALL_REQUEST);
}

/* Blank out what the ordinary quota text contains too: its standard sentence, and
 * addresses of pages about billing. */
static void blank(char *text)
{
	static const char *const usual = "check your plan and billing details";
	char *p;

	while ((p = strstr(text, usual)))
		memset(p, ' ', strlen(usual));
	while ((p = strstr(text, "://")))
		while (*p && !isspace((unsigned char)*p))
			*p++ = ' ';
}

static char *lower_case(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	for (char *p = copy; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

bool errors_hopeless(const char *text)
{
	static const char *const words[] = {"billing", "credit", "prepay", "payment",
		"spending cap", "spend limit"};
	_cleanup_free_ char *copy = lower_case(text);

	if (!copy)
		return false;
	blank(copy);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(copy, words[i]))
			return true;
	return false;
}

int errors_quota(const char *text)
{
	static const struct {
		const char *word;
		enum quota_kind kind;
	} words[] = {{"spend-based", QUOTA_MONEY}, {"spending rate", QUOTA_MONEY},
		{"enqueued", QUOTA_QUEUE}, {"concurrent", QUOTA_QUEUE},
		{"per minute", QUOTA_RATE}, {"perminute", QUOTA_RATE},
		{"create_requests", QUOTA_RATE}};
	_cleanup_free_ char *copy = lower_case(text);

	for (size_t i = 0; copy && i < ARRAY_SIZE(words); i++)
		if (strstr(copy, words[i].word))
			return words[i].kind;
	return QUOTA_UNTOLD;
}
