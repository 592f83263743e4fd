/*
 * The time between the end of a job and its answers being available as files. Callers
 * that waited for the end read the answers next, so they are woken a little later.
 * There is a limit, because results may be large or the API slow.
 */
#include "answers/answers.h"
#include "answers/known_parts.h"
#include "archive/save.h"
#include "jobs/parts.h"

#include <errno.h>

enum { PATIENCE = 10 /* seconds */ };

/* Lock held. Whether its results will not come automatically, or have; and whether there
 * were any. */
static bool results_settled(const struct gb_job *job, bool *ret_come)
{
	const struct gb_client *c = job->c;
	enum gb_output o = job_output(job);
	bool comes =
		o == GB_OUTPUT_THERE || o == GB_OUTPUT_INLINE || o == GB_OUTPUT_SAVED;

	*ret_come = comes && knowledge_ended(&job->batch->known) && job->dir &&
		    job->dir->rec.own && c->o.fetch != GB_FETCH_READ && !c->o.offline &&
		    !c->o.readonly;
	return !*ret_come || save_is_safe(job) || c->offline_since ||
	       !knowledge_fetch_due(&job->batch->known, client_moment(job->c));
}

static bool all_settled(struct gb_job *dir)
{
	bool any = false, comes, settled = true;

	for (uint32_t i = 0; settled && i < parts_count(dir); i++) {
		settled = results_settled(parts_at(dir, i), &comes);
		any |= comes && save_is_safe(parts_at(dir, i));
	}
	return settled && (!any || dir->merge_failed || known_parts_fit(dir));
}

/* Lock held. Whether nothing more will happen automatically. */
static bool is_settled(struct gb_job *job)
{
	bool comes;

	if (parts_several(job))
		return all_settled(job);
	if (!results_settled(job, &comes) || !comes || !save_is_safe(job))
		return results_settled(job, &comes);
	return job->batch->answers || job->batch->index_failed;
}

/* Whether it is all here, and an index may have to be asked for. */
static bool has_saved(struct gb_job *job)
{
	return parts_several(job) ? known_parts_have(job) : save_is_safe(job);
}

static void let_settlers_go(struct gb_job *job)
{
	struct gb_waitq over;

	waitq_init(&over);
	client_lock(job->c);
	queue_take(job, QUEUE_SETTLERS, &over);
	client_unlock(job->c);
	waitq_call(&over, 0);
}

static void patience_over(void *arg)
{
	struct gb_job *job = arg;

	client_lock(job->c);
	job->settle_timer = false;
	client_unlock(job->c);
	let_settlers_go(job);
	gb_job_unref(job);
}

int gb_job_settle(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	int err = 0;

	client_lock(c);
	if (!c->stopping && !is_settled(job))
		err = queue_add(job, QUEUE_SETTLERS, w);
	/* Results that were saved before this mount: nobody may have asked for answers. */
	bool index = err == -EINPROGRESS && has_saved(job);
	bool start = err == -EINPROGRESS && !job->settle_timer;
	job->settle_timer |= start;
	client_unlock(c);
	if (start && engine_timer(c->engine,
			     test_seconds("BATCHFS_TEST_SETTLED_SECONDS", PATIENCE),
			     patience_over, gb_job_ref(job)) < 0)
		patience_over(job);
	if (index && gb_answers_look(job, NULL) < 0)
		let_settlers_go(job);
	return err == -ENOMEM ? 0 : err;
}

void after_end_look(struct gb_job *job, struct gb_waitq *to)
{
	if (queue_waits(job, QUEUE_SETTLERS) && is_settled(job))
		queue_take(job, QUEUE_SETTLERS, to);
}
