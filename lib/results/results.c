/* Results: life cycle, and what readers ask. */
#include "results/results_private.h"
#include "base/util.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what is done without the lock --------------------------------------- */

void after_init(struct after *a)
{
	*a = (struct after){0};
	waitq_init(&a->wake);
	waitq_init(&a->fail);
}

/* Whoever opens it from now on is told the right size. */
static void results_forgive(struct gb_results *r)
{
	if (r->readers == 0 && !r->unheard)
		r->misled = false;
}

static void results_heard(struct gb_results *r)
{
	r->unheard = false;
	results_forgive(r);
}

/* Not after the last reference is dropped, which waits for calls in progress. */
static void results_tell(struct gb_results *r, unsigned events)
{
	bool go;

	pthread_mutex_lock(&r->lock);
	go = r->event && atomic_load(&r->refs) > 0;
	if (go) {
		r->telling++;
		r->teller = pthread_self();
	} else {
		results_heard(r);
	}
	pthread_mutex_unlock(&r->lock);
	if (!go)
		return;
	for (int ev = RESULTS_SIZED; ev <= RESULTS_GAVE_UP; ev++)
		if (events & 1u << ev)
			r->event(r->arg, r, (enum results_event)ev);
	pthread_mutex_lock(&r->lock);
	if (events & 1u << RESULTS_SIZED)
		results_heard(r);
	if (--r->telling == 0)
		pthread_cond_broadcast(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

void results_finish(struct gb_results *r, struct after *a)
{
	if (a->events)
		results_tell(r, a->events);
	waitq_call(&a->wake, 0);
	waitq_call(&a->fail, a->err);
	if (a->save)
		copy_save_lazily(r);
}

static bool is_ready(const struct gb_waiter *w, void *arg)
{
	const struct gb_results *r = arg;

	if (results_is_held(r))
		return false;
	/* Blocks of an earlier object are checked by whoever reads them. */
	return results_local_end(r, w->lo) > w->lo ||
	       (r->ended && w->lo >= (uint64_t)r->size);
}

void results_wake_ready(struct gb_results *r, struct after *a)
{
	waitq_move_if(&r->readq, &a->wake, is_ready, r);
}

void results_tell_damage(struct gb_results *r, struct after *a)
{
	if (r->damaged)
		a->events |= 1u << RESULTS_DAMAGED;
	r->damaged = false;
}

void results_fail_all(struct gb_results *r, int err, struct after *a)
{
	a->err = err;
	r->fetching = false;
	waitq_move(&r->readq, &a->fail);
	waitq_move(&r->sizeq, &a->fail);
	waitq_move(&r->fetchq, &a->fail);
}

/* ---- what is local ------------------------------------------------------- */

uint64_t results_local_end(const struct gb_results *r, uint64_t off)
{
	for (;;) {
		uint64_t end = ranges_end(&r->summed, ranges_end(&r->have, off));

		if (end == off)
			return end;
		off = end;
	}
}

uint64_t results_local_next(const struct gb_results *r, uint64_t off)
{
	uint64_t a = ranges_next(&r->have, off), b = ranges_next(&r->summed, off);

	return a < b ? a : b;
}

uint64_t results_local_limit(const struct gb_results *r)
{
	uint64_t a = ranges_limit(&r->have), b = ranges_limit(&r->summed);

	return a > b ? a : b;
}

bool results_is_complete(const struct gb_results *r)
{
	return r->ended && !r->changed &&
	       results_local_end(r, 0) >= (uint64_t)r->size;
}

bool results_is_held(const struct gb_results *r)
{
	return r->shown >= 0 && !r->proven;
}

/* Not while somebody reads: what is told holds up reads until it is proven. */
bool results_may_show(struct gb_results *r)
{
	if (r->size < 0 || r->shown >= 0)
		return r->size >= 0 && r->shown == r->size;
	return !r->given && waitq_count(&r->readq) == 0;
}

uint64_t results_block_end(const struct gb_results *r, uint64_t off)
{
	uint64_t end = (off / RESULTS_BLOCK + 1) * RESULTS_BLOCK;

	return r->size >= 0 && end > (uint64_t)r->size ? (uint64_t)r->size : end;
}

/* ---- life cycle ---------------------------------------------------------- */

static void destroy(struct gb_results *r)
{
	copy_close(r);
	util_closep(&r->dirfd);
	waitq_destroy(&r->readq);
	waitq_destroy(&r->sizeq);
	waitq_destroy(&r->fetchq);
	ranges_clear(&r->have);
	ranges_clear(&r->summed);
	free(r->sums);
	free(r->file);
	free(r->name);
	free(r->refused_words);
	pthread_cond_destroy(&r->idle);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->save_lock);
	free(r);
}

static struct gb_results *results_create(const struct results_config *c)
{
	struct gb_results *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	pthread_mutex_init(&r->save_lock, NULL);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->idle, NULL);
	waitq_init(&r->readq);
	waitq_init(&r->sizeq);
	waitq_init(&r->fetchq);
	r->refs = 1;
	r->fd = r->dirfd = -1;
	r->size = r->doubted = r->shown = -1;
	r->resume = NO_END;
	for (size_t i = 0; i < ARRAY_SIZE(r->ends); i++)
		r->ends[i] = NO_END;
	r->api = c->api;
	r->offline = c->offline;
	r->rotten = c->was_whole;
	r->event = c->event;
	r->arg = c->arg;
	r->name = strdup(c->name);
	r->file = c->file ? strdup(c->file) : NULL;
	if (r->name && (r->file || !c->file))
		return r;
	destroy(r);
	return NULL;
}

/* What an earlier object told waits for its second reply in this one. */
static void results_take_shown(struct gb_results *r, int64_t shown)
{
	if (shown <= 0 || r->proven)
		return;
	r->shown = shown;
	if (r->size < 0 && results_local_limit(r) <= (uint64_t)shown)
		r->size = shown;
}

int results_new(const struct results_config *c, struct gb_results **ret)
{
	struct gb_results *r;
	int err;

	if (strchr(c->name, '/') || (c->file && !remote_id_valid(REMOTE_FILE, c->file)))
		return -EINVAL;
	r = results_create(c);
	if (!r)
		return -ENOMEM;
	err = r->dirfd = util_dup(c->dirfd);
	if (err >= 0)
		err = copy_load(r);
	r->kept = (c->was_whole || r->sealed) && results_local_next(r, 0) != NO_END;
	if (err == 0)
		results_take_shown(r, c->shown);
	if (err == 0 && c->checked && r->sealed && results_is_complete(r))
		err = ranges_add(&r->have, 0, (uint64_t)r->size) < 0 ? -ENOMEM : 0;
	if (err == 0 && !r->file && !results_is_complete(r) && r->summed.n == 0)
		err = -ENOENT;
	if (err < 0) {
		destroy(r);
		return err;
	}
	*ret = r;
	return 0;
}

struct gb_results *results_ref(struct gb_results *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void results_stop(struct gb_results *r)
{
	struct after a;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	stream_stop_all(r);
	results_fail_all(r, -EINTR, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
}

void results_unref(struct gb_results *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	results_stop(r);
	copy_save_lazily(r);
	pthread_mutex_lock(&r->lock);
	while (r->telling > 0 && !pthread_equal(r->teller, pthread_self()))
		pthread_cond_wait(&r->idle, &r->lock);
	r->freed = true;
	r->holds++;
	pthread_mutex_unlock(&r->lock);
	results_put(r);
}

void results_put(struct gb_results *r)
{
	bool last;

	pthread_mutex_lock(&r->lock);
	last = --r->holds == 0 && r->freed;
	if (!last)
		copy_idle(r);
	pthread_mutex_unlock(&r->lock);
	if (last)
		destroy(r);
}

void results_reader(struct gb_results *r, int delta)
{
	struct after a;
	bool idle;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	r->readers += (unsigned)delta;
	if (delta > 0)
		r->refused = false;
	idle = r->readers == 0;
	results_forgive(r);
	results_tell_damage(r, &a);
	if (idle) {
		stream_stop_unfollowed(r);
		r->resume = NO_END;
		copy_idle(r);
	}
	pthread_mutex_unlock(&r->lock);
	a.save = idle;
	results_finish(r, &a);
}

/* ---- questions ----------------------------------------------------------- */

/* 0, or why nothing can be fetched. */
static int fetchable(const struct gb_results *r)
{
	if (r->changed)
		return -EIO;
	if (r->stopped)
		return -EINTR;
	if (r->rest_err && util_now() < r->rest_until)
		return r->rest_err;
	if (!r->offline && r->file && !r->refused)
		return 0;
	if (r->rotten)
		return -EIO;
	return r->offline ? -EHOSTUNREACH : -ENODATA;
}

static int results_ask(struct gb_results *r, struct gb_waitq *q, struct gb_waiter *w,
	uint64_t lo, uint64_t hi, struct after *a)
{
	int err = fetchable(r);

	if (err < 0)
		return err;
	waitq_add(q, w, lo, hi);
	stream_plan(r, a);
	return -EINPROGRESS;
}

int results_size(struct gb_results *r, struct gb_waiter *w, int64_t *ret)
{
	struct after a;
	int err = 0;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	if (r->changed)
		err = -EIO;
	else if (r->proven || (r->size < 0 && r->no_length))
		*ret = r->size;
	else if (results_may_show(r))
		*ret = r->shown = r->size;
	else
		err = results_ask(r, &r->sizeq, w, 0, 0, &a);
	/* If the API cannot be asked now, this is the best answer. */
	if (err < 0 && err != -EINPROGRESS && err != -EIO && r->size >= 0 &&
		r->shown < 0) {
		*ret = r->size;
		err = 0;
	}
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return err;
}

static ssize_t ready(struct gb_results *r, uint64_t off, size_t n, struct gb_waiter *w,
	struct after *a)
{
	uint64_t hi = off + n, end;
	int err;

	if (r->changed)
		return -EIO;
	if (n == 0 || off > (uint64_t)RESULTS_MAX)
		return 0;
	if (results_is_held(r))
		return results_ask(r, &r->readq, w, off, hi, a);
	if (r->size >= 0 && off >= (uint64_t)r->size)
		return r->ended ? 0 : results_ask(r, &r->readq, w, off, hi, a);
	if (r->size >= 0 && hi > (uint64_t)r->size)
		hi = (uint64_t)r->size;
	/* A promise is one about the file that is open. */
	if (results_local_end(r, off) > off && copy_fd(r) < 0)
		return r->fd;
	end = copy_readable(r, off, hi, &err);
	results_tell_damage(r, a);
	if (r->changed)
		return -EIO;
	if (end == off && err < 0)
		return err;
	if (end == off)
		return results_ask(r, &r->readq, w, off, hi, a);
	r->given = true;
	stream_note_read(r, off, end, a);
	return (ssize_t)(end - off);
}

static ssize_t ready_for(struct gb_results *r, bool shown, uint64_t off, size_t n,
	struct gb_waiter *w)
{
	struct after a;
	ssize_t got;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	got = shown && r->misled ? -EIO : ready(r, off, n, w, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return got;
}

ssize_t results_ready(struct gb_results *r, uint64_t off, size_t n, struct gb_waiter *w)
{
	return ready_for(r, true, off, n, w);
}

ssize_t results_ready_inside(
	struct gb_results *r, uint64_t off, size_t n, struct gb_waiter *w)
{
	return ready_for(r, false, off, n, w);
}

int results_fetch(struct gb_results *r, struct gb_waiter *w)
{
	struct after a;
	int err = 0;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	results_tell_damage(r, &a);
	r->refused = false;
	r->rest_err = 0;
	if (!results_is_complete(r)) {
		r->fetching = fetchable(r) == 0;
		err = results_ask(r, &r->fetchq, w, 0, 0, &a);
	}
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return err;
}

void *results_arg(struct gb_results *r)
{
	return r->arg;
}

struct gb_results *results_of_several(void *several)
{
	struct gb_results *r = calloc(1, sizeof *r);

	if (r)
		r->several = several;
	return r;
}

void *results_several(const struct gb_results *r)
{
	return r->several;
}

int results_fd(struct gb_results *r)
{
	int fd;

	pthread_mutex_lock(&r->lock);
	fd = copy_fd(r);
	pthread_mutex_unlock(&r->lock);
	return fd;
}

bool results_complete(struct gb_results *r)
{
	bool complete;

	pthread_mutex_lock(&r->lock);
	complete = results_is_complete(r);
	pthread_mutex_unlock(&r->lock);
	return complete;
}

bool results_waited(struct gb_results *r)
{
	return waitq_count(&r->readq) || waitq_count(&r->sizeq);
}

bool results_some(struct gb_results *r)
{
	bool some;

	pthread_mutex_lock(&r->lock);
	some = results_local_next(r, 0) != NO_END;
	pthread_mutex_unlock(&r->lock);
	return some;
}

unsigned results_refusal(struct gb_results *r, char **ret_words)
{
	pthread_mutex_lock(&r->lock);
	unsigned status = r->refused_with;
	*ret_words = r->refused_words ? strdup(r->refused_words) : NULL;
	pthread_mutex_unlock(&r->lock);
	return status;
}

int results_gave_up(struct gb_results *r, double *ret_told)
{
	pthread_mutex_lock(&r->lock);
	int err = r->gave_up;
	*ret_told = r->rest_err ? r->rest_until : 0;
	pthread_mutex_unlock(&r->lock);
	return err;
}

void results_rest(struct gb_results *r, int err, double until)
{
	pthread_mutex_lock(&r->lock);
	if (r->n_streams == 0 && !r->fetching && !r->retrying) {
		r->rest_err = err;
		r->rest_until = until;
	}
	pthread_mutex_unlock(&r->lock);
}

bool results_final(struct gb_results *r)
{
	bool final;

	pthread_mutex_lock(&r->lock);
	final = r->sealed && results_is_complete(r) &&
		ranges_end(&r->have, 0) >= (uint64_t)r->size;
	pthread_mutex_unlock(&r->lock);
	return final;
}

bool results_odd(struct gb_results *r)
{
	bool odd;

	pthread_mutex_lock(&r->lock);
	odd = results_is_complete(r) && (r->odd_begin.told >= ODD_TIMES ||
						r->odd_end.told >= ODD_TIMES);
	pthread_mutex_unlock(&r->lock);
	return odd;
}

bool results_unsealed(struct gb_results *r)
{
	bool unsealed;

	pthread_mutex_lock(&r->lock);
	unsealed = !r->sealed && results_is_complete(r);
	pthread_mutex_unlock(&r->lock);
	return unsealed;
}

int64_t results_known_size(struct gb_results *r)
{
	int64_t size;

	pthread_mutex_lock(&r->lock);
	size = r->proven ? r->size : -1;
	pthread_mutex_unlock(&r->lock);
	return size;
}

static uint64_t local_total(const struct gb_results *r)
{
	uint64_t total = 0, lo, off = 0;

	while ((lo = results_local_next(r, off)) != NO_END) {
		off = results_local_end(r, lo);
		total += off - lo;
	}
	return total;
}

bool results_progress(struct gb_results *r, struct results_progress *ret)
{
	bool runs;

	pthread_mutex_lock(&r->lock);
	runs = r->streams || r->retrying;
	if (runs) {
		double dt = util_now() - r->rate_since;

		ret->have = (int64_t)local_total(r);
		ret->total = r->size;
		ret->rate = dt > 2 ? (double)r->rate_bytes / dt : r->rate;
	}
	pthread_mutex_unlock(&r->lock);
	return runs;
}
