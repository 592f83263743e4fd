/* The walk through /proc: who holds files for writing. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util/util.h"
#include "gembatch.h"
#include "closing/census.h"
#include "closing/proc.h"
#include "closing/proc_private.h"

struct walk {
	struct proc_question *q;
	size_t n;
	struct census *now; /* NULL: not taken yet */
	struct census_change **changes; /* for each question; NULL: nobody is left out */
	/* Of the process looked at: */
	bool by_links; /* its links can be read */
	bool may_mail; /* what waits in its sockets matters */
};

/* What one process showed, apart from descriptors that answer a question. */
struct shown {
	enum sight sight; /* the worst of all its tables */
	bool mail; /* descriptors wait in one of its sockets (Linux 5.11 counts); or a
	            * ring of its (io_uring) has a file of that name */
};

static void question_answer(struct proc_question *q, enum proc_holder found)
{
	if (found > q->found)
		q->found = found;
}

static void answer_all(const struct walk *w, enum proc_holder found)
{
	for (size_t i = 0; i < w->n; i++)
		question_answer(&w->q[i], found);
}

static bool is_answered(const struct walk *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->q[i].found != HOLDER_SOME)
			return false;
	return true;
}

/* ---- descriptors ------------------------------------------------------------------ */

/* Whether a descriptor is for reading alone: the mode of its link is that of the open
 * file (proc_pid_fd(5)). Sockets are for both. This does not wait for execve. */
static bool is_read_only(int dirfd, const char *name)
{
	struct stat st;

	return !fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISLNK(st.st_mode) &&
	       !(st.st_mode & S_IWUSR);
}

/* A ring for requests: the kernel calls it "anon_inode:[io_uring]". */
#define RING_LINK "anon_inode:[io_"

static bool is_ring(int dirfd, const char *name)
{
	char link[16] = "";

	return readlinkat(dirfd, name, link, sizeof link - 1) > 0 &&
	       !strcmp(link, RING_LINK);
}

/* Whether a ring may have been given the file: it can be written through it, then, though
 * nobody has a descriptor. A ring that is in use at this moment shows nothing. */
static bool may_have_file(const char *info, size_t room)
{
	const char *files = proc_field(info, "UserFiles");

	return !files || strstr(files, "/" GB_REQUESTS "\n") ||
	       strlen(info) + 1 == room;
}

/* Whether the link shows that a descriptor is neither a file of ours nor a socket that
 * matters. Most are neither, and a link costs less than fdinfo. There can be mounts below
 * /dev, in /dev/shm. */
static bool is_nothing(const struct walk *w, int dirfd, const char *name)
{
	char link[16] = "";
	ssize_t n = readlinkat(dirfd, name, link, sizeof link - 1);

	if (n < 1)
		return false;
	if (!strncmp(link, "socket:[", 8) || !strcmp(link, RING_LINK))
		return !w->may_mail;
	return link[0] != '/' || !strcmp(link, "/dev/null") ||
	       !strncmp(link, "/dev/pts/", 9);
}

static enum sight look_at_descriptor(
	struct walk *w, int dirfd, const char *name, struct shown *s)
{
	char path[300], info[4096];
	const char *ino, *flags, *mail;
	enum sight sight;

	if (is_read_only(dirfd, name) || (w->by_links && is_nothing(w, dirfd, name)))
		return SIGHT_CLEAR;
	snprintf(path, sizeof path, "../fdinfo/%s", name);
	sight = proc_slurp(dirfd, path, info, sizeof info);
	if (sight != SIGHT_CLEAR)
		return sight == SIGHT_GONE ? SIGHT_CLEAR : sight;
	mail = proc_field(info, "scm_fds");
	if (mail && strtoull(mail, NULL, 10))
		s->mail = true;
	if (w->may_mail && w->by_links && is_ring(dirfd, name) &&
		may_have_file(info, sizeof info))
		s->mail = true;
	ino = proc_field(info, "ino");
	flags = proc_field(info, "flags");
	if (!ino || !flags)
		return SIGHT_DIM;
	if ((strtoull(flags, NULL, 8) & O_ACCMODE) == O_RDONLY)
		return SIGHT_CLEAR;
	for (size_t i = 0; i < w->n; i++)
		if (strtoull(ino, NULL, 10) == w->q[i].ino)
			question_answer(&w->q[i], HOLDER_SOME);
	return SIGHT_CLEAR;
}

/* The next entry whose name is a number; NULL at the end, and then what that means. */
static const char *next_number(DIR *dir, enum sight *ret_end)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry && !isdigit((unsigned char)entry->d_name[0]));
	if (!entry)
		*ret_end = errno ? sight_of(errno) : SIGHT_CLEAR;
	return entry ? entry->d_name : NULL;
}

/* A table of descriptors, /proc/PID/fd or /proc/PID/task/TID/fd. */
static enum sight look_at_table(struct walk *w, const char *path, struct shown *s)
{
	DIR *dir = opendir(path);
	enum sight worst = SIGHT_CLEAR, end = SIGHT_CLEAR;
	const char *name;

	if (!dir)
		return sight_of(errno);
	/* If one is hidden all are: what a process has is, not what a descriptor is. */
	while (worst != SIGHT_HIDDEN && (name = next_number(dir, &end)))
		worst = sight_worse(worst, look_at_descriptor(w, dirfd(dir), name, s));
	closedir(dir);
	/* A process that ended while it was read has closed everything. */
	return sight_worse(worst, end == SIGHT_GONE ? SIGHT_CLEAR : end);
}

/* Whether pid, which is ending, has released its table: then it has closed everything
 * in it, or is doing so now. Its status is readable for everybody. */
static bool has_no_table(pid_t pid)
{
	const char *size;
	char buf[8192];

	if (proc_slurp_of(pid, "status", buf, sizeof buf) != SIGHT_CLEAR)
		return false;
	size = proc_field(buf, "FDSize");
	return size && !atoi(size);
}

/* A table may be hidden because its owner is ending: for an instant before its files
 * are closed (*ret_leaving), or while they are being closed, and then it holds
 * nothing. */
static enum sight why_hidden(pid_t pid, bool *ret_leaving)
{
	struct stat_line s;
	enum sight sight = proc_stat(pid, &s);

	if (sight == SIGHT_GONE)
		return SIGHT_GONE;
	if (sight == SIGHT_CLEAR && s.flags & PF_EXITING && has_no_table(pid))
		return SIGHT_GONE;
	*ret_leaving =
		sight == SIGHT_DIM || (sight == SIGHT_CLEAR && s.flags & PF_EXITING);
	return SIGHT_HIDDEN;
}

static void look_at_owner(
	struct walk *w, const char *path, pid_t pid, struct shown *s, bool *ret_leaving)
{
	bool leaving = false;
	enum sight sight = look_at_table(w, path, s);

	if (sight == SIGHT_HIDDEN)
		sight = why_hidden(pid, &leaving);
	if (sight != SIGHT_GONE)
		s->sight = sight_worse(s->sight, sight);
	*ret_leaving |= leaving;
}

/* ---- threads ---------------------------------------------------------------------- */

/* Whether a thread surely has the table of its process. */
static bool shares_table(pid_t pid, pid_t tid)
{
	return !syscall(SYS_kcmp, pid, tid, KCMP_FILES, 0, 0);
}

/* unshare(CLONE_FILES) gives a thread descriptors that /proc/PID/fd does not show; and
 * a process whose first thread has ended shows them only in the other threads. */
static void look_at_threads(
	struct walk *w, pid_t pid, struct shown *s, bool *ret_leaving)
{
	char path[64];
	const char *name;
	enum sight end;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	/* A directory has one more link for each directory in it; one thread has been
	 * seen. */
	if (!stat(path, &st) && st.st_nlink <= 3)
		return;
	dir = opendir(path);
	if (!dir) {
		end = sight_of(errno);
	} else {
		while ((name = next_number(dir, &end))) {
			pid_t tid = atoi(name);

			if (tid == pid || shares_table(pid, tid))
				continue;
			snprintf(path, sizeof path, "/proc/%d/task/%d/fd", (int)pid,
				(int)tid);
			look_at_owner(w, path, tid, s, ret_leaving);
		}
		closedir(dir);
	}
	if (end != SIGHT_GONE)
		s->sight = sight_worse(s->sight, end);
}

/* ---- who may have inherited it ----------------------------------------------------- */

static bool is_closer(const struct proc_question *q, pid_t pid)
{
	for (size_t i = 0; i < q->closer_count; i++)
		if (q->closers[i] == pid)
			return true;
	return false;
}

static bool is_opener(const struct proc_question *q, pid_t pid)
{
	for (size_t i = 0; i < PROC_ORIGINS; i++)
		if (q->origins[i].process == pid)
			return true;
	return false;
}

static bool has_unknown_opener(const struct proc_question *q)
{
	for (size_t i = 0; i < PROC_ORIGINS; i++)
		if (q->origins[i].unknown)
			return true;
	return false;
}

static bool is_kin(const struct proc_origin *o, pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(o->kin); i++)
		if (o->kin[i] == pid)
			return true;
	return false;
}

/* Whether ancestor may have adopted pid, a descendant of an opener's. */
static bool may_be_adopted(const struct proc_question *q, pid_t pid, pid_t ancestor)
{
	uint64_t cgroup = proc_cgroup(pid);

	for (size_t i = 0; i < PROC_ORIGINS; i++) {
		const struct proc_origin *o = &q->origins[i];

		if (!o->process || (ancestor > 1 && !is_kin(o, ancestor)))
			continue;
		if (!cgroup || !o->cgroup || cgroup == o->cgroup)
			return true;
	}
	return false;
}

/* Whether a hidden process may hold the file nevertheless. */
static bool may_hold(const struct proc_question *q, pid_t pid)
{
	struct stat_line up;
	pid_t ancestor = pid;
	enum sight sight = proc_stat(pid, &up);

	if (sight != SIGHT_CLEAR)
		return sight != SIGHT_GONE;
	if (up.flags & PF_KTHREAD)
		return false;
	if (is_closer(q, pid) || is_opener(q, pid))
		return true;
	if (up.start < q->since)
		return false;
	if (has_unknown_opener(q))
		return true;
	/* Up to the first that is older than the open file. */
	for (int i = 0; i < 64 && ancestor > 1 && up.start >= q->since; i++) {
		ancestor = up.parent;
		if (ancestor && is_opener(q, ancestor))
			return true;
		if (ancestor > 1 && proc_stat(ancestor, &up) != SIGHT_CLEAR)
			return true;
	}
	return may_be_adopted(q, pid, ancestor);
}

/* The parent of a process, from the census if that has it. */
static enum sight parent_of(const struct walk *w, pid_t pid, pid_t *ret)
{
	const struct citizen *p = census_find(w->now, pid);
	struct stat_line s;
	enum sight sight;

	if (p && p->parent >= 0) {
		*ret = p->parent;
		return SIGHT_CLEAR;
	}
	sight = proc_stat(pid, &s);
	if (sight == SIGHT_CLEAR)
		*ret = s.parent;
	return sight;
}

/* Whether a process may receive the file through a socket: the closer, an opener, its
 * parent, and any descendant of that. Messages of others say nothing. */
static bool may_receive(const struct walk *w, const struct proc_question *q, pid_t pid)
{
	if (is_closer(q, pid) || has_unknown_opener(q))
		return true;
	for (int depth = 0; depth < 16 && pid > 1; depth++) {
		for (size_t i = 0; i < PROC_ORIGINS; i++)
			if (q->origins[i].process == pid || q->origins[i].kin[0] == pid)
				return true;
		switch (parent_of(w, pid, &pid)) {
		case SIGHT_CLEAR:
			break;
		case SIGHT_GONE:
			return false;
		default:
			return true;
		}
	}
	return false;
}

/* Whether anybody may have sent pid a file that is asked about. */
static bool may_be_mailed(const struct walk *w, pid_t pid)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->q[i].found != HOLDER_SOME && may_receive(w, &w->q[i], pid))
			return true;
	return false;
}

/* ---- the walk --------------------------------------------------------------------- */

static void conclude_process(const struct walk *w, pid_t pid, const struct shown *s)
{
	for (size_t i = 0; i < w->n; i++) {
		struct proc_question *q = &w->q[i];

		if (q->found == HOLDER_SOME)
			continue;
		if (s->mail && may_receive(w, q, pid))
			question_answer(q, HOLDER_FLYING);
		if (s->sight == SIGHT_DIM ||
			(s->sight == SIGHT_HIDDEN && may_hold(q, pid)))
			question_answer(q, HOLDER_UNKNOWN);
	}
}

/* For an instant before its files are closed, an exiting process cannot be inspected;
 * the close then may show that it was killed. We wait for it, but not for long, because
 * it may hang in the close of another file: then the result is unknown. */
static void ask_process(struct walk *w, pid_t pid)
{
	bool leaving = true;
	struct shown s = {};
	char path[32];

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	w->may_mail = may_be_mailed(w, pid);
	for (int i = 0; i < 20 && leaving; i++) {
		if (i)
			usleep(1000);
		leaving = false;
		s = (struct shown){};
		w->by_links = !proc_in_exec(pid);
		look_at_owner(w, path, pid, &s, &leaving);
		look_at_threads(w, pid, &s, &leaving);
	}
	conclude_process(w, pid, &s);
}

/* A shell that keeps the file open is found without the long way round. */
static void ask_nearest(struct proc_question *q)
{
	struct proc_question one = *q;
	struct walk w = {.q = &one, .n = 1};

	for (size_t i = 0; i < q->closer_count && one.found != HOLDER_SOME; i++)
		if (q->closers[i])
			ask_process(&w, q->closers[i]);
	for (size_t i = 0; i < PROC_ORIGINS && one.found != HOLDER_SOME; i++)
		if (q->origins[i].process && !is_closer(q, q->origins[i].process))
			ask_process(&w, q->origins[i].process);
	if (one.found == HOLDER_SOME)
		q->found = HOLDER_SOME;
}

/* Whether p surely has no file that is asked about, in its table or in its sockets: it has
 * not run since before they were first opened (census.c), and nobody has sent it one. */
static bool may_be_left_out(const struct walk *w, const struct citizen *p)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct proc_question *q = &w->q[i];

		if (q->found == HOLDER_SOME)
			continue;
		if (!w->changes[i] || !census_slept(w->changes[i], p) ||
			is_opener(q, p->pid) || may_receive(w, q, p->pid))
			return false;
	}
	return true;
}

/* All processes except ourselves. Who is forked meanwhile by one that holds a file, which
 * then closes it, is announced by the FLUSH of that. */
static void ask_everybody(struct walk *w)
{
	for (size_t i = 0; i < census_count(w->now) && !is_answered(w); i++) {
		const struct citizen *p = census_at(w->now, i);

		if (p->pid != getpid() && !(w->changes && may_be_left_out(w, p)))
			ask_process(w, p->pid);
	}
}

static bool has_before(const struct walk *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->q[i].before)
			return false;
	return true;
}

/* The question before i whose file was opened after the same census; or i. */
static size_t alike(const struct walk *w, size_t i)
{
	size_t j = 0;

	while (w->q[j].before != w->q[i].before)
		j++;
	return j;
}

static void compare(struct walk *w)
{
	w->changes = calloc(w->n, sizeof(struct census_change *));
	for (size_t i = 0; i < w->n && w->changes; i++) {
		size_t j = alike(w, i);

		w->changes[i] = j < i ? w->changes[j]
				      : census_compare(w->q[i].before, w->now);
	}
}

static void end_compare(struct walk *w)
{
	for (size_t i = 0; i < w->n && w->changes; i++)
		if (alike(w, i) == i)
			free(w->changes[i]);
	free(w->changes);
}

void proc_find_holders(struct proc_question *q, size_t n, struct census *latest)
{
	struct walk w = {.q = q, .n = n};
	bool settled;

	for (size_t i = 0; i < n; i++) {
		q[i].found = HOLDER_NONE;
		ask_nearest(&q[i]);
	}
	if (is_answered(&w))
		return;
	settled = has_before(&w) && census_settle();
	w.now = census_take(latest, false);
	if (!w.now) {
		answer_all(&w, HOLDER_UNKNOWN);
		return;
	}
	if (settled)
		compare(&w);
	ask_everybody(&w);
	end_compare(&w);
	census_unref(w.now);
}
