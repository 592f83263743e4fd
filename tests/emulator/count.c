#include "count.h"
#include "bodycheck.h"
#include "files.h"
#include "models.h"
#include "prompt.h"
#include "tokens.h"

/* Whether what is to be counted is there, as the service has it; else 400 was replied. */
static bool is_countable(struct request *rq, json_t *body)
{
	json_t *whole = jget(body, "generateContentRequest");
	const char *model = jstr(whole, "model"), *at = "", *what = NULL;

	if (whole)
		at = ".generate_content_request";
	if (whole && jget(body, "contents"))
		what = "contents: contents and generate_content_request are mutually "
		       "exclusive";
	else if (whole && !model)
		what = "model: model is not specified";
	else if (whole && strncmp(model, "models/", 7) &&
		 strncmp(model, "tunedModels/", 12))
		what = "model: unexpected model name format";
	else if (!json_array_size(jget(whole ? whole : body, "contents")) &&
		 !json_is_object(jget(whole ? whole : body, "contents")))
		what = "contents: contents is not specified";
	if (what)
		reply_error(rq, 400, NULL, "* CountTokensRequest%s.%s\n", at, what);
	return !what;
}

static bool files_ok(struct request *rq, json_t *request)
{
	struct prompt p;
	bool ok = true;

	prompt_read(request, &p);
	for (size_t i = 0; ok && i < p.n_files; i++)
		ok = !p.files[i].uri || file_uri_ok(rq, p.files[i].uri);
	prompt_free(&p);
	return ok;
}

void count_tokens(struct request *rq)
{
	_cleanup_json_ json_t *body = model_check(rq, rq->arg, MODEL_COUNT)
					      ? body_checked(rq, &schema_count)
					      : NULL;
	json_t *whole = jget(body, "generateContentRequest");
	struct tokens t = {0};

	if (!body || !is_countable(rq, body) || !files_ok(rq, whole ? whole : body))
		return;
	tokens_add_request(&t, whole ? whole : body);
	reply_json_take(rq, 200,
		json_pack("{sI so}", "totalTokens", (json_int_t)tokens_sum(&t),
			"promptTokensDetails", tokens_details(&t)));
}
