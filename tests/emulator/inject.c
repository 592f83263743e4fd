#include "inject.h"
#include "keys.h"
#include "knobs.h"
#include "life.h"
#include "store.h"
#include "world.h"

#include <errno.h>

static int64_t ns_of(json_t *body, const char *name, double fallback)
{
	json_t *v = json_object_get(body, name);

	return (int64_t)((json_is_number(v) ? json_number_value(v) : fallback) * NS);
}

static void set_name(struct job *j, json_t *name, int64_t index, int64_t count)
{
	free(j->display_name);
	j->display_name = NULL;
	j->display_len = json_string_length(name);
	if (!name || !json_is_string(name))
		return;
	j->display_name = xstrndup(json_string_value(name), j->display_len);
	if (count > 1) {
		char *numbered = xasprintf("%s%lld", j->display_name, (long long)index);

		free(j->display_name);
		j->display_name = numbered;
		j->display_len = strlen(numbered);
	}
}

/* Result lines `a`, `b`, … to about `bytes`, or as many as there are requests. */
static int64_t write_output(struct job *j, int64_t bytes, int64_t lines)
{
	_cleanup_free_ char *id =
		xasprintf("%s%s", j->inline_output ? "" : "batch-", j->id);
	_cleanup_free_ char *path = j->inline_output ? store_path("inline", id, ".out")
						     : store_path("blobs", id, "");
	int64_t each = lines > 0 && bytes / lines > 300 ? bytes / lines - 300 : 30;
	_cleanup_free_ char *text = xcalloc(1, each + 1);
	FILE *f = fopen(path, "we");
	int64_t size;

	if (!f)
		return -errno;
	for (int64_t i = 0; i < each; i++)
		text[i] = "the quick brown fox jumps over a lazy dog, "[i % 43];
	for (int64_t i = 0; i < lines; i++)
		fprintf(f,
			"{\"response\":{\"candidates\":[{\"content\":{\"parts\":[{"
			"\"text\":"
			"\"%s\"}],\"role\":\"model\"},\"finishReason\":\"STOP\","
			"\"index\":0}],"
			"\"usageMetadata\":{\"promptTokenCount\":5,"
			"\"candidatesTokenCount\":7,"
			"\"totalTokenCount\":12},\"modelVersion\":\"%s\"},%s\"request-%"
			"lld\"%s}\n",
			text, j->model,
			j->inline_output ? "\"metadata\":{\"key\":" : "\"key\":",
			(long long)i, j->inline_output ? "}" : "");
	size = ftello(f);
	fclose(f);
	return size;
}

static void add_file(const struct job *j, int64_t size)
{
	struct file *f = xcalloc(1, sizeof(*f));

	snprintf(f->id, sizeof(f->id), "batch-%.40s", j->id);
	strcpy(f->project, j->project);
	f->mime = xstrdup("application/jsonl");
	f->size = size;
	f->created = f->updated = now_ns();
	f->expires = f->created + (int64_t)(knob_num(K_output_life) * HOUR);
	f->generated = true;
	world_lock();
	file_add_take(f);
	world_unlock();
}

static void give_output(struct job *j, json_t *body)
{
	int64_t bytes = jint(body, "outputBytes", 0), size;

	if (!bytes && !json_is_true(json_object_get(body, "output")))
		return;
	size = write_output(j, bytes, j->total);
	if (size < 0)
		return;
	j->has_output = true;
	if (!j->inline_output)
		add_file(j, size);
}

static void set_owner(struct job *j, json_t *body)
{
	const char *key = jstr(body, "key"), *project = jstr(body, "project");

	if (key)
		keys_project(key, j->project);
	else
		snprintf(j->project, sizeof(j->project), "%s", project ? project : "*");
}

static struct job *make(json_t *body, int state, int64_t index, int64_t count)
{
	const char *model = jstr(body, "model"), *input = jstr(body, "inputFile");
	struct job *j = job_new();

	set_owner(j, body);
	j->model = xstrdup(model ? model : "gemini-3.8-flash");
	snprintf(j->input_file, sizeof(j->input_file), "%s",
		input ? input : "abc123def456");
	set_name(j, json_object_get(body, "displayName"), index, count);
	j->inline_output = json_is_true(json_object_get(body, "inline"));
	if (j->inline_output)
		*j->input_file = '\0';
	j->embed = json_is_true(json_object_get(body, "embed"));
	j->state = state;
	j->created = j->updated = j->pending_since = now_ns() - ns_of(body, "age", 0);
	j->run_from = j->run_until = now_ns();
	j->outcome = 3;
	j->total = jint(body, "requests", 3);
	j->tokens = jint(body, "tokens", 0);
	if (job_has_ended(j)) {
		j->ended = j->updated = j->created + ns_of(body, "took", 1);
		j->failed = state == JOB_SUCCEEDED ? jint(body, "failed", 0) : 0;
		j->ok = state == JOB_SUCCEEDED ? j->total - j->failed : 0;
	}
	if (job_has_ended(j))
		give_output(j, body);
	return j;
}

void inject_jobs(struct request *rq, json_t *body)
{
	const char *name = jstr(body, "state");
	int state = job_state_of(name ? name : "SUCCEEDED");
	int64_t count = jint(body, "count", 1);
	json_t *names = json_array();

	if (state < 0) {
		json_decref(names);
		reply_error(rq, 400, NULL, "no such state");
		return;
	}
	for (int64_t i = 0; i < count; i++) {
		struct job *j = make(body, state, i, count);

		json_array_append_new(names, json_sprintf("batches/%s", j->id));
		world_lock();
		job_add_take(j);
		if (!job_has_ended(j))
			life_watch(j);
		world_unlock();
	}
	reply_json_take(rq, 200, json_pack("{so}", "names", names));
}

static bool force_state(struct request *rq, struct job *j, const char *name)
{
	int state = job_state_of(name);

	if (state < 0) {
		reply_error(rq, 400, NULL, "no such state");
		return false;
	}
	if (state >= JOB_FAILED && state != JOB_PARTIAL) {
		life_end(j, state);
		return true;
	}
	j->outcome = state == JOB_PARTIAL ? 4 : state == JOB_SUCCEEDED ? 0 : 3;
	j->error_code = 0;
	j->ended = 0;
	j->state = job_has_ended(j) || state == JOB_PENDING ? JOB_PENDING : JOB_RUNNING;
	j->pending_since = state == JOB_PENDING ? INT64_MAX / 4 : now_ns();
	j->run_from = now_ns();
	j->run_until = now_ns();
	life_watch(j);
	return true;
}

bool inject_change(struct request *rq, struct job *j, json_t *body)
{
	int64_t age = ns_of(body, "age", 0);
	json_t *name = json_object_get(body, "displayName");
	const char *state = jstr(body, "state"), *shown = jstr(body, "stateText");

	if (state && !force_state(rq, j, state))
		return false;
	if (shown) {
		free(j->shown_state);
		j->shown_state = *shown ? xstrdup(shown) : NULL;
	}
	if (name)
		set_name(j, name, 0, 1);
	if (json_object_get(body, "updatedAge"))
		j->updated = now_ns() - ns_of(body, "updatedAge", 0);
	if (age) {
		j->created -= age;
		j->updated -= age;
		if (j->ended)
			j->ended -= age;
		jobs_resort();
	}
	if (json_object_get(body, "errorCode")) {
		const char *text = jstr(body, "errorMessage");

		free(j->error_text);
		j->error_text = text ? xstrdup(text) : NULL;
		j->error_code = jint(body, "errorCode", 0);
	}
	job_save(j);
	return true;
}
