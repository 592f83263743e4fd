/* Results: the local copy. Data file, map, checksums, making it durable. */
#include "results/results_private.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK (64 << 10)
#define ASIDE_SUFFIX ".aside"

/* ---- files --------------------------------------------------------------- */

int copy_open(int dirfd, const char *name, int flags)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? steal_fd(&fd) : -EBADMSG;
}

/* The bytes [lo, hi) are not there, contrary to what was assumed. */
static void copy_lose(struct gb_results *r, uint64_t lo, uint64_t hi)
{
	ranges_remove(&r->have, lo, hi);
	ranges_remove(&r->summed, lo / RESULTS_BLOCK * RESULTS_BLOCK, hi);
	r->rotten = r->damaged = r->dirty = true;
	r->sealed = r->filled = false;
	r->kept &= results_local_next(r, 0) != NO_END;
}

static int open_data(struct gb_results *r, int create)
{
	int fd = copy_open(r->dirfd, r->name, O_RDWR | create);

	return fd == -EROFS || fd == -EACCES ? copy_open(r->dirfd, r->name, O_RDONLY)
					     : fd;
}

/* The map's claims are about one file: a different or shorter file does not have those
 * bytes. */
static int open_known(struct gb_results *r)
{
	int fd = open_data(r, 0);
	struct stat st;

	if (fd == -ENOENT) {
		copy_lose(r, 0, NO_END);
		return open_data(r, O_CREAT);
	}
	if (fd >= 0 && fstat(fd, &st) == 0 &&
		results_local_limit(r) > (uint64_t)st.st_size)
		copy_lose(r, (uint64_t)st.st_size, NO_END);
	return fd;
}

int copy_fd(struct gb_results *r)
{
	if (r->fd < 0)
		r->fd = results_local_limit(r) > 0 ? open_known(r)
						   : open_data(r, O_CREAT);
	return r->fd;
}

ssize_t results_read(struct gb_results *r, void *buf, size_t n, uint64_t off)
{
	int fd = results_fd(r);
	size_t got = 0;
	struct after a;

	while (fd >= 0 && got < n) {
		ssize_t k = pread(fd, (char *)buf + got, n - got, (off_t)(off + got));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		got += (size_t)k;
	}
	if (fd < 0 || got == n)
		return fd < 0 ? fd : (ssize_t)n;
	after_init(&a);
	pthread_mutex_lock(&r->lock);
	if (fd == r->fd)
		copy_lose(r, off + got, NO_END);
	results_tell_damage(r, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return -EIO;
}

int results_readv(struct gb_results *r, struct iovec *v, int n, uint64_t off)
{
	int fd = results_fd(r);

	return fd < 0 ? fd : util_preadv_all(fd, v, n, (off_t)off);
}

/* What was put there first stays: that is what people have read. */
static int move_aside(int dirfd, const char *name, const char *aside)
{
	int err = faccessat(dirfd, aside, F_OK, AT_SYMLINK_NOFOLLOW) == 0
			  ? unlinkat(dirfd, name, 0)
			  : renameat(dirfd, name, dirfd, aside);

	return err < 0 && errno != ENOENT ? -errno : 0;
}

/* Rename NAME to NAME.aside, where it counts as garbage; the map is of no use. */
static int set_aside(struct gb_results *r)
{
	_cleanup_free_ char *map = util_format("%s" RESULTS_MAP_SUFFIX, r->name);
	_cleanup_free_ char *aside = util_format("%s" ASIDE_SUFFIX, r->name);

	if (!map || !aside)
		return -ENOMEM;
	if (unlinkat(r->dirfd, map, 0) < 0 && errno != ENOENT)
		return -errno;
	return move_aside(r->dirfd, r->name, aside);
}

int copy_set_aside(struct gb_results *r)
{
	int err = r->aside ? 0 : set_aside(r);

	r->aside = err == 0;
	return err;
}

void copy_close(struct gb_results *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	while (r->n_old_fds > 0)
		close(r->old_fds[--r->n_old_fds]);
}

static void copy_forget(struct gb_results *r)
{
	ranges_clear(&r->have);
	ranges_clear(&r->summed);
	r->size = r->doubted = r->shown = -1;
	r->resume = NO_END;
	r->proven = r->ended = r->no_length = r->no_ranges = r->rotten = false;
	r->sealed = r->dirty = r->filled = r->given = false;
	r->tries = 0;
}

void copy_idle(struct gb_results *r)
{
	if (r->readers > 0 || r->pins > 0 || r->streams || r->fetching)
		return;
	copy_close(r);
	if (!r->changed || r->renewed || copy_set_aside(r) < 0)
		return;
	copy_forget(r);
	r->changed = r->aside = false;
	r->renewed = true;
}

/* ---- the map ------------------------------------------------------------- */

static void take_block_map(struct gb_results *r, struct results_map *m)
{
	r->size = m->size;
	r->proven = m->size >= 0;
	r->ended = m->size == 0 ||
		   (m->size > 0 && ranges_limit(&m->blocks) == (uint64_t)m->size);
	r->sealed = m->sealed;
	r->no_length = m->no_length;
	r->summed = m->blocks;
	r->sums = m->sums;
	r->n_sums = m->n_sums;
	r->filled = results_is_complete(r);
	r->given = r->summed.n > 0;
	m->blocks = (struct ranges){0};
	m->sums = NULL;
}

/* A file that was complete once is the output that its map names, whatever the API says
 * now: an output does not change its name. */
static int keep_map(struct gb_results *r, struct results_map *m)
{
	char *file = strdup(m->file);

	if (!file)
		return -ENOMEM;
	free(r->file);
	r->file = file;
	take_block_map(r, m);
	return 0;
}

int copy_load(struct gb_results *r)
{
	struct results_map m;
	int err = results_map_load(r->dirfd, r->name, &m);

	if (util_reading(err) == READ_FAILED)
		return err;
	r->damaged = (err < 0 && err != -ENOENT) || (err == 0 && m.cut);
	if (err < 0)
		return 0;
	if (!r->file || !m.file[0] || strcmp(r->file, m.file) == 0)
		take_block_map(r, &m);
	else if (m.sealed || r->rotten)
		err = keep_map(r, &m);
	else
		err = set_aside(r);
	results_map_clear(&m);
	return err;
}

int copy_format_map(struct gb_results *r, bool sealed, char **ret, size_t *ret_len)
{
	struct results_map m = {.size = r->proven || r->ended ? r->size : -1,
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
	err = r->changed ? -EIO : copy_format_map(r, sealed, &text, &n);
	if (err == 0)
		r->dirty = false;
	r->sealing = sealed;
	pthread_mutex_unlock(&r->lock);
	if (err == 0)
		err = util_write_file(r->dirfd, path, text, n, sealed);
	pthread_mutex_lock(&r->lock);
	r->sealing = false;
	if (err < 0)
		r->dirty = true;
	else if (sealed)
		r->sealed = !r->dirty;
	r->kept |= r->sealed;
	pthread_mutex_unlock(&r->lock);
	return err;
}

/* Write the map. sealed: mark it as complete and durable. */
static int copy_save(struct gb_results *r, bool sealed)
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

void copy_save_lazily(struct gb_results *r)
{
	bool dirty;

	if (pthread_mutex_trylock(&r->save_lock) != 0)
		return;
	pthread_mutex_lock(&r->lock);
	dirty = r->dirty && !r->changed;
	pthread_mutex_unlock(&r->lock);
	if (!dirty)
		touch(r);
	else if (faccessat(r->dirfd, r->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		save(r, false);
	pthread_mutex_unlock(&r->save_lock);
}

/* ---- checksums ----------------------------------------------------------- */

/* CRC of bytes [lo, hi) of fd; -EBADMSG when it is shorter. */
int copy_sum(int fd, uint64_t lo, uint64_t hi, uint32_t *ret)
{
	char buf[CHUNK];
	uint32_t crc = 0;

	while (lo < hi) {
		size_t want = hi - lo < CHUNK ? (size_t)(hi - lo) : CHUNK;
		ssize_t n = pread(fd, buf, want, (off_t)lo);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? util_read_error(errno) : -EBADMSG;
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

int copy_sum_block(struct gb_results *r, uint64_t hi, const uint32_t *crc, bool written)
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
		err = copy_sum(r->fd, lo, hi, &sum);
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
	int fd = copy_fd(r), err = fd;

	if (fd < 0)
		return fd;
	r->pins++;
	pthread_mutex_unlock(&r->lock);
	err = copy_sum(fd, lo, hi, &sum);
	pthread_mutex_lock(&r->lock);
	r->pins--;
	if (util_reading(err) == READ_FAILED || r->changed)
		return err;
	if (ranges_end(&r->summed, lo) < hi)
		return 0;
	if (err == 0 && sum == want)
		return ranges_add(&r->have, lo, hi) < 0 ? -ENOMEM : 0;
	copy_lose(r, lo, hi);
	return 0;
}

uint64_t copy_readable(struct gb_results *r, uint64_t off, uint64_t hi, int *ret_err)
{
	*ret_err = 0;
	for (;;) {
		uint64_t end = ranges_end(&r->have, off);
		uint64_t lo = end / RESULTS_BLOCK * RESULTS_BLOCK;
		uint64_t block_end = results_block_end(r, end);

		if (end >= hi)
			return hi;
		if (r->changed || ranges_end(&r->summed, lo) < block_end ||
			(*ret_err = verify(r, lo, block_end)) < 0)
			return end;
	}
}

/* ---- for workers --------------------------------------------------------- */

/* Every block readable and summed; 0 or -EAGAIN. Lock held. */
static int check_all(struct gb_results *r)
{
	uint64_t size = (uint64_t)r->size;
	int err;

	if (!results_is_complete(r))
		return -EAGAIN;
	if (copy_readable(r, 0, size, &err) < size)
		return err ? err : -EAGAIN;
	for (uint64_t off = 0; off < size;) {
		off = results_block_end(r, off);
		err = copy_sum_block(r, off, NULL, false);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Whether the data file's name is still that of fd. Lock held. */
static bool is_named(const struct gb_results *r, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(r->dirfd, r->name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Lock held. The data file, of which every byte is there. */
static int copy_begin_seal(struct gb_results *r)
{
	int err = check_all(r), fd = err < 0 ? err : copy_fd(r);

	if (fd < 0)
		return fd;
	if (!is_named(r, fd)) {
		/* Readers of it may go on; the new file is a different one. Running
		 * transfers have their beginning in this one. */
		stream_stop_all(r);
		copy_lose(r, 0, NO_END);
		if (r->n_old_fds < MAX_OLD_FDS) {
			r->old_fds[r->n_old_fds++] = fd;
			r->fd = -1;
		}
	}
	return results_is_complete(r) ? fd : -EAGAIN;
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
	err = sealed ? 0 : (fd = copy_begin_seal(r));
	pthread_mutex_unlock(&r->lock);
	if (err >= 0 && !sealed)
		err = sync_data(fd, size);
	if (err >= 0 && !sealed)
		err = copy_save(r, true);
	pthread_mutex_lock(&r->lock);
	r->pins--;
	copy_idle(r);
	pthread_mutex_unlock(&r->lock);
	return err < 0 ? err : 0;
}

int results_mapped(int dirfd, const char *name, int64_t *ret_size)
{
	struct results_map m;
	int err = results_map_load(dirfd, name, &m);

	if (err < 0)
		return err;
	if (m.sealed)
		*ret_size = m.size;
	err = m.sealed;
	results_map_clear(&m);
	return err;
}

int results_sealed(int dirfd, const char *name, int64_t *ret_size)
{
	struct results_map m;
	int err = results_map_load_head(dirfd, name, &m);

	if (err == 0 && m.sealed)
		*ret_size = m.size;
	return err < 0 ? err : m.sealed;
}
