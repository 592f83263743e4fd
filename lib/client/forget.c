/*
 * The verb `forget`: a person's word that a job is to go, although another key made it or
 * the API does not know it; of a directory, for all of its parts.
 */
#include "client/remove.h"
#include "jobs/parts.h"

#include <errno.h>

/* Lock held. */
static void insist_on(struct gb_job *job, bool yes)
{
	knowledge_insisted(&job->batch->known, yes);
	if (job->dir)
		job->dir->rec.insisted = yes;
}

void remove_insist(struct gb_job *job, bool yes)
{
	client_lock(job->c);
	for (uint32_t i = 0; i < parts_count(job); i++)
		insist_on(parts_at(job, i), yes);
	insist_on(job, yes);
	client_unlock(job->c);
}

static bool one_may_forget(const struct gb_job *job)
{
	struct moment m = client_moment(job->c);

	return job->batch->id && job->dir &&
	       (knowledge_removal(&job->batch->known, m) == REMOVE_OTHER_KEY ||
		       knowledge_standing(&job->batch->known, m) >= STANDS_MISSING);
}

bool remove_may_forget(struct gb_job *job)
{
	for (uint32_t i = 0; i < parts_count(job); i++)
		if (one_may_forget(parts_at(job, i)))
			return true;
	return false;
}

int gb_forget(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	bool may = remove_may_forget(job);
	client_unlock(job->c);
	if (!may)
		return -EBUSY;
	remove_insist(job, true);
	int err = gb_remove(job, w);
	if (err && err != -EINPROGRESS)
		remove_insist(job, false);
	return err;
}
