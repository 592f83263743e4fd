#include "caches.h"
#include "bodycheck.h"
#include "keys.h"
#include "store.h"
#include "world.h"

struct cache {
	char id[MAX_ARG];
	char project[64];
	json_t *resource;
	int64_t expires;
};

static struct registry caches; /* world_lock */

static void load(const char *id, json_t *r)
{
	struct cache *c = xcalloc(1, sizeof(*c));

	snprintf(c->id, sizeof(c->id), "%s", id);
	snprintf(c->project, sizeof(c->project), "%s", jstr(r, "project"));
	c->resource = json_incref(jget(r, "resource"));
	c->expires = jint(r, "expires", 0);
	registry_add(&caches, c);
}

void caches_load(void)
{
	store_each("caches", load);
}

static void save(const struct cache *c)
{
	_cleanup_json_ json_t *r = json_pack("{ss sO sI}", "project", c->project,
		"resource", c->resource, "expires", (json_int_t)c->expires);

	store_save("caches", c->id, r);
}

static void forget(struct cache *c)
{
	registry_remove(&caches, c);
	store_remove("caches", c->id);
	json_decref(c->resource);
	free(c);
}

static struct cache *find(const char *project, const char *id)
{
	struct cache *c = registry_find(&caches, id);

	if (c && c->expires < now_ns()) {
		forget(c);
		c = NULL;
	}
	return c && project_owns(project, c->project) ? c : NULL;
}

bool cache_exists(const char *project, const char *name)
{
	bool yes;

	if (strncmp(name, "cachedContents/", 15))
		return false;
	world_lock();
	yes = find(project, name + 15) != NULL;
	world_unlock();
	return yes;
}

static void set_expiry(struct cache *c, json_t *body)
{
	const char *ttl = jstr(body, "ttl");
	double seconds = ttl ? strtod(ttl, NULL) : 3600;

	c->expires = now_ns() + (int64_t)(seconds * NS);
	json_object_set_new(c->resource, "expireTime", time_json(c->expires));
	json_object_set_new(c->resource, "updateTime", time_json(now_ns()));
}

static json_t *resource(const char *id, json_t *body)
{
	const char *model = jstr(body, "model"), *name = jstr(body, "displayName");
	json_t *r = json_object();

	json_object_set_new(r, "name", json_sprintf("cachedContents/%s", id));
	json_object_set_new(r, "model", json_string(model));
	if (name)
		json_object_set_new(r, "displayName", json_string(name));
	json_object_set_new(
		r, "usageMetadata", json_pack("{si}", "totalTokenCount", 4096));
	json_object_set_new(r, "createTime", time_json(now_ns()));
	return r;
}

void caches_create(struct request *rq)
{
	_cleanup_json_ json_t *body = body_checked(rq, &schema_cache);
	struct cache *c;

	if (!body)
		return;
	if (!jstr(body, "model")) {
		reply_error(rq, 400, NULL,
			"* CreateCachedContentRequest.cached_content.model: must not "
			"be "
			"empty\n");
		return;
	}
	c = xcalloc(1, sizeof(*c));
	random_id(c->id, 36);
	strcpy(c->project, rq->project);
	c->resource = resource(c->id, body);
	set_expiry(c, body);
	reply_json_take(rq, 200, json_deep_copy(c->resource));
	world_lock();
	registry_add(&caches, c);
	save(c);
	world_unlock();
}

void caches_list(struct request *rq)
{
	json_t *all = json_array();

	world_lock();
	for (size_t i = caches.n; i-- > 0;) {
		struct cache *c = caches.items[i];

		if (project_owns(rq->project, c->project) && c->expires > now_ns())
			json_array_append_new(all, json_deep_copy(c->resource));
	}
	world_unlock();
	if (json_array_size(all))
		reply_json_take(rq, 200, json_pack("{sO}", "cachedContents", all));
	else
		reply_empty(rq);
	json_decref(all);
}

/* Runs `act` on the cache the request names and replies with its result. */
static void with_cache(
	struct request *rq, json_t *(*act)(struct cache *c, json_t *body), json_t *body)
{
	json_t *r = NULL;
	struct cache *c;

	world_lock();
	c = find(rq->project, rq->arg);
	if (c)
		r = act(c, body);
	world_unlock();
	if (r)
		reply_json_take(rq, 200, r);
	else
		reply_error(rq, 403, NULL,
			"CachedContent not found (or permission denied)");
}

static json_t *show(struct cache *c, json_t *body)
{
	return json_deep_copy(c->resource);
}

static json_t *prolong(struct cache *c, json_t *body)
{
	set_expiry(c, body);
	save(c);
	return json_deep_copy(c->resource);
}

static json_t *drop(struct cache *c, json_t *body)
{
	forget(c);
	return json_object();
}

void caches_get(struct request *rq)
{
	with_cache(rq, show, NULL);
}

void caches_patch(struct request *rq)
{
	_cleanup_json_ json_t *body = body_checked(rq, &schema_cache);

	if (body)
		with_cache(rq, prolong, body);
}

void caches_delete(struct request *rq)
{
	with_cache(rq, drop, NULL);
}
