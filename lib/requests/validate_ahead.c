#include "requests/validate_ahead.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

enum { BUFFER_SIZE = 256 << 10 };

enum follow_state {
	FOLLOW_IDLE,
	FOLLOW_QUEUED,
	FOLLOW_RUNS,
	FOLLOW_TAKEN,       /* by who finishes it */
};

/* Of whoever runs, or finishes: without the lock, but only from follow_own() on until the
 * state is FOLLOW_IDLE again. A worker that comes late is given nothing to read or
 * write. */
struct look {
	int fd;
	struct validator *scan;
	uint8_t *buf;       /* of the last feed: the scan still needs it */
	off_t at;           /* looked at so far */
};

struct follow {
	struct follows *all;
	struct look owned;
	/* Lock: */
	off_t claimed;      /* a worker may have looked at what is below */
	enum follow_state state;
	bool ended;         /* of no use any more */
	unsigned refs;      /* the file's, and one of a worker */
	atomic_bool stop;   /* who runs gives up */
};

struct follows {
	const struct request_grammar *grammar;
	struct thread_pool *work;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct follow *oldest_first[FOLLOW_MAX]; /* lock; borrowed; no gaps */
};

struct follows *follows_new(struct thread_pool *work, const struct request_grammar *g)
{
	struct follows *all = calloc(1, sizeof *all);

	if (!all)
		return NULL;
	all->work = work;
	all->grammar = g;
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->idle, NULL);
	return all;
}

void follows_free(struct follows *all)
{
	if (!all)
		return;
	pthread_cond_destroy(&all->idle);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* ---- life ---------------------------------------------------------------------------- */

/* Lock held. */
static void follow_forget(struct follow *fo)
{
	struct follow **slots = fo->all->oldest_first;
	size_t n = 0;

	for (size_t i = 0; i < FOLLOW_MAX; i++)
		if (slots[i] && slots[i] != fo)
			slots[n++] = slots[i];
	while (n < FOLLOW_MAX)
		slots[n++] = NULL;
}

/* What it holds; nobody runs. */
static void let_go(struct follow *fo)
{
	struct look *l = &fo->owned;

	util_closep(&l->fd);
	l->fd = -1;
	validate_free(STEAL_PTR(l->scan));
	free(STEAL_PTR(l->buf));
}

/* Lock held. Who is at it lets go itself when it has seen this. */
static void follow_stop(struct follow *fo)
{
	fo->ended = true;
	fo->stop = true;
	follow_forget(fo);
	if (fo->state == FOLLOW_IDLE || fo->state == FOLLOW_QUEUED)
		let_go(fo);
}

/* Lock held. */
static void follow_unref(struct follow *fo)
{
	if (--fo->refs)
		return;
	follow_stop(fo);
	free(fo);
}

struct follow *follow_begin(struct follows *all, int fd)
{
	struct follow *fo = calloc(1, sizeof *fo);

	if (!fo)
		return NULL;
	fo->all = all;
	fo->refs = 1;
	fo->owned = (struct look){.fd = util_dup(fd),
		.scan = validate_new(all->grammar),
		.buf = malloc(BUFFER_SIZE)};
	if (fo->owned.scan)
		validate_any_size(fo->owned.scan);
	pthread_mutex_lock(&all->lock);
	if (fo->owned.fd < 0 || !fo->owned.scan || !fo->owned.buf) {
		follow_unref(STEAL_PTR(fo));
	} else {
		if (all->oldest_first[FOLLOW_MAX - 1])
			follow_stop(all->oldest_first[0]);
		for (size_t i = 0; i < FOLLOW_MAX; i++)
			if (!all->oldest_first[i]) {
				all->oldest_first[i] = fo;
				break;
			}
	}
	pthread_mutex_unlock(&all->lock);
	return fo;
}

void follow_end(struct follow *fo)
{
	if (!fo)
		return;
	struct follows *all = fo->all;

	pthread_mutex_lock(&all->lock);
	follow_stop(fo);
	follow_unref(fo);
	pthread_mutex_unlock(&all->lock);
}

/* ---- at work ------------------------------------------------------------------------- */

/* The next bytes below to. > 0; 0: there are no more; -ECANCELED. */
static ssize_t look_on(struct look *l, off_t to, const atomic_bool *cancel)
{
	size_t n = to - l->at < BUFFER_SIZE ? (size_t)(to - l->at) : BUFFER_SIZE;
	ssize_t got;

	if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
		return -ECANCELED;
	do
		got = pread(l->fd, l->buf, n, l->at);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got < 0 ? -errno : 0;
	l->at += got;
	int err = validate_feed(l->scan, l->buf, (size_t)got);
	return err ? err : got;
}

/* Start writing to disk early what a close must make durable before it may intend a
 * job: most of it is there when the last byte arrives. Nothing depends on it. */
static void begin_write_out(const struct look *l, off_t from)
{
	sync_file_range(l->fd, from, l->at - from, SYNC_FILE_RANGE_WRITE);
}

/* What was claimed for a worker. Whether it is useful any more. */
static bool look_at_claim(struct look *l, off_t to, const atomic_bool *stop)
{
	off_t from = l->at;
	ssize_t n = 1;

	while (n > 0 && l->at < to)
		n = look_on(l, to, stop);
	begin_write_out(l, from);
	return (n > 0 || n == -ECANCELED) && !validate_is_bad(l->scan);
}

/* Lock held. Its work is the caller's now; NULL: it is somebody else's, or over. */
static struct look *follow_own(
	struct follow *fo, enum follow_state from, enum follow_state to)
{
	if (fo->ended || fo->state != from)
		return NULL;
	fo->state = to;
	return &fo->owned;
}

/* Up to what was claimed for it. */
static void follow_run(void *arg)
{
	struct follow *fo = arg;
	struct follows *all = fo->all;

	pthread_mutex_lock(&all->lock);
	struct look *l = follow_own(fo, FOLLOW_QUEUED, FOLLOW_RUNS);
	off_t to = fo->claimed;
	pthread_mutex_unlock(&all->lock);
	bool useful = l && look_at_claim(l, to, &fo->stop);
	pthread_mutex_lock(&all->lock);
	if (l)
		fo->state = FOLLOW_IDLE;
	if (l && (!useful || fo->ended))
		follow_stop(fo);
	pthread_cond_broadcast(&all->idle);
	follow_unref(fo);
	pthread_mutex_unlock(&all->lock);
}

void follow_wrote(struct follow *fo, off_t off, off_t in_order)
{
	struct follows *all = fo->all;

	pthread_mutex_lock(&all->lock);
	if (off < fo->claimed) {
		follow_stop(fo);
	} else if (!fo->ended && fo->state == FOLLOW_IDLE &&
		   in_order - fo->claimed >= FOLLOW_STEP) {
		fo->claimed = in_order;
		fo->state = FOLLOW_QUEUED;
		fo->refs++;
		if (pool_add(all->work, POOL_SHORT, follow_run, fo)) {
			fo->state = FOLLOW_IDLE;
			fo->refs--;
		}
	}
	pthread_mutex_unlock(&all->lock);
}

/* The scan becomes the caller's: who is on it is waited for, which takes a moment, who
 * would have been will leave it alone. */
static struct look *follow_take(struct follow *fo)
{
	struct follows *all = fo->all;

	pthread_mutex_lock(&all->lock);
	fo->stop = true;
	while (fo->state == FOLLOW_RUNS)
		pthread_cond_wait(&all->idle, &all->lock);
	struct look *l = follow_own(fo, fo->state, FOLLOW_TAKEN);
	follow_forget(fo);
	pthread_mutex_unlock(&all->lock);
	return l;
}

/* The end of what was taken. */
static void give_back(struct follow *fo)
{
	struct follows *all = fo->all;

	pthread_mutex_lock(&all->lock);
	fo->state = FOLLOW_IDLE;
	follow_stop(fo);
	follow_unref(fo);
	pthread_mutex_unlock(&all->lock);
}

int follow_finish(struct follow *fo, const struct request_grammar *g, int fd,
	const atomic_bool *cancel, struct validate_report *ret)
{
	struct look *l = fo ? follow_take(fo) : NULL;
	ssize_t n;

	if (!l) {
		follow_end(fo);
		return validate_file_any_size(g, fd, cancel, ret);
	}
	while ((n = look_on(l, l->at + BUFFER_SIZE, cancel)) > 0)
		;
	if (n == 0)
		n = validate_finish(l->scan, l->fd, cancel, ret);
	give_back(fo);
	return (int)n;
}
