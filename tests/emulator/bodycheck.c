#include "bodycheck.h"
#include "jcheck.h"

#define MAX_VIOLATIONS 25

struct report {
	struct buf text;
	json_t *violations;
};

static void violation(struct report *r, const char *field, const char *description)
{
	if (json_array_size(r->violations) >= MAX_VIOLATIONS)
		return;
	if (r->text.len)
		buf_puts(&r->text, "\n");
	buf_puts(&r->text, description);
	json_array_append_new(
		r->violations, json_pack("{ss* ss*}", "field", *field ? field : NULL,
				       "description", description));
}

static bool unknown(struct jcheck *c, const char *name, size_t len)
{
	_cleanup_free_ char *text = NULL;
	struct buf path = {0};

	jcheck_path(c, &path);
	text = xasprintf("Invalid JSON payload received. Unknown name \"%.*s\"%s%s%s: "
			 "Cannot find field.",
		(int)len, name, path.len ? " at '" : "", path.len ? path.p : "",
		path.len ? "'" : "");
	violation(c->cls, path.len ? path.p : "", text);
	buf_free(&path);
	return true;
}

static const char *type_name(const struct field *f)
{
	static const char *const names[] = {[TYPE_ANY] = "TYPE_MESSAGE",
		[TYPE_STRING] = "TYPE_STRING",
		[TYPE_ENUM] = "TYPE_ENUM",
		[TYPE_NUMBER] = "TYPE_DOUBLE",
		[TYPE_BOOL] = "TYPE_BOOL",
		[TYPE_STRUCT] = "TYPE_MESSAGE",
		[TYPE_MESSAGE] = "TYPE_MESSAGE"};

	return names[f->type];
}

static void stopped(struct jcheck *c, struct report *r)
{
	_cleanup_free_ char *text = NULL;
	struct buf path = {0};
	int left = c->end - c->fault_at;

	jcheck_path(c, &path);
	if (c->fault_field)
		text = xasprintf("Invalid value at '%s' (%s), %.*s",
			path.len ? path.p : "", type_name(c->fault_field),
			left < 40 ? left : 40, c->fault_at);
	else
		text = xasprintf("Invalid JSON payload received. %s\n%.*s\n^", c->fault,
			left < 40 ? left : 40, c->fault_at);
	violation(r, path.len ? path.p : "", text);
	buf_free(&path);
}

json_t *body_checked(struct request *rq, const struct message *m)
{
	struct report r = {.violations = json_array()};
	struct jcheck c = {.lenient_lists = true, .unknown = unknown, .cls = &r};
	json_t *body = req_json(rq);

	if (!body || !rq->body.len)
		goto out;
	c.start = rq->body.p;
	c.end = rq->body.p + rq->body.len;
	if (jcheck_run(&c, m) < 0)
		stopped(&c, &r);
	if (!r.text.len)
		goto out;
	json_decref(body);
	body = NULL;
	reply_error_details(rq, 400, NULL, r.text.p,
		json_pack("[{ss sO}]", "@type",
			"type.googleapis.com/google.rpc.BadRequest", "fieldViolations",
			r.violations));
out:
	json_decref(r.violations);
	buf_free(&r.text);
	return body;
}
