/* Results: the local copy. Data file, map, checksums, moving. */
#include "results_private.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK (64 << 10)
#define ASIDE_SUFFIX ".aside"

/* ---- files
 * ------------------------------------------------------------------------------ */

static int open_data(int dirfd, const char *name, int flags)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? steal_fd(&fd) : -EBADMSG;
}

int disk_fd(struct gb_results *r)
{
	if (r->fd >= 0)
		return r->fd;
	r->fd = open_data(r->dirfd, r->name, O_RDWR | O_CREAT);
	if (r->fd == -EROFS || r->fd == -EACCES)
		r->fd = open_data(r->dirfd, r->name, O_RDONLY);
	return r->fd;
}

/* Rename NAME to NAME.aside, where it counts as garbage; the map is of no use. */
static int set_aside(struct gb_results *r)
{
	_cleanup_free_ char *map = util_format("%s" RESULTS_MAP_SUFFIX, r->name);
	_cleanup_free_ char *aside = util_format("%s" ASIDE_SUFFIX, r->name);

	if (!map || !aside)
		return -ENOMEM;
	if ((unlinkat(r->dirfd, map, 0) < 0 && errno != ENOENT) ||
		(renameat(r->dirfd, r->name, r->dirfd, aside) < 0 && errno != ENOENT))
		return -errno;
	return 0;
}

void disk_close(struct gb_results *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	while (r->n_old_fds > 0)
		close(r->old_fds[--r->n_old_fds]);
}

static void forget(struct gb_results *r)
{
	ranges_clear(&r->have);
	ranges_clear(&r->summed);
	r->size = -1;
	r->resume = NO_END;
	r->no_length = r->no_ranges = r->rotten = false;
	r->sealed = r->dirty = r->filled = false;
	r->tries = 0;
}

void disk_idle(struct gb_results *r)
{
	if (r->readers > 0 || r->pins > 0 || r->streams || r->fetching)
		return;
	disk_close(r);
	if (!r->changed || r->renewed || set_aside(r) < 0)
		return;
	forget(r);
	r->changed = false;
	r->renewed = true;
}

/* ---- the map
 * -------------------------------------------------------------------------------- */

static void take_map(struct gb_results *r, struct results_map *m)
{
	r->size = m->size;
	r->sealed = m->sealed;
	r->no_length = m->no_length;
	r->summed = m->blocks;
	r->sums = m->sums;
	r->n_sums = m->n_sums;
	r->filled = results_is_complete(r);
	m->blocks = (struct ranges){0};
	m->sums = NULL;
}

int disk_load(struct gb_results *r)
{
	struct results_map m;
	int err = results_map_load(r->dirfd, r->name, &m);

	if (err == -ENOMEM)
		return err;
	if (err < 0)
		return 0;
	if (r->file && m.file[0] && strcmp(r->file, m.file) != 0)
		err = set_aside(r);
	else
		take_map(r, &m);
	results_map_clear(&m);
	return err;
}

static int format_map(struct gb_results *r, bool sealed, char **ret, size_t *ret_len)
{
	struct results_map m = {.size = r->size,
		.sealed = sealed,
		.no_length = r->no_length,
		.blocks = r->summed,
		.sums = r->sums};

	if (r->file)
		strncpy(m.file, r->file, sizeof m.file - 1);
	return results_map_format(&m, ret, ret_len);
}

/* save_lock is held. */
static int save(struct gb_results *r, bool sealed)
{
	_cleanup_free_ char *path = util_format("%s" RESULTS_MAP_SUFFIX, r->name);
	_cleanup_free_ char *text = NULL;
	size_t n;
	int err;

	if (!path)
		return -ENOMEM;
	pthread_mutex_lock(&r->lock);
	err = r->changed ? -EIO : format_map(r, sealed, &text, &n);
	if (err == 0)
		r->dirty = false;
	pthread_mutex_unlock(&r->lock);
	if (err == 0)
		err = util_write_file(r->dirfd, path, text, n, sealed);
	pthread_mutex_lock(&r->lock);
	if (err < 0)
		r->dirty = true;
	else if (sealed)
		r->sealed = !r->dirty;
	pthread_mutex_unlock(&r->lock);
	return err;
}

int disk_save(struct gb_results *r, bool sealed)
{
	int err;

	pthread_mutex_lock(&r->save_lock);
	err = save(r, sealed);
	pthread_mutex_unlock(&r->save_lock);
	return err;
}

/* A map's time is when its file was last used: results_trim goes by it. */
static void touch(struct gb_results *r)
{
	_cleanup_free_ char *path = util_format("%s" RESULTS_MAP_SUFFIX, r->name);

	if (path)
		utimensat(r->dirfd, path, NULL, AT_SYMLINK_NOFOLLOW);
}

void disk_save_lazily(struct gb_results *r)
{
	bool dirty;

	if (pthread_mutex_trylock(&r->save_lock) != 0)
		return;
	pthread_mutex_lock(&r->lock);
	dirty = r->dirty && !r->changed;
	pthread_mutex_unlock(&r->lock);
	if (!dirty)
		touch(r);
	else
		save(r, false);
	pthread_mutex_unlock(&r->save_lock);
}

/* ---- checksums
 * --------------------------------------------------------------------------------- */

/* CRC of bytes [lo, hi) of fd; -EIO when it is shorter. */
static int sum_file(int fd, uint64_t lo, uint64_t hi, uint32_t *ret)
{
	char buf[CHUNK];
	uint32_t crc = 0;

	while (lo < hi) {
		size_t want = hi - lo < CHUNK ? (size_t)(hi - lo) : CHUNK;
		ssize_t n = pread(fd, buf, want, (off_t)lo);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		crc = util_crc32c(crc, buf, (size_t)n);
		lo += (uint64_t)n;
	}
	*ret = crc;
	return 0;
}

static int grow_sums(struct gb_results *r, size_t n)
{
	uint32_t *sums;
	size_t want = n;

	if (n <= r->n_sums)
		return 0;
	if (r->size >= 0)
		want = ((uint64_t)r->size + RESULTS_BLOCK - 1) / RESULTS_BLOCK;
	else if (want < r->n_sums * 2)
		want = r->n_sums * 2;
	sums = reallocarray(r->sums, want, sizeof *sums);
	if (!sums)
		return -ENOMEM;
	r->sums = sums;
	r->n_sums = want;
	return 0;
}

int disk_sum_block(struct gb_results *r, uint64_t hi, const uint32_t *crc, bool written)
{
	size_t b = (hi - 1) / RESULTS_BLOCK;
	uint64_t lo = b * RESULTS_BLOCK;
	uint32_t sum;
	int err = 0;

	if (ranges_end(&r->summed, lo) >= hi)
		return crc && *crc != r->sums[b] ? -ESTALE : 0;
	if (ranges_end(&r->have, lo) < hi)
		return -ENODATA;
	if (crc && written)
		sum = *crc;
	else
		err = sum_file(r->fd, lo, hi, &sum);
	if (err == 0 && crc && *crc != sum)
		return -ESTALE;
	if (err == 0)
		err = grow_sums(r, b + 1);
	if (err < 0)
		return err;
	r->sums[b] = sum;
	r->dirty = true;
	return ranges_add(&r->summed, lo, hi) < 0 ? -ENOMEM : 0;
}

/* Check block [lo, hi) of an earlier run: then it is readable, or it never was. */
static int verify(struct gb_results *r, uint64_t lo, uint64_t hi)
{
	uint32_t sum = 0, want = r->sums[lo / RESULTS_BLOCK];
	int fd = disk_fd(r), err = fd;

	if (fd < 0)
		return fd;
	r->pins++;
	pthread_mutex_unlock(&r->lock);
	err = sum_file(fd, lo, hi, &sum);
	pthread_mutex_lock(&r->lock);
	r->pins--;
	if (err == -ENOMEM || r->changed)
		return err;
	if (ranges_end(&r->summed, lo) < hi)
		return 0;
	if (err == 0 && sum == want)
		return ranges_add(&r->have, lo, hi) < 0 ? -ENOMEM : 0;
	ranges_remove(&r->summed, lo, hi);
	r->rotten = r->dirty = true;
	r->sealed = r->filled = false;
	return 0;
}

uint64_t disk_readable(struct gb_results *r, uint64_t off, uint64_t hi)
{
	for (;;) {
		uint64_t end = ranges_end(&r->have, off);
		uint64_t lo = end / RESULTS_BLOCK * RESULTS_BLOCK;
		uint64_t block_end = results_block_end(r, end);

		if (end >= hi)
			return hi;
		if (r->changed || ranges_end(&r->summed, lo) < block_end ||
			verify(r, lo, block_end) < 0)
			return end;
	}
}

/* ---- for workers
 * -------------------------------------------------------------------------------- */

/* Every block readable and summed; 0 or -EAGAIN. Lock held. */
static int check_all(struct gb_results *r)
{
	uint64_t size = (uint64_t)r->size;

	if (!results_is_complete(r) || disk_readable(r, 0, size) < size)
		return -EAGAIN;
	for (uint64_t off = 0; off < size;) {
		int err;

		off = results_block_end(r, off);
		err = disk_sum_block(r, off, NULL, false);
		if (err < 0)
			return err;
	}
	return 0;
}

static int sync_data(int fd, int64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || (st.st_size > size && ftruncate(fd, size) < 0) ||
		fdatasync(fd) < 0)
		return -errno;
	return 0;
}

int results_seal(struct gb_results *r)
{
	bool sealed;
	int64_t size;
	int err, fd = -1;

	pthread_mutex_lock(&r->lock);
	size = r->size;
	sealed = r->sealed && results_is_complete(r);
	r->pins++;
	err = sealed ? 0 : check_all(r);
	if (err == 0 && !sealed)
		err = fd = disk_fd(r);
	pthread_mutex_unlock(&r->lock);
	if (err >= 0 && !sealed)
		err = sync_data(fd, size);
	if (err >= 0 && !sealed)
		err = disk_save(r, true);
	pthread_mutex_lock(&r->lock);
	r->pins--;
	disk_idle(r);
	pthread_mutex_unlock(&r->lock);
	return err < 0 ? err : 0;
}

bool results_sealed(int dirfd, const char *name, int64_t *ret_size)
{
	struct results_map m;

	if (results_map_load_head(dirfd, name, &m) < 0 || !m.sealed)
		return false;
	*ret_size = m.size;
	return true;
}

/* ---- publishing
 * -----------------------------------------------------------------------------------
 */

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

		err = sum_file(fd, lo, hi < size ? hi : size, &m->sums[b]);
	}
	return err;
}

/* The old map goes first: at no time does a map stand beside data it is not of. */
static int publish(int dirfd, const char *tmp, const char *name, struct results_map *m)
{
	_cleanup_free_ char *map = util_format("%s" RESULTS_MAP_SUFFIX, name);
	_cleanup_close_ int fd = open_data(dirfd, tmp, O_RDWR);
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
	return results_map_save(dirfd, name, m, true);
}

int results_publish(int dirfd, const char *tmp, const char *name)
{
	struct results_map m = {.size = -1};
	int err = publish(dirfd, tmp, name, &m);

	results_map_clear(&m);
	return err;
}

/* ---- moving
 * ------------------------------------------------------------------------------------------
 */

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
	fd = open_data(dirfd, tmp, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	err = copy_data(r, from, fd);
	if (err == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		err = -errno;
	if (err < 0) {
		unlinkat(dirfd, tmp, 0);
		return err;
	}
	/* Readers of the old descriptor may go on with it until they have gone. */
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
	return r->n_old_fds == MAX_OLD_FDS ? -EBUSY : disk_fd(r);
}

static void thaw(struct gb_results *r)
{
	struct after a;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	r->frozen = false;
	r->pins--;
	stream_plan(r, &a);
	disk_idle(r);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
}

/* From now on the object lives there. Lock held. Returns the old name. */
static char *take_place(struct gb_results *r, int dirfd, char **name)
{
	char *old = r->name;

	r->dirfd = dirfd;
	r->name = STEAL_PTR(*name);
	return old;
}

static int move_data(struct gb_results *r, int dirfd, char **name, char **ret_old)
{
	int err = 0;

	pthread_mutex_lock(&r->lock);
	if (renameat(r->dirfd, r->name, dirfd, *name) == 0 || errno == ENOENT)
		*ret_old = take_place(r, dirfd, name);
	else
		err = -errno;
	if (err != -EXDEV) {
		pthread_mutex_unlock(&r->lock);
		return err;
	}
	err = freeze(r);
	pthread_mutex_unlock(&r->lock);
	if (err >= 0)
		err = copy_over(r, err, dirfd, *name);
	if (err == 0) {
		pthread_mutex_lock(&r->lock);
		*ret_old = take_place(r, dirfd, name);
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
	err = r->changed ? -EIO : format_map(r, r->sealed, &text, &n);
	pthread_mutex_unlock(&r->lock);
	return err < 0 ? err : util_write_file(dirfd, map, text, n, true);
}

/* The map is written there first: alone it means nothing, and once the data has
 * followed they belong together. So no crash loses what was sealed. */
static int rehome(struct gb_results *r, int dirfd, const char *name)
{
	_cleanup_free_ char *copy = strdup(name), *old = NULL, *old_map = NULL;
	int err, old_dirfd = r->dirfd;

	if (!copy)
		return -ENOMEM;
	if (same_dir(r->dirfd, dirfd) && strcmp(r->name, name) == 0) {
		pthread_mutex_lock(&r->lock);
		r->dirfd = dirfd;
		pthread_mutex_unlock(&r->lock);
		return 0;
	}
	err = save_map_at(r, dirfd, name);
	if (err == 0)
		err = move_data(r, dirfd, &copy, &old);
	if (err == 0)
		err = util_sync_dir(dirfd);
	if (err < 0)
		return err;
	old_map = util_format("%s" RESULTS_MAP_SUFFIX, old);
	unlinkat(old_dirfd, old, 0);
	if (old_map)
		unlinkat(old_dirfd, old_map, 0);
	return util_sync_dir(old_dirfd);
}

int results_rehome(struct gb_results *r, int dirfd, const char *name)
{
	int err;

	if (strchr(name, '/'))
		return -EINVAL;
	pthread_mutex_lock(&r->save_lock);
	err = rehome(r, dirfd, name);
	pthread_mutex_unlock(&r->save_lock);
	return err;
}
