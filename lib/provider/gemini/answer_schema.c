#include "provider/gemini/answer_schema.h"
#include "provider/gemini/json_schema_refs.h"
#include "provider/request_grammar.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

enum {
	DEPTH_MAX = 64,
	NODES_MAX = 20000,
	REFS_MAX = 1000,
};

/* A part of the schema that references point to, and its node. */
struct target {
	const json_t *at;
	uint32_t node;
};

struct compile {
	const json_t *root;
	struct fit_schema *s;
	struct target refs[REFS_MAX];
	unsigned n_refs, depth;
};

/* *ret 0: any value fits, as far as can be said. */
static int compile_schema(struct compile *c, const json_t *in, uint32_t *ret);

/* ---- what a member says --------------------------------------------------------- */

struct clause {
	struct compile *c;
	uint32_t node;
	const json_t *in, *value; /* the schema, and the member's value in it */
};

static struct fit_node *node_of(const struct clause *m)
{
	return &m->c->s->nodes[m->node];
}

static const json_t *clause_beside(const struct clause *m, const char *name)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)m->in, key, value)
		if (placement_is(key, strlen(key), name))
			return value;
	return NULL;
}

static uint8_t kind_named(const char *name)
{
	static const struct {
		const char *name;
		uint8_t kinds;
	} kinds[] = {
		{"string", FIT_STRING},
		{"number", FIT_NUMBER | FIT_INTEGER},
		{"integer", FIT_INTEGER},
		{"boolean", FIT_BOOLEAN},
		{"array", FIT_LIST},
		{"object", FIT_OBJECT},
		{"null", FIT_NULL},
	};

	for (size_t i = 0; name && i < ARRAY_SIZE(kinds); i++)
		if (strcasecmp(kinds[i].name, name) == 0)
			return kinds[i].kinds;
	return FIT_ANY;
}

static int take_type(const struct clause *m)
{
	uint8_t kinds = 0;
	json_t *one;
	size_t i;

	json_array_foreach((json_t *)m->value, i, one)
		kinds |= kind_named(json_string_value(one));
	if (!json_is_array(m->value))
		kinds = kind_named(json_string_value(m->value));
	if (kinds)
		node_of(m)->kinds = kinds | (node_of(m)->nullable ? FIT_NULL : 0);
	return 0;
}

static int take_nullable(const struct clause *m)
{
	if (!json_is_true(m->value))
		return 0;
	node_of(m)->nullable = true;
	node_of(m)->kinds |= FIT_NULL;
	return 0;
}

/* ---- numbers -------------------------------------------------------------------- */

/* As numbers, or as strings of digits: so 64 bits are written in JSON. */
static bool clause_number(const json_t *value, double *ret)
{
	const char *text = json_string_value(value);
	char *end;

	if (json_is_number(value)) {
		*ret = json_number_value(value);
		return true;
	}
	if (!text || !*text || strspn(text, "+-.0123456789eE") != strlen(text))
		return false;
	*ret = strtod(text, &end);
	return !*end;
}

static int take_minimum(const struct clause *m)
{
	double v;

	if (clause_number(m->value, &v) && v > node_of(m)->minimum)
		node_of(m)->minimum = v;
	return 0;
}

static int take_maximum(const struct clause *m)
{
	double v;

	if (clause_number(m->value, &v) && v < node_of(m)->maximum)
		node_of(m)->maximum = v;
	return 0;
}

static bool clause_count(const json_t *value, uint64_t *ret)
{
	double v;

	if (!clause_number(value, &v) || !(v >= 0 && v < 1e15) ||
		v != (double)(uint64_t)v)
		return false;
	*ret = (uint64_t)v;
	return true;
}

#define TAKE_COUNT(name, end)                                                          \
	static int take_##name##_##end(const struct clause *m)                         \
	{                                                                              \
		uint64_t n;                                                            \
                                                                                       \
		if (clause_count(m->value, &n))                                        \
			node_of(m)->name.end = n;                                      \
		return 0;                                                              \
	}
TAKE_COUNT(length, min)
TAKE_COUNT(length, max)
TAKE_COUNT(count, min)
TAKE_COUNT(count, max)
TAKE_COUNT(members, min)
TAKE_COUNT(members, max)

/* ---- words ---------------------------------------------------------------------- */

/* Strings only, and null, which the type has, too. */
static int take_enum(const struct clause *m)
{
	size_t n = 0, i;
	struct fit_named *list = calloc(json_array_size(m->value) + 1, sizeof *list);
	bool good = json_is_array(m->value);
	json_t *one;
	int err = 0;

	json_array_foreach((json_t *)m->value, i, one) {
		good &= json_is_string(one) || json_is_null(one);
		if (list && json_is_string(one))
			list[n++] = (struct fit_named){.name = json_string_value(one),
				.len = json_string_length(one)};
	}
	if (!list)
		err = -ENOMEM;
	else if (good && n)
		err = fit_add_values(m->c->s, m->node, list, n);
	free(list);
	return err;
}

static int take_const(const struct clause *m)
{
	struct fit_named one = {.name = json_string_value(m->value),
		.len = json_string_length(m->value)};

	return one.name && !node_of(m)->values.n
		       ? fit_add_values(m->c->s, m->node, &one, 1)
		       : 0;
}

/* The strings of a list as the names of an object. */
static json_t *name_set(const json_t *list)
{
	json_t *set = json_object(), *one;
	size_t i;

	json_array_foreach((json_t *)list, i, one)
		if (json_is_string(one) &&
			json_object_set_new(set, json_string_value(one), json_true())) {
			json_decref(set);
			return NULL;
		}
	return set;
}

/* What is required need not be among the properties. */
static int list_properties(const struct clause *m, const json_t *all, json_t *required,
	struct fit_named *list, size_t *ret)
{
	const char *name;
	json_t *one;
	size_t n = 0;
	int err = 0;

	json_object_foreach((json_t *)all, name, one) {
		list[n] = (struct fit_named){.name = name, .len = strlen(name),
			.required = json_object_del(required, name) == 0};
		err = compile_schema(m->c, one, &list[n++].node);
		if (err)
			return err;
	}
	json_object_foreach(required, name, one)
		list[n++] = (struct fit_named){.name = name, .len = strlen(name),
			.required = true, .unlisted = true};
	*ret = n;
	return 0;
}

/* Of properties and required, whichever is there. */
static int take_properties(const struct clause *m)
{
	const json_t *all = clause_beside(m, "properties");
	json_t *required = name_set(clause_beside(m, "required"));
	size_t n, room = json_object_size(all) + json_object_size(required) + 1;
	struct fit_named *list = calloc(room, sizeof *list);
	int err = list && required ? list_properties(m, all, required, list, &n)
				   : -ENOMEM;

	if (!err)
		err = fit_add_properties(m->c->s, m->node, list, n);
	free(list);
	json_decref(required);
	return err;
}

static int take_required(const struct clause *m)
{
	return clause_beside(m, "properties") ? 0 : take_properties(m);
}

static int take_additional(const struct clause *m)
{
	node_of(m)->closed =
		json_is_false(m->value) && !clause_beside(m, "patternProperties");
	return 0;
}

/* ---- schemas in schemas --------------------------------------------------------- */

static int take_items(const struct clause *m)
{
	uint32_t items = 0;
	int err = clause_beside(m, "prefixItems")
			  ? 0
			  : compile_schema(m->c, m->value, &items);

	node_of(m)->items = items;
	return err;
}

static int compile_list(const struct clause *m, struct fit_span *ret)
{
	size_t n = json_array_size(m->value), i;
	uint32_t *nodes = calloc(n + 1, sizeof *nodes);
	json_t *one;
	int err = nodes ? 0 : -ENOMEM;

	json_array_foreach((json_t *)m->value, i, one)
		if (!err)
			err = compile_schema(m->c, one, &nodes[i]);
	if (!err)
		err = fit_add_links(m->c->s, nodes, n, ret);
	free(nodes);
	return err;
}

/* That only one of oneOf fits is not looked at. */
static int take_any_of(const struct clause *m)
{
	struct fit_span any_of;
	int err = node_of(m)->any_of.n ? 0 : compile_list(m, &any_of);

	if (!err && !node_of(m)->any_of.n)
		node_of(m)->any_of = any_of;
	return err;
}

static int take_all_of(const struct clause *m)
{
	struct fit_span all_of;
	int err = compile_list(m, &all_of);

	if (!err)
		node_of(m)->all_of = all_of;
	return err;
}

/* ---- the table ------------------------------------------------------------------ */

static const struct {
	const char *name;
	int (*take)(const struct clause *m);
} clauses[] = {
	{"type", take_type},
	{"nullable", take_nullable},
	{"enum", take_enum},
	{"const", take_const},
	{"properties", take_properties},
	{"required", take_required},
	{"additionalProperties", take_additional},
	{"items", take_items},
	{"anyOf", take_any_of},
	{"oneOf", take_any_of},
	{"allOf", take_all_of},
	{"minimum", take_minimum},
	{"maximum", take_maximum},
	/* Doubles are no judges of equality. */
	{"exclusiveMinimum", take_minimum},
	{"exclusiveMaximum", take_maximum},
	{"minLength", take_length_min},
	{"maxLength", take_length_max},
	{"minItems", take_count_min},
	{"maxItems", take_count_max},
	{"minProperties", take_members_min},
	{"maxProperties", take_members_max},
};

static int take_members(struct compile *c, const json_t *in, uint32_t node)
{
	const char *key;
	json_t *value;
	int err = 0;

	json_object_foreach((json_t *)in, key, value)
		for (size_t i = 0; !err && i < ARRAY_SIZE(clauses); i++) {
			struct clause m = {
				.c = c, .node = node, .in = in, .value = value};

			if (placement_is(key, strlen(key), clauses[i].name))
				err = clauses[i].take(&m);
		}
	return err;
}

/* What it refers to, over any number of steps; NULL: that cannot be said. */
static const json_t *refers_to(const struct compile *c, const json_t *in)
{
	const char *ref;

	for (int steps = 0; in && steps < DEPTH_MAX; steps++) {
		ref = json_string_value(json_object_get(in, "$ref"));
		if (!ref)
			return in;
		in = json_schema_find(c->root, ref);
	}
	return NULL;
}

/* What references point to is compiled once, and may refer to itself. */
static bool find_target(const struct compile *c, const json_t *at, uint32_t *ret)
{
	for (unsigned i = 0; i < c->n_refs; i++)
		if (c->refs[i].at == at) {
			*ret = c->refs[i].node;
			return true;
		}
	return false;
}

static int compile_object(struct compile *c, const json_t *in, uint32_t *ret)
{
	const json_t *at = refers_to(c, in);
	int err;

	if (!at || find_target(c, at, ret))
		return 0;
	if (at != in && c->n_refs == REFS_MAX)
		return 0;
	err = fit_add_node(c->s, ret);
	if (err)
		return err;
	if (at != in)
		c->refs[c->n_refs++] = (struct target){at, *ret};
	return take_members(c, at, *ret);
}

static int compile_schema(struct compile *c, const json_t *in, uint32_t *ret)
{
	int err;

	*ret = 0;
	if (!json_is_object(in) || c->depth == DEPTH_MAX || c->s->n_nodes > NODES_MAX)
		return 0;
	c->depth++;
	err = compile_object(c, in, ret);
	c->depth--;
	return err;
}

int answer_schema_compile(const char *text, size_t len, struct fit_schema **ret)
{
	json_t *root = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, NULL);
	struct compile *c = calloc(1, sizeof *c);
	int err = -ENOMEM;

	*ret = NULL;
	if (!c || !(c->s = fit_schema_new()))
		goto out;
	c->root = root;
	err = compile_schema(c, root, &c->s->root);
	if (!err && c->s->root)
		*ret = STEAL_PTR(c->s);
	else if (err == -EFBIG)
		err = 0;
out:
	if (c)
		fit_schema_free(c->s);
	free(c);
	json_decref(root);
	return err;
}
