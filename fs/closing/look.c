#include "closing/look.h"

#include <errno.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/util.h"

/* ThreadSanitizer takes descriptors of one number for one, in whatever tables they are. */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define NUMBERS_OF_ITS_OWN(call)                                                       \
	do {                                                                           \
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);                          \
		AnnotateIgnoreWritesBegin(__FILE__, __LINE__);                         \
		call;                                                                  \
		AnnotateIgnoreWritesEnd(__FILE__, __LINE__);                           \
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);                            \
	} while (0)
#else
#define NUMBERS_OF_ITS_OWN(call) call
#endif

#define THREADS 4 /* the first is for quick looks alone */
#define LEAVE_S 2 /* how long looks_stop waits for threads that are looking now */

STAILQ_HEAD(queue, look);

struct looks {
	pthread_mutex_t lock; /* a leaf; guards all below */
	pthread_cond_t work;  /* for look threads, and for looks_stop */
	pthread_cond_t news;  /* for the clerk */
	struct queue quick, slow, seen;
	bool nudged, stop;
	unsigned threads; /* look threads that have not ended */
	pthread_t clerk;
	double (*turn)(void *arg);
	void *arg;
};

struct looker {
	struct looks *s;
	bool quick_only;
};

static struct timespec in_seconds(double seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)seconds;
	t.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static struct look *look_queue_take(struct queue *q)
{
	struct look *l = STAILQ_FIRST(q);

	if (l)
		STAILQ_REMOVE_HEAD(q, link);
	return l;
}

/* ---- look threads ------------------------------------------------------------------- */

/* Get an empty descriptor table. If that is refused, use the process's own; what cannot
 * be opened is then unknown. */
static void leave_descriptors(void)
{
	syscall(SYS_close_range, 0u, ~0u, CLOSE_RANGE_UNSHARE);
}

static void *run_looker(void *arg)
{
	struct looker *me = arg;
	struct looks *s = me->s;
	struct look *l;

	leave_descriptors();
	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		l = look_queue_take(&s->quick);
		if (!l && !me->quick_only)
			l = look_queue_take(&s->slow);
		if (!l) {
			pthread_cond_wait(&s->work, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		NUMBERS_OF_ITS_OWN(l->work(l));
		pthread_mutex_lock(&s->lock);
		STAILQ_INSERT_TAIL(&s->seen, l, link);
		pthread_cond_signal(&s->news);
	}
	s->threads--;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
	free(me);
	return NULL;
}

static int start_looker(struct looks *s, bool quick_only)
{
	struct looker *me = malloc(sizeof *me);
	pthread_t thread;
	int err;

	if (!me)
		return -ENOMEM;
	*me = (struct looker){s, quick_only};
	pthread_mutex_lock(&s->lock);
	err = pthread_create(&thread, NULL, run_looker, me);
	if (!err) {
		pthread_detach(thread);
		s->threads++;
	}
	pthread_mutex_unlock(&s->lock);
	if (err)
		free(me);
	return -err;
}

/* ---- the clerk ---------------------------------------------------------------------- */

/* Under the lock: until there is news, or the time of the next turn. */
static void await_news(struct looks *s, double seconds)
{
	struct timespec until = in_seconds(seconds > 0 ? seconds : 0);
	int err = 0;

	while (!err && STAILQ_EMPTY(&s->seen) && !s->nudged && !s->stop)
		err = seconds < 0 ? pthread_cond_wait(&s->news, &s->lock)
				  : pthread_cond_timedwait(&s->news, &s->lock, &until);
	s->nudged = false;
}

static void *run_clerk(void *arg)
{
	struct looks *s = arg;
	double next = -1;
	struct look *l;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		await_news(s, next);
		while ((l = look_queue_take(&s->seen))) {
			pthread_mutex_unlock(&s->lock);
			l->done(l);
			pthread_mutex_lock(&s->lock);
		}
		pthread_mutex_unlock(&s->lock);
		next = s->turn(s->arg);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- from outside ------------------------------------------------------------------- */

void looks_post(struct looks *s, struct look *l, bool quick)
{
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(quick ? &s->quick : &s->slow, l, link);
	/* Wake all: a single thread might be the one that takes no slow looks. */
	if (quick)
		pthread_cond_signal(&s->work);
	else
		pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
}

void looks_nudge(struct looks *s)
{
	pthread_mutex_lock(&s->lock);
	s->nudged = true;
	pthread_cond_signal(&s->news);
	pthread_mutex_unlock(&s->lock);
}

static void init(struct looks *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &attr);
	pthread_cond_init(&s->news, &attr);
	pthread_condattr_destroy(&attr);
	STAILQ_INIT(&s->quick);
	STAILQ_INIT(&s->slow);
	STAILQ_INIT(&s->seen);
}

int looks_new(double (*turn)(void *arg), void *arg, struct looks **ret)
{
	struct looks *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return -ENOMEM;
	init(s);
	s->turn = turn;
	s->arg = arg;
	err = -pthread_create(&s->clerk, NULL, run_clerk, s);
	if (err) {
		free(s);
		return err;
	}
	for (int i = 0; i < THREADS && !err; i++)
		err = start_looker(s, !i);
	if (err) {
		looks_stop(s);
		looks_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void looks_stop(struct looks *s)
{
	struct timespec until = in_seconds(LEAVE_S);
	struct look *l;

	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->work);
	pthread_cond_signal(&s->news);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->clerk, NULL);
	pthread_mutex_lock(&s->lock);
	while (s->threads)
		if (pthread_cond_timedwait(&s->work, &s->lock, &until))
			break;
	STAILQ_CONCAT(&s->seen, &s->quick);
	STAILQ_CONCAT(&s->seen, &s->slow);
	while ((l = look_queue_take(&s->seen))) {
		pthread_mutex_unlock(&s->lock);
		l->done(l);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
}

void looks_free(struct looks *s)
{
	bool stuck;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	stuck = s->threads;
	pthread_mutex_unlock(&s->lock);
	/* Who returns late finds his place as it was. */
	if (stuck)
		return;
	pthread_cond_destroy(&s->news);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
