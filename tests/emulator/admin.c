#include "admin.h"
#include "faults.h"
#include "files.h"
#include "inject.h"
#include "jobs.h"
#include "knobs.h"
#include "life.h"
#include "quota.h"
#include "stats.h"
#include "world.h"

#include <errno.h>

void admin_knobs(struct request *rq)
{
	reply_json_take(rq, 200, knobs_json());
}

static enum MHD_Result set_one(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct request *rq = cls;
	int r = knob_set(name, value ? value : "");

	if (r == 0)
		return MHD_YES;
	reply_reset(rq);
	reply_error(rq, 400, NULL,
		r == -ENOENT ? "no such knob: %s" : "bad value for %s", name);
	return MHD_NO;
}

void admin_set(struct request *rq)
{
	reply_empty(rq);
	MHD_get_connection_values(rq->conn, MHD_GET_ARGUMENT_KIND, set_one, rq);
	life_kick();
}

void admin_faults(struct request *rq)
{
	reply_json_take(rq, 200, json_pack("{so}", "faults", faults_json()));
}

static const char *query(void *cls, const char *name)
{
	return req_query(cls, name);
}

void admin_fault(struct request *rq)
{
	if (fault_arm_words(query, rq) < 0)
		reply_error(rq, 400, NULL, "no such fault");
	else
		reply_empty(rq);
}

void admin_fault_reset(struct request *rq)
{
	faults_reset();
	reply_empty(rq);
}

void admin_stats(struct request *rq)
{
	reply_json_take(rq, 200, stats_json());
}

void admin_stats_reset(struct request *rq)
{
	stats_reset();
	reply_empty(rq);
}

void admin_quota(struct request *rq)
{
	json_t *all;

	world_lock();
	all = quota_json();
	world_unlock();
	reply_json_take(rq, 200, all);
}

void admin_quota_reset(struct request *rq)
{
	world_lock();
	quota_reset();
	world_unlock();
	reply_empty(rq);
}

void admin_jobs(struct request *rq)
{
	const char *count = req_query(rq, "count");
	json_t *list = json_array();
	struct job **all;
	size_t n;

	world_lock();
	all = jobs_all(&n);
	for (size_t i = n; i-- > 0 && !count;) {
		json_t *j = job_json(all[i], false);

		json_object_set_new(j, "project", json_string(all[i]->project));
		json_object_set_new(j, "tokens", json_integer(all[i]->tokens));
		json_array_append_new(list, j);
	}
	world_unlock();
	reply_json_take(
		rq, 200, json_pack("{sI so}", "count", (json_int_t)n, "jobs", list));
}

void admin_job_add(struct request *rq)
{
	_cleanup_json_ json_t *body = req_json(rq);

	if (body)
		inject_jobs(rq, body);
}

void admin_job_change(struct request *rq)
{
	_cleanup_json_ json_t *body = req_json(rq);
	struct job *j;

	if (!body)
		return;
	world_lock();
	j = job_find("*", rq->arg);
	if (j && inject_change(rq, j, body))
		reply_json_take(rq, 200, job_json(j, false));
	world_unlock();
	life_kick();
	if (!j)
		reply_not_found(rq);
}

void admin_job_forget(struct request *rq)
{
	struct job *j;

	world_lock();
	j = job_find("*", rq->arg);
	if (j)
		job_delete(j);
	world_unlock();
	if (j)
		reply_empty(rq);
	else
		reply_not_found(rq);
}

void admin_file_change(struct request *rq)
{
	_cleanup_json_ json_t *body = req_json(rq);
	_cleanup_free_ char *origin = req_origin(rq);
	struct file *f;
	int64_t older;

	if (!body)
		return;
	older = (int64_t)(json_number_value(json_object_get(body, "age")) * NS);
	world_lock();
	f = file_find("*", rq->arg);
	if (f) {
		f->created -= older;
		f->updated -= older;
		if (f->expires)
			f->expires -= older;
		file_save(f);
		reply_json_take(rq, 200, file_json(f, origin));
	}
	world_unlock();
	if (!f)
		reply_not_found(rq);
}
