#include "answers/index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/util.h"

enum { FORMAT = 8 };
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
		free(a->marks);
		free(a->notes);
		free(a->extents);
		free(a->schemas);
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
 * Head and sections, one after the other, as they are in memory: an index is made anew
 * where it does not fit. */

enum { SECTIONS = 11 };

static uint32_t count_marks(const struct answers_head *h)
{
	return h->n_rows / ANSWERS_MARK_EVERY + !!(h->n_rows % ANSWERS_MARK_EVERY);
}

struct section {
	size_t pointer; /* to it: where in struct answers */
	uint64_t len;
};

#define SECTION(member, n)                                                             \
	{offsetof(struct answers, member), (uint64_t)(n) * sizeof *a->member}

/* What needs to be aligned comes first. */
static void sections(const struct answers *a, struct section ret[SECTIONS])
{
	const struct answers_head *h = &a->head;
	const struct section all[SECTIONS] = {
		SECTION(rows, h->n_rows),
		SECTION(marks, count_marks(h)),
		SECTION(lines, h->n_lines),
		SECTION(parts, h->n_parts),
		SECTION(nodes, h->n_nodes),
		SECTION(extents, h->n_extents),
		SECTION(notes, h->n_notes),
		SECTION(schemas, h->n_schemas),
		SECTION(slots, h->n_slots),
		SECTION(order, h->n_order),
		SECTION(blob, h->blob_len),
	};

	_Static_assert(sizeof(struct answers_head) % 8 == 0, "rows are aligned");
	memcpy(ret, all, sizeof all);
}

static struct iovec section_of(const struct answers *a, const struct section *s)
{
	struct iovec ret = {.iov_len = (size_t)s->len};

	memcpy(&ret.iov_base, (const char *)a + s->pointer, sizeof ret.iov_base);
	return ret;
}

/* UINT64_MAX: more than there can be. */
uint64_t answers_saved_size(const struct answers *a)
{
	uint64_t size = sizeof a->head;
	struct section all[SECTIONS];

	sections(a, all);
	for (size_t i = 0; i < SECTIONS; i++)
		size = all[i].len > UINT64_MAX - size ? UINT64_MAX : size + all[i].len;
	return size;
}

static uint32_t body_crc(const struct answers *a)
{
	struct section all[SECTIONS];
	uint32_t crc = 0;

	sections(a, all);
	for (size_t i = 0; i < SECTIONS; i++) {
		struct iovec at = section_of(a, &all[i]);

		crc = util_crc32c(crc, at.iov_base, at.iov_len);
	}
	return crc;
}

static uint32_t head_crc(const struct answers_head *h)
{
	return util_crc32c(
		0, &h->format, sizeof *h - offsetof(struct answers_head, format));
}

static int write_all(const struct answers *a, int fd)
{
	struct answers_head head = a->head;
	struct section all[SECTIONS];
	int err;

	sections(a, all);
	memcpy(head.magic, magic, sizeof magic);
	head.format = FORMAT;
	head.layout = LAYOUT;
	head.body_crc = body_crc(a);
	head.crc = head_crc(&head);
	err = util_write_all(fd, &head, sizeof head);
	for (size_t i = 0; !err && i < SECTIONS; i++) {
		struct iovec at = section_of(a, &all[i]);

		err = util_write_all(fd, at.iov_base, at.iov_len);
	}
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

static bool head_fits(const struct answers *a)
{
	const struct answers_head *h = &a->head;

	return h->crc == head_crc(h) && memcmp(h->magic, magic, sizeof magic) == 0 &&
	       h->format == FORMAT && h->layout == LAYOUT &&
	       answers_saved_size(a) == a->map_len && h->n_nodes >= 1 &&
	       h->n_nodes <= ANSWERS_NODES_MAX && h->n_slots > h->n_nodes &&
	       h->n_parts <= ANSWERS_PARTS_MAX && h->n_notes <= h->n_rows &&
	       h->n_extents <= h->n_nodes &&
	       (!h->n_schemas || h->n_schemas == h->n_rows) &&
	       (!h->n_order || h->n_order == h->n_nodes);
}

static bool span_fits(struct span at)
{
	return at.from <= at.to && at.to <= INT64_MAX;
}

static bool in_blob(const struct answers *a, uint64_t at, uint64_t len)
{
	return at <= a->head.blob_len && len <= a->head.blob_len - at;
}

static bool row_fits(const struct answers *a, uint32_t i)
{
	const struct answers_row *r = &a->rows[i];
	uint32_t slots = a->head.n_parts ? a->head.n_parts : 1;

	return r->result_from < answers_slot(slots) && span_fits(answers_result(r)) &&
	       span_fits(answers_request(r)) &&
	       (uint64_t)r->text_at + r->text_len <= r->result_len &&
	       r->status < ANSWER_STATUSES && r->how < ANSWERS_HOWS &&
	       in_blob(a, r->key_at, r->key_len) && r->key_len <= LINE_KEY_MAX &&
	       (!a->head.n_schemas || !a->schemas[i] ||
		       a->schemas[i] < r->request_len) &&
	       (r->how != HOW_STRING || r->text_at) &&
	       (r->how != HOW_VECTOR || r->text_at);
}

/* Of all rows: the sums; no more than 2^32 of less than 2^33. */
static bool marks_fit(const struct answers *a)
{
	struct answers_mark at = {0};

	for (uint32_t i = 0; i < a->head.n_rows; i++) {
		if (i % ANSWERS_MARK_EVERY == 0 &&
			memcmp(&a->marks[i / ANSWERS_MARK_EVERY], &at, sizeof at) != 0)
			return false;
		at.tsv += answers_row_len(&a->rows[i], ANSWERS_TSV);
		at.retry += answers_row_len(&a->rows[i], ANSWERS_RETRY);
	}
	return at.tsv == a->head.tsv_size && at.retry == a->head.retry_size;
}

/* One for each row that has one. */
static bool notes_fit(const struct answers *a)
{
	const struct answers_note *n = a->notes, *end = n + a->head.n_notes;
	bool good = true;

	for (uint32_t i = 0; good && i < a->head.n_rows; i++)
		if (a->rows[i].noted) {
			good = n < end && n->row == i && in_blob(a, n->at, n->len);
			n++;
		}
	return good && n == end;
}

static bool extent_fits(const struct answers *a, const struct answers_node *n)
{
	if (n->extent >= a->head.n_extents)
		return false;
	const struct answers_extent *x = &a->extents[n->extent];

	if (n->kind == NODE_IS_NOTE)
		return in_blob(a, x->at, x->len);
	return (uint64_t)x->at + x->len <= a->rows[n->row].result_len &&
	       (n->kind == NODE_IS_PARTS || x->at) &&
	       (n->kind != NODE_IS_WAVE || x->size >= ANSWERS_WAVE_HEAD);
}

static bool node_fits(const struct answers *a, uint32_t i)
{
	const struct answers_node *n = &a->nodes[i];
	const struct answers_head *h = &a->head;
	bool dir = n->kind == NODE_IS_DIR;

	return n->kind < NODE_KINDS && n->parent < h->n_nodes &&
	       a->nodes[n->parent].kind == NODE_IS_DIR &&
	       in_blob(a, n->name_at, n->name_len + 1u) &&
	       a->blob[n->name_at + n->name_len] == '\0' &&
	       (i == 0) == (n->name_len == 0) &&
	       (h->n_order || (dir == !i && !n->parent)) &&
	       (!dir || (n->first <= h->n_nodes && n->count <= h->n_nodes - n->first)) &&
	       (dir || n->row < h->n_rows || n->kind == NODE_IS_GONE) &&
	       (!answers_has_extent(n) || extent_fits(a, n));
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
	const struct answers_head *h = &a->head;
	bool good = a->nodes[0].kind == NODE_IS_DIR && h->vectors <= h->n_rows &&
		    in_blob(a, h->models_at, h->models_len) &&
		    in_blob(a, h->warnings_at, h->warnings_len) &&
		    in_blob(a, h->summary_at, h->summary_len);

	for (uint32_t i = 0; good && i < h->n_rows; i++)
		good = row_fits(a, i);
	good = good && marks_fit(a) && notes_fit(a);
	for (uint32_t i = 0; good && i < h->n_nodes; i++)
		good = node_fits(a, i);
	for (uint32_t i = 0; good && i < h->n_parts; i++)
		good = part_fits(&a->parts[i]);
	for (uint32_t i = 0; good && i < h->n_slots; i++)
		good = a->slots[i] < h->n_nodes;
	for (uint32_t i = 0; good && i < h->n_order; i++)
		good = a->order[i] < h->n_nodes;
	return good && table_fits(a);
}

static void point_into(struct answers *a)
{
	char *p = (char *)a->map + sizeof a->head;
	struct section all[SECTIONS];

	sections(a, all);
	for (size_t i = 0; i < SECTIONS; p += all[i++].len)
		memcpy((char *)a + all[i].pointer, &p, sizeof p);
}

static int take_head(struct answers *a)
{
	memcpy(&a->head, a->map, sizeof a->head);
	if (!head_fits(a))
		return -EBADMSG;
	point_into(a);
	return 0;
}

/* The map of the file is read once from end to end here. */
static int check_body(const struct answers *a)
{
	return body_crc(a) == a->head.body_crc && body_fits(a) ? 0 : -EBADMSG;
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

/* ---- rows --------------------------------------------------------------------------- */

static uint64_t mark_at(const struct answers *a, enum answers_column c, uint32_t i)
{
	return c == ANSWERS_TSV ? a->marks[i].tsv : a->marks[i].retry;
}

uint64_t answers_row_begin(const struct answers *a, enum answers_column c, uint32_t i)
{
	if (i == a->head.n_rows)
		return c == ANSWERS_TSV ? a->head.tsv_size : a->head.retry_size;
	uint64_t at = mark_at(a, c, i / ANSWERS_MARK_EVERY);

	for (uint32_t k = i - i % ANSWERS_MARK_EVERY; k < i; k++)
		at += answers_row_len(&a->rows[k], c);
	return at;
}

uint32_t answers_row_at(const struct answers *a, enum answers_column c, uint64_t off)
{
	uint32_t low = 0, high = count_marks(&a->head);

	/* The first mark behind off; what ends after off is before it. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (mark_at(a, c, middle) > off)
			high = middle;
		else
			low = middle + 1;
	}
	if (!low)
		return 0; /* there are no rows */
	uint32_t i = (low - 1) * ANSWERS_MARK_EVERY;

	for (uint64_t end = mark_at(a, c, low - 1); i < a->head.n_rows; i++) {
		end += answers_row_len(&a->rows[i], c);
		if (end > off)
			break;
	}
	return i;
}

struct answers_note answers_note_of(
	const struct answers *a, const struct answers_row *row)
{
	uint32_t low = 0, high = a->head.n_notes;

	if (!row->noted)
		return (struct answers_note){0};
	uint32_t i = (uint32_t)(row - a->rows);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->notes[middle].row >= i)
			high = middle;
		else
			low = middle + 1;
	}
	return low < a->head.n_notes ? a->notes[low] : (struct answers_note){0};
}

/* ---- the tree ----------------------------------------------------------------------- */

uint32_t answers_name_slot(struct keyseed seed, uint32_t parent, const char *name,
	size_t len, uint32_t n)
{
	struct siphash h;

	siphash_init(&h, seed);
	siphash_add(&h, &parent, sizeof parent);
	siphash_add(&h, name, len);
	return answers_hash_slot(siphash_end(&h), n);
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

uint64_t answers_node_size(const struct answers *a, const struct answers_node *n)
{
	return answers_has_extent(n)	   ? a->extents[n->extent].size
	       : n->kind == NODE_IS_TEXT ? n->size
					   : 0;
}

struct span answers_data(const struct answers *a, const struct answers_node *n)
{
	const struct answers_extent *x = &a->extents[n->extent];
	uint64_t from = n->kind == NODE_IS_NOTE ? 0 : a->rows[n->row].result_from;

	return (struct span){from + x->at, from + x->at + x->len};
}

/* Of the one directory that there is. */
static uint32_t next_of_all(const struct answers *a, uint32_t from)
{
	uint32_t i = from ? from : 1;

	while (i < a->head.n_nodes && a->nodes[i].kind == NODE_IS_GONE)
		i++;
	return i < a->head.n_nodes ? i : 0;
}

uint32_t answers_next(const struct answers *a, uint32_t dir, uint32_t from)
{
	const struct answers_node *d = &a->nodes[dir];
	uint32_t low = 0, high = d->count;

	if (d->kind != NODE_IS_DIR)
		return 0;
	if (!a->head.n_order)
		return next_of_all(a, from);
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->order[d->first + middle] >= from)
			high = middle;
		else
			low = middle + 1;
	}
	return low < d->count ? a->order[d->first + low] : 0;
}
