/* Which results are saved automatically, and when: at once, or, if the API refused them
 * or could not be asked, after a pause that knowledge.c determines. */
#include "archive/complete.h"
#include "archive/save_private.h"

enum {
	AT_A_TIME = 2,      /* results brought home side by side */
};

bool save_is_possible(const struct gb_job *job)
{
	enum gb_output o = job_output(job);

	if (job->dir && job->dir->rec.batch->home)
		return complete_is_short(job);
	return o == GB_OUTPUT_SAVED || o == GB_OUTPUT_KEPT || job_output_may_come(job);
}

bool save_is_missing(const struct gb_job *job)
{
	const struct gb_client *c = job->c;
	bool asked = c->o.fetch == GB_FETCH_ALL ||
		     (c->o.fetch == GB_FETCH_OWN && job->dir && job->dir->rec.own);

	return (asked || job->batch->kept) && job->batch->id && job_shown(job) &&
	       (complete_is_short(job) ? complete_look_due(job)
				       : save_is_possible(job));
}

bool save_is_safe(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->batch->cached || (job->dir && job->dir->rec.batch->home);
}

/* Start what there is room for. */
void save_next(struct gb_client *c)
{
	for (;;) {
		struct gb_job *next = NULL;

		client_lock(c);
		bool may = !c->stopping && !c->o.offline && !c->o.readonly &&
			   !c->offline_since && c->saver->fetches_running < AT_A_TIME;
		for (uint32_t i = 0; may && !next && i < c->n_slots; i++) {
			struct gb_job *job = c->slots[i];

			if (!job->batch->fetching && !job->batch->sealing &&
				save_is_missing(job) &&
				knowledge_fetch_due(
					&job->batch->known, job_moment(job)))
				next = job;
		}
		if (next) {
			gb_job_ref(next);
			save_begin(next);
		}
		client_unlock(c);
		if (!next)
			return;
		int err = save_run(next);
		gb_job_unref(next);
		if (err)
			return;
	}
}

void save_go_on(void *arg)
{
	save_next(arg);
}

void save_consider(struct gb_job *job)
{
	client_lock(job->c);
	bool missing = save_is_missing(job);
	client_unlock(job->c);
	if (missing)
		save_next(job->c);
}

/* ---- later ----------------------------------------------------------------------- */

/* A timer that was replaced by an earlier one does nothing. */
static void next_timer(void *arg)
{
	struct gb_client *c = arg;

	client_lock(c);
	bool mine = c->saver->fetch_at && util_now() >= c->saver->fetch_at;
	if (mine)
		c->saver->fetch_at = 0;
	client_unlock(c);
	if (!mine)
		return;
	save_next(c);
	save_try_again(c);
}

/* Lock held. When the first of the results that wait for their next try is due; 0:
 * none. */
static double next_due(struct gb_client *c)
{
	struct moment m = client_moment(c);
	double at = 0;

	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct gb_job *job = c->slots[i];
		double t = knowledge_fetch_at(&job->batch->known);

		if (!knowledge_fetch_due(&job->batch->known, m) && (!at || t < at) &&
			save_is_missing(job))
			at = t;
	}
	return at;
}

void save_try_again(struct gb_client *c)
{
	client_lock(c);
	double at = c->stopping ? 0 : next_due(c);
	bool plan = at && (!c->saver->fetch_at || at < c->saver->fetch_at);
	if (plan)
		c->saver->fetch_at = at;
	client_unlock(c);
	if (!plan || !engine_timer(c->engine, at - util_now() + 0.01, next_timer, c))
		return;
	client_lock(c);
	c->saver->fetch_at = 0;
	client_unlock(c);
}
