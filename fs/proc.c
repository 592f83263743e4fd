#include "proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base.h"

#define PF_EXITING 0x4u
#define PF_KTHREAD 0x200000u

#define BIT(sig) (1ull << ((sig)-1))

/* The rest interrupts nothing: a child's end, a resized window, Go's preemption
 * (SIGURG), job control. A reply of EINTR to those would fail a healthy close, and
 * Python repeats a call for ever when it sees EINTR and no signal. */
static const uint64_t interrupting =
	BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGHUP) | BIT(SIGQUIT) | BIT(SIGKILL) |
	BIT(SIGALRM) | BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGABRT) | BIT(SIGXCPU);

struct stat_line {
	char state;
	pid_t parent;
	unsigned flags;
	unsigned threads;
	uint64_t start;
	int exit_code;
};

/* A small file below dirfd, NUL-terminated; negative errno. */
static int slurp(int dirfd, const char *path, char *buf, size_t room)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return -errno;
	while (n < room - 1) {
		ssize_t r = read(fd, buf + n, room - 1 - n);

		if (r < 0)
			return -errno;
		if (!r)
			break;
		n += r;
	}
	buf[n] = '\0';
	return 0;
}

static int slurp_of(pid_t pid, const char *name, char *buf, size_t room)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return slurp(AT_FDCWD, path, buf, room);
}

/* The text after "Name:\t" in the manner of status and fdinfo, or NULL. */
static const char *field(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, name, n) && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " \t");
	}
	return NULL;
}

/* proc(5): the name in field 2 may hold anything, the last ')' ends it. */
static bool parse_stat(const char *text, struct stat_line *ret)
{
	const char *p = strrchr(text, ')');
	struct stat_line s = {};
	char *end;

	if (!p || p[1] != ' ')
		return false;
	p += 2;
	s.state = *p;
	for (int i = 3; i <= 52; i++) {
		unsigned long long n = i == 3 ? 0 : strtoull(p, &end, 10);

		if (i == 4)
			s.parent = n;
		else if (i == 9)
			s.flags = n;
		else if (i == 20)
			s.threads = n;
		else if (i == 22)
			s.start = n;
		else if (i == 52)
			s.exit_code = n;
		p = strchr(p, ' ');
		if (!p)
			return i == 52 && (*ret = s, true);
		p++;
	}
	*ret = s;
	return true;
}

static int read_stat(pid_t pid, struct stat_line *ret)
{
	char buf[2048];
	int err = slurp_of(pid, "stat", buf, sizeof buf);

	if (err)
		return err;
	return parse_stat(buf, ret) ? 0 : -EIO;
}

bool proc_interrupted(pid_t tid)
{
	static const char *const names[] = {"SigPnd", "ShdPnd", "SigBlk"};
	uint64_t sets[3];
	char buf[4096];

	if (tid <= 0 || slurp_of(tid, "status", buf, sizeof buf))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *hex = field(buf, names[i]);

		if (!hex)
			return true;
		sets[i] = strtoull(hex, NULL, 16);
	}
	return (sets[0] | sets[1]) & ~(sets[2] & ~BIT(SIGKILL)) & interrupting;
}

bool proc_may_be_ending(pid_t tid, pid_t *ret_process)
{
	const char *tgid, *descriptors;
	char buf[4096];

	*ret_process = 0;
	if (tid <= 0 || slurp_of(tid, "status", buf, sizeof buf))
		return true;
	tgid = field(buf, "Tgid");
	descriptors = field(buf, "FDSize");
	*ret_process = tgid ? atoi(tgid) : 0;
	return !descriptors || !atoi(descriptors);
}

pid_t proc_process_of(pid_t tid)
{
	pid_t process;

	proc_may_be_ending(tid, &process);
	return process;
}

uint64_t proc_ticks(void)
{
	long hz = sysconf(_SC_CLK_TCK);
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * hz + t.tv_nsec / (1000000000 / hz);
}

/* The kernel shows exit codes to whom it lets trace: root, or all ids the same. */
static bool shows_exit_code(const char *status)
{
	uintmax_t mine[2] = {geteuid(), getegid()};
	static const char *const names[] = {"Uid", "Gid"};

	if (!mine[0])
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *ids = field(status, names[i]);
		uintmax_t real, effective, saved;

		if (!ids || sscanf(ids, "%ju %ju %ju", &real, &effective, &saved) != 3)
			return false;
		if (real != mine[i] || effective != mine[i] || saved != mine[i])
			return false;
	}
	return true;
}

enum proc_end proc_ending(pid_t tid, int *ret_code)
{
	struct stat_line s;
	char status[4096];

	if (tid <= 0 || read_stat(tid, &s))
		return END_UNKNOWN;
	if (!(s.flags & PF_EXITING))
		return END_NOT;
	if (slurp_of(tid, "status", status, sizeof status) || !shows_exit_code(status))
		return END_UNKNOWN;
	if (s.exit_code & 0x7f) {
		*ret_code = s.exit_code & 0x7f;
		return END_KILLED;
	}
	*ret_code = s.exit_code >> 8 & 0xff;
	return *ret_code ? END_FAILED : END_CLEAN;
}

/* What a descriptor of a process says of ino. */
enum { HOLDS_NOT, HOLDS, HOLDS_MAIL };

/* Descriptors that were sent and not yet received: nobody's table has them (Linux
 * 5.11 counts them). */
static bool has_mail(int dirfd, const char *name)
{
	char path[300], info[1024];
	const char *text;

	snprintf(path, sizeof path, "../fdinfo/%s", name);
	if (slurp(dirfd, path, info, sizeof info))
		return false;
	text = field(info, "scm_fds");
	return text && strtoull(text, NULL, 10);
}

/* Descriptor `name` of the process whose /proc/PID/fd is dirfd: a writable one of
 * ino, or a socket with mail? Most are sockets and devices: their link alone tells. */
static int is_holding(int dirfd, const char *name, uint64_t ino)
{
	char link[8], path[300], info[1024];
	ssize_t n = readlinkat(dirfd, name, link, sizeof link);
	const char *text;

	if (n == sizeof link && !memcmp(link, "socket:[", sizeof link))
		return has_mail(dirfd, name) ? HOLDS_MAIL : HOLDS_NOT;
	if (n < 1 || link[0] != '/' || (n >= 5 && !memcmp(link, "/dev/", 5)))
		return HOLDS_NOT;
	snprintf(path, sizeof path, "../fdinfo/%s", name);
	if (slurp(dirfd, path, info, sizeof info))
		return HOLDS_NOT;
	text = field(info, "ino");
	if (!text || strtoull(text, NULL, 10) != ino)
		return HOLDS_NOT;
	text = field(info, "flags");
	if (!text || (strtoull(text, NULL, 8) & O_ACCMODE) == O_RDONLY)
		return HOLDS_NOT;
	return HOLDS;
}

/* HOLDS…, or -ENOENT it has gone or shows no descriptor at all, other errno: it
 * cannot be looked into. */
static int holds(const char *fd_path, uint64_t ino)
{
	DIR *dir = opendir(fd_path);
	struct dirent *entry;
	int found = -ENOENT;

	if (!dir)
		return errno == ESRCH ? -ENOENT : -errno;
	while (found != HOLDS && (entry = readdir(dir))) {
		int one;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		one = is_holding(dirfd(dir), entry->d_name, ino);
		if (found < HOLDS || one == HOLDS)
			found = one;
	}
	closedir(dir);
	return found;
}

/* A process whose first thread has ended shows its descriptors in the others. */
static int holds_in_threads(pid_t pid, uint64_t ino)
{
	char path[80];
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	while (!found && (entry = readdir(dir))) {
		struct stat_line s;
		pid_t tid = atoi(entry->d_name);

		if (!isdigit((unsigned char)entry->d_name[0]) || read_stat(tid, &s) ||
			s.flags & PF_EXITING)
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%d/fd", (int)pid, (int)tid);
		found = holds(path, ino);
		if (found == -ENOENT)
			found = 0;
	}
	closedir(dir);
	return found;
}

/* ---- who may have inherited it -----------------------------------------------------
 */

/* A number for the control group a process is in; 0 when it cannot be told. */
static uint64_t cgroup_of(pid_t pid)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	char buf[4096];

	if (slurp_of(pid, "cgroup", buf, sizeof buf))
		return 0;
	for (const char *p = buf; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
	return hash;
}

void proc_origin(pid_t tid, struct proc_origin *ret)
{
	struct proc_origin o = {.process = proc_process_of(tid)};
	struct stat_line s;
	pid_t pid = o.process;

	for (size_t i = 0; pid && i < ARRAY_SIZE(o.kin) && !read_stat(pid, &s); i++)
		pid = o.kin[i] = s.parent;
	if (o.process)
		o.cgroup = cgroup_of(o.process);
	*ret = o;
}

static bool is_opener(const struct proc_question *q, pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(q->origins); i++)
		if (q->origins[i].process == pid)
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
	uint64_t cgroup = cgroup_of(pid);

	for (size_t i = 0; i < ARRAY_SIZE(q->origins); i++) {
		const struct proc_origin *o = &q->origins[i];

		if (!o->process || (ancestor > 1 && !is_kin(o, ancestor)))
			continue;
		if (!cgroup || !o->cgroup || cgroup == o->cgroup)
			return true;
	}
	return false;
}

/* Whether a process that cannot be looked into may hold the file all the same. */
static bool may_hold(
	const struct proc_question *q, pid_t pid, const struct stat_line *s)
{
	struct stat_line up = *s;
	pid_t ancestor = pid;

	if (s->flags & PF_KTHREAD)
		return false;
	if (pid == q->closer || is_opener(q, pid))
		return true;
	if (s->start < q->since)
		return false;
	/* Up to the first that is older than the open file. */
	for (int i = 0; i < 64 && ancestor > 1 && up.start >= q->since; i++) {
		ancestor = up.parent;
		if (ancestor && is_opener(q, ancestor))
			return true;
		if (ancestor > 1 && read_stat(ancestor, &up))
			return true;
	}
	return may_be_adopted(q, pid, ancestor);
}

/* ---- the look
 * ------------------------------------------------------------------------ */

/* Whether a process may be handed the file in a socket: the closer, an opener, its
 * parent, and whoever descends from that. Others' mail says nothing. */
static bool may_receive(const struct proc_question *q, pid_t pid)
{
	struct stat_line s;

	if (pid == q->closer)
		return true;
	for (int depth = 0; depth < 16 && pid > 1; depth++) {
		for (size_t i = 0; i < ARRAY_SIZE(q->origins); i++)
			if (q->origins[i].process == pid || q->origins[i].kin[0] == pid)
				return true;
		if (read_stat(pid, &s))
			return false;
		pid = s.parent;
	}
	return false;
}

static enum proc_holder meaning(const struct proc_question *q, pid_t pid, int found)
{
	if (found == HOLDS_MAIL)
		return may_receive(q, pid) ? HOLDER_FLYING : HOLDER_NONE;
	return found == HOLDS ? HOLDER_SOME : HOLDER_NONE;
}

static enum proc_holder ask_once(
	const struct proc_question *q, pid_t pid, bool *ret_leaving)
{
	struct stat_line s;
	char path[32];
	int found;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	found = holds(path, q->ino);
	if (found >= 0)
		return meaning(q, pid, found);
	if (read_stat(pid, &s))
		return HOLDER_NONE; /* it has gone */
	if (s.flags & PF_EXITING || found == -ENOENT) {
		*ret_leaving = found != -ENOENT && s.state != 'Z' && s.state != 'X';
		if (s.threads <= 1)
			return HOLDER_NONE;
		/* only its first thread, perhaps */
		found = holds_in_threads(pid, q->ino);
		if (found >= 0)
			return meaning(q, pid, found);
	}
	return may_hold(q, pid, &s) ? HOLDER_UNKNOWN : HOLDER_NONE;
}

/* A process that is exiting cannot be looked into for an instant, before its files
 * are closed, which may tell that it was killed. It is waited for, but not for long,
 * as it may hang in the close of another file; it writes no more in any case. */
static enum proc_holder ask(const struct proc_question *q, pid_t pid)
{
	enum proc_holder found = HOLDER_NONE;
	bool leaving = true;

	for (int i = 0; i < 20 && leaving; i++) {
		if (i)
			usleep(1000);
		leaving = false;
		found = ask_once(q, pid, &leaving);
	}
	return found;
}

enum proc_holder proc_find_holder(const struct proc_question *q)
{
	enum proc_holder sum = HOLDER_NONE;
	pid_t self = getpid();
	struct dirent *entry;
	DIR *dir;

	/* A shell that keeps the file open is found without the long way round. */
	if (q->closer && ask(q, q->closer) == HOLDER_SOME)
		return HOLDER_SOME;
	for (size_t i = 0; i < ARRAY_SIZE(q->origins); i++)
		if (q->origins[i].process &&
			ask(q, q->origins[i].process) == HOLDER_SOME)
			return HOLDER_SOME;
	dir = opendir("/proc");
	if (!dir)
		return HOLDER_UNKNOWN;
	while (sum != HOLDER_SOME && (entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);
		enum proc_holder one;

		if (!isdigit((unsigned char)entry->d_name[0]) || pid == self)
			continue;
		one = ask(q, pid);
		if (one > sum)
			sum = one;
	}
	closedir(dir);
	return sum;
}

/* Own descriptors must be seen, with inode numbers (Linux 5.14), and process 1 not
 * be hidden: else the scan would find nobody and mistake that for nobody there. */
bool proc_usable(void)
{
	_cleanup_close_ int fd = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	struct stat_line s;
	char path[32], info[1024];
	const char *ino;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || read_stat(1, &s) || read_stat(getpid(), &s))
		return false;
	snprintf(path, sizeof path, "fdinfo/%d", fd);
	if (slurp_of(getpid(), path, info, sizeof info))
		return false;
	ino = field(info, "ino");
	return ino && strtoull(ino, NULL, 10) == st.st_ino;
}
