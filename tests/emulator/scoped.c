#include "scoped.h"
#include "keys.h"
#include "model_table.h"

struct item {
	char project[128], model[64]; /* empty: any */
	double num;
};

/* Takes `sep` and what is before it off the front of an item, into `out`. */
static bool take_word(const char **p, char sep, char *out, size_t size)
{
	const char *end = *p + strcspn(*p, ","), *at = memchr(*p, sep, end - *p);

	if (!at)
		return true;
	if (at == *p || (size_t)(at - *p) >= size)
		return false;
	memcpy(out, *p, at - *p);
	out[at - *p] = '\0';
	*p = at + 1;
	return true;
}

/* The item at *p, which goes on behind its comma, or becomes NULL at the end. */
static bool next_item(const char **p, struct item *ret)
{
	char *end;

	*ret = (struct item){0};
	if (!take_word(p, '/', ret->project, sizeof(ret->project)) ||
		!take_word(p, ':', ret->model, sizeof(ret->model)))
		return false;
	ret->num = strtod(*p, &end);
	if (end == *p || (*end && *end != ','))
		return false;
	*p = *end ? end + 1 : NULL;
	return true;
}

bool scoped_ok(const char *value)
{
	struct item one;

	while (value)
		if (!next_item(&value, &one))
			return false;
	return true;
}

static bool is_project(const char *name, const char *project)
{
	char of_key[64];

	if (!*name || !strcmp(name, "*") || !strcmp(name, project))
		return true;
	keys_project(name, of_key);
	return !strcmp(of_key, project);
}

static bool is_model(const char *name, const char *model)
{
	return !*name || !strcmp(name, "*") ||
	       !strcmp(model_version(name), model_version(model));
}

double scoped_num(enum knob k, const char *project, const char *model)
{
	_cleanup_free_ char *value = knob_text_dup(k);
	const char *p = value;
	struct item one;
	double found = 0;

	while (p && next_item(&p, &one))
		if (is_project(one.project, project) && is_model(one.model, model))
			found = one.num;
	return found;
}
