#include "batches.h"
#include "bodycheck.h"
#include "jobs.h"
#include "knobs.h"
#include "life.h"
#include "models.h"
#include "quota.h"
#include "scoped.h"
#include "sense.h"
#include "store.h"
#include "tokens.h"
#include "validate.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

void batch_create_begin(struct request *rq)
{
	rq->body_max = knob_num(K_inline_limit) + 1;
}

/* The fileName of an inputConfig, where a create may have it; borrowed. */
static const char *file_name(json_t *input)
{
	const char *name = jstr(input, "fileName");

	if (!name && knob_on(K_seed_nesting))
		name = jstr(jget(input, "requests"), "fileName");
	return name;
}

/* Exactly one kind of input, in the right place? */
static bool input_ok(struct request *rq, json_t *input)
{
	json_t *nest = jget(input, "requests");

	if (!knob_on(K_seed_nesting) && jget(nest, "fileName")) {
		reply_error(rq, 400, NULL,
			"Invalid JSON payload received. Unknown name \"file_name\" at "
			"'batch.input_config.requests': Cannot find field.");
		return false;
	}
	if (!file_name(input) == !json_array_size(jget(nest, "requests"))) {
		reply_error(rq, 400, NULL,
			"* BatchGenerateContentRequest.batch.input_config: exactly one "
			"of "
			"file_name and requests must be set\n");
		return false;
	}
	return true;
}

static bool name_ok(struct request *rq, json_t *batch)
{
	json_t *name = jget(batch, "displayName");

	if (!name || json_string_length(name) <= knob_num(K_display_name_max))
		return true;
	reply_error(rq, 400, NULL,
		"* BatchGenerateContentRequest.batch.display_name: must not be longer "
		"than %d "
		"characters\n",
		(int)knob_num(K_display_name_max));
	return false;
}

/* The input file, opened; -errno after having replied. */
static int open_input(struct request *rq, const char *name, struct job *j)
{
	const char *id = file_id_of(name);
	bool processing = false;
	struct file *f;
	int fd = -ENOENT;

	world_lock();
	f = id && !strncmp(name, "files/", 6) ? file_find(rq->project, id) : NULL;
	if (f) {
		fd = file_open_bytes(id);
		processing = f->ready > now_ns();
		snprintf(j->input_file, sizeof(j->input_file), "%s", id);
	}
	world_unlock();
	if (fd < 0) {
		reply_not_found(rq);
	} else if (processing) {
		close(fd);
		fd = -EAGAIN;
		reply_error(rq, 400, "FAILED_PRECONDITION",
			"The File %s is not in an ACTIVE state and usage is not "
			"allowed.",
			id);
	}
	return fd;
}

/* The job keeps the input by a link of its own. */
static bool link_input(struct job *j)
{
	_cleanup_free_ char *from = store_path("blobs", j->input_file, "");
	_cleanup_free_ char *to = store_path("inline", j->id, ".in");

	return link(from, to) == 0;
}

/* The string of the next fileUri that begins at or after p and before `stop`, in uri;
 * where it ends, or NULL. */
static const char *next_uri(
	const char *p, const char *stop, const char *end, char uri[512])
{
	static const char *const names[] = {"\"fileUri\"", "\"file_uri\""};

	while (p < stop && (p = memmem(p, stop - p, "\"file", 5))) {
		size_t n = 0, len = 0;

		for (size_t i = 0; i < 2 && !n; i++)
			if ((size_t)(end - p) > strlen(names[i]) &&
				!memcmp(p, names[i], strlen(names[i])))
				n = strlen(names[i]);
		p += n ? n : 5;
		while (n && p < end && strchr(" \t:", *p))
			p++;
		if (!n || p == end || *p++ != '"')
			continue;
		while (p < end && *p != '"' && len < 511)
			uri[len++] = *p++;
		uri[len] = 0;
		return p;
	}
	return NULL;
}

/* Pages that were looked at count as ours until they are given back. */
#define LOOK_AT_ONCE (8 * 1024 * 1024)

/* The files that the lines name, as far as that is written without escapes. What lies
 * across the end of a piece is looked at with the next one. */
static bool uris_ok(struct request *rq, int fd, int64_t size)
{
	char *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0), uri[512];
	const char *end = map + size, *p, *stop;
	bool ok = true;

	if (map == MAP_FAILED)
		return true;
	for (char *from = map; ok && from < end; from += LOOK_AT_ONCE) {
		size_t left = end - from, n = left < LOOK_AT_ONCE ? left : LOOK_AT_ONCE;

		stop = from + n + (left - n < 4 ? left - n : 4);
		for (p = from; ok && (p = next_uri(p, stop, end, uri));)
			ok = file_uri_ok(rq, uri);
		madvise(from, n, MADV_DONTNEED);
	}
	munmap(map, size);
	return ok;
}

static bool file_input(struct request *rq, const char *name, struct job *j)
{
	_cleanup_close_ int fd = open_input(rq, name, j);
	struct validation v = {0};
	struct stat st;
	bool ok = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) < 0 || !link_input(j)) {
		reply_not_found(rq);
		return false;
	}
	if ((double)st.st_size > knob_num(K_input_limit)) {
		reply_error(rq, 400, NULL,
			"The input file must not be larger than %.0f bytes.",
			knob_num(K_input_limit));
		return false;
	}
	validate_file(fd, st.st_size, j->embed, &v);
	j->total = v.requests;
	j->tokens = v.tokens;
	if (v.faults)
		reply_error(rq, 400, NULL, "%s", v.text.p);
	else if (!v.requests && knob_choice(K_validate) != 2 &&
		 knob_choice(K_empty_file) == 0)
		reply_error(rq, 400, NULL, "The input file has no requests.");
	else
		ok = knob_choice(K_validate) || knob_choice(K_absent_files) || !v.requests ||
		     uris_ok(rq, fd, st.st_size);
	buf_free(&v.text);
	return ok;
}

/* Refusal of requests that make no sense, if the knob wants it at create. */
static bool sense_ok(struct request *rq, json_t *requests, bool embed)
{
	json_t *one;
	size_t i;

	if (!knob_choice(K_semantic))
		return true;
	json_array_foreach(requests, i, one)
	{
		_cleanup_free_ char *why = sense_fault(jget(one, "request"), embed);

		if (why) {
			reply_error(rq, 400, NULL, "%s", why);
			return false;
		}
	}
	return true;
}

static bool inline_input(struct request *rq, json_t *requests, struct job *j)
{
	_cleanup_free_ char *path = store_path("inline", j->id, ".in");
	json_t *one;
	size_t i;
	FILE *f;

	if (!sense_ok(rq, requests, j->embed))
		return false;
	f = fopen(path, "we");
	if (!f) {
		reply_error(rq, 500, NULL, "Cannot store the requests.");
		return false;
	}
	json_array_foreach(requests, i, one)
	{
		struct tokens t = {0};

		tokens_add_request(&t, jget(one, "request"));
		j->tokens += tokens_sum(&t);
		json_dumpf(one, f, JSON_COMPACT);
		fputc('\n', f);
	}
	fclose(f);
	j->total = json_array_size(requests);
	return true;
}

static void fill(struct request *rq, struct job *j, json_t *batch)
{
	json_t *name = jget(batch, "displayName");
	static const enum job_state starts[] = {JOB_PENDING, JOB_RUNNING, JOB_PENDING};

	strcpy(j->project, rq->project);
	j->display_len = json_string_length(name);
	j->display_name =
		name ? xstrndup(json_string_value(name), j->display_len) : NULL;
	j->priority = jint(batch, "priority", 0);
	j->created = j->updated = j->pending_since = now_ns();
	j->outcome = knob_choice(K_outcome);
	j->state = starts[knob_choice(K_start_state)];
	j->run_from = j->created;
	j->run_until = j->created + (int64_t)(scoped_num(K_running, j->project, j->model) * NS);
}

/* Makes it public unless a quota is against it. Returns the Operation, or NULL. */
static json_t *admit(struct job *j, struct refusal *ret_refusal)
{
	json_t *op = NULL;

	world_lock();
	*ret_refusal = quota_job(j);
	if (ret_refusal->cause)
		goto out;
	job_add_take(j);
	op = job_json(j, false);
	if (knob_choice(K_start_state) == 2) {
		life_end(j, JOB_FAILED);
		json_decref(op);
		op = job_json(j, false);
	} else {
		life_watch(j);
	}
out:
	world_unlock();
	return op;
}

/* Ends when a test says that it is long enough. */
static void take_time(void)
{
	const double step = 0.05;

	for (double at = 0; at < knob_num(K_create_delay) && nap(step); at += step)
		;
}

/* Takes over the job. */
static void submit(struct request *rq, json_t *batch, struct job *j)
{
	json_t *input = jget(batch, "inputConfig"), *op = NULL;
	struct refusal refusal;
	const char *name = file_name(input);
	bool ok;

	fill(rq, j, batch);
	ok = name ? file_input(rq, name, j)
		  : inline_input(rq, jget(jget(input, "requests"), "requests"), j);
	if (ok && !(op = admit(j, &refusal)))
		quota_reply(rq, &refusal);
	if (!op) {
		store_unlink("inline", j->id, ".in");
		job_free(j);
		return;
	}
	take_time();
	reply_json_take(rq, 200, op);
}

/* Whether the project may ask at all; else 429 was replied. */
static bool may_ask(struct request *rq)
{
	struct refusal refusal;

	world_lock();
	refusal = quota_call(rq->project, rq->arg);
	world_unlock();
	if (refusal.cause)
		quota_reply(rq, &refusal);
	return !refusal.cause;
}

static void create(struct request *rq, bool embed)
{
	_cleanup_json_ json_t *body = NULL;
	json_t *batch;
	struct job *j;

	if (!may_ask(rq))
		return;
	if (rq->body_seen > (int64_t)knob_num(K_inline_limit)) {
		reply_error(rq, 400, NULL,
			"Request payload size exceeds the limit: %lld bytes.",
			(long long)knob_num(K_inline_limit));
		return;
	}
	body = body_checked(rq, embed ? &schema_embed_body : &schema_batch_body);
	if (!body || !model_check(rq, rq->arg, embed ? MODEL_EMBED : MODEL_GENERATE))
		return;
	batch = jget(body, "batch");
	if (!name_ok(rq, batch) || !input_ok(rq, jget(batch, "inputConfig")))
		return;
	j = job_new();
	j->model = xstrdup(rq->arg);
	j->embed = embed;
	submit(rq, batch, j);
}

void batch_create(struct request *rq)
{
	create(rq, false);
}

void batch_create_embed(struct request *rq)
{
	create(rq, true);
}
