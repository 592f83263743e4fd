/*
 * The names of the files made from answers. A key is a path below responses/: each part
 * is encoded as in dir_names.h; what remains of a key deeper than DEPTH_MAX is one
 * name. All files of a row have the same base, which is marked with the line's number
 * when it is too long or one of them is taken.
 */
#include "answers/answers_private.h"
#include "store/dir_names.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum {
	DEPTH_MAX = 64,
	MARK_MAX = 24,                    /* "~LINE~TRY" */
	SUFFIX_MAX = 24,                  /* ".N.EXTENSION" */
	BASE_MAX = NAME_SIZE - 1 - MARK_MAX - SUFFIX_MAX,
};

static const struct {
	const char *mime, *extension;
} extensions[] = {
	{"image/png", "png"},	  {"image/jpeg", "jpg"},   {"image/jpg", "jpg"},
	{"image/webp", "webp"},	  {"image/gif", "gif"},	   {"image/bmp", "bmp"},
	{"image/heic", "heic"},	  {"image/heif", "heif"},  {"image/svg+xml", "svg"},
	{"image/tiff", "tiff"},	  {"audio/wav", "wav"},	   {"audio/x-wav", "wav"},
	{"audio/mpeg", "mp3"},	  {"audio/mp3", "mp3"},	   {"audio/ogg", "ogg"},
	{"audio/flac", "flac"},	  {"audio/aac", "aac"},	   {"audio/aiff", "aiff"},
	{"audio/l16", "wav"},	  {"audio/pcm", "wav"},	   {"audio/mp4", "m4a"},
	{"video/mp4", "mp4"},	  {"video/webm", "webm"},  {"video/quicktime", "mov"},
	{"application/pdf", "pdf"},
};

const char *answers_extension(const char *mime)
{
	size_t n = strcspn(mime, "; ");

	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		if (strlen(extensions[i].mime) == n &&
			strncasecmp(extensions[i].mime, mime, n) == 0)
			return extensions[i].extension;
	return "bin";
}

/* "audio/L16;codec=pcm;rate=24000": a parameter's number. */
static uint32_t mime_number(const char *mime, const char *name, uint32_t otherwise)
{
	size_t n = strlen(name);
	unsigned long value;

	while ((mime = strchr(mime, ';'))) {
		mime += strspn(mime, "; ");
		if (strncasecmp(mime, name, n) != 0 || mime[n] != '=')
			continue;
		value = strtoul(mime + n + 1, NULL, 10);
		return value && value <= 1000000 ? (uint32_t)value : otherwise;
	}
	return otherwise;
}

void answers_take_wave(const char *mime, struct answers_medium *m)
{
	size_t n = strcspn(mime, "; ");
	bool raw = n == strlen("audio/L16") &&
		   (strncasecmp(mime, "audio/L16", n) == 0 ||
			   strncasecmp(mime, "audio/pcm", n) == 0);

	if (!raw)
		return;
	m->rate = mime_number(mime, "rate", 24000);
	m->channels = mime_number(mime, "channels", 1);
	if (m->channels > 32)
		m->channels = 1;
}

/* While it grows: nodes in the order they were made, parents by that. */
struct tree {
	struct answers *a;
	struct answers_blob *blob;
	const struct answers_material *from;
	struct answers_node *nodes;
	uint32_t n, room;
	struct answers_extent *extents;
	uint32_t n_extents, room_extents;
	uint32_t *slots, n_slots;
	/* The name at work: `name` has a base and whatever is put behind it. */
	char encoded[NAME_PART_SIZE(LINE_KEY_MAX)];
	char name[NAME_SIZE];
};

/* ---- a hash of nodes ----------------------------------------------------------------- */

static void put_slot(const struct tree *t, uint32_t *slots, uint32_t n_slots,
	uint32_t i, const struct answers_node *n)
{
	uint32_t at = answers_name_slot(t->a->head.seed, n->parent,
		t->blob->text + n->name_at, n->name_len, n_slots);

	while (slots[at])
		at = answers_next_slot(at, n_slots);
	slots[at] = i;
}

static bool is_gone(const struct answers_node *n)
{
	return n->kind == NODE_IS_GONE;
}

static int set_slots(struct tree *t, uint32_t n)
{
	free(t->slots);
	t->slots = calloc(n, sizeof *t->slots);
	t->n_slots = n;
	if (!t->slots)
		return -ENOMEM;
	for (uint32_t i = 1; i < t->n; i++)
		if (!is_gone(&t->nodes[i]))
			put_slot(t, t->slots, n, i, &t->nodes[i]);
	return 0;
}

static uint32_t tree_find(const struct tree *t, uint32_t parent, size_t len)
{
	uint32_t at = answers_name_slot(
		t->a->head.seed, parent, t->name, len, t->n_slots);
	uint32_t i;

	for (; (i = t->slots[at]); at = answers_next_slot(at, t->n_slots))
		if (t->nodes[i].parent == parent && t->nodes[i].name_len == len &&
			memcmp(t->blob->text + t->nodes[i].name_at, t->name, len) == 0)
			return i;
	return 0;
}

static int tree_make_room(struct tree *t, uint32_t room)
{
	if (answers_room(&t->nodes, room, sizeof *t->nodes))
		return -ENOMEM;
	t->room = room;
	return set_slots(t, answers_slots_for(room));
}

static int tree_grow(struct tree *t)
{
	if (t->n < t->room)
		return 0;
	if (t->n >= ANSWERS_NODES_MAX)
		return -EFBIG;
	return tree_make_room(t, t->room + t->room / 2 + 16);
}

/* Whether the name stands where the row's key does now: most names are that and a
 * suffix, and set_key has left room for it. */
static bool beside_key(
	const struct tree *t, struct answers_node *n, const char *name, size_t len)
{
	const struct answers_row *r = &t->a->rows[n->row];
	char *key = t->blob->text + r->key_at, *end = key + r->key_len;

	if (len < r->key_len || len - r->key_len >= answers_key_room(r) || *end ||
		memcmp(name, key, r->key_len) != 0)
		return false;
	memcpy(end, name + r->key_len, len - r->key_len + 1);
	n->name_at = r->key_at;
	return true;
}

static int put_name(struct tree *t, struct answers_node *n, const char *name, size_t len)
{
	bool file = n->kind != NODE_IS_DIR && !is_gone(n);

	n->name_len = (uint8_t)len;
	return file && beside_key(t, n, name, len)
		       ? 0
		       : answers_blob_add(t->blob, name, len + 1, &n->name_at);
}

static int add_extent(struct tree *t, struct answers_extent x, uint32_t *ret)
{
	if (answers_room_for_one(
		    &t->extents, t->n_extents, &t->room_extents, sizeof *t->extents))
		return -ENOMEM;
	*ret = t->n_extents;
	t->extents[t->n_extents++] = x;
	return 0;
}

/* The next node, which has its name. Returns its number. */
static uint32_t put_node(struct tree *t, const struct answers_node *n)
{
	t->nodes[t->n] = *n;
	if (t->n && !is_gone(n))
		put_slot(t, t->slots, t->n_slots, t->n, n);
	return t->n++;
}

/* What a node is, its name apart. */
struct file {
	struct answers_node node;
	struct answers_extent extent; /* if it has one */
};

/* A node of t->name; *ret its number. */
static int tree_add(struct tree *t, struct file f, size_t len, uint32_t *ret)
{
	int err = tree_grow(t);

	if (!err)
		err = put_name(t, &f.node, t->name, len);
	if (!err && answers_has_extent(&f.node))
		err = add_extent(t, f.extent, &f.node.extent);
	if (!err)
		*ret = put_node(t, &f.node);
	return err;
}

/* ---- directories ----------------------------------------------------------------------- */

/* t->name from t->encoded, cut to max, marked from the first try on, or at once where
 * it had to be cut. */
static size_t mark_double(
	struct tree *t, size_t len, size_t max, uint32_t line, unsigned try)
{
	size_t keep = name_cut(t->encoded, len, max);

	if (keep < len)
		try++;
	memcpy(t->name, t->encoded, keep);
	t->name[keep] = '\0';
	if (try == 1)
		keep += (size_t)sprintf(t->name + keep, "~%u", line);
	else if (try > 1)
		keep += (size_t)sprintf(t->name + keep, "~%u~%u", line, try);
	return keep;
}

static int tree_enter(
	struct tree *t, uint32_t *dir, const char *part, size_t n, uint32_t line)
{
	size_t len = name_encode_part(part, n, t->encoded), full;

	for (unsigned try = 0;; try++) {
		uint32_t found;

		full = mark_double(t, len, NAME_SIZE - 1 - MARK_MAX, line, try);
		found = tree_find(t, *dir, full);
		if (!found)
			break;
		if (t->nodes[found].kind == NODE_IS_DIR) {
			*dir = found;
			return 0;
		}
	}
	return tree_add(t,
		(struct file){.node = {.kind = NODE_IS_DIR, .parent = *dir}}, full, dir);
}

/* ---- files of a row -------------------------------------------------------------------- */

enum { FILES_BESIDE = 3 /* the media */ };

static const struct answers_more *more_of(
	const struct tree *t, const struct answers_files *f)
{
	static const struct answers_more none;

	return f->more ? &t->from->more[f->more - 1] : &none;
}

static uint32_t count_files(const struct answers_more *more)
{
	return FILES_BESIDE + more->n_media;
}

static struct file medium_file(
	const struct answers_row *r, const struct answers_medium *m)
{
	struct file f = {{.kind = NODE_IS_DATA},
		{.at = (uint32_t)(m->data.from - r->result_from),
			.len = (uint32_t)(m->data.to - m->data.from),
			.size = (uint32_t)m->size,
			.regular = m->regular}};

	if (m->rate) {
		f.node.kind = NODE_IS_WAVE;
		f.extent.size += ANSWERS_WAVE_HEAD;
		f.extent.rate = m->rate;
		f.extent.channels = (uint8_t)m->channels;
	}
	return f;
}

/* A file with a newline behind it. */
static struct file extent_file(enum answers_kind kind, uint32_t at, uint32_t len)
{
	return (struct file){{.kind = (uint8_t)kind, .newline = true},
		{.at = at, .len = len, .size = len + 1}};
}

/* File k of a row: what it is, and its suffix; false: there is none. */
static bool file_of(const struct tree *t, uint32_t row, uint32_t k, struct file *ret,
	char suffix[SUFFIX_MAX])
{
	const struct answers_files *f = &t->from->files[row];
	const struct answers_more *more = more_of(t, f);
	const struct answers_medium *m;

	switch (k) {
	case 0:
		*ret = (struct file){{.kind = NODE_IS_TEXT,
			.size = f->size + (f->newline || f->error),
			.newline = f->newline || f->error}};
		strcpy(suffix, f->error ? ".error" : f->json ? ".json" : ".txt");
		return f->has_main || f->error;
	case 1:
		*ret = extent_file(NODE_IS_PARTS, more->parts_at, more->parts_len);
		strcpy(suffix, ".json");
		return more->parts_len && !(f->has_main && f->json);
	case 2:
		*ret = extent_file(NODE_IS_NOTE, more->why_at, more->why_len);
		strcpy(suffix, ".error");
		return more->why_len;
	}
	k -= FILES_BESIDE;
	m = &t->from->media[more->media + k];
	*ret = medium_file(&t->a->rows[row], m);
	if (k == 0)
		snprintf(suffix, SUFFIX_MAX, ".%s", m->extension);
	else
		snprintf(suffix, SUFFIX_MAX, ".%u.%s", k + 1, m->extension);
	return true;
}

static bool is_free(struct tree *t, uint32_t dir, size_t base, uint32_t row)
{
	uint32_t all = count_files(more_of(t, &t->from->files[row]));
	char suffix[SUFFIX_MAX];
	struct file f;

	for (uint32_t k = 0; k < all; k++) {
		if (!file_of(t, row, k, &f, suffix))
			continue;
		strcpy(t->name + base, suffix);
		if (tree_find(t, dir, base + strlen(suffix)))
			return false;
	}
	return true;
}

static int add_files(struct tree *t, uint32_t dir, size_t base, uint32_t row)
{
	uint32_t all = count_files(more_of(t, &t->from->files[row])), made;
	char suffix[SUFFIX_MAX];
	struct file f;
	int err = 0;

	for (uint32_t k = 0; !err && k < all; k++) {
		if (!file_of(t, row, k, &f, suffix))
			continue;
		f.node.parent = dir;
		f.node.row = row;
		strcpy(t->name + base, suffix);
		err = tree_add(t, f, base + strlen(suffix), &made);
	}
	return err;
}

static int place_row(struct tree *t, uint32_t row)
{
	const struct answers_row *r = &t->a->rows[row];
	/* The blob grows and moves meanwhile. */
	char key[LINE_KEY_MAX];
	const char *part = key, *slash;
	size_t left = r->key_len, len, base;
	uint32_t dir = 0;
	unsigned try = 0;

	memcpy(key, t->blob->text + r->key_at, left);
	for (int depth = 0; depth < DEPTH_MAX && (slash = memchr(part, '/', left));
		depth++) {
		int err = tree_enter(t, &dir, part, (size_t)(slash - part), r->line);

		if (err)
			return err;
		left -= (size_t)(slash - part) + 1;
		part = slash + 1;
	}
	len = name_encode_part(part, left, t->encoded);
	if (t->from->files[row].unnamed)
		len = 0, try = 1;
	do
		base = mark_double(t, len, BASE_MAX, r->line, try++);
	while (!is_free(t, dir, base, row));
	return add_files(t, dir, base, row);
}

/* ---- what stays of an earlier index ---------------------------------------------------- */

static int keep_extent(
	struct tree *t, const struct answers *before, struct answers_node *n)
{
	struct answers_extent x = before->extents[n->extent];
	int err = n->kind == NODE_IS_NOTE
			  ? answers_blob_add(
				    t->blob, before->blob + x.at, x.len, &x.at)
			  : 0;

	return err ? err : add_extent(t, x, &n->extent);
}

static int keep_node(struct tree *t, const struct answers *before, uint32_t i)
{
	struct answers_node n = before->nodes[i];
	bool file = n.kind != NODE_IS_DIR && !is_gone(&n);
	int err = tree_grow(t);

	if (file && t->from->files[n.row].made)
		n.kind = NODE_IS_GONE;
	if (is_gone(&n))
		n = (struct answers_node){.kind = NODE_IS_GONE, .name_len = i != 0};
	if (!err)
		err = put_name(t, &n,
			is_gone(&n) ? "-" : answers_name(before, &before->nodes[i]),
			n.name_len);
	if (!err && answers_has_extent(&n))
		err = keep_extent(t, before, &n);
	if (!err)
		put_node(t, &n);
	return err;
}

static int keep_nodes(struct tree *t, const struct answers *before)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < before->head.n_nodes; i++) {
		err = keep_node(t, before, i);
		answers_rest_at(before, i);
	}
	return err;
}

/* ---- how many there will be -------------------------------------------------------------- */

/* Directories of a key that are not those of the key before it. */
static uint32_t count_dirs(const struct tree *t, uint32_t row)
{
	const struct answers_row *r = &t->a->rows[row], *before = row ? r - 1 : r;
	const char *key = t->blob->text + r->key_at, *end = key + r->key_len;
	const char *other = t->blob->text + before->key_at;
	uint32_t same = 0, n = 0;

	while (row && same < r->key_len && same < before->key_len &&
		key[same] == other[same])
		same++;
	for (key += same; (key = memchr(key, '/', (size_t)(end - key))); key++)
		n++;
	return n < DEPTH_MAX ? n : DEPTH_MAX;
}

/* Nodes that will be made; nearly always exactly, so that nothing has to move for more. */
static uint32_t count_nodes(const struct tree *t, const struct answers *before)
{
	uint64_t n = before ? before->head.n_nodes : 1;
	char suffix[SUFFIX_MAX];
	struct file f;

	for (uint32_t i = 0; i < t->a->head.n_rows; i++) {
		if (!t->from->files[i].made)
			continue;
		for (uint32_t k = 0; k < FILES_BESIDE; k++)
			n += file_of(t, i, k, &f, suffix);
		n += more_of(t, &t->from->files[i])->n_media + count_dirs(t, i);
	}
	return n < ANSWERS_NODES_MAX ? (uint32_t)n : ANSWERS_NODES_MAX;
}

/* ---- the order of the children ----------------------------------------------------------- */

/* Returns how many directories there are. */
static uint32_t count_children(struct tree *t)
{
	uint32_t dirs = 0;

	for (uint32_t i = 0; i < t->n; i++)
		if (t->nodes[i].kind == NODE_IS_DIR) {
			t->nodes[i].first = t->nodes[i].count = 0;
			dirs++;
		}
	for (uint32_t i = 1; i < t->n; i++)
		if (!is_gone(&t->nodes[i]))
			t->nodes[t->nodes[i].parent].count++;
	return dirs;
}

static void group(struct tree *t, uint32_t *order)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < t->n; i++)
		if (t->nodes[i].kind == NODE_IS_DIR) {
			t->nodes[i].first = at;
			at += t->nodes[i].count;
			t->nodes[i].count = 0;
		}
	for (uint32_t i = 1; i < t->n; i++)
		if (!is_gone(&t->nodes[i])) {
			struct answers_node *dir = &t->nodes[t->nodes[i].parent];

			order[dir->first + dir->count++] = i;
		}
}

/* The children of the only directory are all nodes, in their order. */
static int tree_order(struct tree *t)
{
	struct answers *a = t->a;

	if (count_children(t) == 1)
		return 0;
	a->order = calloc(t->n, sizeof *a->order);
	if (!a->order)
		return -ENOMEM;
	a->head.n_order = t->n;
	group(t, a->order);
	return 0;
}

static int tree_settle(struct tree *t)
{
	struct answers_head *h = &t->a->head;
	int err = t->n < t->room ? tree_make_room(t, t->n) : 0;

	if (!err)
		err = tree_order(t);
	if (err)
		return err;
	h->n_nodes = t->n;
	h->n_slots = t->n_slots;
	h->n_extents = t->n_extents;
	t->a->slots = STEAL_PTR(t->slots);
	t->a->extents = STEAL_PTR(t->extents);
	t->a->nodes = STEAL_PTR(t->nodes);
	return 0;
}

bool answers_path(const struct answers *a, const char *blob, uint32_t node, char *ret,
	size_t size)
{
	size_t at = size - 1;

	ret[at] = '\0';
	for (; node; node = a->nodes[node].parent) {
		const struct answers_node *n = &a->nodes[node];
		bool last = !ret[at];

		if (at < n->name_len + 1u)
			return false;
		if (!last)
			ret[--at] = '/';
		at -= n->name_len;
		memcpy(ret + at, blob + n->name_at, n->name_len);
	}
	memmove(ret, ret + at, size - at);
	return true;
}

int answers_tree(struct answers *a, struct answers_blob *blob,
	const struct answers_material *m, const struct answers *before)
{
	struct tree *t = calloc(1, sizeof *t);
	uint32_t root;
	int err = -ENOMEM;

	if (!t)
		return err;
	t->a = a;
	t->blob = blob;
	t->from = m;
	err = tree_make_room(t, count_nodes(t, before));
	if (err)
		goto out;
	err = before ? keep_nodes(t, before)
		     : tree_add(
			       t, (struct file){.node = {.kind = NODE_IS_DIR}}, 0, &root);
	for (uint32_t i = 0; !err && i < a->head.n_rows; i++)
		if (m->files[i].made)
			err = place_row(t, i);
	if (!err)
		err = tree_settle(t);
out:
	free(t->nodes);
	free(t->extents);
	free(t->slots);
	free(t);
	return err;
}
