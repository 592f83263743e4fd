#include "start/paths.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "util/home.h"
#include "util/util.h"
#include "util/log.h"

char *paths_key_file(const char *account)
{
	_cleanup_free_ char *name = format("%s.key", account);

	return name ? home_path("XDG_CONFIG_HOME", ".config", name) : NULL;
}

char *paths_prices(void)
{
	return home_path("XDG_CONFIG_HOME", ".config", "prices.tsv");
}

/* ACCOUNT@HOST[:PORT] of a URL; the path is left out. There is no user in it. */
static char *account_at(const char *account, const char *source)
{
	const char *start = strstr(source, "://");
	const char *end;
	char *name;

	start = start ? start + 3 : source;
	end = start + strcspn(start, "/?#");
	name = format("%s@%.*s", account, (int)(end - start), start);
	for (char *p = name ? name + strlen(account) : NULL; p && *p; p++)
		*p = tolower((unsigned char)*p);
	return name;
}

char *paths_state_dir(const char *account, const char *source)
{
	_cleanup_free_ char *name = account_at(account, source);

	return name ? home_path("XDG_STATE_HOME", ".local/state", name) : NULL;
}

char *paths_cache_dir(const char *account, const char *source)
{
	_cleanup_free_ char *name = account_at(account, source);

	return name ? home_path("XDG_CACHE_HOME", ".cache", name) : NULL;
}

static int no(int err, const char *fmt, ...) _printf_(2, 3);
static int no(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vline(LOG_ERR, fmt, ap);
	va_end(ap);
	return err;
}

/* Why the mountpoint cannot even be looked at. */
static int explain_unreachable(const char *path, int err)
{
	switch (err) {
	case ENOENT:
		return no(-err, "%s does not exist: mkdir it first", path);
	case ENOTCONN:
		return no(-err,
			"%s is a dead mount: the program behind it has ended. Unmount "
			"it first: fusermount3 -u %s",
			path, path);
	default:
		return no(-err, "%s: %s", path, strerror(err));
	}
}

static bool is_empty_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool empty = true;

	if (!dir)
		return true; /* the mount will tell */
	while (empty && (entry = readdir(dir)))
		empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	closedir(dir);
	return empty;
}

/* Blanks and backslashes are written as \\ooo there. */
static void decode_octal(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		unsigned c;

		if (*p == '\\' && sscanf(p + 1, "%3o", &c) == 1 && c) {
			*to++ = (char)c;
			p += 3;
		} else
			*to++ = *p;
	}
	*to = '\0';
}

/* A line of mountinfo: fields 3, 5 and, after " - ", the type. */
struct mount_line {
	unsigned minor;
	char point[PATH_MAX];
};

/* The next batchfs that is mounted. */
static bool next_batchfs(FILE *f, struct mount_line *ret)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		const char *type = strstr(line, " - ");

		if (!type || strncmp(type + 3, "fuse.batchfs ", 13) != 0 ||
			sscanf(line, "%*s %*s %*u:%u %*s %4095s", &ret->minor,
				ret->point) != 2)
			continue;
		decode_octal(ret->point);
		return true;
	}
	return false;
}

static bool is_batchfs(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mount_line line;

	while (next_batchfs(f, &line))
		if (!strcmp(line.point, path))
			return true;
	return false;
}

int paths_passed_fd(const char *mountpoint)
{
	int fd, n = 0;

	if (sscanf(mountpoint, "/dev/fd/%9d%n", &fd, &n) != 1 || mountpoint[n])
		return -1;
	return fd;
}

/* Which connection a descriptor of /dev/fuse is: the minor number of the mount's device.
 * 0: older kernels do not tell. */
static unsigned connection_of(int fd)
{
	_cleanup_free_ char *path = format("/proc/self/fdinfo/%d", fd);
	_cleanup_fclose_ FILE *f = path ? fopen(path, "re") : NULL;
	char line[256];
	unsigned n = 0;

	while (f && !n && fgets(line, sizeof line, f))
		if (sscanf(line, "fuse_connection: %u", &n) != 1)
			n = 0;
	return n;
}

/* Where fd, which has just been mounted, is: the newest batchfs where the kernel does
 * not say more. */
static int find_passed(int fd, char **ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	unsigned connection = connection_of(fd);
	struct mount_line line, found = {};
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return no(-EBADF, "/dev/fd/%d is no descriptor of /dev/fuse", fd);
	while (next_batchfs(f, &line))
		if (!connection || line.minor == connection)
			found = line;
	if (!*found.point)
		return no(-ENOENT,
			"/dev/fd/%d was passed, but no batchfs is mounted: mount with "
			"-t fuse.batchfs", fd);
	*ret = strdup(found.point);
	return *ret ? 0 : -ENOMEM;
}

int paths_check_mountpoint(const struct options *o, char **ret)
{
	_cleanup_free_ char *path = NULL;
	int fd = paths_passed_fd(o->mountpoint);
	struct statvfs vfs;
	struct stat st;

	if (fd >= 0)
		return find_passed(fd, ret);
	/* realpath stats nothing at the last component of a dead mount */
	if (stat(o->mountpoint, &st) < 0)
		return explain_unreachable(o->mountpoint, errno);
	if (!S_ISDIR(st.st_mode))
		return no(-ENOTDIR, "%s is not a directory", o->mountpoint);
	path = realpath(o->mountpoint, NULL);
	if (!path)
		return explain_unreachable(o->mountpoint, errno);
	/* stat was answered from memory; statvfs asks the mounted filesystem. */
	if (is_batchfs(path) && statvfs(path, &vfs) < 0)
		return explain_unreachable(path, errno);
	if (is_batchfs(path))
		return no(-EBUSY,
			"%s is already a batchfs mount (to unmount it: fusermount3 -u "
			"%s)",
			path, path);
	if (!o->nonempty && !is_empty_dir(path))
		return no(-ENOTEMPTY,
			"%s is not empty, and a mount would hide its files. Move them "
			"away; they may have been written while nothing was mounted "
			"(-o nonempty mounts anyway)",
			path);
	*ret = STEAL_PTR(path);
	return 0;
}

bool paths_below(const char *dir, const char *mountpoint)
{
	_cleanup_free_ char *path = strdup(dir);
	_cleanup_free_ char *real = NULL;
	size_t n = strlen(mountpoint);

	/* The nearest directory that exists decides. */
	while (path && *path && !(real = realpath(path, NULL))) {
		char *slash = strrchr(path, '/');

		if (!slash)
			strcpy(path, ".");
		else if (slash == path)
			path[1] = '\0';
		else
			*slash = '\0';
	}
	if (!real || strncmp(real, mountpoint, n))
		return false;
	return !real[n] || real[n] == '/' || n == 1;
}
