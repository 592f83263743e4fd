/* Who opens, writes and closes: FUSE reports a thread, and a look thread finds out the
 * rest. */
#include "closing/last_close_private.h"

struct judge {
	struct look look;
	struct closes *c;
	struct wfile *f; /* with a reference */
	struct ask *ask; /* closes.lock; NULL: nobody closes, or it was answered */
	pid_t tid;       /* of the closer, or 0 */
	struct proc_closer closer;
	struct writer writers[WRITERS];
	struct opener openers[PROC_ORIGINS];
	unsigned writer_count, opener_count;
	bool worked;
};

static void judge_work(struct look *l)
{
	struct judge *j = CONTAINER_OF(l, struct judge, look);

	if (j->tid)
		proc_closer(j->tid, &j->closer);
	for (unsigned i = 0; i < j->writer_count; i++)
		j->writers[i].process = j->writers[i].tid == j->tid
						? j->closer.process
						: proc_process_of(j->writers[i].tid);
	for (unsigned i = 0; i < j->opener_count; i++)
		proc_origin(j->openers[i].tid, j->openers[i].opened,
			&j->openers[i].origin);
	j->worked = true;
}

/* Under the lock. */
static void put_writer(struct wfile *f, const struct writer *found)
{
	for (unsigned i = 0; i < f->writer_count && i < WRITERS; i++)
		if (f->writers[i].tid == found->tid && !f->writers[i].process)
			f->writers[i].process = found->process;
}

/* Under the lock. */
static void put_opener(struct wfile *f, const struct opener *found)
{
	for (unsigned i = 0; i < PROC_ORIGINS; i++) {
		struct opener *o = &f->openers[i];

		if (o->tid != found->tid || o->opened != found->opened || o->looked_at)
			continue;
		o->origin = found->origin;
		o->looked_at = true;
	}
}

static void judge_done(struct look *l)
{
	struct judge *j = CONTAINER_OF(l, struct judge, look);
	struct closes *c = j->c;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < j->writer_count && j->worked; i++)
		put_writer(j->f, &j->writers[i]);
	for (unsigned i = 0; i < j->opener_count && j->worked; i++)
		put_opener(j->f, &j->openers[i]);
	if (j->ask && j->worked) {
		j->ask->closer = j->closer;
		j->ask->looked_at = true;
	}
	if (j->ask)
		j->ask->judge = NULL;
	closes_unref(c, j->f);
	pthread_mutex_unlock(&c->lock);
	free(j);
}

/* Under the lock: what is not known yet of f. */
static void collect(struct judge *j, struct wfile *f)
{
	for (unsigned i = 0; i < f->writer_count && i < WRITERS; i++)
		if (!f->writers[i].process)
			j->writers[j->writer_count++] = f->writers[i];
	for (unsigned i = 0; i < PROC_ORIGINS; i++)
		if (f->openers[i].tid && !f->openers[i].looked_at)
			j->openers[j->opener_count++] = f->openers[i];
	j->f = f;
	f->refs++;
}

static struct judge *judge_new(struct closes *c)
{
	struct judge *j = calloc(1, sizeof *j);

	if (j) {
		j->look = (struct look){.work = judge_work, .done = judge_done};
		j->c = c;
	}
	return j;
}

void judge_note(struct closes *c, struct wfile *f)
{
	struct judge *j = judge_new(c);

	if (!j)
		return; /* it stays unknown, until somebody closes at least */
	pthread_mutex_lock(&c->lock);
	collect(j, f);
	pthread_mutex_unlock(&c->lock);
	looks_post(c->looks, &j->look, true);
}

/* Without memory the closer stays unknown until the deadline, and is then treated as
 * unknown. */
void judge_closer(struct closes *c, struct ask *ask, pid_t tid)
{
	struct judge *j = judge_new(c);

	if (!j)
		return;
	pthread_mutex_lock(&c->lock);
	collect(j, ask->f);
	j->ask = ask;
	j->tid = tid;
	ask->judge = j;
	pthread_mutex_unlock(&c->lock);
	looks_post(c->looks, &j->look, true);
}

void judge_forget(struct ask *ask)
{
	if (ask->judge)
		ask->judge->ask = NULL;
}
