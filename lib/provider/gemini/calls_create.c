/* The one call that is sent at most once: the create, and the body of it. */
#include "provider/gemini/calls_private.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "provider/gemini/calls.h"
#include "provider/gemini/parse.h"

#define CREATE_S 900.0

static char *create_path(const struct create_args *a)
{
	_cleanup_free_ char *model = calls_model_path(a->model);

	return model ? util_format("%s:%s", model,
			       gemini_method_name(
				       a->embedding ? BATCH_EMBED : BATCH_GENERATE))
		     : NULL;
}

/* text as JSON; NULL: it is no text, or no memory. */
static char *json_quoted(const char *text)
{
	json_t *s = json_string(text);
	char *quoted = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;

	json_decref(s);
	return quoted;
}

/* Members that come before inputConfig, each with its comma; NULL as json_quoted. */
static char *create_members(const struct create_args *a)
{
	bool named = a->display && *a->display;
	_cleanup_free_ char *name = json_quoted(named ? a->display : "");
	_cleanup_free_ char *hook = json_quoted(a->webhook ? a->webhook : "");

	if (!name || !hook)
		return NULL;
	return util_format("%s%s%s%s%s%s", named ? "\"displayName\":" : "",
		named ? name : "", named ? "," : "",
		a->webhook ? "\"webhookConfig\":{\"uris\":[" : "",
		a->webhook ? hook : "", a->webhook ? "]}," : "");
}

static char *inline_body(
	const char *members, const char *requests, size_t n, size_t *ret_len)
{
	static const char close[] = "]}}}}";
	char *head = util_format(
		"{\"batch\":{%s\"inputConfig\":{\"requests\":{\"requests\":[", members);
	size_t len = head ? strlen(head) : 0;
	char *body = head ? realloc(head, len + n + sizeof close) : NULL;

	if (!body) {
		free(head);
		return NULL;
	}
	memcpy(body + len, requests, n);
	memcpy(body + len + n, close, sizeof close);
	*ret_len = len + n + sizeof close - 1;
	return body;
}

static char *file_body(const char *members, const char *file, size_t *ret_len)
{
	char *body = util_format(
		"{\"batch\":{%s\"inputConfig\":{\"fileName\":\"%s\"}}}", members, file);

	*ret_len = body ? strlen(body) : 0;
	return body;
}

static int send_create(struct engine *e, const char *path, const char *body, size_t len,
	struct canceller *c, struct remote_batch *ret, struct provider_error *err)
{
	struct http_request r = {
		.method = HTTP_POST,
		.path = path,
		.headers = calls_json_headers,
		.body = body,
		.body_len = len,
		.body_fd = -1,
		.once = true,
		.deadline = CREATE_S,
		.stall = CREATE_S,
	};
	struct http_reply reply;
	int parsed;

	if (calls_one_try(e, &r, c, &reply, err) < 0) {
		http_reply_clear(&reply);
		if (err->err == -EPROTO)
			return calls_broken(err, -EPROTO);
		/* Whichever of the two is gone, model or file, the request is at
		 * fault. */
		if (err->status == 404)
			err->err = -EINVAL;
		return err->err;
	}
	parsed = gemini_batch_parse(reply.body, reply.body_len, ret);
	http_reply_clear(&reply);
	return parsed < 0 ? calls_broken(err, parsed) : 0;
}

int gemini_create(struct engine *e, const struct create_args *a, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err)
{
	_cleanup_free_ char *path = create_path(a);
	_cleanup_free_ char *members = create_members(a), *body = NULL;
	size_t len = 0;

	*err = (struct provider_error){.retry = -1};
	if (!path)
		return calls_invalid(err, "not the name of a model");
	if (!members)
		return calls_invalid(err, "the display name is not UTF-8");
	if (a->input_file && !util_id_valid(a->input_file, "files/"))
		return calls_invalid(err, "not the id of a file");
	if (a->input_file)
		body = file_body(members, a->input_file, &len);
	else
		body = inline_body(members, a->inline_requests, a->inline_len, &len);
	if (!body)
		return err->err = -ENOMEM;
	return send_create(e, path, body, len, c, ret, err);
}
