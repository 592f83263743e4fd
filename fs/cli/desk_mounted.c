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

struct mounted {
	struct desk desk;
	char *root;
	/* The file `wait` of one job, read by a thread that is never joined: the program
	 * ends with it. */
	char *waits_for;
	pthread_mutex_t lock;
	bool over;
	int err;
};

static struct mounted *mounted_of(struct desk *d)
{
	return CONTAINER_OF(d, struct mounted, desk);
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

static int mounted_read(struct desk *d, const char *name, const char *path,
	desk_sink sink, void *arg)
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

static int mounted_list(struct desk *d, const char *name, const char *path,
	desk_entry fn, void *arg)
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

static void *read_wait(void *arg)
{
	struct mounted *m = arg;
	_cleanup_free_ char *path = format("%s/%s/wait", m->root, m->waits_for);
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char buf[64];
	int err = fd < 0 || read(fd, buf, sizeof(buf)) < 0 ? -errno : 0;

	pthread_mutex_lock(&m->lock);
	m->over = true;
	m->err = err;
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static int start_waiting(struct mounted *m, const char *name)
{
	pthread_t thread;
	int err;

	if (m->waits_for && !strcmp(m->waits_for, name))
		return 0;
	free(m->waits_for);
	m->over = false;
	m->waits_for = strdup(name);
	err = m->waits_for ? -pthread_create(&thread, NULL, read_wait, m) : -ENOMEM;
	if (!err)
		pthread_detach(thread);
	return err;
}

static int mounted_wait(struct desk *d, const char *name, double seconds)
{
	struct mounted *m = mounted_of(d);
	double until = await_now() + seconds;
	int err = start_waiting(m, name);
	bool over = false;

	while (!err && !over) {
		pthread_mutex_lock(&m->lock);
		over = m->over;
		err = over ? m->err : 0;
		pthread_mutex_unlock(&m->lock);
		if (!over && cli_stopped())
			err = -EINTR;
		else if (!over && seconds >= 0 && await_now() >= until)
			err = -EAGAIN;
		else if (!over)
			usleep(50000);
	}
	if (over) /* the next wait looks anew */
		free(STEAL_PTR(m->waits_for));
	return err;
}

static int mounted_breathe(struct desk *d)
{
	return 0;
}

/* What a thread still reads lives as long as the program. */
static void mounted_close(struct desk *d)
{
	struct mounted *m = mounted_of(d);

	if (m->waits_for)
		return;
	free(m->root);
	free(m);
}

static const struct desk_ops mounted_ops = {mounted_make, mounted_remove, mounted_write,
	mounted_store, mounted_read, mounted_list, mounted_wait, mounted_breathe,
	mounted_close};

int desk_mounted_new(const char *mountpoint, struct desk **ret)
{
	_cleanup_free_ char *status = format("%s/.batchfs/status", mountpoint);
	struct mounted *m;

	if (!status || access(status, R_OK) < 0) {
		cli_say("the state directory is in use by a mount on %s, which cannot be "
			"used from here: %s",
			mountpoint, strerror(errno));
		return -EBUSY;
	}
	if (!(m = calloc(1, sizeof(*m))) || !(m->root = strdup(mountpoint))) {
		free(m);
		return -ENOMEM;
	}
	m->desk = (struct desk){&mounted_ops, .tick = TICK};
	pthread_mutex_init(&m->lock, NULL);
	*ret = &m->desk;
	return 0;
}
