#include "provider/all/ids.h"
#include "provider/gemini/gemini.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

static const struct provider_ids *const all_ids[] = {&gemini_ids};

/* text without prefix; NULL: it does not begin so. */
static const char *without(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

bool remote_id_valid(enum remote_id kind, const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_ids); i++)
		if (util_id_valid(id, all_ids[i]->prefix[kind]))
			return true;
	return false;
}

const char *remote_id_tail(const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_ids); i++)
		for (int kind = 0; kind < REMOTE_IDS; kind++)
			if (without(id, all_ids[i]->prefix[kind]))
				return without(id, all_ids[i]->prefix[kind]);
	return id;
}

bool remote_id_from(enum remote_id kind, const char *text, char ret[REMOTE_ID_SIZE])
{
	for (size_t i = 0; i < ARRAY_SIZE(all_ids); i++) {
		const char *prefix = all_ids[i]->prefix[kind];
		const char *tail = without(text, prefix);

		if (!tail)
			tail = text;
		snprintf(ret, REMOTE_ID_SIZE, "%s%.140s", prefix, tail);
		if (util_id_valid(ret, prefix))
			return true;
	}
	return false;
}

const char *remote_model_name(const char *model)
{
	for (size_t i = 0; model && i < ARRAY_SIZE(all_ids); i++) {
		const char *name = without(model, all_ids[i]->prefix[REMOTE_MODEL]);

		if (name)
			return name;
	}
	return model;
}

bool remote_model_valid(const char *model)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_ids); i++) {
		const char *prefix = all_ids[i]->prefix[REMOTE_MODEL];

		if (util_id_valid(model, prefix) || util_id_valid(model, "") ||
			(all_ids[i]->tuned && util_id_valid(model, all_ids[i]->tuned)))
			return true;
	}
	return false;
}
