#include "life.h"
#include "knobs.h"
#include "model_table.h"
#include "responder.h"
#include "results.h"
#include "scoped.h"
#include "store.h"
#include "world.h"

#include <errno.h>
#include <pthread.h>

#define WORKERS 8
#define NEVER INT64_MAX

/* world_lock: jobs that have not ended, and those of them that wait for a worker */
static struct job **watched;
static size_t n_watched, cap_watched;
static struct job **queue;
static size_t n_queue, cap_queue;
static int busy;

/* the clock's own lock: taken last, held for moments */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned kicks; /* lock */

static pthread_t threads[WORKERS + 1];

static void push(struct job ***list, size_t *n, size_t *cap, struct job *j)
{
	if (*n == *cap) {
		*cap = *cap * 2 + 16;
		*list = xrealloc(*list, *cap * sizeof(**list));
	}
	(*list)[(*n)++] = j;
}

void life_kick(void)
{
	pthread_mutex_lock(&lock);
	kicks++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

/* Waits for a kick since `seen`, at most until `when`. */
static unsigned await(unsigned seen, int64_t when)
{
	struct timespec ts;

	if (when > now_ns() + NS)
		when = now_ns() + NS;
	ts = (struct timespec){when / NS, when % NS};
	pthread_mutex_lock(&lock);
	while (kicks == seen && pthread_cond_timedwait(&cond, &lock, &ts) != ETIMEDOUT)
		;
	seen = kicks;
	pthread_mutex_unlock(&lock);
	return seen;
}

void life_watch(struct job *j)
{
	if (!j->watched)
		push(&watched, &n_watched, &cap_watched, j);
	j->watched = true;
	life_kick();
}

static void set_state(struct job *j, enum job_state state)
{
	j->state = state;
	j->updated = now_ns();
	if (job_has_ended(j))
		j->ended = j->updated + random_below(1000);
	job_save(j);
}

static void set_error(struct job *j, int code, char *text_take)
{
	free(j->error_text);
	j->error_text = text_take;
	j->error_code = code;
}

void life_end(struct job *j, enum job_state state)
{
	_cleanup_free_ char *message = knob_text_dup(K_failed_message);

	set_error(j, 0, NULL);
	if (state == JOB_CANCELLED)
		set_error(j, 13, xasprintf("Batch %s failed without error.", j->id));
	else if (state == JOB_FAILED && knob_num(K_failed_code) > 0)
		set_error(j, knob_num(K_failed_code), xstrdup(message));
	else if (state == JOB_EXPIRED && knob_on(K_expired_error))
		set_error(j, 4, xstrdup("The batch has expired."));
	set_state(j, state);
}

static void enqueue(struct job *j)
{
	j->working = true;
	push(&queue, &n_queue, &cap_queue, j);
	life_kick();
}

/* A knob's seconds for this job, in ns. */
static int64_t seconds_of(enum knob k, const struct job *j)
{
	return (int64_t)(scoped_num(k, j->project, j->model) * NS);
}

static void begin_running(struct job *j, int64_t now)
{
	j->run_from = now;
	j->run_until = now + seconds_of(K_running, j);
	set_state(j, JOB_RUNNING);
	if (responder_is_slow() && j->outcome == 0)
		enqueue(j);
}

/* Shapes of §11 in which a job that ended badly has output all the same. */
static bool end_wants_output(void)
{
	return knob_on(K_ended_output);
}

static void cancelled(struct job *j)
{
	bool keep = knob_choice(j->state == JOB_PENDING ? K_cancel_pending
							: K_cancel_running) ==
		    (j->state == JOB_PENDING ? 1 : 0);

	if (keep || end_wants_output())
		enqueue(j);
	else
		life_end(j, JOB_CANCELLED);
}

static void run_over(struct job *j)
{
	static const enum job_state ends[] = {
		JOB_SUCCEEDED, JOB_FAILED, JOB_EXPIRED, JOB_RUNNING, JOB_PARTIAL};
	enum job_state end = ends[j->outcome];

	if (end == JOB_SUCCEEDED || end == JOB_PARTIAL || end_wants_output())
		enqueue(j);
	else
		life_end(j, end);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool same_queue(const struct job *a, const struct job *b)
{
	return a != b && !job_has_ended(b) &&
	       !strcmp(a->project, b->project) &&
	       !strcmp(model_version(a->model), model_version(b->model));
}

/* Is `b` to run before `a`? */
static bool goes_first(const struct job *b, const struct job *a, int64_t now)
{
	if (b->state != JOB_PENDING || b->working || b->cancel_at ||
		now < b->pending_since + seconds_of(K_pending, b))
		return false;
	if (b->priority != a->priority)
		return b->priority > a->priority;
	return b->created != a->created ? b->created < a->created
					: strcmp(b->id, a->id) < 0;
}

/* Must it wait for others of its queue, which run or come first? */
static bool must_wait(const struct job *j, int64_t now)
{
	double width = scoped_num(K_running_jobs, j->project, j->model), before = 0;
	struct job **all;
	size_t n;

	all = jobs_all(&n);
	for (size_t i = 0; width > 0 && i < n; i++)
		if (same_queue(j, all[i]) &&
			(all[i]->state == JOB_RUNNING || goes_first(all[i], j, now)))
			before++;
	return width > 0 && before >= width;
}

/* Does what is due for one job; returns when to look again. */
static int64_t step(struct job *j, int64_t now)
{
	int64_t dies = j->created + (int64_t)(knob_num(K_job_life) * HOUR), next;
	int64_t pending_until = j->pending_since + seconds_of(K_pending, j);
	bool stuck = j->outcome == 3;

	if (j->working || j->deleted || job_has_ended(j))
		return NEVER;
	if (now >= dies) {
		life_end(j, JOB_EXPIRED);
		return NEVER;
	}
	if (j->cancel_at && now >= j->cancel_at) {
		cancelled(j);
		return NEVER;
	}
	if (j->state == JOB_PENDING && now >= pending_until && must_wait(j, now))
		pending_until = now + NS / 20;
	else if (j->state == JOB_PENDING && now >= pending_until)
		begin_running(j, now);
	else if (j->state == JOB_RUNNING && now >= j->run_until && !stuck)
		run_over(j);
	next = j->state == JOB_PENDING ? pending_until : stuck ? dies : j->run_until;
	return earlier(earlier(next, dies), j->cancel_at ? j->cancel_at : NEVER);
}

static int64_t look_at_all(void)
{
	int64_t next = NEVER, now = now_ns();
	size_t kept = 0;

	world_lock();
	for (size_t i = 0; i < n_watched; i++) {
		struct job *j = watched[i];

		next = earlier(next, step(j, now));
		if (!job_has_ended(j) && !j->deleted) {
			watched[kept++] = j;
			continue;
		}
		j->watched = false;
		if (j->deleted)
			job_delete(j);
	}
	n_watched = kept;
	world_unlock();
	return next;
}

static void *clock_main(void *arg)
{
	unsigned seen = 0;

	while (!stopping())
		seen = await(seen, look_at_all());
	return NULL;
}

/* Workers */

static struct job *take_job(void)
{
	struct job *j = NULL;

	world_lock();
	if (n_queue && busy < (int)knob_num(K_workers)) {
		j = queue[0];
		memmove(queue, queue + 1, --n_queue * sizeof(queue[0]));
		busy++;
	}
	world_unlock();
	return j;
}

struct job_work {
	struct work work;
	struct job *job;
};

static bool go_on(struct work *w)
{
	struct job *j = ((struct job_work *)w)->job;
	bool yes;

	if (stopping())
		return false;
	world_lock();
	yes = !j->deleted && (!j->cancel_at || w->serve >= 0 || !responder_is_slow());
	if (responder_is_slow()) {
		j->ok = w->ok;
		j->failed = w->failed;
	}
	world_unlock();
	return yes;
}

static bool is_inline(const struct job *j)
{
	int kind = knob_choice(K_output_kind);

	return kind == 0 ? !*j->input_file : kind >= 2;
}

/* How many requests of a job were answered when it was cancelled or ran out of time. */
static int64_t served(const struct job *j)
{
	int64_t span = j->run_until - j->run_from, past = j->cancel_at - j->run_from;

	if (!j->cancel_at || responder_is_slow())
		return -1;
	if (j->state == JOB_PENDING || span <= 0 || past <= 0)
		return 0;
	return past >= span ? j->total : (int64_t)((double)j->total * past / span);
}

static void add_output_file(const struct job *j, const struct work *w)
{
	struct file *f = xcalloc(1, sizeof(*f));
	int64_t now = now_ns();

	snprintf(f->id, sizeof(f->id), "batch-%.40s", j->id);
	snprintf(f->project, sizeof(f->project), "%s", j->project);
	f->mime = xstrdup("application/jsonl");
	f->size = w->size;
	f->created = f->updated = now;
	f->expires = now + (int64_t)(knob_num(K_output_life) * HOUR);
	f->generated = true;
	file_add_take(f);
}

static enum job_state end_of(const struct job *j)
{
	static const enum job_state ends[] = {
		JOB_SUCCEEDED, JOB_FAILED, JOB_EXPIRED, JOB_SUCCEEDED, JOB_PARTIAL};
	enum knob k = j->state == JOB_PENDING ? K_cancel_pending : K_cancel_running;

	if (!j->cancel_at)
		return ends[j->outcome];
	return knob_choice(k) == (j->state == JOB_PENDING ? 1 : 0) ? JOB_SUCCEEDED
								   : JOB_CANCELLED;
}

static void finish(struct job *j, const struct work *w)
{
	j->ok = w->ok;
	j->failed = w->failed;
	if (!j->total) /* nobody counted at create */
		j->total = w->ok + w->failed;
	j->has_output = true;
	j->inline_output = w->inline_output;
	j->output_from = now_ns() + (int64_t)(knob_num(K_late_output) * NS);
	if (!w->inline_output)
		add_output_file(j, w);
	life_end(j, end_of(j));
}

static void work(struct job *j)
{
	struct job_work jw = {.job = j, .work.go_on = go_on};
	struct work *w = &jw.work;
	int r;

	world_lock();
	strcpy(w->id, j->id);
	strcpy(w->project, j->project);
	w->model = xstrdup(j->model);
	w->embed = j->embed;
	w->inline_input = !*j->input_file;
	w->inline_output = is_inline(j);
	w->serve = served(j);
	world_unlock();
	r = results_make(w);
	while (r == 0 && responder_is_slow() && now_ns() < j->run_until &&
		!j->cancel_at)
		if (!nap(0.05))
			break;
	world_lock();
	j->working = false;
	busy--;
	if (j->deleted)
		job_delete(j);
	else if (stopping() || job_has_ended(j))
		; /* made anew after the restart; or ended by force */
	else if (r < 0)
		life_end(j, JOB_FAILED);
	else
		finish(j, w);
	world_unlock();
	free(w->model);
	life_kick();
}

static void *worker_main(void *arg)
{
	unsigned seen = 0;

	while (!stopping()) {
		struct job *j = take_job();

		if (j)
			work(j);
		else
			seen = await(seen, NEVER);
	}
	return NULL;
}

void life_start(void)
{
	struct job **all;
	size_t n;

	world_lock();
	all = jobs_all(&n);
	for (size_t i = 0; i < n; i++)
		if (!job_has_ended(all[i]))
			life_watch(all[i]);
	world_unlock();
	pthread_create(&threads[0], NULL, clock_main, NULL);
	for (int i = 1; i <= WORKERS; i++)
		pthread_create(&threads[i], NULL, worker_main, NULL);
}

void life_stop(void)
{
	life_kick();
	for (int i = 0; i <= WORKERS; i++)
		pthread_join(threads[i], NULL);
}
