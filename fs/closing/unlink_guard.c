#include "closing/unlink_guard.h"

#include <errno.h>
#include <pthread.h>

#include "closing/last_close.h"
#include "closing/look.h"
#include "closing/proc.h"
#include "util/util.h"

enum { REMEMBERED = 64, SECONDS = 60 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct refusal {
	pid_t tid;
	pid_t process; /* 0: it had gone when it was looked at */
	bool looked_at;
	bool own; /* a file of batchfs's own */
	uint64_t dir;
	double until;
} refusals[REMEMBERED]; /* a ring; lock */
static unsigned next;

/* A look for the process of a thread: for a note, or for a waiter. */
struct refusal_look {
	struct look look;
	pid_t tid, process;
	uint64_t dir;
	bool inside;
	struct gb_waiter *w;
};

static void find_process(struct look *l)
{
	struct refusal_look *r = CONTAINER_OF(l, struct refusal_look, look);

	r->process = proc_process_of(r->tid);
}

static void keep_process(struct look *l)
{
	struct refusal_look *r = CONTAINER_OF(l, struct refusal_look, look);

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < REMEMBERED; i++) {
		struct refusal *one = &refusals[i];

		if (one->tid != r->tid || one->dir != r->dir || one->looked_at)
			continue;
		one->process = r->process;
		one->looked_at = true;
	}
	pthread_mutex_unlock(&lock);
	free(r);
}

static struct refusal_look *look_new(
	pid_t tid, uint64_t dir, void (*done)(struct look *l))
{
	struct refusal_look *r = calloc(1, sizeof *r);

	if (r)
		*r = (struct refusal_look){
			.look = {.work = find_process, .done = done},
			.tid = tid,
			.dir = dir,
		};
	return r;
}

/* Lock held. Whether it still counts, for a file inside the directory or for all of
 * it. */
static bool counts(const struct refusal *one, uint64_t dir, bool inside)
{
	return one->dir == dir && one->until > seconds_now() &&
	       (one->own || !inside);
}

static bool is_noted(uint64_t dir, bool inside)
{
	bool noted = false;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < REMEMBERED && !noted; i++)
		noted = counts(&refusals[i], dir, inside);
	pthread_mutex_unlock(&lock);
	return noted;
}

bool refusals_note(struct mount *m, pid_t tid, uint64_t dir, bool own)
{
	struct refusal_look *r = look_new(tid, dir, keep_process);
	bool first = !is_noted(dir, false);

	pthread_mutex_lock(&lock);
	refusals[next++ % REMEMBERED] = (struct refusal){
		.tid = tid, .own = own, .dir = dir, .until = seconds_now() + SECONDS};
	pthread_mutex_unlock(&lock);
	if (r)
		looks_post(closes_looks(m->closes), &r->look, true);
	return first;
}

/* A process that is not known yet may be any. */
static bool is_hit(const struct refusal *one, pid_t tid, pid_t process)
{
	if (one->tid == tid || !one->looked_at)
		return true;
	return one->process && one->process == process;
}

static void guard_tell(struct look *l)
{
	struct refusal_look *r = CONTAINER_OF(l, struct refusal_look, look);
	struct gb_waiter *w = r->w;
	bool hit = false;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < REMEMBERED && !hit; i++)
		hit = counts(&refusals[i], r->dir, r->inside) &&
		      is_hit(&refusals[i], r->tid, r->process);
	pthread_mutex_unlock(&lock);
	free(r);
	w->done(w, hit ? -EPERM : PENDING_AGAIN);
}

int refusals_check(
	struct mount *m, pid_t tid, uint64_t dir, bool inside, struct gb_waiter *w)
{
	struct refusal_look *r;

	if (!is_noted(dir, inside))
		return 0;
	r = look_new(tid, dir, guard_tell);
	if (!r)
		return -ENOMEM;
	r->inside = inside;
	r->w = w;
	looks_post(closes_looks(m->closes), &r->look, true);
	return -EINPROGRESS;
}
