#include "fields.h"
#include "util.h"

/* Masks are parsed into objects: {"metadata": {"state": {}}}; {} takes all. */
static const char *parse_list(const char *p, json_t *into)
{
	while (*p && *p != ')') {
		size_t n = strcspn(p, ",()/");
		_cleanup_free_ char *name = xstrndup(p, n);
		json_t *sub = json_object_get(into, name);

		if (!sub) {
			sub = json_object();
			json_object_set_new(into, name, sub);
		}
		p += n;
		while (*p == '/') {
			_cleanup_free_ char *part = NULL;
			json_t *deeper = json_object();

			n = strcspn(++p, ",()/");
			part = xstrndup(p, n);
			json_object_set_new(sub, part, deeper);
			sub = deeper;
			p += n;
		}
		if (*p == '(') {
			p = parse_list(p + 1, sub);
			if (*p == ')')
				p++;
		}
		if (*p == ',')
			p++;
	}
	return p;
}

static void apply(json_t *json, json_t *mask)
{
	const char *name;
	json_t *v, *sub;
	size_t i;
	void *next;

	if (!json_object_size(mask))
		return;
	json_array_foreach(json, i, v) apply(v, mask);
	json_object_foreach_safe(json, next, name, v)
	{
		sub = json_object_get(mask, name);
		if (!sub)
			sub = json_object_get(mask, "*");
		if (sub)
			apply(v, sub);
		else
			json_object_del(json, name);
	}
}

void fields_apply(json_t *json, const char *mask)
{
	_cleanup_json_ json_t *tree = json_object();

	parse_list(mask, tree);
	apply(json, tree);
}
