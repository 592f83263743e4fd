/*
 * When the index of answers is made: on a worker, by one task per job however many wait for
 * it, once the results are saved or complete in the cache, and read back from disk at later
 * starts. A job that ended without output has one too, of its requests alone, for
 * retry.jsonl.
 */
#include "answers/answers.h"
#include "answers/index.h"
#include "answers/known_parts.h"
#include "answers/make.h"
#include "answers/sources.h"
#include "jobs/operation.h"
#include "jobs/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* A job has two: of its own results, and of all parts if there are several. */
static bool is_there(struct gb_job *job, bool all)
{
	return all ? known_parts_fit(job) : job->batch->answers != NULL;
}

static bool can_be_made(struct gb_job *job, bool all)
{
	return all ? known_parts_can(job) : answers_can_be_made(job);
}

/* Lock held: it has been made, or not. */
static void index_over(struct gb_job *job, bool all, int err, struct gb_waitq *ret)
{
	bool failed = err && err != -EAGAIN;

	if (all) {
		job->merging = false;
		job->merge_failed = failed;
	} else {
		job->batch->indexing = false;
		job->batch->index_failed = failed;
	}
	queue_take(job, QUEUE_INDEXERS, ret);
}

static int index_made(struct gb_job *job, bool all, int err)
{
	struct gb_waitq over;

	if (err && err != -ECANCELED && err != -EAGAIN)
		client_log(job->c, LOG_WARNING, "answers of %s: %s", job_label(job),
			strerror(-err));
	waitq_init(&over);
	client_lock(job->c);
	index_over(job, all, err, &over);
	client_unlock(job->c);
	job_changed(job, GB_CHANGED_FILES);
	/* A caller that gets success asks again, and so has it fetched. */
	waitq_call(&over, err == -ECANCELED ? -EINTR : err == -EAGAIN ? 0 : err);
	return err;
}

static int index_run(struct operation *t)
{
	return index_made(t->job, false, answers_make_one(t->job));
}

/* Parts that came meanwhile are taken up at once. */
static int index_run_all(struct operation *t)
{
	struct gb_job *dir = t->job;
	int err = index_made(dir, true, answers_make_all(dir));

	client_lock(dir->c);
	bool again = !err && !known_parts_fit(dir);
	client_unlock(dir->c);
	if (again)
		answers_want(dir, true, NULL);
	return err;
}

/* Lock held. 0: it is there. */
static int wait_for_index(
	struct gb_job *job, bool all, struct gb_waiter *w, bool *ret_start)
{
	if (job->c->stopping)
		return -EINTR;
	if (is_there(job, all))
		return 0;
	if (!can_be_made(job, all))
		return -ENOENT;
	int err = w ? queue_add(job, QUEUE_INDEXERS, w) : 0;
	if (err == -ENOMEM)
		return err;
	*ret_start = !(all ? job->merging : job->batch->indexing);
	if (all)
		job->merging = true;
	else
		job->batch->indexing = true;
	return err;
}

int answers_want(struct gb_job *job, bool all, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	struct gb_waitq over;
	bool start = false;

	client_lock(c);
	int err = wait_for_index(job, all, w, &start);
	client_unlock(c);
	if (!start)
		return err;
	int started = operation_start(job, POOL_SHORT, all ? index_run_all : index_run,
		false, false, NULL, NULL);
	if (!started)
		return err;
	waitq_init(&over);
	client_lock(c);
	index_over(job, all, started, &over);
	client_unlock(c);
	waitq_call(&over, started == -ECANCELED ? -EINTR : started);
	return w ? err : started;
}

/* ---- unasked ------------------------------------------------------------------------- */

/* An index that nobody waits for waits for those who read the results, and who may read
 * them once more: it would take the same memory and the other core from them. */
struct unasked {
	struct gb_job *job; /* a reference */
	double pause;
};

enum { PAUSE = 2, PAUSE_MAX = 64 /* seconds */ };

/* Lock held. */
static bool is_read(const struct gb_job *job)
{
	double pause = test_seconds("BATCHFS_TEST_UNREAD_SECONDS", PAUSE);

	return job->batch->handles ||
	       (job->batch->left_at && util_now() < job->batch->left_at + pause);
}

static void make_unasked(void *arg)
{
	struct unasked *u = arg;
	struct gb_job *job = u->job;
	double pause = u->pause;

	u->pause = pause < PAUSE_MAX ? 2 * pause : pause;
	client_lock(job->c);
	bool stopping = job->c->stopping;
	bool wait = !stopping && is_read(job) && !is_there(job, false) &&
		    !queue_waits(job, QUEUE_SETTLERS);
	client_unlock(job->c);
	if (wait && engine_timer(job->c->engine, pause, make_unasked, u) >= 0)
		return;
	if (!stopping)
		answers_want(job, false, NULL);
	gb_job_unref(job);
	free(u);
}

static void want_unasked(struct gb_job *job)
{
	struct unasked *u = calloc(1, sizeof(*u));

	if (!u)
		return;
	*u = (struct unasked){gb_job_ref(job),
		test_seconds("BATCHFS_TEST_UNREAD_SECONDS", PAUSE)};
	make_unasked(u);
}

/* Of one copy one of the two objects stays: it may have been in use since the results
 * were known to be here, and an open file must not change. Of several parts each has an
 * index of its own only if somebody looks at it, and so has what was only read through
 * the cache. */
void answers_results_saved(struct gb_job *job)
{
	client_lock(job->c);
	bool made = job->batch->answers && job->batch->answers->head.stamp.results_size ==
						   job->batch->results_size;
	struct gb_job *dir = job_directory(job);
	bool all = parts_several(dir), cached = job->batch->cached;
	dir->merge_failed = false;
	client_unlock(job->c);
	if (!made)
		answers_forget(job);
	if (all)
		answers_want(dir, true, NULL);
	else if (!made && !cached)
		want_unasked(job);
}

/* ---- asked --------------------------------------------------------------------------- */

int gb_answers_look(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	bool all = parts_several(job);
	client_unlock(job->c);
	int err = answers_want(job, all, w);

	return err == -ENOENT ? 0 : err;
}
