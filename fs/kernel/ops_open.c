/* Open files come and go: OPEN, CREATE, FLUSH, RELEASE, FSYNC. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "virtual/virtual_files.h"
#include "kernel/handle.h"
#include "closing/last_close.h"
#include "kernel/notify.h"
#include "kernel/ops.h"
#include "kernel/pending.h"
#include "util/log.h"

static bool wants_write(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
}

/* Direct I/O is the rule: a read returns what is there, whatever size the kernel has
 * cached. Read-only opens need no FLUSH. */
static void set_flags(struct fuse_file_info *fi, struct handle *h)
{
	fi->fh = (uintptr_t)h;
	fi->direct_io = 1;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
}

/* The kernel may have been interrupted; it never releases a handle that it did not
 * get. */
static void reply_open(struct mount *m, fuse_req_t req, struct fuse_file_info *fi)
{
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(m, handle_of(fi));
}

/* ---- virtual files -----------------------------------------------------------------
 */

static int call_refresh(struct pending *p)
{
	const struct vfile *row = p->h->row;

	if (row->first_look)
		return gb_list_refresh(p->m->gb, GB_LIST_NEWS, &p->w);
	return row->refresh ? row->refresh(p->h->job, &p->w) : 0;
}

static int call_models(struct pending *p)
{
	return gb_models(p->m->gb, &p->w, &p->text);
}

/* Inline results are at the API inside the job: to read them is to fetch it. */
static int open_call_results(struct pending *p)
{
	struct gb_job *job = p->h->job;
	bool part = p->h->row->part;
	int err = part ? gb_part_results_open(job, &p->h->results)
		       : gb_results_open(job, &p->h->results);

	if (err != -EINPROGRESS)
		return err;
	return part ? gb_part_save_results(job, &p->w) : gb_save_results(job, &p->w);
}

static int open_call_answers(struct pending *p)
{
	struct handle *h = p->h;

	return h->row && h->row->part
		       ? gb_part_answers_open(h->job, &p->w, &h->answers)
		       : gb_answers_open(h->job, &p->w, &h->answers);
}

static int take_snapshot(struct pending *p)
{
	size_t len;
	char *text;
	int err = vfile_text(p->m, p->h->row, p->h->job, &text, &len);

	if (!err)
		handle_set_text_take(p->m, p->h, text, len);
	return err;
}

static int open_virtual_text(struct pending *p)
{
	int err = take_snapshot(p);

	/* Its size may be another now than the kernel was told a moment ago; what
	 * comes from memory alone was announced when it changed. */
	if (pending_has_waited(p) || p->h->row->time == TIME_NOW)
		notify_now(p->m, p->h->ino);
	return err;
}

/* Pages can be kept for a file that is complete here and never changes. Reads through
 * pages end at the size that the kernel has cached, so a reader that had to wait for
 * the file reads directly: the cached size may be the old one. */
static void keep_pages(struct pending *p)
{
	if (pending_has_waited(p))
		return;
	p->fi.direct_io = 0;
	p->fi.keep_cache = 1;
}

static int open_results(struct pending *p)
{
	if (!p->h->results)
		return -EIO;
	/* Filling pages costs twice what direct reads cost, and more while the disk is
	 * busy with this very file: so not before it is durable; and not before GETATTR
	 * tells a size. */
	if (gb_results_final(p->h->results))
		keep_pages(p);
	return 0;
}

/* Names of models that are known from before are better than an error. */
static bool knows_models(struct pending *p)
{
	size_t len = 0;

	return !take_snapshot(p) && handle_text(p->m, p->h, &len) && len;
}

static void end_open(struct pending *p, int err)
{
	if (err && err != -EINTR && p->h->row->how == HOW_MODELS && knows_models(p))
		err = 0;
	if (err && err != -EINTR && p->h->row->first_look)
		err = 0;
	if (!err && p->h->row->how == HOW_RESULTS)
		err = open_results(p);
	else if (!err && p->h->row->how == HOW_ANSWERS &&
		 gb_answers_final(p->h->answers))
		keep_pages(p);
	else if (!err && (p->h->row->how == HOW_TEXT || p->h->row->how == HOW_MODELS))
		err = open_virtual_text(p);
	if (err) {
		handle_free(p->m, p->h);
		ops_err(p->req, err);
	} else {
		reply_open(p->m, p->req, &p->fi);
	}
}

static int call_nothing(struct pending *p)
{
	return 0;
}

static int call_log(struct pending *p)
{
	log_lines_open(&p->h->log);
	return 0;
}

static int (*const calls[])(struct pending *p) = {
	[HOW_TEXT] = call_refresh,
	[HOW_WAIT] = call_nothing,
	[HOW_RESULTS] = open_call_results,
	[HOW_HISTORY] = call_nothing,
	[HOW_LOG] = call_log,
	[HOW_MODELS] = call_models,
	[HOW_ANSWERS] = open_call_answers,
};

static void open_virtual(
	fuse_req_t req, const struct node *n, struct fuse_file_info *fi)
{
	const struct vfile *row = n->file_row;
	struct mount *m = mount_of(req);
	struct handle *h;
	struct pending *p;

	if (wants_write(fi) &&
		(row->write == WRITE_NEVER ||
			(row->write == WRITE_DRAFT && !node_is_draft(n)))) {
		ops_err(req, ops_read_only(req));
		return;
	}
	h = handle_new(m, n);
	p = h ? pending_new(req, calls[row->how], end_open) : NULL;
	if (!p) {
		handle_free(m, h);
		if (!h)
			ops_err(req, -ENOMEM);
		return;
	}
	set_flags(fi, h);
	fi->nonseekable = row->how == HOW_WAIT;
	p->fi = *fi;
	p->h = h;
	p->again = row->how == HOW_RESULTS || row->how == HOW_MODELS ||
		   row->how == HOW_ANSWERS;
	pending_run(p, 0);
}

/* ---- responses/ -------------------------------------------------------------------- */

static void end_open_answer(struct pending *p, int err)
{
	if (err) {
		handle_free(p->m, p->h);
		ops_err(p->req, err);
		return;
	}
	keep_pages(p);
	reply_open(p->m, p->req, &p->fi);
}

static void open_answer(
	fuse_req_t req, const struct node *n, struct fuse_file_info *fi)
{
	struct handle *h;
	struct pending *p;

	if (wants_write(fi)) {
		ops_err(req, ops_read_only(req));
		return;
	}
	h = handle_new(mount_of(req), n);
	p = h ? pending_new(req, open_call_answers, end_open_answer) : NULL;
	if (!p) {
		handle_free(mount_of(req), h);
		if (!h)
			ops_err(req, -ENOMEM);
		return;
	}
	set_flags(fi, h);
	p->fi = *fi;
	p->h = h;
	p->again = true;
	pending_run(p, 0);
}

/* ---- users' files ------------------------------------------------------------------
 */

/* Scratch that is read and written, by sqlite for one, may be mapped and shared, which
 * takes pages of the kernel. Who only writes goes straight through, as does all that is
 * sent. */
static bool may_be_mapped(const struct node *n, const struct fuse_file_info *fi)
{
	char name[256];

	return (fi->flags & O_ACCMODE) == O_RDWR && !gb_file_is_part(n->file) &&
	       gb_file_name(n->file, name) && strcmp(name, GB_REQUESTS) != 0;
}

/* The handle of a file that may be opened so, or a negative errno. */
static int open_user_file(fuse_req_t req, const struct node *n,
	struct fuse_file_info *fi, struct handle **ret)
{
	struct mount *m = mount_of(req);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct handle *h;
	int err = 0;

	if (wants_write(fi) && node_is_fixed(n))
		return ops_read_only(req);
	h = handle_new(m, n);
	if (!h)
		return -ENOMEM;
	if (writes)
		err = closes_open(m, &h->closing, n->ino, n->file,
			fi->flags & O_APPEND, fuse_req_ctx(req)->pid);
	if (!err && fi->flags & O_TRUNC) {
		err = gb_file_truncate(n->file, 0);
		if (!err)
			closes_emptied(m, n->ino);
	}
	if (err) {
		handle_free(m, h);
		return err;
	}
	set_flags(fi, h);
	/* A file that was sent can be cached while it is open, and mapped. */
	if (node_is_fixed(n) || may_be_mapped(n, fi))
		fi->direct_io = 0;
	*ret = h;
	return 0;
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	_cleanup_node_ struct node n = {};
	struct handle *h;
	int err = -EISDIR;

	if (!ops_node(req, ino, &n))
		return;
	if (n.kind == NODE_VIRTUAL) {
		open_virtual(req, &n, fi);
		return;
	}
	if (n.kind == NODE_ANSWER && !n.answer.dir) {
		open_answer(req, &n, fi);
		return;
	}
	if (n.kind == NODE_FILE)
		err = open_user_file(req, &n, fi, &h);
	if (err)
		ops_err(req, err);
	else
		reply_open(mount_of(req), req, fi);
}

/* `cp q/retry.jsonl j/`, for one, which is told "Operation not permitted" alone. */
static void tell_own_name(const struct node *dir, const char *name)
{
	bool retry = !strcmp(name, "retry.jsonl");

	log_line(LOG_WARNING, "%s: %s cannot be made here: batchfs makes it. %s",
		dir->info.name, name,
		retry ? "To ask again: cp OLD/retry.jsonl NEW/requests.jsonl"
		      : "Give the copy another name.");
}

static int create_in(fuse_req_t req, const struct node *dir, const char *name,
	struct fuse_file_info *fi, struct node *ret)
{
	struct gb_file *file;
	int err;

	if (!node_is_place(dir))
		return -EPERM;
	if (!dir->file && vfile_by_name(IN_JOB, name)) {
		tell_own_name(dir, name);
		return -EPERM;
	}
	err = gb_file_create(dir->job, dir->file, name, fi->flags & O_EXCL, &file);
	if (!err)
		node_file_take(mount_of(req), gb_job_ref(dir->job), file, ret);
	return err;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct mount *m = mount_of(req);
	_cleanup_node_ struct node dir = {};
	_cleanup_node_ struct node n = {};
	struct fuse_entry_param entry;
	struct handle *h = NULL;
	int err;

	if (!ops_node(req, parent, &dir))
		return;
	err = create_in(req, &dir, name, fi, &n);
	if (!err)
		err = open_user_file(req, &n, fi, &h);
	if (!err)
		err = ops_entry(m, &n, &entry);
	if (err) {
		handle_free(m, h);
		ops_err(req, err);
	} else if (fuse_reply_create(req, &entry, fi) == -ENOENT) {
		handle_free(m, h);
	}
}

/* ---- closing -----------------------------------------------------------------------
 */

static int call_submit(struct pending *p)
{
	return gb_submit(p->h->job, GB_BY_CLOSE, &p->w);
}

static int leave_submit(struct pending *p)
{
	return gb_job_left(p->h->job, &p->w);
}

static void end_submit(struct pending *p, int err)
{
	notify_job_now(p->m, p->h->slot);
	ops_err(p->req, err);
}

/* Take the clerk's verdict; then it may become a submission. */
static int call_flush(struct pending *p)
{
	struct ask *ask = p->ask;
	int verdict;

	if (!ask)
		return closes_flush(p->m, &p->h->closing, p->h->job, p->h->file, p->tid,
			&p->w, &p->ask);
	p->ask = NULL;
	verdict = closes_verdict_take(ask);
	if (verdict <= 0)
		return verdict;
	p->call = call_submit;
	p->leave = leave_submit;
	p->end = end_submit;
	return call_submit(p);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct pending *p;

	if (!h->closing.file) {
		ops_err(req, 0);
		return;
	}
	p = pending_new(req, call_flush, pending_end_err);
	if (!p)
		return;
	p->h = h;
	pending_run(p, 0);
}

/* Never submits: nobody would see its error. */
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	closes_last(mount_of(req), &h->closing, h->job, h->file);
	handle_free(mount_of(req), h);
	fuse_reply_err(req, 0);
}

static int call_sync(struct pending *p)
{
	return gb_file_sync(p->file, &p->w);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct pending *p;

	if (!h->file) {
		ops_err(req, 0);
		return;
	}
	p = pending_new(req, call_sync, pending_end_err);
	if (!p)
		return;
	p->file = gb_file_ref(h->file);
	pending_run(p, 0);
}
