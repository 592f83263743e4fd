#include "cli/material.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/util.h"

#define CHUNK (1 << 20)

/* ---- gathering -------------------------------------------------------------------
 *
 * -EINVAL and -ECANCELED have been said: wrong usage, and what failed. */

/* Both are stolen, also on failure. */
static int add(struct material *m, char *path, char *from, int fd, const struct stat *was)
{
	struct piece *more = m->pieces;

	if (path && m->n == m->cap) {
		more = realloc(more, (2 * m->cap + 8) * sizeof(*more));
		if (more) {
			m->pieces = more;
			m->cap = 2 * m->cap + 8;
		}
	}
	if (!path || !more || (!from && fd < 0)) {
		free(path);
		free(from);
		return -ENOMEM;
	}
	m->pieces[m->n++] = (struct piece){path, from, fd, was ? *was : (struct stat){}};
	return 0;
}

static int scratch_in(const char *dir)
{
	_cleanup_free_ char *path = format("%s/batchfs.XXXXXX", dir);
	int fd = path ? mkostemp(path, O_CLOEXEC) : -1;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	unlink(path);
	return fd;
}

static const char *temporary(void)
{
	const char *dir = getenv("TMPDIR");

	/* Large files may be in the second. */
	return dir && *dir ? dir : access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp";
}

static int fail_scratch(const char *what, int err)
{
	if (err == -EINTR)
		return err;
	cli_say("%s cannot be kept in %s: %s (another directory: TMPDIR=DIR)", what,
		temporary(), strerror(-err));
	return -ECANCELED;
}

static int write_all(int fd, const char *buf, size_t n)
{
	for (ssize_t did; n; buf += did, n -= (size_t)did)
		if ((did = write(fd, buf, n)) < 0)
			return -errno;
	return 0;
}

/* 0: to the end. */
static int spool_all(const char *what, int from, int to)
{
	_cleanup_free_ char *buf = malloc(CHUNK);
	int err = buf ? 0 : -ENOMEM;

	while (!err) {
		ssize_t n = read(from, buf, CHUNK);

		if (cli_stopped())
			return -EINTR;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cli_say("%s: %s", what,
				errno == EBADF ? "it is closed" : strerror(errno));
			return -ECANCELED;
		}
		if (!n)
			return 0;
		if ((err = write_all(to, buf, (size_t)n)))
			err = fail_scratch(what, err);
	}
	return err;
}

/* What can be read but once. */
static int add_stream(struct material *m, const char *path, const char *what, int from)
{
	int fd = scratch_in(temporary());
	int err = fd < 0 ? fail_scratch(what, fd) : spool_all(what, from, fd);

	if (!err)
		return add(m, strdup(path), NULL, fd, NULL);
	closep(&fd);
	return err;
}

static int add_stdin(struct material *m, const char *path)
{
	if (m->stdin_read) {
		cli_say("standard input can be read only once");
		return -EINVAL;
	}
	m->stdin_read = true;
	return add_stream(m, path, "standard input", STDIN_FILENO);
}

static int fail_file(const char *from)
{
	cli_say("%s: %s", from, strerror(errno));
	return -EINVAL;
}

static int add_pipe(struct material *m, const char *path, const char *from)
{
	_cleanup_close_ int fd = open(from, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return cli_stopped() ? -EINTR : fail_file(from);
	return add_stream(m, path, from, fd);
}

/* /dev/stdin is there only where /proc is. */
static bool is_stdin(const char *from)
{
	return !strcmp(from, "-") || !strcmp(from, "/dev/stdin");
}

static int add_file(struct material *m, const char *path, const char *from)
{
	struct stat st;

	if (is_stdin(from))
		return add_stdin(m, path);
	if (stat(from, &st) < 0 || access(from, R_OK) < 0)
		return fail_file(from);
	if (S_ISREG(st.st_mode))
		return add(m, strdup(path), strdup(from), -1, &st);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		return add_pipe(m, path, from);
	if (S_ISDIR(st.st_mode))
		cli_say("%s is a directory (--inputs DIR asks about each file in it)", from);
	else
		cli_say("%s is no file", from);
	return -EINVAL;
}

/* TEXT, or @FILE. */
static int add_text(struct material *m, const char *path, const char *text)
{
	if (*text == '@')
		return add_file(m, path, text + 1);
	int fd = scratch_in(temporary());
	if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
		return fail_scratch(path, fd < 0 ? fd : -errno);
	return add(m, strdup(path), NULL, fd, NULL);
}

/* A directory below --inputs, and those that lead to it. */
struct branch {
	const struct branch *above;
	const char *path, *from; /* in the job; here */
	struct stat st;
};

static int add_tree(struct material *m, const struct branch *b);

static int add_branch(
	struct material *m, const struct branch *above, const struct branch *b)
{
	for (; above; above = above->above)
		if (above->st.st_ino == b->st.st_ino && above->st.st_dev == b->st.st_dev) {
			cli_say("%s is a link to %s, which it is in itself", b->from,
				above->from);
			return -EINVAL;
		}
	return add_tree(m, b);
}

static int add_entry(
	struct material *m, const struct branch *above, const char *path, const char *from)
{
	struct branch b = {above, path, from, {}};

	if (stat(from, &b.st) < 0)
		return fail_file(from);
	if (S_ISDIR(b.st.st_mode))
		return add_branch(m, above, &b);
	if (S_ISREG(b.st.st_mode))
		return add_file(m, path, from);
	cli_say("%s is no file", from); /* a pipe here would be waited for */
	return -EINVAL;
}

/* Names that begin with a dot are no inputs. */
static int add_tree(struct material *m, const struct branch *b)
{
	struct dirent **names;
	int n = scandir(b->from, &names, NULL, alphasort), err = 0;

	if (n < 0)
		return fail_file(b->from);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *to = format("%s/%s", b->path, names[i]->d_name);
		_cleanup_free_ char *of = format("%s/%s", b->from, names[i]->d_name);

		if (!err && names[i]->d_name[0] != '.')
			err = to && of ? add_entry(m, b, to, of) : -ENOMEM;
		free(names[i]);
	}
	free(names);
	return err;
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && !strcasecmp(text + n - k, end);
}

static int add_inputs(struct material *m, const char *from)
{
	struct branch top = {NULL, "inputs", from, {}};

	if (!stat(from, &top.st) && S_ISDIR(top.st.st_mode))
		return add_tree(m, &top);
	return add_file(m,
		ends_in(from, ".csv")   ? "inputs.csv"
		: ends_in(from, ".tsv") ? "inputs.tsv"
					: "inputs.txt",
		from);
}

/* Nothing but white space: no. 1: it is. */
static int is_blank(const struct piece *p)
{
	_cleanup_close_ int fd = piece_open(p);
	char buf[4096];
	off_t at = 0;
	ssize_t n = fd;

	while (fd >= 0 && (n = pread(fd, buf, sizeof(buf), at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (!strchr(" \t\r\n", buf[i]) || !buf[i])
				return 0;
		at += n;
	}
	return n < 0 ? (fd < 0 ? fd : -errno) : 1;
}

/* Nobody means to buy nothing: most often it is a program before the pipe that has
 * failed. */
static int refuse_empty(const struct material *m, const char *from)
{
	bool tree = m->n && !strncmp(m->pieces[0].path, "inputs/", 7);
	int blank = !m->n ? 1 : tree ? 0 : is_blank(&m->pieces[0]);

	if (blank <= 0)
		return blank;
	if (is_stdin(from))
		cli_say("there are no requests on standard input (to have the answers of a "
			"job that is there: batchfs wait NAME && batchfs cat NAME)");
	else
		cli_say("%s: there are no requests in it", from);
	return -EINVAL;
}

/* The parts of a composed draft: which option, which file, and whether it takes
 * text. */
static int gather_composed(const struct cli_args *a, struct material *m)
{
	const struct {
		const char *value, *path;
		int (*add)(struct material *m, const char *path, const char *value);
	} parts[] = {
		{a->prompt, "prompt.txt", add_text},
		{a->system, "system.txt", add_text},
		{a->schema, "schema.json", add_file},
		{a->defaults, "defaults.json", add_file},
	};
	int err = a->inputs ? add_inputs(m, a->inputs) : 0;

	if (!err && a->inputs)
		err = refuse_empty(m, a->inputs);
	for (size_t i = 0; !err && i < ARRAY_SIZE(parts); i++)
		if (parts[i].value)
			err = parts[i].add(m, parts[i].path, parts[i].value);
	return err;
}

/* ---- files that request lines name ----------------------------------------------- */

struct named {
	struct material *m;
	const char *from; /* the requests file */
	void *seen;       /* tsearch */
	int err;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Where a file may be in a draft: at the top, or anywhere below inputs/. */
static bool fits_draft(const char *name)
{
	const char *part = name;

	if (strchr(name, '/') && strncmp(name, "inputs/", 7) != 0)
		return false;
	for (;; part++) {
		size_t n = strcspn(part, "/");

		if (!n || !strncmp(part, "..", n < 2 ? 2 : n) ||
			(n == 1 && *part == '.'))
			return false;
		part += n;
		if (!*part)
			return true;
	}
}

/* The file of that name beside the requests file. Malloc'ed. */
static char *beside(const char *from, const char *name)
{
	const char *slash = strrchr(from, '/');

	return slash ? format("%.*s/%s", (int)(slash - from), from, name)
		     : strdup(name);
}

static int add_named(void *arg, uint64_t line, const char *name)
{
	struct named *n = arg;
	_cleanup_free_ char *key = strdup(name), *path = beside(n->from, name);
	struct stat st;
	void *node;

	if (!key || !path || !(node = tsearch(key, &n->seen, by_text)))
		return -ENOMEM;
	if (*(char **)node != key)
		return 0;
	STEAL_PTR(key);
	if (!fits_draft(name)) {
		cli_say("%s: line %" PRIu64
			": %s: a file that a request names is beside "
			"the requests file, or below inputs/ there",
			n->from, line, name);
		return -EINVAL;
	}
	if (stat(path, &st) < 0 || access(path, R_OK) < 0) {
		cli_say("%s: line %" PRIu64 ": %s: %s", n->from, line, path,
			strerror(errno));
		return -EINVAL;
	}
	if (!S_ISREG(st.st_mode)) {
		cli_say("%s: line %" PRIu64 ": %s is no file", n->from, line, path);
		return -EINVAL;
	}
	return add(n->m, strdup(name), STEAL_PTR(path), -1, &st);
}

/* What is wrong with the lines themselves, the check tells, with their numbers. */
static int add_all_named(struct material *m, const char *from)
{
	/* What has come through a pipe is beside nothing. */
	struct named n = {.m = m, .from = m->pieces[0].from ? from : "-"};
	_cleanup_close_ int fd = piece_open(&m->pieces[0]);
	int err = fd < 0 ? fd : gb_requests_files(fd, add_named, &n);

	tdestroy(n.seen, free);
	return err == -ESTALE ? 0 : err;
}

static int gather_lines(const struct cli_args *a, struct material *ret)
{
	const char *from = a->n > 1 ? a->names[1] : "-";
	int err;

	if (is_stdin(from) && isatty(STDIN_FILENO))
		cli_say("reading requests from the terminal (end: Ctrl-D)");
	err = add_file(ret, GB_REQUESTS, from);
	if (!err)
		err = refuse_empty(ret, from);
	return err ? err : add_all_named(ret, from);
}

static int gather(const struct cli_args *a, struct material *ret)
{
	bool parts = a->inputs || a->prompt || a->system || a->schema || a->defaults;

	*ret = (struct material){.composed = parts};
	if (parts && a->n > 1) {
		cli_say("%s is a complete requests file: --inputs, --prompt, --system, "
			"--schema and --defaults do not go with it",
			a->names[1]);
		return -EINVAL;
	}
	if (parts && !a->inputs) {
		cli_say("--prompt, --system, --schema and --defaults say what to ask: give "
			"--inputs DIR or FILE, too");
		return -EINVAL;
	}
	return parts ? gather_composed(a, ret) : gather_lines(a, ret);
}

int material_gather(const struct cli_args *a, struct material *ret)
{
	int err = gather(a, ret);

	switch (err) {
	case 0:
		return CLI_OK;
	case -EINVAL:
		return CLI_USAGE;
	case -ECANCELED:
		return CLI_FAILED;
	default:
		cli_say("%s", err == -EINTR ? "stopped; nothing has been sent" : strerror(-err));
		return err == -EINTR ? cli_exit_of(err) : CLI_FAILED;
	}
}

static bool has_changed(const struct piece *p)
{
	struct stat now;

	return p->from &&
	       (stat(p->from, &now) < 0 || now.st_size != p->was.st_size ||
		       now.st_ino != p->was.st_ino ||
		       now.st_mtim.tv_sec != p->was.st_mtim.tv_sec ||
		       now.st_mtim.tv_nsec != p->was.st_mtim.tv_nsec);
}

const struct piece *material_changed(const struct material *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (has_changed(&m->pieces[i]))
			return &m->pieces[i];
	return NULL;
}

int piece_open(const struct piece *p)
{
	int fd = p->from ? open(p->from, O_RDONLY | O_CLOEXEC)
			 : fcntl(p->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

void material_free(struct material *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->pieces[i].path);
		free(m->pieces[i].from);
		closep(&m->pieces[i].fd);
	}
	free(m->pieces);
}
