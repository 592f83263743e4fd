/* Binding a submission of ours to the id of its job, whichever module learns the id
 * first. */
#include "jobs/bind.h"
#include "jobs/history.h"
#include "jobs/observe.h"
#include "jobs/poller.h"
#include "jobs/hooks.h"

int bind_batch(struct gb_job *job, const struct remote_batch *b)
{
	struct gb_client *c = job->c;
	struct record *r = &job->dir->rec;
	uint64_t seq = observe_seq(c);

	client_lock(c);
	bool fresh = !job->batch->id;
	/* The table may have it as someone else's job. */
	struct gb_job *twin = fresh ? job_find_id(c, b->id) : NULL;
	int err = twin ? job_drop_twin(twin) : 0;
	/* This key sees it, whichever the create was sent with. */
	if (!err && fresh)
		err = counted_set(&r->origin, engine_origin(c->engine));
	if (!err && fresh)
		err = counted_set(&r->key_print, c->key_print);
	if (!err)
		err = job_set_id(job, b->id);
	if (!err)
		err = counted_set(&r->batch->id, b->id);
	if (!err && fresh) {
		counted_merge(&r->batch->id, job->batch->id);
		client_share(c, &r->origin);
		client_share(c, &r->key_print);
		job_set_phase(job, PHASE_SENT);
		knowledge_made_with(&job->batch->known, true);
		record_unset(&r->batch->session);
		record_unset(&r->batch->sent_stamp);
		record_unset(&r->error);
		r->err = 0;
		r->batch->sent_at = time(NULL); /* wall: shown */
		if (job->dir->settler)
			canceller_set(c->engine, job->dir->settler);
	}
	client_unlock(c);
	if (err || !fresh)
		return err;
	if (twin)
		c->hooks->duplicate(twin);
	/* As long as this fails the journal says SUBMITTING, and a start finds the job
	 * by its input file. */
	job_dir_save_soon(job);
	history_add(job, "created");
	gb_job_unref(observe_batch(c, b, seq, false));
	/* Now that it is known how it stands: nothing is to be asked at once. */
	client_lock(c);
	poll_watch(job);
	poll_poke(c);
	client_unlock(c);
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	c->hooks->bound(job);
	return 0;
}
