/* The table of provider.h for the Gemini API. */
#include "provider/gemini/gemini.h"

#include "provider/gemini/calls.h"
#include "provider/gemini/count_tokens.h"
#include "provider/gemini/make_requests.h"
#include "provider/gemini/output.h"
#include "provider/gemini/request_members.h"
#include "provider/gemini/result_line.h"
#include "provider/gemini/upload.h"

static int conn_check_key(struct provider_conn *p, double deadline, struct canceller *c,
	struct provider_error *err)
{
	return gemini_check_key(p->engine, deadline, c, err);
}

static int models(struct provider_conn *p, struct canceller *c,
	struct remote_models *ret, struct provider_error *err)
{
	return gemini_models(p->engine, c, ret, err);
}

static int model_get(struct provider_conn *p, const char *model, struct canceller *c,
	unsigned *ret_methods, struct provider_error *err)
{
	return gemini_model_get(p->engine, model, c, ret_methods, err);
}

static int conn_list(struct provider_conn *p, const char *token, struct canceller *c,
	struct remote_page *ret, struct provider_error *err)
{
	return gemini_list(p->engine, token, c, ret, err);
}

static int conn_get(struct provider_conn *p, const char *id, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err)
{
	return gemini_get(p->engine, id, -1, c, ret, NULL, err);
}

static int conn_look(struct provider_conn *p, const char *id, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err)
{
	return gemini_look(p->engine, id, c, ret, err);
}

static int inline_output(struct provider_conn *p, const char *id, int fd,
	struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
	struct provider_error *err)
{
	return gemini_get(p->engine, id, fd, c, ret, ret_lines, err);
}

static int conn_create(struct provider_conn *p, const struct create_args *a,
	struct canceller *c, struct remote_batch *ret, struct provider_error *err)
{
	return gemini_create(p->engine, a, c, ret, err);
}

static int conn_count(struct provider_conn *p, const struct count_args *a,
	struct canceller *c, int64_t *ret_tokens, struct provider_error *err)
{
	return gemini_count(p->engine, a, c, ret_tokens, err);
}

static int cancel(struct provider_conn *p, const char *id, struct canceller *c,
	struct provider_error *err)
{
	return gemini_cancel(p->engine, id, c, err);
}

static int remove_job(struct provider_conn *p, const char *id, struct canceller *c,
	struct provider_error *err)
{
	return gemini_delete(p->engine, id, c, err);
}

static int upload(struct provider_conn *p, struct upload *u, struct canceller *c,
	struct remote_file *ret, struct provider_error *err)
{
	if (!u->mime)
		u->mime = "application/jsonl";
	return upload_run(p->engine, u, c, ret, err);
}

static int file_remove(struct provider_conn *p, const char *file, struct canceller *c,
	struct provider_error *err)
{
	return gemini_file_delete(p->engine, file, c, err);
}

static int files_used(struct provider_conn *p, struct canceller *c, int64_t *ret,
	bool *ret_whole, struct provider_error *err)
{
	return gemini_files_used(p->engine, c, ret, ret_whole, err);
}

static int conn_download(
	struct provider_conn *p, const struct download *d, struct transfer **ret)
{
	return gemini_download(p->engine, d, ret);
}

static void download_abort(struct provider_conn *p, struct transfer *t)
{
	engine_abort(p->engine, t);
}

static int output_size(struct provider_conn *p, const char *file, unsigned way,
	struct canceller *c, int64_t *ret)
{
	return gemini_output_size(p->engine, file, way, c, ret);
}

/* docs/api-facts.md. */
static const struct provider_limits limits = {
	.requests = VALIDATE_SEND_MAX,
	.inlined = 20000000,
	.attachment = INT64_C(2147483648),
	.storage = INT64_C(21474836480),
	.lines = 100000,
	.jobs = 90, /* of 100 */
	.requests_text = "2 GB",
	.attachment_text = "2 GB",
	.storage_text = "20 GB",
	.jobs_text = "100 at a time, and a number of enqueued tokens per model",
	.job_life = 48 * 3600,
	.results_over = 42 * 86400,
	.upload_life = 48 * 3600,
	.upload_good = 40 * 3600,
	.money_span = GEMINI_MONEY_SPAN,
	.seen_after = 600,
	.inlined_seen_after = 20,
};

const struct provider provider_gemini = {
	.name = "gemini",
	.can = CAN_UPLOAD | CAN_INLINE | CAN_REMOVE | CAN_RANGE | CAN_EMBED |
	       CAN_COUNT | LISTS_INPUT,
	.key_header = "x-goog-api-key",
	.version = "v1beta",
	.limits = &limits,
	.requests = &gemini_requests,
	.results = &gemini_results,
	.compose = &gemini_compose,
	.ways = 2,
	.check_key = conn_check_key,
	.models = models,
	.model_get = model_get,
	.list = conn_list,
	.get = conn_get,
	.look = conn_look,
	.inline_output = inline_output,
	.count = conn_count,
	.guess = gemini_guess_tokens,
	.create = conn_create,
	.cancel = cancel,
	.remove = remove_job,
	.upload = upload,
	.file_remove = file_remove,
	.files_used = files_used,
	.download = conn_download,
	.download_abort = download_abort,
	.judge_download = gemini_judge_download,
	.output_size = output_size,
	.parse = gemini_batch_parse,
	.method_name = gemini_method_name,
};
