/* The verb `cancel`. What rmdir does before it deletes is remove.c's. */
#include "jobs/history.h"
#include "jobs/observe.h"
#include "jobs/operation.h"
#include "jobs/poller.h"

#include <errno.h>

static int cancel_run(struct task *t)
{
	struct gb_job *job = t->job;
	struct provider_error err = {.retry = -1};
	int ret;

	client_lock(job->c);
	if (job->local)
		job->local->rec.cancel_asked = true;
	client_unlock(job->c);
	if (job->local && (ret = local_save(job)))
		return ret;
	ret = provider_cancel(&job->c->api, job->id, &t->cancel, &err);
	client_called(job->c, &err);
	if (ret == -ENOENT)
		learn_missed(job);
	if (!ret)
		history_add(job, "cancel-asked");
	client_lock(job->c);
	job->learnt = 0;
	poller_look_soon(job);
	poll_poke(job->c);
	client_unlock(job->c);
	if (ret && job->local && err.text)
		local_error(job, ret, "The API did not cancel the job.",
			"See its message:", err.text);
	provider_error_clear(&err);
	return ret == -ECANCELED ? -EINTR : ret;
}

int gb_cancel(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	int err = !job->id || knowledge_ended(&job->known) ? -EBUSY
		  : job->c->o.offline	     ? -EHOSTUNREACH
					     : 0;
	client_unlock(job->c);
	return err ? err
		   : task_start(job, WORK_SHORT, cancel_run, false, false, NULL, w);
}
