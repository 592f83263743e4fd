#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/util.h"

/* What was refused last, and by whom: of the main thread. */
static struct {
	int err;
	const char *where;
} refusal;

static int refused_by(const char *where, int err)
{
	refusal.err = err;
	refusal.where = where;
	return err;
}

const char *output_refused(int err)
{
	return err && err == refusal.err ? refusal.where : NULL;
}

struct sink {
	int fd;
	const char *where; /* in words */
};

/* A pipe that does not block, as some programs hand on, is waited for. */
static ssize_t write_some(int fd, const char *bytes, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	ssize_t did;

	while ((did = write(fd, bytes, n)) < 0 && errno == EAGAIN && !cli_stopped())
		poll(&p, 1, -1);
	if (did < 0 && cli_stopped())
		return -EINTR;
	return did < 0 ? -errno : did;
}

static int to_fd(void *arg, const char *bytes, size_t n)
{
	const struct sink *to = arg;

	for (ssize_t did; n; bytes += did, n -= (size_t)did)
		if ((did = write_some(to->fd, bytes, n)) < 0)
			return refused_by(to->where, (int)did);
	return 0;
}

int output_file(struct desk *d, const char *name, const char *path)
{
	struct sink to = {STDOUT_FILENO, "standard output"};

	return d->ops->read(d, name, path, to_fd, &to);
}

/* ---- into a directory ------------------------------------------------------------ */

struct tree {
	struct desk *d;
	const char *name;
	const char *path; /* in the job */
	int dir;          /* where its entries go */
	const char *to;   /* what that is, as the user calls it */
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
		return refused_by(t->to, -errno);
	struct sink to = {fd, t->to};
	err = t->d->ops->read(t->d, t->name, path, to_fd, &to);
	if (!err && renameat(t->dir, tmp, t->dir, entry) < 0)
		err = refused_by(t->to, -errno);
	if (err)
		unlinkat(t->dir, tmp, 0);
	return err;
}

static int open_below(int dir, const char *name, int flags)
{
	if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

/* DIR itself, which may be a link of the user's to elsewhere. */
static int open_to(const char *to)
{
	return open_below(AT_FDCWD, to, 0);
}

/* Names come from keys. gembatch lets no slash through, and no name that means
 * another place; that it does not is looked at once more where files of the user's
 * are written. */
static bool is_plain(const char *entry)
{
	return *entry && !strchr(entry, '/') && strcmp(entry, ".") != 0 &&
	       strcmp(entry, "..") != 0;
}

/* A request that had no answer when this was done before, and has one now. */
static int drop_error(void *arg, const char *entry, bool is_dir)
{
	const struct tree *t = arg;
	const char *dot = strrchr(entry, '.');
	_cleanup_free_ char *error =
		dot ? format("%.*s.error", (int)(dot - entry), entry) : NULL;

	if (!is_dir && error && is_plain(entry))
		unlinkat(t->dir, error, 0);
	return 0;
}

static int save_entry(void *arg, const char *entry, bool is_dir);

/* Errors go first: one that is still there is written again. */
static int save_all(const struct tree *t)
{
	int err = t->d->ops->list(t->d, t->name, t->path, drop_error, (void *)t);

	return err ? err : t->d->ops->list(t->d, t->name, t->path, save_entry, (void *)t);
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
	_cleanup_close_ int fd = open_below(t->dir, entry, O_NOFOLLOW);
	struct tree below = {t->d, t->name, path, fd, t->to};
	return fd < 0 ? refused_by(t->to, fd) : save_all(&below);
}

static int output_tree(struct desk *d, const char *name, const char *to)
{
	_cleanup_close_ int fd = open_to(to);
	struct tree t = {d, name, "responses", fd, to};

	return fd < 0 ? refused_by(to, fd) : save_all(&t);
}

int output_prepare(const struct cli_args *a)
{
	_cleanup_close_ int fd = a->to ? open_to(a->to) : -1;
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
