/*
 * rmdir of what was not sent: a draft, and queued work that is being tried. The API has
 * no job to cancel, so all is done at once.
 */
#include "client/remove.h"
#include "jobs/operation.h"
#include "store/uploads.h"
#include "submit/attachments.h"
#include "submit/queue.h"

static int stray_run(struct operation *t)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {0};

	if (t->arg)
		provider_file_remove(&t->job->c->api, t->arg, &none, &err);
	provider_error_clear(&err);
	attach_tidy(t->job->c);
	return 0;
}

int remove_draft(struct gb_job *job)
{
	struct operation fill = {0};
	bool holds = uploads_holds(job->c->uploads, job->dir->lid);
	int err = remove_forget_job(job);

	if (err) {
		remove_show(job);
		return err;
	}
	remove_hide(job);
	if (job->c->o.trash_days)
		uploads_end(job->c->uploads, job->dir->lid);
	else
		uploads_forget(job->c->uploads, job->dir->lid);
	client_lock(job->c);
	fill.arg = STEAL_PTR(job->dir->rec.batch->input_file);
	client_unlock(job->c);
	if ((fill.arg || holds) && !job->c->o.offline)
		/* What it would delete dies by itself. */
		DROP(operation_start(
			job, POOL_SHORT, stray_run, false, false, &fill, NULL));
	free(fill.arg);
	return 0;
}

int remove_draft_queued(struct gb_job *job)
{
	int err = job_dir_save(job);

	if (err) {
		remove_show(job);
		queue_go_later(job->c, true);
		return err;
	}
	remove_hide(job);
	return 0;
}
