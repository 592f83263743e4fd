/* An error's body of any bytes, with any status: the first two bytes choose it. */
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

static void check_text(const char *text)
{
	size_t n = strlen(text);

	check(n > 0 && n <= 16 << 10, "length");
	check(util_utf8_valid(text, n), "UTF-8");
	for (size_t i = 0; i < n; i++)
		check((unsigned char)text[i] >= ' ' || text[i] == '\n' || text[i] == '\t',
			"no control characters");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_reply reply = {.retry_after = -1};
	struct provider_error e;
	char *line;

	if (n < 2)
		return 0;
	reply.status = 300 + (data[0] << 8 | data[1]) % 300;
	/* As from the engine: NUL-terminated. */
	reply.body = strndup((const char *)data + 2, n - 2);
	reply.body_len = strlen(reply.body);
	gemini_error_from_reply(&reply, &e);
	check(e.err < 0, "an error is an error");
	check(!e.refused || (e.status >= 400 && e.status < 500), "refused");
	check(e.retry >= -1 && e.retry <= 86400, "retry");
	if (e.text)
		check_text(e.text);
	line = provider_error_line(&e);
	check(line && *line && !strchr(line, '\n'), "one line");
	free(line);
	provider_error_clear(&e);
	free(reply.body);
	return 0;
}
