#include "provider/gemini/calls.h"
#include "provider/gemini/calls_private.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "provider/gemini/parse.h"
#include "provider/errors.h"
#include "provider/gemini/inline_output.h"
#include "http/url.h"
#include "base/util.h"

#define TRIES 4
#define TRY_S 30.0
#define TOTAL_S 90.0
/* The API takes up to a minute to assemble a large inline output. */
#define GET_TRY_S 80.0
#define FETCH_TRY_S 900.0
/* The API itself gives up such a reply after 60 s, with 503 (py#2519). */
#define FETCH_STALL_S 660.0
#define GET_STALL_S 90.0
#define MODEL_PAGES 20
#define FILE_PAGES 20
#define MODELS_MAX 20000
#define PAGE_MAX ((size_t)8 << 20)
#define PATH_SIZE 256

const char *const calls_json_headers[] = {"Content-Type: application/json", NULL};

/* ---- one call, repeated where that helps  ---- */

/* How long a call may take; begin is called before every try. */
struct effort {
	int tries;
	double try_s, total_s;
	int (*begin)(void *arg);
	void *arg;
};

static const struct effort metadata = {TRIES, TRY_S, TOTAL_S, NULL, NULL};
static const struct effort once = {1, TRY_S, TRY_S, NULL, NULL};

int calls_broken(struct provider_error *err, int r)
{
	char *text = STEAL_PTR(err->text);

	provider_error_clear(err);
	err->err = r == -EPROTO ? -EIO : r;
	err->status = 200;
	err->sent = HTTP_MAYBE_SENT;
	err->text = text ? text : strdup("the API's reply cannot be understood");
	return err->err;
}

int calls_one_try(struct engine *e, const struct http_request *r, struct canceller *c,
	struct http_reply *reply, struct provider_error *err)
{
	provider_error_clear(err);
	engine_call(e, r, c, reply);
	gemini_error_from_reply(reply, err);
	return err->err;
}

static int begin_try(const struct effort *how, struct provider_error *err)
{
	int r = how->begin ? how->begin(how->arg) : 0;

	if (r < 0) {
		provider_error_clear(err);
		err->err = r;
	}
	return r;
}

/* Call with an idempotent request. On failure reply is empty. */
static int call_method(struct engine *e, const struct http_request *request,
	const struct effort *how, struct canceller *c, struct http_reply *reply,
	struct provider_error *err)
{
	struct http_request r = *request;
	double end = util_now() + how->total_s, pause;

	for (int n = 1;; n++) {
		if (begin_try(how, err) < 0)
			return err->err;
		r.deadline = fmin(how->try_s, fmax(end - util_now(), 1));
		if (calls_one_try(e, &r, c, reply, err) == 0)
			return 0;
		http_reply_clear(reply);
		if (err->err == -EPROTO)
			return calls_broken(err, -EPROTO);
		if (n == how->tries || !errors_may_pass(err, CALL_ASK))
			return err->err;
		pause = engine_backoff(n, err->retry);
		if (util_now() + pause >= end)
			return err->err;
		if (engine_sleep(e, pause, c) < 0)
			return err->err = -ECANCELED;
	}
}

int calls_ask(struct engine *e, const struct http_request *r, double try_s,
	double total_s, struct canceller *c, struct http_reply *reply,
	struct provider_error *err)
{
	const struct effort how = {TRIES, try_s, total_s, NULL, NULL};

	return call_method(e, r, &how, c, reply, err);
}

int calls_invalid(struct provider_error *err, const char *why)
{
	provider_error_clear(err);
	err->err = -EINVAL;
	err->sent = HTTP_NOT_SENT;
	err->text = strdup(why);
	return -EINVAL;
}

static struct http_request get_request(const char *path)
{
	return (struct http_request){.method = HTTP_GET, .path = path, .body_fd = -1};
}

/* ---- models  ---- */

int gemini_check_key(struct engine *e, double deadline, struct canceller *c,
	struct provider_error *err)
{
	struct http_request r = get_request("/v1beta/models?pageSize=1");
	struct effort how = {TRIES, deadline, deadline, NULL, NULL};
	struct http_reply reply;
	json_t *root;
	int ret;

	*err = (struct provider_error){.retry = -1};
	ret = call_method(e, &r, &how, c, &reply, err);
	if (ret < 0)
		return ret;
	root = gemini_json(reply.body, reply.body_len);
	if (!gemini_is_list(root, "models"))
		ret = calls_broken(err, -EPROTO);
	json_decref(root);
	http_reply_clear(&reply);
	return ret;
}

/* A path with the page token, if any; malloc'ed. */
static char *page_path(const char *path, const char *token)
{
	_cleanup_free_ char *escaped = token ? url_escape(token) : NULL;

	if (!token)
		return strdup(path);
	return escaped ? util_format("%s&pageToken=%s", path, escaped) : NULL;
}

static int call_page(struct engine *e, const char *path, const char *token,
	const struct effort *how, struct canceller *c, struct http_reply *reply,
	struct provider_error *err)
{
	_cleanup_free_ char *full = page_path(path, token);
	struct http_request r = get_request(full);

	if (!full)
		return err->err = -ENOMEM;
	r.cap = PAGE_MAX;
	return call_method(e, &r, how, c, reply, err);
}

static int models_page(struct engine *e, struct canceller *c, struct remote_models *ret,
	char **token, struct provider_error *err)
{
	struct http_reply reply;
	char *next = NULL;
	int r = call_page(
		e, "/v1beta/models?pageSize=1000", *token, &metadata, c, &reply, err);

	if (r < 0)
		return r;
	r = gemini_models_parse(reply.body, reply.body_len, ret, &next);
	http_reply_clear(&reply);
	if (r < 0)
		return calls_broken(err, r);
	free(*token);
	*token = next;
	return 0;
}

int gemini_models(struct engine *e, struct canceller *c, struct remote_models *ret,
	struct provider_error *err)
{
	struct remote_models all = {0};
	char *token = NULL;
	int r = 0;

	*err = (struct provider_error){.retry = -1};
	for (int i = 0;
		i < MODEL_PAGES && r == 0 && (i == 0 || token) && all.n < MODELS_MAX;
		i++)
		r = models_page(e, c, &all, &token, err);
	free(token);
	if (r == 0 && all.n == 0)
		r = calls_broken(err, -EPROTO);
	if (r < 0)
		remote_models_clear(&all);
	else
		*ret = all;
	return r;
}

char *calls_model_path(const char *model)
{
	const char *prefix = "models/";

	if (util_id_valid(model, "tunedModels/") || util_id_valid(model, "models/"))
		prefix = "";
	else if (!util_id_valid(model, ""))
		return NULL;
	return util_format("/v1beta/%s%s", prefix, model);
}

int gemini_model_get(struct engine *e, const char *model, struct canceller *c,
	unsigned *ret_methods, struct provider_error *err)
{
	_cleanup_free_ char *path = calls_model_path(model);
	struct http_reply reply;
	int r;

	*err = (struct provider_error){.retry = -1};
	if (!path)
		return calls_invalid(err, "not the name of a model");
	r = call_page(e, path, NULL, &metadata, c, &reply, err);
	if (r < 0)
		return r;
	r = gemini_model_parse(reply.body, reply.body_len, ret_methods);
	http_reply_clear(&reply);
	return r < 0 ? calls_broken(err, r) : 0;
}

/* ---- jobs  ---- */

int gemini_list(struct engine *e, const char *token, struct canceller *c,
	struct remote_page *ret, struct provider_error *err)
{
	struct http_reply reply;
	int r;

	*err = (struct provider_error){.retry = -1};
	r = call_page(e, "/v1beta/batches?pageSize=100", token,
		token ? &metadata : &once, c, &reply, err);
	if (r < 0)
		return r;
	r = gemini_page_parse(reply.body, reply.body_len, token, ret);
	http_reply_clear(&reply);
	return r < 0 ? calls_broken(err, r) : 0;
}

/* The reply on its way through the filter; restarted for every try. */
struct fetch {
	const char *id; /* that is asked for */
	struct inline_filter *filter;
	int out_fd;
	off_t start; /* of the lines in out_fd */
};

static int fetch_begin(void *arg)
{
	struct fetch *f = arg;
	bool lines = f->out_fd >= 0;

	/* The filter of the last try has written lines that are void now. */
	if (lines && f->filter &&
		(lseek(f->out_fd, f->start, SEEK_SET) < 0 ||
			ftruncate(f->out_fd, f->start) < 0))
		return -errno;
	inline_filter_free(f->filter);
	f->filter = inline_filter_new(lines ? inline_sink_fd : NULL, &f->out_fd);
	return f->filter ? 0 : -ENOMEM;
}

static int fetch_data(void *arg, const void *buf, size_t n)
{
	struct fetch *f = arg;

	return inline_filter_feed(f->filter, buf, n);
}

/* A reply about another job than was asked for is none. */
static int fetch_end(
	struct engine *e, struct fetch *f, struct remote_batch *ret, int64_t *ret_lines)
{
	struct remote_batch b;
	_cleanup_free_ char *text = NULL;
	size_t n;
	uint64_t lines;
	int r = inline_filter_finish(f->filter, &text, &n, &lines);

	if (r < 0)
		return r;
	engine_mask_key(e, text, n);
	r = gemini_batch_parse(text, n, &b);
	if (r < 0)
		return r;
	if (strcmp(b.id, f->id) != 0) {
		remote_batch_clear(&b);
		return -EPROTO;
	}
	*ret = b;
	if (ret_lines)
		*ret_lines = (int64_t)lines;
	return 0;
}

static void get_effort(bool lines, int tries, struct fetch *f, struct effort *how)
{
	*how = (struct effort){
		.tries = tries,
		.try_s = lines ? FETCH_TRY_S : GET_TRY_S,
		.total_s = lines ? 2 * FETCH_TRY_S : GET_TRY_S + 20,
		.begin = fetch_begin,
		.arg = f,
	};
}

static const char *const patient_headers[] = {"X-Server-Timeout: 600", NULL};

static int get_batch(struct engine *e, const char *id, int out_fd, int tries,
	struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
	struct provider_error *err)
{
	struct fetch f = {.id = id, .out_fd = out_fd};
	struct effort how;
	struct http_reply reply;
	struct http_request r;
	char path[PATH_SIZE];
	int result;

	*err = (struct provider_error){.retry = -1};
	if (!util_id_valid(id, "batches/"))
		return calls_invalid(err, "not the id of a job");
	snprintf(path, sizeof path, "/v1beta/%s", id);
	r = get_request(path);
	r.stall = GET_STALL_S;
	if (out_fd >= 0) {
		f.start = lseek(out_fd, 0, SEEK_CUR);
		r.headers = patient_headers;
		r.stall = FETCH_STALL_S;
	}
	r.on_data = fetch_data;
	r.arg = &f;
	get_effort(out_fd >= 0, tries, &f, &how);
	result = call_method(e, &r, &how, c, &reply, err);
	if (result == 0) {
		http_reply_clear(&reply);
		result = fetch_end(e, &f, ret, ret_lines);
		if (result < 0)
			calls_broken(err, result);
	}
	inline_filter_free(f.filter);
	return result < 0 ? err->err : 0;
}

int gemini_get(struct engine *e, const char *id, int out_fd, struct canceller *c,
	struct remote_batch *ret, int64_t *ret_lines, struct provider_error *err)
{
	return get_batch(e, id, out_fd, TRIES, c, ret, ret_lines, err);
}

int gemini_look(struct engine *e, const char *id, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err)
{
	return get_batch(e, id, -1, 1, c, ret, NULL, err);
}

/* ---- verbs  ---- */

/* Done is what the API itself has answered: nothing, {}, or the thing itself. A proxy's
 * page or JSON of its own is no proof that a job was cancelled. */
static int check_done(const struct http_reply *reply, struct provider_error *err)
{
	json_t *root =
		reply->body_len ? gemini_json(reply->body, reply->body_len) : NULL;
	bool named = gemini_field(root, "name") || gemini_field(root, "@type");
	bool done = json_is_object(root) && !json_object_get(root, "error") &&
		    (named || json_object_size(root) == 0);
	int ret = reply->body_len && !done ? calls_broken(err, -EPROTO) : 0;

	json_decref(root);
	return ret;
}

/* A call whose reply tells nothing more. */
static int act_on(struct engine *e, enum http_method method, const char *id,
	const char *prefix, const char *suffix, struct canceller *c,
	struct provider_error *err)
{
	bool post = method == HTTP_POST;
	char path[PATH_SIZE];
	struct http_request r = {
		.method = method,
		.path = path,
		.headers = post ? calls_json_headers : NULL,
		.body = post ? "{}" : NULL,
		.body_len = post ? 2 : 0,
		.body_fd = -1,
	};
	struct http_reply reply;

	*err = (struct provider_error){.retry = -1};
	if (!util_id_valid(id, prefix))
		return calls_invalid(err, "not an id");
	snprintf(path, sizeof path, "/v1beta/%s%s", id, suffix);
	if (call_method(e, &r, &metadata, c, &reply, err) < 0)
		return err->err;
	int ret = check_done(&reply, err);
	http_reply_clear(&reply);
	return ret;
}

/* A file that is gone already is deleted. */
static int gone_is_done(struct provider_error *err)
{
	if (err->err == -ENOENT)
		provider_error_clear(err);
	return err->err;
}

int gemini_cancel(struct engine *e, const char *id, struct canceller *c,
	struct provider_error *err)
{
	return act_on(e, HTTP_POST, id, "batches/", ":cancel", c, err);
}

int gemini_delete(struct engine *e, const char *id, struct canceller *c,
	struct provider_error *err)
{
	return act_on(e, HTTP_DELETE, id, "batches/", "", c, err);
}

int gemini_file_delete(struct engine *e, const char *file, struct canceller *c,
	struct provider_error *err)
{
	act_on(e, HTTP_DELETE, file, "files/", "", c, err);
	return gone_is_done(err);
}

/* ---- files  ---- */

int gemini_file_get(struct engine *e, const char *file, struct canceller *c,
	struct remote_file *ret, struct provider_error *err)
{
	struct http_request r;
	struct http_reply reply;
	char path[PATH_SIZE];
	int parsed;

	*err = (struct provider_error){.retry = -1};
	if (!util_id_valid(file, "files/"))
		return calls_invalid(err, "not the id of a file");
	snprintf(path, sizeof path, "/v1beta/%s", file);
	r = get_request(path);
	r.deadline = TRY_S;
	if (calls_one_try(e, &r, c, &reply, err) < 0) {
		http_reply_clear(&reply);
		return err->err;
	}
	parsed = gemini_file_parse(reply.body, reply.body_len, ret);
	http_reply_clear(&reply);
	return parsed < 0 ? calls_broken(err, parsed) : 0;
}

static int files_page(struct engine *e, struct canceller *c, char **token,
	int64_t *ret_bytes, struct provider_error *err)
{
	struct http_reply reply;
	char *next = NULL;
	int r = call_page(
		e, "/v1beta/files?pageSize=100", *token, &metadata, c, &reply, err);

	if (r < 0)
		return r;
	r = gemini_files_parse(reply.body, reply.body_len, *token, ret_bytes, &next);
	http_reply_clear(&reply);
	if (r < 0)
		return calls_broken(err, r);
	free(*token);
	*token = next;
	return 0;
}

int gemini_files_used(struct engine *e, struct canceller *c, int64_t *ret,
	bool *ret_whole, struct provider_error *err)
{
	_cleanup_free_ char *token = NULL;
	int64_t sum = 0;

	*err = (struct provider_error){.retry = -1};
	for (int i = 0; i < FILE_PAGES && (i == 0 || token); i++) {
		int64_t page = 0;
		int r = files_page(e, c, &token, &page, err);

		if (r < 0)
			return r;
		sum = page > INT64_MAX - sum ? INT64_MAX : sum + page;
	}
	*ret = sum;
	*ret_whole = !token;
	return 0;
}

int gemini_download_request(const char *file, bool other, char *path, size_t path_size,
	const char *range, struct http_request *r)
{
	int n;

	if (!util_id_valid(file, "files/"))
		return -EINVAL;
	n = snprintf(path, path_size, "%s/v1beta/%s:download?alt=media",
		other ? "" : "/download", file);
	if (n < 0 || (size_t)n >= path_size)
		return -ENAMETOOLONG;
	*r = get_request(path);
	r->accept_range = range;
	return 0;
}
