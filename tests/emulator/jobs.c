#include "jobs.h"
#include "answer.h"
#include "keys.h"
#include "knobs.h"
#include "store.h"
#include "world.h"

#define TYPE "type.googleapis.com/google.ai.generativelanguage.v1main."

static struct registry jobs; /* world_lock */

static const char *const state_names[JOB_STATES] = {"PENDING", "RUNNING", "SUCCEEDED",
	"FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"};

int job_state_of(const char *name)
{
	for (int i = 0; i < JOB_STATES; i++)
		if (!strcmp(state_names[i], name))
			return i;
	return -1;
}

struct job *job_new(void)
{
	struct job *j = xcalloc(1, sizeof(*j));

	random_id(j->id, JOB_ID_LEN);
	return j;
}

void job_free(struct job *j)
{
	if (!j)
		return;
	free(j->model);
	free(j->display_name);
	free(j->error_text);
	free(j->shown_state);
	free(j);
}

void job_save(const struct job *j)
{
	_cleanup_json_ json_t *r =
		json_pack("{ss ss sb sb sb ss}", "project", j->project, "model",
			j->model, "embed", j->embed, "hasOutput", j->has_output,
			"inlineOutput", j->inline_output, "inputFile", j->input_file);
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {{"priority", j->priority}, {"created", j->created},
		{"updated", j->updated}, {"ended", j->ended}, {"total", j->total},
		{"ok", j->ok}, {"failed", j->failed}, {"state", j->state},
		{"errorCode", j->error_code}, {"outputFrom", j->output_from},
		{"outcome", j->outcome}, {"pendingSince", j->pending_since},
		{"runFrom", j->run_from}, {"runUntil", j->run_until},
		{"cancelAt", j->cancel_at}, {"tokens", j->tokens}};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		json_object_set_new(r, numbers[i].name, json_integer(numbers[i].value));
	if (j->display_name)
		json_object_set_new(r, "displayName",
			json_stringn(j->display_name, j->display_len));
	if (j->error_text)
		json_object_set_new(r, "errorText", json_string(j->error_text));
	store_save("jobs", j->id, r);
}

static void load(const char *id, json_t *r)
{
	struct job *j = xcalloc(1, sizeof(*j));
	json_t *name = jget(r, "displayName");
	const char *text = jstr(r, "errorText"), *model = jstr(r, "model");

	snprintf(j->id, sizeof(j->id), "%s", id);
	snprintf(j->project, sizeof(j->project), "%s", jstr(r, "project"));
	snprintf(j->input_file, sizeof(j->input_file), "%s", jstr(r, "inputFile"));
	j->model = xstrdup(model ? model : "");
	if (name) {
		j->display_len = json_string_length(name);
		j->display_name = xstrndup(json_string_value(name), j->display_len);
	}
	j->error_text = text ? xstrdup(text) : NULL;
	j->embed = json_is_true(jget(r, "embed"));
	j->has_output = json_is_true(jget(r, "hasOutput"));
	j->inline_output = json_is_true(jget(r, "inlineOutput"));
	j->priority = jint(r, "priority", 0);
	j->created = jint(r, "created", 0);
	j->updated = jint(r, "updated", 0);
	j->ended = jint(r, "ended", 0);
	j->total = jint(r, "total", 0);
	j->ok = jint(r, "ok", 0);
	j->failed = jint(r, "failed", 0);
	j->state = jint(r, "state", 0);
	j->error_code = jint(r, "errorCode", 0);
	j->output_from = jint(r, "outputFrom", 0);
	j->outcome = jint(r, "outcome", 0);
	j->pending_since = jint(r, "pendingSince", 0);
	j->run_from = jint(r, "runFrom", 0);
	j->run_until = jint(r, "runUntil", 0);
	j->cancel_at = jint(r, "cancelAt", 0);
	j->tokens = jint(r, "tokens", 0);
	registry_add(&jobs, j);
}

static int by_age(const void *a, const void *b)
{
	const struct job *x = *(struct job *const *)a, *y = *(struct job *const *)b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->id, y->id);
}

void jobs_resort(void)
{
	qsort(jobs.items, jobs.n, sizeof(jobs.items[0]), by_age);
}

void jobs_load(void)
{
	store_each("jobs", load);
	if (jobs.n)
		jobs_resort();
}

void job_add_take(struct job *j)
{
	bool in_order = !jobs.n ||
			((struct job *)jobs.items[jobs.n - 1])->created <= j->created;

	registry_add(&jobs, j);
	if (!in_order)
		jobs_resort();
	job_save(j);
}

struct job **jobs_all(size_t *ret_n)
{
	*ret_n = jobs.n;
	return (struct job **)jobs.items;
}

bool job_has_ended(const struct job *j)
{
	return j->state >= JOB_SUCCEEDED;
}

int64_t jobs_unended(const char *project)
{
	int64_t n = 0;

	for (size_t i = 0; i < jobs.n; i++) {
		struct job *j = jobs.items[i];

		n += !job_has_ended(j) && !strcmp(j->project, project);
	}
	return n;
}

static void delete_output(struct job *j)
{
	_cleanup_free_ char *id = xasprintf("batch-%s", j->id);
	struct file *f = file_find("*", id);

	if (f)
		file_remove(f);
	store_unlink("inline", j->id, ".in");
	store_unlink("inline", j->id, ".out");
}

void job_delete(struct job *j)
{
	if (!j->deleted) {
		registry_remove(&jobs, j);
		store_remove("jobs", j->id);
		j->deleted = true;
	}
	if (j->working || j->watched)
		return;
	delete_output(j);
	job_free(j);
}

struct job *job_find(const char *project, const char *id)
{
	struct job *j = registry_find(&jobs, id);
	double hours = knob_num(K_job_retention);

	if (!j || !project_owns(project, j->project))
		return NULL;
	if (hours > 0 && j->ended && j->ended + (int64_t)(hours * HOUR) < now_ns()) {
		job_delete(j);
		return NULL;
	}
	return j;
}

/* How it looks */

static void put_time(json_t *m, const char *name, int64_t ns)
{
	char text[TIME_LEN];
	int digits = knob_num(K_time_digits);
	size_t keep = digits > 0 ? 20 + digits : 19;

	time_text(ns, text);
	if (digits < 9)
		strcpy(text + keep, "Z");
	json_object_set_new(m, name, json_string(text));
}

static void put_count(json_t *s, const char *name, int64_t n)
{
	if (!n && !knob_on(K_zero_counts))
		return;
	json_object_set_new(s, name,
		knob_choice(K_counts) ? json_integer(n)
				      : json_sprintf("%lld", (long long)n));
}

/* While answers are not made one by one, progress is a matter of time. */
static int64_t served_by_now(const struct job *j)
{
	int64_t span = j->run_until - j->run_from, past = now_ns() - j->run_from;

	if (j->ok || j->failed || span <= 0 || past <= 0)
		return j->ok;
	return past >= span ? j->total : (int64_t)((double)j->total * past / span);
}

static json_t *stats(const struct job *j)
{
	int64_t ok = j->ok, failed = j->failed;
	json_t *s = json_object();

	if (j->state == JOB_RUNNING)
		ok = served_by_now(j);
	if (!job_has_ended(j) && knob_on(K_counts_lag))
		ok = failed = 0;
	put_count(s, "requestCount", j->total);
	put_count(s, "successfulRequestCount", ok);
	put_count(s, "failedRequestCount", failed);
	put_count(s, "pendingRequestCount", j->total - ok - failed);
	return s;
}

static bool output_visible(const struct job *j)
{
	return j->has_output && j->output_from <= now_ns();
}

bool job_shows_inline(const struct job *j)
{
	return output_visible(j) && j->inline_output;
}

static json_t *state_json(const struct job *j)
{
	static const char *const prefixes[] = {"BATCH_STATE_", "JOB_STATE_", ""};

	if (j->shown_state)
		return json_string(j->shown_state);
	return json_sprintf(
		"%s%s", prefixes[knob_choice(K_state_spelling)], state_names[j->state]);
}

json_t *job_batch_json(const struct job *j, bool listing)
{
	json_t *m = json_object();

	if (knob_on(K_echo_model))
		json_object_set_new(m, "model", json_sprintf("models/%s", j->model));
	if (j->display_name && j->display_len)
		json_object_set_new(m, "displayName",
			json_stringn(j->display_name, j->display_len));
	if (*j->input_file && (!listing || knob_on(K_list_input_config)))
		json_object_set_new(m, "inputConfig",
			json_pack("{so}", "fileName",
				json_sprintf("files/%s", j->input_file)));
	if (output_visible(j) && !j->inline_output && knob_choice(K_output_where) != 2)
		json_object_set_new(m, "output",
			json_pack("{so}", "responsesFile",
				json_sprintf("files/batch-%s", j->id)));
	put_time(m, "createTime", j->created);
	if (j->ended)
		put_time(m, "endTime", j->ended);
	put_time(m, "updateTime", knob_on(K_time_back) ? j->created - NS : j->updated);
	if (!knob_on(K_no_stats))
		json_object_set_new(m, "batchStats", stats(j));
	if (!knob_on(K_state_missing))
		json_object_set_new(m, "state", state_json(j));
	json_object_set_new(m, "name", json_sprintf("batches/%s", j->id));
	if (j->priority && knob_on(K_echo_priority))
		json_object_set_new(
			m, "priority", json_sprintf("%lld", (long long)j->priority));
	return m;
}

static void put_outcome(const struct job *j, json_t *op)
{
	bool good = j->state == JOB_SUCCEEDED || j->state == JOB_PARTIAL;
	json_t *r;

	if (good || (job_has_ended(j) && knob_on(K_ended_done)))
		json_object_set_new(op, "done", json_true());
	else if (knob_on(K_done_false))
		json_object_set_new(op, "done", json_false());
	if (j->error_code)
		json_object_set_new(op, "error",
			json_pack("{si ss*}", "code", j->error_code, "message",
				j->error_text));
	if (!good || knob_choice(K_output_where) == 1 || j->error_code)
		return;
	r = json_pack("{ss}", "@type",
		j->embed ? answer_embeds_newly(j->model) ? TYPE "EmbedContentBatch"
							 : TYPE "EmbedContentBatchOutput"
			 : TYPE "GenerateContentBatchOutput");
	if (output_visible(j) && !j->inline_output)
		json_object_set_new(
			r, "responsesFile", json_sprintf("files/batch-%s", j->id));
	json_object_set_new(op, "response", r);
}

json_t *job_json(const struct job *j, bool listing)
{
	json_t *op = json_object(), *m = json_object();
	_cleanup_json_ json_t *batch = job_batch_json(j, listing);

	json_object_set_new(op, "name", json_sprintf("batches/%s", j->id));
	json_object_set_new(m, "@type",
		json_string(j->embed ? TYPE "EmbedContentBatch"
				     : TYPE "GenerateContentBatch"));
	json_object_update(m, batch);
	json_object_set_new(op, "metadata", m);
	put_outcome(j, op);
	return op;
}

static json_t *read_lines(const char *id)
{
	_cleanup_free_ char *path = store_path("inline", id, ".out"), *line = NULL;
	json_t *all = json_array(), *one;
	FILE *f = fopen(path, "re");
	size_t cap = 0;
	ssize_t n;

	while (f && (n = getline(&line, &cap, f)) > 0) {
		one = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
		if (one)
			json_array_append_new(all, one);
	}
	if (f)
		fclose(f);
	return all;
}

/* The order of members is kept as it is on the wire, so output goes before createTime.
 */
static void insert_output(json_t *metadata, json_t *output)
{
	_cleanup_json_ json_t *old = json_copy(metadata);
	const char *name;
	json_t *v;

	json_object_clear(metadata);
	json_object_foreach(old, name, v)
	{
		if (!strcmp(name, "createTime"))
			json_object_set(metadata, "output", output);
		json_object_set(metadata, name, v);
	}
}

void job_add_output(json_t *operation, const char *id)
{
	json_t *m = json_object_get(operation, "metadata");
	json_t *response = json_object_get(operation, "response");
	const char *type = json_string_value(json_object_get(m, "@type"));
	bool embed = type && strstr(type, "Embed");
	bool old = embed && !answer_embeds_newly(jstr(m, "model"));
	const char *name = old ? "inlinedEmbedContentResponses" : "inlinedResponses";
	json_t *lines = read_lines(id);
	_cleanup_json_ json_t *output = NULL;

	if (knob_choice(K_output_kind) != 3)
		lines = json_pack("{so}", "inlinedResponses", lines);
	output = json_pack("{so}", name, lines);
	if (knob_choice(K_output_where) != 2)
		insert_output(m, output);
	if (response)
		json_object_update(response, output);
}
