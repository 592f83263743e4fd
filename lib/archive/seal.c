/*
 * Making results durable where they are.
 *
 * A file that a reader has completed is sealed where it is, by a task of its own, once
 * nobody has read for a moment: reading while the disk writes the same file makes both
 * take more than twice as long. Until then it stays there. A caller that wants it
 * saved, or its answers, waits, and makes the seal begin at once.
 */
#include "archive/complete.h"
#include "archive/open.h"
#include "archive/save_private.h"
#include "jobs/operation.h"
#include "provider/all/ids.h"

#include <errno.h>

enum {
	REST = 1,           /* seconds between looks whether somebody reads */
	RESTS_MAX = 120,    /* looks before a seal begins despite readers */
	RIPE_MAX = 16,      /* seals that begin at one look */
};

/* Whether the cache may remove this: nobody has it open, and nobody opens it before
 * release_name. */
static bool claim_name(void *arg, const char *name)
{
	struct gb_client *c = arg;
	char id[REMOTE_ID_SIZE];
	bool known = remote_id_from(REMOTE_BATCH, name, id);

	pthread_mutex_lock(&c->cache_lock);
	client_lock(c);
	struct gb_job *job = known ? job_find_id(c, id) : NULL;
	bool open = job && (job->batch->results || job->batch->handles);
	if (job && !open)
		job->batch->cached = job->batch->checked = false;
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

int seal_results(struct gb_job *job, struct gb_results *r, bool home)
{
	int err = results_seal(r);

	test_point("results-sealed");
	if (!err)
		err = complete_judge(job, r, home);
	if (!err)
		err = save_note_safe(job, results_known_size(r), home);
	if (!err && home)
		complete_judged(job);
	return err;
}

/* A fetch that waited for the seal begins. Callers that waited for it look again, also
 * if a block on disk turned out to be damaged. */
static void seal_over(struct gb_job *job, int err)
{
	struct gb_waitq over;

	waitq_init(&over);
	client_lock(job->c);
	job->batch->sealing = SEAL_NONE;
	queue_take(job, QUEUE_SEALERS, &over);
	bool start = queue_waits(job, QUEUE_SAVERS) && save_begin(job);
	client_unlock(job->c);
	waitq_call(&over, err == -EAGAIN ? 0 : err);
	if (start)
		save_run(job);
}

static int seal_run(struct operation *t)
{
	struct gb_client *c = t->job->c;
	struct gb_results *r = NULL;
	int err = output_of(t->job, &r);

	client_lock(c);
	bool home = output_is_local(t->job);
	client_unlock(c);
	if (!err && results_complete(r))
		err = seal_results(t->job, r, home);
	seal_over(t->job, err);
	results_unref(r);
	output_rest(t->job);
	trim_cache(c);
	save_next(c);
	return err;
}

void seal_start(struct gb_job *job)
{
	int err = operation_start(job, POOL_SHORT, seal_run, false, false, NULL, NULL);

	if (err)
		seal_over(job, err);
}

bool seal_begin(struct gb_job *job)
{
	bool begin = job->batch->sealing != SEAL_RUNS;

	job->batch->sealing = SEAL_RUNS;
	return begin;
}

static void rest_over(void *arg);

/* Lock held. The timer's thread stops before the client is freed. */
static void rest_more(struct gb_client *c)
{
	if (!c->saver->rest_timer && !c->stopping)
		c->saver->rest_timer = engine_timer(c->engine,
					test_seconds("BATCHFS_TEST_REST_SECONDS", REST),
					rest_over, c) == 0;
}

/* Take seals of files that nobody reads; ret has room for RIPE_MAX. Lock held. */
static size_t take_ripe(struct gb_client *c, struct gb_job **ret)
{
	size_t n = 0;

	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];

		if (job->batch->sealing != SEAL_RESTS)
			continue;
		if (n == RIPE_MAX || (job->batch->handles &&
					     ++job->batch->seal_rested < RESTS_MAX)) {
			rest_more(c);
			continue;
		}
		seal_begin(job);
		ret[n++] = gb_job_ref(job);
	}
	return n;
}

static void rest_over(void *arg)
{
	struct gb_client *c = arg;
	struct gb_job *ripe[RIPE_MAX];

	client_lock(c);
	c->saver->rest_timer = false;
	size_t n = c->stopping ? 0 : take_ripe(c, ripe);
	client_unlock(c);
	while (n > 0) {
		seal_start(ripe[--n]);
		gb_job_unref(ripe[n]);
	}
}

/* Lock held. */
void seal_plan(struct gb_job *job)
{
	if (job->batch->sealing || job->batch->fetching || job->c->stopping)
		return;
	job->batch->sealing = SEAL_RESTS;
	job->batch->seal_rested = 0;
	rest_more(job->c);
}

void save_note_whole(struct gb_job *job)
{
	client_lock(job->c);
	seal_plan(job);
	client_unlock(job->c);
}

void save_close(struct gb_client *c)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];

		if (job->batch->sealing != SEAL_RESTS)
			continue;
		job->batch->sealing = SEAL_NONE;
		output_rest(job);
	}
}

int save_make_whole(struct gb_job *job, struct gb_waiter *w)
{
	bool start = false;
	int err = 0;

	client_lock(job->c);
	bool safe = save_is_safe(job);
	bool whole = job->batch->sealing ||
		     (!job->batch->fetching && job_output(job) == GB_OUTPUT_SAVED);
	int told = safe || whole || job->batch->fetching ? 0 : save_told_later(job);
	if (!safe && whole) {
		err = queue_add(job, QUEUE_SEALERS, w);
		start = err == -EINPROGRESS && seal_begin(job);
	}
	client_unlock(job->c);
	if (start)
		seal_start(job);
	return safe || whole ? err : told ? told : gb_part_save_results(job, w);
}
