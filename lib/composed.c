#include "composed.h"
#include "util.h"

#include <string.h>

bool composed_is_part(const char *name)
{
	static const char *const parts[] = {
		"inputs.txt", "prompt.txt", "system.txt", "schema.json", "defaults.json"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strcmp(name, parts[i]) == 0)
			return true;
	return false;
}
