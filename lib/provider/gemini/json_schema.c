#include "provider/gemini/json_schema.h"
#include "provider/gemini/json_schema_refs.h"
#include "provider/gemini/json_schema_values.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

enum {
	DEPTH_MAX = 64,
	SCHEMAS_MAX = 10000, /* after references are written out, which may double often */
};

/* Where in the document we are, up to the root: only errors need it as text. */
struct place {
	const struct place *up;
	const char *name;
};

struct convert {
	const json_t *root;
	const json_t *refs[DEPTH_MAX]; /* being written out */
	unsigned n_refs, depth, schemas;
	char *why;
};

static int convert(
	struct convert *c, const struct place *at, const json_t *in, json_t **ret);

/* ---- errors -------------------------------------------------------------------- */

static void put_place(FILE *out, const struct place *at)
{
	if (at->up) {
		put_place(out, at->up);
		fprintf(out, "/%s", at->name);
	} else {
		fputc('#', out);
	}
}

static int convert_fail(struct convert *c, const struct place *at, const char *name,
	const char *what)
{
	struct place here = {at, name};
	size_t len;
	FILE *out = c->why ? NULL : open_memstream(&c->why, &len);

	if (!out)
		return -EBADMSG;
	put_place(out, name ? &here : at);
	fprintf(out, ": %s", what);
	return fclose(out) ? -ENOMEM : -EBADMSG;
}

/* Into out under name; steals value. */
static int set(json_t *out, const char *name, json_t *value)
{
	return json_object_set_new(out, name, value) ? -ENOMEM : 0;
}

/* ---- references ------------------------------------------------------------------ */

static int convert_laid_over(struct convert *c, const struct place *at,
	const json_t *base, const json_t *over, const char *name, json_t **ret)
{
	json_t *all = json_schema_lay_over(base, over, name);
	int err = all ? convert(c, at, all, ret) : -ENOMEM;

	json_decref(all);
	return err;
}

static int follow(struct convert *c, const struct place *at, const json_t *in,
	json_t **ret)
{
	const char *pointer = json_string_value(json_object_get(in, "$ref"));
	const json_t *target = pointer ? json_schema_find(c->root, pointer) : NULL;
	int err;

	if (!target)
		return convert_fail(c, at, "$ref", "it refers to nothing in this file");
	for (unsigned i = 0; i < c->n_refs; i++)
		if (c->refs[i] == target)
			return convert_fail(c, at, "$ref",
				"it refers to itself, and the API does not accept "
				"recursive schemas");
	if (target == c->root)
		return convert_fail(c, at, "$ref",
			"it refers to itself, and the API does not accept recursive "
			"schemas");
	if (c->n_refs == DEPTH_MAX)
		return convert_fail(c, at, "$ref", "references are nested too deeply");
	c->refs[c->n_refs++] = target;
	err = convert_laid_over(c, at, target, in, "$ref", ret);
	c->n_refs--;
	return err;
}

/* ---- types ------------------------------------------------------------------------- */

static const char *const types[] = {
	"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT"};

/* The API's name of a type; NULL when it has none. */
static const char *type_name(const json_t *value)
{
	const char *name = json_string_value(value);

	for (size_t i = 0; name && i < ARRAY_SIZE(types); i++)
		if (!strcasecmp(types[i], name))
			return types[i];
	return NULL;
}

static bool is_null_type(const json_t *value)
{
	return json_is_string(value) && !strcasecmp(json_string_value(value), "null");
}

static bool is_integer_schema(const json_t *in)
{
	const char *name = type_name(json_object_get(in, "type"));

	return name && !strcmp(name, "INTEGER");
}

static int set_type(json_t *out, const char *name)
{
	return set(out, "type", json_string(name));
}

static int add_alternative(json_t *out, const char *type)
{
	json_t *list = json_object_get(out, "anyOf");

	if (!list) {
		list = json_array();
		if (set(out, "anyOf", list))
			return -ENOMEM;
	}
	return json_array_append_new(list, json_pack("{s:s}", "type", type)) ? -ENOMEM
									     : 0;
}

/* What a row of the table gets: one member of the schema in, and the schema out. */
struct member {
	struct convert *c;
	const struct place *at;
	const char *name;
	const json_t *in, *value;
	json_t *out;
};

static int refuse_member(const struct member *m, const char *what)
{
	return convert_fail(m->c, m->at, m->name, what);
}

static int do_type_list(const struct member *m)
{
	size_t n = json_array_size(m->value), nulls = 0, i;
	json_t *one;
	int err = 0;

	json_array_foreach((json_t *)m->value, i, one)
		nulls += is_null_type(one);
	if (n == nulls)
		return refuse_member(m, "its only type is null");
	if (nulls)
		err = set(m->out, "nullable", json_true());
	json_array_foreach((json_t *)m->value, i, one) {
		const char *name = type_name(one);

		if (err || is_null_type(one))
			continue;
		if (!name)
			return refuse_member(m, "the API has no such type");
		err = n - nulls == 1 ? set_type(m->out, name)
				     : add_alternative(m->out, name);
	}
	return err;
}

static int do_type(const struct member *m)
{
	const char *name = type_name(m->value);

	if (json_is_array(m->value))
		return do_type_list(m);
	return name ? set_type(m->out, name)
		    : refuse_member(m, "the API has no such type");
}

/* ---- values --------------------------------------------------------------------------- */

static int default_type(const struct member *m, const char *name)
{
	return json_object_get(m->in, "type") ? 0 : set_type(m->out, name);
}

static int do_enum(const struct member *m)
{
	json_t *list = json_array(), *one;
	size_t i;
	int err = json_is_array(m->value) ? 0 : refuse_member(m, "this must be a list");

	json_array_foreach((json_t *)m->value, i, one) {
		if (err)
			break;
		if (json_is_null(one))
			err = set(m->out, "nullable", json_true());
		else if (!json_is_string(one))
			err = refuse_member(m, "the API accepts strings only");
		else if (json_array_append(list, one))
			err = -ENOMEM;
	}
	if (err) {
		json_decref(list);
		return err;
	}
	err = set(m->out, "enum", list);
	return err ? err : default_type(m, "STRING");
}

static int do_const(const struct member *m)
{
	int err;

	if (json_is_null(m->value))
		return set(m->out, "nullable", json_true());
	if (json_is_string(m->value)) {
		err = set(m->out, "enum", json_pack("[O]", m->value));
		return err ? err : default_type(m, "STRING");
	}
	if (!json_is_integer(m->value))
		return refuse_member(
			m, "the API supports constants for strings and integers only");
	err = set(m->out, "minimum", json_incref((json_t *)m->value));
	if (!err)
		err = set(m->out, "maximum", json_incref((json_t *)m->value));
	return err ? err : default_type(m, "INTEGER");
}

/* Of integers the next one is the bound. */
static int exclusive(const struct member *m, const char *inclusive, int step)
{
	double v = json_number_value(m->value);
	const json_t *other = json_object_get(m->in, inclusive);

	if (!json_is_number(m->value) || !is_integer_schema(m->in) || v != floor(v) ||
		fabs(v) > (double)(INT64_C(1) << 53))
		return refuse_member(m, "the API has no exclusive bounds");
	v += step;
	if (json_is_number(other) && (json_number_value(other) - v) * step > 0)
		return 0;
	return set(m->out, inclusive, json_integer((json_int_t)v));
}

static int do_exclusive_minimum(const struct member *m)
{
	return exclusive(m, "minimum", 1);
}

static int do_exclusive_maximum(const struct member *m)
{
	return exclusive(m, "maximum", -1);
}

static int do_number(const struct member *m)
{
	/* An exclusive bound that says more has been there before. */
	if (json_object_get(m->out, m->name))
		return 0;
	return set(m->out, m->name, json_incref((json_t *)m->value));
}

static int do_string(const struct member *m)
{
	return json_is_string(m->value)
		       ? set(m->out, m->name, json_incref((json_t *)m->value))
		       : refuse_member(m, "this must be a string");
}

static int do_strings(const struct member *m)
{
	json_t *one;
	size_t i;

	if (!json_is_array(m->value))
		return refuse_member(m, "this must be a list of strings");
	json_array_foreach((json_t *)m->value, i, one)
		if (!json_is_string(one))
			return refuse_member(m, "this must be a list of strings");
	return set(m->out, m->name, json_incref((json_t *)m->value));
}

static int do_bool(const struct member *m)
{
	return json_is_boolean(m->value)
		       ? set(m->out, m->name, json_incref((json_t *)m->value))
		       : refuse_member(m, "this must be true or false");
}

static int do_any(const struct member *m)
{
	return set(m->out, m->name, json_incref((json_t *)m->value));
}

static int do_examples(const struct member *m)
{
	json_t *first = json_array_get(m->value, 0);

	return first && !json_object_get(m->in, "example")
		       ? set(m->out, "example", json_incref(first))
		       : 0;
}

/* Names of properties are strings anyway. */
static int do_property_names(const struct member *m)
{
	const json_t *type = json_object_get(m->value, "type");

	if (json_object_size(m->value) == 1 && type_name(type) == types[0])
		return 0;
	return refuse_member(m, "the API has no such field");
}

static int do_nothing(const struct member *m)
{
	return 0;
}

static int do_additional(const struct member *m)
{
	return json_is_false(m->value)
		       ? 0
		       : refuse_member(m,
				 "the API supports named properties only: name them, "
				 "or ask for a list of objects with a name and a "
				 "value");
}

/* ---- schemas in schemas ---------------------------------------------------------------- */

static int do_items(const struct member *m)
{
	struct place here = {m->at, m->name};
	json_t *items;
	int err = convert(m->c, &here, m->value, &items);

	return err ? err : set(m->out, m->name, items);
}

static int do_properties(const struct member *m)
{
	struct place here = {m->at, m->name};
	json_t *all = json_object(), *value;
	const char *key;
	int err = json_is_object(m->value) ? 0
					   : refuse_member(m, "this must be an object");

	json_object_foreach((json_t *)m->value, key, value) {
		struct place there = {&here, key};
		json_t *one;

		if (!err && !(err = convert(m->c, &there, value, &one)))
			err = set(all, key, one);
	}
	if (!err)
		return set(m->out, m->name, all);
	json_decref(all);
	return err;
}

static bool is_null_schema(const json_t *value)
{
	return is_null_type(json_object_get(value, "type"));
}

/* The alternatives but null, converted, into list. */
static int convert_alternatives(const struct member *m, json_t *list)
{
	struct place here = {m->at, m->name};
	json_t *value, *one;
	char number[24];
	size_t i;
	int err;

	json_array_foreach((json_t *)m->value, i, value) {
		struct place there = {&here, number};

		if (is_null_schema(value)) {
			if (set(m->out, "nullable", json_true()))
				return -ENOMEM;
			continue;
		}
		snprintf(number, sizeof number, "%zu", i);
		if ((err = convert(m->c, &there, value, &one)))
			return err;
		if (json_array_append_new(list, one))
			return -ENOMEM;
	}
	return 0;
}

/* Members beside it win, but for descriptions, which may say different things. */
static int take_only(json_t *out, json_t *one)
{
	const char *here = json_string_value(json_object_get(out, "description"));
	const char *there = json_string_value(json_object_get(one, "description"));

	if (here && there && strcmp(here, there) != 0 &&
		json_schema_describe(out, "", there))
		return -ENOMEM;
	return json_object_update_missing(out, one) ? -ENOMEM : 0;
}

static int do_alternatives(const struct member *m)
{
	json_t *list;
	int err;

	if (!json_is_array(m->value) || json_object_get(m->out, "anyOf"))
		return refuse_member(m, "this must be one list of schemas");
	list = json_array();
	err = list ? convert_alternatives(m, list) : -ENOMEM;
	if (!err && json_array_size(list) == 0)
		err = refuse_member(m, "there is nothing to choose from");
	else if (!err && json_array_size(list) == 1)
		err = take_only(m->out, json_array_get(list, 0));
	else if (!err)
		err = set(m->out, "anyOf", json_incref(list));
	json_decref(list);
	return err;
}

/* ---- the table ---------------------------------------------------------------------------- */

/* Exclusive bounds come before the others: see do_number. */
static const struct {
	const char *name;
	int (*run)(const struct member *m);
} members[] = {
	{"exclusiveMinimum", do_exclusive_minimum},
	{"exclusiveMaximum", do_exclusive_maximum},
	{"type", do_type},
	{"title", do_string},
	{"description", do_string},
	{"format", do_string},
	{"pattern", do_string},
	{"nullable", do_bool},
	{"enum", do_enum},
	{"const", do_const},
	{"minimum", do_number},
	{"maximum", do_number},
	{"minLength", do_number},
	{"maxLength", do_number},
	{"minItems", do_number},
	{"maxItems", do_number},
	{"minProperties", do_number},
	{"maxProperties", do_number},
	{"properties", do_properties},
	{"required", do_strings},
	{"propertyOrdering", do_strings},
	{"items", do_items},
	{"anyOf", do_alternatives},
	{"oneOf", do_alternatives},
	{"example", do_any},
	{"examples", do_examples},
	{"default", do_any},
	{"propertyNames", do_property_names},
	{"additionalProperties", do_additional},
	/* nothing that the API could enforce */
	{"discriminator", do_nothing},
	{"$schema", do_nothing},
	{"$id", do_nothing},
	{"id", do_nothing},
	{"$anchor", do_nothing},
	{"$comment", do_nothing},
	{"$defs", do_nothing},
	{"definitions", do_nothing},
	{"deprecated", do_nothing},
	{"readOnly", do_nothing},
	{"writeOnly", do_nothing},
};

/* snake_case, which the API takes too, as the table has it. */
static void camel(const char *name, char ret[32])
{
	size_t n = 0;

	for (; *name && n < 31; name++) {
		bool up = name[0] == '_' && name[1] >= 'a' && name[1] <= 'z';

		name += up;
		ret[n++] = (char)(up ? *name - 'a' + 'A' : *name);
	}
	ret[n] = '\0';
}

static bool known(const char *name)
{
	char as[32];

	camel(name, as);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!strcmp(members[i].name, as))
			return true;
	return false;
}

static const json_t *member_by(const json_t *in, const char *name)
{
	const char *key;
	json_t *value;
	char as[32];

	json_object_foreach((json_t *)in, key, value) {
		camel(key, as);
		if (!strcmp(as, name))
			return value;
	}
	return NULL;
}

static int convert_members(
	struct convert *c, const struct place *at, const json_t *in, json_t *out)
{
	const char *key;
	json_t *value;
	int err = 0;

	json_object_foreach((json_t *)in, key, value)
		if (!known(key))
			return convert_fail(c, at, key, "the API has no such field");
	for (size_t i = 0; !err && i < ARRAY_SIZE(members); i++) {
		struct member m = {c, at, members[i].name, in,
			member_by(in, members[i].name), out};

		if (m.value)
			err = members[i].run(&m);
	}
	return err;
}

/* A schema with correct names may still have wrong values. */
static int convert_settle(
	struct convert *c, const struct place *at, const json_t *in, json_t *out)
{
	struct schema_fault f = {0};
	int err = json_schema_settle(out, json_is_array(member_by(in, "type")), &f);

	return err == -EBADMSG
		       ? convert_fail(c, at, *f.member ? f.member : NULL, f.what)
		       : err;
}

static int convert_object(struct convert *c, const struct place *at, const json_t *in,
	json_t **ret)
{
	const json_t *all_of = json_object_get(in, "allOf");
	json_t *out;
	int err;

	if (json_object_get(in, "$ref"))
		return follow(c, at, in, ret);
	if (json_array_size(all_of) == 1 && json_is_object(json_array_get(all_of, 0)))
		return convert_laid_over(
			c, at, json_array_get(all_of, 0), in, "allOf", ret);
	out = json_object();
	if (!out)
		return -ENOMEM;
	err = convert_members(c, at, in, out);
	if (!err)
		err = convert_settle(c, at, in, out);
	if (err)
		json_decref(out);
	else
		*ret = out;
	return err;
}

static int convert(
	struct convert *c, const struct place *at, const json_t *in, json_t **ret)
{
	int err;

	if (!json_is_object(in))
		return convert_fail(c, at, NULL, "a schema must be an object");
	if (c->depth == DEPTH_MAX || ++c->schemas > SCHEMAS_MAX)
		return convert_fail(c, at, NULL, "the schema is too large");
	c->depth++;
	err = convert_object(c, at, in, ret);
	c->depth--;
	return err;
}

int json_schema_convert(const json_t *in, json_t **ret, char **ret_why)
{
	struct convert c = {.root = in};
	struct place root = {0};
	int err = convert(&c, &root, in, ret);

	if (err == -EBADMSG && !c.why)
		err = -ENOMEM;
	*ret_why = err == -EBADMSG ? STEAL_PTR(c.why) : NULL;
	free(c.why);
	return err;
}
