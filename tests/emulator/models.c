#include "models.h"

enum { GEN = 1, BATCH = 2, EMBED = 4, RETIRED = 8, IMAGEN = 16 };

static const struct model {
	const char *name, *version, *display, *description;
	int in, out;
	int can;
	bool thinking;
} models[] = {
	{"gemini-2.5-flash", "001", "Gemini 2.5 Flash",
		"Stable version of Gemini 2.5 Flash, our mid-size multimodal model "
		"that "
		"supports up to 1 million tokens",
		1048576, 65536, GEN | BATCH, true},
	{"gemini-2.5-pro", "2.5", "Gemini 2.5 Pro", "Stable release of Gemini 2.5 Pro",
		1048576, 65536, GEN | BATCH, true},
	{"gemini-2.5-flash-lite", "001", "Gemini 2.5 Flash-Lite",
		"Stable version of Gemini 2.5 Flash-Lite", 1048576, 65536, GEN | BATCH,
		true},
	{"gemini-2.0-flash", "2.0", "Gemini 2.0 Flash", "Gemini 2.0 Flash", 1048576,
		8192, GEN | BATCH, false},
	{"gemini-3-pro-preview", "3-pro-preview-11-2025", "Gemini 3 Pro Preview",
		"Gemini 3 Pro Preview", 1048576, 65536, GEN | BATCH, true},
	{"gemini-3-flash-preview", "3-flash-preview-12-2025", "Gemini 3 Flash Preview",
		"Gemini 3 Flash Preview", 1048576, 65536, GEN | BATCH, true},
	{"gemini-2.5-flash-image", "2.0", "Nano Banana", "Gemini 2.5 Flash Image",
		32768, 32768, GEN | BATCH, false},
	{"gemini-3-pro-image-preview", "3.0", "Nano Banana Pro",
		"Gemini 3 Pro Image Preview", 131072, 32768, GEN | BATCH, true},
	{"gemma-3-27b-it", "001", "Gemma 3 27B", "", 131072, 8192, GEN, false},
	{"gemini-embedding-001", "001", "Gemini Embedding 001",
		"Obtain a distributed representation of a text.", 2048, 1, EMBED,
		false},
	{"imagen-4.0-generate-001", "001", "Imagen 4", "Vertex served Imagen 4.0 model",
		480, 8192, IMAGEN, false},
	{"gemini-1.5-flash", "001", "Gemini 1.5 Flash", "", 1000000, 8192, RETIRED,
		false},
};

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

static const struct model *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

bool model_check(struct request *rq, const char *name, enum model_use use)
{
	const struct model *m = find(name);

	if (m && m->can & RETIRED) {
		reply_error(rq, 404, NULL,
			"This model models/%s is no longer available to new users. "
			"Please "
			"update your code to use a newer model for the latest features "
			"and "
			"improvements.",
			name);
		return false;
	}
	if (m && m->can & (use == MODEL_EMBED ? EMBED : BATCH))
		return true;
	reply_error(rq, 404, NULL,
		"models/%s is not found for API version v1beta, or is not supported "
		"for "
		"%s. Call ListModels to see the list of available models and their "
		"supported methods.",
		name,
		use == MODEL_EMBED ? "asyncBatchEmbedContent" : "batchGenerateContent");
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
	if (from > ARRAY_LEN(models) || (token && *token && !from)) {
		reply_error(rq, 400, NULL, "Invalid page token.");
		return;
	}
	size = size <= 0 ? 50 : size > 1000 ? 1000 : size;
	page = json_array();
	for (i = from; i < ARRAY_LEN(models) && (int64_t)json_array_size(page) < size;
		i++)
		if (!(models[i].can & RETIRED))
			json_array_append_new(page, model_json(&models[i]));
	reply_json_take(rq, 200, json_pack("{so}", "models", page));
	if (i < ARRAY_LEN(models) - 1)
		json_object_set_new(
			rq->reply.json, "nextPageToken", json_sprintf("%zu", i));
}

void models_get(struct request *rq)
{
	const struct model *m = find(rq->arg);

	if (m && !(m->can & RETIRED))
		reply_json_take(rq, 200, model_json(m));
	else
		reply_error(rq, 404, NULL,
			"Model is not found: models/%s for api version v1beta",
			rq->arg);
}
