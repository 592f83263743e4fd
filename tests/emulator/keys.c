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

static void refuse_key(struct request *rq)
{
	static const char text[] = "API key not valid. Please pass a valid API key.";

	reply_error_details(rq, 400, NULL, text,
		json_pack("[{ss ss ss s{ss}} {ss ss ss}]", "@type",
			"type.googleapis.com/google.rpc.ErrorInfo", "reason",
			"API_KEY_INVALID", "domain", "googleapis.com", "metadata",
			"service", "generativelanguage.googleapis.com", "@type",
			"type.googleapis.com/google.rpc.LocalizedMessage", "locale",
			"en-US", "message", text));
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
		refuse_key(rq);
		return false;
	}
	keys_project(key, rq->project);
	return true;
}

bool project_owns(const char *project, const char *owner)
{
	return !strcmp(owner, "*") || !strcmp(project, "*") || !strcmp(project, owner);
}
