/*
 * Listings: OPENDIR, READDIR, READDIRPLUS, from memory.
 *
 * Offsets name what comes next and stay right while jobs and files come and go: in
 * the root 2 + a job's slot + 1, elsewhere 2 + the number of a file or an answer, so a
 * listing never
 * shows a thing twice nor skips one that was there all the time.
 */
#include <errno.h>
#include <string.h>

#include "virtual/virtual_files.h"
#include "kernel/ops.h"
#include "kernel/pending.h"

#define FIRST 2 /* after . and .. */

struct listing {
	fuse_req_t req;
	struct mount *m;
	const struct node *dir;
	bool plus;
	char *buf;
	size_t room, used;
};

/* ---- OPENDIR ------------------------------------------------------------------- */

static int dir_first_list(struct pending *p)
{
	return gb_list_refresh(p->m->gb, GB_LIST_NEWS, &p->w);
}

static void end_opendir(struct pending *p, int err)
{
	/* Without a list, show what is known from before. */
	if (err == -EINTR)
		ops_err(p->req, err);
	else
		fuse_reply_open(p->req, &p->fi);
}

static int dir_look(struct pending *p)
{
	return gb_answers_look(p->job, &p->w);
}

static void end_open_responses(struct pending *p, int err)
{
	if (err)
		ops_err(p->req, err);
	else
		fuse_reply_open(p->req, &p->fi);
}

static struct pending *pending_open(fuse_req_t req, const struct node *dir)
{
	if (dir->kind != NODE_ANSWER)
		return pending_new(req, dir_look, end_opendir);
	return pending_new(req, ops_call_answers, end_open_responses);
}

/* The index of one part alone is made for itself, but where a directory is its own first
 * part: that one is listed when it is there. */
static bool has_answers_to_list(const struct node *dir)
{
	return dir->kind == NODE_JOB || (dir->kind == NODE_PART && dir->info.is_part);
}

/* A job's answer files are listed once their index exists: a listing waits for it,
 * which takes local work only. The rest is listed whether or not that succeeds. An open
 * of responses/ itself, by name, waits until the results are saved. */
static void open_other(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	_cleanup_node_ struct node dir = {};
	struct pending *p;

	if (node_get(mount_of(req), ino, &dir) ||
		!((has_answers_to_list(&dir) && dir.info.answers_pending) ||
			(dir.kind == NODE_ANSWER && node_answers_awaited(&dir)))) {
		fuse_reply_open(req, fi);
		return;
	}
	p = pending_open(req, &dir);
	if (!p)
		return;
	p->fi = *fi;
	p->job = gb_job_ref(dir.job);
	p->again = dir.kind == NODE_ANSWER;
	pending_run(p, 0);
}

/* The first look after a start waits for the list; others start a refresh in the
 * background. */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct pending *p;

	if (ino != FUSE_ROOT_ID) {
		open_other(req, ino, fi);
		return;
	}
	gb_list_refresh(mount_of(req)->gb, GB_LIST_FRESH, NULL);
	p = pending_new(req, dir_first_list, end_opendir);
	if (!p)
		return;
	p->fi = *fi;
	pending_run(p, 0);
}

/* ---- entries --------------------------------------------------------------------- */

/* Append bytes of an entry that took n; false when it did not fit. */
static bool entry_fits(struct listing *l, size_t n)
{
	if (l->used + n > l->room)
		return false;
	l->used += n;
	return true;
}

static bool add_plain(
	struct listing *l, const char *name, fuse_ino_t ino, mode_t mode, off_t next)
{
	struct stat st = {.st_ino = ino, .st_mode = mode};

	return entry_fits(l, fuse_add_direntry(l->req, l->buf + l->used,
				     l->room - l->used, name, &st, next));
}

/* An entry with attributes; without them (they are then looked up when needed) if the
 * node has none, or if the API must be asked for its size. */
static bool add_plus(struct listing *l, const char *name, const struct node *n,
	mode_t mode, off_t next)
{
	struct fuse_entry_param entry;

	if (!n || ops_entry(l->m, n, &entry) != 0)
		entry = (struct fuse_entry_param){
			.attr = {.st_ino = n ? n->ino : 0, .st_mode = mode}};
	if (!entry.attr.st_ino)
		entry.attr.st_ino = l->dir->ino;
	return entry_fits(l, fuse_add_direntry_plus(l->req, l->buf + l->used,
			       l->room - l->used, name, &entry, next));
}

static bool listing_add(struct listing *l, const char *name, const struct node *n,
	mode_t mode, off_t next)
{
	if (l->plus)
		return add_plus(l, name, n, mode, next);
	return add_plain(l, name, n ? n->ino : l->dir->ino, mode, next);
}

static bool add_dots(struct listing *l, off_t off)
{
	static const char *const dots[] = {".", ".."};

	for (; off < FIRST; off++)
		if (!listing_add(l, dots[off], NULL, S_IFDIR, off + 1))
			return false;
	return true;
}

static void list_root(struct listing *l, off_t off)
{
	struct node meta;
	struct gb_job *job;
	bool more = true;

	if (off == FIRST) {
		node_meta(l->m, &meta);
		if (!listing_add(l, ".batchfs", &meta, S_IFDIR, ++off))
			return;
	}
	while (more && (job = gb_job_next(l->m->gb, off - FIRST - 1))) {
		_cleanup_node_ struct node n = {};

		node_job_take(l->m, job, &n);
		off = (off_t)n.info.slot + FIRST + 2;
		more = listing_add(l, n.info.name, &n, S_IFDIR, off);
	}
}

static bool add_tree(struct listing *l, const struct vfile *row)
{
	_cleanup_node_ struct node n = {};
	struct gb_answer root;

	if (!gb_answer_get(l->dir->job, 0, &root))
		return true;
	node_answer_take(l->m, gb_job_ref(l->dir->job), &root, &n);
	return listing_add(l, row->name, &n, S_IFDIR, row->number + 1 + FIRST);
}

static void list_answers(struct listing *l, off_t off)
{
	uint32_t dir = l->dir->answer.number;
	struct gb_answer answer;
	bool more = true;

	for (off -= FIRST; more && gb_answer_next(l->dir->job, dir, (uint32_t)off,
					   &answer);
		off = (off_t)answer.number + 1) {
		_cleanup_node_ struct node n = {};

		node_answer_take(l->m, gb_job_ref(l->dir->job), &answer, &n);
		more = listing_add(l, answer.name, &n, answer.dir ? S_IFDIR : S_IFREG,
			(off_t)answer.number + 1 + FIRST);
	}
}

/* The virtual files from number off - FIRST; false when no more fit. */
static bool list_virtual(struct listing *l, off_t off)
{
	const struct node *dir = l->dir;
	enum vfile_place place = node_place(dir);
	const struct vfile *row = vfile_next(place, off - FIRST);

	for (; row; row = vfile_next(place, row->number + 1)) {
		_cleanup_node_ struct node n = {};

		if (!vfile_listed(row, &dir->info))
			continue;
		if (row->how == HOW_TREE) {
			if (!add_tree(l, row))
				return false;
			continue;
		}
		if (row->how == HOW_PARTS) {
			node_parts_take(l->m, gb_job_ref(dir->job), &n);
			if (!listing_add(l, row->name, &n, S_IFDIR,
				    row->number + 1 + FIRST))
				return false;
			continue;
		}
		node_virtual_take(
			l->m, dir->job ? gb_job_ref(dir->job) : NULL, row, &n);
		if (!listing_add(l, row->name, &n, S_IFREG, row->number + 1 + FIRST))
			return false;
	}
	return true;
}

static void list_parts(struct listing *l, off_t off)
{
	uint32_t from = off - FIRST;
	struct gb_job *part;
	bool more = true;

	while (more && (part = gb_job_part_next(l->dir->job, from))) {
		_cleanup_node_ struct node n = {};
		char name[PART_NAME];

		node_part_take(l->m, part, &n);
		node_part_name(&n, name);
		from = n.info.part + 1;
		more = listing_add(l, name, &n, S_IFDIR, (off_t)from + FIRST);
	}
}

static void list_files(struct listing *l, off_t off)
{
	uint32_t from = off - FIRST > NUMBER_FILES ? off - FIRST : NUMBER_FILES;
	struct gb_file *file;
	bool more = true;

	while (more && (file = gb_file_next(l->dir->job, l->dir->file, from))) {
		_cleanup_node_ struct node n = {};
		char name[256];

		node_file_take(l->m, gb_job_ref(l->dir->job), file, &n);
		from = gb_file_number(file) + 1;
		if (gb_file_name(file, name))
			more = listing_add(l, name, &n,
				n.kind == NODE_DIR ? S_IFDIR : S_IFREG,
				(off_t)from + FIRST);
	}
}

static void list_entries(struct listing *l, off_t off)
{
	if (!add_dots(l, off))
		return;
	if (off < FIRST)
		off = FIRST;
	switch (l->dir->kind) {
	case NODE_ROOT:
		list_root(l, off);
		break;
	case NODE_META:
		list_virtual(l, off);
		break;
	case NODE_PART:
		list_virtual(l, off);
		break;
	case NODE_PARTS:
		list_parts(l, off);
		break;
	case NODE_DIR:
		list_files(l, off);
		break;
	case NODE_ANSWER:
		list_answers(l, off);
		break;
	default:
		if (list_virtual(l, off))
			list_files(l, off);
	}
}

/* ---- READDIR, READDIRPLUS ----------------------------------------------------------
 */

static bool is_listable(const struct node *n)
{
	return n->kind == NODE_ROOT || n->kind == NODE_META || n->kind == NODE_PARTS ||
	       n->kind == NODE_PART || node_is_place(n) ||
	       (n->kind == NODE_ANSWER && n->answer.dir);
}

static void readdir_any(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	_cleanup_node_ struct node dir = {};
	_cleanup_free_ char *buf = NULL;
	struct listing l;

	if (!ops_node(req, ino, &dir))
		return;
	if (!is_listable(&dir)) {
		ops_err(req, -ENOTDIR);
		return;
	}
	buf = malloc(size);
	if (!buf) {
		ops_err(req, -ENOMEM);
		return;
	}
	l = (struct listing){req, mount_of(req), &dir, plus, buf, size, 0};
	list_entries(&l, off);
	fuse_reply_buf(req, buf, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	readdir_any(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	readdir_any(req, ino, size, off, true);
}
