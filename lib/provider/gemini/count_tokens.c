#include "provider/gemini/count_tokens.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/util.h"
#include "provider/gemini/calls_private.h"
#include "provider/gemini/parse.h"

/* A body of megabytes leaves through the same line as nineteen others. */
#define COUNT_TRY_S 120.0
#define COUNT_TOTAL_S 180.0

/* ---- a request as it is on the line ---------------------------------------------- */

/* countTokens wants the model inside the request too. The text of the line is sent as it
 * is, its "{" apart, which the body brings along. */
static char *plain_body(const char *model, const struct count_args *a, size_t *ret_len)
{
	_cleanup_free_ char *head = util_format(
		"{\"generateContentRequest\":{\"model\":\"%s\",", model);
	size_t n = head ? strlen(head) : 0, rest = a->request_len - 1;
	char *body = head ? malloc(n + rest + 2) : NULL;

	if (!body)
		return NULL;
	memcpy(body, head, n);
	memcpy(body + n, a->request + 1, rest);
	memcpy(body + n + rest, "}", 2);
	*ret_len = n + rest + 1;
	return body;
}

/* ---- one that must be taken apart ---------------------------------------------------- */

/* A list, or one element standing for it. */
static size_t elements(const json_t *v)
{
	return json_is_array(v) ? json_array_size(v) : json_is_object(v);
}

static json_t *element(json_t *v, size_t i)
{
	return json_is_array(v) ? json_array_get(v, i) : v;
}

static bool is_left_out(const struct count_args *a, const json_t *part)
{
	const char *uri = gemini_field_text(gemini_field(part, "fileData"), "fileUri");

	return uri && a->leave_out(a->arg, uri);
}

/* A content must have a part: the least that there can be takes the place of files that
 * stood alone. */
static void strip_content(const struct count_args *a, json_t *content)
{
	json_t *parts = gemini_field(content, "parts");

	for (size_t i = elements(parts); i-- > 0;) {
		json_t *part = element(parts, i);

		if (!is_left_out(a, part))
			continue;
		json_object_clear(part);
		json_object_set_new(part, "text", json_string("."));
		if (json_is_array(parts) && json_array_size(parts) > 1)
			json_array_remove(parts, i);
	}
}

static void strip_request(const struct count_args *a, json_t *request)
{
	json_t *contents = gemini_field(request, "contents");

	for (size_t i = 0; i < elements(contents); i++)
		strip_content(a, element(contents, i));
	strip_content(a, gemini_field(request, "content"));
	strip_content(a, gemini_field(request, "systemInstruction"));
}

/* Embedding models are asked about contents, the others about the whole request. */
static char *taken_body(const char *model, const struct count_args *a, size_t *ret_len)
{
	json_t *request = gemini_json(a->request, a->request_len), *root = NULL;
	char *body;

	if (request && a->leave_out)
		strip_request(a, request);
	if (request && a->embedding)
		root = json_pack("{s[O*]}", "contents", gemini_field(request, "content"));
	else if (request && !json_object_set_new(request, "model", json_string(model)))
		root = json_pack("{sO}", "generateContentRequest", request);
	body = root ? json_dumps(root, JSON_COMPACT) : NULL;
	*ret_len = body ? strlen(body) : 0;
	json_decref(root);
	json_decref(request);
	return body;
}

/* ---- a file alone ----------------------------------------------------------------------- */

static char *base64_text(const uint8_t *data, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((n + 2) / 3 * 4 + 1), *to = text;

	for (size_t i = 0; text && i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		uint32_t bits = (uint32_t)data[i] << 16;

		bits |= have > 1 ? (uint32_t)data[i + 1] << 8 : 0;
		bits |= have > 2 ? data[i + 2] : 0;
		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = have > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = have > 2 ? digits[bits & 63] : '=';
	}
	if (text)
		*to = '\0';
	return text;
}

static char *count_file_body(const struct count_args *a, size_t *ret_len)
{
	_cleanup_free_ char *data =
		a->data ? base64_text(a->data, a->data_len) : NULL;
	json_t *root = a->data ? json_pack("{s[{s[{s{ss? ss}}]}]}", "contents", "parts",
					 "inlineData", "mimeType", a->mime, "data", data)
			       : json_pack("{s[{s[{s{ss? ss}}]}]}", "contents", "parts",
					 "fileData", "mimeType", a->mime, "fileUri",
					 a->uri);
	char *body = root ? json_dumps(root, JSON_COMPACT) : NULL;

	*ret_len = body ? strlen(body) : 0;
	json_decref(root);
	return body;
}

/* ---- the call ---------------------------------------------------------------------------- */

static char *count_body(const char *model, const struct count_args *a, size_t *ret_len)
{
	if (!a->request)
		return count_file_body(a, ret_len);
	/* A name twice in one object would be refused. */
	bool named = memmem(a->request, a->request_len, "\"model\"", 7);
	char *body = a->embedding || a->leave_out || named
			     ? taken_body(model, a, ret_len)
			     : NULL;
	/* What is too costly to take apart, or needs not. */
	return body || a->embedding || a->leave_out ? body
						    : plain_body(model, a, ret_len);
}

static int take_count(struct http_reply *reply, int64_t *ret, struct provider_error *err)
{
	json_t *root = gemini_json(reply->body, reply->body_len);
	int64_t n = json_object_get(root, "error")
			    ? -1
			    : gemini_field_count(root, "totalTokens", -1);

	json_decref(root);
	http_reply_clear(reply);
	if (n < 0)
		return calls_broken(err, -EPROTO);
	*ret = n;
	return 0;
}

int gemini_count(struct engine *e, const struct count_args *a, struct canceller *c,
	int64_t *ret_tokens, struct provider_error *err)
{
	_cleanup_free_ char *base = calls_model_path(a->model), *body = NULL,
			    *path = NULL;
	const char *model = base ? base + strlen("/v1beta/") : NULL;
	struct http_request r = {.method = HTTP_POST,
		.headers = calls_json_headers,
		.body_fd = -1};
	struct http_reply reply;

	*err = (struct provider_error){.retry = -1};
	if (!base)
		return calls_invalid(err, "not the name of a model");
	body = count_body(model, a, &r.body_len);
	if (!body)
		return calls_invalid(err, "too long or too intricate to be counted");
	path = util_format("%s:countTokens", base);
	if (!path)
		return err->err = -ENOMEM;
	r.path = path;
	r.body = body;
	if (calls_ask(e, &r, COUNT_TRY_S, COUNT_TOTAL_S, c, &reply, err) < 0)
		return err->err;
	return take_count(&reply, ret_tokens, err);
}

/* ---- without asking ------------------------------------------------------------------- */

/* Documented: 258 tokens a tile of a picture and a page of a PDF, 32 a second of sound,
 * 263 of video, a token about four characters. How many bytes that is: ours. */
double gemini_guess_tokens(const char *mime, int64_t size)
{
	static const struct {
		const char *begins;
		double each, per_byte;
	} rates[] = {
		{"image/", 2580, 0},                /* ten tiles */
		{"audio/x-wav", 0, 32 / 176400.0},  /* as on a CD */
		{"audio/wav", 0, 32 / 176400.0},
		{"audio/", 0, 32 / 16000.0},        /* 128 kbit/s */
		{"video/", 0, 263 / 300000.0},      /* 2.4 Mbit/s */
		{"application/pdf", 0, 258 / 50000.0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		if (strncmp(mime, rates[i].begins, strlen(rates[i].begins)) == 0)
			return rates[i].each + rates[i].per_byte * (double)size;
	return (double)size / 4;
}
