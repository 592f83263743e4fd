#include "util/home.h"

#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "util/util.h"

/* Root's HOME is what it was told to be. */
static bool is_anothers(const char *dir)
{
	struct stat st;

	return geteuid() && stat(dir, &st) == 0 && st.st_uid != geteuid() &&
	       access(dir, W_OK) < 0;
}

static bool is_ours(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && st.st_uid == geteuid();
}

/* HOME, or what the password file says: at boot there is none, and mount(8) removes an
 * ordinary user's, after which mount.fuse3(8) makes it root's. */
static const char *home(void)
{
	const char *dir = getenv("HOME");
	const struct passwd *pw;

	if (dir && *dir != '/')
		dir = NULL;
	if (dir && !is_anothers(dir))
		return dir;
	pw = getpwuid(geteuid());
	if (!pw || !pw->pw_dir || *pw->pw_dir != '/')
		return dir;
	return dir && !is_ours(pw->pw_dir) ? dir : pw->pw_dir;
}

char *home_path(const char *variable, const char *fallback, const char *name)
{
	const char *dir = getenv(variable);

	if (dir && *dir == '/')
		return format("%s/batchfs/%s", dir, name);
	dir = home();
	return dir ? format("%s/%s/batchfs/%s", strcmp(dir, "/") != 0 ? dir : "", fallback,
			     name)
		   : NULL;
}
