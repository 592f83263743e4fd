/*
 * resubmit=HOURS: an uncertain job is submitted again without a person, once no list
 * has shown it for so long. This may buy it twice, which the user of the option has
 * accepted. So it is done only if lists have worked all the time, by the server's clock
 * and by our own, and never in less than two hours.
 */
#include "jobs/history.h"
#include "jobs/poller.h"
#include "submit/resubmit.h"
#include "submit/reconcile.h"

#include <syslog.h>

enum { AGAIN_AFTER = 3600 /* seconds after a try that changed nothing */ };

static double patience(const struct gb_client *c)
{
	return test_seconds(
		"BATCHFS_TEST_RESUBMIT_SECONDS", c->o.resubmit_hours * 3600.0);
}

/* Lock held. */
static bool is_due(struct gb_job *job, double now, time_t server)
{
	struct gb_client *c = job->c;
	const struct job_dir *l = job->dir;
	double most = patience(c);

	return l && l->rec.own && l->rec.batch->phase == PHASE_UNCERTAIN &&
	       !l->rec.removal && !l->task && now >= l->resubmit_after &&
	       identity_same_key(job) && now - poller_lists_ok_since(c) >= most &&
	       (double)(server - l->rec.batch->intent_server) >= most;
}

/* One at a time: the next list finds the next. */
static struct gb_job *take_due(struct gb_client *c)
{
	double now = util_now();
	struct gb_job *due = NULL;
	time_t server;

	if (!engine_server_clock(c->engine, &server))
		return NULL;
	client_lock(c);
	for (uint32_t i = 0; poller_lists_ok_since(c) > 0 && !due && i < c->n_slots;
		i++)
		if (is_due(c->slots[i], now, server))
			due = gb_job_ref(c->slots[i]);
	if (due)
		due->dir->resubmit_after = now + AGAIN_AFTER;
	client_unlock(c);
	return due;
}

void resubmit_saw(struct gb_client *c, const struct remote_batch *b)
{
	if (c->o.resubmit_hours)
		reconcile_doubt(c, b, util_now() + patience(c));
}

void resubmit_after_list(struct gb_client *c)
{
	if (!c->o.resubmit_hours || c->o.readonly)
		return;
	struct gb_job *job = take_due(c);
	if (!job)
		return;
	client_log(c, LOG_WARNING,
		"%s: no list has shown the job for %d hours, so it is submitted again "
		"(resubmit=)",
		job_label(job), c->o.resubmit_hours);
	if (gb_resubmit(job, NULL) == 0)
		history_add(job, "resubmitted");
	gb_job_unref(job);
}
