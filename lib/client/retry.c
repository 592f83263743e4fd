#include "client/retry.h"
#include "client/retry_private.h"

#include "answers/answers.h"
#include "jobs/observe.h"
#include "jobs/operation.h"
#include "jobs/parts.h"
#include "submit/cut.h"
#include "submit/queue.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <syslog.h>

enum {
	FIRST_PAUSE = 30,    /* seconds from the end to the first round */
	LONGEST_PAUSE = 3600,
	REST_WITHIN = 10,    /* seconds that a verb waits for those who are at work */
};

#define REST_TURN 0.02 /* seconds until another look whether they are done */

/* ---- whether; lock held ------------------------------------------------------------ */

/* Nothing is left to buy, and each part is what `is` says, or has vanished; at rest: also
 * nobody is at work on one. */
static bool all_parts_are(
	struct gb_job *dir, bool (*is)(const struct knowledge *k), bool at_rest)
{
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const struct gb_job *part = parts_at(dir, i);

		if (!part->batch->id ||
			!(is(&part->batch->known) || job_has_vanished(part)) ||
			(at_rest && part != dir && part->dir->task))
			return false;
	}
	return parts_count(dir) && !parts_rest_is_open(dir);
}

static bool all_is_over(struct gb_job *dir)
{
	return all_parts_are(dir, knowledge_final, true);
}

/* The same as far as those know who wait for the end: more may be told of it. */
static bool all_has_ended(struct gb_job *dir)
{
	return all_parts_are(dir, knowledge_ended, false);
}

static bool was_sent_here(const struct gb_job *dir)
{
	enum phase p = job_phase(dir);

	return !dir->parent && dir->dir && dir->dir->rec.own && dir->in_tree &&
	       !dir->dir->rec.removal && (p == PHASE_SENT || p == PHASE_PARTS);
}

/* What is known of retry.jsonl. */
enum listed { LISTS_NONE, LISTS_SOME, MAY_LIST };

static enum listed what_it_lists(struct gb_job *dir)
{
	struct gb_info i = {0};

	answers_info(dir, &i);
	if (!retry_all_is_here(dir))
		return MAY_LIST;
	if (!i.answers_there)
		return i.has_retry ? MAY_LIST : LISTS_NONE;
	return i.has_retry && i.answers_size[GB_ANSWERS_RETRY] ? LISTS_SOME : LISTS_NONE;
}

/* Whoever waited for the end may ask again at once: that somebody still writes down what he
 * has bought, or a list does not tell all of an end, is not for people to wait for. */
bool retry_fits(struct gb_job *dir)
{
	return was_sent_here(dir) && !dir->c->o.readonly && all_has_ended(dir) &&
	       what_it_lists(dir) != LISTS_NONE;
}

/* What has vanished somebody removed at the API: it is asked again only by a person. */
static bool was_cancelled(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const struct gb_job *part = parts_at(dir, i);

		if (part->dir && (part->dir->rec.batch->cancel_asked ||
					 job_has_vanished(part)))
			return true;
	}
	return dir->dir->rec.rest_dropped || parts_are_lost(dir);
}

/* Whether an index can be expected, made of what is here or will be. */
static bool index_may_come(struct gb_job *dir)
{
	struct gb_info i = {0};
	bool failed = parts_several(dir) ? dir->merge_failed : dir->batch->index_failed;

	answers_info(dir, &i);
	return !failed && (i.answers_there || i.answers_pending || i.has_answers);
}

static int retries_of(const struct gb_job *dir)
{
	return record_retries(&dir->dir->rec, dir->c->o.retries);
}

static bool counts_down(const struct gb_job *dir)
{
	const struct gb_client *c = dir->c;

	return !c->o.readonly && !c->o.offline && !c->stopping && was_sent_here(dir) &&
	       retries_of(dir) > 0 && dir->dir->rec.retries_left > 0 &&
	       identity_same_key(dir);
}

bool retry_goes_on(struct gb_job *dir)
{
	return counts_down(dir) && !was_cancelled(dir) && all_has_ended(dir) &&
	       index_may_come(dir) && what_it_lists(dir) != LISTS_NONE;
}

/* ---- the round as a whole ----------------------------------------------------------- */

/* Lock held. */
static int count_round(struct round *r, bool by_itself)
{
	struct record *rec = &r->dir->dir->rec;

	if (!was_sent_here(r->dir) || rec->rounds_stopped >= r->number)
		return -ECANCELED;
	for (size_t i = 0; i < r->n; i++)
		if (r->parts[i]->parent != r->dir)
			return -ECANCELED;
	rec->rounds = r->number;
	rec->retries_left -= by_itself;
	return 0;
}

/* From here on it is asked for. */
static int begin_round(struct round *r, bool by_itself)
{
	struct gb_client *c = r->dir->c;
	struct record *rec = &r->dir->dir->rec;

	client_lock(c);
	int before = rec->rounds, err = count_round(r, by_itself);
	client_unlock(c);
	if (err)
		return err;
	test_point("retry-written");
	if ((err = job_dir_save(r->dir))) {
		client_lock(c);
		rec->rounds = before;
		rec->retries_left += by_itself;
		client_unlock(c);
	}
	test_point("retry-counted");
	return err;
}

static void queue_round(struct round *r)
{
	struct gb_client *c = r->dir->c;

	for (size_t i = 0; i < r->n; i++) {
		struct gb_job *part = r->parts[i];

		client_lock(c);
		bool goes = part->parent && job_phase(part) == PHASE_DRAFT &&
			    r->dir->dir->rec.rounds_stopped < r->number;
		if (goes)
			job_set_phase(part, PHASE_QUEUED);
		client_unlock(c);
		if (goes)
			job_dir_save_soon(part);
	}
	test_point("retry-queued");
}

static void round_end(struct round *r, int err)
{
	for (size_t i = 0; i < r->n; i++) {
		if (err)
			/* If it stays, the next start removes it. */
			DROP(parts_unmake(r->parts[i]));
		gb_job_unref(r->parts[i]);
	}
	free(r->parts);
}

static int ask_again(struct operation *t, bool by_itself)
{
	struct gb_job *dir = t->job;
	struct round r = {.dir = dir, .now = {.dir = -1}};

	client_lock(dir->c);
	r.number = parts_last_round(dir) + 1;
	if (r.number <= dir->dir->rec.rounds_stopped)
		r.number = dir->dir->rec.rounds_stopped + 1;
	r.most = cut_most(dir);
	int err = all_is_over(dir) ? 0 : -EBUSY;
	client_unlock(dir->c);
	if (!err)
		err = round_write(&r, t);
	t->intended = !err;
	if (!err)
		err = begin_round(&r, by_itself);
	if (!err) {
		job_dir_error(dir, 0, NULL, NULL, NULL);
		job_dir_save_soon(dir);
		client_log(dir->c, LOG_NOTICE, "%s: round %d asks again, %zu part%s",
			job_label(dir), r.number, r.n, util_s((int64_t)r.n));
		queue_round(&r);
	}
	round_end(&r, err);
	return err;
}

static void round_is_over(struct gb_job *dir)
{
	job_changed(dir, GB_CHANGED_META | GB_CHANGED_FILES);
	queue_go_later(dir->c, false);
}

/* ---- by the verb ---------------------------------------------------------------------- */

/* Ends that lists have told, which may lack the rest. */
static void ask_for_ends(struct operation *t)
{
	struct gb_client *c = t->job->c;
	struct gb_job *part = t->job;

	for (uint32_t i = 0; part && !t->cancel.set; i++) {
		struct provider_error err = {0};

		client_lock(c);
		part = i < parts_count(t->job) ? parts_at(t->job, i) : NULL;
		bool ask = part && part->batch->id &&
			   knowledge_ended(&part->batch->known) &&
			   !knowledge_final(&part->batch->known);
		client_unlock(c);
		if (ask)
			DROP(observe_look(part, &t->cancel, &err));
		provider_error_clear(&err);
	}
}

/* Own the directory once nobody is at work on any of it. */
static int take_at_rest(struct operation *t)
{
	struct gb_job *dir = t->job;
	double until = util_now() + REST_WITHIN;
	int err;

	ask_for_ends(t);
	for (;;) {
		client_lock(dir->c);
		bool fits = retry_fits(dir), rests = all_is_over(dir);
		client_unlock(dir->c);
		if (!fits)
			return -EBUSY;
		if (rests && (err = operation_take(t)) != -EBUSY)
			return err;
		if (util_now() >= until)
			return -EBUSY;
		if ((err = engine_sleep(dir->c->engine, REST_TURN, &t->cancel)))
			return err;
	}
}

static int retry_run(struct operation *t)
{
	int err = take_at_rest(t);

	if (!err)
		err = ask_again(t, false);

	round_is_over(t->job);
	return err == -ECANCELED ? -EINTR : err == -ENODATA ? -EBUSY : err;
}

int gb_retry(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	int err = job->c->o.readonly	 ? -EROFS
		  : !retry_fits(job)	 ? -EBUSY
		  : !identity_same_key(job) ? -EACCES
					    : 0;
	client_unlock(job->c);
	if (err == -EACCES)
		client_log(job->c, LOG_WARNING,
			"%s: made with another key; mount with that key to ask again",
			job_label(job));
	return err ? err
		   : operation_start(job, POOL_LONG, retry_run, false, true, NULL, w);
}

/* ---- without a person --------------------------------------------------------------- */

/* Lock held. */
static double pause_before(const struct gb_job *dir)
{
	int had = retries_of(dir) - dir->dir->rec.retries_left;
	double first = test_seconds("BATCHFS_TEST_RETRY_SECONDS", FIRST_PAUSE);

	return fmin(ldexp(first, had < 0 ? 0 : had > 20 ? 20 : had), LONGEST_PAUSE);
}

/* A round that cannot be made is one less, or this would go on for ever. */
static int retry_by_itself(struct operation *t)
{
	struct gb_job *dir = t->job;
	int err = ask_again(t, true);

	client_lock(dir->c);
	bool failed = err && err != -ECANCELED && err != -EBUSY && !dir->c->stopping;
	if (err == -ENODATA)
		dir->dir->rec.retries_left = 0;
	else if (failed && dir->dir->rec.retries_left)
		dir->dir->rec.retries_left--;
	client_unlock(dir->c);
	if (failed) {
		job_dir_save_soon(dir);
		client_log(dir->c, err == -ENODATA ? LOG_INFO : LOG_WARNING,
			"%s: cannot ask again: %s", job_label(dir), strerror(-err));
	}
	round_is_over(dir);
	return err;
}

static void plan_round(struct gb_job *dir, double pause);

static void retry_timer(void *arg)
{
	struct gb_job *dir = arg;

	client_lock(dir->c);
	dir->dir->retry_planned = false;
	bool due = retry_goes_on(dir);
	double pause = pause_before(dir);
	client_unlock(dir->c);
	if (due && operation_start(dir, POOL_LONG, retry_by_itself, true, false, NULL,
			   NULL) == -EBUSY) {
		client_lock(dir->c);
		dir->dir->retry_planned = true;
		client_unlock(dir->c);
		plan_round(dir, pause);
	}
	gb_job_unref(dir);
}

static void plan_round(struct gb_job *dir, double pause)
{
	gb_job_ref(dir);
	if (engine_timer(dir->c->engine, pause, retry_timer, dir))
		gb_job_unref(dir); /* the next start does it */
}

/* Lock held. Nothing is left that another round could answer. */
static bool all_is_answered(struct gb_job *dir)
{
	struct gb_info i = {0};

	answers_info(dir, &i);
	return retry_all_is_here(dir) && i.answers_there && !i.answers_size[GB_ANSWERS_RETRY];
}

/* Lock held. What to do now. */
struct next {
	bool done, look, plan;
	double pause;
};

static struct next next_of(struct gb_job *dir)
{
	struct next n = {0};

	if (!counts_down(dir) || !all_is_over(dir))
		return n;
	n.done = was_cancelled(dir) || all_is_answered(dir);
	if (n.done || !retry_goes_on(dir) || dir->dir->task || dir->dir->retry_planned)
		return n;
	bool here = retry_all_is_here(dir);

	n.look = here && what_it_lists(dir) == MAY_LIST;
	/* Others are saved, and then this is looked at again. */
	n.plan = here ? !n.look : dir->c->o.fetch == GB_FETCH_READ;
	n.pause = pause_before(dir);
	return n;
}

void retry_consider(struct gb_job *dir)
{
	struct gb_client *c = dir->c;

	client_lock(c);
	struct next n = next_of(dir);
	if (n.done)
		dir->dir->rec.retries_left = 0;
	if (n.plan)
		dir->dir->retry_planned = true;
	client_unlock(c);
	if (n.done) {
		job_dir_save_soon(dir);
		job_changed(dir, GB_CHANGED_META);
	}
	if (n.look)
		/* If it cannot be made now, the next change looks again. */
		DROP(gb_answers_look(dir, NULL));
	if (n.plan)
		plan_round(dir, n.pause);
}

/* Lock held. It is ours, and more than a draft. */
static bool was_asked_here(const struct gb_job *job)
{
	return !job->parent && job->dir && job->dir->rec.own && job->in_tree &&
	       !job->dir->rec.removal && !phase_is_draft(job_phase(job));
}

int gb_retry_up_to(struct gb_job *job, int retries)
{
	struct gb_client *c = job->c;

	client_lock(c);
	int err = c->o.readonly ? -EROFS : was_asked_here(job) ? 0 : -EBUSY;
	struct record *rec = err ? NULL : &job->dir->rec;
	if (rec) {
		rec->retries_own = true;
		rec->retries = retries;
		rec->retries_left = retries > rec->rounds ? retries - rec->rounds : 0;
	}
	client_unlock(c);
	if (!err)
		err = job_dir_save(job);
	if (!err)
		job_changed(job, GB_CHANGED_META); /* and a round may be due */
	return err;
}

int retry_stop(struct gb_job *dir)
{
	client_lock(dir->c);
	bool due = dir->dir && retry_goes_on(dir);
	int before = due ? dir->dir->rec.retries_left : 0;
	if (due)
		dir->dir->rec.retries_left = 0;
	client_unlock(dir->c);
	if (!due)
		return -EBUSY;
	int err = job_dir_save(dir);
	if (err) {
		client_lock(dir->c);
		dir->dir->rec.retries_left = before;
		client_unlock(dir->c);
	}
	job_changed(dir, GB_CHANGED_META);
	return err;
}
