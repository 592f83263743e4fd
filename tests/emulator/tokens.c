#include "tokens.h"
#include "answer.h"
#include "bodycheck.h"
#include "files.h"
#include "model_table.h"

/* Can this model count? False after a 404 was replied. */
static bool counts(struct request *rq)
{
	const struct model *m = model_find(rq->arg);

	if (m && m->can & (GEN | EMBED) && !(m->can & RETIRED))
		return true;
	reply_error(rq, 404, NULL,
		"models/%s is not found for API version v1beta, or is not supported for "
		"countTokens. Call ListModels to see the list of available models and "
		"their supported methods.",
		rq->arg);
	return false;
}

/* What is to be counted, borrowed from the body; NULL after a 400. */
static json_t *counted_request(struct request *rq, json_t *body)
{
	json_t *request = jget(body, "generateContentRequest");
	json_t *contents = jget(body, "contents");
	const char *model = jstr(request, "model");

	if (request && contents)
		reply_error(rq, 400, NULL,
			"CountTokens requires only one of generate_content_request or "
			"contents to be set.");
	else if (!request && !json_array_size(contents))
		reply_error(rq, 400, NULL,
			"CountTokens requires generate_content_request or contents to be "
			"set.");
	else if (request && (!model || strncmp(model, "models/", 7)))
		reply_error(rq, 400, NULL,
			"* CountTokensRequest.generate_content_request.model: unexpected "
			"model name format\n");
	else if (request && !json_array_size(jget(request, "contents")))
		reply_error(rq, 400, NULL,
			"* CountTokensRequest.generate_content_request.contents: contents "
			"is not specified\n");
	else
		return request ? request : body;
	return NULL;
}

static bool files_ok(struct request *rq, const struct prompt *p)
{
	bool ok = true;

	for (size_t i = 0; ok && i < p->n_files; i++)
		ok = !p->files[i].uri || file_uri_ok(rq, p->files[i].uri);
	return ok;
}

void tokens_count(struct request *rq)
{
	_cleanup_json_ json_t *body = counts(rq) ? body_checked(rq, &schema_count) : NULL;
	json_t *request = body ? counted_request(rq, body) : NULL;
	struct prompt p;
	int n;

	if (!request)
		return;
	prompt_read(request, &p);
	n = answer_prompt_tokens(&p);
	if (files_ok(rq, &p))
		reply_json_take(rq, 200,
			json_pack("{si s[{ss si}]}", "totalTokens", n,
				"promptTokensDetails", "modality", "TEXT", "tokenCount", n));
	prompt_free(&p);
}
