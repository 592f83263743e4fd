/* Results: keeping a cache directory small. */
#include "results/results.h"
#include "results/block_map.h"
#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { WRITTEN_SOON = 3600 /* seconds */ };

/* A file and its map, or what is left of them. */
struct entry {
	char *name;
	uint64_t bytes;
	struct timespec used; /* the map's time; without a map the data's */
	bool has_map, has_data;
};

struct entries {
	struct entry *v;
	size_t n, cap;
};

static void entries_clear(struct entries *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->v[i].name);
	free(all->v);
}

static int entries_add(struct entries *all, const char *name, size_t len, bool is_map,
	const struct stat *st)
{
	struct entry *e;

	if (all->n == all->cap) {
		size_t cap = all->cap ? all->cap * 2 : 64;
		struct entry *v = reallocarray(all->v, cap, sizeof *v);

		if (!v)
			return -ENOMEM;
		all->v = v;
		all->cap = cap;
	}
	e = &all->v[all->n];
	*e = (struct entry){.name = strndup(name, len),
		.used = st->st_mtim,
		.bytes = (uint64_t)st->st_blocks * 512,
		.has_map = is_map,
		.has_data = !is_map};
	if (!e->name)
		return -ENOMEM;
	all->n++;
	return 0;
}

/* Files that are being written have no name yet, and leftovers of that kind belong to
 * nobody. */
static bool is_being_written(const char *name, const struct stat *st)
{
	return strncmp(name, UTIL_TMP_PREFIX, sizeof UTIL_TMP_PREFIX - 1) == 0 &&
	       time(NULL) - st->st_mtim.tv_sec < WRITTEN_SOON; /* wall: as the file's */
}

static int read_dir(int dirfd, struct entries *all)
{
	const size_t suffix = strlen(RESULTS_MAP_SUFFIX);
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (err == 0 && (d = util_readdir(dir, &err))) {
		size_t len = strlen(d->d_name);
		bool is_map = len > suffix &&
			      strcmp(d->d_name + len - suffix, RESULTS_MAP_SUFFIX) == 0;
		struct stat st;

		if (fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && !is_being_written(d->d_name, &st))
			err = entries_add(all, d->d_name, is_map ? len - suffix : len,
				is_map, &st);
	}
	closedir(dir);
	return err;
}

static int by_entry_name(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	int c = strcmp(a->name, b->name);

	return c ? c : a->has_map - b->has_map;
}

/* Orphans are of no use to anybody: first. */
static int by_use(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	bool whole_a = a->has_map && a->has_data, whole_b = b->has_map && b->has_data;

	if (whole_a != whole_b)
		return whole_a - whole_b;
	if (a->used.tv_sec != b->used.tv_sec)
		return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
	return a->used.tv_nsec < b->used.tv_nsec ? -1
						 : a->used.tv_nsec > b->used.tv_nsec;
}

/* Data comes just before its map. */
static void join(struct entries *all)
{
	size_t n = 0;

	if (all->n == 0)
		return;
	qsort(all->v, all->n, sizeof *all->v, by_entry_name);
	for (size_t i = 1; i < all->n; i++) {
		struct entry *a = &all->v[n], *b = &all->v[i];

		if (strcmp(a->name, b->name) != 0 || !a->has_data || !b->has_map) {
			all->v[++n] = *b;
			continue;
		}
		a->bytes += b->bytes;
		a->used = b->used;
		a->has_map = true;
		free(b->name);
	}
	all->n = n + 1;
	qsort(all->v, all->n, sizeof *all->v, by_use);
}

/* The data file gets a private name first, because unlinking a large file takes a
 * while. */
static int take_away(int dirfd, const char *name, const char *tmp)
{
	_cleanup_free_ char *map = util_format("%s" RESULTS_MAP_SUFFIX, name);

	if (!map)
		return -ENOMEM;
	if ((unlinkat(dirfd, map, 0) < 0 && errno != ENOENT) ||
		(renameat(dirfd, name, dirfd, tmp) < 0 && errno != ENOENT))
		return -errno;
	return 0;
}

/* 1: gone; 0: it may not. */
static int discard_entry(
	int dirfd, const struct entry *e, const struct results_trimmer *t)
{
	char tmp[UTIL_TMP_NAME_MAX] = UTIL_TMP_PREFIX;
	int err;

	if (!t->claim(t->arg, e->name))
		return 0;
	util_random_hex(tmp + sizeof UTIL_TMP_PREFIX - 1, 8);
	err = take_away(dirfd, e->name, tmp);
	t->release(t->arg);
	if (err < 0)
		return err;
	return unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT ? -errno : 1;
}

int results_trim(int dirfd, uint64_t max, const struct results_trimmer *t)
{
	struct entries all = {0};
	uint64_t total = 0;
	int err = read_dir(dirfd, &all);

	if (err == 0)
		join(&all);
	for (size_t i = 0; i < all.n; i++)
		total += all.v[i].bytes;
	for (size_t i = 0; err == 0 && i < all.n && total > max; i++) {
		err = discard_entry(dirfd, &all.v[i], t);
		if (err > 0)
			total -= all.v[i].bytes;
		err = err < 0 ? err : 0;
	}
	entries_clear(&all);
	return err;
}
