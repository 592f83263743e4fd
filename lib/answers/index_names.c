/*
 * The names of the files made from answers. A key is a path below responses/: each part
 * is encoded as in dir_names.h; what remains of a key deeper than DEPTH_MAX is one
 * name. All files of a row have the same base, which is marked with the line's number
 * when it is too long or one of them is taken.
 */
#include "answers/index.h"
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

/* Two thirds full. */
static uint32_t slots_for(uint32_t nodes)
{
	return nodes + nodes / 2 + 16;
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
	struct answers_node *bigger = reallocarray(t->nodes, room, sizeof *bigger);

	if (!bigger)
		return -ENOMEM;
	t->nodes = bigger;
	t->room = room;
	return set_slots(t, slots_for(room));
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

/* A node of t->name; *ret its number. */
static int tree_add(struct tree *t, struct answers_node n, size_t len, uint32_t *ret)
{
	int err = tree_grow(t);

	if (!err)
		err = put_name(t, &n, t->name, len);
	if (err)
		return err;
	t->nodes[t->n] = n;
	if (t->n)
		put_slot(t, t->slots, t->n_slots, t->n, &n);
	*ret = t->n++;
	return 0;
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
	return tree_add(t, (struct answers_node){.kind = NODE_IS_DIR, .parent = *dir},
		full, dir);
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

static void medium_file(const struct answers_medium *m, uint32_t k,
	struct answers_node *ret, char suffix[SUFFIX_MAX])
{
	*ret = (struct answers_node){.kind = NODE_IS_DATA, .data_from = m->data.from,
		.data_len = (uint32_t)(m->data.to - m->data.from), .size = m->size,
		.regular = m->regular};
	if (m->rate) {
		ret->kind = NODE_IS_WAVE;
		ret->size += ANSWERS_WAVE_HEAD;
		ret->rate = m->rate;
		ret->channels = (uint8_t)m->channels;
	}
	if (k == 0)
		snprintf(suffix, SUFFIX_MAX, ".%s", m->extension);
	else
		snprintf(suffix, SUFFIX_MAX, ".%u.%s", k + 1, m->extension);
}

/* File k of a row: what it is, and its suffix; false: there is none. */
static bool file_of(const struct tree *t, const struct answers_files *f, uint32_t k,
	struct answers_node *ret, char suffix[SUFFIX_MAX])
{
	const struct answers_more *more = more_of(t, f);

	switch (k) {
	case 0:
		*ret = (struct answers_node){.kind = NODE_IS_TEXT,
			.size = (uint64_t)f->size + (f->newline || f->error),
			.newline = f->newline || f->error};
		strcpy(suffix, f->error ? ".error" : f->json ? ".json" : ".txt");
		return f->has_main || f->error;
	case 1:
		*ret = (struct answers_node){.kind = NODE_IS_PARTS,
			.data_from = more->parts.from,
			.data_len = (uint32_t)(more->parts.to - more->parts.from),
			.size = more->parts.to - more->parts.from + 1, .newline = true};
		strcpy(suffix, ".json");
		return more->parts.to && !(f->has_main && f->json);
	case 2:
		*ret = (struct answers_node){.kind = NODE_IS_NOTE,
			.data_from = more->why_at, .data_len = more->why_len,
			.size = more->why_len + 1, .newline = true};
		strcpy(suffix, ".error");
		return more->why_len;
	default:
		k -= FILES_BESIDE;
		medium_file(&t->from->media[more->media + k], k, ret, suffix);
		return true;
	}
}

static bool is_free(
	struct tree *t, uint32_t dir, size_t base, const struct answers_files *f)
{
	uint32_t all = count_files(more_of(t, f));
	char suffix[SUFFIX_MAX];
	struct answers_node n;

	for (uint32_t k = 0; k < all; k++) {
		if (!file_of(t, f, k, &n, suffix))
			continue;
		strcpy(t->name + base, suffix);
		if (tree_find(t, dir, base + strlen(suffix)))
			return false;
	}
	return true;
}

static int add_files(struct tree *t, uint32_t dir, size_t base, uint32_t row,
	const struct answers_files *f)
{
	uint32_t all = count_files(more_of(t, f)), made;
	char suffix[SUFFIX_MAX];
	struct answers_node n;
	int err = 0;

	for (uint32_t k = 0; !err && k < all; k++) {
		if (!file_of(t, f, k, &n, suffix))
			continue;
		n.parent = dir;
		n.row = row;
		strcpy(t->name + base, suffix);
		err = tree_add(t, n, base + strlen(suffix), &made);
	}
	return err;
}

static int place_row(struct tree *t, uint32_t row)
{
	const struct answers_row *r = &t->a->rows[row];
	const struct answers_files *f = &t->from->files[row];
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
	if (f->unnamed)
		len = 0, try = 1;
	do
		base = mark_double(t, len, BASE_MAX, r->line, try++);
	while (!is_free(t, dir, base, f));
	return add_files(t, dir, base, row, f);
}

/* ---- what stays of an earlier index ---------------------------------------------------- */

static int keep_text(
	struct tree *t, const struct answers *before, struct answers_node *n)
{
	uint32_t at;
	int err = answers_blob_add(
		t->blob, before->blob + n->data_from, n->data_len, &at);

	if (!err)
		n->data_from = at;
	return err;
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
	if (!err && n.kind == NODE_IS_NOTE)
		err = keep_text(t, before, &n);
	if (err)
		return err;
	t->nodes[t->n] = n;
	if (t->n && !is_gone(&n))
		put_slot(t, t->slots, t->n_slots, t->n, &n);
	t->n++;
	return 0;
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
	struct answers_node node;

	for (uint32_t i = 0; i < t->a->head.n_rows; i++) {
		const struct answers_files *f = &t->from->files[i];

		if (!f->made)
			continue;
		for (uint32_t k = 0; k < FILES_BESIDE; k++)
			n += file_of(t, f, k, &node, suffix);
		n += more_of(t, f)->n_media + count_dirs(t, i);
	}
	return n < ANSWERS_NODES_MAX ? (uint32_t)n : ANSWERS_NODES_MAX;
}

/* ---- the order of the children ----------------------------------------------------------- */

static void group(struct tree *t)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < t->n; i++)
		if (t->nodes[i].kind == NODE_IS_DIR)
			t->nodes[i].count = 0;
	for (uint32_t i = 1; i < t->n; i++)
		if (!is_gone(&t->nodes[i]))
			t->nodes[t->nodes[i].parent].count++;
	for (uint32_t i = 0; i < t->n; i++)
		if (t->nodes[i].kind == NODE_IS_DIR) {
			t->nodes[i].first = at;
			at += t->nodes[i].count;
			t->nodes[i].count = 0;
		}
	for (uint32_t i = 1; i < t->n; i++)
		if (!is_gone(&t->nodes[i])) {
			struct answers_node *dir = &t->nodes[t->nodes[i].parent];

			t->a->order[dir->first + dir->count++] = i;
		}
}

static int tree_settle(struct tree *t)
{
	struct answers_head *h = &t->a->head;

	if (t->n < t->room) {
		int err = tree_make_room(t, t->n);

		if (err)
			return err;
	}
	t->a->order = calloc(t->n, sizeof *t->a->order);
	if (!t->a->order)
		return -ENOMEM;
	group(t);
	h->n_nodes = t->n;
	h->n_slots = t->n_slots;
	t->a->slots = STEAL_PTR(t->slots);
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
		     : tree_add(t, (struct answers_node){.kind = NODE_IS_DIR}, 0, &root);
	for (uint32_t i = 0; !err && i < a->head.n_rows; i++)
		if (m->files[i].made)
			err = place_row(t, i);
	if (!err)
		err = tree_settle(t);
out:
	free(t->nodes);
	free(t->slots);
	free(t);
	return err;
}
