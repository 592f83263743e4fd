#include "cli/material.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/util.h"

#define CHUNK (1 << 20)

/* ---- gathering ------------------------------------------------------------------- */

/* Both are stolen, also on failure. */
static int add(struct material *m, char *path, char *from, int fd)
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
	m->pieces[m->n++] = (struct piece){path, from, fd};
	return 0;
}

/* A file without a name, in $TMPDIR, or where large files may be. */
static int scratch(void)
{
	const char *dir = getenv("TMPDIR");
	_cleanup_free_ char *path = NULL;

	if (!dir || !*dir)
		dir = access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp";
	path = format("%s/batchfs.XXXXXX", dir);
	int fd = path ? mkostemp(path, O_CLOEXEC) : -1;
	if (fd >= 0)
		unlink(path);
	return path ? (fd < 0 ? -errno : fd) : -ENOMEM;
}

static int write_all(int fd, const char *buf, size_t n)
{
	for (ssize_t did; n; buf += did, n -= (size_t)did)
		if ((did = write(fd, buf, n)) < 0)
			return -errno;
	return 0;
}

static int spool_stdin(int to)
{
	_cleanup_free_ char *buf = malloc(CHUNK);
	int err = buf ? 0 : -ENOMEM;

	while (!err) {
		ssize_t n = read(STDIN_FILENO, buf, CHUNK);

		if (cli_stopped())
			return -EINTR;
		if (n <= 0 && (!n || errno != EINTR))
			return n ? -errno : 0;
		err = n > 0 ? write_all(to, buf, (size_t)n) : 0;
	}
	return err;
}

static int add_stdin(struct material *m, const char *path)
{
	int fd = scratch();
	int err = fd < 0 ? fd : spool_stdin(fd);

	if (err) {
		if (fd >= 0)
			close(fd);
		return cli_fail("standard input", "cannot be read", err), err;
	}
	return add(m, strdup(path), NULL, fd);
}

static int fail_file(const char *from)
{
	cli_say("%s: %s", from, strerror(errno));
	return -EINVAL;
}

static int add_file(struct material *m, const char *path, const char *from)
{
	struct stat st;

	if (!strcmp(from, "-"))
		return add_stdin(m, path);
	if (stat(from, &st) < 0 || access(from, R_OK) < 0)
		return fail_file(from);
	if (S_ISREG(st.st_mode))
		return add(m, strdup(path), strdup(from), -1);
	cli_say("%s is no file", from);
	return -EINVAL;
}

/* TEXT, or @FILE. */
static int add_text(struct material *m, const char *path, const char *text)
{
	if (*text == '@')
		return add_file(m, path, text + 1);
	int fd = scratch();
	if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
		return cli_fail(path, "cannot be kept", fd < 0 ? fd : -errno), -EIO;
	return add(m, strdup(path), NULL, fd);
}

static int add_tree(struct material *m, const char *path, const char *from);

static int add_entry(struct material *m, const char *path, const char *from)
{
	struct stat st;

	if (stat(from, &st) < 0)
		return fail_file(from);
	return S_ISDIR(st.st_mode) ? add_tree(m, path, from) : add_file(m, path, from);
}

/* Names that begin with a dot are no inputs. */
static int add_tree(struct material *m, const char *path, const char *from)
{
	struct dirent **names;
	int n = scandir(from, &names, NULL, alphasort), err = 0;

	if (n < 0)
		return fail_file(from);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *to = format("%s/%s", path, names[i]->d_name);
		_cleanup_free_ char *of = format("%s/%s", from, names[i]->d_name);

		if (!err && names[i]->d_name[0] != '.')
			err = to && of ? add_entry(m, to, of) : -ENOMEM;
		free(names[i]);
	}
	free(names);
	return err;
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && !strcmp(text + n - k, end);
}

static int add_inputs(struct material *m, const char *from)
{
	struct stat st;

	if (!stat(from, &st) && S_ISDIR(st.st_mode))
		return add_tree(m, "inputs", from);
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
	if (!strcmp(from, "-"))
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
	return add(n->m, strdup(name), STEAL_PTR(path), -1);
}

/* What is wrong with the lines themselves, the check tells, with their numbers. */
static int add_all_named(struct material *m, const char *from)
{
	struct named n = {.m = m, .from = from};
	_cleanup_close_ int fd = piece_open(&m->pieces[0]);
	int err = fd < 0 ? fd : gb_requests_files(fd, add_named, &n);

	tdestroy(n.seen, free);
	return err == -ESTALE ? 0 : err;
}

static int gather_lines(const struct cli_args *a, struct material *ret)
{
	const char *from = a->n > 1 ? a->names[1] : "-";
	int err;

	if (!strcmp(from, "-") && isatty(STDIN_FILENO))
		cli_say("reading requests from the terminal (end: Ctrl-D)");
	err = add_file(ret, GB_REQUESTS, from);
	if (!err)
		err = refuse_empty(ret, from);
	return err ? err : add_all_named(ret, from);
}

int material_gather(const struct cli_args *a, struct material *ret)
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
