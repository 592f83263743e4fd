/*
 * Who has run?
 *
 * A process gets a descriptor of an open file in these ways only: it opens the file,
 * which FUSE reports; it is forked by a holder, and is then younger than the file's
 * first open; or it takes it, from a socket, with pidfd_getfd, or however: for that
 * it must run. So one that was there before the file was first opened, and has not
 * run since, has none. (In the queue of one of its sockets there may be one: who may
 * have been sent one is always looked at, holders.c.)
 *
 * Whether a process has run is told by its processor time, which the kernel counts
 * in nanoseconds, over all its threads and those that have ended, and tells
 * everybody (clock_getcpuclockid(3)). It is brought up to date at every switch away
 * from a thread. So only a thread that is on a processor at this moment may have run
 * unaccounted. census_settle makes the kernel switch away from it: it runs on every
 * processor once. If the time afterwards is what it was in the earlier census, no
 * thread of the process was on a processor at any time in between: it would have
 * been switched away from since, and its time counted. A processor that we may not
 * use (cpusets) cannot be settled; then nobody is left out.
 *
 * In a virtual machine the kernel subtracts the time that the host has taken, which
 * is never more than has passed. Still, two more must agree:
 *
 *  - The number of open descriptors (Linux 6.2; before that nobody is left out). Two
 *    processes can share one table without being threads of one (clone(2),
 *    CLONE_FILES): what one takes, the other has while it sleeps. While the former
 *    lives it is looked at; if it has ended, there is one descriptor more.
 *
 *  - The identity, since numbers of processes are used again: the inode number of
 *    /proc/PID. The kernel counts it up, and keeps it while the process lives and
 *    the entry is in memory. If the entry is dropped and made anew, the number is
 *    another and the process is looked at.
 *
 * Parents are read once: the parent of a process changes only when that parent ends.
 */
#include "closing/census.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "closing/proc_private.h"
#include "util/util.h"

struct census {
	_Atomic unsigned refs;
	bool counted; /* the kernel tells numbers of descriptors */
	size_t n, room;
	struct citizen *v;
};

struct census *census_ref(struct census *c)
{
	if (c)
		atomic_fetch_add(&c->refs, 1);
	return c;
}

void census_unref(struct census *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	free(c->v);
	free(c);
}

size_t census_count(const struct census *c)
{
	return c ? c->n : 0;
}

const struct citizen *census_at(const struct census *c, size_t i)
{
	return &c->v[i];
}

const struct citizen *census_find(const struct census *c, pid_t pid)
{
	size_t lo = 0, hi = census_count(c);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->v[mid].pid == pid)
			return &c->v[mid];
		if (c->v[mid].pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* ---- taking ------------------------------------------------------------------------ */

static uint64_t time_of(pid_t pid)
{
	/* clock_getcpuclockid without the call that tries the clock. */
	clockid_t clock = (clockid_t)(~(unsigned)pid << 3 | 2);
	struct timespec t;

	if (clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* 0 where the kernel does not tell. */
static uint64_t count_descriptors(int proc, const char *pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof path, "%.16s/fd", pid);
	return fstatat(proc, path, &st, 0) ? 0 : (uint64_t)st.st_size;
}

/* Ascending, as /proc lists them; an entry out of order would not be found again. */
static bool add_citizen(struct census *c, int proc, const struct dirent *entry)
{
	pid_t pid = atoi(entry->d_name);
	struct citizen *more;
	size_t room;

	if (c->n && c->v[c->n - 1].pid >= pid)
		return false;
	if (c->n == c->room) {
		room = c->room ? 2 * c->room : 256;
		more = reallocarray(c->v, room, sizeof *more);
		if (!more)
			return false;
		c->v = more;
		c->room = room;
	}
	c->v[c->n++] = (struct citizen){.pid = pid,
		.parent = -1,
		.identity = entry->d_ino,
		.ran = time_of(pid),
		.descriptors = count_descriptors(proc, entry->d_name)};
	return true;
}

/* Whether /proc numbers processes as getpid does. It may have been mounted anew. */
static bool is_our_proc(void)
{
	char link[16] = "";

	return readlink("/proc/self", link, sizeof link - 1) > 0 &&
	       atoi(link) == getpid();
}

/* False if it is not certain that these were all. */
static bool list(struct census *c)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry = NULL;
	bool ok = dir;

	while (ok) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (isdigit((unsigned char)entry->d_name[0]))
			ok = add_citizen(c, dirfd(dir), entry);
	}
	ok = ok && !errno;
	if (dir) {
		c->counted = count_descriptors(dirfd(dir), "self") > 0;
		closedir(dir);
	}
	return ok && census_find(c, 1) && census_find(c, getpid()) && is_our_proc();
}

/* p of another census, if this has the same process. */
static const struct citizen *same(const struct census *c, const struct citizen *p)
{
	const struct citizen *found = p ? census_find(c, p->pid) : NULL;

	return found && found->identity == p->identity ? found : NULL;
}

/* The parent that `earlier` knows, if both are still there. */
static pid_t known_parent(
	const struct census *c, const struct census *earlier, const struct citizen *p)
{
	const struct citizen *was = same(earlier, p);

	if (!was || was->parent < 0)
		return -1;
	if (was->parent && !same(c, census_find(earlier, was->parent)))
		return -1;
	return was->parent;
}

static void find_parents(struct census *c, const struct census *earlier)
{
	struct stat_line s;

	for (size_t i = 0; i < c->n; i++) {
		struct citizen *p = &c->v[i];

		p->parent = known_parent(c, earlier, p);
		if (p->parent < 0 && proc_stat(p->pid, &s) == SIGHT_CLEAR)
			p->parent = s.parent;
	}
}

struct census *census_take(const struct census *earlier)
{
	struct census *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	if (!list(c)) {
		census_unref(c);
		return NULL;
	}
	find_parents(c, earlier);
	return c;
}

/* ---- comparing --------------------------------------------------------------------- */

static bool run_on(unsigned long processor)
{
	cpu_set_t one;

	if (processor >= CPU_SETSIZE)
		return false;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	return !sched_setaffinity(0, sizeof one, &one);
}

/* A list such as "0-3,8". */
static bool run_on_all(const char *p)
{
	unsigned long first, last;
	char *end;

	do {
		first = last = strtoul(p, &end, 10);
		if (end == p)
			return false;
		if (*end == '-') {
			p = end + 1;
			last = strtoul(p, &end, 10);
			if (end == p)
				return false;
		}
		for (unsigned long i = first; i <= last; i++)
			if (!run_on(i))
				return false;
		p = end + 1;
	} while (*end == ',');
	return true;
}

/* Without a cycle counter it can use, the kernel counts processor time by ticks, and a short
 * run may cost nothing. */
static bool is_counted_finely(void)
{
	struct timespec last = {}, now;

	for (int i = 0; i < 5; i++) {
		if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) ||
			(now.tv_sec == last.tv_sec && now.tv_nsec == last.tv_nsec))
			return false;
		last = now;
	}
	return true;
}

bool census_settle(void)
{
	cpu_set_t mine;
	char online[4096];
	bool ok;

	if (!is_counted_finely() || sched_getaffinity(0, sizeof mine, &mine) ||
		proc_slurp(AT_FDCWD, "/sys/devices/system/cpu/online", online,
			sizeof online) != SIGHT_CLEAR)
		return false;
	ok = run_on_all(online);
	sched_setaffinity(0, sizeof mine, &mine);
	return ok;
}

bool census_slept(const struct census *then, const struct citizen *p)
{
	const struct citizen *was = same(then, p);

	return was && then->counted && was->ran && was->ran == p->ran &&
	       was->descriptors == p->descriptors;
}
