#include "jobs/operation.h"
#include "jobs/hooks.h"

#include <errno.h>
#include <string.h>

/* The last waiter is gone: nobody needs the result of an operation that can still be
 * given up. Called under the waiters' lock, so it uses only flags and the engine's
 * canceller. */
static void nobody_waits(struct gb_waitq *q)
{
	struct operation *t = CONTAINER_OF(q, struct operation, q);

	t->left = true;
	if (!t->intended)
		canceller_set(t->job->c->engine, &t->cancel);
}

void operation_answer(struct operation *t, int err)
{
	struct gb_client *c = t->job->c;

	client_lock(c);
	bool first = !t->answered;
	t->answered = true;
	client_unlock(c);
	if (first)
		waitq_wake(&t->q, err);
}

static void operation_free(struct operation *t)
{
	struct gb_client *c = t->job->c;

	client_lock(c);
	if (t->prev) {
		*t->prev = t->next;
		if (t->next)
			t->next->prev = t->prev;
	}
	client_unlock(c);
	waitq_destroy(&t->q);
	waitq_destroy(&t->let_go);
	if (t->file)
		c->hooks->file_unref(t->file);
	gb_job_unref(t->from);
	gb_job_unref(t->job);
	free(t->arg);
	free(t->advice);
	free(t);
}

void operation_disown(struct operation *t)
{
	struct job_dir *l = t->job->dir;

	if (!t->owns || !l || l->task != t)
		return;
	l->task = NULL;
	l->gathering = false;
	if (t->file)
		t->job->c->hooks->file_let_go(t->file);
}

void operation_disowned(struct operation *t)
{
	waitq_wake(&t->let_go, 0);
}

static void operation_run(void *arg)
{
	struct operation *t = arg;
	struct gb_job *job = t->job;
	struct gb_client *c = job->c;
	int err = t->run(t);

	client_lock(c);
	operation_disown(t);
	client_unlock(c);
	operation_disowned(t);
	/* Wake those who wait for the job's end before the caller goes on. */
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	operation_answer(t, err);
	operation_free(t);
}

/* Lock held. What is chosen to be sent does not change from here on (contents.c). */
static int operation_own(struct operation *t)
{
	struct job_dir *l = t->job->dir;

	if (!l || l->task || l->unmaking || (t->gathers && l->writers))
		return -EBUSY;
	if (!job_shown(t->job))
		return -ENOENT;
	if (t->file && !t->job->c->hooks->file_claim(t->file))
		return -EBUSY;
	l->task = t;
	l->gathering = t->gathers;
	return 0;
}

int operation_take(struct operation *t)
{
	client_lock(t->job->c);
	int err = operation_own(t);
	t->owns = !err;
	client_unlock(t->job->c);
	return err;
}

static int claim(struct operation *t)
{
	struct gb_client *c = t->job->c;
	int err = 0;

	client_lock(c);
	if (c->stopping)
		err = -EINTR;
	else if (t->owns)
		err = operation_own(t);
	if (!err) {
		t->serial = ++c->operation_serial;
		t->next = c->operations;
		t->prev = &c->operations;
		if (t->next)
			t->next->prev = &t->next;
		c->operations = t;
	}
	client_unlock(c);
	return err;
}

int operation_start(struct gb_job *job, enum pool_lane lane,
	int (*run)(struct operation *t), bool owns, bool give_up,
	const struct operation *fill, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	struct operation *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (fill)
		*t = *fill;
	t->job = gb_job_ref(job);
	if (t->from)
		gb_job_ref(t->from);
	if (t->file)
		c->hooks->file_ref(t->file);
	if (t->arg)
		t->arg = strdup(t->arg);
	t->run = run;
	t->owns = owns;
	waitq_init(&t->q);
	waitq_init(&t->let_go);
	int err = claim(t);
	if (err) {
		operation_free(t);
		return err;
	}
	if (w) {
		if (give_up)
			t->q.emptied = nobody_waits;
		waitq_add(&t->q, w, 0, 0);
	}
	if (t->late)
		operation_deadline(t, t->late_after);
	err = pool_add(c->pool, lane, operation_run, t);
	if (err) {
		client_lock(c);
		operation_disown(t);
		client_unlock(c);
		operation_disowned(t);
		bool held = !w || gb_waiter_drop(w);
		operation_free(t);
		return held ? (err == -ECANCELED ? -EINTR : err) : -EINPROGRESS;
	}
	return w ? -EINPROGRESS : 0;
}

int gb_job_left(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	struct operation *t = job->dir ? job->dir->task : NULL;
	bool ends = t && t->left && !t->intended;
	int err = ends ? waitq_add(&t->let_go, w, 0, 0) : 0;
	client_unlock(job->c);
	return err;
}

struct deadline {
	struct gb_job *job;
	uint64_t serial;
};

/* A task certainly exists while it owns its job. */
static void deadline_over(void *arg)
{
	struct deadline *d = arg;
	struct gb_client *c = d->job->c;
	void (*late)(struct gb_job *job) = NULL;
	struct gb_waitq waiting;

	waitq_init(&waiting);
	client_lock(c);
	struct operation *t = d->job->dir->task;
	bool lives = t && t->serial == d->serial;
	if (lives && t->late && !t->answered && !c->stopping) {
		late = t->late;
		t->answered = true;
		waitq_move(&t->q, &waiting);
	}
	if (lives)
		canceller_set(c->engine, &t->cancel);
	client_unlock(c);
	if (late)
		late(d->job);
	waitq_call(&waiting, 0);
	gb_job_unref(d->job);
	free(d);
}

bool operation_is_late(struct operation *t)
{
	struct gb_client *c = t->job->c;

	client_lock(c);
	bool late = t->answered;
	if (!late)
		t->serial = 0; /* no deadline finds it */
	client_unlock(c);
	return late;
}

void operation_deadline(struct operation *t, double seconds)
{
	struct deadline *d = malloc(sizeof(*d));

	if (!d)
		return;
	*d = (struct deadline){gb_job_ref(t->job), t->serial};
	if (engine_timer(t->job->c->engine, seconds, deadline_over, d)) {
		gb_job_unref(d->job);
		free(d);
	}
}
