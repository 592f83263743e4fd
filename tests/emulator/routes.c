#include "routes.h"
#include "admin.h"
#include "batches.h"
#include "caches.h"
#include "count.h"
#include "files.h"
#include "models.h"
#include "upload.h"

/* Matches `path`; what `{}` stands for goes to arg. */
static bool match(const char *pattern, const char *path, char arg[MAX_ARG])
{
	while (*pattern && *pattern != '{' && *pattern == *path) {
		pattern++;
		path++;
	}
	if (*pattern == '{') {
		size_t n = strcspn(path, "/:");

		if (!n || n >= MAX_ARG)
			return false;
		memcpy(arg, path, n);
		arg[n] = '\0';
		return !strcmp(pattern + 2, path + n);
	}
	return !*pattern && !*path;
}

#define API(method, pattern, op, ...)                                                  \
	{                                                                              \
		method, "/v1beta/" pattern, op, false, NULL, __VA_ARGS__               \
	}
#define UPLOAD(method, path)                                                           \
	{                                                                              \
		method, path "/v1beta/files", "upload", true, upload_name,             \
			upload_begin, upload_handle                                    \
	}
#define ADMIN(method, pattern, handle)                                                 \
	{                                                                              \
		method, "/emu/" pattern, "emu", true, NULL, NULL, handle               \
	}

static const struct route routes[] = {
	API("POST", "models/{}:batchGenerateContent", "create", batch_create_begin,
		batch_create),
	API("POST", "tunedModels/{}:batchGenerateContent", "create", batch_create_begin,
		batch_create),
	API("POST", "models/{}:asyncBatchEmbedContent", "create_embed",
		batch_create_begin, batch_create_embed),
	API("GET", "batches/{}", "get", NULL, batch_get),
	API("GET", "batches", "list", NULL, batch_list),
	API("POST", "batches/{}:cancel", "cancel", NULL, batch_cancel),
	API("DELETE", "batches/{}", "delete", NULL, batch_delete),
	API("PATCH", "batches/{}:updateGenerateContentBatch", "update", NULL,
		batch_patch),
	API("PATCH", "batches/{}:updateEmbedContentBatch", "update", NULL, batch_patch),
	UPLOAD("POST", "/upload"),
	UPLOAD("PUT", "/upload"),
	UPLOAD("POST", "/resumable/upload"),
	UPLOAD("PUT", "/resumable/upload"),
	API("POST", "files", "file_create", NULL, files_create),
	API("GET", "files", "file_list", NULL, files_list),
	API("GET", "files/{}", "file_get", NULL, files_get),
	API("DELETE", "files/{}", "file_delete", NULL, files_delete),
	API("GET", "files/{}:download", "download", NULL, files_download),
	API("HEAD", "files/{}:download", "download", NULL, files_download),
	{"GET", "/download/v1beta/files/{}:download", "download", false, NULL, NULL,
		files_download},
	{"HEAD", "/download/v1beta/files/{}:download", "download", false, NULL, NULL,
		files_download},
	API("GET", "models", "models", NULL, models_list),
	API("GET", "models/{}", "model_get", NULL, models_get),
	API("POST", "models/{}:countTokens", "count_tokens", NULL, count_tokens),
	API("POST", "cachedContents", "cache_create", NULL, caches_create),
	API("GET", "cachedContents", "cache_list", NULL, caches_list),
	API("GET", "cachedContents/{}", "cache_get", NULL, caches_get),
	API("PATCH", "cachedContents/{}", "cache_patch", NULL, caches_patch),
	API("DELETE", "cachedContents/{}", "cache_delete", NULL, caches_delete),
	ADMIN("GET", "knobs", admin_knobs),
	ADMIN("POST", "set", admin_set),
	ADMIN("GET", "faults", admin_faults),
	ADMIN("POST", "fault", admin_fault),
	ADMIN("POST", "fault/reset", admin_fault_reset),
	ADMIN("GET", "stats", admin_stats),
	ADMIN("POST", "stats/reset", admin_stats_reset),
	ADMIN("GET", "quota", admin_quota),
	ADMIN("POST", "quota/reset", admin_quota_reset),
	ADMIN("GET", "jobs", admin_jobs),
	ADMIN("POST", "job", admin_job_add),
	ADMIN("POST", "job/{}", admin_job_change),
	ADMIN("DELETE", "job/{}", admin_job_forget),
	ADMIN("POST", "file/{}", admin_file_change),
};

/* Newer SDKs say v1 where older ones and the documentation say v1beta. */
static char *canonical_dup(const char *path)
{
	static const char *const others[] = {"/v1/", "/v1alpha/"};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const char *at = strstr(path, others[i]);

		if (at)
			return xasprintf("%.*s/v1beta/%s", (int)(at - path), path,
				at + strlen(others[i]));
	}
	return xstrdup(path);
}

const struct route *route_find(const char *method, const char *path, char arg[MAX_ARG])
{
	_cleanup_free_ char *canonical = canonical_dup(path);

	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (!strcmp(routes[i].method, method) &&
			match(routes[i].pattern, canonical, arg))
			return &routes[i];
	return NULL;
}
