/* JSON Schemas as programs write them, and what the API gets of them. fixtures/schema
 * has what pydantic and zod print of a model, and beside it what must become of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "provider/gemini/json_schema.h"
#include "base/util.h"

static json_t *load(const char *name)
{
	_cleanup_free_ char *path =
		util_format("%s/schema/%s", getenv("FIXTURES"), name);
	json_error_t e;
	json_t *json = json_load_file(path, 0, &e);

	if (!json)
		fail_msg("%s:%d: %s", path, e.line, e.text);
	return json;
}

static void same(const json_t *got, const json_t *expected)
{
	_cleanup_free_ char *a = json_dumps(got, JSON_SORT_KEYS | JSON_INDENT(2));
	_cleanup_free_ char *b = json_dumps(expected, JSON_SORT_KEYS | JSON_INDENT(2));

	assert_string_equal(a, b);
}

static json_t *converted(const json_t *in)
{
	json_t *out = NULL;
	char *why = NULL;
	int err = json_schema_convert(in, &out, &why);

	if (err)
		fail_msg("%s", why ? why : "out of memory");
	assert_null(why);
	return out;
}

static void test_fixtures(void **state)
{
	static const char *const names[] = {
		"pydantic", "pydantic1", "zod3", "zod4"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *in_name = util_format("%s.json", names[i]);
		_cleanup_free_ char *out_name = util_format("%s.api.json", names[i]);
		json_t *in = load(in_name), *before = json_deep_copy(in);
		json_t *expected = load(out_name), *out = converted(in);

		same(out, expected);
		same(in, before);
		/* The API's own schema is what it is. */
		json_t *again = converted(out);
		same(again, expected);
		json_decref(again);
		json_decref(out);
		json_decref(expected);
		json_decref(before);
		json_decref(in);
	}
}

static const struct {
	const char *in, *out;
} good[] = {
	{"{'type':'string'}", "{'type':'STRING'}"},
	{"{'type':['null','integer']}", "{'nullable':true,'type':'INTEGER'}"},
	{"{'type':['string','number']}",
		"{'anyOf':[{'type':'STRING'},{'type':'NUMBER'}]}"},
	{"{'enum':['a',null]}", "{'enum':['a'],'nullable':true,'type':'STRING'}"},
	{"{'const':7}", "{'type':'INTEGER','minimum':7,'maximum':7}"},
	{"{'type':'integer','exclusiveMinimum':0,'minimum':5}",
		"{'type':'INTEGER','minimum':5}"},
	{"{'type':'integer','exclusiveMinimum':9,'minimum':5}",
		"{'type':'INTEGER','minimum':10}"},
	{"{'type':'integer','exclusiveMaximum':9}", "{'type':'INTEGER','maximum':8}"},
	{"{'type':'array','max_items':3,'items':{'any_of':[{'type':'STRING'}]}}",
		"{'type':'ARRAY','maxItems':3,'items':{'type':'STRING'}}"},
	{"{'oneOf':[{'type':'null'},{'type':'string','title':'a'}],'title':'b'}",
		"{'nullable':true,'type':'STRING','title':'b'}"},
	{"{'type':'object','properties':{'a~/b':{'type':'string'},'c':{'$ref':"
	 "'#/properties/a~0~1b'}}}",
		"{'type':'OBJECT','properties':{'a~/b':{'type':'STRING'},'c':{'type':"
		"'STRING'}},'propertyOrdering':['a~/b','c']}"},
	/* What is certain is put in: types, and the order of the file. */
	{"{'properties':{'z':{'minLength':1},'a':{'items':{'maximum':2}}},'required':['z'],"
	 "'additionalProperties':false,'propertyNames':{'type':'string'}}",
		"{'type':'OBJECT','properties':{'z':{'type':'STRING','minLength':1},'a':"
		"{'type':'ARRAY','items':{'type':'NUMBER','maximum':2}}},'required':['z'],"
		"'propertyOrdering':['z','a']}"},
	{"{'properties':{'z':{'type':'string'},'a':{'type':'string'}},"
	 "'propertyOrdering':['a']}",
		"{'type':'OBJECT','properties':{'z':{'type':'STRING'},'a':{'type':'STRING'}},"
		"'propertyOrdering':['a']}"},
	/* Formats that the API does not know become words. */
	{"{'type':'string','format':'uuid'}",
		"{'type':'STRING','description':'format: uuid'}"},
	{"{'type':'string','format':'email','description':'Whom to ask'}",
		"{'type':'STRING','description':'Whom to ask (format: email)'}"},
	{"{'type':'string','format':'date-time'}",
		"{'type':'STRING','format':'date-time'}"},
	{"{'type':'string','format':'enum'}", "{'type':'STRING'}"},
	{"{'type':'integer','format':'int32'}", "{'type':'INTEGER','format':'int32'}"},
	{"{'type':'integer','format':'float'}",
		"{'type':'INTEGER','description':'format: float'}"},
	{"{'anyOf':[{'type':'string','format':'date'},{'type':'null'}],'description':'When'}",
		"{'nullable':true,'type':'STRING','description':'When (format: date)'}"},
	/* What says nothing of the type is left out, or is that of one of several. */
	{"{'type':'string','minimum':1,'properties':{},'required':[]}",
		"{'type':'STRING'}"},
	{"{'type':['string','integer'],'minLength':1,'minimum':2}",
		"{'anyOf':[{'type':'STRING','minLength':1},{'type':'INTEGER','minimum':2}]}"},
	{"{'type':'array','minItems':'2','items':{'type':'string'}}",
		"{'type':'ARRAY','minItems':'2','items':{'type':'STRING'}}"},
	{"{'allOf':[{'type':'string','title':'x'}],'title':'y'}",
		"{'type':'STRING','title':'y'}"},
};

/* JSON for people: apostrophes for quotes. */
static json_t *parse(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	json_t *json;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	json = json_loads(copy, JSON_DECODE_ANY, NULL);
	assert_non_null(json);
	return json;
}

static void test_rules(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		json_t *in = parse(good[i].in), *expected = parse(good[i].out);
		json_t *out = converted(in);

		same(out, expected);
		json_decref(out);
		json_decref(expected);
		json_decref(in);
	}
}

static void refused(const json_t *in, const char *where)
{
	json_t *out = NULL;
	char *why = NULL;

	assert_int_equal(json_schema_convert(in, &out, &why), -EBADMSG);
	assert_null(out);
	assert_non_null(why);
	if (strncmp(why, where, strlen(where)) || why[strlen(where)] != ':')
		fail_msg("expected the place %s, got: %s", where, why);
	free(why);
}

static const struct {
	const char *in, *where;
} bad[] = {
	{"[]", "#"},
	{"true", "#"},
	{"{'type':'number','multipleOf':2}", "#/multipleOf"},
	{"{'type':'number','exclusiveMinimum':0}", "#/exclusiveMinimum"},
	{"{'type':'integer','exclusiveMinimum':0.5}", "#/exclusiveMinimum"},
	{"{'type':'integer','exclusiveMaximum':true}", "#/exclusiveMaximum"},
	{"{'type':'array','prefixItems':[]}", "#/prefixItems"},
	{"{'type':'array','items':[{}]}", "#/items"},
	{"{'type':'array','items':false}", "#/items"},
	{"{'type':'text'}", "#/type"},
	{"{'type':['null']}", "#/type"},
	{"{'type':null}", "#/type"},
	{"{'enum':[1,2]}", "#/enum"},
	{"{'enum':'a'}", "#/enum"},
	{"{'const':true}", "#/const"},
	{"{'anyOf':[]}", "#/anyOf"},
	{"{'anyOf':[{'type':'string'}, {'x':1}]}", "#/anyOf/1/x"},
	{"{}", "#"},
	{"{'properties':{'a':{'description':'anything'}}}", "#/properties/a"},
	{"{'anyOf':[{},{'type':'string'}]}", "#/anyOf/0"},
	{"{'type':'object'}", "#"},
	{"{'type':'object','properties':{}}", "#/properties"},
	{"{'properties':{'a':{'type':'object','additionalProperties':{'type':'integer'}}}}",
		"#/properties/a/additionalProperties"},
	{"{'type':'object','additionalProperties':true}", "#/additionalProperties"},
	{"{'anyOf':[{'type':'object','additionalProperties':{}},{'type':'null'}]}",
		"#/anyOf/0/additionalProperties"},
	{"{'properties':{'a':{'type':'string'}},'required':['a','b']}", "#/required/1"},
	{"{'required':['a']}", "#"},
	{"{'properties':{'a':{'type':'string'}},'propertyOrdering':['b']}",
		"#/propertyOrdering/0"},
	{"{'type':'array'}", "#"},
	{"{'type':'array','items':{}}", "#/items"},
	{"{'type':['array','string']}", "#"},
	{"{'enum':['a','']}", "#/enum/1"},
	{"{'const':''}", "#/enum/0"},
	{"{'enum':[]}", "#/enum"},
	{"{'enum':[null]}", "#/enum"},
	{"{'type':'integer','enum':['1']}", "#/enum"},
	{"{'type':['integer','string'],'enum':['1']}", "#/enum"},
	{"{'type':'string','minLength':-1}", "#/minLength"},
	{"{'type':'string','maxLength':1.5}", "#/maxLength"},
	{"{'type':'string','maxLength':'many'}", "#/maxLength"},
	{"{'type':'number','minimum':'low'}", "#/minimum"},
	{"{'type':'string','format':7}", "#/format"},
	{"{'anyOf':[{'type':'string'},{'type':'number'}],'oneOf':[{'type':'string'},"
	 "{'type':'number'}]}",
		"#/oneOf"},
	{"{'allOf':[{},{}]}", "#/allOf"},
	{"{'properties':{'a':{'properties':{'b':{'not':{}}}}}}",
		"#/properties/a/properties/b/not"},
	{"{'properties':[]}", "#/properties"},
	{"{'required':'a'}", "#/required"},
	{"{'required':[1]}", "#/required"},
	{"{'title':1}", "#/title"},
	{"{'nullable':'yes'}", "#/nullable"},
	{"{'minimum':[]}", "#/minimum"},
	{"{'$ref':'#/$defs/x'}", "#/$ref"},
	{"{'$ref':'http://example.com/schema'}", "#/$ref"},
	{"{'$ref':1}", "#/$ref"},
	{"{'$ref':'#'}", "#/$ref"},
	{"{'$ref':'#/$defs/a','$defs':{'a':{'$ref':'#/$defs/b'},'b':{'$ref':'#/$defs/"
	 "a'}}}",
		"#/$ref"},
	{"{'propertyNames':{'pattern':'x'}}", "#/propertyNames"},
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *in = parse(bad[i].in);

		refused(in, bad[i].where);
		json_decref(in);
	}
}

static void test_recursive_models(void **state)
{
	json_t *in = load("zod4_recursive.json");

	refused(in, "#/properties/children/items/$ref");
	json_decref(in);
}

/* Written out it would be 2^40 schemas. */
static void test_references_that_double(void **state)
{
	json_t *in = json_object(), *defs = json_object();
	char *why = NULL;
	json_t *out;

	for (int i = 0; i < 40; i++) {
		char name[16], next[32];

		snprintf(name, sizeof name, "d%d", i);
		snprintf(next, sizeof next, "#/$defs/d%d", i + 1);
		json_object_set_new(defs, name,
			json_pack("{s:{s:{s:s},s:{s:s}}}", "properties", "a", "$ref",
				next, "b", "$ref", next));
	}
	json_object_set_new(defs, "d40", json_object());
	json_object_set_new(in, "$ref", json_string("#/$defs/d0"));
	json_object_set_new(in, "$defs", defs);
	assert_int_equal(json_schema_convert(in, &out, &why), -EBADMSG);
	assert_non_null(strstr(why, "too large"));
	free(why);
	json_decref(in);
}

static void test_deep(void **state)
{
	json_t *in = json_object();
	char *why = NULL;
	json_t *out;

	for (int i = 0; i < 1000; i++)
		in = json_pack("{s:o}", "items", in);
	assert_int_equal(json_schema_convert(in, &out, &why), -EBADMSG);
	free(why);
	json_decref(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_recursive_models),
		cmocka_unit_test(test_references_that_double),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
