/*
 * Results: making them safe where they lie, and bringing them home.
 *
 * What a reader has made whole is sealed where it lies, by a task of its own, once nobody
 * has read for a moment: readers and the disk writing that very file cost each other more
 * than twice their time. Until that is over it stays there: whoever wants it home, or its
 * answers, waits, and has the seal begin at once.
 *
 * Inline output has no bytes of its own at the API: it is composed into a file at once.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <syslog.h>

enum {
	AT_A_TIME = 2,      /* results brought home side by side */
	TRY_AGAIN = 60,     /* seconds */
	REST = 1,           /* seconds between looks whether somebody reads */
	RESTS_MAX = 120,    /* looks before a seal begins in spite of readers */
	RIPE_MAX = 16,      /* seals that begin at one look */
};

static const uint64_t floor_max = 256 << 20;

static void home_next(struct gb_client *c);
static bool start_fetching(struct gb_job *job);
static int run_fetch(struct gb_job *job);

/* ---- what becomes of it ------------------------------------------------------------ */

/* Whether the cache may lose that: nobody has it open, nor opens it before release_name. */
static bool claim_name(void *arg, const char *name)
{
	struct gb_client *c = arg;
	char id[160];

	snprintf(id, sizeof(id), "batches/%.140s", name);
	pthread_mutex_lock(&c->cache_lock);
	client_lock(c);
	struct gb_job *job = job_find_id(c, id);
	bool open = job && (job->results || job->handles);
	if (job && !open)
		job->cached = job->checked = false;
	client_unlock(c);
	if (open)
		pthread_mutex_unlock(&c->cache_lock);
	return !open;
}

static void release_name(void *arg)
{
	struct gb_client *c = arg;

	pthread_mutex_unlock(&c->cache_lock);
}

static void trim_cache(struct gb_client *c)
{
	const struct results_trimmer t = {claim_name, release_name, c};

	results_trim(c->store->results, c->o.cache_max, &t);
}

/* Lock held. Who was told another size may believe in it still. */
static void note_size(struct gb_job *job, int64_t size)
{
	if (job->results_size >= 0 && job->results_size != size)
		job->resized = true;
	job->results_size = size;
}

int home_note_safe(struct gb_job *job, int64_t size, bool home)
{
	struct gb_client *c = job->c;

	client_lock(c);
	note_size(job, size);
	job->cached = !home;
	if (home) {
		job->kept = false;
		job->local->rec.home = true;
		job->local->rec.results_size = size;
	}
	client_unlock(c);
	test_point("home-noted");
	int err = home ? local_save(job) : 0;
	answers_come_home(job);
	job_changed(job, GB_CHANGED_RESULTS | GB_CHANGED_FILES);
	return err;
}

static int seal(struct gb_job *job, struct gb_results *r, bool home)
{
	int err = results_seal(r);

	test_point("results-sealed");
	if (!err)
		err = whole_judge(job, r, home);
	if (!err)
		err = home_note_safe(job, results_known_size(r), home);
	if (!err && home)
		whole_judged(job);
	return err;
}

/* A fetch that waited for it begins. Whoever waited for the seal looks again, also when
 * a block on disk turned out to be rotten. */
static void seal_over(struct gb_job *job, int err)
{
	struct gb_waitq over;

	waitq_init(&over);
	client_lock(job->c);
	job->sealing = SEAL_NONE;
	queue_take(job, QUEUE_SEALERS, &over);
	bool start = queue_waits(job, QUEUE_HOMERS) && start_fetching(job);
	client_unlock(job->c);
	waitq_call(&over, err == -EAGAIN ? 0 : err);
	if (start)
		run_fetch(job);
}

static int seal_run(struct task *t)
{
	struct gb_client *c = t->job->c;
	struct gb_results *r = NULL;
	int err = output_of(t->job, &r);

	client_lock(c);
	bool home = output_is_at_home(t->job);
	client_unlock(c);
	if (!err && results_complete(r))
		err = seal(t->job, r, home);
	seal_over(t->job, err);
	results_unref(r);
	output_rest(t->job);
	trim_cache(c);
	home_next(c);
	return err;
}

/* begin_seal said so. */
static void run_seal(struct gb_job *job)
{
	int err = task_start(job, WORK_SHORT, seal_run, false, false, NULL, NULL);

	if (err)
		seal_over(job, err);
}

/* Lock held. Whether the caller is to call run_seal: none is under way. */
static bool begin_seal(struct gb_job *job)
{
	bool begin = job->sealing != SEAL_RUNS;

	job->sealing = SEAL_RUNS;
	return begin;
}

static void rest_over(void *arg);

/* Lock held. The timer's thread stops before the client goes. */
static void rest_more(struct gb_client *c)
{
	if (!c->rest_timer && !c->stopping)
		c->rest_timer = engine_timer(c->engine,
					test_seconds("BATCHFS_TEST_REST_SECONDS", REST),
					rest_over, c) == 0;
}

/* Take what nobody reads; ret has room for RIPE_MAX. Lock held. */
static size_t take_ripe(struct gb_client *c, struct gb_job **ret)
{
	size_t n = 0;

	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];

		if (job->sealing != SEAL_RESTS)
			continue;
		if (n == RIPE_MAX || (job->handles && ++job->seal_rested < RESTS_MAX)) {
			rest_more(c);
			continue;
		}
		begin_seal(job);
		ret[n++] = gb_job_ref(job);
	}
	return n;
}

static void rest_over(void *arg)
{
	struct gb_client *c = arg;
	struct gb_job *ripe[RIPE_MAX];

	client_lock(c);
	c->rest_timer = false;
	size_t n = c->stopping ? 0 : take_ripe(c, ripe);
	client_unlock(c);
	while (n > 0) {
		run_seal(ripe[--n]);
		gb_job_unref(ripe[n]);
	}
}

/* Lock held. */
static void plan_seal(struct gb_job *job)
{
	if (job->sealing || job->fetching || job->c->stopping)
		return;
	job->sealing = SEAL_RESTS;
	job->seal_rested = 0;
	rest_more(job->c);
}

void home_note_whole(struct gb_job *job)
{
	client_lock(job->c);
	plan_seal(job);
	client_unlock(job->c);
}

void home_close(struct gb_client *c)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];

		if (job->sealing != SEAL_RESTS)
			continue;
		job->sealing = SEAL_NONE;
		output_rest(job);
	}
}

int home_make_whole(struct gb_job *job, struct gb_waiter *w)
{
	bool start = false;
	int err = 0;

	client_lock(job->c);
	bool safe = home_safe(job);
	bool whole = job->sealing ||
		     (!job->fetching && job_output(job) == GB_OUTPUT_HOME);
	if (!safe && whole) {
		err = queue_add(job, QUEUE_SEALERS, w);
		start = err == -EINPROGRESS && begin_seal(job);
	}
	client_unlock(job->c);
	if (start)
		run_seal(job);
	return safe || whole ? err : gb_fetch_home(job, w);
}

/* Lock held. Of what was at home and is damaged only the rest is left. */
static bool note_lost(struct gb_job *job, bool some)
{
	job->lost = true;
	job->holed = some && !job->kept && job_was_home(job);
	if (job->holed)
		job->local->rec.home = false;
	return job->holed;
}

void home_event(void *arg, struct gb_results *r, enum results_event ev)
{
	struct gb_job *job = arg;
	int64_t size = results_known_size(r);
	bool some = results_some(r), holed = false;

	client_lock(job->c);
	if (ev == RESULTS_SIZED)
		note_size(job, size);
	else if (ev == RESULTS_FILLED)
		plan_seal(job);
	else if (ev == RESULTS_LOST)
		holed = note_lost(job, some);
	else
		job->checked = false;
	client_unlock(job->c);
	if (ev == RESULTS_LOST && holed)
		client_log(job->c, LOG_WARNING,
			"results of %s: a part of the copy here is damaged, and the API does not "
			"have it any more", job_label(job));
	if (ev == RESULTS_DAMAGED)
		client_log(job->c, LOG_WARNING,
			"results of %s: the copy here is damaged, what is missing is fetched again",
			job_label(job));
	job_changed(job, GB_CHANGED_RESULTS | GB_CHANGED_FILES);
}

/* ---- bringing home ------------------------------------------------------------------- */

/* On a worker. */
static int fetch_blocking(struct gb_results *r)
{
	struct waiter_sync s;

	waiter_sync_init(&s);
	int err = results_fetch(r, &s.w);
	return err == -EINPROGRESS ? waiter_sync_wait(&s) : err;
}

int gb_statvfs(struct gb_client *c, struct statvfs *ret)
{
	return fstatvfs(c->store->state, ret) < 0 ? -errno : 0;
}

/* Drafts must still find room when results have come home. */
static int room_for(struct gb_client *c, int64_t size)
{
	struct statvfs vfs;

	if (gb_statvfs(c, &vfs))
		return 0;
	uint64_t free = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	uint64_t least = (uint64_t)vfs.f_blocks * vfs.f_frsize / 20;
	if (least > floor_max)
		least = floor_max;
	bool low = free < least + (size > 0 ? (uint64_t)size : 0);
	client_lock(c);
	c->disk_low = low;
	client_unlock(c);
	return low ? -ENOSPC : 0;
}

static int fetch_file(struct gb_job *job)
{
	struct gb_results *r = NULL;
	int err = output_of(job, &r);

	if (!err)
		err = room_for(job->c, results_known_size(r));
	if (!err)
		err = fetch_blocking(r);
	if (!err)
		err = home_may_replace(job, r);
	if (!err) {
		/* What was read before lies in the cache; a no-op when it is here. */
		_cleanup_close_ int dir = local_dir_open(job);

		err = dir < 0 ? dir : results_rehome(r, dir, HOME_RESULTS);
	}
	if (!err)
		err = seal(job, r, true);
	results_unref(r);
	return err;
}

static int compose_inline_output(struct gb_job *job, int dir)
{
	struct gb_client *c = job->c;
	struct canceller none = CANCELLER_INIT;
	struct api_error e = {.retry = -1};
	struct api_batch b;
	uint64_t seq = learn_seq(c);
	int64_t lines = 0, size;
	_cleanup_close_ int fd = openat(dir, "results.tmp",
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = fd < 0 ? -errno
			 : api_get(c->engine, job->id, fd, &none, &b, &lines, &e);

	client_called(c, &e);
	api_error_clear(&e);
	if (err)
		return err;
	bool has = b.output_inline;
	gb_job_unref(learn_batch(c, &b, seq, false));
	api_batch_clear(&b);
	if (!has)
		return -ENOENT;
	size = lseek(fd, 0, SEEK_END);
	err = results_publish(dir, "results.tmp", HOME_RESULTS);
	return err ? err : home_note_safe(job, size, true);
}

static int download(struct gb_job *job)
{
	client_lock(job->c);
	enum gb_output o = job->kept ? job_output_there(job) : job_output(job);
	client_unlock(job->c);
	switch (o) {
	case GB_OUTPUT_LOST:
		return -ENODATA;
	case GB_OUTPUT_DAMAGED:
		return -EIO;
	case GB_OUTPUT_NONE:
	case GB_OUTPUT_AWAITED:
		return -EBUSY;
	case GB_OUTPUT_INLINE:
		break;
	default:
		return fetch_file(job);
	}
	_cleanup_close_ int dir = local_dir_open(job);
	return dir < 0 ? dir : compose_inline_output(job, dir);
}

static int bring_home(struct gb_job *job)
{
	int err = job->local ? 0 : local_make(job);

	if (err)
		return err;
	test_point("fetch-begins");
	client_lock(job->c);
	bool home = job->local->rec.home, more = whole_is_short(job);
	client_unlock(job->c);
	if (!home || more)
		err = home ? whole_look(job) : download(job);
	return err ? home_take_kept(job, err) : 0;
}

static void next_timer(void *arg)
{
	struct gb_client *c = arg;

	client_lock(c);
	c->fetch_timer = false;
	for (uint32_t i = 0; i < c->n_slots; i++)
		c->slots[i]->fetch_failed = false;
	client_unlock(c);
	home_next(c);
}

static void try_again_later(struct gb_client *c)
{
	client_lock(c);
	bool planned = c->fetch_timer;
	c->fetch_timer = true;
	client_unlock(c);
	if (!planned)
		engine_timer(c->engine, TRY_AGAIN, next_timer, c);
}

static void fetch_over(struct gb_job *job, int err)
{
	struct gb_waitq over;

	waitq_init(&over);
	client_lock(job->c);
	job->fetching = false;
	job->fetch_failed = err != 0;
	job->c->fetches_running--;
	queue_take(job, QUEUE_HOMERS, &over);
	client_unlock(job->c);
	output_rest(job);
	waitq_call(&over, err == -ECANCELED ? -EINTR : err);
}

static int home_run(struct task *t)
{
	struct gb_job *job = t->job;
	int err = bring_home(job);

	if (err && err != -ECANCELED)
		client_log(job->c, LOG_WARNING, "results of %s: %s", job_label(job),
			strerror(-err));
	if (err)
		try_again_later(job->c);
	fetch_over(job, err);
	home_next(job->c);
	return 0;
}

/* Lock held. Not while it is being sealed where it lies. */
static bool start_fetching(struct gb_job *job)
{
	if (job->fetching || job->sealing)
		return false;
	job->fetching = true;
	job->c->fetches_running++;
	return true;
}

/* start_fetching said so. */
static int run_fetch(struct gb_job *job)
{
	int err = task_start(job, WORK_LONG, home_run, false, false, NULL, NULL);

	if (err)
		fetch_over(job, err);
	return err;
}

int gb_fetch_home(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	bool start = false, seal = false;
	int err = 0;

	client_lock(c);
	enum gb_output o = job_output(job);
	if (c->stopping)
		err = -EINTR;
	else if (job->local && job->local->rec.home &&
		 (c->o.offline || !whole_is_short(job)))
		err = 0;
	else if (o == GB_OUTPUT_NONE || o == GB_OUTPUT_AWAITED)
		err = -EBUSY;
	else if (o == GB_OUTPUT_LOST)
		err = -ENODATA;
	else if (o == GB_OUTPUT_DAMAGED)
		err = -EIO;
	else if (c->o.offline && o != GB_OUTPUT_HOME && o != GB_OUTPUT_KEPT)
		err = -EHOSTUNREACH;
	else if ((err = queue_add(job, QUEUE_HOMERS, w)) == -EINPROGRESS &&
		 !(start = start_fetching(job)))
		seal = job->sealing == SEAL_RESTS && begin_seal(job);
	client_unlock(c);
	if (start)
		run_fetch(job);
	if (seal)
		run_seal(job);
	return err;
}

bool home_can_fetch(const struct gb_job *job)
{
	enum gb_output o = job_output(job);

	if (whole_is_short(job))
		return true;
	return o == GB_OUTPUT_THERE || o == GB_OUTPUT_INLINE || o == GB_OUTPUT_KEPT ||
	       (o == GB_OUTPUT_HOME && !(job->local && job->local->rec.home));
}

bool home_missing(const struct gb_job *job)
{
	const struct gb_client *c = job->c;
	bool asked = c->o.fetch == GB_FETCH_ALL ||
		     (c->o.fetch == GB_FETCH_OWN && job->local && job->local->rec.own);

	return ((asked && !job->gone) || job->kept) && job->id && job->in_tree &&
	       (whole_is_short(job) ? whole_look_due(job) : home_can_fetch(job));
}

bool home_safe(const struct gb_job *job)
{
	return job->cached || (job->local && job->local->rec.home);
}

/* Start what there is room for. */
static void home_next(struct gb_client *c)
{
	for (;;) {
		struct gb_job *next = NULL;

		client_lock(c);
		bool may = !c->stopping && !c->o.offline && !c->o.readonly &&
			   !c->offline_since && c->fetches_running < AT_A_TIME;
		for (uint32_t i = 0; may && !next && i < c->n_slots; i++) {
			struct gb_job *job = c->slots[i];

			if (!job->fetching && !job->sealing && !job->fetch_failed &&
				home_missing(job))
				next = job;
		}
		if (next) {
			gb_job_ref(next);
			start_fetching(next);
		}
		client_unlock(c);
		if (!next)
			return;
		int err = run_fetch(next);
		gb_job_unref(next);
		if (err)
			return;
	}
}

void home_go_on(void *arg)
{
	home_next(arg);
}

void home_consider(struct gb_job *job)
{
	client_lock(job->c);
	bool missing = home_missing(job);
	client_unlock(job->c);
	if (missing)
		home_next(job->c);
}
