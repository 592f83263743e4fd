/*
 * Creates that were never answered: which of the API's jobs may be theirs.
 *
 * The job, if there is one, refers to the file that was uploaded for this create and
 * for nothing else. So it is looked for by its input file, in the list and, where the
 * list does not tell input files, in the resource of each candidate. Inline jobs have
 * no input file: one counts as ours only if it is the single new job that fits by
 * name, time and number of requests. reconcile_look.c does the looking.
 */
#include "submit/reconcile.h"
#include "jobs/poller.h"

#include <errno.h>
#include <string.h>

enum {
	CONTRADICTED = 6, /* times the time that is looked for */
};

static bool fits(const struct record *r, int64_t intent_server,
	const struct remote_batch *b)
{
	return strcmp(r->display ? r->display : "", b->display ? b->display : "") == 0 &&
	       (!b->created.tv_sec ||
		       b->created.tv_sec >= intent_server - SETTLE_CLOCK_SLACK);
}

static bool fits_name_and_time(const struct record *r, const struct remote_batch *b)
{
	return fits(r, r->batch->intent_server, b);
}

/* Call fn for every submission whose create was not answered; returns the first job
 * that it accepts. */
static struct gb_job *find_unsettled(struct gb_client *c,
	bool (*fn)(const struct record *r, const void *arg), const void *arg)
{
	for (uint32_t i = 0; c->unsent && i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];
		enum phase p = job_phase(job);

		if (phase_is_unanswered(p) && fn(&job->dir->rec, arg))
			return job;
	}
	return NULL;
}

/* The same for every one that has put an intent by, whatever became of it since. */
static struct gb_job *find_put_by(struct gb_client *c,
	bool (*fn)(const struct record *r, const void *arg), const void *arg)
{
	for (uint32_t i = 0; c->put_by && i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];
		const struct record *r = job->dir ? &job->dir->rec : NULL;

		if (r && r->n_put_by && !r->removal && !job->dir->forgotten &&
			job_shown(job) && fn(r, arg))
			return job;
	}
	return NULL;
}

static bool has_file(const struct record *r, const void *arg)
{
	return r->batch->input_file && strcmp(r->batch->input_file, arg) == 0;
}

static bool had_file(const struct record *r, const void *arg)
{
	return record_find_intent(r, arg) < r->n_put_by;
}

struct gb_job *reconcile_owner(struct gb_client *c, const char *file)
{
	struct gb_job *job = find_unsettled(c, has_file, file);

	return job ? job : find_put_by(c, had_file, file);
}

struct stranger {
	const struct remote_batch *b;
	bool listed;
};

/* A person must settle an inline submission that has become uncertain: jobs that fit
 * are shown, so that one can be adopted. */
static bool may_be(const struct record *r, const void *arg)
{
	const struct stranger *s = arg;

	if (r->batch->is_inline ? r->batch->phase == PHASE_UNCERTAIN : !s->listed)
		return false;
	return fits_name_and_time(r, s->b);
}

/* Its own resource tells the input file. */
static bool may_have_been(const struct record *r, const void *arg)
{
	const struct stranger *s = arg;
	bool may = false;

	for (size_t i = 0; s->listed && i < r->n_put_by; i++)
		may |= r->put_by[i].input_file &&
		       fits(r, r->put_by[i].intent_server, s->b);
	return may;
}

bool reconcile_may_be_ours(
	struct gb_client *c, const struct remote_batch *b, bool listed)
{
	struct stranger s = {b, listed};

	return find_unsettled(c, may_be, &s) || find_put_by(c, may_have_been, &s);
}

void reconcile_doubt(struct gb_client *c, const struct remote_batch *b, double until)
{
	for (uint32_t i = 0; c->unsent && i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];

		if (job_phase(job) != PHASE_UNCERTAIN)
			continue;
		const struct record *r = &job->dir->rec;
		bool may_be = r->batch->is_inline || !b->has_input_config;

		if (may_be && job->dir->resubmit_after < until &&
			fits_name_and_time(r, b))
			job->dir->resubmit_after = until;
	}
}

/* Lock held: whether looking is over. Both our own span and the server's clock must say
 * so, because either may be wrong. If the server's clock disagrees for so much longer,
 * it was wrong when the create was intended. */
bool reconcile_time_over(const struct record *r, const struct provider_conn *api)
{
	const struct provider_limits *l = api->provider->limits;
	double usual = r->batch->is_inline ? l->inlined_seen_after : l->seen_after;
	double most = test_seconds("BATCHFS_TEST_SETTLE_SECONDS", usual);
	double span = record_span(r->batch->intent_since);
	time_t server;

	if (span < most)
		return false;
	return !engine_server_clock(api->engine, &server) ||
	       server >= r->batch->intent_server + (int64_t)most ||
	       span >= CONTRADICTED * most;
}

void reconcile_uncertain(struct gb_job *job, const char *candidates)
{
	struct gb_client *c = job->c;
	_cleanup_free_ char *ids =
		*candidates ? util_format("Candidates:\n%s", candidates) : NULL;

	if (!job_dir_error_turn(job, PHASE_SUBMITTING, PHASE_UNCERTAIN, -EIO,
		    "It is unknown whether this job was created: the API's reply was lost, "
		    "and no matching job is listed.",
		    "If one of the API's jobs is this one: echo adopt ID > ctl. To submit "
		    "again (and possibly pay twice): echo resubmit > ctl",
		    ids))
		return;
	client_lock(c);
	/* The poller goes on looking. */
	poll_watch(job);
	poll_poke(c);
	client_unlock(c);
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
}
