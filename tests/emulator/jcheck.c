#include "jcheck.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>

static int value(struct jcheck *c, const struct field *f);

static int fail(struct jcheck *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(struct jcheck *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->fault, sizeof(c->fault), fmt, ap);
	va_end(ap);
	c->fault_at = c->p;
	return -EINVAL;
}

static int unexpected(struct jcheck *c, const char *expected)
{
	if (c->p >= c->end)
		return fail(c, "unexpected end of line; expected %s", expected);
	return fail(c, "unexpected character: '%c'; expected %s", *c->p, expected);
}

static int wrong_type(struct jcheck *c, const struct field *f, const char *expected)
{
	c->fault_field = f;
	return unexpected(c, expected);
}

static void space(struct jcheck *c)
{
	while (c->p < c->end &&
		(*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
		c->p++;
}

static bool at(const struct jcheck *c, char ch)
{
	return c->p < c->end && *c->p == ch;
}

static int literal(struct jcheck *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n))
		return unexpected(c, "a value");
	c->p += n;
	return 0;
}

/* Length of the well-formed UTF-8 sequence at p, 0 if there is none. */
static int utf8(const unsigned char *p, const unsigned char *end)
{
	int n = *p >= 0xf0 && *p <= 0xf4 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc2 ? 2 : 0;

	if (!n || *p > 0xf4 || end - p < n)
		return 0;
	for (int i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
		(*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static int escape(struct jcheck *c)
{
	c->p++;
	if (c->p >= c->end || !strchr("\"\\/bfnrtu", *c->p))
		return unexpected(c, "an escape");
	if (*c->p++ != 'u')
		return 0;
	for (int i = 0; i < 4; i++, c->p++)
		if (c->p >= c->end || !isxdigit((unsigned char)*c->p))
			return unexpected(c, "four hex digits");
	return 0;
}

static int string(struct jcheck *c, const char **ret_text, size_t *ret_len)
{
	const char *start = ++c->p;

	while (c->p < c->end && *c->p != '"') {
		unsigned char ch = *c->p;
		int n = 1;

		if (ch == '\\') {
			if (escape(c) < 0)
				return -EINVAL;
			continue;
		}
		if (ch < 0x20)
			return fail(c, "control character in string");
		if (ch >= 0x80)
			n = utf8((const unsigned char *)c->p,
				(const unsigned char *)c->end);
		if (!n)
			return fail(c, "invalid UTF-8");
		c->p += n;
	}
	if (c->p >= c->end)
		return unexpected(c, "'\"'");
	*ret_text = start;
	*ret_len = c->p++ - start;
	return 0;
}

static void digits(struct jcheck *c)
{
	while (c->p < c->end && isdigit((unsigned char)*c->p))
		c->p++;
}

static int number(struct jcheck *c)
{
	if (at(c, '-'))
		c->p++;
	if (c->p >= c->end || !isdigit((unsigned char)*c->p))
		return unexpected(c, "a value");
	digits(c);
	if (at(c, '.')) {
		c->p++;
		digits(c);
	}
	if (at(c, 'e') || at(c, 'E')) {
		c->p++;
		if (at(c, '+') || at(c, '-'))
			c->p++;
		digits(c);
	}
	return 0;
}

static const struct field *find(
	const struct jcheck *c, const struct message *m, const char *name, size_t len)
{
	for (const struct field *f = m->fields; f->name; f++) {
		bool exact = strlen(f->name) == len && !memcmp(f->name, name, len);
		bool has_upper = strpbrk(f->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;

		if (!exact && !name_is(name, len, f->name))
			continue;
		if (has_upper && ((c->field_case == 1 && !exact) ||
					 (c->field_case == 2 && exact)))
			return NULL;
		return f;
	}
	return NULL;
}

static int member(struct jcheck *c, const struct message *m)
{
	static const struct field any = {.name = "", .type = TYPE_ANY};
	const struct field *f = &any;
	const char *name, *key_at = c->p;
	size_t len;
	int r;

	if (!at(c, '"'))
		return unexpected(c, "'\"'");
	if (string(c, &name, &len) < 0)
		return -EINVAL;
	if (m) {
		f = m->map ? m->map : find(c, m, name, len);
		if (!f && c->unknown && c->unknown(c, name, len))
			f = &any;
	}
	if (!f) {
		c->p = key_at;
		return fail(c, "no such field: '%.*s'", len < 80 ? (int)len : 80, name);
	}
	if (c->depth == 1 && c->outer)
		c->outer(c, f, key_at);
	space(c);
	if (!at(c, ':'))
		return unexpected(c, "':'");
	c->p++;
	c->path[c->depth].name = name;
	c->path[c->depth].len = len;
	c->path[c->depth].index = -1;
	c->depth++;
	r = value(c, f);
	c->depth--;
	return r;
}

/* An object; m is NULL when anything goes. */
static int object(struct jcheck *c, const struct message *m)
{
	c->p++;
	space(c);
	while (!at(c, '}')) {
		if (member(c, m) < 0)
			return -EINVAL;
		space(c);
		if (at(c, '}'))
			break;
		if (!at(c, ','))
			return unexpected(c, "',' or '}'");
		c->p++;
		space(c);
	}
	c->p++;
	return 0;
}

static int list(struct jcheck *c, const struct field *element)
{
	int i = 0;

	c->p++;
	space(c);
	while (!at(c, ']')) {
		c->path[c->depth - 1].index = i++;
		if (value(c, element) < 0)
			return -EINVAL;
		space(c);
		if (at(c, ']'))
			break;
		if (!at(c, ','))
			return unexpected(c, "',' or ']'");
		c->p++;
		space(c);
	}
	c->p++;
	c->path[c->depth - 1].index = -1;
	return 0;
}

static int any(struct jcheck *c)
{
	static const struct field element = {.name = "", .type = TYPE_ANY};
	const char *s;
	size_t n;

	if (c->p >= c->end)
		return unexpected(c, "a value");
	switch (*c->p) {
	case '{':
		return object(c, NULL);
	case '[':
		return list(c, &element);
	case '"':
		return string(c, &s, &n);
	case 't':
		return literal(c, "true");
	case 'f':
		return literal(c, "false");
	case 'n':
		return literal(c, "null");
	default:
		return number(c);
	}
}

static int numeric(struct jcheck *c, const struct field *f)
{
	const char *s, *start = c->p;
	size_t n;

	if (!at(c, '"')) {
		if (c->p < c->end && (isdigit((unsigned char)*c->p) || *c->p == '-'))
			return number(c);
		return wrong_type(c, f, "a number");
	}
	if (string(c, &s, &n) < 0)
		return -EINVAL;
	if (n && strspn(s, "+-.0123456789eE") >= n)
		return 0;
	c->p = start;
	return wrong_type(c, f, "a number");
}

static int text(struct jcheck *c, const struct field *f)
{
	const char *s;
	size_t n;

	if (at(c, '"')) {
		if (string(c, &s, &n) < 0)
			return -EINVAL;
		if (c->seen)
			c->seen(c, f, s, n);
		return 0;
	}
	if (f->type == TYPE_ENUM && c->p < c->end && isdigit((unsigned char)*c->p))
		return number(c);
	return wrong_type(c, f, "'\"'");
}

static int single(struct jcheck *c, const struct field *f)
{
	switch (f->type) {
	case TYPE_ANY:
		return any(c);
	case TYPE_STRING:
	case TYPE_ENUM:
		return text(c, f);
	case TYPE_NUMBER:
		return numeric(c, f);
	case TYPE_BOOL:
		if (at(c, 't') || at(c, 'f'))
			return any(c);
		return wrong_type(c, f, "'true' or 'false'");
	case TYPE_STRUCT:
	case TYPE_MESSAGE:
		break;
	}
	if (!at(c, '{'))
		return wrong_type(c, f, "'{'");
	if (c->seen)
		c->seen(c, f, NULL, 0);
	return object(c, f->type == TYPE_STRUCT ? NULL : f->message);
}

static int value_inside(struct jcheck *c, const struct field *f)
{
	struct field element = *f;

	space(c);
	if (f->type != TYPE_ANY && at(c, 'n'))
		return literal(c, "null");
	if (!f->repeated)
		return single(c, f);
	element.repeated = false;
	if (at(c, '['))
		return list(c, &element);
	if (c->lenient_lists)
		return single(c, &element);
	return wrong_type(c, f, "'['");
}

static int value(struct jcheck *c, const struct field *f)
{
	int r;

	if (c->depth >= JCHECK_DEPTH || c->nesting >= JCHECK_DEPTH)
		return fail(c, "message too deep");
	c->nesting++;
	r = value_inside(c, f);
	c->nesting--;
	return r;
}

int jcheck_run(struct jcheck *c, const struct message *m)
{
	const struct field root = {.name = "", .type = TYPE_MESSAGE, .message = m};

	c->p = c->start;
	c->depth = 1;
	c->nesting = 0;
	c->path[0].name = "";
	c->path[0].len = 0;
	c->path[0].index = -1;
	c->fault_at = NULL;
	c->fault_field = NULL;
	space(c);
	if (!at(c, '{'))
		return wrong_type(c, &root, "'{'");
	if (object(c, m) < 0)
		return -EINVAL;
	space(c);
	return c->p < c->end ? unexpected(c, "end of line") : 0;
}

/* Members are named in snake_case there, however they were spelled. */
static void add_snake(struct buf *out, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char ch = tolower((unsigned char)name[i]);

		if (isupper((unsigned char)name[i]))
			buf_puts(out, "_");
		buf_add(out, &ch, 1);
	}
}

void jcheck_path(const struct jcheck *c, struct buf *out)
{
	for (int i = 1; i < c->depth; i++) {
		if (out->len)
			buf_puts(out, ".");
		add_snake(out, c->path[i].name, c->path[i].len);
		if (c->path[i].index >= 0)
			buf_printf(out, "[%d]", c->path[i].index);
	}
}
