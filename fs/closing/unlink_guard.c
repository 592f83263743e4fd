#include "closing/unlink_guard.h"

#include <errno.h>
#include <pthread.h>

#include "closing/last_close.h"
#include "closing/look.h"
#include "closing/proc.h"

enum { REMEMBERED = 64, SECONDS = 60 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct refusal {
	pid_t tid;
	pid_t process; /* 0: it had gone when it was looked at */
	bool looked_at;
	uint64_t dir;
	time_t until;
} refusals[REMEMBERED]; /* a ring; lock */
static unsigned next;

/* Which process is it? For a note, or for who waits. */
struct refusal_look {
	struct look look;
	pid_t tid, process;
	uint64_t dir;
	struct gb_waiter *w;
};

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

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

void refusals_note(struct mount *m, pid_t tid, uint64_t dir)
{
	struct refusal_look *r = look_new(tid, dir, keep_process);

	pthread_mutex_lock(&lock);
	refusals[next++ % REMEMBERED] =
		(struct refusal){.tid = tid, .dir = dir, .until = now() + SECONDS};
	pthread_mutex_unlock(&lock);
	if (r)
		looks_post(closes_looks(m->closes), &r->look, true);
}

/* A process that is not known yet may be any. */
static bool is_hit(const struct refusal *one, pid_t tid, pid_t process)
{
	if (one->tid == tid || !one->looked_at)
		return true;
	return one->process && one->process == process;
}

static void tell(struct look *l)
{
	struct refusal_look *r = CONTAINER_OF(l, struct refusal_look, look);
	struct gb_waiter *w = r->w;
	bool hit = false;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < REMEMBERED && !hit; i++)
		hit = refusals[i].dir == r->dir && refusals[i].until > now() &&
		      is_hit(&refusals[i], r->tid, r->process);
	pthread_mutex_unlock(&lock);
	free(r);
	w->done(w, hit ? -EPERM : PARK_AGAIN);
}

static bool is_noted(uint64_t dir)
{
	bool noted = false;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < REMEMBERED && !noted; i++)
		noted = refusals[i].dir == dir && refusals[i].until > now();
	pthread_mutex_unlock(&lock);
	return noted;
}

int refusals_check(struct mount *m, pid_t tid, uint64_t dir, struct gb_waiter *w)
{
	struct refusal_look *r;

	if (!is_noted(dir))
		return 0;
	r = look_new(tid, dir, tell);
	if (!r)
		return -ENOMEM;
	r->w = w;
	looks_post(closes_looks(m->closes), &r->look, true);
	return -EINPROGRESS;
}
