#include "batches.h"
#include "bodycheck.h"
#include "jobs.h"
#include "keys.h"
#include "knobs.h"
#include "life.h"
#include "store.h"
#include "world.h"

#include <ctype.h>
#include <sys/stat.h>

/* What is too big to be sent once is too big each time. */
static bool output_too_big(const char *id)
{
	_cleanup_free_ char *path = store_path("inline", id, ".out");
	int64_t limit = knob_num(K_inline_output_limit);
	struct stat st;

	return limit && stat(path, &st) == 0 && st.st_size > limit;
}

/* Not waited for: what counts is what the client was ready to wait. */
static bool takes_too_long(struct request *rq)
{
	const char *timeout = req_header(rq, "X-Server-Timeout");

	return knob_num(K_inline_output_takes) > (timeout ? atof(timeout) : 60);
}

void batch_get(struct request *rq)
{
	json_t *op = NULL;
	struct job *j;
	bool shows_inline = false;

	world_lock();
	j = job_find(rq->project, rq->arg);
	if (j) {
		op = job_json(j, false);
		shows_inline = job_shows_inline(j);
	}
	world_unlock();
	if (!op) {
		reply_not_found(rq);
		return;
	}
	if (shows_inline && (output_too_big(rq->arg) || takes_too_long(rq))) {
		json_decref(op);
		reply_error(rq, 503, NULL, "The service is currently unavailable.");
		return;
	}
	if (shows_inline)
		job_add_output(op, rq->arg);
	reply_json_take(rq, 200, op);
}

/*
 * A page token says behind which job (time and id) the page begins, and when it was
 * made: jobs that come or go meanwhile neither repeat nor hide others.
 */
static json_t *make_token(const struct job *j)
{
	return json_sprintf("%016llx%016llx%s", (unsigned long long)now_ns(),
		(unsigned long long)j->created, j->id);
}

static bool parse_token(const char *s, int64_t *ret_created, const char **ret_id)
{
	unsigned long long made, created;
	double life = knob_num(K_token_life);

	if (strlen(s) != 32 + JOB_ID_LEN || strspn(s, "0123456789abcdef") < 32 ||
		sscanf(s, "%16llx%16llx", &made, &created) != 2)
		return false;
	if (life > 0 && (int64_t)made + (int64_t)(life * NS) < now_ns())
		return false;
	*ret_created = created;
	*ret_id = s + 32;
	return true;
}

static bool is_listed(struct request *rq, const struct job *j, int64_t now)
{
	double hours = knob_num(K_job_retention);

	return project_owns(rq->project, j->project) &&
	       j->created + (int64_t)(knob_num(K_list_delay) * NS) <= now &&
	       (hours <= 0 || !j->ended || j->ended + (int64_t)(hours * HOUR) >= now);
}

/* Index one past the newest job that lies behind the token. */
static size_t behind(struct job **all, size_t n, int64_t created, const char *id)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		struct job *j = all[mid];

		if (j->created < created ||
			(j->created == created && strcmp(j->id, id) < 0))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static json_t *page(struct request *rq, int64_t size, int64_t created, const char *id)
{
	json_t *ops = json_array(), *reply = json_object();
	int64_t now = now_ns();
	struct job *last = NULL, **all;
	size_t n, i;

	world_lock();
	all = jobs_all(&n);
	for (i = id ? behind(all, n, created, id) : n; i > 0; i--) {
		struct job *j = all[i - 1];

		if (!is_listed(rq, j, now))
			continue;
		if ((int64_t)json_array_size(ops) == size)
			break;
		json_array_append_new(ops, job_json(j, true));
		if (job_shows_inline(j) && knob_on(K_list_inline))
			job_add_output(
				json_array_get(ops, json_array_size(ops) - 1), j->id);
		last = j;
	}
	if (last && i > 0)
		json_object_set_new(reply, "nextPageToken", make_token(last));
	world_unlock();
	if (json_array_size(ops)) {
		json_t *sorted = json_pack("{sO}", "operations", ops);

		json_object_update(sorted, reply);
		json_decref(reply);
		reply = sorted;
	}
	json_decref(ops);
	return reply;
}

/* A hundred jobs that never were: members of a list, no more. */
static json_t *invented(void)
{
	json_t *ops = json_array();

	for (int i = 0; i < 100; i++) {
		char id[37], name[64];

		random_token(id, 36);
		for (char *p = id; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		snprintf(name, sizeof(name), "batches/%s", id);
		json_array_append_new(ops,
			json_pack("{ss s{ss ss ss}}", "name", name, "metadata",
				"displayName", id, "state", "BATCH_STATE_SUCCEEDED",
				"createTime", "2026-01-02T03:04:05Z"));
	}
	return ops;
}

/* A server that pages for ever: whatever the token, there is another one. */
static json_t *endless(struct request *rq)
{
	char token[25];
	json_t *reply = json_object();

	random_token(token, 24);
	switch (knob_choice(K_endless_pages)) {
	case 1:
		json_decref(reply);
		reply = page(rq, 100, 0, NULL);
		break;
	case 2:
		json_object_set_new(reply, "operations", invented());
	}
	json_object_set_new(reply, "nextPageToken", json_string(token));
	return reply;
}

void batch_list(struct request *rq)
{
	const char *token = req_query(rq, "pageToken"), *id = NULL;
	int64_t size, created = 0, cap = knob_num(K_page_cap);

	if (!req_query_int(rq, "pageSize", 0, &size))
		return;
	if (size < 0) {
		reply_error(rq, 400, NULL, "page_size must not be negative.");
		return;
	}
	if (knob_choice(K_endless_pages)) {
		reply_json_take(rq, 200, endless(rq));
		return;
	}
	if (token && *token && !parse_token(token, &created, &id)) {
		reply_error(rq, 400, NULL, "Invalid page token.");
		return;
	}
	if (!size)
		size = knob_num(K_page_default);
	if (!size) {
		reply_empty(rq);
		return;
	}
	reply_json_take(rq, 200, page(rq, size > cap ? cap : size, created, id));
}

static void reply_status(struct request *rq, int status, const char *what)
{
	if (status == 200)
		reply_empty(rq);
	else if (status == 404)
		reply_not_found(rq);
	else
		reply_error(rq, status, "FAILED_PRECONDITION", "%s", what);
}

void batch_cancel(struct request *rq)
{
	int status = knob_num(K_cancel_missing);
	_cleanup_json_ json_t *body = req_json(rq);
	struct job *j;

	if (!body)
		return;
	world_lock();
	j = job_find(rq->project, rq->arg);
	if (j && job_has_ended(j)) {
		status = knob_num(K_cancel_ended);
	} else if (j) {
		status = 200;
		if (!j->cancel_at) {
			j->cancel_at =
				now_ns() + (int64_t)(knob_num(K_cancel_delay) * NS);
			job_save(j);
			life_kick();
		}
	}
	world_unlock();
	reply_status(rq, status, "The batch has ended and cannot be cancelled.");
}

void batch_delete(struct request *rq)
{
	int status = knob_num(K_delete_missing);
	struct job *j;

	world_lock();
	j = job_find(rq->project, rq->arg);
	if (j) {
		status = job_has_ended(j) ? 200 : knob_num(K_delete_running);
		if (status == 200)
			job_delete(j);
	}
	world_unlock();
	reply_status(rq, status, "The batch has not ended and cannot be deleted.");
}

static bool in_mask(const char *mask, const char *camel)
{
	while (mask && *mask) {
		size_t n = strcspn(mask, ",");

		if (name_is(mask, n, camel) || (n == 1 && *mask == '*'))
			return true;
		mask += n + (mask[n] == ',');
	}
	return false;
}

static void rename_job(struct job *j, json_t *batch)
{
	json_t *name = jget(batch, "displayName");

	free(j->display_name);
	j->display_len = json_string_length(name);
	j->display_name =
		name ? xstrndup(json_string_value(name), j->display_len) : NULL;
}

static json_t *update(struct request *rq, json_t *batch, const char *mask)
{
	struct job *j;
	json_t *r = NULL;

	world_lock();
	j = job_find(rq->project, rq->arg);
	if (j) {
		if (mask ? in_mask(mask, "displayName")
			 : jget(batch, "displayName") != NULL)
			rename_job(j, batch);
		if (mask ? in_mask(mask, "priority") : jget(batch, "priority") != NULL)
			j->priority = jint(batch, "priority", 0);
		j->updated = now_ns();
		job_save(j);
		r = job_batch_json(j, false);
	}
	world_unlock();
	return r;
}

void batch_patch(struct request *rq)
{
	const char *mask = req_query(rq, "updateMask");
	_cleanup_json_ json_t *batch = NULL;
	json_t *r;

	if (!knob_on(K_patch)) {
		reply_html(rq, 404);
		return;
	}
	if (mask && !*mask)
		mask = NULL;
	if (!mask && knob_choice(K_patch_empty_mask)) {
		reply_error(rq, 400, NULL, "update_mask is required.");
		return;
	}
	batch = body_checked(rq, &schema_batch);
	if (!batch)
		return;
	r = update(rq, batch, mask);
	if (r)
		reply_json_take(rq, 200, r);
	else
		reply_not_found(rq);
}
