/* The steps of rmdir at the API, and what the answers mean (remove.c). */
#include "client/remove.h"
#include "jobs/history.h"
#include "jobs/observe.h"

#include <errno.h>

void removal_note(struct gb_job *job, enum removal stage)
{
	client_lock(job->c);
	struct record *r = &job->dir->rec;
	r->removal = stage;
	if (stage == REMOVAL_NONE)
		r->removal_since = 0;
	else if (!r->removal_since)
		r->removal_since = record_now();
	client_unlock(job->c);
}

enum removal_step removal_next(struct gb_job *job)
{
	client_lock(job->c);
	enum removal_step step =
		knowledge_removal(&job->batch->known, client_moment(job->c));
	client_unlock(job->c);
	return step;
}

/* The API does not know the job. This is counted across restarts. */
static void removal_note_missed(struct gb_job *job)
{
	unsigned misses;
	double span;

	observe_missed(job);
	client_lock(job->c);
	knowledge_misses(&job->batch->known, &misses, &span);
	job->dir->rec.missed = misses;
	job->dir->rec.missed_span = (int64_t)span;
	client_unlock(job->c);
	job_dir_save_soon(job);
}

/* A cancel that is refused because the job has just ended does not count as refused. */
int removal_cancel(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err)
{
	int ret = provider_cancel(&job->c->api, job_id_now(job), cancel, err);

	test_point("cancelled");
	if (ret == -ENOENT)
		removal_note_missed(job);
	if (ret == -EINVAL && observe_look(job, cancel, err) == 0 &&
		removal_next(job) == REMOVE_DELETE)
		return 0;
	if (ret)
		return ret;
	client_lock(job->c);
	knowledge_cancel_accepted(&job->batch->known);
	client_unlock(job->c);
	removal_note(job, REMOVAL_CANCELLED);
	ret = job_dir_save(job);
	history_add(job, "cancel-asked");
	return ret;
}

int removal_note_deleted(struct gb_job *job, const char *event)
{
	removal_note(job, REMOVAL_DELETED);
	int err = job_dir_save(job);

	history_add(job, event);
	return err;
}

/* That it runs no more is known by a reply that may not be on disk yet. A start must know
 * it, or a job that it deleted may run, for all it can see. */
static int note_stopped(struct gb_job *job)
{
	client_lock(job->c);
	bool news = job->dir->rec.removal < REMOVAL_CANCELLED &&
		    knowledge_ended(&job->batch->known);
	client_unlock(job->c);
	if (!news)
		return 0;
	removal_note(job, REMOVAL_CANCELLED);
	int err = job_dir_save(job);
	if (err)
		removal_note(job, REMOVAL_INTENDED);
	return err;
}

int removal_delete(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err)
{
	int ret = note_stopped(job);

	if (ret)
		return ret;
	ret = provider_remove(&job->c->api, job_id_now(job), cancel, err);

	test_point("deleted");
	if (ret == -ENOENT) {
		removal_note_missed(job);
		client_lock(job->c);
		if (knowledge_is_deleted(&job->batch->known, client_moment(job->c)))
			ret = 0;
		client_unlock(job->c);
	}
	/* What is done is not taken back because it cannot be written: the stage before says
	 * enough to a start. */
	if (!ret && removal_note_deleted(job, "deleted"))
		job_dir_save_soon(job);
	return ret;
}

int removal_other_key(struct gb_job *job, struct provider_error *err)
{
	client_lock(job->c);
	job->dir->other_key = true;
	client_unlock(job->c);
	provider_error_clear(err);
	err->refused = true;
	job_changed(job, GB_CHANGED_FILES);
	return err->err = -EACCES;
}

/* Whether this key may take the next step. It must have seen the job if it is unknown
 * who made it. 0, and the step. */
int removal_choose(struct gb_job *job, struct canceller *cancel,
	struct provider_error *err, enum removal_step *ret)
{
	enum removal_step step = removal_next(job);
	int look = step == REMOVE_LOOK ? observe_look(job, cancel, err) : 0;

	if (look)
		return look;
	step = removal_next(job);
	if (step == REMOVE_OTHER_KEY)
		return removal_other_key(job, err);
	*ret = step;
	return 0;
}

/* Jobs made elsewhere have no key in their record yet: this one sees the job. */
static int removal_note_key(struct gb_job *job)
{
	struct gb_client *c = job->c;
	int err = 0;

	client_lock(c);
	struct record *r = &job->dir->rec;
	if (!r->key_print)
		err = counted_set(&r->origin, engine_origin(c->engine));
	if (!err && !r->key_print)
		err = counted_set(&r->key_print, c->key_print);
	client_unlock(c);
	return err;
}

/* The first step at the API. If the API does not know a job that must be cancelled,
 * that is not a refusal: the rest goes on in the background until it is certain. */
int removal_first(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err)
{
	enum removal_step step;
	int ret = removal_choose(job, cancel, err, &step);

	if (ret || (ret = removal_note_key(job)))
		return ret;
	ret = step == REMOVE_CANCEL   ? removal_cancel(job, cancel, err)
	      : step == REMOVE_DELETE ? removal_delete(job, cancel, err)
				      : 0;
	return ret == -ENOENT ? 0 : ret;
}

void removal_look(struct gb_job *job)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {0};

	observe_look(job, &none, &err);
	client_called(job->c, &err);
	provider_error_clear(&err);
}

void removal_tell(struct gb_job *job, int ret, const struct provider_error *err)
{
	bool lost = !err->refused && err->sent != HTTP_NOT_SENT;

	job_dir_error(job, ret,
		lost ? "The API's reply to rmdir was lost: it may still be there or not."
		     : "The job was not deleted.",
		lost ? "Try rmdir again." : "It is still there; try rmdir again.",
		err->text);
}
