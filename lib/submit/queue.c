#include "files/files.h"
#include "submit/fit.h"
#include "submit/parts_send.h"
#include "submit/queue.h"
#include "submit/submit.h"

#include <errno.h>
#include <math.h>

enum {
	PROBE_EVERY = 180, /* seconds between probes where the API names no time */
	LONGEST = 5,       /* times PROBE_EVERY, after many refusals in a row */
	LOOK_AT_LEAST = 1, /* seconds between looks at the queue by timer */
	WAIT_ROOM = 30,    /* seconds between looks whether there are fewer jobs */
	RENAME_AGAIN = 60, /* seconds between tries of a rename that was begun */
};

struct gate {
	struct gate *next;
	const char *model;          /* interned; NULL: none */
	unsigned refusals;          /* in a row; 0: open */
	double after;               /* util_now: no probe before */
	double told;                /* the same by the API's word, which stands */
	int err;                    /* of the newest refusal, negative errno */
	bool spoken;                /* and the API refused it, not a broken
	                               connection */
	const struct gb_job *probe; /* the one that is being tried; compared only */
};

struct queue {
	struct gate *gates;         /* client.lock, all */
	double timer_at;            /* 0: no look is planned */
};

struct queue *queue_new(void)
{
	return calloc(1, sizeof(struct queue));
}

void queue_free(struct queue *q)
{
	struct gate *next;

	if (!q)
		return;
	for (struct gate *g = q->gates; g; g = next) {
		next = g->next;
		free(g);
	}
	free(q);
}

/* ---- gates; lock held ------------------------------------------------------- */

/* NULL: none has been needed yet, it is open. */
static struct gate *gate_find(const struct gb_job *job)
{
	struct gate *g = job->c->queue->gates;

	while (g && g->model != job->model)
		g = g->next;
	return g;
}

static struct gate *gate_make(const struct gb_job *job)
{
	struct queue *q = job->c->queue;
	struct gate *g = gate_find(job);

	if (g || !(g = calloc(1, sizeof(*g))))
		return g;
	*g = (struct gate){.next = q->gates, .model = job->model};
	return q->gates = g;
}

static bool gate_lets(const struct gate *g, const struct gb_job *job, double now)
{
	return !g || !g->refusals || g->probe == job || (!g->probe && now >= g->after);
}

bool queue_admits(struct gb_job *job)
{
	struct gate *g = gate_find(job);
	unsigned most = (unsigned)job->c->api.provider->limits->jobs;
	bool lets = gate_lets(g, job, util_now()) && fit_unfinished(job->c) < most;

	if (lets && g && g->refusals)
		g->probe = job;
	return lets;
}

int queue_reason(const struct gb_job *job)
{
	const struct gate *g = gate_find(job);

	return g && g->refusals ? g->err : -EAGAIN;
}

static double queue_pause(void)
{
	return test_seconds("BATCHFS_TEST_QUEUE_SECONDS", PROBE_EVERY);
}

/* Submissions in progress when the gate closed count as one refusal. A refusal that
 * names no time is about a quota that does not recover within seconds; a broken
 * connection may. */
static void gate_close(
	struct gate *g, const struct gb_job *job, const struct provider_error *why)
{
	double now = util_now();
	double most = queue_pause();

	if (!g->refusals || g->probe == job)
		g->refusals++;
	double own = engine_backoff((int)g->refusals, -1);
	g->err = why->err;
	g->spoken = why->status && why->err != -EHOSTUNREACH;
	if (why->retry > 0)
		g->told = fmax(
			g->told, now + engine_backoff((int)g->refusals, why->retry));
	else if (g->spoken)
		own = fmax(own, most * fmin(1 + (g->refusals - 1) / 4, LONGEST));
	g->after = fmax(fmax(g->after, g->told), now + own);
}

/* ---- when the next look is ------------------------------------------------------------ */

static void go_now(void *arg)
{
	queue_go(arg);
}

/* On the engine's thread: the work is a worker's. */
static void queue_timer(void *arg)
{
	struct gb_client *c = arg;

	client_lock(c);
	c->queue->timer_at = 0;
	client_unlock(c);
	/* Not at the end of the mount; without memory the next look at a list does it. */
	DROP(pool_add(c->pool, POOL_SHORT, go_now, c));
}

/* A timer cannot be cancelled: one that fires too soon finds nothing to do. */
static void plan_queue_look(struct gb_client *c, double at)
{
	double now = util_now();

	at = fmax(at, now + fmin(LOOK_AT_LEAST, queue_pause()));
	client_lock(c);
	bool sooner = !c->queue->timer_at || at < c->queue->timer_at;
	if (sooner)
		c->queue->timer_at = at;
	client_unlock(c);
	if (!sooner || !engine_timer(c->engine, at - now, queue_timer, c))
		return;
	client_lock(c);
	c->queue->timer_at = 0;
	client_unlock(c);
}

/* ---- looks ------------------------------------------------------------------------------ */

/* Start job if it may be sent. Returns when to look at it again, 0: not by timer. */
static double send_one(struct gb_job *job)
{
	struct operation fill = {.sends = true, .background = true, .queued = true};
	double at = 0;

	if (submit_finish_rename(job))
		return util_now() + RENAME_AGAIN;
	client_lock(job->c);
	bool ready = job_phase(job) == PHASE_QUEUED && !job->dir->task &&
		     !job->c->o.readonly && identity_same_key(job);
	const struct gate *g = ready ? gate_find(job) : NULL;
	bool admitted = ready && queue_admits(job);
	bool part = job->parent;
	if (admitted && !part)
		fill.file = files_find(job, GB_REQUESTS);
	else if (ready && !admitted && (!g || !g->probe))
		at = fmax(g ? g->after : 0, util_now() + fmin(queue_pause(), WAIT_ROOM));
	if (fill.file)
		gb_file_ref(fill.file);
	client_unlock(job->c);
	test_point("queued-chosen");
	if (admitted &&
		((!part && !fill.file) ||
			operation_start(job, POOL_LONG,
				part ? submit_part_run : submit_run, true, false, &fill,
				NULL)))
		queue_wait(job);
	gb_file_unref(fill.file);
	return at;
}

void queue_go(struct gb_client *c)
{
	struct gb_job *job;
	double next = 0;

	if (!client_online(c))
		return;
	for (uint32_t slot = 0; (job = job_next_any(c, slot)); gb_job_unref(job)) {
		slot = job->slot + 1;
		client_lock(c);
		bool queued = job_phase(job) == PHASE_QUEUED;
		bool cuts = !queued && parts_due(job);
		client_unlock(c);
		if (cuts)
			parts_go_later(job);
		double at = queued ? send_one(job) : 0;
		if (at && (!next || at < next))
			next = at;
	}
	if (next)
		plan_queue_look(c, next);
}

void queue_go_later(struct gb_client *c, bool freed)
{
	client_lock(c);
	for (struct gate *g = c->queue->gates; freed && g; g = g->next)
		g->after = g->told;
	client_unlock(c);
	DROP(pool_add(c->pool, POOL_SHORT, go_now, c)); /* as above */
}

void queue_online(struct gb_client *c)
{
	client_lock(c);
	for (struct gate *g = c->queue->gates; g; g = g->next)
		if (!g->spoken)
			g->after = g->told;
	client_unlock(c);
	queue_go(c);
}

/* ---- ends ------------------------------------------------------------------------------- */

void queue_refused(struct gb_job *job, const struct provider_error *why, bool pause)
{
	struct gb_client *c = job->c;

	client_lock(c);
	struct gate *g = gate_make(job);
	if (g && pause)
		gate_close(g, job, why);
	if (g && g->probe == job)
		g->probe = NULL;
	double at = g ? g->after : 0;
	client_unlock(c);
	plan_queue_look(c, at);
}

void queue_passed(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	struct gate *g = gate_find(job);
	bool closed = g && g->refusals;
	if (closed)
		*g = (struct gate){.next = g->next, .model = g->model};
	client_unlock(c);
	if (closed)
		queue_go_later(c, false);
}

/* Lock held. Whether it was the probe. */
static bool give_way(struct gb_job *job)
{
	struct gate *g = gate_find(job);
	bool was = g && g->probe == job;

	if (was)
		g->probe = NULL;
	return was;
}

void queue_wait(struct gb_job *job)
{
	struct gb_client *c = job->c;
	double pause = queue_pause();

	client_lock(c);
	give_way(job);
	const struct gate *g = gate_find(job);
	double at = g && g->refusals ? g->after : util_now() + pause;
	client_unlock(c);
	plan_queue_look(c, at);
}

void queue_left(struct gb_job *job)
{
	client_lock(job->c);
	bool was = give_way(job);
	client_unlock(job->c);
	if (was)
		queue_go_later(job->c, false);
}
