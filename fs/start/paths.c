#include "start/paths.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "util/util.h"
#include "util/log.h"

/* HOME, or what the password file says: mount(8) at boot sets none. */
static const char *home(void)
{
	const char *dir = getenv("HOME");
	struct passwd *pw;

	if (dir && *dir == '/')
		return dir;
	pw = getpwuid(geteuid());
	return pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : NULL;
}

/* $variable/batchfs/name, or ~/fallback/batchfs/name. The specification tells to
 * pass over a variable that is not absolute. */
static char *xdg(const char *variable, const char *fallback, const char *name)
{
	const char *dir = getenv(variable);

	if (dir && *dir == '/')
		return format("%s/batchfs/%s", dir, name);
	dir = home();
	return dir ? format("%s/%s/batchfs/%s", dir, fallback, name) : NULL;
}

char *paths_key_file(const char *account)
{
	_cleanup_free_ char *name = format("%s.key", account);

	return name ? xdg("XDG_CONFIG_HOME", ".config", name) : NULL;
}

char *paths_prices(void)
{
	return xdg("XDG_CONFIG_HOME", ".config", "prices.tsv");
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

	return name ? xdg("XDG_STATE_HOME", ".local/state", name) : NULL;
}

char *paths_cache_dir(const char *account, const char *source)
{
	_cleanup_free_ char *name = account_at(account, source);

	return name ? xdg("XDG_CACHE_HOME", ".cache", name) : NULL;
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

/* Whether a batchfs is mounted at path: fields 5 and, after " - ", the type. */
static bool is_batchfs(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	bool found = false;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		char point[PATH_MAX];
		const char *type = strstr(line, " - ");

		if (!type || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
			continue;
		if (!strcmp(point, path))
			found = !strncmp(type + 3, "fuse.batchfs ", 13);
	}
	return found;
}

int paths_check_mountpoint(const struct options *o, char **ret)
{
	_cleanup_free_ char *path = NULL;
	struct statvfs vfs;
	struct stat st;

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
