#include "keys.h"
#include "knobs.h"

#include <errno.h>

#define MAX_KEYS 32

static struct {
	char key[128], project[64];
} keys[MAX_KEYS];
static size_t n_keys;

int keys_add(const char *spec)
{
	const char *eq = strchr(spec, '=');
	size_t n = eq ? (size_t)(eq - spec) : strlen(spec);

	if (n_keys == MAX_KEYS || !n || n >= sizeof(keys[0].key))
		return -EINVAL;
	if (eq && (!eq[1] || strlen(eq + 1) >= sizeof(keys[0].project)))
		return -EINVAL;
	memcpy(keys[n_keys].key, spec, n);
	strcpy(keys[n_keys].project, eq ? eq + 1 : "default");
	n_keys++;
	return 0;
}

const char *keys_given(struct request *rq)
{
	const char *key = req_header(rq, "x-goog-api-key");

	return key && *key ? key : req_query(rq, "key");
}

static const char *listed_project(const char *key)
{
	for (size_t i = 0; i < n_keys; i++)
		if (!strcmp(keys[i].key, key))
			return keys[i].project;
	return NULL;
}

void keys_project(const char *key, char project[64])
{
	const char *listed = listed_project(key);

	if (listed)
		strcpy(project, listed);
	else
		snprintf(project, 64, "p-%016llx",
			(unsigned long long)hash64(key, strlen(key)));
}

static bool good(const char *key)
{
	_cleanup_free_ char *bad = knob_text_dup(K_bad_key);

	return n_keys ? listed_project(key) != NULL : strcmp(key, bad) != 0;
}

/* In the order of the knob key_refusal's words. */
static const struct {
	int status;
	const char *reason, *text;
} refusals[] = {
	{400, "API_KEY_INVALID", "API key not valid. Please pass a valid API key."},
	{400, "API_KEY_INVALID", "API key expired. Please renew the API key."},
	{403, NULL, "Your API key was reported as leaked. Please use another API key."},
	{401, "ACCESS_TOKEN_TYPE_UNSUPPORTED",
		"Request had invalid authentication credentials. Expected OAuth 2 "
		"access "
		"token, login cookie or other valid authentication credential. See "
		"https://developers.google.com/identity/sign-in/web/"
		"devconsole-project."},
	{403, "API_KEY_SERVICE_BLOCKED",
		"Requests to this API generativelanguage.googleapis.com method "
		"google.ai.generativelanguage.v1beta.ModelService.ListModels are "
		"blocked."},
	{403, "CONSUMER_SUSPENDED",
		"Permission denied: Consumer 'api_key:%s' has been "
		"suspended."},
	{401, "OVERLOADED_CREDENTIALS",
		"The request has both an API key and an OAuth 2 access token. Expected "
		"one "
		"credential."},
};

static void refuse_key(struct request *rq, const char *key)
{
	size_t i = (size_t)knob_choice(K_key_refusal);
	const char *gap = strstr(refusals[i].text, "%s");
	_cleanup_free_ char *text = NULL;
	json_t *details = NULL;

	if (asprintf(&text, "%.*s%s%s",
		    gap ? (int)(gap - refusals[i].text) : (int)strlen(refusals[i].text),
		    refusals[i].text, gap ? key : "", gap ? gap + 2 : "") < 0)
		abort();
	if (refusals[i].reason)
		details = json_pack("[{ss ss ss s{ss}} {ss ss ss}]", "@type",
			"type.googleapis.com/google.rpc.ErrorInfo", "reason",
			refusals[i].reason, "domain", "googleapis.com", "metadata",
			"service", "generativelanguage.googleapis.com", "@type",
			"type.googleapis.com/google.rpc.LocalizedMessage", "locale",
			"en-US", "message", text);
	reply_error_details(rq, refusals[i].status, NULL, text, details);
}

bool keys_check(struct request *rq)
{
	const char *key = keys_given(rq);

	if (!key || !*key) {
		reply_error(rq, 403, NULL,
			"Method doesn't allow unregistered callers (callers without "
			"established identity). Please use API Key or other form of "
			"API "
			"consumer identity to call this API.");
		return false;
	}
	if (!good(key)) {
		refuse_key(rq, key);
		return false;
	}
	keys_project(key, rq->project);
	return true;
}

bool project_owns(const char *project, const char *owner)
{
	return !strcmp(owner, "*") || !strcmp(project, "*") || !strcmp(project, owner);
}
