/* A file's JSON of any bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "provider/gemini/calls.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct remote_file f;
	int r = gemini_file_parse((const char *)data, n, &f);

	check(r == 0 || r == -EPROTO, "error");
	if (r < 0)
		return 0;
	check(util_id_valid(f.name, "files/"), "name");
	check(f.size >= -1, "size");
	check(!(f.active && f.failed), "state");
	check(!f.uri || util_utf8_valid(f.uri, strlen(f.uri)), "uri");
	remote_file_clear(&f);
	return 0;
}
