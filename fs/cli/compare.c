/* What a job is made of, compared with what it is to be made of. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/material.h"
#include "util/util.h"

#define CHUNK (1 << 20)

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

/* The job's file is fd's beginning, at least. */
static enum material_fit fit_of(const struct compare *c, int err, off_t size)
{
	if (c->differs)
		return MATERIAL_OTHER;
	if (err == -ENOENT)
		return MATERIAL_MISSING;
	return c->at == size ? MATERIAL_SAME : MATERIAL_BEGUN;
}

static int compare_piece(
	struct desk *d, const char *name, const struct piece *p, enum material_fit *ret)
{
	_cleanup_close_ int fd = piece_open(p);
	_cleanup_free_ char *buf = malloc(CHUNK);
	struct compare c = {.fd = fd, .buf = buf};
	struct stat st;

	if (fd < 0)
		return fd;
	if (!buf)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	int err = d->ops->read(d, name, p->path, compare_bytes, &c);
	if (err && err != -ENOENT && !c.differs)
		return err;
	*ret = fit_of(&c, err, st.st_size);
	return 0;
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

/* Files that requests are made from. */
static int count_parts(struct desk *d, const char *name, size_t *ret)
{
	struct count c = {d, name, "inputs"};
	int err = d->ops->list(d, name, "inputs", count_entry, &c);

	if (!err || err == -ENOENT)
		err = d->ops->list(d, name, NULL, count_top, &c);
	*ret = c.files;
	return err;
}

/* Files that are asked about in the job and not here. */
static int count_more(struct desk *d, const char *name, const struct material *m,
	enum material_fit *ret, const char **ret_path)
{
	size_t files;
	int err = count_parts(d, name, &files);

	if (!err && files > m->n) {
		*ret = MATERIAL_OTHER;
		*ret_path = "a file that this command does not have";
	}
	return err;
}

static int is_requests(void *arg, const char *name, bool is_dir)
{
	return strcmp(name, GB_REQUESTS) ? 0 : -EEXIST;
}

/* Nothing of the material is in the job. Material of the other kind is other requests: the
 * two cannot be in one draft. */
static int look_for_other_kind(struct desk *d, const char *name, const struct material *m,
	enum material_fit *ret, const char **ret_path)
{
	size_t files = 0;
	int err = m->composed ? d->ops->list(d, name, NULL, is_requests, NULL)
			      : count_parts(d, name, &files);

	if (err != -EEXIST && !files)
		return err;
	*ret = MATERIAL_OTHER;
	*ret_path = m->composed ? GB_REQUESTS : "a file that requests are made from";
	return 0;
}

int material_compare(struct desk *d, const char *name, const struct material *m,
	enum material_fit *ret, const char **ret_path)
{
	enum material_fit fit;
	size_t missing = 0;
	int err = 0;

	*ret = MATERIAL_SAME;
	for (size_t i = 0; !err && *ret != MATERIAL_OTHER && i < m->n; i++) {
		err = compare_piece(d, name, &m->pieces[i], &fit);
		missing += !err && fit == MATERIAL_MISSING;
		if (err || fit <= *ret)
			continue;
		*ret = fit;
		*ret_path = m->pieces[i].path;
	}
	if (!err && missing == m->n)
		return look_for_other_kind(d, name, m, ret, ret_path);
	if (!err && *ret != MATERIAL_OTHER && m->composed)
		err = count_more(d, name, m, ret, ret_path);
	return err;
}

static int write_piece(struct desk *d, const char *name, const struct piece *p)
{
	_cleanup_close_ int fd = piece_open(p);

	return fd < 0 ? fd : d->ops->write(d, name, p->path, fd);
}

int material_fill(struct desk *d, const char *name, const struct material *m, bool anew,
	size_t *ret_kept)
{
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; !err && i < m->n; i++) {
		enum material_fit fit = MATERIAL_OTHER;

		if (!anew)
			err = compare_piece(d, name, &m->pieces[i], &fit);
		kept += fit == MATERIAL_SAME;
		if (!err && fit != MATERIAL_SAME)
			err = write_piece(d, name, &m->pieces[i]);
	}
	*ret_kept = kept;
	return err;
}
