#include "sense.h"
#include "prompt.h"

#include <stdarg.h>
#include <strings.h>

#define SCHEMA_DEPTH 100

struct sense {
	struct buf faults;
	struct buf path; /* of the schema looked at */
};

static void fault(struct sense *s, const char *member, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fault(struct sense *s, const char *member, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	buf_printf(&s->faults, "* GenerateContentRequest.%s.%s: %s\n", s->path.p, member,
		what);
}

/* ---- schemas --------------------------------------------------------------------- */

static void check_schema(struct sense *s, json_t *schema, int depth);

static bool is_type(json_t *schema, const char *name)
{
	const char *type = jstr(schema, "type");

	return type && !strcasecmp(type, name);
}

/* A schema inside, with its place in the path meanwhile. */
static void check_inner(struct sense *s, const char *place, json_t *schema, int depth)
{
	size_t len = s->path.len;

	buf_printf(&s->path, ".%s", place);
	check_schema(s, schema, depth + 1);
	buf_cut(&s->path, len);
}

static void check_format(struct sense *s, json_t *schema)
{
	static const struct {
		const char *type, *formats[2];
	} known[] = {{"STRING", {"enum", "date-time"}}, {"INTEGER", {"int32", "int64"}},
		{"NUMBER", {"float", "double"}}};
	const char *format = jstr(schema, "format");

	for (size_t i = 0; format && *format && i < ARRAY_LEN(known); i++)
		if (is_type(schema, known[i].type) &&
			strcmp(format, known[i].formats[0]) &&
			strcmp(format, known[i].formats[1]))
			fault(s, "format", "only '%s' and '%s' are supported for %s type",
				known[i].formats[0], known[i].formats[1], known[i].type);
}

static void check_enum(struct sense *s, json_t *schema)
{
	json_t *list = jget(schema, "enum"), *one;
	const char *format = jstr(schema, "format");
	char member[32];
	size_t i;

	if (json_array_size(list) && !is_type(schema, "STRING"))
		fault(s, "enum", "only allowed for STRING type");
	if (!json_array_size(list) && format && !strcmp(format, "enum"))
		fault(s, "enum", "should be non-empty for STRING type with enum format");
	json_array_foreach(list, i, one)
	{
		snprintf(member, sizeof(member), "enum[%zu]", i);
		if (json_is_string(one) && !json_string_length(one))
			fault(s, member, "cannot be empty");
	}
}

static void check_names(struct sense *s, json_t *schema, const char *camel, const char *snake)
{
	json_t *list = jget(schema, camel), *properties = jget(schema, "properties"), *one;
	char member[48];
	size_t i;

	json_array_foreach(list, i, one)
	{
		snprintf(member, sizeof(member), "%s[%zu]", snake, i);
		if (!json_is_string(one) ||
			!json_object_get(properties, json_string_value(one)))
			fault(s, member, "property is not defined");
	}
}

static void check_object(struct sense *s, json_t *schema, int depth)
{
	json_t *properties = jget(schema, "properties"), *one;
	const char *name;

	if (!is_type(schema, "OBJECT")) {
		if (json_object_size(properties))
			fault(s, "properties", "only allowed for OBJECT type");
		if (json_array_size(jget(schema, "required")))
			fault(s, "required", "only allowed for OBJECT type");
		return;
	}
	if (!json_object_size(properties))
		fault(s, "properties", "should be non-empty for OBJECT type");
	check_names(s, schema, "required", "required");
	check_names(s, schema, "propertyOrdering", "property_ordering");
	json_object_foreach(properties, name, one)
	{
		_cleanup_free_ char *place = xasprintf("properties[%s]", name);

		check_inner(s, place, one, depth);
	}
}

static void check_array(struct sense *s, json_t *schema, int depth)
{
	json_t *items = jget(schema, "items");

	if (is_type(schema, "ARRAY") && !items)
		fault(s, "items", "missing field.");
	else if (!is_type(schema, "ARRAY") && items)
		fault(s, "items", "only allowed for ARRAY type");
	if (items)
		check_inner(s, "items", items, depth);
}

static void check_schema(struct sense *s, json_t *schema, int depth)
{
	json_t *any = jget(schema, "anyOf"), *one;
	char place[32];
	size_t i;

	if (!json_is_object(schema) || depth > SCHEMA_DEPTH)
		return;
	if (!jstr(schema, "type") && !json_array_size(any))
		fault(s, "type",
			"must be specified when not using one_of, any_of or all_of fields");
	check_format(s, schema);
	check_enum(s, schema);
	check_object(s, schema, depth);
	check_array(s, schema, depth);
	json_array_foreach(any, i, one)
	{
		snprintf(place, sizeof(place), "any_of[%zu]", i);
		check_inner(s, place, one, depth);
	}
}

static void check_config(struct sense *s, json_t *request)
{
	json_t *config = jget(request, "generationConfig");
	json_t *schema = jget(config, "responseSchema");

	if (!schema)
		return;
	buf_puts(&s->path, "generation_config.response_schema");
	check_schema(s, schema, 0);
	buf_cut(&s->path, 0);
}

/* ---- contents ---------------------------------------------------------------------- */

static void check_roles(struct sense *s, json_t *contents)
{
	static const char *const roles[] = {"", "user", "model", "function"};
	json_t *one;
	size_t i;

	json_array_foreach(contents, i, one)
	{
		const char *role = jstr(one, "role");
		bool known = !role;

		for (size_t k = 0; !known && k < ARRAY_LEN(roles); k++)
			known = !strcmp(role, roles[k]);
		if (!known) {
			buf_puts(&s->faults, "Please use a valid role: user, model.");
			return;
		}
	}
}

char *sense_fault(json_t *request, bool embed)
{
	const char *why = prompt_fault(request, embed);
	struct sense s = {0};

	if (why)
		return xstrdup(why);
	if (!embed) {
		check_roles(&s, jget(request, "contents"));
		check_config(&s, request);
	}
	buf_free(&s.path);
	return s.faults.p;
}
