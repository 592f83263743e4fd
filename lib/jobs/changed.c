/*
 * What happened to a job is told: to those who wait for its end, to the caller of
 * gembatch.h, and, where it is a part, in the same way for its directory, whose end is
 * that of all of its parts.
 */
#include "jobs/hooks.h"
#include "jobs/operation.h"
#include "jobs/parts.h"

#include <errno.h>

/* ---- the end ------------------------------------------------------------------------- */

/* Lock held. Of its own batch alone. */
static int verdict_of_one(struct gb_job *job)
{
	enum phase p = job_phase(job);

	if (!job_shown(job))
		return -ENOENT;
	/* A part that is a draft is on its way, unless it was stopped. */
	if (p == PHASE_DRAFT && job->parent && !job->parent->dir->rec.rest_dropped)
		return -EINPROGRESS;
	if (phase_is_draft(p) && !(job->dir->task && job->dir->task->intended))
		return job->dir->task ? -EINPROGRESS : 0;
	if (p == PHASE_UNCERTAIN || job->c->o.offline)
		return 0;
	if (knowledge_ended(&job->batch->known) && job_output(job) != GB_OUTPUT_AWAITED)
		return 0;
	if (knowledge_final(&job->batch->known))
		return 0;
	if (knowledge_hopeless(&job->batch->known, job_moment(job)))
		return -ENOENT;
	if (knowledge_denied(&job->batch->known, job_moment(job)))
		return -EACCES;
	return -EINPROGRESS;
}

/* Lock held. A part about which only a person can tell is not waited for; what is still
 * to be bought is. One that has vanished has ended, unless there is nothing else. */
static int verdict_of_all(struct gb_job *dir)
{
	bool goes_on = false, ended = false;
	int err = 0, vanished = 0;

	for (uint32_t i = 0; i < parts_count(dir); i++) {
		struct gb_job *part = parts_at(dir, i);
		int verdict = verdict_of_one(part);

		if (job_phase(part) == PHASE_UNCERTAIN)
			return verdict;
		goes_on |= verdict == -EINPROGRESS;
		ended |= !verdict;
		if (job_has_vanished(part))
			vanished = verdict;
		else if (verdict != -EINPROGRESS && !err)
			err = verdict;
	}
	if (!goes_on && !dir->c->o.offline)
		goes_on = parts_rest_is_open(dir);
	return goes_on ? -EINPROGRESS : err || ended ? err : vanished;
}

int job_wait_verdict(struct gb_job *job)
{
	if (!job_shown(job))
		return -ENOENT;
	int verdict = parts_several(job) ? verdict_of_all(job) : verdict_of_one(job);
	bool next = !verdict && !job->parent && job->c->hooks->goes_on(job);

	return next ? -EINPROGRESS : verdict;
}

/* Lock held. Whether its end can be told: its results are saved, if they are to be. */
static bool has_all(const struct gb_job *job)
{
	return knowledge_ended(&job->batch->known) &&
	       !job->c->hooks->results_awaited(job) &&
	       job_output(job) != GB_OUTPUT_AWAITED;
}

static bool all_have_all(struct gb_job *dir)
{
	if (parts_rest_is_open(dir))
		return false;
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		struct gb_job *part = parts_at(dir, i);

		/* One that was never bought, or has vanished, has nothing to come. */
		if (!has_all(part) && job_phase(part) != PHASE_FAILED &&
			!job_has_vanished(part))
			return false;
	}
	return true;
}

/* Lock held. Whether gb_options.ended is to be called now. */
static bool take_end_to_tell(struct gb_job *job)
{
	struct job_dir *l = job->dir;

	if (!l || job->parent || !l->rec.batch->end_due || l->end_told ||
		!job->c->o.ended || !job_shown(job) ||
		!(parts_several(job) ? all_have_all(job) : has_all(job)) ||
		job->c->hooks->goes_on(job))
		return false;
	l->end_told = true;
	return true;
}

int gb_job_take_end(struct gb_job *job)
{
	client_lock(job->c);
	bool due = job->dir && job->dir->rec.batch->end_due;
	bool told = due && job->dir->end_told;
	if (told)
		/* Parts of a later round end once more. */
		job->dir->rec.batch->end_due = job->dir->end_told = false;
	client_unlock(job->c);
	return told ? job_dir_save(job) : due ? -EBUSY : -EALREADY;
}

int job_end_due(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	struct gb_job *dir = job_directory(job);
	bool tell = c->keep_ends && !job->dir->rec.batch->end_logged;
	bool news = tell && dir != job && !dir->dir->rec.batch->end_due;
	if (tell)
		dir->dir->rec.batch->end_due = true;
	client_unlock(c);
	return news ? job_dir_save(dir) : 0;
}

static void tell_changed(struct gb_job *job, unsigned what)
{
	struct gb_client *c = job->c;
	struct gb_waitq over, settled;
	int verdict = -EINPROGRESS;

	waitq_init(&over);
	waitq_init(&settled);
	client_lock(c);
	c->hooks->take_settled(job, &settled);
	if (job->queues && (verdict = job_wait_verdict(job)) != -EINPROGRESS)
		queue_take(job, QUEUE_ENDERS, &over);
	bool tell = take_end_to_tell(job);
	client_unlock(c);
	waitq_call(&over, verdict);
	waitq_call(&settled, 0);
	if (c->o.changed && what)
		c->o.changed(c->o.arg, job->slot, what);
	if (tell)
		c->o.ended(c->o.arg, job);
}

void job_changed(struct gb_job *job, unsigned what)
{
	client_lock(job->c);
	struct gb_job *dir = job->parent;
	client_unlock(job->c);
	tell_changed(job, what);
	if (dir)
		tell_changed(dir, what);
	job->c->hooks->changed(dir ? dir : job);
}
