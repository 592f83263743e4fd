/*
 * One call for each part of a directory, a few at a time, and one answer for all.
 *
 * Nothing here has a thread: whoever answers a call starts the next. Who waits may leave;
 * the calls go on, as those of a single job do.
 */
#include "jobs/parts.h"

#include <errno.h>
#include <stdlib.h>

struct each {
	struct gb_job *dir; /* a reference: parts stay as long as it */
	const struct parts_call *call;
	struct gb_waitq q;  /* the one who waits */
	struct lane *lanes;
	uint32_t next;      /* client.lock, all below: slot of dir's parts … */
	unsigned busy;      /* lanes that are at work */
	unsigned called;
	int err;            /* the first */
};

/* One of those that are on their way at a time. */
struct lane {
	struct each *all;
	struct gb_job *part; /* a reference */
	struct gb_waiter w;
};

static void each_free(struct each *e)
{
	waitq_destroy(&e->q);
	gb_job_unref(e->dir);
	free(e->lanes);
	free(e);
}

/* A part, a reference; NULL: there is none left. By number: others may come or go
 * meanwhile. */
static struct gb_job *next_part(struct each *e)
{
	struct gb_job *part = NULL;

	client_lock(e->dir->c);
	for (uint32_t i = parts_below(e->dir, e->next);
		!part && i < parts_count(e->dir); i++) {
		struct gb_job *at = parts_at(e->dir, i);

		e->next = parts_number(at) + 1;
		if (e->call->fits(at))
			part = gb_job_ref(at);
	}
	e->called += part != NULL;
	client_unlock(e->dir->c);
	return part;
}

static void take_result(struct lane *l, int err)
{
	struct each *e = l->all;

	if (err && e->call->judge)
		err = e->call->judge(l->part, err);
	client_lock(e->dir->c);
	if (err && !e->err)
		e->err = err;
	client_unlock(e->dir->c);
	gb_job_unref(l->part);
}

/* The last lane answers. */
static void lane_over(struct each *e)
{
	client_lock(e->dir->c);
	bool last = --e->busy == 0;
	int err = e->err ? e->err : e->called ? 0 : e->call->none;
	client_unlock(e->dir->c);
	if (!last)
		return;
	waitq_wake(&e->q, err);
	each_free(e);
}

static void lane_done(struct gb_waiter *w, int err);

static void lane_go(struct lane *l)
{
	int err = 0;

	while (err != -EINPROGRESS && (l->part = next_part(l->all))) {
		l->w = (struct gb_waiter){.done = lane_done};
		err = l->all->call->call(l->part, &l->w);
		if (err != -EINPROGRESS)
			take_result(l, err);
	}
	/* One that is on its way may be over by now, and all of this with it. */
	if (err != -EINPROGRESS)
		lane_over(l->all);
}

static void lane_done(struct gb_waiter *w, int err)
{
	struct lane *l = CONTAINER_OF(w, struct lane, w);

	take_result(l, err);
	lane_go(l);
}

int parts_each(struct gb_job *dir, const struct parts_call *call, struct gb_waiter *w)
{
	struct each *e = calloc(1, sizeof(*e));
	struct lane *lanes = calloc(call->width, sizeof(*lanes));

	if (!e || !lanes) {
		free(e);
		free(lanes);
		return -ENOMEM;
	}
	*e = (struct each){.dir = gb_job_ref(dir), .call = call, .lanes = lanes,
		.busy = call->width};
	waitq_init(&e->q);
	if (w)
		waitq_add(&e->q, w, 0, 0);
	for (unsigned i = 0; i < call->width; i++) {
		lanes[i].all = e;
		lane_go(&lanes[i]);
	}
	return w ? -EINPROGRESS : 0;
}
