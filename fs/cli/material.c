#include "cli/material.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/util.h"

#define CHUNK (1 << 20)
#define REQUESTS "requests.jsonl"

/* ---- gathering ----------------------------------------------------------------------- */

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

/* A file without a name, in $TMPDIR. */
static int scratch(void)
{
	const char *dir = getenv("TMPDIR");
	_cleanup_free_ char *path =
		format("%s/batchfs.XXXXXX", dir && *dir ? dir : "/tmp");
	int fd = path ? mkostemp(path, O_CLOEXEC) : -1;

	if (fd >= 0)
		unlink(path);
	return path ? (fd < 0 ? -errno : fd) : -ENOMEM;
}

static int spool_stdin(int to)
{
	_cleanup_free_ char *buf = malloc(CHUNK);
	ssize_t n, did;

	if (!buf)
		return -ENOMEM;
	while ((n = read(STDIN_FILENO, buf, CHUNK)) != 0) {
		if (cli_stopped())
			return -EINTR;
		if (n < 0 && errno != EINTR)
			return -errno;
		for (ssize_t at = 0; at < n; at += did)
			if ((did = write(to, buf + at, (size_t)(n - at))) < 0)
				return -errno;
	}
	return 0;
}

static int add_stdin(struct material *m, const char *path)
{
	int fd = scratch();
	int err = fd < 0 ? fd : spool_stdin(fd);

	if (err) {
		if (fd >= 0)
			close(fd);
		return cli_fail("standard input", "cannot be kept", err), err;
	}
	return add(m, strdup(path), NULL, fd);
}

static int add_file(struct material *m, const char *path, const char *from)
{
	struct stat st;

	if (!strcmp(from, "-"))
		return add_stdin(m, path);
	if (stat(from, &st) < 0 || access(from, R_OK) < 0)
		return cli_fail(from, NULL, -errno), -EINVAL;
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
		return cli_fail(from, NULL, -errno), -EINVAL;
	return S_ISDIR(st.st_mode) ? add_tree(m, path, from) : add_file(m, path, from);
}

/* Names that begin with a dot are no inputs. */
static int add_tree(struct material *m, const char *path, const char *from)
{
	struct dirent **names;
	int n = scandir(from, &names, NULL, alphasort), err = 0;

	if (n < 0)
		return cli_fail(from, NULL, -errno), -EINVAL;
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
		ends_in(from, ".csv")	? "inputs.csv"
		: ends_in(from, ".tsv") ? "inputs.tsv"
					: "inputs.txt",
		from);
}

/* The parts of a composed draft: which option, which file, and whether it takes text. */
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

	for (size_t i = 0; !err && i < ARRAY_SIZE(parts); i++)
		if (parts[i].value)
			err = parts[i].add(m, parts[i].path, parts[i].value);
	return err;
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
	if (parts)
		return gather_composed(a, ret);
	if (a->n < 2 && isatty(STDIN_FILENO))
		cli_say("reading requests from the terminal (end: Ctrl-D)");
	return add_file(ret, REQUESTS, a->n > 1 ? a->names[1] : "-");
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

/* ---- comparing ------------------------------------------------------------------------- */

static int piece_open(const struct piece *p)
{
	int fd = p->from ? open(p->from, O_RDONLY | O_CLOEXEC)
			 : fcntl(p->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

struct compare {
	int fd;
	off_t at;
	bool differs;
	char *buf;
};

/* Not 0: it differs, the rest does not matter. */
static int compare_bytes(void *arg, const char *bytes, size_t n)
{
	struct compare *c = arg;

	while (n) {
		size_t want = n < CHUNK ? n : CHUNK;
		ssize_t got = pread(c->fd, c->buf, want, c->at);

		if (got < 0)
			return -errno;
		if (!got || memcmp(c->buf, bytes, (size_t)got) != 0) {
			c->differs = true;
			return -ECANCELED;
		}
		c->at += got;
		bytes += got;
		n -= (size_t)got;
	}
	return 0;
}

static int compare_piece(struct desk *d, const char *name, const struct piece *p,
	enum material_fit *ret)
{
	_cleanup_close_ int fd = piece_open(p);
	struct compare c = {.fd = fd, .buf = malloc(CHUNK)};
	struct stat st;
	int err = fd < 0 ? fd : c.buf ? 0 : -ENOMEM;

	if (!err && fstat(fd, &st) < 0)
		err = -errno;
	if (!err)
		err = d->ops->read(d, name, p->path, compare_bytes, &c);
	free(c.buf);
	if (c.differs)
		*ret = MATERIAL_OTHER;
	else if (!err)
		*ret = c.at == st.st_size ? MATERIAL_SAME : MATERIAL_BEGUN;
	else if (err == -ENOENT)
		*ret = MATERIAL_BEGUN;
	return c.differs || err == -ENOENT ? 0 : err;
}

struct count {
	struct desk *d;
	const char *name, *path;
	size_t files;
};

static int count_entry(void *arg, const char *name, bool is_dir)
{
	struct count *c = arg;
	_cleanup_free_ char *path = format("%s/%s", c->path, name);
	struct count below = {c->d, c->name, path};
	int err = 0;

	if (!path)
		return -ENOMEM;
	if (is_dir)
		err = c->d->ops->list(c->d, c->name, path, count_entry, &below);
	c->files += is_dir ? below.files : 1;
	return err;
}

static const char *const composed_top[] = {"inputs.txt", "inputs.csv", "inputs.tsv",
	"prompt.txt", "system.txt", "schema.json", "defaults.json"};

static int count_top(void *arg, const char *name, bool is_dir)
{
	struct count *c = arg;

	for (size_t i = 0; i < ARRAY_SIZE(composed_top); i++)
		c->files += !strcmp(name, composed_top[i]);
	return 0;
}

/* Files that are asked about in the job and not here. */
static int count_more(struct desk *d, const char *name, const struct material *m,
	enum material_fit *ret, const char **ret_path)
{
	struct count c = {d, name, "inputs"};
	int err = d->ops->list(d, name, "inputs", count_entry, &c);

	if (!err || err == -ENOENT)
		err = d->ops->list(d, name, NULL, count_top, &c);
	if (!err && c.files > m->n) {
		*ret = MATERIAL_OTHER;
		*ret_path = "a file that this command does not have";
	}
	return err;
}

int material_compare(struct desk *d, const char *name, const struct material *m,
	enum material_fit *ret, const char **ret_path)
{
	size_t begun = 0;
	int err = 0;

	*ret = MATERIAL_SAME;
	for (size_t i = 0; !err && *ret != MATERIAL_OTHER && i < m->n; i++) {
		err = compare_piece(d, name, &m->pieces[i], ret);
		*ret_path = m->pieces[i].path;
		begun += *ret == MATERIAL_BEGUN;
	}
	if (!err && *ret != MATERIAL_OTHER && m->composed)
		err = count_more(d, name, m, ret, ret_path);
	if (!err && *ret != MATERIAL_OTHER && begun)
		*ret = MATERIAL_BEGUN;
	return err;
}

int material_fill(struct desk *d, const char *name, const struct material *m)
{
	int err = 0;

	for (size_t i = 0; !err && i < m->n; i++) {
		const struct piece *p = &m->pieces[i];
		enum material_fit fit;

		err = compare_piece(d, name, p, &fit);
		if (err || fit == MATERIAL_SAME)
			continue;
		_cleanup_close_ int fd = piece_open(p);
		err = fd < 0 ? fd : d->ops->write(d, name, p->path, fd);
	}
	return err;
}
