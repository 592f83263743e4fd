/*
 * Looking for the jobs of creates that were never answered (reconcile.c).
 *
 * However many are looked for, there is one look at a time, by one worker: a pass
 * through the list, newest first, until the rest is older than the oldest intent. Each
 * element is compared with all of them, and a candidate whose input file the list does
 * not name is requested once, for all. A waiter (reconcile_once) waits for the first look
 * that begins after its request. After a failed look there is a pause.
 */
#include "submit/reconcile.h"
#include "jobs/bind.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* All under client.lock. */
struct reconciling {
	bool open;  /* the journals have been made whole */
	bool early; /* a look was asked for before that */
	bool asked, running;
	uint64_t begun, done;    /* how many looks */
	unsigned failures;       /* in a row */
	double after, timer_at;  /* util_now; no look before; one is planned, 0: none */
};

struct reconciling *reconciling_new(void)
{
	return calloc(1, sizeof(struct reconciling));
}

void reconciling_free(struct reconciling *s)
{
	free(s);
}

enum { MAX_PAGES = 50 };

/* Seconds between looks, at least. */
static double shortest_pause(void)
{
	return fmin(1, test_seconds("BATCHFS_TEST_LOOK_SECONDS", 1));
}

#define JOIN_LOOK 0.05 /* seconds between looks whether a look is over */

/* One that is looked for. */
struct seeker {
	struct gb_job *job; /* a reference */
	bool is_inline, same_key, over;
	int64_t since, requests;
	char *display;
	unsigned candidates;
	char *only;    /* inline: id of the only candidate so far */
	char ids[512]; /* of candidates, for `error` */
};

struct pass {
	struct gb_client *c;
	struct seeker *all;
	size_t n;
	int64_t since;  /* of the oldest */
	int broken;     /* what was found could not be written: conclude nothing */
	struct provider_error err;
};

/* ---- who is looked for -------------------------------------------------------------- */

/* Lock held. */
static bool is_sought(const struct gb_job *job)
{
	return job_phase(job) == PHASE_SUBMITTING && !job->dir->creating;
}

/* Lock held. Taken before the list is: a job that a list names after its time was over
 * was not there to be named before. */
static void take_seeker(struct pass *p, struct gb_job *job)
{
	const struct record *r = &job->dir->rec;
	struct seeker *s = &p->all[p->n];

	*s = (struct seeker){.job = job,
		.is_inline = r->batch->is_inline,
		.requests = r->batch->requests,
		.same_key = identity_same_key(job),
		.over = reconcile_time_over(r, &p->c->api),
		.since = r->batch->intent_server - SETTLE_CLOCK_SLACK,
		.display = strdup(r->display ? r->display : "")};
	if (!s->display)
		return;
	gb_job_ref(job);
	if (!p->n++ || s->since < p->since)
		p->since = s->since;
}

static int take_seekers(struct pass *p)
{
	struct gb_client *c = p->c;

	client_lock(c);
	p->all = calloc(c->unsent + 1, sizeof(*p->all));
	for (uint32_t i = 0; p->all && p->n < c->unsent && i < c->n_slots; i++)
		if (is_sought(c->slots[i]))
			take_seeker(p, c->slots[i]);
	client_unlock(c);
	return p->all ? 0 : -ENOMEM;
}

static void pass_clear(struct pass *p)
{
	for (size_t i = 0; i < p->n; i++) {
		gb_job_unref(p->all[i].job);
		free(p->all[i].display);
		free(p->all[i].only);
	}
	free(p->all);
	provider_error_clear(&p->err);
}

/* ---- one element of the list -------------------------------------------------------- */

/* By its input file. */
static bool give_to_owner(struct pass *p, const struct remote_batch *b)
{
	struct gb_client *c = p->c;

	if (!b->input_file)
		return false;
	client_lock(c);
	struct gb_job *owner = reconcile_owner(c, b->input_file);
	if (owner)
		gb_job_ref(owner);
	client_unlock(c);
	if (!owner)
		return false;
	int err = reconcile_found(owner, b);
	/* One that an own job bears already was adopted for another draft: it is not
	 * taken away. */
	if (err && err != -EEXIST && err != -EBUSY)
		p->broken = err;
	gb_job_unref(owner);
	return true;
}

static bool seeker_fits(const struct seeker *s, const struct remote_batch *b)
{
	return strcmp(b->display ? b->display : "", s->display) == 0 &&
	       (!b->created.tv_sec || b->created.tv_sec >= s->since);
}

static void note_candidate(struct seeker *s, const struct remote_batch *b)
{
	size_t n = strlen(s->ids);

	s->candidates++;
	snprintf(s->ids + n, sizeof(s->ids) - n, "%s\n", b->id);
	if (!s->only)
		s->only = strdup(b->id);
}

static void note_for_files(struct pass *p, const struct remote_batch *b)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->all[i].is_inline && seeker_fits(&p->all[i], b))
			note_candidate(&p->all[i], b);
}

/* Ours already; or, for an inline one, met before: what may be ours is not met
 * (observe.c). */
static bool is_known(struct gb_client *c, const char *id, bool is_inline)
{
	client_lock(c);
	const struct gb_job *job = job_find_id(c, id);
	bool own = job && job->dir && job->dir->rec.own;
	bool known = own || (job && is_inline && job_shown(job));
	client_unlock(c);
	return known;
}

/* Its own resource names its input file. If the API cannot send it now, or ever, the
 * others must still be looked at. */
static int ask_for_files(struct pass *p, const struct remote_batch *b)
{
	struct canceller none = CANCELLER_INIT;
	struct remote_batch whole;

	if (provider_look(&p->c->api, b->id, &none, &whole, &p->err)) {
		if (!p->err.status)
			return p->err.err;
		note_for_files(p, b);
		return 0;
	}
	give_to_owner(p, &whole);
	remote_batch_clear(&whole);
	return 0;
}

static int look_at_candidate(struct pass *p, const struct remote_batch *b)
{
	bool file = false, known = is_known(p->c, b->id, true);

	for (size_t i = 0; i < p->n; i++) {
		struct seeker *s = &p->all[i];

		if (!seeker_fits(s, b))
			continue;
		file |= !s->is_inline;
		if (s->is_inline && !known &&
			(b->requests == s->requests || b->requests < 0))
			note_candidate(s, b);
	}
	return file && !is_known(p->c, b->id, false) ? ask_for_files(p, b) : 0;
}

static int pass_look_at(struct pass *p, const struct remote_batch *b)
{
	return give_to_owner(p, b) || b->has_input_config ? 0 : look_at_candidate(p, b);
}

/* ---- a pass ------------------------------------------------------------------------- */

/* 0: go on; -ENOENT: all of it is too old, and what follows. */
static int look_at_page(struct pass *p, const struct remote_page *page)
{
	bool old = page->n > 0;

	for (size_t i = 0; i < page->n; i++) {
		const struct remote_batch *b = &page->batches[i];
		int err = pass_look_at(p, b);

		if (err)
			return err;
		old &= b->created.tv_sec && b->created.tv_sec < p->since;
	}
	return old ? -ENOENT : 0;
}

static int pass_look_through(struct pass *p)
{
	struct canceller none = CANCELLER_INIT;
	_cleanup_free_ char *token = NULL;
	int err = 0;

	for (int pages = 0; !err && pages < MAX_PAGES; pages++) {
		struct remote_page page;

		if (provider_list(&p->c->api, token, &none, &page, &p->err))
			return p->err.err;
		err = look_at_page(p, &page);
		free(token);
		token = STEAL_PTR(page.next);
		remote_page_clear(&page);
		if (!token)
			break;
	}
	return err == -ENOENT ? 0 : err;
}

static int take_only_candidate(struct pass *p, struct seeker *s)
{
	struct canceller none = CANCELLER_INIT;
	struct remote_batch whole;
	int err;

	if (is_known(p->c, s->only, false)) /* another of the same name was given it */
		return -EEXIST;
	err = provider_look(&p->c->api, s->only, &none, &whole, &p->err);
	if (err)
		return err;
	err = bind_batch(s->job, &whole);
	remote_batch_clear(&whole);
	return err;
}

/* Only a successful look can show that nothing is there. */
static void conclude_seeker(struct pass *p, struct seeker *s)
{
	bool one = s->is_inline && s->same_key && s->candidates == 1 && s->only;

	if (!s->over || job_phase_now(s->job) != PHASE_SUBMITTING)
		return;
	if (!one || take_only_candidate(p, s) == -EEXIST)
		reconcile_uncertain(s->job, s->ids);
}

static int pass_run(struct gb_client *c, double *ret_hint)
{
	struct pass p = {.c = c, .err = {.retry = -1}};
	int err = take_seekers(&p);

	*ret_hint = -1;
	test_point("look");
	if (!err && p.n) {
		err = pass_look_through(&p);
		client_called(c, &p.err);
		*ret_hint = p.err.retry;
	}
	for (size_t i = 0; !err && !p.broken && i < p.n; i++)
		conclude_seeker(&p, &p.all[i]);
	pass_clear(&p);
	return err ? err : p.broken;
}

/* ---- one at a time ------------------------------------------------------------------ */

static void start_look(struct gb_client *c);

static void reconcile_timer(void *arg)
{
	struct gb_client *c = arg;

	client_lock(c);
	c->reconciling->timer_at = 0;
	c->reconciling->asked = true;
	client_unlock(c);
	start_look(c);
}

/* Unlocked. A timer that fires too soon costs one look. */
static void plan_reconcile_look(struct gb_client *c, double at)
{
	client_lock(c);
	bool open = c->reconciling->open;
	bool sooner = open &&
		      (!c->reconciling->timer_at || at < c->reconciling->timer_at);
	c->reconciling->early |= !open;
	if (sooner)
		c->reconciling->timer_at = at;
	client_unlock(c);
	if (!sooner || !engine_timer(c->engine, at - util_now(), reconcile_timer, c))
		return;
	client_lock(c);
	c->reconciling->timer_at = 0;
	client_unlock(c);
}

/* Lock held. Seconds until the youngest is looked for again; negative: there is none. */
static double next_pause(const struct gb_client *c)
{
	double pause = -1;

	for (uint32_t i = 0; c->unsent && i < c->n_slots; i++) {
		const struct gb_job *job = c->slots[i];

		if (!is_sought(job) || job->dir->settler)
			continue;
		double age = record_span(job->dir->rec.batch->intent_since);
		double own = fmin(fmax(age / 8, shortest_pause()), 30);
		pause = pause < 0 ? own : fmin(pause, own);
	}
	return pause;
}

static void look_run(void *arg)
{
	struct gb_client *c = arg;
	struct reconciling *s = c->reconciling;
	double hint;

	client_lock(c);
	s->asked = false;
	s->begun++;
	client_unlock(c);
	int err = pass_run(c, &hint);
	client_lock(c);
	s->done = s->begun;
	s->running = false;
	s->failures = err ? s->failures + 1 : 0;
	s->after = err ? util_now() + engine_backoff((int)s->failures, hint) : 0;
	double pause = c->stopping ? -1 : next_pause(c);
	client_unlock(c);
	if (pause >= 0)
		plan_reconcile_look(c, util_now() + pause);
	start_look(c);
}

/* Unlocked. Make sure that a requested look is made. */
static void start_look(struct gb_client *c)
{
	struct reconciling *s = c->reconciling;

	client_lock(c);
	bool go = s->asked && !s->running && !c->stopping;
	double after = s->after;
	bool now = after <= util_now();
	if (go && now)
		s->running = true;
	client_unlock(c);
	if (!go)
		return;
	if (!now) {
		plan_reconcile_look(c, after);
	} else if (pool_add(c->pool, POOL_SHORT, look_run, c)) {
		client_lock(c);
		s->running = false;
		client_unlock(c);
	}
}

int reconcile_once(struct gb_job *job, struct canceller *cancel)
{
	struct gb_client *c = job->c;
	int err = 0;

	client_lock(c);
	uint64_t mine = c->reconciling->begun + 1;
	c->reconciling->asked = true;
	client_unlock(c);
	start_look(c);
	for (;;) {
		client_lock(c);
		bool over = c->reconciling->done >= mine || !is_sought(job);
		bool sent = job_phase(job) == PHASE_SENT;
		client_unlock(c);
		if (over || err)
			return sent ? 0 : err ? err : -EAGAIN;
		err = engine_sleep(c->engine, JOIN_LOOK, cancel);
	}
}

void reconcile_later(struct gb_job *job)
{
	if (!job->c->o.offline)
		plan_reconcile_look(job->c, util_now() + shortest_pause());
}

void reconcile_open(struct gb_client *c)
{
	client_lock(c);
	c->reconciling->open = true;
	bool early = c->reconciling->early;
	client_unlock(c);
	if (early)
		plan_reconcile_look(c, util_now() + shortest_pause());
}
