/* Attributes: LOOKUP, GETATTR, SETATTR, READLINK, STATFS. */
#include <errno.h>
#include <string.h>

#include "virtual/virtual_files.h"
#include "closing/last_close.h"
#include "kernel/notify.h"
#include "kernel/ops.h"
#include "kernel/pending.h"

/* ---- LOOKUP -------------------------------------------------------------------- */

static int find_again(struct pending *p, struct node *ret)
{
	struct node root = {.kind = NODE_ROOT, .ino = FUSE_ROOT_ID};

	return node_child(p->m, &root, p->name, ret);
}

static int attr_first_list(struct pending *p)
{
	return gb_list_refresh(p->m->gb, GB_LIST_ONCE, &p->w);
}

/* Answer with what is known now, whether or not the list arrived. */
static void end_lookup(struct pending *p, int err)
{
	_cleanup_node_ struct node child = {};

	if (err != -EINTR)
		err = find_again(p, &child);
	if (err)
		ops_err(p->req, err);
	else
		ops_reply_entry(p->req, &child);
}

/* A name the root does not have. Only before the list has been read for the first
 * time is this worth waiting for. */
static void lookup_missing(fuse_req_t req, const char *name)
{
	struct pending *p;

	if (*name == '.') {
		ops_err(req, -ENOENT);
		return;
	}
	p = pending_new(req, attr_first_list, end_lookup);
	if (!p)
		return;
	p->name = strdup(name);
	if (p->name)
		pending_run(p, 0);
	else
		pending_fail(p, -ENOMEM);
}

static int attr_look(struct pending *p)
{
	return gb_answers_look(p->job, &p->w);
}

static void end_look(struct pending *p, int err)
{
	_cleanup_node_ struct node dir = {};
	_cleanup_node_ struct node child = {};

	if (err != -EINTR)
		err = node_get(p->m, p->ino, &dir);
	if (!err)
		err = node_child(p->m, &dir, p->name, &child);
	if (err)
		ops_err(p->req, err);
	else
		ops_reply_entry(p->req, &child);
}

/* Whether only the index of answers knows about name, and an index will exist as soon
 * as somebody waits: that takes local work only. */
static bool wants_index(const struct node *dir, const char *name)
{
	const struct vfile *row;

	if (dir->kind == NODE_ANSWER)
		return node_answers_awaited(dir);
	if (dir->kind != NODE_JOB || !dir->info.answers_pending)
		return false;
	row = vfile_by_name(IN_JOB, name);
	return row &&
	       (row->how == HOW_ANSWERS || row->how == HOW_TREE || row->in_index);
}

/* A name in the job's directory waits for the index; one in responses/ waits for the
 * answers themselves, and delays only those who look for such names. */
static void lookup_after_index(fuse_req_t req, const struct node *dir, const char *name)
{
	bool inside = dir->kind == NODE_ANSWER;
	struct pending *p =
		pending_new(req, inside ? ops_call_answers : attr_look, end_look);

	if (!p)
		return;
	p->again = inside;
	p->ino = dir->ino;
	p->job = gb_job_ref(dir->job);
	p->name = strdup(name);
	if (p->name)
		pending_run(p, 0);
	else
		pending_fail(p, -ENOMEM);
}

/* A name that the job's directory does not have. In inputs/ names are made and removed
 * only through this kernel, which may cache that: it then asks once, not twice, for
 * each file that is made. */
static void reply_missing(fuse_req_t req, const struct node *dir, int err)
{
	struct fuse_entry_param none = {.entry_timeout = BELIEF};

	if (err == -ENOENT && dir->kind == NODE_DIR)
		fuse_reply_entry(req, &none);
	else
		ops_err(req, err);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = mount_of(req);
	_cleanup_node_ struct node dir = {};
	_cleanup_node_ struct node child = {};
	int err;

	if (!ops_node(req, parent, &dir))
		return;
	if (wants_index(&dir, name)) {
		lookup_after_index(req, &dir, name);
		return;
	}
	if (dir.kind == NODE_ROOT)
		gb_list_refresh(m->gb, GB_LIST_FRESH, NULL);
	err = node_child(m, &dir, name, &child);
	if (!err)
		ops_reply_entry(req, &child);
	else if (dir.kind == NODE_ROOT)
		lookup_missing(req, name);
	else
		reply_missing(req, &dir, err);
}

/* ---- GETATTR ------------------------------------------------------------------- */

static int call_size(struct pending *p)
{
	return gb_results_size(p->results, &p->w, &p->value);
}

/* The attributes after a wait that ended with err: as node_attr, or err. */
static int attr_now(const struct pending *p, int err, struct node *n, struct stat *ret)
{
	if (!err)
		err = node_get(p->m, p->ino, n);
	return err ? err : node_attr(p->m, n, ret);
}

static void end_size(struct pending *p, int err)
{
	_cleanup_node_ struct node n = {};
	struct stat st;

	err = attr_now(p, err, &n, &st);
	if (err < 0) {
		ops_err(p->req, err);
		return;
	}
	/* What is known by now is newer. */
	if (p->value > 0 && n.info.results_size < 0)
		st.st_size = p->value;
	fuse_reply_attr(p->req, &st, node_is_settled(&n) ? BELIEF : 0);
}

static void end_answers_size(struct pending *p, int err)
{
	_cleanup_node_ struct node n = {};
	struct stat st;

	err = attr_now(p, err, &n, &st);
	if (err)
		ops_err(p->req, err < 0 ? err : -EIO);
	else
		fuse_reply_attr(p->req, &st, BELIEF);
}

static struct pending *pending_size(fuse_req_t req, const struct node *n,
	int (*call)(struct pending *p), void (*end)(struct pending *p, int err))
{
	struct pending *p = pending_new(req, call, end);

	if (!p)
		return NULL;
	p->ino = n->ino;
	p->job = gb_job_ref(n->job);
	p->part = n->file_row->part;
	p->again = true; /* which then answers at once */
	return p;
}

/* The size of a file made from answers, which is known once they are here: a stat of a
 * name that is not listed yet waits for it, like an open. */
static void ask_answers_size(fuse_req_t req, const struct node *n)
{
	struct pending *p = pending_size(req, n, ops_call_answers, end_answers_size);

	if (p)
		pending_run(p, 0);
}

/* The size of results that nobody has asked for yet: one small request. */
static void ask_size(fuse_req_t req, const struct node *n)
{
	struct pending *p = pending_size(req, n, call_size, end_size);
	int err;

	if (!p)
		return;
	err = n->file_row->part ? gb_part_results_open(n->job, &p->results)
				: gb_results_open(n->job, &p->results);
	if (err)
		pending_fail(p, err);
	else
		pending_run(p, 0);
}

static void reply_attr(fuse_req_t req, const struct node *n, bool may_ask)
{
	struct mount *m = mount_of(req);
	struct stat st;
	int err;

	if (n->job)
		notify_told(m->notify, n->info.slot);
	err = node_attr(m, n, &st);
	if (err < 0)
		ops_err(req, err);
	else if (err && may_ask && n->file_row->how == HOW_ANSWERS)
		ask_answers_size(req, n);
	else if (err && may_ask)
		ask_size(req, n);
	else
		fuse_reply_attr(req, &st, err || !node_is_settled(n) ? 0 : BELIEF);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	_cleanup_node_ struct node n = {};

	if (ops_node(req, ino, &n))
		reply_attr(req, &n, true);
}

/* ---- SETATTR ------------------------------------------------------------------- */

static bool is_writable(struct mount *m, const struct node *n)
{
	struct stat st;

	return node_attr(m, n, &st) >= 0 && st.st_mode & 0222;
}

static int set_size(fuse_req_t req, const struct node *n, off_t size)
{
	struct mount *m = mount_of(req);
	int err;

	if (!is_writable(m, n))
		return ops_read_only(req);
	if (n->kind == NODE_VIRTUAL)
		return 0; /* of ctl and model: the write that follows counts */
	if (n->kind != NODE_FILE)
		return -EISDIR;
	err = gb_file_truncate(n->file, size);
	if (!err && !size)
		closes_emptied(m, n->ino);
	return err;
}

static struct timespec pick_time(
	struct timespec given, int to_set, int set, int set_now)
{
	if (to_set & set_now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	if (to_set & set)
		return given;
	return (struct timespec){.tv_nsec = UTIME_OMIT};
}

/* Nothing but a draft and the files in it has times of the user's. */
static int set_file_times(const struct node *n, const struct stat *attr, int to_set)
{
	struct timespec times[2] = {
		pick_time(attr->st_atim, to_set, FUSE_SET_ATTR_ATIME,
			FUSE_SET_ATTR_ATIME_NOW),
		pick_time(attr->st_mtim, to_set, FUSE_SET_ATTR_MTIME,
			FUSE_SET_ATTR_MTIME_NOW),
	};

	if (n->kind == NODE_DIR || (n->kind == NODE_FILE && !node_is_fixed(n)))
		return gb_file_set_times(n->file, times);
	if (n->kind != NODE_JOB || !node_is_draft(n) || times[1].tv_nsec == UTIME_OMIT)
		return 0;
	if (times[1].tv_nsec == UTIME_NOW)
		clock_gettime(CLOCK_REALTIME, &times[1]); /* wall: shown */
	gb_draft_set_times(n->job, &times[1]);
	return 0;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct mount *m = mount_of(req);
	_cleanup_node_ struct node n = {};
	int err = 0;

	if (!ops_node(req, ino, &n))
		return;
	/* chmod, chgrp and chown to oneself succeed and change nothing */
	if (to_set & FUSE_SET_ATTR_UID && attr->st_uid != m->o->uid)
		err = -EPERM;
	if (!err && to_set & FUSE_SET_ATTR_SIZE)
		err = set_size(req, &n, attr->st_size);
	if (!err && to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
				     FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW))
		err = set_file_times(&n, attr, to_set);
	if (err) {
		ops_err(req, err);
		return;
	}
	node_look(&n);
	reply_attr(req, &n, false);
}

/* ---- READLINK, STATFS ------------------------------------------------------------ */

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	_cleanup_node_ struct node n = {};
	char target[NODE_TARGET];

	if (!ops_node(req, ino, &n))
		return;
	if (n.kind == NODE_LINK) {
		node_target(&n, target);
		fuse_reply_readlink(req, target);
	} else {
		ops_err(req, -EINVAL);
	}
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int err = gb_statvfs(mount_of(req)->gb, &st);

	if (err) {
		ops_err(req, err);
		return;
	}
	st.f_namemax = 255;
	fuse_reply_statfs(req, &st);
}
