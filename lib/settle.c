/*
 * Creates whose answer never came.
 *
 * The job, if there is one, refers to the file that was uploaded for this create and
 * for nothing else. So it is looked for by its input file, in the list and, where the
 * list does not tell input files, in the resource of each candidate. Inline jobs have
 * no input file: one counts as ours only if it is the single new job that fits by
 * name, time and number of requests.
 */
#include "client.h"

#include <errno.h>
#include <string.h>

enum {
	LOOK_FOR = 600,        /* seconds; BATCHFS_TEST_SETTLE_SECONDS */
	CONTRADICTED = 6,      /* times that */
	LOOK_FOR_INLINE = 20,
	CLOCK_SLACK = 120,     /* the server's clock is known to so many seconds */
	MAX_PAGES = 50,
};

struct look {
	struct gb_job *job;
	struct gb_client *c;
	struct canceller *cancel;
	struct api_error err;
	bool is_inline, same_key;
	int64_t since, requests;
	char *file, *display;
	unsigned candidates;
	char *only;    /* inline: id of the only candidate so far */
	char ids[512]; /* of candidates, for `error` */
};

static bool fits_name_and_time(
	const struct record *r, const char *display, const struct timespec *created)
{
	return strcmp(r->display ? r->display : "", display ? display : "") == 0 &&
	       created->tv_sec >= r->intent_server - CLOCK_SLACK;
}

/* Call fn for every submission whose answer is missing; the first job it accepts. */
static struct gb_job *find_unsettled(struct gb_client *c,
	bool (*fn)(const struct record *r, const void *arg), const void *arg)
{
	for (uint32_t i = 0; c->unsent && i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];
		enum phase p = job_phase(job);

		if (phase_is_unanswered(p) && fn(&job->local->rec, arg))
			return job;
	}
	return NULL;
}

static bool has_file(const struct record *r, const void *arg)
{
	return r->input_file && strcmp(r->input_file, arg) == 0;
}

struct gb_job *settle_owner(struct gb_client *c, const char *file)
{
	return find_unsettled(c, has_file, file);
}

struct stranger {
	const struct api_batch *b;
	bool listed;
};

/* An inline one that has become uncertain is a person's to settle: what fits is
 * shown, so that it can be adopted. */
static bool may_be(const struct record *r, const void *arg)
{
	const struct stranger *s = arg;

	if (r->is_inline ? r->phase == PHASE_UNCERTAIN : !s->listed)
		return false;
	return fits_name_and_time(r, s->b->display, &s->b->created);
}

bool settle_may_be_ours(struct gb_client *c, const struct api_batch *b, bool listed)
{
	struct stranger s = {b, listed};

	return find_unsettled(c, may_be, &s) != NULL;
}

static void note_candidate(struct look *l, const struct api_batch *b)
{
	size_t n = strlen(l->ids);

	l->candidates++;
	snprintf(l->ids + n, sizeof(l->ids) - n, "%s\n", b->id);
	if (!l->only)
		l->only = strdup(b->id);
}

static bool is_ours(const struct look *l, const struct api_batch *b)
{
	return l->file && b->input_file && strcmp(b->input_file, l->file) == 0;
}

/* One that an own job bears already was adopted for another draft: it is not taken away. */
static int settle_take(struct look *l, const struct api_batch *b)
{
	int err = submit_known(l->job, b);

	return err == -EEXIST ? -EAGAIN : err;
}

/* Its own resource tells its input file. One that the API does not give out now, or
 * never, must not keep us from looking at the others. */
static int ask_it(struct look *l, const struct api_batch *b)
{
	struct api_batch whole;
	int64_t lines;
	int err = -EAGAIN;

	if (api_get(l->c->engine, b->id, -1, l->cancel, &whole, &lines, &l->err)) {
		if (!l->err.status)
			return l->err.err;
		note_candidate(l, b);
		return -EAGAIN;
	}
	if (is_ours(l, &whole))
		err = settle_take(l, &whole);
	api_batch_clear(&whole);
	return err;
}

/* Met before the create was intended, or ours already; what may be ours is not met
 * (learn.c). */
static bool is_known(struct look *l, const char *id)
{
	client_lock(l->c);
	const struct gb_job *job = job_find_id(l->c, id);
	bool own = job && job->local && job->local->rec.own;
	bool known = own || (job && l->is_inline && job->in_tree);
	client_unlock(l->c);
	return known;
}

/* 0: this is it; -EAGAIN: not this one. */
static int look_at(struct look *l, const struct api_batch *b)
{
	if (is_ours(l, b))
		return settle_take(l, b);
	if (b->has_input_config || (b->created.tv_sec && b->created.tv_sec < l->since) ||
		strcmp(b->display ? b->display : "", l->display) != 0 ||
		is_known(l, b->id))
		return -EAGAIN;
	if (!l->is_inline)
		return ask_it(l, b);
	if (b->requests == l->requests || b->requests < 0)
		note_candidate(l, b);
	return -EAGAIN;
}

/* One page: 0 found, -EAGAIN go on, -ENOENT all of it is too old, and what follows. */
static int look_at_page(struct look *l, const struct api_batch_page *p)
{
	bool old = p->n > 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct api_batch *b = &p->batches[i];
		int err = look_at(l, b);

		if (err != -EAGAIN)
			return err;
		old &= b->created.tv_sec && b->created.tv_sec < l->since;
	}
	return old ? -ENOENT : -EAGAIN;
}

static int look_through(struct look *l)
{
	_cleanup_free_ char *token = NULL;
	int err = -EAGAIN;

	for (int pages = 0; err == -EAGAIN && pages < MAX_PAGES; pages++) {
		struct api_batch_page page;

		if (api_list(l->c->engine, token, l->cancel, &page, &l->err))
			return l->err.err;
		err = look_at_page(l, &page);
		free(token);
		token = STEAL_PTR(page.next);
		api_batch_page_clear(&page);
		if (!token)
			break;
	}
	return err == -ENOENT ? -EAGAIN : err;
}

static int take_only_candidate(struct look *l)
{
	struct api_batch whole;
	int64_t lines;
	int err = api_get(
		l->c->engine, l->only, -1, l->cancel, &whole, &lines, &l->err);

	if (err)
		return err;
	err = submit_known(l->job, &whole);
	api_batch_clear(&whole);
	return err;
}

/* Lock held: whether looking is over. Both our own span and the server's clock must say so:
 * either alone may be told wrong. A server's clock that says otherwise for so much longer
 * was wrong when the create was intended. */
static bool time_over(const struct record *r, struct engine *e)
{
	double usual = r->is_inline ? LOOK_FOR_INLINE : LOOK_FOR;
	double most = test_seconds("BATCHFS_TEST_SETTLE_SECONDS", usual);
	double span = record_span(r->intent_since);
	time_t server;

	if (span < most)
		return false;
	return !engine_server_clock(e, &server) || server >= r->intent_server + (int64_t)most ||
	       span >= CONTRADICTED * most;
}

static void become_uncertain(struct look *l)
{
	_cleanup_free_ char *ids = l->ids[0]
					   ? util_format("Candidates:\n%s", l->ids)
					   : NULL;

	client_lock(l->c);
	bool still = job_phase(l->job) == PHASE_SUBMITTING && !l->job->local->creating;
	if (still) {
		job_set_phase(l->job, PHASE_UNCERTAIN);
		/* The poller goes on looking. */
		poll_watch(l->job);
		poll_poke(l->c);
	}
	client_unlock(l->c);
	if (!still)
		return;
	local_error(l->job, -EIO,
		"Nobody can tell whether the API made this job: its answer was lost and no "
		"such job is listed.",
		"If one of the API's jobs is it: echo adopt ID > ctl. To buy it (again): echo "
		"resubmit > ctl",
		ids);
	local_save(l->job);
	job_changed(l->job, GB_CHANGED_META | GB_CHANGED_FILES);
}

int settle_once(struct gb_job *job, struct canceller *cancel)
{
	struct gb_client *c = job->c;
	struct record *r = &job->local->rec;
	struct look l = {.job = job, .c = c, .cancel = cancel, .err = {.retry = -1}};
	int err = -EAGAIN;

	client_lock(c);
	bool open = job_phase(job) == PHASE_SUBMITTING && !job->local->creating;
	/* A job that a list names after this was not there to be named before. */
	bool over = time_over(r, c->engine);
	l.is_inline = r->is_inline;
	l.same_key = submit_same_key(job);
	l.since = r->intent_server - CLOCK_SLACK;
	l.requests = r->requests;
	l.file = r->input_file ? strdup(r->input_file) : NULL;
	l.display = strdup(r->display ? r->display : "");
	client_unlock(c);
	test_point("look");
	if (open && l.display)
		err = look_through(&l);
	client_called(c, &l.err);
	/* Only a look that worked can say that nothing is there. */
	if (open && err == -EAGAIN && over) {
		if (l.is_inline && l.same_key && l.candidates == 1 && l.only)
			err = take_only_candidate(&l);
		else
			become_uncertain(&l);
	}
	api_error_clear(&l.err);
	free(l.only);
	free(l.file);
	free(l.display);
	return err;
}

/* ---- behind ------------------------------------------------------------------- */

static int settle_run(struct task *t)
{
	struct canceller none = CANCELLER_INIT;

	settle_once(t->job, &none);
	client_lock(t->job->c);
	t->job->local->settling = false;
	bool again = job_phase(t->job) == PHASE_SUBMITTING;
	client_unlock(t->job->c);
	if (again)
		settle_later(t->job);
	return 0;
}

static void settle_timer(void *arg)
{
	struct gb_job *job = arg;

	if (task_start(job, WORK_SHORT, settle_run, false, false, NULL, NULL)) {
		client_lock(job->c);
		job->local->settling = false;
		client_unlock(job->c);
	}
	gb_job_unref(job);
}

void settle_later(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	double age = record_span(job->local->rec.intent_since);
	/* The first look after a start is not put off. */
	double pause = age < 8 || !job->local->looks++ ? 1 : age < 240 ? age / 8 : 30;
	bool planned = job->local->settling;
	job->local->settling = true;
	client_unlock(c);
	if (planned || c->o.offline)
		return;
	gb_job_ref(job);
	if (engine_timer(c->engine, pause, settle_timer, job))
		gb_job_unref(job);
}
