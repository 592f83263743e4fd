/* A desk through a mount: the same with open, read and write. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/await.h"
#include "cli/desk.h"
#include "util/util.h"

#define CHUNK (1 << 20)
#define TICK 30 /* every look may be a call of the API */

/* The file `wait` of one job, read by a thread that is never joined: the program
 * ends with it, or the mount. Both have a reference. */
struct reader {
	char *path;
	char *name;
	pthread_mutex_t lock;
	int refs;
	bool over;
	int err;
};

struct mounted {
	char *root;
	struct reader *reader; /* NULL: none */
};

static struct mounted *mounted_of(struct desk *d)
{
	return d->way;
}

/* Malloc'ed. path NULL: the directory. */
static char *at(struct desk *d, const char *name, const char *path)
{
	return format("%s/%s%s%s", mounted_of(d)->root, name, path ? "/" : "",
		path ? path : "");
}

static int mounted_make(struct desk *d, const char *name)
{
	_cleanup_free_ char *path = at(d, name, NULL);

	return !path ? -ENOMEM : mkdir(path, 0777) < 0 ? -errno : 0;
}

static int mounted_remove(struct desk *d, const char *name)
{
	_cleanup_free_ char *path = at(d, name, NULL);

	return !path ? -ENOMEM : rmdir(path) < 0 ? -errno : 0;
}

/* The directories above the last component. */
static int make_above(char *path, size_t from)
{
	for (char *slash = path + from; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		if (mkdir(path, 0777) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int write_all(int fd, const char *buf, size_t n)
{
	for (ssize_t did; n; buf += did, n -= (size_t)did)
		if ((did = write(fd, buf, n)) < 0)
			return -errno;
	return 0;
}

static int copy_through(int from, int to)
{
	_cleanup_free_ char *buf = malloc(CHUNK);
	int err = buf ? 0 : -ENOMEM;
	off_t off = 0;
	ssize_t n = 0;

	while (!err && (n = pread(from, buf, CHUNK, off)) > 0) {
		err = cli_stopped() ? -EINTR : write_all(to, buf, (size_t)n);
		off += n;
	}
	if (!err && n < 0)
		err = -errno;
	return !err && fsync(to) < 0 ? -errno : err;
}

/* O_APPEND: the close of what was opened so submits nothing. */
static int mounted_write(struct desk *d, const char *name, const char *path, int fd)
{
	_cleanup_free_ char *to = at(d, name, path);
	int err = to ? make_above(to, strlen(to) - strlen(path)) : -ENOMEM;

	if (err)
		return err;
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	if (out < 0)
		return -errno;
	err = copy_through(fd, out);
	return close(out) < 0 && !err ? -errno : err;
}

static int mounted_store(
	struct desk *d, const char *name, const char *file, const char *text)
{
	_cleanup_free_ char *path = at(d, name, file);
	_cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int mounted_read(
	struct desk *d, const char *name, const char *path, desk_sink sink, void *arg)
{
	_cleanup_free_ char *from = at(d, name, path), *buf = malloc(CHUNK);
	_cleanup_close_ int fd = from && buf ? open(from, O_RDONLY | O_CLOEXEC) : -1;
	int err = 0;
	ssize_t n = 0;

	if (fd < 0)
		return from && buf ? -errno : -ENOMEM;
	while (!err && (n = read(fd, buf, CHUNK)) > 0)
		err = sink(arg, buf, (size_t)n);
	return !err && n < 0 ? -errno : err;
}

static int mounted_list(
	struct desk *d, const char *name, const char *path, desk_entry fn, void *arg)
{
	_cleanup_free_ char *from = at(d, name ? name : ".", path);
	DIR *dir = from ? opendir(from) : NULL;
	struct dirent *e;
	int err = 0;

	if (!dir)
		return from ? -errno : -ENOMEM;
	while (!err && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			(name || e->d_name[0] != '.'))
			err = fn(arg, e->d_name, e->d_type == DT_DIR);
	closedir(dir);
	return err;
}

static void reader_unref(struct reader *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	bool last = !--r->refs;
	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->path);
	free(r->name);
	free(r);
}

static void *read_wait(void *arg)
{
	struct reader *r = arg;
	int fd = open(r->path, O_RDONLY | O_CLOEXEC);
	char buf[64];
	int err = fd < 0 || read(fd, buf, sizeof(buf)) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	pthread_mutex_lock(&r->lock);
	r->over = true;
	r->err = err;
	pthread_mutex_unlock(&r->lock);
	reader_unref(r);
	return NULL;
}

static int reader_start(struct mounted *m, const char *name, struct reader **ret)
{
	struct reader *r = calloc(1, sizeof(*r));
	pthread_t thread;
	int err;

	if (!r)
		return -ENOMEM;
	*r = (struct reader){.path = format("%s/%s/wait", m->root, name),
		.name = strdup(name),
		.refs = 2};
	pthread_mutex_init(&r->lock, NULL);
	err = r->path && r->name ? -pthread_create(&thread, NULL, read_wait, r)
				 : -ENOMEM;
	if (err) {
		r->refs = 1;
		reader_unref(r);
		return err;
	}
	pthread_detach(thread);
	*ret = r;
	return 0;
}

/* Whether it has read, and with what result. */
static bool reader_over(struct reader *r, int *ret_err)
{
	pthread_mutex_lock(&r->lock);
	bool over = r->over;
	*ret_err = r->err;
	pthread_mutex_unlock(&r->lock);
	return over;
}

static void reader_drop(struct mounted *m)
{
	reader_unref(STEAL_PTR(m->reader));
}

static bool is_alive(const char *root)
{
	_cleanup_free_ char *status = format("%s/.batchfs/status", root);

	return status && !access(status, R_OK);
}

static int wait_slice(struct reader *r, double until, int *ret_err)
{
	while (!reader_over(r, ret_err)) {
		if (cli_stopped())
			return -EINTR;
		if (seconds_now() >= until)
			return -EAGAIN;
		usleep(50000);
	}
	return 0;
}

/* What a mount that ends answers is no end of the job: breathe sees to the rest. */
static int mounted_wait(struct desk *d, const char *name, double seconds)
{
	struct mounted *m = mounted_of(d);
	int err = 0, result = 0;

	if (m->reader && strcmp(m->reader->name, name) != 0)
		reader_drop(m);
	if (!m->reader)
		err = reader_start(m, name, &m->reader);
	if (!err)
		err = wait_slice(m->reader, seconds_now() + seconds, &result);
	if (err)
		return err;
	reader_drop(m); /* the next wait looks anew */
	return result && !is_alive(m->root) ? -EAGAIN : result;
}

/* The mount has an on_end of its own, or none. */
static int mounted_take_end(struct desk *d, const char *name)
{
	return -EALREADY;
}

static int mounted_breathe(struct desk *d)
{
	return is_alive(mounted_of(d)->root) ? 0 : desk_again(d);
}

static void mounted_close(struct desk *d)
{
	struct mounted *m = mounted_of(d);

	reader_drop(m);
	free(m->root);
	free(m);
}

static const struct desk_ops mounted_ops = {mounted_make, mounted_remove, mounted_write,
	mounted_store, mounted_read, mounted_list, mounted_wait,
	mounted_take_end, mounted_breathe, mounted_close};

int desk_mounted_enter(struct desk *d, const char *mountpoint)
{
	struct mounted *m;

	if (!is_alive(mountpoint))
		return -EAGAIN;
	if (!(m = calloc(1, sizeof(*m))) || !(m->root = strdup(mountpoint))) {
		free(m);
		return -ENOMEM;
	}
	d->ops = &mounted_ops;
	d->way = m;
	d->tick = TICK;
	d->shared = true;
	return 0;
}
