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
 *    process have left theirs, so finding none means last. Two that close at once
 *    can both find none, never each other: `pending` is cleared under the lock by
 *    the one that decides. A descriptor can move during the look (fork, dup, a
 *    message) but not without a FLUSH, WRITE or OPEN of the file if its giver does
 *    not keep it: those raise `generation`, and the look is repeated.
 *
 * 3. What cannot be seen? A process of another user. It counts when it is the closer
 *    or an opener, or can have inherited the file: it was started after the file was
 *    first opened, and it descends from an opener or may be an orphan that did. Then
 *    nobody can tell, and nothing is submitted. (That it is younger is not enough: on
 *    most machines some service has been started since.)
 *    What FUSE itself knows is exact: how many open file descriptions there are,
 *    each ended by one RELEASE. If another one remains although no holder was found,
 *    it is given an instant, as the RELEASE of a close just before may be on its way,
 *    and then counts as a holder.
 *    A descriptor can also be on its way in a socket (SCM_RIGHTS), in nobody's table.
 *    The kernel tells how many wait in a socket, not of what: where the opener's
 *    parent or one of its descendants has some that it does not fetch within an
 *    instant, they count as holders. If they never arrive the file is released
 *    without another FLUSH: the job's `error` says so then.
 *
 *    Nor can a process be looked into that closes inside execve what was marked for
 *    that (scout.h). Such a close decides nothing.
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
#include "lastclose.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "proc.h"
#include "scout.h"
#include "tree.h"

#define WRITERS 16
#define OPENERS ARRAY_SIZE(((struct proc_question *)0)->origins)
#define TRIES 20

struct writer {
	pid_t tid, process;
};

/* A file that is open for writing. All fields under closes.lock. */
struct wfile {
	struct wfile *next;
	fuse_ino_t ino;
	unsigned handles; /* open file descriptions */
	unsigned refs;    /* those, and whoever works on it */
	uint64_t generation;
	bool pending; /* something was written and no close has decided */
	struct writer writers[WRITERS];
	unsigned writer_count;
	struct proc_origin openers[OPENERS];
	unsigned opener_count;
	uint64_t since; /* proc_ticks of the first open */
};

struct closes {
	pthread_mutex_t lock; /* a leaf */
	struct wfile *files;  /* few: those open for writing just now */
};

int closes_new(struct closes **ret)
{
	struct closes *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

void closes_free(struct closes *c)
{
	if (!c)
		return;
	for (struct wfile *f = c->files, *next; f; f = next) {
		next = f->next;
		free(f);
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Under the lock. */
static struct wfile *find(struct closes *c, fuse_ino_t ino)
{
	struct wfile *f;

	for (f = c->files; f && f->ino != ino; f = f->next)
		;
	return f;
}

/* Under the lock. */
static void unref(struct closes *c, struct wfile *f)
{
	struct wfile **at;

	if (--f->refs)
		return;
	for (at = &c->files; *at != f; at = &(*at)->next)
		;
	*at = f->next;
	free(f);
}

/* Under the lock: the file, made if it was not open. */
static struct wfile *add(struct closes *c, fuse_ino_t ino)
{
	struct wfile *f = find(c, ino);

	if (f)
		return f;
	f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->ino = ino;
	f->since = proc_ticks();
	f->next = c->files;
	c->files = f;
	return f;
}

/* Under the lock. The ninth opener overwrites the first: an opener that is still
 * there and can be looked into is found by the scan all the same. */
static void add_opener(struct wfile *f, const struct proc_origin *o)
{
	for (unsigned i = 0; i < OPENERS; i++)
		if (f->openers[i].process == o->process)
			return;
	f->openers[f->opener_count++ % OPENERS] = *o;
}

int closes_open(struct mount *m, struct close_handle *h, fuse_ino_t ino,
	struct gb_file *file, bool append, pid_t tid)
{
	struct closes *c = m->closes;
	struct proc_origin origin = {.process = tid};
	struct wfile *f;

	/* No close submits a part, of which there may be a hundred thousand. */
	if (m->o->submit != SUBMIT_CTL && !gb_file_is_part(file))
		proc_origin(tid, &origin);
	pthread_mutex_lock(&c->lock);
	f = add(c, ino);
	if (f) {
		f->handles++;
		f->refs++;
		f->generation++;
		add_opener(f, &origin);
		*h = (struct close_handle){f, append};
	}
	pthread_mutex_unlock(&c->lock);
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
		gb_job_explain(job, "not submitted: requests.jsonl was let go of where "
				    "no close could be seen");
}

bool closes_release(struct mount *m, struct close_handle *h)
{
	struct closes *c = m->closes;
	bool last;

	if (!h->file)
		return false;
	pthread_mutex_lock(&c->lock);
	last = !--h->file->handles;
	unref(c, h->file);
	pthread_mutex_unlock(&c->lock);
	h->file = NULL;
	return last;
}

/* Under the lock. */
static bool knows_writer(const struct wfile *f, pid_t tid)
{
	for (unsigned i = 0; i < f->writer_count && i < WRITERS; i++)
		if (f->writers[i].tid == tid)
			return true;
	return false;
}

/* Under the lock. */
static bool has_written(const struct wfile *f, pid_t process)
{
	/* More than fit in: better to think so than not. */
	if (f->writer_count > WRITERS)
		return true;
	for (unsigned i = 0; i < f->writer_count; i++)
		if (f->writers[i].process == process)
			return true;
	return false;
}

void closes_write(struct mount *m, struct close_handle *h, pid_t tid)
{
	struct closes *c = m->closes;
	struct wfile *f = h->file;
	pid_t process;
	bool known;

	pthread_mutex_lock(&c->lock);
	f->generation++;
	f->pending = true;
	known = knows_writer(f, tid);
	pthread_mutex_unlock(&c->lock);
	if (known)
		return;
	process = proc_process_of(tid);
	pthread_mutex_lock(&c->lock);
	if (!knows_writer(f, tid)) {
		if (f->writer_count < WRITERS)
			f->writers[f->writer_count] = (struct writer){tid, process};
		f->writer_count += f->writer_count <= WRITERS;
	}
	pthread_mutex_unlock(&c->lock);
}

void closes_emptied(struct mount *m, fuse_ino_t ino)
{
	struct closes *c = m->closes;
	struct wfile *f;

	pthread_mutex_lock(&c->lock);
	f = find(c, ino);
	if (f) {
		f->generation++;
		f->pending = false;
		f->writer_count = 0;
	}
	pthread_mutex_unlock(&c->lock);
}

/* One look at who holds f, not by `closer`. The answer is good for the generation
 * that goes with it, the handles for the moment after the look. */
static enum proc_holder look(struct closes *c, struct wfile *f, pid_t closer,
	uint64_t *ret_generation, unsigned *ret_handles)
{
	struct proc_question q = {.ino = f->ino, .closer = closer};
	enum proc_holder found;

	pthread_mutex_lock(&c->lock);
	memcpy(q.origins, f->openers, sizeof q.origins);
	q.since = f->since;
	*ret_generation = f->generation;
	pthread_mutex_unlock(&c->lock);
	found = proc_find_holder(&q);
	pthread_mutex_lock(&c->lock);
	*ret_handles = f->handles;
	pthread_mutex_unlock(&c->lock);
	return found;
}

/* Decide for good that f is submitted or not: false when the look at *generation
 * is no longer good. was: whether there was something to decide. */
static bool decide(
	struct closes *c, struct wfile *f, uint64_t generation, bool *ret_was)
{
	bool same;

	pthread_mutex_lock(&c->lock);
	same = f->generation == generation;
	if (same) {
		*ret_was = f->pending;
		f->pending = false;
	}
	pthread_mutex_unlock(&c->lock);
	return same;
}

/* Whether the close of a handle by process `closer` was the last: NONE or UNKNOWN,
 * and then it is decided, with *ret_was as above; or SOME. */
static enum proc_holder who_else(
	struct closes *c, struct wfile *f, pid_t closer, bool *ret_was)
{
	enum proc_holder found;
	uint64_t generation;
	unsigned handles;

	for (int i = 0; i < TRIES; i++) {
		found = look(c, f, closer, &generation, &handles);
		if (found == HOLDER_SOME)
			return found;
		if (found == HOLDER_FLYING || (found == HOLDER_NONE && handles > 1)) {
			usleep(2500);
			continue;
		}
		if (decide(c, f, generation, ret_was))
			return found;
	}
	return HOLDER_SOME; /* it is in use all the time */
}

static void taint(struct gb_file *file, const char *how, int code)
{
	_cleanup_free_ char *why =
		gb_file_is_part(file)
			? format("The program that was writing it %s %d.", how, code)
			: format("not submitted: a program that was writing "
				 "requests.jsonl %s %d, so it may be incomplete",
				  how, code);

	gb_file_taint(file, why ? why : "not submitted: its writer failed");
}

/* What the closer's own end says of the content: true when it is known. */
static bool judge_closer(struct mount *m, struct wfile *f, struct gb_file *file,
	pid_t tid, pid_t process)
{
	bool wrote;
	int code = 0;

	switch (proc_ending(tid, &code)) {
	case END_KILLED:
		taint(file, "was killed by signal", code);
		return true;
	case END_FAILED:
		pthread_mutex_lock(&m->closes->lock);
		wrote = has_written(f, process);
		pthread_mutex_unlock(&m->closes->lock);
		if (wrote)
			taint(file, "failed with exit status", code);
		return true;
	case END_UNKNOWN:
		return false;
	default:
		return true;
	}
}

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

/* Files of other names are never submitted by a close, but may be part of what is later:
 * all that matters is how the closer ends, if it does. */
static void flush_part(struct mount *m, struct wfile *f, struct gb_file *file, pid_t tid)
{
	pid_t process;

	if (proc_may_be_ending(tid, &process) && !scout_in_exec(tid))
		judge_closer(m, f, file, tid, process);
}

int closes_flush(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file, pid_t tid)
{
	struct closes *c = m->closes;
	struct wfile *f = h->file;
	enum proc_holder found;
	bool pending, seen, was = false;
	pid_t process;

	if (!f)
		return 0;
	pending = note_flush(c, f);
	if (!is_requests_of_draft(job, file)) {
		if (pending)
			flush_part(m, f, file, tid);
		return 0;
	}
	if (m->o->submit == SUBMIT_CTL || scout_in_exec(tid))
		return 0;
	process = proc_process_of(tid);
	seen = judge_closer(m, f, file, tid, process);
	if (!pending)
		return 0;
	found = who_else(c, f, process, &was);
	if (found == HOLDER_SOME || !was)
		return 0;
	if (gb_file_tainted(file)) {
		/* Others of a group may have written since, which took the words away. */
		gb_file_explain_taint(file);
		return 0;
	}
	if (found == HOLDER_UNKNOWN || !seen || !process) {
		gb_job_explain(job,
			"not submitted: a process of another user may still write to "
			"requests.jsonl");
		return -EBUSY;
	}
	if (h->append) {
		gb_job_explain(job, "not submitted: requests.jsonl was opened for "
				    "appending, so more "
				    "may follow");
		return 0;
	}
	return 1;
}

/* Whether somebody can still write to f, given that RELEASEs may be on their way. */
static bool is_busy(struct closes *c, struct wfile *f)
{
	uint64_t generation;
	unsigned handles;

	for (int i = 0; i < TRIES; i++) {
		if (look(c, f, 0, &generation, &handles) == HOLDER_SOME)
			return true;
		if (!handles)
			return false;
		usleep(2500);
	}
	return true;
}

int closes_settle(
	struct mount *m, struct gb_job *job, struct gb_file *dir, const char *name)
{
	struct closes *c = m->closes;
	struct gb_file *file = gb_file_by_name(job, dir, name);
	struct gb_info info;
	struct wfile *f;
	bool busy;

	if (!file)
		return 0; /* whoever submits it will say so */
	gb_job_info(job, &info);
	pthread_mutex_lock(&c->lock);
	f = find(c, tree_job_ino(m, info.slot, gb_file_number(file)));
	if (f)
		f->refs++;
	pthread_mutex_unlock(&c->lock);
	gb_file_unref(file);
	if (!f)
		return 0;
	busy = is_busy(c, f);
	pthread_mutex_lock(&c->lock);
	if (!busy)
		f->pending = false;
	unref(c, f);
	pthread_mutex_unlock(&c->lock);
	return busy ? -EBUSY : 0;
}

/* Whether the inode number is that of a part of a composed draft of job. */
static bool is_part_of(struct mount *m, struct gb_job *job, uint32_t slot, fuse_ino_t ino)
{
	struct gb_file *file;
	bool part;

	if (ino < tree_job_ino(m, slot, NUMBER_FILES) || ino >= tree_job_ino(m, slot + 1, 0))
		return false;
	file = gb_file_by_number(job, ino - tree_job_ino(m, slot, 0));
	part = file && gb_file_is_part(file);
	gb_file_unref(file);
	return part;
}

/* The next open file after inode number *ino, with a reference. */
static struct wfile *next_open(struct closes *c, fuse_ino_t after)
{
	struct wfile *next = NULL;

	pthread_mutex_lock(&c->lock);
	for (struct wfile *f = c->files; f; f = f->next)
		if (f->ino > after && (!next || f->ino < next->ino))
			next = f;
	if (next)
		next->refs++;
	pthread_mutex_unlock(&c->lock);
	return next;
}

int closes_settle_parts(struct mount *m, struct gb_job *job)
{
	struct closes *c = m->closes;
	struct gb_info info;
	struct wfile *f;
	fuse_ino_t ino;
	bool busy = false;

	gb_job_info(job, &info);
	ino = tree_job_ino(m, info.slot, 0);
	while (!busy && (f = next_open(c, ino))) {
		ino = f->ino;
		busy = is_part_of(m, job, info.slot, ino) && is_busy(c, f);
		pthread_mutex_lock(&c->lock);
		unref(c, f);
		pthread_mutex_unlock(&c->lock);
	}
	return busy ? -EBUSY : 0;
}
