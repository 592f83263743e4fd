/* Reading and listing by gembatch. What a file of a job is and says comes from the
 * tables that the mount has (virtual_files.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/await.h"
#include "cli/desk_direct.h"
#include "virtual/virtual_files.h"

#define PART_DIGITS 4 /* of its name below parts/ */

/* ---- reading --------------------------------------------------------------------- */

/* A job, or a part of it, and one of the files that it has; NULL: a user's. */
struct target {
	struct gb_job *job;
	const struct vfile *v;
};

static int read_text(struct desk *d, const struct target *t, desk_sink sink, void *arg)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int err = 0;

	if (t->v->refresh && !d->known)
		err = (int)AWAIT(-1, w, t->v->refresh(t->job, w));
	if (err == -EINTR)
		return err;
	if ((err = vfile_text(&direct_of(d)->m, t->v, t->job, &text, &n)))
		return err;
	return n ? sink(arg, text, n) : 0;
}

/* Where the bytes of a large file come from: what is there, and waiting for the
 * rest. */
struct large {
	struct gb_results *results;
	struct gb_answers *answers;
	enum gb_answers_file what;
	uint32_t node;
};

static ssize_t large_read(
	const struct large *l, char *buf, size_t n, uint64_t off, struct gb_waiter *w)
{
	if (l->answers)
		return gb_answers_read(l->answers, l->what, l->node, off, buf, n, w);
	ssize_t ready = gb_results_ready(l->results, off, n, w);

	return ready > 0 ? gb_results_read(l->results, buf, (size_t)ready, off) : ready;
}

static int read_large(const struct large *l, desk_sink sink, void *arg)
{
	_cleanup_free_ char *buf = malloc(DIRECT_CHUNK);
	uint64_t off = 0;
	int err = buf ? 0 : -ENOMEM;

	while (!err) {
		struct await a;
		struct gb_waiter *w = await_begin(&a);
		ssize_t n = large_read(l, buf, DIRECT_CHUNK, off, w);
		bool waits = n == -EINPROGRESS;

		n = await_end(&a, n, -1);
		if (waits && n == 0)
			continue; /* it is worth asking again */
		if (n <= 0)
			return (int)n;
		err = sink(arg, buf, (size_t)n);
		off += (uint64_t)n;
	}
	return err;
}

static int open_results(const struct target *t, struct gb_results **ret)
{
	return t->v->part ? gb_part_results_open(t->job, ret)
			  : gb_results_open(t->job, ret);
}

static int save_results(const struct target *t)
{
	return (int)AWAIT(-1, w,
		t->v->part ? gb_part_save_results(t->job, w)
			   : gb_save_results(t->job, w));
}

static int read_results(const struct target *t, desk_sink sink, void *arg)
{
	struct large l = {0};
	int err = open_results(t, &l.results);

	if (err == -EINPROGRESS && !(err = save_results(t)))
		err = open_results(t, &l.results);
	if (err)
		return err;
	err = read_large(&l, sink, arg);
	gb_results_close(l.results);
	return err;
}

/* The results are saved first if they are not. */
static int open_answers(struct gb_job *job, bool part, struct gb_answers **ret)
{
	int err;

	do {
		*ret = NULL;
		err = (int)AWAIT(-1, w,
			part ? gb_part_answers_open(job, w, ret)
			     : gb_answers_open(job, w, ret));
	} while (!err && !*ret);
	return err;
}

static int read_answers(const struct target *t, enum gb_answers_file what,
	uint32_t node, desk_sink sink, void *arg)
{
	struct large l = {.what = what, .node = node};
	int err = open_answers(t->job, t->v && t->v->part, &l.answers);

	if (err)
		return err;
	err = read_large(&l, sink, arg);
	gb_answers_close(l.answers);
	return err;
}

/* A node below responses/. -ENOENT. */
static int find_node(struct gb_job *job, const char *path, struct gb_answer *ret)
{
	struct gb_answers *a;
	int err = open_answers(job, false, &a);

	if (err)
		return err;
	gb_answers_close(a);
	bool found = gb_answer_get(job, 0, ret);
	for (; found && *path; path += strspn(path, "/")) {
		size_t n = strcspn(path, "/");
		_cleanup_free_ char *part = strndup(path, n);

		found = part && gb_answer_child(job, ret->number, part, ret);
		path += n;
	}
	return found ? 0 : -ENOENT;
}

/* A reference; -ENOENT. */
static int find_file(struct gb_job *job, const char *path, struct gb_file **ret)
{
	_cleanup_free_ char *copy = strdup(path);
	struct gb_file *f = NULL;
	int err = copy ? 0 : -ENOMEM;

	for (char *part = copy, *next; !err && part; part = next) {
		if ((next = strchr(part, '/')))
			*next++ = '\0';
		struct gb_file *child = gb_file_by_name(job, f, part);
		gb_file_unref(f);
		f = child;
		err = f ? 0 : -ENOENT;
	}
	*ret = f;
	return err;
}

static int read_fd(int fd, desk_sink sink, void *arg)
{
	_cleanup_free_ char *buf = malloc(DIRECT_CHUNK);
	int err = buf ? 0 : -ENOMEM;
	off_t at = 0;
	ssize_t n = 0;

	while (!err && (n = pread(fd, buf, DIRECT_CHUNK, at)) > 0) {
		err = cli_stopped() ? -EINTR : sink(arg, buf, (size_t)n);
		at += n;
	}
	return !err && n < 0 ? -errno : err;
}

static int read_local(struct gb_job *job, const char *path, desk_sink sink, void *arg)
{
	struct gb_file *f;
	int err = find_file(job, path, &f), fd = -1;

	if (!err && gb_file_is_dir(f))
		err = -EISDIR;
	if (!err && (fd = gb_file_fd(f)) < 0)
		err = fd;
	if (!err)
		err = read_fd(fd, sink, arg);
	gb_file_unref(f);
	return err;
}

static int read_meta(struct desk *d, const char *file, desk_sink sink, void *arg)
{
	const struct target t = {.v = vfile_by_name(IN_META, file)};
	struct gb_client *gb = direct_of(d)->m.gb;
	_cleanup_free_ char *models = NULL;
	int err = 0;

	if (!t.v || t.v->how == HOW_LOG)
		return -ENOENT;
	if (t.v->how == HOW_HISTORY)
		return read_fd(gb_history_fd(gb), sink, arg);
	if (t.v->first_look && !d->known)
		err = (int)AWAIT(-1, w, gb_list_refresh(gb, GB_LIST_NEWS, w));
	if (t.v->how == HOW_MODELS)
		err = (int)AWAIT(-1, w, gb_models(gb, w, &models));
	return err == -EINTR ? err : read_text(d, &t, sink, arg);
}

static int read_wait(struct desk *d, struct target *t, desk_sink sink, void *arg)
{
	int err = (int)AWAIT(-1, w, gb_job_wait(t->job, w));

	t->v = vfile_by_name(IN_JOB, "state");
	return err ? err : read_text(d, t, sink, arg);
}

/* 0: it is; -ENOENT. */
static int find_directory(const struct target *t)
{
	struct gb_info info;

	if (t->v->how == HOW_TREE && (int)AWAIT(-1, w, gb_answers_look(t->job, w)) == -EINTR)
		return -EINTR;
	if (t->v->part)
		gb_part_info(t->job, &info);
	else
		gb_job_info(t->job, &info);
	return vfile_present(t->v, &info) ? 0 : -ENOENT;
}

static int read_file_of_ours(
	struct desk *d, struct target *t, desk_sink sink, void *arg)
{
	int err;

	switch (t->v->how) {
	case HOW_TEXT:
		return read_text(d, t, sink, arg);
	case HOW_RESULTS:
		return read_results(t, sink, arg);
	case HOW_ANSWERS:
		return read_answers(t, t->v->answers, 0, sink, arg);
	case HOW_WAIT:
		return read_wait(d, t, sink, arg);
	case HOW_TREE:
	case HOW_PARTS:
		return (err = find_directory(t)) ? err : -EISDIR;
	default:
		return -ENOENT;
	}
}

static int read_node(struct gb_job *job, const char *path, desk_sink sink, void *arg)
{
	const struct target t = {.job = job};
	struct gb_answer node;
	int err = find_node(job, path, &node);

	if (!err && node.dir)
		err = -EISDIR;
	return err ? err : read_answers(&t, GB_ANSWERS_NODE, node.number, sink, arg);
}

/* What follows dir and a slash in path, "" at its end; NULL: it is not below dir. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strncmp(path, dir, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path + n + strspn(path + n, "/");
}

/* A reference to the part whose number path begins with; *ret_rest is behind it. */
static int find_part(struct gb_job *job, const char *path, struct gb_job **ret,
	const char **ret_rest)
{
	char *end;
	unsigned long n = strtoul(path, &end, 10);
	struct gb_job *part = NULL;

	if (end == path + PART_DIGITS && (!*end || *end == '/'))
		part = gb_job_part(job, (uint32_t)n);
	*ret_rest = end + strspn(end, "/");
	*ret = part;
	return part ? 0 : -ENOENT;
}

static int read_in_part(
	struct desk *d, struct gb_job *job, const char *path, desk_sink sink, void *arg)
{
	struct target t;
	const char *file;
	int err = find_part(job, path, &t.job, &file);

	if (err)
		return err;
	t.v = vfile_by_name(IN_PART, file);
	err = t.v ? read_file_of_ours(d, &t, sink, arg) : *file ? -ENOENT : -EISDIR;
	gb_job_unref(t.job);
	return err;
}

static int read_of_job(
	struct desk *d, struct gb_job *job, const char *path, desk_sink sink, void *arg)
{
	struct target t = {job, vfile_by_name(IN_JOB, path)};
	const char *rest;

	if (t.v)
		return read_file_of_ours(d, &t, sink, arg);
	if ((rest = below(path, "responses")))
		return read_node(job, rest, sink, arg);
	if ((rest = below(path, "parts")))
		return read_in_part(d, job, rest, sink, arg);
	return read_local(job, path, sink, arg);
}

int direct_read(
	struct desk *d, const char *name, const char *path, desk_sink sink, void *arg)
{
	struct gb_job *job;
	int err;

	if (!strcmp(name, ".batchfs"))
		return read_meta(d, path, sink, arg);
	if ((err = direct_find_job(d, name, &job)))
		return err;
	err = read_of_job(d, job, path, sink, arg);
	gb_job_unref(job);
	return err;
}

/* ---- listing --------------------------------------------------------------------- */

static int list_jobs(struct gb_client *gb, desk_entry fn, void *arg)
{
	struct gb_job *job;
	int err = (int)AWAIT(-1, w, gb_list_refresh(gb, GB_LIST_NEWS, w));

	if (err == -EINTR)
		return err;
	err = 0;
	for (uint32_t slot = 0; !err && (job = gb_job_next(gb, slot));) {
		struct gb_info info;

		gb_job_info(job, &info);
		slot = info.slot + 1;
		err = fn(arg, info.name, true);
		gb_job_unref(job);
	}
	return err;
}

static int list_files(struct gb_job *job, struct gb_file *dir, desk_entry fn, void *arg)
{
	struct gb_file *f;
	int err = 0;

	for (uint32_t at = 0; !err && (f = gb_file_next(job, dir, at));
		gb_file_unref(f)) {
		char name[256];

		at = gb_file_number(f) + 1;
		if (gb_file_name(f, name))
			err = fn(arg, name, gb_file_is_dir(f));
	}
	return err;
}

static int list_top(struct gb_job *job, desk_entry fn, void *arg)
{
	const struct vfile *v;
	struct gb_info info;
	int err = (int)AWAIT(-1, w, gb_answers_look(job, w));

	if (err == -EINTR)
		return err;
	err = 0;
	gb_job_info(job, &info);
	for (uint32_t n = 1; !err && (v = vfile_next(IN_JOB, n)); n = v->number + 1)
		if (vfile_listed(v, &info))
			err = fn(arg, v->name, vfile_is_dir(v));
	return err ? err : list_files(job, NULL, fn, arg);
}

static int list_nodes(struct gb_job *job, const char *path, desk_entry fn, void *arg)
{
	struct gb_answer dir, node;
	int err = find_node(job, path, &dir);

	if (!err && !dir.dir)
		err = -ENOTDIR;
	for (uint32_t at = 0; !err && gb_answer_next(job, dir.number, at, &node);
		at = node.number + 1)
		err = fn(arg, node.name, node.dir);
	return err;
}

static int list_local(struct gb_job *job, const char *path, desk_entry fn, void *arg)
{
	struct gb_file *dir;
	int err = find_file(job, path, &dir);

	if (!err)
		err = gb_file_is_dir(dir) ? list_files(job, dir, fn, arg) : -ENOTDIR;
	gb_file_unref(dir);
	return err;
}

static int list_parts(struct gb_job *job, desk_entry fn, void *arg)
{
	struct gb_job *part;
	int err = 0;

	for (uint32_t n = 1; !err && (part = gb_job_part_next(job, n));
		gb_job_unref(part)) {
		char name[16];
		struct gb_info info;

		gb_part_info(part, &info);
		n = info.part + 1;
		snprintf(name, sizeof(name), "%0*u", PART_DIGITS, info.part);
		err = fn(arg, name, true);
	}
	return err;
}

static int list_part(struct gb_job *job, const char *path, desk_entry fn, void *arg)
{
	const struct vfile *v;
	struct gb_job *part;
	struct gb_info info;
	const char *rest;
	int err = find_part(job, path, &part, &rest);

	if (err)
		return err;
	gb_part_info(part, &info);
	err = *rest ? -ENOTDIR : 0;
	for (uint32_t n = 1; !err && (v = vfile_next(IN_PART, n)); n = v->number + 1)
		if (vfile_listed(v, &info))
			err = fn(arg, v->name, false);
	gb_job_unref(part);
	return err;
}

static int list_of_job(struct gb_job *job, const char *path, desk_entry fn, void *arg)
{
	const struct vfile *v = path ? vfile_by_name(IN_JOB, path) : NULL;
	const char *rest;

	if (!path)
		return list_top(job, fn, arg);
	if (v && !vfile_is_dir(v))
		return -ENOTDIR;
	if ((rest = below(path, "responses")))
		return list_nodes(job, rest, fn, arg);
	if ((rest = below(path, "parts")))
		return *rest ? list_part(job, rest, fn, arg) : list_parts(job, fn, arg);
	return list_local(job, path, fn, arg);
}

int direct_list(
	struct desk *d, const char *name, const char *path, desk_entry fn, void *arg)
{
	struct gb_job *job;
	int err;

	if (!name)
		return list_jobs(direct_of(d)->m.gb, fn, arg);
	if ((err = direct_find_job(d, name, &job)))
		return err;
	err = list_of_job(job, path, fn, arg);
	gb_job_unref(job);
	return err;
}
