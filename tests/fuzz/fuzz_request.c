/* A request of any bytes, as the emulator takes it: the check of a line, what it says of
 * requests that make no sense, and the answer.
 *
 * Checked: the check of the line ends inside of it; every answer is a response or an
 * error, and JSON that can be written. The emulator's own files, jobs and commands are
 * not here. */
#include "../emulator/caches.h"
#include "../emulator/command.h"
#include "../emulator/files.h"
#include "../emulator/jcheck.h"
#include "../emulator/responder.h"
#include "../emulator/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

void world_lock(void)
{
}

void world_unlock(void)
{
}

struct file *file_find(const char *project, const char *id)
{
	static struct file here = {.size = 7};

	return id[0] == 'a' ? &here : NULL;
}

const char *file_id_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : NULL;
}

bool cache_exists(const char *project, const char *name)
{
	return name[0] == 'c';
}

void command_limit(int jobs)
{
}

int command_run(const char *command, const char *model, json_t *request,
	const struct buf *prompt, struct buf *out)
{
	return 1;
}

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

static void check_line(const char *text, size_t n, const struct message *m)
{
	struct jcheck c = {.start = text, .end = text + n};

	if (jcheck_run(&c, m) < 0)
		check(c.fault_at >= c.start && c.fault_at <= c.end, "place of a fault");
}

static void answer(json_t *request, bool embed)
{
	struct asking a = {.model = "m", .project = "p", .embed = embed};
	json_t *r = respond(&a, request);
	char *text = r ? json_dumps(r, JSON_COMPACT) : NULL;

	check(!r || text, "an answer that cannot be written");
	check(!r || json_object_get(r, "response") || json_object_get(r, "error"),
		"neither response nor error");
	free(text);
	json_decref(r);
}

/* Answers that take their time come at once. */
static void hurry(void)
{
	static bool asked;

	if (!asked)
		stop_request();
	asked = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_t *line;

	hurry();
	check_line((const char *)data, n, &schema_line);
	check_line((const char *)data, n, &schema_embed_line);
	line = json_loadb((const char *)data, n, JSON_ALLOW_NUL, NULL);
	answer(json_object_get(line, "request"), false);
	answer(json_object_get(line, "request"), true);
	json_decref(line);
	return 0;
}
