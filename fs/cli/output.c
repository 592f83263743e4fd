#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/util.h"

static int to_fd(void *arg, const char *bytes, size_t n)
{
	const int *fd = arg;

	for (ssize_t did; n; bytes += did, n -= (size_t)did)
		if ((did = write(*fd, bytes, n)) < 0)
			return -errno;
	return 0;
}

int output_file(struct desk *d, const char *name, const char *path)
{
	int fd = STDOUT_FILENO;

	return d->ops->read(d, name, path, to_fd, &fd);
}

/* ---- into a directory ------------------------------------------------------------ */

struct tree {
	struct desk *d;
	const char *name;
	const char *path; /* in the job */
	int dir;          /* where its entries go */
};

/* A name of its own until it is complete. */
static int save_file(const struct tree *t, const char *path, const char *entry)
{
	_cleanup_free_ char *tmp = format(".batchfs-%d.tmp", (int)getpid());
	_cleanup_close_ int fd = -1;
	int err;

	if (!tmp)
		return -ENOMEM;
	fd = openat(t->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		0666);
	if (fd < 0)
		return -errno;
	err = t->d->ops->read(t->d, t->name, path, to_fd, &fd);
	if (!err && renameat(t->dir, tmp, t->dir, entry) < 0)
		err = -errno;
	if (err)
		unlinkat(t->dir, tmp, 0);
	return err;
}

static int open_below(int dir, const char *name)
{
	if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* Names come from keys. gembatch lets no slash through, and no name that means
 * another place; that it does not is looked at once more where files of the user's
 * are written. */
static bool is_plain(const char *entry)
{
	return *entry && !strchr(entry, '/') && strcmp(entry, ".") != 0 &&
	       strcmp(entry, "..") != 0;
}

static int save_entry(void *arg, const char *entry, bool is_dir)
{
	const struct tree *t = arg;
	_cleanup_free_ char *path = format("%s/%s", t->path, entry);

	if (!path)
		return -ENOMEM;
	if (!is_plain(entry))
		return -EPROTO;
	if (!is_dir)
		return save_file(t, path, entry);
	_cleanup_close_ int fd = open_below(t->dir, entry);
	struct tree below = {t->d, t->name, path, fd};
	return fd < 0 ? fd : t->d->ops->list(t->d, t->name, path, save_entry, &below);
}

static int output_tree(struct desk *d, const char *name, const char *to)
{
	_cleanup_close_ int fd = open_below(AT_FDCWD, to);
	struct tree t = {d, name, "responses", fd};

	return fd < 0 ? fd : d->ops->list(d, name, "responses", save_entry, &t);
}

int output_prepare(const struct cli_args *a)
{
	_cleanup_close_ int fd = a->to ? open_below(AT_FDCWD, a->to) : -1;
	int err = !a->to ? 0 : fd < 0 ? fd : faccessat(fd, ".", W_OK, 0) < 0 ? -errno : 0;

	if (!err)
		return CLI_OK;
	cli_say("--to %s: %s", a->to, strerror(-err));
	return CLI_USAGE;
}

int output_answers(struct desk *d, const struct cli_args *a, const char **ret_file)
{
	*ret_file = a->to ? "responses" : a->raw ? "results.jsonl" : "answers.tsv";
	return a->to ? output_tree(d, a->names[0], a->to)
		     : output_file(d, a->names[0], *ret_file);
}

int output_missing(struct desk *d, const char *name, long long *ret_missing,
	long long *ret_pending)
{
	static const char *const without[] = {
		"truncated", "blocked", "failed", "missing", "invalid"};
	_cleanup_free_ char *usage = NULL;
	int err = desk_text(d, name, "usage", &usage);
	long long all = 0;

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		long long n = desk_number(usage, without[i]);

		all += n > 0 ? n : 0;
	}
	*ret_missing = all;
	*ret_pending = desk_number(usage, "pending");
	return 0;
}
