/*
 * The verb `cancel` for a directory behind which there are several of the API's jobs.
 * First nothing more of its requests is bought, durably; then what is on its way is
 * stopped or waited for, and what the API knows is cancelled, a few at a time.
 */
#include "base/crew.h"
#include "base/waiter.h"
#include "client/cancel.h"
#include "jobs/operation.h"
#include "jobs/parts.h"
#include "submit/parts_send.h"
#include "submit/reconcile.h"

#include <errno.h>
#include <stdlib.h>

enum { AT_ONCE = 4 };

struct cancelling {
	struct canceller *cancel;
	struct gb_job **parts; /* references */
	size_t n;
	atomic_int err;        /* the first */
};

static int cancel_each(void *arg, size_t i)
{
	struct cancelling *all = arg;
	struct gb_job *part = all->parts[i];
	int none = 0, err = cancel_now(part, all->cancel);

	client_lock(part->c);
	bool runs = job_runs(part);
	client_unlock(part->c);
	if (err && runs)
		atomic_compare_exchange_strong(&all->err, &none, err);
	return 0;
}

/* Those that run and were not asked yet. */
static int note_running(struct gb_job *dir, struct cancelling *all)
{
	client_lock(dir->c);
	uint32_t n = parts_count(dir);
	all->parts = calloc(n + 1, sizeof(struct gb_job *));
	for (uint32_t i = 0; all->parts && i < n; i++)
		if (job_runs(parts_at(dir, i)))
			all->parts[all->n++] = gb_job_ref(parts_at(dir, i));
	client_unlock(dir->c);
	return all->parts ? 0 : -ENOMEM;
}

static int cancel_running(struct gb_job *dir, struct canceller *cancel)
{
	struct cancelling all = {.cancel = cancel};
	int err = note_running(dir, &all);

	if (!err)
		crew_run(all.n, AT_ONCE, cancel_each, &all);
	for (size_t i = 0; i < all.n; i++)
		gb_job_unref(all.parts[i]);
	free(all.parts);
	return err ? err : all.err;
}

/* Lock held. A submission of a part, which was told to stop, or is being answered. */
static struct operation *on_its_way(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		struct gb_job *part = parts_at(dir, i);
		struct operation *t = part->dir ? part->dir->task : NULL;

		if (t && !part->batch->id && (t->stopped || part->dir->creating))
			return t;
	}
	return NULL;
}

/* false: there was none. */
static bool wait_for_one(struct gb_job *dir)
{
	struct waiter_sync s;

	waiter_sync_init(&s);
	client_lock(dir->c);
	struct operation *t = dir->c->stopping ? NULL : on_its_way(dir);
	if (t)
		waitq_add(&t->let_go, &s.w, 0, 0);
	client_unlock(dir->c);
	return t && waiter_sync_wait(&s) == 0;
}

/* Nothing was bought: the directory is a draft again, or as uncertain as before it was
 * sent again. */
static void draft_again(struct gb_job *dir)
{
	client_lock(dir->c);
	bool none = job_phase(dir) == PHASE_PARTS && !parts_count(dir) &&
		    !parts_are_lost(dir);
	bool uncertain = none && parts_take_up_whole(dir);
	if (none) {
		job_set_phase(dir, uncertain ? PHASE_SUBMITTING : PHASE_DRAFT);
		dir->dir->rec.rest_dropped = false;
	}
	client_unlock(dir->c);
	if (none)
		job_dir_save_soon(dir);
	if (uncertain)
		reconcile_later(dir);
}

/* Lock held. */
static bool any_unanswered(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++)
		if (phase_is_unanswered(job_phase(parts_at(dir, i))))
			return true;
	return false;
}

static int cancel_parts_run(struct operation *t)
{
	struct gb_job *dir = t->job;
	int err = parts_stop(dir);

	test_point("rest-dropped");
	if (err)
		return err;
	err = cancel_running(dir, &t->cancel);
	if (wait_for_one(dir)) {
		while (wait_for_one(dir))
			;
		int stopped = parts_stop(dir), late = cancel_running(dir, &t->cancel);

		err = err ? err : stopped ? stopped : late;
	}
	draft_again(dir);
	client_lock(dir->c);
	/* Whether there is a job to be cancelled only time can tell, or a person. */
	if (!err && any_unanswered(dir))
		err = -EBUSY;
	client_unlock(dir->c);
	return err == -ECANCELED ? -EINTR : err;
}

int cancel_parts(struct gb_job *dir, struct gb_waiter *w)
{
	struct gb_client *c = dir->c;
	int err = 0;

	client_lock(c);
	if (c->o.readonly)
		err = -EROFS;
	else if (!cancel_fits(dir))
		err = -EBUSY;
	for (uint32_t i = 0; !err && c->o.offline && i < parts_count(dir); i++)
		if (job_runs(parts_at(dir, i)))
			err = -EHOSTUNREACH;
	client_unlock(c);
	return err ? err
		   : operation_start(dir, POOL_SHORT, cancel_parts_run, false, false,
			     NULL, w);
}
