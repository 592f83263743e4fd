#include "provider/gemini/json_schema_values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

enum {
	STRING = 1,
	NUMBER = 2,
	INTEGER = 4,
	BOOLEAN = 8,
	ARRAY = 16,
	OBJECT = 32,
	ANY = 63,
};

static const struct {
	const char *name;
	unsigned type;
	const char *formats[2];
} types[] = {
	{"STRING", STRING, {"enum", "date-time"}},
	{"NUMBER", NUMBER, {"float", "double"}},
	{"INTEGER", INTEGER, {"int32", "int64"}},
	{"BOOLEAN", BOOLEAN, {0}},
	{"ARRAY", ARRAY, {0}},
	{"OBJECT", OBJECT, {0}},
};

enum kind { IS_OTHER, IS_COUNT, IS_NUMBER };

/* What says something of values of some types only. */
static const struct typed {
	const char *name;
	unsigned types;
	const char *infers; /* the type where none is given */
	enum kind kind;
} typed[] = {
	{"properties", OBJECT, "OBJECT", IS_OTHER},
	{"required", OBJECT, "OBJECT", IS_OTHER},
	{"propertyOrdering", OBJECT, "OBJECT", IS_OTHER},
	{"minProperties", OBJECT, "OBJECT", IS_COUNT},
	{"maxProperties", OBJECT, "OBJECT", IS_COUNT},
	{"items", ARRAY, "ARRAY", IS_OTHER},
	{"minItems", ARRAY, "ARRAY", IS_COUNT},
	{"maxItems", ARRAY, "ARRAY", IS_COUNT},
	{"minLength", STRING, "STRING", IS_COUNT},
	{"maxLength", STRING, "STRING", IS_COUNT},
	{"pattern", STRING, "STRING", IS_OTHER},
	{"minimum", NUMBER | INTEGER, "NUMBER", IS_NUMBER},
	{"maximum", NUMBER | INTEGER, "NUMBER", IS_NUMBER},
};

static int values_fail(struct schema_fault *f, const char *member, const char *what)
{
	snprintf(f->member, sizeof f->member, "%s", member);
	f->what = what;
	return -EBADMSG;
}

static int fail_at(
	struct schema_fault *f, const char *member, size_t i, const char *what)
{
	snprintf(f->member, sizeof f->member, "%s/%zu", member, i);
	f->what = what;
	return -EBADMSG;
}

static unsigned type_of(const json_t *out)
{
	const char *name = json_string_value(json_object_get(out, "type"));

	for (size_t i = 0; name && i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	return 0;
}

int json_schema_describe(json_t *out, const char *before, const char *text)
{
	const char *old = json_string_value(json_object_get(out, "description"));
	_cleanup_free_ char *all =
		old && *old ? util_format("%s (%s%s)", old, before, text)
			    : util_format("%s%s", before, text);

	if (!all)
		return -ENOMEM;
	return json_object_set_new(out, "description", json_string(all)) ? -ENOMEM : 0;
}

/* ---- types -------------------------------------------------------------------------- */

static int infer_type(json_t *out, struct schema_fault *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(typed); i++)
		if (json_object_get(out, typed[i].name))
			return json_object_set_new(out, "type",
				       json_string(typed[i].infers))
				       ? -ENOMEM
				       : 0;
	return values_fail(f, "", "it has no type, and the API requires one");
}

/* Of {"type": ["string", "integer"], "minLength": 1} the length is the string's. */
static int hand_down(json_t *out, struct schema_fault *f)
{
	json_t *list = json_object_get(out, "anyOf"), *one, *value;
	size_t i;

	if (json_object_get(out, "enum"))
		return values_fail(f, "enum",
			"the API supports it for strings only: write one type");
	for (size_t k = 0; k < ARRAY_SIZE(typed); k++) {
		value = json_object_get(out, typed[k].name);
		json_array_foreach(list, i, one)
			if (value && type_of(one) & typed[k].types &&
				json_object_set(one, typed[k].name, value))
				return -ENOMEM;
		json_object_del(out, typed[k].name);
	}
	json_array_foreach(list, i, one) {
		int err = json_schema_settle(one, false, f);

		if (err)
			return err;
	}
	return 0;
}

/* JSON Schema passes over them; the API does not. */
static void drop_others(json_t *out, unsigned type)
{
	for (size_t i = 0; i < ARRAY_SIZE(typed); i++)
		if (!(typed[i].types & type))
			json_object_del(out, typed[i].name);
}

/* ---- values -------------------------------------------------------------------------- */

static bool is_number(const json_t *value)
{
	const char *text = json_string_value(value);
	char *end;

	if (!text)
		return json_is_number(value);
	strtod(text, &end);
	return end != text && !*end;
}

static bool is_count(const json_t *value)
{
	const char *text = json_string_value(value);

	if (json_is_real(value))
		return json_real_value(value) >= 0 && json_real_value(value) < 1e15 &&
		       json_real_value(value) ==
			       (double)(int64_t)json_real_value(value);
	if (json_is_integer(value))
		return json_integer_value(value) >= 0;
	return text && *text && strlen(text) < 19 &&
	       strspn(text, "0123456789") == strlen(text);
}

static int check_numbers(const json_t *out, struct schema_fault *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(typed); i++) {
		const json_t *value = json_object_get(out, typed[i].name);

		if (value && typed[i].kind == IS_COUNT && !is_count(value))
			return values_fail(f, typed[i].name,
				"this must be a whole number, 0 or more");
		if (value && typed[i].kind == IS_NUMBER && !is_number(value))
			return values_fail(f, typed[i].name, "this must be a number");
	}
	return 0;
}

static int check_enum(const json_t *out, unsigned type, struct schema_fault *f)
{
	json_t *list = json_object_get(out, "enum"), *one;
	size_t i;

	if (!list)
		return 0;
	if (type != STRING)
		return values_fail(f, "enum", "the API supports it for strings only");
	if (!json_array_size(list))
		return values_fail(f, "enum", "there is nothing to choose from");
	json_array_foreach(list, i, one) if (!json_string_length(one)) return fail_at(
		f, "enum", i, "the API does not accept an empty string");
	return 0;
}

static bool knows_format(const char *format, unsigned type, const json_t *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		for (size_t k = 0; types[i].type == type && k < 2; k++)
			if (types[i].formats[k] && !strcmp(types[i].formats[k], format))
				return strcmp(format, "enum") ||
				       json_object_get(out, "enum");
	return false;
}

/* The model may still make something of the word. */
static int move_format(json_t *out, unsigned type)
{
	const char *format = json_string_value(json_object_get(out, "format"));
	int err = 0;

	if (!format || knows_format(format, type, out))
		return 0;
	if (*format && strcmp(format, "enum") != 0)
		err = json_schema_describe(out, "format: ", format);
	json_object_del(out, "format");
	return err;
}

/* ---- objects and lists ----------------------------------------------------------------- */

static int check_property_names(
	const json_t *out, const char *member, struct schema_fault *f)
{
	const json_t *properties = json_object_get(out, "properties");
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(out, member), i,
		one) if (!json_object_get(properties,
				 json_string_value(one))) return fail_at(f, member, i,
		"there is no property of this name");
	return 0;
}

/* Without it the API answers in the order of the alphabet. */
static int put_order(json_t *out)
{
	json_t *properties = json_object_get(out, "properties"), *value, *list;
	const char *name;

	if (json_object_get(out, "propertyOrdering") ||
		json_object_size(properties) < 2)
		return 0;
	list = json_array();
	json_object_foreach(properties, name, value)
		if (json_array_append_new(list, json_string(name))) {
			json_decref(list);
			return -ENOMEM;
		}
	return json_object_set_new(out, "propertyOrdering", list) ? -ENOMEM : 0;
}

static int settle_object(json_t *out, struct schema_fault *f)
{
	json_t *properties = json_object_get(out, "properties");
	int err;

	if (!json_object_size(properties))
		return values_fail(f, properties ? "properties" : "",
			"the API does not accept an object without properties: name "
			"them, or ask for a list of objects with a name and a value");
	err = check_property_names(out, "required", f);
	if (!err)
		err = check_property_names(out, "propertyOrdering", f);
	return err ? err : put_order(out);
}

int json_schema_settle(json_t *out, bool listed, struct schema_fault *f)
{
	bool choice = json_object_get(out, "anyOf");
	unsigned type;
	int err = 0;

	if (listed && choice && !json_object_get(out, "type"))
		err = hand_down(out, f);
	else if (!choice && !json_object_get(out, "type"))
		err = infer_type(out, f);
	if (err)
		return err;
	type = type_of(out);
	drop_others(out, type ? type : ANY);
	err = check_numbers(out, f);
	if (!err)
		err = check_enum(out, type, f);
	if (!err)
		err = move_format(out, type);
	if (!err && type == ARRAY && !json_object_get(out, "items"))
		err = values_fail(f, "",
			"the API does not accept a list without items: describe them");
	if (!err && type == OBJECT && !choice)
		err = settle_object(out, f);
	return err;
}
