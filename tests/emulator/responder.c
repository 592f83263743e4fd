#include "responder.h"
#include "answer.h"
#include "caches.h"
#include "command.h"
#include "files.h"
#include "knobs.h"
#include "prompt.h"
#include "sense.h"
#include "world.h"

static const char *command;
static int width = 1;

void responder_set(const char *cmd, int jobs)
{
	command = cmd;
	width = cmd ? jobs : 1;
	command_limit(jobs);
}

bool responder_is_slow(void)
{
	return command != NULL;
}

int responder_width(void)
{
	return width;
}

static json_t *error(int code, const char *message)
{
	return json_pack("{s{si ss*}}", "error", "code", code, "message", message);
}

/* What parses but makes no sense. NULL when it does make sense. */
static json_t *nonsense(const struct asking *a, json_t *request)
{
	json_t *contents = jget(request, "contents");
	json_t *system = jget(request, "systemInstruction");
	_cleanup_free_ char *why = sense_fault(request, a->embed);

	if (why)
		return error(3, why);
	if (a->embed)
		return NULL;
	if (!json_array_size(contents) && !json_is_object(contents))
		return error(3, "* GenerateContentRequest.contents: contents is not "
				"specified\n");
	if (system && prompt_is_empty(system))
		return error(3, "* GenerateContentRequest.system_instruction: must not "
				"be empty\n");
	return NULL;
}

/* Files a request refers to must be there when its turn comes, not only at create. What
 * is inline is there. */
static json_t *absent_file(const struct asking *a, const struct prompt *p)
{
	for (size_t i = 0; i < p->n_files; i++) {
		const char *uri = p->files[i].uri, *id = uri ? file_id_of(uri) : NULL;
		_cleanup_free_ char *text = NULL;
		struct file *f;

		if (!uri)
			continue;

		world_lock();
		f = id ? file_find(a->project, id) : NULL;
		if (f) {
			((struct prompt *)p)->files[i].size = f->size;
			strcpy(((struct prompt *)p)->files[i].sha256, f->sha256);
		}
		world_unlock();
		if (f)
			continue;
		text = xasprintf(
			"You do not have permission to access the File %s or it "
			"may not exist.",
			id ? id : uri);
		return error(7, text);
	}
	return NULL;
}

static json_t *absent_cache(const struct asking *a, json_t *request)
{
	const char *name = jstr(request, "cachedContent");

	if (!name || cache_exists(a->project, name))
		return NULL;
	return error(7, "CachedContent not found (or permission denied)");
}

static json_t *by_command(const struct asking *a, json_t *request, struct prompt *p)
{
	struct buf out = {0};
	int status = command_run(command, a->model, request, &p->text, &out);
	json_t *r;

	if (status == 0) {
		r = answer_text(a, p, out.p ? out.p : "", out.len, "STOP");
	} else {
		_cleanup_free_ char *text =
			xasprintf("The responder failed with status %d.", status);

		r = error(13, text);
	}
	buf_free(&out);
	return r;
}

json_t *respond(const struct asking *a, json_t *request)
{
	struct prompt p;
	json_t *r;

	if (!json_is_object(request))
		return error(3, "Request is not a JSON object.");
	r = nonsense(a, request);
	if (r)
		return r;
	if (a->embed)
		return answer_embedding(a, request);
	prompt_read(request, &p);
	r = absent_file(a, &p);
	if (!r)
		r = absent_cache(a, request);
	if (!r && prompt_asks(&p, "missing", NULL))
		r = NULL;
	else if (!r && command)
		r = by_command(a, request, &p);
	else if (!r)
		r = answer_builtin(a, request, &p);
	prompt_free(&p);
	return r;
}
