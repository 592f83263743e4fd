#include "closing/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "util/util.h"
#include "closing/proc_private.h"

#define BIT(sig) (1ull << ((sig)-1))

/* The rest interrupts nothing: a child's end, a resized window, Go's preemption
 * (SIGURG), job control. A reply of EINTR to those would fail a healthy close, and
 * Python repeats a call for ever when it sees EINTR and no signal. */
static const uint64_t interrupting =
	BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGHUP) | BIT(SIGQUIT) | BIT(SIGKILL) |
	BIT(SIGALRM) | BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGABRT) | BIT(SIGXCPU);

enum sight sight_of(int err)
{
	switch (err) {
	case ENOENT:
	case ESRCH:
		return SIGHT_GONE;
	case EACCES:
	case EPERM:
		return SIGHT_HIDDEN;
	default:
		return SIGHT_DIM;
	}
}

enum sight proc_slurp(int dirfd, const char *path, char *buf, size_t room)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return sight_of(errno);
	/* These files are made as they are read, whole. */
	n = read(fd, buf, room - 1);
	if (n < 0)
		return sight_of(errno);
	buf[n] = '\0';
	return SIGHT_CLEAR;
}

enum sight proc_slurp_of(pid_t pid, const char *name, char *buf, size_t room)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return proc_slurp(AT_FDCWD, path, buf, room);
}

const char *proc_field(const char *text, const char *name)
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
		else if (i == 28)
			s.program = n; /* where its stack begins: random */
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

bool proc_in_exec(pid_t pid)
{
	unsigned long long size, text;
	char buf[256];

	if (proc_slurp_of(pid, "statm", buf, sizeof buf) != SIGHT_CLEAR ||
		sscanf(buf, "%llu %*u %*u %llu", &size, &text) != 2)
		return true;
	/* No memory at all: a thread of the kernel, or one that is ending. */
	return size && !text;
}

/* stat without asking first. */
static enum sight stat_of(pid_t pid, struct stat_line *ret)
{
	char buf[2048];
	enum sight sight = proc_slurp_of(pid, "stat", buf, sizeof buf);

	if (sight == SIGHT_CLEAR && !parse_stat(buf, ret))
		return SIGHT_DIM;
	return sight;
}

enum sight proc_stat(pid_t pid, struct stat_line *ret)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	if (proc_in_exec(pid))
		return access(path, F_OK) ? sight_of(errno) : SIGHT_DIM;
	return stat_of(pid, ret);
}

bool proc_interrupted(pid_t tid)
{
	static const char *const names[] = {"SigPnd", "ShdPnd", "SigBlk"};
	uint64_t sets[3];
	char buf[8192];

	if (tid <= 0 || proc_slurp_of(tid, "status", buf, sizeof buf) != SIGHT_CLEAR)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *hex = proc_field(buf, names[i]);

		if (!hex)
			return true;
		sets[i] = strtoull(hex, NULL, 16);
	}
	return (sets[0] | sets[1]) & ~(sets[2] & ~BIT(SIGKILL)) & interrupting;
}

pid_t proc_process_of(pid_t tid)
{
	const char *tgid;
	char buf[8192];

	if (tid <= 0 || proc_slurp_of(tid, "status", buf, sizeof buf) != SIGHT_CLEAR)
		return 0;
	tgid = proc_field(buf, "Tgid");
	return tgid ? atoi(tgid) : 0;
}

uint64_t proc_ticks(void)
{
	long hz = sysconf(_SC_CLK_TCK);
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * hz + t.tv_nsec / (1000000000 / hz);
}

/* ---- who closes ------------------------------------------------------------------ */

/* The kernel shows exit codes to those who may trace the process: root, or a process
 * with all ids equal. */
static bool shows_exit_code(const char *status)
{
	uintmax_t mine[2] = {geteuid(), getegid()};
	static const char *const names[] = {"Uid", "Gid"};

	if (!mine[0])
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *ids = proc_field(status, names[i]);
		uintmax_t real, effective, saved;

		if (!ids || sscanf(ids, "%ju %ju %ju", &real, &effective, &saved) != 3)
			return false;
		if (real != mine[i] || effective != mine[i] || saved != mine[i])
			return false;
	}
	return true;
}

static enum proc_end ending(pid_t tid, const char *status, int *ret_code)
{
	struct stat_line s;

	if (stat_of(tid, &s) != SIGHT_CLEAR)
		return END_UNKNOWN;
	if (!(s.flags & PF_EXITING))
		return END_NOT;
	if (!shows_exit_code(status))
		return END_UNKNOWN;
	if (s.exit_code & 0x7f) {
		*ret_code = s.exit_code & 0x7f;
		return END_KILLED;
	}
	*ret_code = s.exit_code >> 8 & 0xff;
	return *ret_code ? END_FAILED : END_CLEAN;
}

/* Whether status is that of a process which has memory and no program in it. */
static bool lacks_program(const char *status)
{
	const char *size = proc_field(status, "VmSize");
	const char *text = proc_field(status, "VmExe");

	return size && text && !atoi(text);
}

/* Its `status` first, which everybody may read. A thread that waits for us does not
 * enter execve meanwhile, so its stat can be read if it is not inside execve. */
void proc_closer(pid_t tid, struct proc_closer *ret)
{
	struct proc_closer c = {.end = END_UNKNOWN};
	const char *tgid;
	char status[8192];

	if (tid > 0 &&
		proc_slurp_of(tid, "status", status, sizeof status) == SIGHT_CLEAR) {
		tgid = proc_field(status, "Tgid");
		c.process = tgid ? atoi(tgid) : 0;
		c.in_exec = lacks_program(status);
		if (!c.in_exec)
			c.end = ending(tid, status, &c.code);
	}
	*ret = c;
}

/* ---- where a file comes from ------------------------------------------------------- */

uint64_t proc_cgroup(pid_t pid)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	char buf[4096];

	if (proc_slurp_of(pid, "cgroup", buf, sizeof buf) != SIGHT_CLEAR)
		return 0;
	for (const char *p = buf; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
	return hash;
}

/* The numbers Tgid and PPid of thread or process pid. */
static bool relatives(pid_t pid, pid_t *ret_process, pid_t *ret_parent)
{
	const char *tgid, *parent;
	char buf[8192];

	if (pid <= 0 || proc_slurp_of(pid, "status", buf, sizeof buf) != SIGHT_CLEAR)
		return false;
	tgid = proc_field(buf, "Tgid");
	parent = proc_field(buf, "PPid");
	if (!tgid || !parent)
		return false;
	*ret_process = atoi(tgid);
	*ret_parent = atoi(parent);
	return true;
}

/* Whether pid is still the process that had this number at the time `then`. */
static bool is_same_since(pid_t pid, uint64_t then)
{
	enum sight sight = SIGHT_DIM;
	struct stat_line s;

	/* A shell's child opens the file, and calls execve next. */
	for (int i = 0; i < 20 && sight == SIGHT_DIM; i++) {
		if (i)
			usleep(1000);
		sight = proc_stat(pid, &s);
	}
	return sight == SIGHT_CLEAR && s.start <= then;
}

void proc_origin(pid_t tid, uint64_t since, struct proc_origin *ret)
{
	struct proc_origin o = {};
	pid_t process, parent;

	o.unknown = !relatives(tid, &process, &parent);
	if (!o.unknown) {
		o.process = process;
		o.kin[0] = parent;
		o.cgroup = proc_cgroup(process);
	}
	for (size_t i = 1; !o.unknown && parent > 1 && i < ARRAY_SIZE(o.kin); i++) {
		if (!relatives(parent, &process, &parent))
			break;
		o.kin[i] = parent;
	}
	o.unknown = o.unknown || !is_same_since(o.process, since);
	*ret = o;
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

	if (fd < 0 || fstat(fd, &st) < 0 || stat_of(1, &s) != SIGHT_CLEAR ||
		stat_of(getpid(), &s) != SIGHT_CLEAR)
		return false;
	snprintf(path, sizeof path, "fdinfo/%d", fd);
	if (proc_slurp_of(getpid(), path, info, sizeof info) != SIGHT_CLEAR)
		return false;
	ino = proc_field(info, "ino");
	return ino && strtoull(ino, NULL, 10) == st.st_ino;
}
