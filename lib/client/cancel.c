/* The verb `cancel`. What rmdir does before it deletes is remove.c's. */
#include "client/cancel.h"
#include "client/retry.h"
#include "jobs/history.h"
#include "jobs/messages.h"
#include "jobs/observe.h"
#include "jobs/operation.h"
#include "jobs/parts.h"
#include "jobs/poller.h"
#include "submit/submit.h"

#include <errno.h>

int cancel_now(struct gb_job *job, struct canceller *cancel)
{
	struct provider_error err = {.retry = -1};
	int ret;

	client_lock(job->c);
	const char *id = job->batch->id;
	if (job->dir && id)
		job->dir->rec.batch->cancel_asked = true;
	client_unlock(job->c);
	if (!id)
		return -EBUSY;
	if (job->dir && (ret = job_dir_save(job)))
		return ret;
	ret = provider_cancel(&job->c->api, id, cancel, &err);
	client_called(job->c, &err);
	if (ret == -ENOENT)
		observe_missed(job);
	if (!ret)
		history_add(job, "cancel-asked");
	client_lock(job->c);
	job->batch->learnt = 0;
	poller_look_soon(job);
	poll_poke(job->c);
	client_unlock(job->c);
	if (ret && job->dir && err.text)
		job_dir_error(job, ret, "The API did not cancel the job.",
			"See its message:", err.text);
	provider_error_clear(&err);
	return ret == -ECANCELED ? -EINTR : ret;
}

static int cancel_run(struct operation *t)
{
	return cancel_now(t->job, &t->cancel);
}

/* ---- what is not sent yet -------------------------------------------------------- */

/* Lock held. A running submission that has not reached its create; note_intent checks
 * under the same lock. */
static struct operation *sending(const struct gb_job *job)
{
	struct operation *t = job->dir ? job->dir->task : NULL;

	return t && t->sends && !job->batch->id && !phase_is_unanswered(job_phase(job))
		       ? t
		       : NULL;
}

static bool one_fits(const struct gb_job *job)
{
	return job_runs(job) || sending(job) ||
	       (job->dir && !job->dir->task && job_phase(job) == PHASE_QUEUED);
}

bool cancel_fits(struct gb_job *job)
{
	for (uint32_t i = 0; i < parts_count(job); i++)
		if (one_fits(parts_at(job, i)))
			return true;
	return parts_rest_is_open(job) || retry_goes_on(job);
}

/* Remove it from the queue, if no task has taken it yet. */
static int unqueue_run(struct operation *t)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {.retry = -1};
	struct gb_client *c = t->job->c;
	int ret = submit_finish_rename(t->job);

	if (ret)
		return ret;
	client_lock(c);
	bool queued = job_phase(t->job) == PHASE_QUEUED;
	_cleanup_free_ char *file =
		queued ? STEAL_PTR(t->job->dir->rec.batch->input_file) : NULL;
	if (queued)
		job_set_phase(t->job, PHASE_DRAFT);
	t->stopped = true;
	client_unlock(c);
	if (!queued)
		return -EBUSY;
	message_tell_left(t);
	job_dir_save_soon(t->job);
	operation_answer(t, 0);
	if (file && client_online(c))
		provider_file_remove(&c->api, file, &none, &err);
	provider_error_clear(&err);
	return 0;
}

static int cancel_one(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	int err = 0;

	client_lock(c);
	struct operation *t = sending(job);
	bool fits = one_fits(job), sent = job->batch->id;
	if (c->o.readonly)
		err = -EROFS;
	else if (!fits)
		err = -EBUSY;
	else if (sent && c->o.offline)
		err = -EHOSTUNREACH;
	if (!err && t) {
		t->stopped = true;
		canceller_set(c->engine, &t->cancel);
		err = waitq_add(&t->let_go, w, 0, 0);
	}
	client_unlock(c);
	if (err)
		return err;
	return sent ? operation_start(
			      job, POOL_SHORT, cancel_run, false, false, NULL, w)
		    : operation_start(
			      job, POOL_SHORT, unqueue_run, true, false, NULL, w);
}

/* Between two rounds nothing is to be cancelled but the next. */
static int no_round_run(struct operation *t)
{
	return retry_stop(t->job);
}

int gb_cancel(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	bool several = parts_several(job);
	bool between = !several && retry_goes_on(job);
	client_unlock(job->c);
	if (between)
		return operation_start(
			job, POOL_SHORT, no_round_run, false, false, NULL, w);
	return several ? cancel_parts(job, w) : cancel_one(job, w);
}
