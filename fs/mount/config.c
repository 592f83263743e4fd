#include "mount/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util/home.h"
#include "util/log.h"
#include "util/util.h"

#define CONFIG_MAX 65536

static int refuse_config(const char *path, const char *why)
{
	log_line(LOG_ERR, "%s %s", path, why);
	return -EACCES;
}

/* What stands in it is done: on_end= is a command. */
static int check_config(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse_config(path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse_config(path, "is not a regular file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_config(path, "belongs to another user");
	if (st.st_mode & 022)
		return refuse_config(path, "can be written by others: chmod go-w it");
	if (st.st_size > CONFIG_MAX)
		return refuse_config(path, "is too large for a list of options");
	return 0;
}

/* *ret NULL: there is none. */
static int open_config(const char *path, FILE **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err;

	*ret = NULL;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0) {
		log_line(LOG_ERR, "%s cannot be read: %s", path, strerror(errno));
		return -EACCES;
	}
	err = check_config(fd, path);
	if (err)
		return err;
	*ret = fdopen(fd, "r");
	if (!*ret)
		return -ENOMEM;
	fd = -1;
	return 0;
}

/* The option on a line, without what surrounds it; NULL: a comment, or nothing. */
static char *option_of(char *line)
{
	size_t n;

	while (isspace((unsigned char)*line))
		line++;
	n = strlen(line);
	while (n && isspace((unsigned char)line[n - 1]))
		line[--n] = '\0';
	return *line && *line != '#' ? line : NULL;
}

int config_read(const char *account,
	int (*set)(void *arg, char *option, const char *where), void *arg)
{
	_cleanup_free_ char *name = format("%s.conf", account);
	_cleanup_free_ char *path =
		name ? home_path("XDG_CONFIG_HOME", ".config", name) : NULL;
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	int err = path ? open_config(path, &f) : 0;
	size_t room = 0;

	for (unsigned n = 1; !err && f && getline(&line, &room, f) > 0; n++) {
		_cleanup_free_ char *where = format("%s:%u", path, n);
		char *option = option_of(line);

		err = option ? set(arg, option, where) : 0;
	}
	return err;
}
