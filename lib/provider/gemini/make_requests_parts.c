/*
 * What all requests of a composed draft have in common: prompt.txt, and what
 * system.txt, schema.json and defaults.json make of the rest of a request.
 */
#include "provider/gemini/make_requests_private.h"
#include "provider/gemini/request_members.h"
#include "provider/gemini/json_schema.h"
#include "base/text_file.h"
#include "base/util.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* ---- text --------------------------------------------------------------------------- */

/* A whole part without BOM, NUL-terminated. *ret NULL: not usable, which has been
 * complained of. */
static int read_part(struct composed *c, int fd, const char *name, char **ret)
{
	char *text = malloc(COMPOSED_TEXT_MAX + 2);
	ssize_t n = text ? util_pread_max(fd, text, COMPOSED_TEXT_MAX + 1) : -ENOMEM;

	if (n < 0) {
		free(text);
		return (int)n;
	}
	const char *fault = text_fault(text, (size_t)n);
	size_t bom = text_bom(text, (size_t)n);

	text[n] = '\0';
	if (n > COMPOSED_TEXT_MAX)
		composed_complain(c, name, "is longer than 1 MiB");
	else if (fault)
		composed_complain(c, name, fault);
	else
		*ret = STEAL_PTR(text);
	if (*ret && bom)
		memmove(*ret, *ret + bom, (size_t)n - bom + 1);
	free(text);
	return 0;
}

/* The same as it is said to the model: without the newlines that echo and editors put
 * at the end. */
static int read_words(struct composed *c, int fd, const char *name, char **ret)
{
	char *text = NULL;
	int err = fd < 0 ? 0 : read_part(c, fd, name, &text);
	size_t n;

	if (err || !text)
		return err;
	for (n = strlen(text); n && strchr("\r\n", text[n - 1]);)
		text[--n] = '\0';
	if (!text_is_blank(text, strlen(text))) {
		*ret = text;
		return 0;
	}
	composed_complain(c, name, "is empty: write something into it or remove it");
	free(text);
	return 0;
}

/* ---- names of members ------------------------------------------------------------------ */

/* The name by which object has the member, or name itself. */
static const char *spelled(const json_t *object, const char *name)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
		if (placement_is(key, strlen(key), name))
			return key;
	return name;
}

static json_t *member(const json_t *object, const char *name)
{
	return json_object_get(object, spelled(object, name));
}

/* ---- defaults.json ----------------------------------------------------------------------- */

/* A complaint of a member of defaults.json, with the line its name is first met in. */
static void complain_member(
	struct composed *c, const char *text, const char *name, const char *what)
{
	_cleanup_free_ char *quoted = util_format("\"%s\"", name);
	const char *at = quoted ? strstr(text, quoted) : NULL;
	unsigned line = 1;

	for (const char *p = text; at && p < at; p++)
		line += *p == '\n';
	_cleanup_free_ char *where = at ? util_format("defaults.json, line %u", line)
					: util_format("defaults.json");
	_cleanup_free_ char *all = util_format("\"%s\" %s", name, what);
	composed_complain(c, where ? where : "defaults.json", all ? all : what);
}

static void check_members(
	struct composed *c, const char *text, enum place place, const json_t *object)
{
	const struct placement *rows = gemini_requests.places[place].rows;
	size_t n = gemini_requests.places[place].n;

	for (size_t i = 0; i < n; i++) {
		const char *name = spelled(object, rows[i].name);

		if (rows[i].what && json_object_get(object, name))
			complain_member(c, text, name, rows[i].what);
	}
}

static void check_defaults(struct composed *c, const char *text, const json_t *d)
{
	json_t *config = member(d, "generationConfig");
	json_t *system = member(d, "systemInstruction");
	bool beside = system || c->has_system || member(d, "tools") ||
		      member(d, "toolConfig");

	check_members(c, text, PLACE_REQUEST, d);
	if (config && !json_is_object(config))
		complain_member(c, text, spelled(d, "generationConfig"),
			gemini_requests.no_object);
	check_members(c, text, PLACE_CONFIG, config);
	if (json_is_string(system))
		complain_member(c, text, spelled(d, "systemInstruction"),
			gemini_requests.string);
	if (member(d, "cachedContent") && beside)
		complain_member(
			c, text, spelled(d, "cachedContent"), gemini_requests.beside);
}

/* What a request for an embedding may have beside its text. */
static const struct {
	const char *name, *must;
	json_type type;
} embed_members[] = {
	{"taskType", "must be a string, such as \"RETRIEVAL_DOCUMENT\"", JSON_STRING},
	{"title", "must be a string", JSON_STRING},
	{"outputDimensionality", "must be a whole number above 0", JSON_INTEGER},
};

static void check_embed_member(
	struct composed *c, const char *text, const char *name, const json_t *value)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(embed_members) &&
		!placement_is(name, strlen(name), embed_members[i].name))
		i++;
	if (i == ARRAY_SIZE(embed_members))
		complain_member(c, text, name,
			"is not a member of an embedding request (those are taskType, "
			"title and outputDimensionality)");
	else if (json_typeof(value) != embed_members[i].type ||
		 (json_is_integer(value) && json_integer_value(value) <= 0))
		complain_member(c, text, name, embed_members[i].must);
}

static void check_embed_defaults(struct composed *c, const char *text, const json_t *d)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)d, name, value)
		check_embed_member(c, text, name, value);
}

/* A JSON file; *ret NULL after a complaint. text is the caller's. */
static int load_json(
	struct composed *c, int fd, const char *name, char **ret_text, json_t **ret)
{
	json_error_t e;
	int err = read_part(c, fd, name, ret_text);

	if (err || !*ret_text)
		return err;
	*ret = json_loads(*ret_text, JSON_REJECT_DUPLICATES, &e);
	if (!*ret) {
		_cleanup_free_ char *what =
			util_format("is not JSON: %s, line %d", e.text, e.line);
		composed_complain(c, name, what ? what : "is not JSON");
	} else if (!json_is_object(*ret)) {
		composed_complain(c, name, "is not a JSON object: it must be {…}");
		json_decref(*ret);
		*ret = NULL;
	}
	return 0;
}

/* The API looks at a schema in the same way wherever it comes from. */
static int check_default_schema(struct composed *c, const char *text, json_t *d)
{
	json_t *config = member(d, "generationConfig"), *schema = NULL;
	const char *name = spelled(config, "responseSchema");
	json_t *in = json_object_get(config, name);
	_cleanup_free_ char *why = NULL, *what = NULL;
	int err = in ? json_schema_convert(in, &schema, &why) : 0;

	if (err == -EBADMSG) {
		what = util_format("cannot be used: %s", why);
		complain_member(c, text, name, what ? what : "cannot be used");
		return 0;
	}
	if (!err && in && json_object_set_new(config, name, schema))
		err = -ENOMEM;
	return err;
}

static int take_defaults(struct composed *c, int fd, json_t **ret)
{
	_cleanup_free_ char *text = NULL;
	json_t *d = NULL;
	int err = fd < 0 ? 0 : load_json(c, fd, "defaults.json", &text, &d);

	if (d && c->embedding) {
		check_embed_defaults(c, text, d);
	} else if (d) {
		check_defaults(c, text, d);
		err = check_default_schema(c, text, d);
	} else if (!err && !(d = json_object()))
		err = -ENOMEM;
	if (err)
		json_decref(d);
	else
		*ret = d;
	return err;
}

/* ---- system.txt, schema.json ---------------------------------------------------------------- */

static int add_system(struct composed *c, json_t *rest, const char *system)
{
	if (!system)
		return 0;
	if (member(rest, "systemInstruction")) {
		composed_complain(c, "system.txt",
			"defaults.json has a systemInstruction too: keep only one of "
			"the two");
		return 0;
	}
	json_t *o = json_pack("{s:[{s:s}]}", "parts", "text", system);
	return o ? json_object_set_new(rest, "systemInstruction", o) < 0 ? -ENOMEM : 0
		 : -ENOMEM;
}

static json_t *config_of(json_t *rest)
{
	json_t *config = member(rest, "generationConfig");

	if (json_is_object(config))
		return config;
	if (config || json_object_set_new(rest, "generationConfig", json_object()) < 0)
		return NULL;
	return json_object_get(rest, "generationConfig");
}

/* Steals schema. */
static int set_schema(struct composed *c, json_t *rest, json_t *schema)
{
	json_t *config = config_of(rest);
	const json_t *type = member(config, "responseMimeType");
	int err = 0;

	if (member(config, "responseSchema") || member(config, "responseJsonSchema"))
		composed_complain(c, "schema.json",
			"defaults.json has a response schema too: keep only one of the "
			"two");
	else if (type && (!json_is_string(type) || strcmp(json_string_value(type),
							   "application/json") != 0))
		composed_complain(c, "schema.json",
			"defaults.json has another responseMimeType: leave it out");
	else if (config && (json_object_set(config, "responseSchema", schema) < 0 ||
				   json_object_set_new(config,
					   spelled(config, "responseMimeType"),
					   json_string("application/json")) < 0))
		err = -ENOMEM;
	json_decref(schema);
	return err;
}

static int add_schema(struct composed *c, json_t *rest, int fd)
{
	_cleanup_free_ char *text = NULL, *why = NULL;
	json_t *in = NULL, *schema = NULL;
	int err = fd < 0 ? 0 : load_json(c, fd, "schema.json", &text, &in);

	if (err || !in)
		return err;
	err = json_schema_convert(in, &schema, &why);
	json_decref(in);
	if (err == -EBADMSG) {
		composed_complain(c, "schema.json", why ? why : "cannot be used");
		return 0;
	}
	return err ? err : set_schema(c, rest, schema);
}

/* ,"name":value… */
static int render(struct composed *c, const json_t *rest)
{
	_cleanup_free_ char *all = json_dumps(rest, JSON_COMPACT);
	size_t n = all ? strlen(all) : 0;

	if (!all)
		return -ENOMEM;
	c->rest = n > 2 ? util_format(",%.*s", (int)n - 2, all + 1) : strdup("");
	return c->rest ? 0 : -ENOMEM;
}

/* Of a model that is asked nothing about its texts. */
static int take_embed_parts(struct composed *c, const struct composed_parts *parts)
{
	const struct {
		const char *name;
		int fd;
	} unfit[] = {{"prompt.txt", parts->prompt}, {"system.txt", parts->system},
		{"schema.json", parts->schema}};
	json_t *rest = NULL;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(unfit); i++)
		if (unfit[i].fd >= 0)
			composed_complain(c, unfit[i].name,
				"is for answers only, but the draft's model makes "
				"embeddings of the texts as they are: remove it, or "
				"change the model (echo NAME > model)");
	err = take_defaults(c, parts->defaults, &rest);
	if (!err)
		err = render(c, rest);
	json_decref(rest);
	return err;
}

int composed_take_parts(struct composed *c, const struct composed_parts *parts)
{
	_cleanup_free_ char *system = NULL;
	json_t *rest = NULL;
	int err;

	if (parts->embedding)
		return take_embed_parts(c, parts);
	err = read_words(c, parts->prompt, "prompt.txt", &c->prompt);
	if (!err)
		err = read_words(c, parts->system, "system.txt", &system);
	c->has_system = system != NULL;
	if (!err)
		err = take_defaults(c, parts->defaults, &rest);
	if (!err)
		err = add_system(c, rest, system);
	if (!err)
		err = add_schema(c, rest, parts->schema);
	c->has_system |= member(rest, "systemInstruction") != NULL;
	if (!err)
		err = render(c, rest);
	json_decref(rest);
	return err;
}

/* The names of an object's members, each with its NUL. */
static int list_members(const json_t *object, char **ret, size_t *ret_len)
{
	const char *name;
	json_t *value;
	size_t len = 0, at = 0;

	json_object_foreach((json_t *)object, name, value)
		len += strlen(name) + 1;
	if (!len)
		return 0;
	*ret = malloc(len);
	if (!*ret)
		return -ENOMEM;
	json_object_foreach((json_t *)object, name, value) {
		memcpy(*ret + at, name, strlen(name) + 1);
		at += strlen(name) + 1;
	}
	*ret_len = len;
	return 0;
}

int composed_properties(int fd, char **ret, size_t *ret_len)
{
	struct composed quiet = {0};
	_cleanup_free_ char *text = NULL, *why = NULL;
	json_t *in = NULL, *schema = NULL;
	int err = load_json(&quiet, fd, "schema.json", &text, &in);

	*ret = NULL;
	*ret_len = 0;
	if (!err && in)
		err = json_schema_convert(in, &schema, &why);
	if (!err && schema)
		err = list_members(json_object_get(schema, "properties"), ret, ret_len);
	json_decref(in);
	json_decref(schema);
	free(quiet.complaints);
	return err == -EBADMSG ? 0 : err;
}
