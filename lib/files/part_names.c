#include "files/part_names.h"

#include <string.h>
#include <strings.h>

#include "base/util.h"

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

bool composed_is_part(const char *name)
{
	static const char *const parts[] = {"inputs.txt", "inputs.csv", "inputs.tsv",
		"prompt.txt", "system.txt", "schema.json", "defaults.json", NULL};

	return is_one_of(name, parts);
}

/* What editors, downloads and other systems leave behind: never sent, and not an error. */
bool composed_is_leftover(const char *name)
{
	static const char *const names[] = {"Thumbs.db", "ehthumbs.db", "desktop.ini",
		"Icon\r", "__MACOSX", "$RECYCLE.BIN"};
	static const char *const ends[] = {"~", ".orig", ".rej", ".swp", ".swo", ".swx",
		".part", ".partial", ".crdownload", ".opdownload"};
	size_t n = strlen(name);

	if (name[0] == '.' || strncmp(name, "~$", 2) == 0 ||
		(n > 2 && name[0] == '#' && name[n - 1] == '#'))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t m = strlen(ends[i]);

		if (n > m && strcasecmp(name + n - m, ends[i]) == 0)
			return true;
	}
	return false;
}
