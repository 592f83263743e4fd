/* The map of a results file, to and from disk. */
#include "results/block_map.h"
#include "base/util.h"
#include "provider/all/ids.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "GBmap\r\n\x1a"
#define VERSION 1
#define SEALED 1u
#define NO_LENGTH 2u

enum {
	AT_VERSION = 8,
	AT_FLAGS = 12,
	AT_SIZE = 16,
	AT_BLOCKS = 24,
	AT_RUNS = 28,
	AT_FILE = 32,
	AT_BLOCK_SIZE = 176,
	AT_BODY_CRC = 180,
	AT_ZERO = 184,
	AT_HEAD_CRC = 188
};

static uint32_t get32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static void put32(char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static uint64_t get64(const char *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void put64(char *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

void results_map_clear(struct results_map *m)
{
	ranges_clear(&m->blocks);
	free(m->sums);
	*m = (struct results_map){.size = -1};
}

bool results_map_complete(const struct results_map *m)
{
	return m->size >= 0 && ranges_end(&m->blocks, 0) >= (uint64_t)m->size;
}

static uint64_t count_blocks(uint64_t bytes)
{
	return (bytes + RESULTS_BLOCK - 1) / RESULTS_BLOCK;
}

/* The id field: NUL-padded, and an id or nothing. */
static bool file_valid(const char *file, size_t n)
{
	size_t len = strnlen(file, n);

	for (size_t i = len; i < n; i++)
		if (file[i])
			return false;
	return len < n && (len == 0 || remote_id_valid(REMOTE_FILE, file));
}

int results_map_parse_head(const void *buf, size_t n, struct results_map *ret)
{
	const char *p = buf;
	struct results_map m = {0};
	uint32_t flags;

	if (n < RESULTS_MAP_HEAD || memcmp(p, MAGIC, 8) != 0)
		return -EBADMSG;
	if (get32(p + AT_VERSION) > VERSION)
		return -EPROTO;
	flags = get32(p + AT_FLAGS);
	if (get32(p + AT_VERSION) != VERSION || flags & ~(SEALED | NO_LENGTH) ||
		get32(p + AT_HEAD_CRC) != util_crc32c(0, p, AT_HEAD_CRC) ||
		get32(p + AT_BLOCK_SIZE) != RESULTS_BLOCK || get32(p + AT_ZERO) != 0 ||
		!file_valid(p + AT_FILE, sizeof m.file))
		return -EBADMSG;
	m.size = (int64_t)get64(p + AT_SIZE);
	m.sealed = flags & SEALED;
	m.no_length = flags & NO_LENGTH;
	memcpy(m.file, p + AT_FILE, sizeof m.file);
	if (m.size < -1 || m.size > RESULTS_MAX || (m.sealed && m.size < 0))
		return -EBADMSG;
	*ret = m;
	return 0;
}

/* One run of blocks from the body into m; *sums moves past its checksums. */
static int parse_run(const char *p, const char **sums, const char *end, uint64_t max,
	struct results_map *m)
{
	uint64_t first = get32(p), count = get32(p + 4);
	uint64_t lo = first * RESULTS_BLOCK, hi = (first + count) * RESULTS_BLOCK;

	if (count == 0 || first + count > max || (size_t)(end - *sums) / 4 < count ||
		(m->blocks.n > 0 && lo <= ranges_limit(&m->blocks)))
		return -EBADMSG;
	if (m->size >= 0 && hi > (uint64_t)m->size)
		hi = (uint64_t)m->size;
	if (ranges_add(&m->blocks, lo, hi) < 0)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++, *sums += 4)
		m->sums[first + i] = get32(*sums);
	return 0;
}

/* The numbers of all runs are checked before memory is asked for: the last one
 * says how long the array of checksums must be. */
static int parse_body(
	const char *p, uint32_t blocks, uint32_t runs, struct results_map *m)
{
	uint64_t max = count_blocks(m->size >= 0 ? (uint64_t)m->size : RESULTS_MAX);
	const char *sums = p + (size_t)runs * 8, *end = sums + (size_t)blocks * 4;
	uint64_t last;
	int err = 0;

	if (runs == 0)
		return blocks == 0 ? 0 : -EBADMSG;
	last = (uint64_t)get32(sums - 8) + get32(sums - 4);
	if (last > max)
		return -EBADMSG;
	m->sums = calloc(last ? last : 1, sizeof *m->sums);
	if (!m->sums)
		return -ENOMEM;
	m->n_sums = last;
	for (uint32_t i = 0; i < runs && err == 0; i++)
		err = parse_run(p + (size_t)i * 8, &sums, end, last, m);
	return err == 0 && sums != end ? -EBADMSG : err;
}

int results_map_parse(const void *buf, size_t n, struct results_map *ret)
{
	const char *p = buf;
	struct results_map m;
	uint32_t blocks, runs;
	int err = results_map_parse_head(buf, n, &m);

	if (err < 0)
		return err;
	blocks = get32(p + AT_BLOCKS);
	runs = get32(p + AT_RUNS);
	if (runs > blocks ||
		n != RESULTS_MAP_HEAD + (uint64_t)runs * 8 + (uint64_t)blocks * 4 ||
		get32(p + AT_BODY_CRC) !=
			util_crc32c(0, p + RESULTS_MAP_HEAD, n - RESULTS_MAP_HEAD))
		return -EBADMSG;
	err = parse_body(p + RESULTS_MAP_HEAD, blocks, runs, &m);
	if (err == 0 && m.sealed && !results_map_complete(&m))
		err = -EBADMSG;
	if (err < 0) {
		results_map_clear(&m);
		return err;
	}
	*ret = m;
	return 0;
}

/* Runs, then checksums; returns how many blocks. */
static uint32_t format_body(const struct results_map *m, char *p)
{
	char *sums = p + m->blocks.n * 8;
	uint32_t blocks = 0;

	for (size_t i = 0; i < m->blocks.n; i++, p += 8) {
		uint64_t first = m->blocks.v[i].lo / RESULTS_BLOCK;
		uint64_t end = count_blocks(m->blocks.v[i].hi);

		put32(p, (uint32_t)first);
		put32(p + 4, (uint32_t)(end - first));
		for (uint64_t b = first; b < end; b++, sums += 4)
			put32(sums, m->sums[b]);
		blocks += (uint32_t)(end - first);
	}
	return blocks;
}

int results_map_format(const struct results_map *m, char **ret, size_t *ret_len)
{
	size_t max = RESULTS_MAP_HEAD + m->blocks.n * 8 +
		     (ranges_total(&m->blocks) / RESULTS_BLOCK + m->blocks.n) * 4;
	char *p = calloc(1, max), *body = p + RESULTS_MAP_HEAD;
	size_t body_len;
	uint32_t blocks;

	if (!p)
		return -ENOMEM;
	blocks = format_body(m, body);
	body_len = m->blocks.n * 8 + (size_t)blocks * 4;
	memcpy(p, MAGIC, 8);
	put32(p + AT_VERSION, VERSION);
	put32(p + AT_FLAGS, (m->sealed ? SEALED : 0) | (m->no_length ? NO_LENGTH : 0));
	put64(p + AT_SIZE, (uint64_t)m->size);
	put32(p + AT_BLOCKS, blocks);
	put32(p + AT_RUNS, (uint32_t)m->blocks.n);
	memcpy(p + AT_FILE, m->file, strnlen(m->file, sizeof m->file - 1));
	put32(p + AT_BLOCK_SIZE, RESULTS_BLOCK);
	put32(p + AT_BODY_CRC, util_crc32c(0, body, body_len));
	put32(p + AT_HEAD_CRC, util_crc32c(0, p, AT_HEAD_CRC));
	*ret = p;
	*ret_len = RESULTS_MAP_HEAD + body_len;
	return 0;
}

/* What the data file is too short for is not there. */
static int fit_to_data(int dirfd, const char *name, struct results_map *m)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return util_read_error(errno);
		st.st_size = 0;
	} else if (!S_ISREG(st.st_mode)) {
		return -EBADMSG;
	}
	m->cut = m->sealed && st.st_size != m->size;
	m->sealed &= !m->cut;
	if ((uint64_t)st.st_size < ranges_limit(&m->blocks))
		ranges_remove(&m->blocks, (uint64_t)st.st_size & ~(RESULTS_BLOCK - 1),
			RANGES_NONE);
	return 0;
}

int results_map_load(int dirfd, const char *name, struct results_map *ret)
{
	_cleanup_free_ char *path = util_format("%s" RESULTS_MAP_SUFFIX, name);
	_cleanup_free_ char *text = NULL;
	struct results_map m;
	size_t n;
	int err;

	if (!path)
		return -ENOMEM;
	err = util_read_file(dirfd, path, RESULTS_MAP_MAX, &text, &n);
	if (err == 0)
		err = results_map_parse(text, n, &m);
	if (err < 0)
		return err;
	err = fit_to_data(dirfd, name, &m);
	if (err < 0) {
		results_map_clear(&m);
		return err;
	}
	*ret = m;
	return 0;
}

int results_map_load_head(int dirfd, const char *name, struct results_map *ret)
{
	_cleanup_free_ char *path = util_format("%s" RESULTS_MAP_SUFFIX, name);
	_cleanup_close_ int fd = -1;
	char head[RESULTS_MAP_HEAD];
	struct results_map m;
	ssize_t n;
	int err;

	if (!path)
		return -ENOMEM;
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return util_read_error(errno);
	n = pread(fd, head, sizeof head, 0);
	if (n < 0)
		return util_read_error(errno);
	err = results_map_parse_head(head, (size_t)n, &m);
	if (err == 0)
		err = fit_to_data(dirfd, name, &m);
	if (err == 0)
		*ret = m;
	return err;
}

int results_map_save(
	int dirfd, const char *name, const struct results_map *m, bool sync)
{
	_cleanup_free_ char *path = util_format("%s" RESULTS_MAP_SUFFIX, name);
	_cleanup_free_ char *text = NULL;
	size_t n;
	int err;

	if (!path)
		return -ENOMEM;
	err = results_map_format(m, &text, &n);
	if (err == 0)
		err = util_write_file(dirfd, path, text, n, sync);
	return err;
}
