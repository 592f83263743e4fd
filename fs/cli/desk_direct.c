/* A desk by gembatch itself. What a file of a job is and says comes from the tables that
 * the mount has (virtual_files.h). */
#include <errno.h>
#include <string.h>

#include "cli/await.h"
#include "cli/desk.h"
#include "cli/turns.h"
#include "virtual/virtual_files.h"

#define CHUNK (1 << 20)
#define OWN_TURN 3.0     /* seconds for which it is kept, whoever wants it */
#define REMOVING 30.0    /* seconds for which a removal that was accepted is watched */
#define SETTLE -1.0

struct direct {
	struct desk desk;
	const struct cli_place *place;
	struct mount m;      /* without a session: what the tables want */
	double since;        /* the turn began */
};

static struct direct *direct_of(struct desk *d)
{
	return CONTAINER_OF(d, struct direct, desk);
}

/* ---- jobs --------------------------------------------------------------------------- */

/* A reference; -ENOENT. What is not known is looked for in a fresh list. */
static int find_job(struct direct *d, const char *name, struct gb_job **ret)
{
	struct gb_client *gb = d->m.gb;
	struct gb_job *job = gb_job_by_name(gb, name);
	int err = 0;

	if (!job)
		err = (int)AWAIT(-1, w, gb_list_refresh(gb, GB_LIST_FRESH, w));
	if (!job && err == -EINTR)
		return err;
	if (!job)
		job = gb_job_by_name(gb, name);
	if (!job)
		job = gb_job_by_id(gb, name);
	*ret = job;
	return job ? 0 : -ENOENT;
}

static int direct_make(struct desk *desk, const char *name)
{
	struct direct *d = direct_of(desk);
	struct gb_job *job = NULL;
	int listed = (int)AWAIT(-1, w, gb_list_refresh(d->m.gb, GB_LIST_FRESH, w));
	int err = listed == -EINTR ? listed
				   : gb_draft_create(d->m.gb, name, !listed, &job);

	gb_job_unref(job);
	return err;
}

/* The first step has been accepted; the others follow while somebody has the state
 * directory open. */
static void watch_removal(struct direct *d, struct gb_job *job)
{
	double until = await_now() + REMOVING;
	struct gb_info info;

	do {
		usleep(20000);
		gb_job_info(job, &info);
	} while (info.removing && await_now() < until && !cli_stopped());
}

static int direct_remove(struct desk *desk, const char *name)
{
	struct direct *d = direct_of(desk);
	struct gb_job *job;
	int err = find_job(d, name, &job);

	if (err)
		return err;
	err = (int)AWAIT(-1, w, gb_remove(job, w));
	if (!err)
		watch_removal(d, job);
	gb_job_unref(job);
	return err;
}

static int direct_wait(struct desk *desk, const char *name, double seconds)
{
	struct direct *d = direct_of(desk);
	struct gb_job *job;
	int err = find_job(d, name, &job);

	if (err)
		return err;
	err = (int)AWAIT(seconds, w, gb_job_wait(job, w));
	gb_job_unref(job);
	return err;
}

/* ---- writing ------------------------------------------------------------------------- */

/* One component of the path, made if it is not there. */
static int step_into(struct gb_job *job, struct gb_file **dir, const char *name)
{
	struct gb_file *next = gb_file_by_name(job, *dir, name);
	int err = next ? 0 : gb_file_mkdir(job, *dir, name, &next);

	if (err)
		return err;
	gb_file_unref(*dir);
	*dir = next;
	return gb_file_is_dir(next) ? 0 : -ENOTDIR;
}

/* The directory of path in *ret (NULL: the top), its last component in *ret_name. */
static int walk(struct gb_job *job, char *path, struct gb_file **ret, char **ret_name)
{
	char *slash;
	int err = 0;

	*ret = NULL;
	for (; !err && (slash = strchr(path, '/')); path = slash + 1) {
		*slash = '\0';
		err = step_into(job, ret, path);
	}
	*ret_name = path;
	return err;
}

static int copy_in(struct gb_file *f, int fd)
{
	_cleanup_free_ char *buf = malloc(CHUNK);
	off_t at = 0;
	ssize_t n = buf ? 1 : -ENOMEM;
	int err = buf ? gb_file_truncate(f, 0) : -ENOMEM;

	while (!err && (n = pread(fd, buf, CHUNK, at)) > 0) {
		err = cli_stopped() ? -EINTR : gb_file_write(f, buf, (size_t)n, at);
		at += n;
	}
	if (!err && n < 0)
		err = -errno;
	/* What was cut short must not pass for complete. */
	if (err)
		gb_file_taint(f, "not submitted: writing it was interrupted");
	gb_file_settle(f);
	return err ? err : (int)AWAIT(-1, w, gb_file_sync(f, w));
}

static int direct_write(struct desk *desk, const char *name, const char *path, int fd)
{
	struct gb_file *dir = NULL, *f = NULL;
	_cleanup_free_ char *copy = strdup(path);
	struct gb_job *job = NULL;
	char *last;
	int err = copy ? find_job(direct_of(desk), name, &job) : -ENOMEM;

	if (!err)
		err = walk(job, copy, &dir, &last);
	if (!err)
		err = gb_file_create(job, dir, last, false, &f);
	if (!err)
		err = copy_in(f, fd);
	gb_file_unref(f);
	gb_file_unref(dir);
	gb_job_unref(job);
	return err;
}

static int direct_store(
	struct desk *desk, const char *name, const char *file, const char *text)
{
	struct direct *d = direct_of(desk);
	const struct vfile *v = vfile_by_name(true, file);
	struct gb_job *job;
	int err = v && v->store ? find_job(d, name, &job) : -EOPNOTSUPP;

	if (err)
		return err;
	err = (int)AWAIT(-1, w, v->store(&d->m, job, text, w));
	while (err == -EINTR && AWAIT(SETTLE, w, gb_job_left(job, w)) == -EINPROGRESS)
		;
	gb_job_unref(job);
	return err;
}

/* ---- reading ------------------------------------------------------------------------- */

static int read_text(struct direct *d, const struct vfile *v, struct gb_job *job,
	desk_sink sink, void *arg)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int err = v->refresh ? (int)AWAIT(-1, w, v->refresh(job, w)) : 0;

	if (err == -EINTR)
		return err;
	if ((err = vfile_text(&d->m, v, job, &text, &n)))
		return err;
	return n ? sink(arg, text, n) : 0;
}

/* Where the bytes of a large file come from: what is there, and waiting for the rest. */
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
	_cleanup_free_ char *buf = malloc(CHUNK);
	uint64_t off = 0;
	int err = buf ? 0 : -ENOMEM;

	while (!err) {
		struct await a;
		struct gb_waiter *w = await_begin(&a);
		ssize_t n = large_read(l, buf, CHUNK, off, w);
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

static int read_results(struct gb_job *job, desk_sink sink, void *arg)
{
	struct large l = {0};
	int err = gb_results_open(job, &l.results);

	if (err == -EINPROGRESS && !(err = (int)AWAIT(-1, w, gb_save_results(job, w))))
		err = gb_results_open(job, &l.results);
	if (err)
		return err;
	err = read_large(&l, sink, arg);
	gb_results_close(l.results);
	return err;
}

/* The results are saved first if they are not. */
static int open_answers(struct gb_job *job, struct gb_answers **ret)
{
	int err;

	do {
		*ret = NULL;
		err = (int)AWAIT(-1, w, gb_answers_open(job, w, ret));
	} while (!err && !*ret);
	return err;
}

static int read_answers(struct gb_job *job, enum gb_answers_file what, uint32_t node,
	desk_sink sink, void *arg)
{
	struct large l = {.what = what, .node = node};
	int err = open_answers(job, &l.answers);

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
	int err = open_answers(job, &a);

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
	_cleanup_free_ char *buf = malloc(CHUNK);
	int err = buf ? 0 : -ENOMEM;
	off_t at = 0;
	ssize_t n = 0;

	while (!err && (n = pread(fd, buf, CHUNK, at)) > 0) {
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

static int read_meta(struct direct *d, const char *file, desk_sink sink, void *arg)
{
	const struct vfile *v = vfile_by_name(false, file);
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int err = 0;

	if (!v)
		return -ENOENT;
	if (v->how == HOW_HISTORY)
		return read_fd(gb_history_fd(d->m.gb), sink, arg);
	if (v->first_look)
		err = (int)AWAIT(-1, w, gb_list_refresh(d->m.gb, GB_LIST_NEWS, w));
	if (v->how == HOW_MODELS)
		err = (int)AWAIT(-1, w, gb_models(d->m.gb, w, &text));
	free(STEAL_PTR(text));
	if (err == -EINTR)
		return err;
	if ((err = vfile_text(&d->m, v, NULL, &text, &n)))
		return err;
	return n ? sink(arg, text, n) : 0;
}

#define RESPONSES "responses/"

static int read_of_job(struct direct *d, struct gb_job *job, const char *path,
	desk_sink sink, void *arg)
{
	const struct vfile *v = vfile_by_name(true, path);
	struct gb_answer node;
	int err;

	if (!strncmp(path, RESPONSES, strlen(RESPONSES))) {
		err = find_node(job, path + strlen(RESPONSES), &node);
		return err	  ? err
		       : node.dir ? -EISDIR
				  : read_answers(job, GB_ANSWERS_NODE, node.number, sink,
					    arg);
	}
	if (!v)
		return read_local(job, path, sink, arg);
	switch (v->how) {
	case HOW_TEXT:
		return read_text(d, v, job, sink, arg);
	case HOW_RESULTS:
		return read_results(job, sink, arg);
	case HOW_ANSWERS:
		return read_answers(job, v->answers, 0, sink, arg);
	case HOW_WAIT:
		err = (int)AWAIT(-1, w, gb_job_wait(job, w));
		return err ? err
			   : read_text(d, vfile_by_name(true, "state"), job, sink, arg);
	case HOW_TREE:
		return -EISDIR;
	default:
		return -ENOENT;
	}
}

static int direct_read(struct desk *desk, const char *name, const char *path,
	desk_sink sink, void *arg)
{
	struct direct *d = direct_of(desk);
	struct gb_job *job;
	int err;

	if (!strcmp(name, ".batchfs"))
		return read_meta(d, path, sink, arg);
	if ((err = find_job(d, name, &job)))
		return err;
	err = read_of_job(d, job, path, sink, arg);
	gb_job_unref(job);
	return err;
}

/* ---- listing ------------------------------------------------------------------------- */

static int list_jobs(struct direct *d, desk_entry fn, void *arg)
{
	struct gb_job *job;
	int err = (int)AWAIT(-1, w, gb_list_refresh(d->m.gb, GB_LIST_NEWS, w));

	if (err == -EINTR)
		return err;
	err = 0;
	for (uint32_t slot = 0; !err && (job = gb_job_next(d->m.gb, slot));) {
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

	for (uint32_t at = 0; !err && (f = gb_file_next(job, dir, at)); gb_file_unref(f)) {
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
	for (uint32_t n = 1; !err && (v = vfile_next(true, n)); n = v->number + 1)
		if (vfile_listed(v, &info))
			err = fn(arg, v->name, v->how == HOW_TREE);
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

static int direct_list(struct desk *desk, const char *name, const char *path,
	desk_entry fn, void *arg)
{
	struct direct *d = direct_of(desk);
	struct gb_job *job;
	int err;

	if (!name)
		return list_jobs(d, fn, arg);
	if ((err = find_job(d, name, &job)))
		return err;
	if (!path)
		err = list_top(job, fn, arg);
	else if (!strncmp(path, "responses", strlen("responses")))
		err = list_nodes(job, path + strlen("responses"), fn, arg);
	else
		err = list_local(job, path, fn, arg);
	gb_job_unref(job);
	return err;
}

/* ---- the state directory's turns ------------------------------------------------------- */

static int direct_breathe(struct desk *desk)
{
	struct direct *d = direct_of(desk);
	_cleanup_free_ char *mount = NULL, *why = NULL;

	if (await_now() - d->since < OWN_TURN || !turns_wanted(d->place->o))
		return 0;
	gb_close(STEAL_PTR(d->m.gb));
	int err = turns_open(d->place, &d->m.gb, &mount, &why);
	d->since = await_now();
	if (err == -EREMOTE)
		cli_say("%s has been mounted meanwhile and looks after the job: run "
			"the same command again to work through it",
			mount);
	else if (err && err != -EINTR)
		cli_say("%s", why ? why : strerror(-err));
	return err;
}

static void direct_close(struct desk *desk)
{
	struct direct *d = direct_of(desk);

	gb_close(d->m.gb);
	free(d);
}

static const struct desk_ops direct_ops = {direct_make, direct_remove, direct_write,
	direct_store, direct_read, direct_list, direct_wait, direct_breathe, direct_close};

int desk_direct_new(
	const struct cli_place *place, struct gb_client *gb, struct desk **ret)
{
	struct direct *d = calloc(1, sizeof(*d));

	if (!d) {
		gb_close(gb);
		return -ENOMEM;
	}
	*d = (struct direct){.desk = {&direct_ops, .tick = 1}, .place = place,
		.m = {.o = place->o, .gb = gb}, .since = await_now()};
	clock_gettime(CLOCK_REALTIME, &d->m.started); /* wall: shown */
	*ret = &d->desk;
	return 0;
}
