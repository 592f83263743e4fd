/* Results: complete files. Publishing one, moving one to another place. */
#include "results/results_private.h"
#include "base/test_point.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK (64 << 10)

/* ---- publishing ---------------------------------------------------------- */

static int sum_all(int fd, struct results_map *m)
{
	uint64_t size = (uint64_t)m->size;
	int err = 0;

	m->n_sums = (size + RESULTS_BLOCK - 1) / RESULTS_BLOCK;
	m->sums = calloc(m->n_sums + 1, sizeof *m->sums);
	if (!m->sums || ranges_add(&m->blocks, 0, size) < 0)
		return -ENOMEM;
	for (size_t b = 0; b < m->n_sums && err == 0; b++) {
		uint64_t lo = b * RESULTS_BLOCK, hi = lo + RESULTS_BLOCK;

		err = copy_sum(fd, lo, hi < size ? hi : size, &m->sums[b]);
	}
	return err;
}

/* The old map is removed first, so that a map is never beside data of another file. */
static int publish_copy(
	int dirfd, const char *tmp, const char *name, struct results_map *m)
{
	_cleanup_free_ char *map = util_format("%s" RESULTS_MAP_SUFFIX, name);
	_cleanup_close_ int fd = copy_open(dirfd, tmp, O_RDWR);
	struct stat st;
	int err;

	if (!map)
		return -ENOMEM;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > RESULTS_MAX)
		return -EFBIG;
	m->size = st.st_size;
	m->sealed = true;
	err = sum_all(fd, m);
	if (err < 0)
		return err;
	if (fsync(fd) < 0 || (unlinkat(dirfd, map, 0) < 0 && errno != ENOENT) ||
		renameat(dirfd, tmp, dirfd, name) < 0)
		return -errno;
	test_point("results-published");
	return results_map_save(dirfd, name, m, true);
}

/* ---- taking what lies there ---------------------------------------------- */

/* Lines of objects begin and end like this; where a disk or a filesystem lost something
 * there are zeros. */
static int read_whole_file(int fd, int64_t size)
{
	char buf[CHUNK], first = 0, last = 0;
	int64_t at = 0;

	while (at < size) {
		ssize_t n = pread(fd, buf, sizeof buf, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		if (memchr(buf, 0, (size_t)n))
			return -EBADMSG;
		if (at == 0)
			first = buf[0];
		last = buf[n - 1];
		at += n;
	}
	return first == '{' && (last == '\n' || last == '}') ? 0 : -EBADMSG;
}

static int open_fitting(int dirfd, const char *name, int64_t size)
{
	_cleanup_close_ int fd = copy_open(dirfd, name, O_RDONLY);
	struct stat st;
	int err = 0;

	if (fd < 0)
		return fd == -ENOENT ? -EBADMSG : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	err = st.st_size == size ? read_whole_file(fd, size) : -EBADMSG;
	return err < 0 ? err : steal_fd(&fd);
}

int results_fits(int dirfd, const char *name, int64_t size)
{
	_cleanup_close_ int fd = open_fitting(dirfd, name, size);

	return fd < 0 ? fd : 0;
}

int results_adopt(int dirfd, const char *name, int64_t size)
{
	_cleanup_close_ int fd = open_fitting(dirfd, name, size);
	struct results_map m = {.size = size, .sealed = true};
	int err = fd < 0 ? fd : sum_all(fd, &m);

	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (err == 0)
		err = results_map_save(dirfd, name, &m, true);
	results_map_clear(&m);
	return err;
}

int results_publish(int dirfd, const char *tmp, const char *name)
{
	struct results_map m = {.size = -1};
	int err = publish_copy(dirfd, tmp, name, &m);

	results_map_clear(&m);
	return err;
}

/* ---- moving -------------------------------------------------------------- */

static bool same_dir(int a, int b)
{
	struct stat sa, sb;

	return a == b || (fstat(a, &sa) == 0 && fstat(b, &sb) == 0 &&
				 sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino);
}

static int copy_run(int from, int to, uint64_t lo, uint64_t hi)
{
	char buf[CHUNK];

	while (lo < hi) {
		size_t want = hi - lo < CHUNK ? (size_t)(hi - lo) : CHUNK;
		ssize_t n = pread(from, buf, want, (off_t)lo);
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		err = util_pwrite_all(to, buf, (size_t)n, (off_t)lo);
		if (err < 0)
			return err;
		lo += (uint64_t)n;
	}
	return 0;
}

/* Frozen: what is local only changes by what readers verify. */
static int copy_data(struct gb_results *r, int from, int to)
{
	uint64_t lo, hi = 0;
	int err = 0;

	pthread_mutex_lock(&r->lock);
	while (err == 0 && (lo = results_local_next(r, hi)) != NO_END) {
		hi = results_local_end(r, lo);
		pthread_mutex_unlock(&r->lock);
		err = copy_run(from, to, lo, hi);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	if (err == 0 && fdatasync(to) < 0)
		err = -errno;
	return err;
}

/* Copy to another filesystem, under a temporary name first. */
static int copy_over(struct gb_results *r, int from, int dirfd, const char *name)
{
	char tmp[UTIL_TMP_NAME_MAX] = UTIL_TMP_PREFIX;
	_cleanup_close_ int fd = -1;
	int err;

	util_random_hex(tmp + sizeof UTIL_TMP_PREFIX - 1, 8);
	fd = copy_open(dirfd, tmp, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	err = copy_data(r, from, fd);
	if (err == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		err = -errno;
	if (err < 0) {
		unlinkat(dirfd, tmp, 0);
		return err;
	}
	/* Readers of the old descriptor may go on using it. */
	pthread_mutex_lock(&r->lock);
	r->old_fds[r->n_old_fds++] = r->fd;
	r->fd = steal_fd(&fd);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

/* Lock held but while waiting. The data file's descriptor, pinned. */
static int freeze(struct gb_results *r)
{
	r->pins++;
	r->frozen = true;
	stream_stop_all(r);
	while (r->streams)
		pthread_cond_wait(&r->idle, &r->lock);
	return r->n_old_fds == MAX_OLD_FDS ? -EBUSY : copy_fd(r);
}

static void thaw(struct gb_results *r)
{
	struct after a;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	r->frozen = false;
	r->pins--;
	stream_plan(r, &a);
	copy_idle(r);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
}

/* A directory, the object's own or to become so, and a name in it. */
struct place {
	int dirfd;
	char *name;
};

/* From now on the object is there, and p is its former place. Lock held. */
static void take_place(struct gb_results *r, struct place *p)
{
	struct place old = {r->dirfd, r->name};

	r->dirfd = p->dirfd;
	r->name = p->name;
	*p = old;
}

/* p: in, where to; out, where it was. */
static int move_data(struct gb_results *r, struct place *p)
{
	int err = 0;

	pthread_mutex_lock(&r->lock);
	if (renameat(r->dirfd, r->name, p->dirfd, p->name) == 0 || errno == ENOENT)
		take_place(r, p);
	else
		err = -errno;
	if (err != -EXDEV) {
		pthread_mutex_unlock(&r->lock);
		return err;
	}
	err = freeze(r);
	pthread_mutex_unlock(&r->lock);
	if (err >= 0)
		err = copy_over(r, err, p->dirfd, p->name);
	if (err == 0) {
		pthread_mutex_lock(&r->lock);
		take_place(r, p);
		pthread_mutex_unlock(&r->lock);
	}
	thaw(r);
	return err;
}

static int save_map_at(struct gb_results *r, int dirfd, const char *name)
{
	_cleanup_free_ char *map = util_format("%s" RESULTS_MAP_SUFFIX, name);
	_cleanup_free_ char *text = NULL;
	size_t n;
	int err;

	if (!map)
		return -ENOMEM;
	pthread_mutex_lock(&r->lock);
	err = r->changed ? -EIO : copy_format_map(r, r->sealed, &text, &n);
	pthread_mutex_unlock(&r->lock);
	return err < 0 ? err : util_write_file(dirfd, map, text, n, true);
}

/* The map is written there first: alone it means nothing, and once the data has
 * followed they belong together. So no crash loses what was sealed. */
static int rehome(struct gb_results *r, int dirfd, struct place *p)
{
	_cleanup_free_ char *old_map = NULL;
	int err = save_map_at(r, dirfd, p->name);

	if (err == 0)
		err = move_data(r, p);
	if (err == 0)
		err = util_sync_dir(dirfd);
	test_point("results-moved");
	if (err < 0)
		return err;
	old_map = util_format("%s" RESULTS_MAP_SUFFIX, p->name);
	unlinkat(p->dirfd, p->name, 0);
	if (old_map)
		unlinkat(p->dirfd, old_map, 0);
	return util_sync_dir(p->dirfd);
}

int results_rehome(struct gb_results *r, int dirfd, const char *name)
{
	struct place p;
	int err = 0;

	if (strchr(name, '/'))
		return -EINVAL;
	p = (struct place){util_dup(dirfd), strdup(name)};
	pthread_mutex_lock(&r->save_lock);
	if (p.dirfd < 0 || !p.name)
		err = p.dirfd < 0 ? p.dirfd : -ENOMEM;
	else if (!same_dir(r->dirfd, dirfd) || strcmp(r->name, name) != 0)
		err = rehome(r, dirfd, &p);
	pthread_mutex_unlock(&r->save_lock);
	util_closep(&p.dirfd);
	free(p.name);
	return err;
}
