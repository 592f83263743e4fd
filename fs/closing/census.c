/*
 * Who has run?
 *
 * A process gets a descriptor of an open file in these ways only: it opens the file,
 * which FUSE reports; it is forked by a holder, and is then younger than the file's
 * first open; or somebody who shares its table takes it, from a socket, with
 * pidfd_getfd, or however: for that one of these must run. So who was there before the
 * file was first opened, and has not run since, nor anybody it may share its table
 * with, has none. (In the queue of one of its sockets there may be one: who may have
 * been sent one is always looked at, holders.c.)
 *
 * Whether a process has run is told by its processor time, which the kernel counts
 * in nanoseconds, over all its threads and those that have ended, and tells
 * everybody (clock_getcpuclockid(3)). It is brought up to date at every switch away
 * from a thread. So only a thread that is on a processor at this moment may have run
 * unaccounted. census_settle makes the kernel switch away from it: it runs on every
 * processor once. If the time afterwards is what it was in the earlier census, no
 * thread of the process was on a processor at any time in between: it would have
 * been switched away from since, and its time counted. A processor that we may not
 * use (cpusets) cannot be settled, nor can those be that a container does not show us
 * (lxcfs); then nobody is left out.
 *
 * In a virtual machine the kernel subtracts the time that the host has taken. What it
 * could not subtract at once it subtracts later, so that a clock can stand still: each
 * processor's must be seen to move.
 *
 * Two processes can share one table without being threads of one (clone(2),
 * CLONE_FILES), and not any more when we look: one takes a descriptor and ends, or
 * begins another program, and the other has it while it sleeps. execve ends the
 * sharing, so at the earlier census both were in the same program, since the same
 * execve: their stacks began at the same address, which is random. So a process is left
 * out only if all of its program have slept. Who has come since was made by one that
 * ran.
 *
 * The address is read again if the process may have run since it was read. A process
 * that has not been switched away from since its last execve may show the time from
 * before; so times are read again after census_settle.
 *
 * Numbers of processes are used again; the identity is the inode number of /proc/PID.
 * The kernel counts it up, and keeps it while the process lives and the entry is in
 * memory. If the entry is dropped and made anew, the number is another and the process
 * is looked at.
 *
 * Parents are read once: the parent of a process changes only when that parent ends.
 */
#include "closing/census.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#include "closing/proc_private.h"
#include "util/util.h"

struct census {
	_Atomic unsigned refs;
	bool comparable; /* the times were read after census_settle; programs are right */
	size_t n, room;
	struct citizen *v;
};

static _Atomic unsigned alive;

unsigned census_alive(void)
{
	return alive;
}

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
	alive--;
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

/* ---- taking ---------------------------------------------------------------------- */

static uint64_t time_of(pid_t pid)
{
	/* clock_getcpuclockid without the call that tries the clock. */
	clockid_t clock = (clockid_t)(~(unsigned)pid << 3 | 2);
	struct timespec t;

	if (clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Ascending, as /proc lists them; an entry out of order would not be found again. */
static bool add_citizen(struct census *c, const struct dirent *entry)
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
		.ran = time_of(pid)};
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
			ok = add_citizen(c, entry);
	}
	ok = ok && !errno;
	if (dir)
		closedir(dir);
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

/* What `earlier` knows of p, if that cannot have changed. */
static bool recall(
	const struct census *c, const struct census *earlier, struct citizen *p)
{
	const struct citizen *was = same(earlier, p);

	if (c->comparable && (!earlier || !earlier->comparable || !was ||
				     was->ran != p->ran || time_of(p->pid) != p->ran))
		return false;
	p->parent = known_parent(c, earlier, p);
	if (p->parent >= 0)
		p->program = was->program;
	return p->parent >= 0;
}

static void learn(struct citizen *p)
{
	struct stat_line s;

	switch (proc_stat(p->pid, &s)) {
	case SIGHT_CLEAR:
		p->parent = s.parent;
		p->program = s.program;
		break;
	case SIGHT_GONE:
		p->parent = 0;
		break;
	default:
		break;
	}
}

struct census *census_take(const struct census *earlier, bool comparable)
{
	struct census *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	alive++;
	if (!list(c)) {
		census_unref(c);
		return NULL;
	}
	c->comparable = comparable && census_settle();
	for (size_t i = 0; i < c->n; i++)
		if (!recall(c, earlier, &c->v[i]))
			learn(&c->v[i]);
	return c;
}

#define PAUSE 0.5 /* seconds in which another is not worth its time */
#define SHARE 20  /* times what the last one cost, until the next */

bool census_is_due(double now, double at, double cost)
{
	double pause = SHARE * cost > PAUSE ? SHARE * cost : PAUSE;

	return !at || now >= at + pause;
}

/* ---- comparing ------------------------------------------------------------------- */

/* Busy processors let us wait, each some milliseconds: then it takes less time to look
 * at everybody. */
#define SETTLE_S 0.1
/* One that a realtime process has for itself lets us wait for as long as that likes.
 * Not all threads that look must end there. */
#define SETTLE_MAX 2

/* Without a cycle counter it can use, the kernel counts processor time by ticks, and a
 * short run may cost nothing. The same if it has still to subtract what the host
 * took. */
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

static bool run_on(unsigned long processor)
{
	cpu_set_t one;

	if (processor >= CPU_SETSIZE)
		return false;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	return !sched_setaffinity(0, sizeof one, &one) && is_counted_finely();
}

/* A list such as "0-3,8". */
static bool run_on_all(const char *p)
{
	double deadline = seconds_now() + SETTLE_S;
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
			if (!run_on(i) || seconds_now() > deadline)
				return false;
		p = end + 1;
	} while (*end == ',');
	return true;
}

/* From the kernel itself. */
static enum sight slurp_sysfs(const char *path, char *buf, size_t room)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs))
		return sight_of(errno);
	return fs.f_type == SYSFS_MAGIC ? proc_slurp(AT_FDCWD, path, buf, room)
					: SIGHT_HIDDEN;
}

bool census_settle(void)
{
	static _Atomic unsigned settling;
	cpu_set_t mine;
	char online[4096];
	bool ok;

	if (sched_getaffinity(0, sizeof mine, &mine) ||
		slurp_sysfs("/sys/devices/system/cpu/online", online, sizeof online) !=
			SIGHT_CLEAR)
		return false;
	ok = atomic_fetch_add(&settling, 1) < SETTLE_MAX && run_on_all(online);
	atomic_fetch_sub(&settling, 1);
	sched_setaffinity(0, sizeof mine, &mine);
	return ok;
}

struct census_change {
	const struct census *then;
	size_t n;
	uint64_t awake[]; /* programs of those that have run or ended, ascending */
};

static bool slept(const struct census *then, const struct citizen *p)
{
	const struct citizen *was = same(then, p);

	return was && was->ran && was->ran == p->ran;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

struct census_change *census_compare(
	const struct census *then, const struct census *now)
{
	struct census_change *x;

	if (!then || !then->comparable)
		return NULL;
	x = malloc(sizeof *x + then->n * sizeof *x->awake);
	if (!x)
		return NULL;
	x->then = then;
	x->n = 0;
	for (size_t i = 0; i < then->n; i++) {
		const struct citizen *was = &then->v[i], *is = same(now, was);

		if (is && slept(then, is))
			continue;
		if (was->parent < 0) { /* it may be of any program */
			free(x);
			return NULL;
		}
		if (was->program)
			x->awake[x->n++] = was->program;
	}
	qsort(x->awake, x->n, sizeof *x->awake, by_number);
	return x;
}

bool census_slept(const struct census_change *x, const struct citizen *p)
{
	const struct citizen *was = same(x->then, p);

	return was && was->parent >= 0 && slept(x->then, p) &&
	       !bsearch(&was->program, x->awake, x->n, sizeof *x->awake, by_number);
}
