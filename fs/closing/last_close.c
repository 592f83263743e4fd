/*
 * The last close.
 *
 * A job costs money, and it is bought when a program closes requests.jsonl. But a
 * file is closed more often than it is finished:
 *
 *   cat a > f                     the shell moves the descriptor with dup2 and closes
 *                                 the first one: a FLUSH with nothing written
 *   { cat a; cat b; } > f         every child closes the descriptor it inherited: a
 *                                 FLUSH with half of the data
 *   exec 3>f; echo a >&3; …       the same, by one process, again and again
 *   cp a f, killed                the kernel closes for the dead: a FLUSH like any
 *                                 other, with a part of the data
 *
 * FUSE has no request that says "last" and whose answer anybody sees: RELEASE does
 * come once, but after close has returned. So at every FLUSH we ask /proc.
 *
 * 1. How does the closer end? A process that dies closes its files from inside exit,
 *    where its flags have PF_EXITING and its exit code is already known. Dying by a
 *    signal, or exiting with a failure after having written, means that the content
 *    is not what was meant: it is tainted. Since the group `{ cat; sleep; cat; } > f`
 *    can be killed while the sleep goes on and closes cleanly, gembatch remembers the
 *    taint until the file is emptied, replaced, or submitted expressly. A write that
 *    failed (disk full) taints as well: cp closes what it could not complete.
 *
 * 2. Does anybody else hold it? We look through the descriptors of all processes for
 *    a writable one of our inode number, whose random bits no other filesystem has.
 *    The descriptor being closed has already left its table, and those of an exiting
 *    process have left theirs, so finding none means last. A descriptor can move during
 *    the look (fork, dup, a message) but not without a FLUSH, WRITE or OPEN of the file
 *    if its giver does not keep it: those raise `generation`, and the look is repeated.
 *
 *    Exactly one decides, however many close at once. FLUSHes wait for the clerk
 *    (look.h), who lets looks at a file follow each other: each is for all that have
 *    come before it began, and one that comes meanwhile makes it void or waits for the
 *    next. A close is told "not the last" only when a look that began after it has
 *    found another holder, whose own FLUSH is then yet to come, or when another FLUSH
 *    of the file waits beside it. So one is left, and that one decides for all: what
 *    any of them brings against the content (a death, O_APPEND, an end that nobody can
 *    see) counts.
 *
 *    A process that has not run since before the file was first opened has none, and is not
 *    looked into (census.c): on a machine with thousands of them a close would take long.
 *
 * 3. What cannot be seen? A process of another user. It counts when it is the closer
 *    or an opener, or can have inherited the file: it was started after the file was
 *    first opened, and it descends from an opener or may be an orphan that did. Then
 *    nobody can tell, and nothing is submitted. (That it is younger is not enough: on
 *    most machines some service has been started since.) What FUSE itself knows is
 *    exact: how many open file descriptions there are, each ended by one RELEASE. If
 *    one remains that nobody is closing although no holder was found, its RELEASE may
 *    be on its way: it is waited for, not for long, and then counts as a holder, and
 *    `error` says so. A descriptor can also be on its way in a socket (SCM_RIGHTS), in
 *    nobody's table. The kernel tells how many wait in a socket, not of what: where the
 *    opener's parent or one of its descendants has some that it does not fetch within
 *    an instant, they count as holders. So does a ring (io_uring) of theirs that has
 *    been given a file of this name. If they never arrive the file is released
 *    without another FLUSH: the job's `error` says so then.
 *
 *    A look that fails is no answer either: short of descriptors or memory, a /proc
 *    that has gone or is mounted anew, something that does not parse. Only what is
 *    proven not to be there counts as not there; the rest is unknown, and unknown never
 *    submits.
 *
 *    Nor can a process be looked into that closes inside execve what was marked for
 *    that (proc.h). Such a close decides nothing.
 *
 * 4. Appending (`>>`) says that there was something before and there may be more
 *    after: `for i in …; do echo …; done` with >> inside the loop would buy the
 *    first line. Such a descriptor never submits.
 *
 * What none of this sees is a program that closes before it fails, and a producer
 * that dies earlier in a pipe. The man page says so under COSTS.
 *
 * Each content is decided once: whatever the decision, `pending` falls, and only
 * another write raises it. So `touch` on what was left a draft submits nothing.
 */
#include "closing/last_close.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "closing/last_close_private.h"
#include "mount/ino.h"
#include "util/number.h"
#include "util/util.h"

static void wfile_free(struct wfile *f)
{
	census_unref(f->before);
	free(f);
}

int closes_new(struct mount *m, struct closes **ret)
{
	struct closes *c = calloc(1, sizeof *c);
	int err;

	if (!c)
		return -ENOMEM;
	c->m = m;
	c->look_s = number_of_seconds("BATCHFS_TEST_LOOK_SECONDS", 5);
	c->release_s = number_of_seconds("BATCHFS_TEST_RELEASE_SECONDS", 1);
	pthread_mutex_init(&c->lock, NULL);
	TAILQ_INIT(&c->asks);
	err = looks_new(rounds_turn, c, &c->looks);
	if (err) {
		pthread_mutex_destroy(&c->lock);
		free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void closes_stop(struct closes *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stopped = true;
	pthread_mutex_unlock(&c->lock);
	looks_stop(c->looks);
	rounds_end(c);
}

void closes_free(struct closes *c)
{
	if (!c)
		return;
	looks_free(c->looks);
	for (struct wfile *f = c->files, *next; f; f = next) {
		next = f->next;
		wfile_free(f);
	}
	census_unref(c->census);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct looks *closes_looks(struct closes *c)
{
	return c->looks;
}

/* ---- who was there before -------------------------------------------------------- */

/* An open file keeps the one it has. With so many in memory there is no newer one: the
 * older the more processes are looked at. */
#define CENSUS_MAX 16

struct census_look {
	struct look look;
	struct closes *c;
	struct census *latest;
	double cost; /* seconds that it kept a processor busy */
};

/* Of this thread. */
static double processor_time(void)
{
	struct timespec t;

	return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
		       ? 0
		       : (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void census_work(struct look *l)
{
	struct census_look *x = CONTAINER_OF(l, struct census_look, look);
	double began = processor_time();
	struct census *now = census_take(x->latest, true);

	x->cost = processor_time() - began;
	census_unref(x->latest);
	x->latest = now;
}

static void census_done(struct look *l)
{
	struct census_look *x = CONTAINER_OF(l, struct census_look, look);
	struct closes *c = x->c;
	bool keep = x->latest && census_alive() <= CENSUS_MAX;

	pthread_mutex_lock(&c->lock);
	c->census_at = seconds_now();
	c->census_cost = x->cost;
	struct census *old = keep ? c->census : x->latest;
	if (keep)
		c->census = x->latest;
	pthread_mutex_unlock(&c->lock);
	census_unref(old);
	free(x);
}

void closes_foresee(struct mount *m)
{
	struct closes *c = m->closes;
	double now = seconds_now();
	struct census_look *x;

	if (!c || m->o->submit == SUBMIT_CTL || !(x = calloc(1, sizeof *x)))
		return;
	pthread_mutex_lock(&c->lock);
	if (c->stopped || !census_is_due(now, c->census_at, c->census_cost)) {
		pthread_mutex_unlock(&c->lock);
		free(x);
		return;
	}
	c->census_at = now;
	*x = (struct census_look){.look = {.work = census_work, .done = census_done},
		.c = c,
		.latest = census_ref(c->census)};
	pthread_mutex_unlock(&c->lock);
	looks_post(c->looks, &x->look, false);
}

/* ---- the files ------------------------------------------------------------------- */

struct wfile *closes_find(struct closes *c, fuse_ino_t ino)
{
	struct wfile *f;

	for (f = c->files; f && f->ino != ino; f = f->next)
		;
	return f;
}

void closes_unref(struct closes *c, struct wfile *f)
{
	struct wfile **at;

	if (--f->refs)
		return;
	for (at = &c->files; *at != f; at = &(*at)->next)
		;
	*at = f->next;
	wfile_free(f);
}

struct wfile *closes_next(struct closes *c, fuse_ino_t after)
{
	struct wfile *next = NULL;

	pthread_mutex_lock(&c->lock);
	for (struct wfile *f = c->files; f; f = f->next)
		if (f->handles && f->ino > after && (!next || f->ino < next->ino))
			next = f;
	if (next)
		next->refs++;
	pthread_mutex_unlock(&c->lock);
	return next;
}

/* Under the lock: the file, made if it was not open. */
static struct wfile *wfile_add(struct closes *c, fuse_ino_t ino)
{
	struct wfile *f = closes_find(c, ino);

	if (f)
		return f;
	f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->ino = ino;
	f->since = proc_ticks();
	f->before = census_ref(c->census);
	f->next = c->files;
	c->files = f;
	return f;
}

/* Under the lock. The ninth opener overwrites the first: the scan still finds an opener
 * that exists and can be inspected. */
static bool add_opener(struct wfile *f, pid_t tid)
{
	for (unsigned i = 0; i < PROC_ORIGINS; i++)
		if (tid > 0 && f->openers[i].tid == tid)
			return false;
	f->openers[f->opener_count++ % PROC_ORIGINS] = (struct opener){
		.tid = tid, .opened = proc_ticks(), .origin.unknown = true};
	return true;
}

int closes_open(struct mount *m, struct close_handle *h, fuse_ino_t ino,
	struct gb_file *file, bool append, pid_t tid)
{
	struct closes *c = m->closes;
	/* A close never submits a part, and there may be a hundred thousand of them. */
	bool wanted = m->o->submit != SUBMIT_CTL && !gb_file_is_part(file);
	struct wfile *f;

	pthread_mutex_lock(&c->lock);
	f = wfile_add(c, ino);
	if (f) {
		f->handles++;
		f->refs++;
		f->generation++;
		wanted = wanted && add_opener(f, tid);
		*h = (struct close_handle){f, append};
	}
	pthread_mutex_unlock(&c->lock);
	if (f && wanted)
		judge_note(c, f);
	return f ? 0 : -ENOMEM;
}

static bool is_requests_of_draft(struct gb_job *job, struct gb_file *file)
{
	struct gb_info info;
	char name[256];

	gb_job_info(job, &info);
	return info.draft && !info.submitted && gb_file_name(file, name) &&
	       !strcmp(name, GB_REQUESTS);
}

void closes_last(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file)
{
	struct closes *c = m->closes;
	bool open;

	if (!h->file || m->o->submit == SUBMIT_CTL)
		return;
	pthread_mutex_lock(&c->lock);
	open = h->file->handles == 1 && h->file->pending;
	pthread_mutex_unlock(&c->lock);
	if (open && is_requests_of_draft(job, file) && !gb_file_tainted(file))
		gb_job_explain(job, "not submitted: requests.jsonl was closed where "
				    "batchfs could not see it");
}

bool closes_release(struct mount *m, struct close_handle *h)
{
	struct closes *c = m->closes;
	bool last, awaited;

	if (!h->file)
		return false;
	pthread_mutex_lock(&c->lock);
	last = !--h->file->handles;
	h->file->retry_at = 0;
	awaited = !TAILQ_EMPTY(&c->asks);
	closes_unref(c, h->file);
	pthread_mutex_unlock(&c->lock);
	h->file = NULL;
	if (awaited)
		looks_nudge(c->looks);
	return last;
}

/* ---- writing --------------------------------------------------------------------- */

/* Under the lock: true if tid was not known as a writer. */
static bool add_writer(struct wfile *f, pid_t tid)
{
	for (unsigned i = 0; i < f->writer_count && i < WRITERS; i++)
		if (f->writers[i].tid == tid)
			return false;
	if (f->writer_count < WRITERS)
		f->writers[f->writer_count] = (struct writer){.tid = tid};
	f->writer_count += f->writer_count <= WRITERS;
	return f->writer_count <= WRITERS;
}

bool closes_has_written(const struct wfile *f, pid_t process)
{
	/* There were more writers than fit, so assume that it is one. */
	if (f->writer_count > WRITERS)
		return true;
	for (unsigned i = 0; i < f->writer_count; i++)
		if (!f->writers[i].process || f->writers[i].process == process)
			return true;
	return false;
}

void closes_write(
	struct mount *m, struct close_handle *h, struct gb_file *file, pid_t tid)
{
	struct closes *c = m->closes;
	struct wfile *f = h->file;
	bool new;

	pthread_mutex_lock(&c->lock);
	f->generation++;
	f->pending = true;
	new = add_writer(f, tid);
	pthread_mutex_unlock(&c->lock);
	/* The writer of a part is inspected when it closes. */
	if (new && !gb_file_is_part(file))
		judge_note(c, f);
}

void closes_emptied(struct mount *m, fuse_ino_t ino)
{
	struct closes *c = m->closes;
	struct wfile *f;

	pthread_mutex_lock(&c->lock);
	f = closes_find(c, ino);
	if (f) {
		f->generation++;
		f->pending = false;
		f->writer_count = 0;
	}
	pthread_mutex_unlock(&c->lock);
}

/* ---- closing --------------------------------------------------------------------- */

/* Note the FLUSH; whether something waits to be decided. */
static bool note_flush(struct closes *c, struct wfile *f)
{
	bool pending;

	pthread_mutex_lock(&c->lock);
	f->generation++;
	pending = f->pending;
	pthread_mutex_unlock(&c->lock);
	return pending;
}

/* Let ask wait for the clerk: -EINPROGRESS. Frees it on failure. */
static int ask_enlist(struct closes *c, struct ask *ask)
{
	bool stopped;

	ask->deadline =
		seconds_now() + (ask->kind == ASK_FREE ? c->release_s : c->look_s);
	pthread_mutex_lock(&c->lock);
	stopped = c->stopped;
	if (!stopped) {
		TAILQ_INSERT_TAIL(&c->asks, ask, link);
		if (ask->f)
			ask->f->refs++;
	}
	pthread_mutex_unlock(&c->lock);
	if (stopped)
		free(ask);
	return stopped ? -EINTR : -EINPROGRESS;
}

/* As with submit=ctl a close submits nothing; but nobody asked for that, so it is
 * said. */
static void explain_blind(
	struct closes *c, struct wfile *f, struct gb_job *job, struct gb_file *file)
{
	bool pending;

	pthread_mutex_lock(&c->lock);
	pending = f->pending;
	f->pending = false;
	pthread_mutex_unlock(&c->lock);
	if (pending && !gb_file_tainted(file))
		gb_job_explain(job,
			"not submitted: /proc does not show this mount which processes "
			"have files open, so no close submits, as with submit=ctl");
}

/* A close never submits files of other names, but they may be part of a later
 * submission: all that matters is how the closer ends, if it ends. */
int closes_flush(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file, pid_t tid, struct gb_waiter *w, struct ask **ret)
{
	struct closes *c = m->closes;
	bool requests, pending;
	struct ask *ask;
	int err;

	if (!h->file)
		return 0;
	pending = note_flush(c, h->file);
	requests = is_requests_of_draft(job, file);
	if (requests && m->o->blind)
		explain_blind(c, h->file, job, file);
	if (requests ? m->o->submit == SUBMIT_CTL : !pending)
		return 0;
	ask = calloc(1, sizeof *ask);
	if (!ask)
		return -ENOMEM;
	*ask = (struct ask){
		.kind = requests ? ASK_FLUSH : ASK_PART,
		.w = w,
		.job = job,
		.file = file,
		.f = h->file,
		.h = h,
		.append = h->append,
		.pending = pending,
	};
	*ret = ask;
	err = ask_enlist(c, ask);
	if (err == -EINPROGRESS)
		judge_closer(c, ask, tid);
	else
		*ret = NULL;
	return err;
}

int closes_verdict_take(struct ask *ask)
{
	int verdict = ask->verdict;

	free(ask);
	return verdict;
}

/* ---- other ways to submit -------------------------------------------------------- */

static int ask_free(struct closes *c, struct gb_job *job, fuse_ino_t ino, bool parts,
	struct gb_waiter *w)
{
	struct ask *ask = calloc(1, sizeof *ask);
	int err;

	if (!ask)
		return -ENOMEM;
	*ask = (struct ask){
		.kind = ASK_FREE, .w = w, .job = job, .ino = ino, .parts = parts};
	err = ask_enlist(c, ask);
	if (err == -EINPROGRESS)
		looks_nudge(c->looks);
	return err;
}

int closes_settle(struct mount *m, struct gb_job *job, struct gb_file *dir,
	const char *name, struct gb_waiter *w)
{
	struct closes *c = m->closes;
	struct gb_file *file = gb_file_by_name(job, dir, name);
	struct gb_info info;
	struct wfile *f;
	fuse_ino_t ino;
	bool open;

	if (!file || !c) { /* whoever submits it will say so; nobody can have it open */
		gb_file_unref(file);
		return 0;
	}
	gb_job_info(job, &info);
	ino = ino_of_job(m, info.slot, gb_file_number(file));
	gb_file_unref(file);
	pthread_mutex_lock(&c->lock);
	f = closes_find(c, ino);
	open = f && f->handles;
	if (f && !open)
		f->pending = false;
	pthread_mutex_unlock(&c->lock);
	return open ? ask_free(c, job, ino, false, w) : 0;
}

int closes_settle_parts(struct mount *m, struct gb_job *job, struct gb_waiter *w)
{
	struct closes *c = m->closes;

	return c && still_open_parts(c, job) ? ask_free(c, job, 0, true, w) : 0;
}
