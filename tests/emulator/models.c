#include "models.h"
#include "knobs.h"
#include "model_table.h"

static json_t *methods(int can)
{
	json_t *list = json_array();

	if (can & GEN) {
		json_array_append_new(list, json_string("generateContent"));
		json_array_append_new(list, json_string("countTokens"));
		json_array_append_new(list, json_string("createCachedContent"));
	}
	if (can & BATCH)
		json_array_append_new(list, json_string("batchGenerateContent"));
	if (can & EMBED) {
		json_array_append_new(list, json_string("embedContent"));
		json_array_append_new(list, json_string("countTextTokens"));
		json_array_append_new(list, json_string("countTokens"));
		json_array_append_new(list, json_string("asyncBatchEmbedContent"));
	}
	if (can & IMAGEN)
		json_array_append_new(list, json_string("predict"));
	return list;
}

static json_t *model_json(const struct model *m)
{
	json_t *j = json_object();

	json_object_set_new(j, "name", json_sprintf("models/%s", m->name));
	json_object_set_new(j, "version", json_string(m->version));
	json_object_set_new(j, "displayName", json_string(m->display));
	if (*m->description)
		json_object_set_new(j, "description", json_string(m->description));
	json_object_set_new(j, "inputTokenLimit", json_integer(m->in));
	json_object_set_new(j, "outputTokenLimit", json_integer(m->out));
	json_object_set_new(j, "supportedGenerationMethods", methods(m->can));
	if (m->can & GEN) {
		json_object_set_new(j, "temperature", json_integer(1));
		json_object_set_new(j, "topP", json_real(0.95));
		json_object_set_new(j, "topK", json_integer(64));
		json_object_set_new(j, "maxTemperature", json_integer(2));
	}
	if (m->thinking)
		json_object_set_new(j, "thinking", json_true());
	return j;
}

/* Aliases can be left out of the list: some lists have them, some not. */
static bool is_listed(const struct model *m)
{
	return !(m->can & UNLISTED) &&
	       (knob_on(K_list_aliases) || strcmp(m->version, "latest") != 0);
}

bool model_check(struct request *rq, const char *name, enum model_use use)
{
	static const struct {
		int can;
		const char *method;
	} uses[] = {[MODEL_GENERATE] = {BATCH, "batchGenerateContent"},
		[MODEL_EMBED] = {EMBED, "asyncBatchEmbedContent"},
		[MODEL_COUNT] = {GEN | EMBED, "countTokens"}};
	const struct model *m = model_find(name);

	if (m && m->can & RETIRED) {
		reply_error(rq, 404, NULL,
			"This model models/%s is no longer available. Please update your "
			"code to use a newer model for the latest features and "
			"improvements.",
			name);
		return false;
	}
	if (m && m->can & uses[use].can)
		return true;
	reply_error(rq, 404, NULL,
		"models/%s is not found for API version v1beta, or is not supported "
		"for "
		"%s. Call ListModels to see the list of available models and their "
		"supported methods.",
		name, uses[use].method);
	return false;
}

void models_list(struct request *rq)
{
	const char *token = req_query(rq, "pageToken");
	size_t from = token ? strtoul(token, NULL, 10) : 0, i;
	int64_t size;
	json_t *page;

	if (!req_query_int(rq, "pageSize", 50, &size))
		return;
	if (from > model_count() || (token && *token && !from)) {
		reply_error(rq, 400, NULL, "Invalid page token.");
		return;
	}
	size = size <= 0 ? 50 : size > 1000 ? 1000 : size;
	page = json_array();
	for (i = from; i < model_count() && (int64_t)json_array_size(page) < size;
		i++)
		if (is_listed(model_at(i)))
			json_array_append_new(page, model_json(model_at(i)));
	while (i < model_count() && !is_listed(model_at(i)))
		i++;
	reply_json_take(rq, 200, json_pack("{so}", "models", page));
	if (i < model_count())
		json_object_set_new(
			rq->reply.json, "nextPageToken", json_sprintf("%zu", i));
}

void models_get(struct request *rq)
{
	const struct model *m = model_find(rq->arg);

	if (m && !(m->can & RETIRED))
		reply_json_take(rq, 200, model_json(m));
	else
		reply_error(rq, 404, NULL,
			"Model is not found: models/%s for api version v1beta",
			rq->arg);
}
