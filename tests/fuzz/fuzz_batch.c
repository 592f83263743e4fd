/* A job's JSON of any bytes. Checked: what is taken is what the rest of the library
 * relies on, and what was taken is taken again from its own text. */
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
	check(!text || util_utf8_valid(text, strlen(text)), "text is UTF-8");
}

static void check_count(int64_t n)
{
	check(n >= -1, "count");
}

static void check_batch(const struct remote_batch *b)
{
	check(util_id_valid(b->id, "batches/"), "id");
	check(!b->input_file || util_id_valid(b->input_file, "files/"), "input");
	check(!b->output_file || util_id_valid(b->output_file, "files/"), "output");
	check(!b->model || util_id_valid(b->model, "models/") ||
			util_id_valid(b->model, "tunedModels/"),
		"model");
	check(b->state_text && *b->state_text && strlen(b->state_text) <= 80, "state");
	check(strpbrk(b->state_text, " \t\r\n") == NULL, "state in one word");
	check(b->display != NULL, "display");
	check_text(b->display);
	check_text(b->error_text);
	check_text(b->json);
	check(b->json[strlen(b->json) - 1] == '\n', "newline");
	check(b->error_code >= 0, "error code");
	check_count(b->requests);
	check_count(b->succeeded);
	check_count(b->failed);
	check_count(b->pending);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct remote_batch b, again;
	int r = gemini_batch_parse((const char *)data, n, &b);

	check(r == 0 || r == -EPROTO, "error");
	if (r < 0)
		return 0;
	check_batch(&b);
	check(gemini_batch_parse(b.json, strlen(b.json), &again) == 0, "its own text");
	check(strcmp(b.id, again.id) == 0 && b.state == again.state &&
			b.ended == again.ended && b.requests == again.requests &&
			b.output_inline == again.output_inline &&
			strcmp(b.json, again.json) == 0,
		"the same again");
	remote_batch_clear(&b);
	remote_batch_clear(&again);
	return 0;
}
