#include "provider/gemini/json_schema_refs.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* A part of a JSON pointer without its escapes. */
static void unescape_pointer(char *part)
{
	char *to = part;

	for (const char *p = part; *p; p++) {
		bool escaped = p[0] == '~' && (p[1] == '0' || p[1] == '1');

		*to++ = !escaped ? *p : p[1] == '0' ? '~' : '/';
		p += escaped;
	}
	*to = '\0';
}

static const json_t *step_into(const json_t *from, const char *part)
{
	char *end;
	unsigned long i = strtoul(part, &end, 10);

	if (json_is_array(from))
		return *part && !*end ? json_array_get(from, i) : NULL;
	return json_object_get(from, part);
}

const json_t *json_schema_find(const json_t *root, const char *pointer)
{
	_cleanup_free_ char *copy = strdup(pointer);
	const json_t *found = root;
	char *rest = copy ? copy + 1 : NULL, *part;

	if (!copy || *copy != '#' || (*rest && *rest != '/'))
		return NULL;
	for (strsep(&rest, "/"); found && (part = strsep(&rest, "/"));) {
		unescape_pointer(part);
		found = step_into(found, part);
	}
	return json_is_object(found) ? found : NULL;
}

json_t *json_schema_lay_over(const json_t *base, const json_t *over, const char *name)
{
	json_t *all = json_copy((json_t *)base);

	if (!all || json_object_update(all, (json_t *)over))
		goto fail;
	if (!json_object_get(base, name))
		json_object_del(all, name);
	else if (json_object_set(all, name, json_object_get(base, name)))
		goto fail;
	return all;
fail:
	json_decref(all);
	return NULL;
}
