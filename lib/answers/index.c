#include "answers/index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/util.h"

enum { FORMAT = 7 };
static const char magic[8] = "gbanswer";

/* Another number where a machine of other byte order or other alignment wrote the file,
 * whatever the checksums happen to be: a state directory can be carried. */
#define LAYOUT                                                                         \
	((uint32_t)(UINT32_C(0x01000000) + sizeof(struct answers_head) +              \
		    (sizeof(struct answers_row) << 9) +                                \
		    (sizeof(struct answers_node) << 16)))

struct answers *answers_new(void)
{
	struct answers *a = calloc(1, sizeof *a);
	struct answers_places *places = calloc(1, sizeof *places);

	if (!a || !places) {
		free(a);
		free(places);
		return NULL;
	}
	pthread_mutex_init(&places->lock, NULL);
	a->places = places;
	a->refs = 1;
	return a;
}

struct answers *answers_ref(struct answers *a)
{
	a->refs++;
	return a;
}

void answers_unref(struct answers *a)
{
	if (!a || --a->refs)
		return;
	if (a->map) {
		munmap(a->map, a->map_len);
	} else {
		free(a->rows);
		free(a->nodes);
		free(a->lines);
		free(a->parts);
		free(a->slots);
		free(a->order);
		free(a->blob);
	}
	pthread_mutex_destroy(&a->places->lock);
	free(a->places);
	free(a);
}

void answers_rest(const struct answers *a)
{
	if (a->map)
		madvise(a->map, a->map_len, MADV_DONTNEED);
}

/* ---- on disk ------------------------------------------------------------------------
 *
 * Head, rows, nodes, lines, parts, slots, order, blob, one after the other, as they are
 * in memory: an index is made anew where it does not fit. */

enum { SECTIONS = 7 };

static void sections(const struct answers *a, struct iovec ret[SECTIONS])
{
	ret[0] = (struct iovec){a->rows, a->head.n_rows * sizeof *a->rows};
	ret[1] = (struct iovec){a->nodes, a->head.n_nodes * sizeof *a->nodes};
	ret[2] = (struct iovec){a->lines, a->head.n_lines * sizeof *a->lines};
	ret[3] = (struct iovec){a->parts, a->head.n_parts * sizeof *a->parts};
	ret[4] = (struct iovec){a->slots, a->head.n_slots * sizeof *a->slots};
	ret[5] = (struct iovec){a->order, a->head.n_nodes * sizeof *a->order};
	ret[6] = (struct iovec){a->blob, a->head.blob_len};
}

static uint32_t head_crc(const struct answers_head *h)
{
	return util_crc32c(
		0, &h->format, sizeof *h - offsetof(struct answers_head, format));
}

static int write_all(const struct answers *a, int fd)
{
	struct answers_head head = a->head;
	struct iovec part[SECTIONS];
	int err;

	sections(a, part);
	memcpy(head.magic, magic, sizeof magic);
	head.format = FORMAT;
	head.layout = LAYOUT;
	head.body_crc = 0;
	for (size_t i = 0; i < SECTIONS; i++)
		head.body_crc =
			util_crc32c(head.body_crc, part[i].iov_base, part[i].iov_len);
	head.crc = head_crc(&head);
	err = util_write_all(fd, &head, sizeof head);
	for (size_t i = 0; !err && i < SECTIONS; i++)
		err = util_write_all(fd, part[i].iov_base, part[i].iov_len);
	return err;
}

/* Not synced: the checksum shows whether a crash damaged it. */
int answers_save(const struct answers *a, int dirfd, const char *name)
{
	char tmp[UTIL_TMP_NAME_MAX] = UTIL_TMP_PREFIX;
	_cleanup_close_ int fd = -1;
	int err;

	util_random_hex(tmp + sizeof UTIL_TMP_PREFIX - 1, 8);
	fd = openat(
		dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(a, fd);
	if (!err && renameat(dirfd, tmp, dirfd, name) < 0)
		err = -errno;
	if (err)
		unlinkat(dirfd, tmp, 0);
	return err;
}

static bool head_fits(const struct answers_head *h, uint64_t file_size)
{
	uint64_t size = sizeof *h + (uint64_t)h->n_rows * sizeof(struct answers_row) +
			(uint64_t)h->n_nodes * sizeof(struct answers_node) +
			(uint64_t)h->n_lines * sizeof(struct answers_line) +
			(uint64_t)h->n_parts * sizeof(struct answers_part) +
			(uint64_t)h->n_slots * sizeof(uint32_t) +
			(uint64_t)h->n_nodes * sizeof(uint32_t);

	return h->crc == head_crc(h) && memcmp(h->magic, magic, sizeof magic) == 0 &&
	       h->format == FORMAT && h->layout == LAYOUT && size <= file_size &&
	       h->blob_len == file_size - size && h->n_nodes >= 1 &&
	       h->n_nodes <= ANSWERS_NODES_MAX && h->n_slots > h->n_nodes &&
	       h->n_parts <= ANSWERS_PARTS_MAX;
}

static bool span_fits(struct span at)
{
	return at.from <= at.to && at.to <= INT64_MAX;
}

static bool in_blob(const struct answers *a, uint64_t at, uint64_t len)
{
	return at <= a->head.blob_len && len <= a->head.blob_len - at;
}

static bool row_fits(const struct answers *a, const struct answers_row *r,
	const struct answers_row *before)
{
	return span_fits(answers_result(r)) && span_fits(answers_request(r)) &&
	       (uint64_t)r->text_at + r->text_len <= r->result_len &&
	       r->status < ANSWER_STATUSES && r->how < ANSWERS_HOWS &&
	       in_blob(a, r->key_at, r->key_len) && r->key_len <= LINE_KEY_MAX &&
	       in_blob(a, r->note_at, r->note_len) &&
	       (!r->schema || r->schema < r->request_len) &&
	       (r->how != HOW_STRING || r->text_at) &&
	       (r->how != HOW_VECTOR || r->text_at) &&
	       r->tsv_end >= (before ? before->tsv_end : 0) &&
	       r->retry_end >= (before ? before->retry_end : 0);
}

static bool node_fits(const struct answers *a, uint32_t i)
{
	const struct answers_node *n = &a->nodes[i];
	bool dir = n->kind == NODE_IS_DIR;

	return n->kind < NODE_KINDS && n->parent < a->head.n_nodes &&
	       span_fits(answers_data(n)) && n->size <= INT64_MAX &&
	       in_blob(a, n->name_at, n->name_len + 1u) &&
	       a->blob[n->name_at + n->name_len] == '\0' &&
	       (i == 0) == (n->name_len == 0) &&
	       (dir ? n->first <= a->head.n_nodes &&
				       n->count <= a->head.n_nodes - n->first
		    : n->row < a->head.n_rows) &&
	       ((n->kind != NODE_IS_DATA && n->kind != NODE_IS_WAVE) || n->data_from) &&
	       (n->kind != NODE_IS_NOTE ||
		       in_blob(a, n->data_from, n->data_len)) &&
	       (n->kind != NODE_IS_WAVE || n->size >= ANSWERS_WAVE_HEAD);
}

static bool names_fit(const struct answers *a, uint64_t at, uint64_t len, uint32_t n)
{
	uint32_t found = 0;

	if (!in_blob(a, at, len))
		return false;
	for (uint64_t i = 0; i < len; i++)
		found += !a->blob[at + i];
	return found == n && (!len || !a->blob[at + len - 1]);
}

static bool line_fits(const struct answers *a, uint32_t i)
{
	const struct answers_line *l = &a->lines[i];

	return span_fits(l->at) && l->end > (i ? l[-1].end : 0) && !l->newline[3] &&
	       (l->row < a->head.n_rows || l->row == ANSWERS_NOT_ASKED);
}

static bool table_fits(const struct answers *a)
{
	const struct answers_head *h = &a->head;
	bool good = names_fit(a, h->columns_at, h->columns_len,
			    !h->n_lines       ? 0
			    : h->n_properties ? h->n_properties + 1
					      : 2) &&
		    names_fit(a, h->properties_at, h->properties_len, h->n_properties);

	for (uint32_t i = 0; good && i < h->n_lines; i++)
		good = line_fits(a, i);
	return good && h->table_size == (h->n_lines ? a->lines[h->n_lines - 1].end : 0);
}

static bool part_fits(const struct answers_part *p)
{
	return span_fits(p->range) && p->none < ANSWERS_NONES && p->size >= -1 &&
	       p->size < (int64_t)answers_slot(1);
}

/* Checks what a checksum does not show: a file written by a different program. */
static bool body_fits(const struct answers *a)
{
	uint64_t tsv = 0, retry = 0;
	const struct answers_head *h = &a->head;
	bool good = a->nodes[0].kind == NODE_IS_DIR && h->vectors <= h->n_rows &&
		    in_blob(a, h->models_at, h->models_len) &&
		    in_blob(a, h->warnings_at, h->warnings_len) &&
		    in_blob(a, h->summary_at, h->summary_len);

	for (uint32_t i = 0; good && i < a->head.n_rows; i++) {
		good = row_fits(a, &a->rows[i], i ? &a->rows[i - 1] : NULL);
		tsv = a->rows[i].tsv_end;
		retry = a->rows[i].retry_end;
	}
	for (uint32_t i = 0; good && i < a->head.n_nodes; i++)
		good = node_fits(a, i);
	for (uint32_t i = 0; good && i < a->head.n_parts; i++)
		good = part_fits(&a->parts[i]);
	for (uint32_t i = 0; good && i < a->head.n_slots; i++)
		good = a->slots[i] < a->head.n_nodes;
	for (uint32_t i = 0; good && i < a->head.n_nodes; i++)
		good = a->order[i] < a->head.n_nodes;
	return good && table_fits(a) && a->head.tsv_size == tsv &&
	       a->head.retry_size == retry;
}

static void point_into(struct answers *a)
{
	char *p = (char *)a->map + sizeof a->head;

	a->rows = (struct answers_row *)p;
	p += a->head.n_rows * sizeof *a->rows;
	a->nodes = (struct answers_node *)p;
	p += a->head.n_nodes * sizeof *a->nodes;
	a->lines = (struct answers_line *)p;
	p += a->head.n_lines * sizeof *a->lines;
	a->parts = (struct answers_part *)p;
	p += a->head.n_parts * sizeof *a->parts;
	a->slots = (uint32_t *)p;
	p += a->head.n_slots * sizeof *a->slots;
	a->order = (uint32_t *)p;
	a->blob = p + a->head.n_nodes * sizeof *a->order;
}

static int take_head(struct answers *a)
{
	memcpy(&a->head, a->map, sizeof a->head);
	if (!head_fits(&a->head, a->map_len))
		return -EBADMSG;
	point_into(a);
	return 0;
}

/* The map of the file is read once from end to end here. */
static int check_body(const struct answers *a)
{
	struct iovec part[SECTIONS];
	uint32_t crc = 0;

	sections(a, part);
	for (size_t i = 0; i < SECTIONS; i++)
		crc = util_crc32c(crc, part[i].iov_base, part[i].iov_len);
	return crc == a->head.body_crc && body_fits(a) ? 0 : -EBADMSG;
}

static int map_file(int dirfd, const char *name, struct answers *a)
{
	_cleanup_close_ int fd = openat(
		dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < sizeof a->head)
		return -EBADMSG;
	a->map_len = (size_t)st.st_size;
	a->map = mmap(NULL, a->map_len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (a->map == MAP_FAILED) {
		a->map = NULL;
		return -errno;
	}
	a->made = st.st_mtim;
	return 0;
}

static int load(int dirfd, const char *name, const struct answers_stamp *stamp,
	const struct result_grammar *grammar, bool checked, struct answers **ret)
{
	struct answers *a = answers_new();
	int err = a ? map_file(dirfd, name, a) : -ENOMEM;

	if (!err)
		err = take_head(a);
	if (!err && !checked)
		err = check_body(a);
	if (!err && stamp && memcmp(&a->head.stamp, stamp, sizeof *stamp) != 0)
		err = -ESTALE;
	if (err) {
		answers_unref(a);
		return err;
	}
	a->grammar = grammar;
	if (!checked)
		answers_rest(a); /* the check has read all of it */
	*ret = a;
	return 0;
}

int answers_load(int dirfd, const char *name, const struct answers_stamp *stamp,
	const struct result_grammar *grammar, struct answers **ret)
{
	return load(dirfd, name, stamp, grammar, false, ret);
}

int answers_load_saved(int dirfd, const char *name, const struct answers *a,
	struct answers **ret)
{
	return load(dirfd, name, &a->head.stamp, a->grammar, true, ret);
}

/* ---- the tree ----------------------------------------------------------------------- */

uint32_t answers_name_slot(struct keyseed seed, uint32_t parent, const char *name,
	size_t len, uint32_t n)
{
	struct siphash h;

	siphash_init(&h, seed);
	siphash_add(&h, &parent, sizeof parent);
	siphash_add(&h, name, len);
	return (uint32_t)((siphash_end(&h).first >> 32) * n >> 32);
}

uint32_t answers_child(const struct answers *a, uint32_t dir, const char *name)
{
	size_t len = strlen(name);
	uint32_t n_slots = a->head.n_slots;
	uint32_t at = answers_name_slot(a->head.seed, dir, name, len, n_slots);

	/* There is a free slot: one more than nodes at least. */
	for (uint32_t i, tries = 0; tries < n_slots;
		tries++, at = answers_next_slot(at, n_slots)) {
		i = a->slots[at];
		if (i == 0)
			break;
		const struct answers_node *n = &a->nodes[i];

		if (n->parent == dir && n->name_len == len &&
			memcmp(answers_name(a, n), name, len) == 0)
			return i;
	}
	return 0;
}

uint32_t answers_next(const struct answers *a, uint32_t dir, uint32_t from)
{
	const struct answers_node *d = &a->nodes[dir];
	uint32_t low = 0, high = d->kind == NODE_IS_DIR ? d->count : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->order[d->first + middle] >= from)
			high = middle;
		else
			low = middle + 1;
	}
	return d->kind == NODE_IS_DIR && low < d->count ? a->order[d->first + low] : 0;
}
