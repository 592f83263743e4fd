#include "provider/all/ids.h"
#include "provider/all/providers.h"
#include "fake_provider.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/util.h"
#include "provider/gemini/gemini.h"

static struct fake_provider *fake_of(struct provider_conn *p)
{
	return p->arg;
}

static void die(const char *why)
{
	fprintf(stderr, "fake provider: %s\n", why);
	abort();
}

/* Who held it may have been killed (tests of crashes share a fake among processes): what it
 * was about to do has not been done. */
static void take_lock(struct fake_provider *f)
{
	if (pthread_mutex_lock(&f->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&f->lock);
}

static void init_lock(struct fake_provider *f)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&f->lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

/* Lock held: n bytes that live as long as the fake, in all processes that share it. */
static char *keep(struct fake_provider *f, const char *from, size_t n)
{
	char *to = f->room + f->used;

	if (f->used + n + 1 > FAKE_ROOM)
		die("no room left");
	memcpy(to, from, n);
	to[n] = '\0';
	f->used += n + 1;
	return to;
}

static char *keep_text(struct fake_provider *f, const char *text)
{
	return keep(f, text, strlen(text));
}

/* ---- the script ---------------------------------------------------------------- */

void fake_script(struct fake_provider *f, enum fake_call call, struct fake_answer a)
{
	if (!a.times)
		a.times = 1;
	take_lock(f);
	if (f->to[call] == FAKE_SCRIPT)
		die("the script is too long");
	f->script[call][f->to[call]++] = a;
	pthread_mutex_unlock(&f->lock);
}

void fake_unscript(struct fake_provider *f, enum fake_call call)
{
	take_lock(f);
	f->from[call] = f->to[call] = 0;
	pthread_mutex_unlock(&f->lock);
}

unsigned fake_count(struct fake_provider *f, enum fake_call call)
{
	take_lock(f);
	unsigned n = f->counts[call];
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* The call that this thread is in, for `after`. */
static _Thread_local enum fake_call calling;

/* A call begins: what it is answered. Returns with the lock held. */
static struct fake_answer begin(struct fake_provider *f, enum fake_call call)
{
	struct fake_answer a = {FAKE_OK};

	if (f->before)
		f->before(f, call);
	calling = call;
	take_lock(f);
	f->counts[call]++;
	if (f->from[call] < f->to[call]) {
		struct fake_answer *next = &f->script[call][f->from[call]];

		a = *next;
		if (--next->times == 0)
			f->from[call]++;
	}
	return a;
}

static bool has_effect(const struct fake_answer *a)
{
	return a->what == FAKE_OK || a->what == FAKE_LOST_AFTER ||
	       a->what == FAKE_GARBAGE_AFTER || a->what == FAKE_OTHER || a->done;
}

static char *error_body(const struct fake_answer *a)
{
	const char *status = a->status == 404   ? "NOT_FOUND"
			     : a->status == 429 ? "RESOURCE_EXHAUSTED"
			     : a->status == 403 ? "PERMISSION_DENIED"
			     : a->status < 500  ? "INVALID_ARGUMENT"
						: "UNAVAILABLE";
	const char *reason = a->reason ? a->reason : status;

	if (a->what == FAKE_PAGE)
		return strdup("<html><body>Not the API.</body></html>");
	return util_format(
		"{\"error\":{\"code\":%ld,\"status\":\"%s\",\"message\":\"%s\","
		"\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
		"\"reason\":\"%s\"}]}}",
		a->status, status, a->text ? a->text : "as the script says", reason);
}

static struct http_reply reply_of(const struct fake_answer *a)
{
	struct http_reply r = {.sent = HTTP_MAYBE_SENT,
		.retry_after = -1,
		.content_length = -1,
		.range_start = -1,
		.range_end = -1,
		.range_total = -1};

	switch (a->what) {
	case FAKE_STATUS:
	case FAKE_PAGE:
		r.status = a->status;
		r.retry_after = a->retry > 0 ? a->retry : -1;
		r.body = error_body(a);
		r.body_len = strlen(r.body);
		r.complete = true;
		break;
	case FAKE_UNREACHED:
		r.err = -EHOSTUNREACH;
		r.sent = HTTP_NOT_SENT;
		break;
	case FAKE_NO_ANSWER:
		r.err = -ETIMEDOUT;
		break;
	case FAKE_LOST_BEFORE:
	case FAKE_LOST_AFTER:
	case FAKE_GARBAGE:
	case FAKE_GARBAGE_AFTER:
		r.err = -EIO;
		break;
	case FAKE_OTHER:
	case FAKE_OK:
		r.status = 200;
		r.complete = true;
	}
	if (r.err)
		snprintf(r.error, sizeof r.error, "as the script says");
	return r;
}

/* The call is over: the lock goes. */
static int end(struct fake_provider *f, const struct fake_answer *a, int ret,
	struct canceller *c, struct provider_error *err)
{
	struct http_reply r = reply_of(a);

	pthread_mutex_unlock(&f->lock);
	if (f->after)
		f->after(f, calling);
	*err = (struct provider_error){.retry = -1};
	if (a->what != FAKE_OK)
		gemini_error_from_reply(&r, err);
	else if (ret)
		*err = (struct provider_error){.err = ret, .retry = -1};
	if ((a->what == FAKE_OK && !ret) || a->what == FAKE_GARBAGE ||
		a->what == FAKE_GARBAGE_AFTER)
		err->status = 200;
	err->sent = a->what == FAKE_OK ? HTTP_MAYBE_SENT : r.sent;
	free(r.body);
	return err->err;
}

/* What is not there. */
static int end_missing(
	struct fake_provider *f, struct canceller *c, struct provider_error *err)
{
	struct fake_answer a = {.what = FAKE_STATUS, .status = 404};

	return end(f, &a, 0, c, err);
}

/* ---- things; the lock is held ---------------------------------------------------- */

static struct fake_job *find_job(struct fake_provider *f, const char *id)
{
	for (size_t i = 0; i < f->n_jobs; i++)
		if (strcmp(f->jobs[i].id, id) == 0 && !f->jobs[i].removed &&
			!f->jobs[i].hidden)
			return &f->jobs[i];
	return NULL;
}

static struct fake_file *find_file(struct fake_provider *f, const char *id)
{
	for (size_t i = 0; id && i < f->n_files; i++)
		if (strcmp(f->files[i].id, id) == 0 && !f->files[i].removed)
			return &f->files[i];
	return NULL;
}

static struct fake_job *job_of_output(struct fake_provider *f, const char *id)
{
	for (size_t i = 0; i < f->n_jobs; i++)
		if (strcmp(f->jobs[i].output, id) == 0 && !f->jobs[i].removed)
			return &f->jobs[i];
	return NULL;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
		n += *p != '\n';
	return n;
}

/* The next. It is there once n_jobs counts it, when all of it is: who makes it may be killed
 * at any moment. */
static struct fake_job *add_job(struct fake_provider *f, const char *display,
	const char *model, const char *requests)
{
	struct fake_job *j = &f->jobs[f->n_jobs];

	if (f->n_jobs == FAKE_JOBS)
		die("too many jobs");
	*j = (struct fake_job){.display = keep_text(f, display ? display : ""),
		.model = keep_text(f, remote_model_name(model)),
		.requests = keep_text(f, requests),
		.n_requests = count_lines(requests),
		.state = "BATCH_STATE_PENDING",
		.created = time(NULL)};
	snprintf(j->id, sizeof j->id, "batches/fake-%zu", f->n_jobs);
	return j;
}

/* A result for each request, by its key. */
static char *answer_all(const struct fake_job *j)
{
	char *out = NULL, *copy = strdup(j->requests), *save = NULL;
	size_t size;
	FILE *s = open_memstream(&out, &size);

	for (char *l = strtok_r(copy, "\n", &save); l;
		l = strtok_r(NULL, "\n", &save)) {
		json_t *o = json_loads(l, 0, NULL), *key = json_object_get(o, "key");
		char *text = key ? json_dumps(key, JSON_ENCODE_ANY) : strdup("null");

		fprintf(s,
			"{\"key\":%s,\"response\":{\"candidates\":[{\"content\":{"
			"\"parts\":"
			"[{\"text\":\"fine\"}]},\"finishReason\":\"STOP\"}]}}\n",
			text);
		free(text);
		json_decref(o);
	}
	fclose(s);
	free(copy);
	return out;
}

static void end_job(
	struct fake_provider *f, struct fake_job *j, enum remote_state state)
{
	static const char *const words[] = {
		[REMOTE_STATE_SUCCEEDED] = "BATCH_STATE_SUCCEEDED",
		[REMOTE_STATE_FAILED] = "BATCH_STATE_FAILED",
		[REMOTE_STATE_CANCELLED] = "BATCH_STATE_CANCELLED",
		[REMOTE_STATE_EXPIRED] = "BATCH_STATE_EXPIRED",
	};

	j->state = words[state];
	j->ended = time(NULL);
	if (state != REMOTE_STATE_SUCCEEDED)
		return;
	char *answers = j->answers ? strdup(j->answers) : answer_all(j);
	j->results = keep_text(f, answers);
	free(answers);
	if (j->input)
		snprintf(j->output, sizeof j->output, "files/out-%s",
			j->id + strlen("batches/"));
}

void fake_end(struct fake_provider *f, struct fake_job *j, enum remote_state state)
{
	take_lock(f);
	end_job(f, j, state);
	pthread_mutex_unlock(&f->lock);
}

/* ---- jobs as the API describes them ------------------------------------------------ */

static json_t *when(time_t t)
{
	char text[32];
	struct tm tm;

	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	return t ? json_string(text) : NULL;
}

static json_t *input_of(const struct fake_job *j)
{
	return j->input ? json_pack("{s:s}", "fileName", j->input)
			: json_pack("{s:{}}", "requests");
}

static json_t *output_of_job(const struct fake_job *j)
{
	if (!j->results)
		return NULL;
	return j->output[0] ? json_pack("{s:s}", "responsesFile", j->output)
			    : json_pack("{s:{}}", "inlinedResponses");
}

static void describe(
	const struct fake_job *j, bool with_input, struct remote_batch *ret)
{
	char model[256], count[24];
	bool good = j->results != NULL;

	snprintf(model, sizeof model, "models/%s", j->model);
	snprintf(count, sizeof count, "%zu", j->n_requests);
	json_t *meta = json_pack("{s:s,s:s,s:s,s:s,s:{s:s,s:s},s:o*,s:o*,s:o*,s:o*}",
		"@type",
		j->embedding
			? "type.googleapis.com/google.ai.generativelanguage.v1main."
			  "EmbedContentBatch"
			: "type.googleapis.com/google.ai.generativelanguage.v1main."
			  "GenerateContentBatch",
		"model", model, "displayName", j->display, "state", j->state,
		"batchStats", "requestCount", count,
		good ? "successfulRequestCount" : "pendingRequestCount", count,
		"createTime", when(j->created), "endTime", when(j->ended),
		"inputConfig", with_input ? input_of(j) : NULL, "output",
		output_of_job(j));
	json_t *op = json_pack("{s:s,s:o,s:b}", "name", j->id, "metadata", meta, "done",
		j->ended != 0);
	char *text = op ? json_dumps(op, JSON_PRESERVE_ORDER) : NULL;

	json_decref(op);
	if (!text || gemini_batch_parse(text, strlen(text), ret))
		die("a job cannot be described");
	free(text);
}

/* ---- calls: the key and models ---------------------------------------------------- */

static int check_key(struct provider_conn *p, double deadline, struct canceller *c,
	struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_CHECK_KEY);

	return end(f, &a, 0, c, err);
}

static int models(struct provider_conn *p, struct canceller *c,
	struct remote_models *ret, struct provider_error *err)
{
	static const char *const names[] = {
		"gemini-flash-latest", "gemini-embedding-001"};
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_MODELS);

	if (a.what == FAKE_OK) {
		*ret = (struct remote_models){calloc(2, sizeof *ret->list), 2};
		for (size_t i = 0; i < 2; i++)
			ret->list[i] = (struct remote_model){
				strdup(names[i]), i ? BATCH_EMBED : BATCH_GENERATE};
	}
	return end(f, &a, 0, c, err);
}

static int model_get(struct provider_conn *p, const char *model, struct canceller *c,
	unsigned *ret_methods, struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_MODEL_GET);

	if (a.what == FAKE_OK && strstr(model, "unknown"))
		return end_missing(f, c, err);
	if (a.what == FAKE_OK)
		*ret_methods = strstr(model, "embed") ? BATCH_EMBED : BATCH_GENERATE;
	return end(f, &a, 0, c, err);
}

static int count(struct provider_conn *p, const struct count_args *c, struct canceller *by,
	int64_t *ret, struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_COUNT);

	if (a.what == FAKE_OK)
		*ret = c->request ? (int64_t)c->request_len : 258;
	return end(f, &a, 0, by, err);
}

/* ---- calls: jobs -------------------------------------------------------------------- */

/* One page. */
static int list(struct provider_conn *p, const char *token, struct canceller *c,
	struct remote_page *ret, struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_LIST);

	if (a.what == FAKE_OK) {
		struct remote_page page = {calloc(f->n_jobs + 1, sizeof *page.batches)};

		for (size_t i = f->n_jobs; i > 0; i--) {
			const struct fake_job *j = &f->jobs[i - 1];

			if (!j->removed && !j->hidden)
				describe(
					j, !f->lists_no_input, &page.batches[page.n++]);
		}
		*ret = page;
	}
	return end(f, &a, 0, c, err);
}

static int get_as(struct provider_conn *p, enum fake_call call, const char *id, int fd,
	struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
	struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, call);
	const struct fake_job *j = find_job(f, id);

	if (a.what == FAKE_OK && !j)
		return end_missing(f, c, err);
	if (a.what == FAKE_OK) {
		bool lines = fd >= 0 && j->results && !j->output[0];

		describe(j, true, ret);
		if (lines && dprintf(fd, "%s", j->results) < 0)
			die("an output cannot be written");
		if (ret_lines)
			*ret_lines = lines ? (int64_t)count_lines(j->results) : 0;
	}
	return end(f, &a, 0, c, err);
}

static int get(struct provider_conn *p, const char *id, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err)
{
	return get_as(p, FAKE_GET, id, -1, c, ret, NULL, err);
}

static int inline_output(struct provider_conn *p, const char *id, int fd,
	struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
	struct provider_error *err)
{
	return get_as(p, FAKE_INLINE_OUTPUT, id, fd, c, ret, ret_lines, err);
}

/* Requests of a create as the lines that they were made of. */
static char *inline_lines(const struct create_args *args)
{
	char *out = NULL, *array;
	size_t size, i;
	FILE *s = open_memstream(&out, &size);
	json_t *all, *one;

	array = util_format("[%.*s]", (int)args->inline_len, args->inline_requests);
	all = json_loads(array, 0, NULL);
	json_array_foreach(all, i, one)
	{
		json_t *key = json_object_get(json_object_get(one, "metadata"), "key");
		json_t *line = json_pack("{s:O*,s:O*}", "key", key, "request",
			json_object_get(one, "request"));

		json_dumpf(line, s, JSON_COMPACT);
		fputc('\n', s);
		json_decref(line);
	}
	fclose(s);
	json_decref(all);
	free(array);
	return out;
}

static struct fake_job *make(struct fake_provider *f, const struct create_args *args,
	const struct fake_file *file, bool hidden)
{
	char *lines = file ? strndup(file->data, file->size) : inline_lines(args);
	struct fake_job *j = add_job(f, args->display,
		f->alias_of ? f->alias_of : args->model, lines);

	free(lines);
	j->input = file ? file->id : NULL;
	j->embedding = args->embedding;
	j->hidden = hidden;
	if (f->ends_at_once)
		end_job(f, j, REMOTE_STATE_SUCCEEDED);
	f->n_jobs++;
	return j;
}

/* Lock held. */
static bool is_too_much(const struct fake_provider *f, const struct fake_file *file)
{
	size_t running = 0;

	for (size_t i = 0; i < f->n_jobs; i++)
		running += !f->jobs[i].ended && !f->jobs[i].removed;
	return (f->takes_bytes && file && file->size > f->takes_bytes) ||
	       (f->takes_jobs && running >= f->takes_jobs);
}

/* One that somebody else made. */
static void describe_other(const struct fake_job *made, struct remote_batch *ret)
{
	struct fake_job other = *made;

	strcpy(other.id, "batches/another");
	other.display = (char *)"another";
	other.input = "files/another";
	describe(&other, true, ret);
}

static int create(struct provider_conn *p, const struct create_args *args,
	struct canceller *c, struct remote_batch *ret, struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_CREATE);
	const struct fake_file *file = find_file(f, args->input_file);

	if (has_effect(&a) && args->input_file && !file)
		a = (struct fake_answer){.what = FAKE_STATUS,
			.status = 400,
			.text = "the file does not exist"};
	else if (has_effect(&a) && is_too_much(f, file))
		a = (struct fake_answer){
			.what = FAKE_STATUS, .status = 429, .text = f->quota_text};
	if (has_effect(&a)) {
		const struct fake_job *j = make(f, args, file, a.hides);

		if (a.what == FAKE_OK)
			describe(j, true, ret);
		else if (a.what == FAKE_OTHER)
			describe_other(j, ret);
	}
	if (a.what == FAKE_OTHER)
		a.what = FAKE_OK;
	return end(f, &a, 0, c, err);
}

static int cancel(struct provider_conn *p, const char *id, struct canceller *c,
	struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_CANCEL);
	struct fake_job *j = find_job(f, id);

	if (a.what == FAKE_OK && !j)
		return end_missing(f, c, err);
	if (has_effect(&a) && j && !j->ended)
		end_job(f, j, REMOTE_STATE_CANCELLED);
	return end(f, &a, 0, c, err);
}

static int remove_job(struct provider_conn *p, const char *id, struct canceller *c,
	struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_REMOVE);
	struct fake_job *j = find_job(f, id);

	if (a.what == FAKE_OK && !j)
		return end_missing(f, c, err);
	if (has_effect(&a) && j)
		j->removed = true;
	return end(f, &a, 0, c, err);
}

/* ---- calls: files --------------------------------------------------------------------- */

/* What a session was given already it is not given again. */
static struct fake_file *take_bytes(struct fake_provider *f, const struct upload *u)
{
	struct fake_file *file = f->files;

	for (; file < f->files + f->n_files; file++)
		if (strcmp(file->session, u->session) == 0)
			return file;
	if (f->n_files == FAKE_FILES)
		die("too many files");
	char *data = malloc((size_t)u->size + 1);
	if (pread(u->fd, data, (size_t)u->size, u->off) != (ssize_t)u->size)
		die("an upload cannot be read");
	*file = (struct fake_file){
		.data = keep(f, data, (size_t)u->size), .size = (size_t)u->size};
	free(data);
	snprintf(file->id, sizeof file->id, "files/in-%zu", f->n_files);
	snprintf(file->session, sizeof file->session, "%.95s", u->session);
	f->n_files++; /* as of jobs */
	return file;
}

static void describe_file(struct provider_conn *p, const struct fake_file *file,
	const char *mime, struct remote_file *ret)
{
	*ret = (struct remote_file){.name = strdup(file->id),
		.uri = util_format("%s/v1beta/%s", engine_origin(p->engine), file->id),
		.mime = strdup(mime ? mime : "application/jsonl"),
		.size = (int64_t)file->size,
		.expires = {time(NULL) + 48 * 3600, 0},
		.active = true};
}

/* 0: u has a session, and its owner knows. */
static int upload_start(struct provider_conn *p, struct upload *u, struct canceller *c,
	struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_UPLOAD);
	unsigned n = f->counts[FAKE_UPLOAD];
	int ret = end(f, &a, 0, c, err);

	if (ret)
		return ret;
	snprintf(u->session, sizeof u->session, "%s/session/%u",
		engine_origin(p->engine), n);
	ret = u->on_session ? u->on_session(u->arg, u->session) : 0;
	return err->err = ret;
}

static int upload(struct provider_conn *p, struct upload *u, struct canceller *c,
	struct remote_file *ret, struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	int started = u->session[0] ? 0 : upload_start(p, u, c, err);

	if (started)
		return started;
	struct fake_answer a = begin(f, FAKE_UPLOAD_BYTES);
	if (has_effect(&a)) {
		struct fake_file *file = take_bytes(f, u);

		if (a.what == FAKE_OK)
			describe_file(p, file, u->mime, ret);
	}
	return end(f, &a, 0, c, err);
}

static int file_remove(struct provider_conn *p, const char *id, struct canceller *c,
	struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_FILE_REMOVE);
	struct fake_file *file = find_file(f, id);

	if (has_effect(&a) && file)
		file->removed = true;
	return end(f, &a, 0, c, err);
}

static int files_used(struct provider_conn *p, struct canceller *c, int64_t *ret,
	bool *ret_whole, struct provider_error *err)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_FILES_USED);

	if (a.what == FAKE_OK) {
		*ret = 0;
		for (size_t i = 0; i < f->n_files; i++)
			*ret += f->files[i].removed ? 0 : (int64_t)f->files[i].size;
		*ret_whole = true;
	}
	return end(f, &a, 0, c, err);
}

/* ---- calls: downloads ------------------------------------------------------------------- */

/* Of the fake's own; nobody else looks into one. */
struct transfer {
	struct fake_provider *f;
	struct download d;
	struct fake_answer a;
	char range[48];
	char *data; /* the bytes that were asked for */
	size_t lo, n, total;
	bool there, aborted; /* the fake's lock */
};

static bool is_aborted(struct transfer *t)
{
	take_lock(t->f);
	bool aborted = t->aborted;
	pthread_mutex_unlock(&t->f->lock);
	return aborted;
}

static struct http_reply head_of(const struct transfer *t)
{
	struct http_reply r = reply_of(&(struct fake_answer){FAKE_OK});

	r.content_length = (int64_t)t->n;
	if (t->range[0] && t->lo >= t->total) {
		r.status = 416;
		r.range_total = (int64_t)t->total;
		r.content_length = 0;
	} else if (t->range[0]) {
		r.status = 206;
		r.range_start = (int64_t)t->lo;
		r.range_end = (int64_t)(t->lo + t->n) - 1;
		r.range_total = (int64_t)t->total;
	}
	return r;
}

/* Head and bytes; the reply that ends it. */
static struct http_reply serve(struct transfer *t)
{
	struct http_reply r = head_of(t);
	bool half = t->a.what == FAKE_LOST_AFTER;
	int stop = is_aborted(t) ? -ECANCELED : t->d.on_head(t->d.arg, &r);

	if (!stop && r.status / 100 == 2 && t->n)
		stop = t->d.on_data(t->d.arg, t->data, half ? t->n / 2 : t->n);
	if (stop || is_aborted(t) || half) {
		r.err = half && !stop && !is_aborted(t) ? -EIO : -ECANCELED;
		r.complete = false;
	}
	return r;
}

/* On the engine's thread. */
static void deliver(void *arg)
{
	struct transfer *t = arg;
	struct http_reply r;

	if (!has_effect(&t->a))
		r = reply_of(&t->a);
	else if (!t->there)
		r = reply_of(&(struct fake_answer){.what = FAKE_STATUS, .status = 404});
	else
		r = serve(t);
	if (!r.err && is_aborted(t))
		r.err = -ECANCELED;
	t->d.done(t->d.arg, &r);
	free(r.body);
	free(t->data);
	free(t);
}

/* Lock held: the bytes, as they are now. */
static void take_results(struct transfer *t, const struct fake_job *j)
{
	size_t hi;
	char *end;

	t->there = j && j->results;
	if (!t->there)
		return;
	t->total = hi = strlen(j->results);
	if (t->range[0]) {
		t->lo = strtoull(t->range, &end, 10);
		if (*end == '-' && end[1])
			hi = strtoull(end + 1, NULL, 10) + 1;
	}
	hi = hi < t->total ? hi : t->total;
	t->n = t->lo < hi ? hi - t->lo : 0;
	t->data = malloc(t->n + 1);
	memcpy(t->data, j->results + (t->n ? t->lo : 0), t->n);
}

static int download(
	struct provider_conn *p, const struct download *d, struct transfer **ret)
{
	struct fake_provider *f = fake_of(p);
	struct transfer *t = calloc(1, sizeof *t);
	int err;

	t->f = f;
	t->d = *d;
	if (d->range)
		snprintf(t->range, sizeof t->range, "%s", d->range);
	t->a = begin(f, FAKE_DOWNLOAD);
	take_results(t, job_of_output(f, d->file));
	pthread_mutex_unlock(&f->lock);
	*ret = t;
	err = engine_timer(p->engine, 0, deliver, t);
	if (err < 0) {
		free(t->data);
		free(t);
	}
	return err;
}

static void download_abort(struct provider_conn *p, struct transfer *t)
{
	take_lock(t->f);
	t->aborted = true;
	pthread_mutex_unlock(&t->f->lock);
}

static int output_size(struct provider_conn *p, const char *id, unsigned way,
	struct canceller *c, int64_t *ret)
{
	struct fake_provider *f = fake_of(p);
	struct fake_answer a = begin(f, FAKE_OUTPUT_SIZE);
	const struct fake_job *j = job_of_output(f, id);
	bool there = j && j->results;
	struct provider_error e;
	int err;

	if (a.what == FAKE_OK && there)
		*ret = (int64_t)strlen(j->results);
	err = end(f, &a, 0, c, &e);
	provider_error_clear(&e);
	return err == 0 && !there ? -ENODATA : err == -ENOENT ? -ENODATA : err;
}

/* ---- the fake ------------------------------------------------------------------------------ */

unsigned fake_made(struct fake_provider *f)
{
	take_lock(f);
	unsigned n = (unsigned)f->n_jobs;
	pthread_mutex_unlock(&f->lock);
	return n;
}

unsigned fake_there(struct fake_provider *f)
{
	unsigned n = 0;

	take_lock(f);
	for (size_t i = 0; i < f->n_jobs; i++)
		n += !f->jobs[i].removed;
	pthread_mutex_unlock(&f->lock);
	return n;
}

unsigned fake_uploads(struct fake_provider *f)
{
	unsigned n = 0;

	take_lock(f);
	for (size_t i = 0; i < f->n_files; i++)
		n += !f->files[i].removed;
	pthread_mutex_unlock(&f->lock);
	return n;
}

struct fake_job *fake_job(struct fake_provider *f, unsigned n)
{
	if (n >= fake_made(f))
		die("no such job was made");
	return &f->jobs[n];
}

struct fake_job *fake_stranger(struct fake_provider *f, const char *display)
{
	take_lock(f);
	struct fake_job *j =
		add_job(f, display, "gemini-flash-latest", "{\"key\":\"a\"}\n");
	f->n_jobs++;
	pthread_mutex_unlock(&f->lock);
	return j;
}

void fake_provider_init(struct fake_provider *f)
{
	*f = (struct fake_provider){.table = *provider_default()};
	init_lock(f);
	f->room = mmap(NULL, FAKE_ROOM, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->room == MAP_FAILED)
		die("no memory");
	f->table.name = "fake";
	f->table.ways = 1;
	f->table.check_key = check_key;
	f->table.models = models;
	f->table.model_get = model_get;
	f->table.list = list;
	f->table.get = f->table.look = get;
	f->table.inline_output = inline_output;
	f->table.count = count;
	f->table.create = create;
	f->table.cancel = cancel;
	f->table.remove = remove_job;
	f->table.upload = upload;
	f->table.file_remove = file_remove;
	f->table.files_used = files_used;
	f->table.download = download;
	f->table.download_abort = download_abort;
	f->table.output_size = output_size;
}

void fake_provider_clear(struct fake_provider *f)
{
	munmap(f->room, FAKE_ROOM);
	pthread_mutex_destroy(&f->lock);
}
