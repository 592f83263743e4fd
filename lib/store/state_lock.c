#include "store/state_lock.h"
#include "base/test_point.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

enum { TEXT_MAX = 4096, TRIES = 20, PAUSE_US = 100000 };

/* The text: "HOST pid N PATH". */
struct holder {
	char host[128];
	int pid;
	char path[TEXT_MAX];
};

static bool holder_parse(const char *text, struct holder *ret)
{
	struct holder h = {{0}};

	if (sscanf(text, "%127s pid %d %4095[^\n]", h.host, &h.pid, h.path) < 2 ||
		h.pid < 1)
		return false;
	*ret = h;
	return true;
}

static void own_host(char host[128])
{
	memset(host, 0, 128);
	if (gethostname(host, 127) < 0 || !*host)
		strcpy(host, "?");
}

/* ---- what is said of who has it --------------------------------------------------- */

/* A field of mountinfo, whose blanks are written \040. */
static void unescape_mount(char *text)
{
	char *to = text;

	for (const char *p = text; *p; to++) {
		unsigned c;

		if (*p == '\\' && sscanf(p + 1, "%3o", &c) == 1) {
			*to = (char)c;
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
}

/* Whether something is mounted there, as seen from here. */
static bool is_mounted(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (!f)
		return true; /* nobody can tell: the usual advice */
	while (getline(&line, &size, f) > 0) {
		char at[TEXT_MAX];

		if (sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1)
			continue;
		unescape_mount(at);
		if (strcmp(at, path) == 0)
			return true;
	}
	return false;
}

/* Who holds the lock according to the kernel here, whatever namespace the text was
 * written in; 0: nobody that can be seen. */
static int pid_of_locker(int fd)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/locks", "re");
	_cleanup_free_ char *line = NULL;
	unsigned long long ino;
	unsigned major_no, minor_no;
	size_t size = 0;
	struct stat st;
	int pid;

	if (!f || fstat(fd, &st) < 0)
		return 0;
	while (getline(&line, &size, f) > 0)
		if (sscanf(line, "%*s FLOCK %*s %*s %d %x:%x:%llu", &pid, &major_no,
			    &minor_no, &ino) == 4 && ino == st.st_ino && pid > 0 &&
			makedev(major_no, minor_no) == st.st_dev)
			return pid;
	return 0;
}

/* Malloc'ed, or NULL without memory. */
static char *say_busy(const char *dir, const char *text, int fd)
{
	static const char other[] = "choose another account= or state_dir=";
	struct holder h;
	char host[128];

	own_host(host);
	if (!holder_parse(text, &h))
		return util_format(
			"%s is in use by another process (unmount it, or %s)", dir,
			other);
	if (strcmp(h.host, host) != 0)
		return util_format(
			"%s is in use by pid %d on %s, %s (unmount it there, or %s)",
			dir, h.pid, h.host, h.path, other);
	int pid = pid_of_locker(fd);
	if (!pid)
		return util_format("%s is in use by %s pid %d %s, a process that "
				   "cannot be seen from here, perhaps in another "
				   "container (unmount it there, or %s)",
			dir, h.host, h.pid, h.path, other);
	if (*h.path && !is_mounted(h.path))
		return util_format(
			"%s is in use by %s pid %d, which is alive, while nothing is "
			"mounted on %s as seen from here: another mount namespace (a "
			"container, unshare) may hold that mount (to end it: kill %d; "
			"or %s)",
			dir, h.host, pid, h.path, pid, other);
	return util_format("%s is in use by %s pid %d %s (unmount it, or %s)", dir,
		h.host, pid, h.path, other);
}

static char *read_text(int state)
{
	char *text = NULL;

	if (util_read_file(state, "lock", TEXT_MAX, &text, NULL) < 0)
		return NULL;
	return text;
}

/* ---- locks ------------------------------------------------------------------------- */

/* The file, and the directory itself, which cannot be removed and made again as the
 * file can. Some filesystems cannot lock directories. */
static int lock_all(int fd, int state)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	if (flock(state, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return -EAGAIN;
	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	/* A kernel or filesystem that does not know them leaves the first alone. */
	return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ? 0
	       : errno == EACCES					  ? -EAGAIN
									  : -errno;
}

/* A mount that has just been unmounted may need a moment. */
static int lock_patiently(int fd, int state)
{
	int err = lock_all(fd, state);

	for (int tries = 0; err == -EAGAIN && tries < TRIES; tries++) {
		usleep(PAUSE_US);
		err = lock_all(fd, state);
	}
	return err;
}

/* Where the locks of another machine may not be ours to see. */
static bool is_remote(int fd)
{
	static const unsigned remote[] = {0x6969 /* NFS */, 0x517b /* SMB */,
		0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */, 0x65735546 /* FUSE */,
		0x01021997 /* 9p */, 0x5346414f /* AFS */, 0x0bd00bd0 /* Lustre */,
		0x00c36400 /* Ceph */};
	struct statfs fs;

	if (test_seconds("BATCHFS_TEST_REMOTE_STATE", 0) > 0)
		return true;
	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(remote); i++)
		if ((unsigned)fs.f_type == remote[i])
			return true;
	return false;
}

/* On a network filesystem: whether another machine says that it is there. */
static int believe_text(int state, const char *dir, char **ret_why)
{
	_cleanup_free_ char *text = read_text(state);
	struct holder h;
	char host[128];

	own_host(host);
	if (!text || !holder_parse(text, &h) || strcmp(h.host, host) == 0)
		return 0;
	*ret_why =
		util_format("%s is on a network filesystem, where other machines may "
			    "not see locks, and is in use by pid %d on %s, %s (unmount "
			    "it there; if it does not run any more: rm %s/lock)",
			dir, h.pid, h.host, h.path, dir);
	return -EBUSY;
}

static int write_holder(int fd, const char *text)
{
	if (ftruncate(fd, 0) < 0)
		return -errno;
	int err = util_pwrite_all(fd, text, strlen(text), 0);

	return !err && fsync(fd) < 0 ? -errno : err;
}

/* Of two that came at the same time the one that wrote last holds the lock. */
static int lock_look_again(
	int fd, int state, const char *dir, const char *mine, char **ret_why)
{
	usleep((useconds_t)(test_seconds("BATCHFS_TEST_REMOTE_STATE", 2) * 1e6));
	_cleanup_free_ char *text = read_text(state);

	if (text && strcmp(text, mine) == 0)
		return 0;
	*ret_why = say_busy(dir, text ? text : "", fd);
	return -EBUSY;
}

int state_lock_take(
	int state, const char *path, const char *holder, int *ret, char **ret_why)
{
	_cleanup_close_ int fd =
		openat(state, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	_cleanup_free_ char *text = NULL;
	char host[128];
	int err = fd < 0 ? -errno : lock_patiently(fd, state);
	bool remote = !err && is_remote(fd);

	if (err == -EAGAIN) {
		text = read_text(state);
		*ret_why = say_busy(path, text ? text : "", fd);
		return -EBUSY;
	}
	if (err) {
		*ret_why = util_format("%s/lock cannot be locked: %s", path, strerror(-err));
		return err;
	}
	if (remote && (err = believe_text(state, path, ret_why)))
		return err;
	own_host(host);
	text = util_format("%s pid %d %s\n", host, (int)getpid(), holder ? holder : "");
	if (!text)
		return -ENOMEM;
	err = write_holder(fd, text);
	/* On a local filesystem the text is only for people, so a full disk does not
	 * matter. */
	if (!err && remote)
		err = lock_look_again(fd, state, path, text, ret_why);
	if (err && (remote || (err != -ENOSPC && err != -EDQUOT)))
		return err;
	*ret = steal_fd(&fd);
	return 0;
}

/* Taken for a moment, which others try through. */
static int lock_is_free(int state)
{
	_cleanup_close_ int fd =
		openat(state, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? 1 : -errno;
	int err = lock_all(fd, state);
	if (!err)
		flock(state, LOCK_UN);
	return err == -EAGAIN || err == -EWOULDBLOCK ? 0 : err ? err : 1;
}

/* Its text; a holder that comes or goes has the lock for a moment without. 1: it is free. */
static int read_holder(int state, struct holder *ret)
{
	int is_free;

	for (int tries = 0; !(is_free = lock_is_free(state)); tries++) {
		_cleanup_free_ char *text = read_text(state);

		if (text && holder_parse(text, ret))
			return 0;
		if (tries == TRIES)
			return -EREMOTE;
		usleep(PAUSE_US);
	}
	return is_free;
}

int state_lock_look(int state, char **ret_holder)
{
	struct holder h;
	char host[128];
	int err = read_holder(state, &h);

	if (err)
		return err > 0 ? 0 : err;
	own_host(host);
	if (strcmp(h.host, host) != 0)
		return -EREMOTE;
	*ret_holder = strdup(h.path);
	return *ret_holder ? -EBUSY : -ENOMEM;
}

void state_lock_release(int fd)
{
	if (fd < 0)
		return;
	/* Before the lock goes: from then on the text may be another's. */
	DROP(ftruncate(fd, 0)); /* it names the last holder; on this host that does not
	                           matter */
	close(fd);
}
