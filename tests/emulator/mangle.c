#include "mangle.h"

static void fill_noise(struct buf *b, size_t n)
{
	while (n--) {
		char c = random_below(256);

		buf_add(b, &c, 1);
	}
}

static void huge_json(struct buf *b, int64_t bytes)
{
	static const char unit[] = "0123456789abcdef0123456789abcdef";

	buf_puts(b, "{\"name\":\"");
	while (bytes > 0) {
		buf_add(b, unit, sizeof(unit) - 1);
		bytes -= sizeof(unit) - 1;
	}
	buf_puts(b, "\"}");
}

static void wide_json(struct buf *b, int64_t bytes, const char *unit)
{
	buf_puts(b, "{\"operations\":[");
	for (size_t n = strlen(unit) + 1; bytes > 0; bytes -= (int64_t)n) {
		buf_puts(b, unit);
		buf_puts(b, ",");
	}
	buf_puts(b, unit);
	buf_puts(b, "]}");
}

static void deep_json(struct buf *b, int64_t depth)
{
	buf_puts(b, "{\"metadata\":");
	for (int64_t i = 0; i < depth; i++)
		buf_puts(b, "[");
	for (int64_t i = 0; i < depth; i++)
		buf_puts(b, "]");
	buf_puts(b, "}");
}

static void error_status(struct request *rq, const struct fault *f)
{
	int status = f->status ? f->status : 503;

	if (f->text && strchr("{[<", *f->text))
		reply_text(rq, status, "application/json; charset=UTF-8", f->text);
	else if (!f->text && status == 429)
		reply_quota(rq);
	else if (f->text)
		reply_error(rq, status, NULL, "%s", f->text);
	else
		reply_error(rq, status, NULL,
			status == 503
				? "The model is overloaded. Please try again later."
				: "An internal error has occurred. Please retry or "
				  "report in "
				  "https://developers.generativeai.google/guide/"
				  "troubleshooting");
}

static void raw(struct request *rq, const struct fault *f, const char *text)
{
	reply_text(rq, f->status ? f->status : 200, "application/json; charset=UTF-8",
		text);
}

void mangle_instead(struct request *rq)
{
	struct fault *f = &rq->fault;

	reply_reset(rq);
	switch (f->kind) {
	case FAULT_STATUS:
		error_status(rq, f);
		break;
	case FAULT_HTML:
		reply_html(rq, f->status ? f->status : 502);
		break;
	case FAULT_REDIRECT:
		reply_text(rq, f->status ? f->status : 302, "text/html", "");
		reply_header(rq, "Location", f->location ? f->location : "/");
		break;
	case FAULT_HUGEJSON:
		raw(rq, f, "");
		huge_json(&rq->reply.text, f->bytes ? f->bytes : 64 << 20);
		break;
	case FAULT_WIDEJSON:
		raw(rq, f, "");
		wide_json(&rq->reply.text, f->bytes ? f->bytes : 4 << 20,
			f->text ? f->text : "{}");
		break;
	case FAULT_DEEPJSON:
		raw(rq, f, "");
		deep_json(&rq->reply.text, f->bytes ? f->bytes : 100000);
		break;
	default:
		raw(rq, f, f->text ? f->text : "");
		if (!f->text)
			fill_noise(&rq->reply.text, f->bytes ? f->bytes : 1000);
	}
}

static json_t *other_type(json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return json_integer(42);
	case JSON_INTEGER:
	case JSON_REAL:
		return json_pack("[s]", "x");
	case JSON_ARRAY:
		return json_pack("{ss}", "was", "array");
	default:
		return json_string("neither");
	}
}

static void wrong_types(json_t *obj)
{
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(obj, next, name, v)
	{
		if (json_is_object(v))
			wrong_types(v);
		else
			json_object_set_new(obj, name, other_type(v));
	}
}

static void extra_header(struct request *rq)
{
	_cleanup_free_ char *copy = xstrdup(rq->fault.text ? rq->fault.text : "X: y");
	char *value = strchr(copy, ':');

	if (!value)
		return;
	*value++ = '\0';
	reply_header(rq, copy, value + strspn(value, " "));
}

void mangle_json(struct request *rq)
{
	if (rq->fault.kind == FAULT_WRONGTYPES && json_is_object(rq->reply.json))
		wrong_types(rq->reply.json);
	if (rq->fault.kind == FAULT_HEADER)
		extra_header(rq);
}

void mangle_bytes(struct request *rq)
{
	struct reply *r = &rq->reply;
	int64_t at = rq->fault.at;

	if (rq->fault.kind != FAULT_TRUNCATE)
		return;
	if (at < 0)
		at = (r->is_file ? r->len : (int64_t)r->text.len) / 2;
	if (r->is_file && r->len > at)
		r->len = at;
	else if (!r->is_file)
		buf_cut(&r->text, at);
}
