/* Names: MKDIR, RMDIR, UNLINK, RENAME, and what is never made. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>

#include "virtual/virtual_files.h"
#include "closing/last_close.h"
#include "kernel/ops.h"
#include "kernel/pending.h"
#include "closing/unlink_guard.h"
#include "util/log.h"
#include "util/util.h"

/* Names that users cannot use in the root. gembatch checks the rest. */
static int check_job_name(const char *name)
{
	return *name == '.' ? -EPERM : 0;
}

static bool job_exists(struct mount *m, const char *name)
{
	struct gb_job *job = gb_job_by_name(m->gb, name);

	if (job)
		gb_job_unref(job);
	return job;
}

static int call_list(struct pending *p)
{
	return gb_list_refresh(p->m->gb, GB_LIST_FRESH, &p->w);
}

/* Park the request until the list is fresh enough to make a name in, then go on
 * with end. Steals job. */
static void after_list(fuse_req_t req, struct gb_job *job, const char *name,
	void (*end)(struct pending *p, int err))
{
	struct pending *p = pending_new(req, call_list, end);

	if (!p) {
		if (job)
			gb_job_unref(job);
		return;
	}
	p->job = job;
	p->name = strdup(name);
	if (p->name)
		pending_run(p, 0);
	else
		pending_fail(p, -ENOMEM);
}

/* ---- MKDIR --------------------------------------------------------------------- */

/* The draft is made whatever the list's result, except after an interrupt; without a
 * list its name is looked up before anything is sent. */
static void end_mkdir(struct pending *p, int err)
{
	_cleanup_node_ struct node n = {};
	struct gb_job *job = NULL;

	if (err != -EINTR)
		err = gb_draft_create(p->m->gb, p->name, !err, &job);
	if (err) {
		ops_err(p->req, err);
		return;
	}
	node_job_take(p->m, job, &n);
	ops_reply_entry(p->req, &n);
}

/* cp -r of a folder to a job's directory says no more than "Operation not permitted". */
static void tell_no_directory(const struct node *dir, const char *name)
{
	_cleanup_free_ char *what = format(
		"%s cannot be made here: the only directory of a job is inputs.", name);

	if (what)
		gb_job_explain_name(dir->job, what,
			"To ask about the files in a folder: cp -r FOLDER/. inputs/");
}

/* Below inputs/: from memory and the local disk. */
static void mkdir_inside(fuse_req_t req, const struct node *dir, const char *name)
{
	_cleanup_node_ struct node n = {};
	struct gb_file *made;
	int err = gb_file_mkdir(dir->job, dir->file, name, &made);

	if (err == -EPERM && !dir->file)
		tell_no_directory(dir, name);
	if (err) {
		ops_err(req, err);
		return;
	}
	node_file_take(mount_of(req), gb_job_ref(dir->job), made, &n);
	ops_reply_entry(req, &n);
}

static int check_mkdir(struct mount *m, const struct node *dir, const char *name)
{
	if (dir->kind != NODE_ROOT)
		return -EPERM;
	if (job_exists(m, name))
		return -EEXIST;
	return check_job_name(name);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	_cleanup_node_ struct node dir = {};
	int err;

	if (!ops_node(req, parent, &dir))
		return;
	if (node_is_place(&dir)) {
		mkdir_inside(req, &dir, name);
		return;
	}
	err = check_mkdir(mount_of(req), &dir, name);
	if (!err)
		closes_foresee(mount_of(req));
	if (err)
		ops_err(req, err);
	else
		after_list(req, NULL, name, end_mkdir);
}

/* ---- RMDIR --------------------------------------------------------------------- */

static int call_remove(struct pending *p)
{
	struct gb_info info;
	int err = 0;

	gb_job_info(p->job, &info);
	if (!p->checked)
		err = refusals_check(
			p->m, p->tid, ino_of_job(p->m, info.slot, 0), false, &p->w);
	p->checked = true;
	return err ? err : gb_remove(p->job, &p->w);
}

/* What rm -r was refused in a job's directory or below it; own: a file of batchfs's
 * own. */
static void note_refusal(struct mount *m, pid_t tid, struct gb_job *job, bool own)
{
	struct gb_info info;

	gb_part_info(job, &info);
	if (refusals_note(m, tid, ino_of_job(m, info.dir_slot, 0), own))
		log_line(LOG_WARNING,
			"%s: not removed: rm -r does not remove jobs and drafts, rmdir "
			"does",
			info.dir_name);
}

static void rmdir_inside(fuse_req_t req, const struct node *dir, const char *name)
{
	const struct vfile *row = dir->file ? NULL : vfile_by_name(IN_JOB, name);
	int err = row ? (vfile_is_dir(row) ? -EPERM : -ENOTDIR)
		      : gb_file_rmdir(dir->job, dir->file, name);

	if (err == -EPERM)
		note_refusal(mount_of(req), fuse_req_ctx(req)->pid, dir->job, false);
	ops_err(req, err);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	_cleanup_node_ struct node dir = {};
	struct gb_job *job;
	struct pending *p;

	if (!ops_node(req, parent, &dir))
		return;
	if (node_is_place(&dir)) {
		rmdir_inside(req, &dir, name);
		return;
	}
	if (dir.job) { /* of responses/ or parts/ */
		note_refusal(mount_of(req), fuse_req_ctx(req)->pid, dir.job, true);
		ops_err(req, -EPERM);
		return;
	}
	job = dir.kind == NODE_ROOT ? gb_job_by_name(mount_of(req)->gb, name) : NULL;
	if (!job) {
		ops_err(req, strcmp(name, ".batchfs") ? -ENOENT : -EPERM);
		return;
	}
	p = pending_new(req, call_remove, pending_end_err);
	if (!p) {
		gb_job_unref(job);
		return;
	}
	p->job = job;
	pending_run(p, 0);
}

/* ---- UNLINK -------------------------------------------------------------------- */

static int call_unlink(struct pending *p)
{
	bool checked = p->checked;
	struct gb_info info;

	p->checked = true;
	gb_job_info(p->job, &info);
	int err = checked ? 0
			  : refusals_check(p->m, p->tid, ino_of_job(p->m, info.slot, 0),
				    true, &p->w);
	return err ? err : gb_file_unlink(p->job, p->file, p->name);
}

static void end_unlink(struct pending *p, int err)
{
	if (err == -EPERM)
		note_refusal(p->m, p->tid, p->job, false);
	ops_err(p->req, err);
}

/* From memory and the local disk, but where somebody was refused a file of the
 * directory. */
static void unlink_file(fuse_req_t req, const struct node *dir, const char *name)
{
	struct pending *p = pending_new(req, call_unlink, end_unlink);

	if (!p)
		return;
	p->job = gb_job_ref(dir->job);
	p->file = dir->file ? gb_file_ref(dir->file) : NULL;
	p->name = strdup(name);
	if (p->name)
		pending_run(p, 0);
	else
		pending_fail(p, -ENOMEM);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	_cleanup_node_ struct node dir = {};

	if (!ops_node(req, parent, &dir))
		return;
	if (node_is_place(&dir) && (dir.file || !vfile_by_name(IN_JOB, name))) {
		unlink_file(req, &dir, name);
		return;
	}
	if (dir.job)
		note_refusal(mount_of(req), fuse_req_ctx(req)->pid, dir.job, true);
	ops_err(req, -EPERM);
}

/* ---- RENAME of a draft's directory ----------------------------------------------- */

static void end_rename_job(struct pending *p, int err)
{
	if (err != -EINTR)
		err = gb_draft_rename(p->job, p->name, !err);
	ops_err(p->req, err);
}

static void rename_job(fuse_req_t req, const char *name, const char *newname)
{
	struct mount *m = mount_of(req);
	struct gb_job *job = gb_job_by_name(m->gb, name);
	struct gb_info info;
	int err = check_job_name(newname);

	if (!job) {
		ops_err(req, strcmp(name, ".batchfs") ? -ENOENT : -EPERM);
		return;
	}
	gb_job_info(job, &info);
	if (!err && !(info.draft && !info.submitted))
		err = -EPERM;
	if (!err && strcmp(name, newname) && job_exists(m, newname))
		err = -EEXIST;
	if (err || !strcmp(name, newname)) {
		gb_job_unref(job);
		ops_err(req, err);
		return;
	}
	after_list(req, job, newname, end_rename_job);
}

/* ---- RENAME of a file ------------------------------------------------------------ */

static int call_submit_rename(struct pending *p)
{
	int err = closes_settle(p->m, p->job, p->file, p->name, &p->w);

	if (err)
		return err;
	return gb_submit_rename(p->job, p->file, p->name, p->to, &p->w);
}

static int leave_submit_rename(struct pending *p)
{
	return gb_job_left(p->to, &p->w);
}

/* The strongest way to submit: the file was complete before it got its name. */
static void rename_submitting(fuse_req_t req, const struct node *from, const char *name,
	const struct node *to)
{
	struct pending *p = pending_new(req, call_submit_rename, pending_end_err);

	if (!p)
		return;
	p->leave = leave_submit_rename;
	p->job = gb_job_ref(from->job);
	p->file = from->file ? gb_file_ref(from->file) : NULL;
	p->to = gb_job_ref(to->job);
	p->name = strdup(name);
	if (p->name)
		pending_run(p, 0);
	else
		pending_fail(p, -ENOMEM);
}

/* Whether it is the requests.jsonl of a job's directory. */
static bool names_requests(const struct node *dir, const char *name)
{
	return dir->kind == NODE_JOB && !strcmp(name, GB_REQUESTS);
}

/* Why a rename that submits is refused at once; gembatch checks other renames. */
static int check_rename(const struct node *from, const char *name,
	const struct node *to, const char *newname, bool noreplace)
{
	if (!node_is_place(from) || !node_is_place(to))
		return -EPERM;
	if (!from->file && vfile_by_name(IN_JOB, name))
		return -EPERM;
	if (!to->file && vfile_by_name(IN_JOB, newname))
		return -EPERM;
	if (!gb_job_has_file(from->job, from->file, name))
		return -ENOENT;
	if (names_requests(from, name) && !node_is_draft(from))
		return -EPERM;
	if (names_requests(to, newname) && !node_is_draft(to))
		return -EPERM;
	if (noreplace && gb_job_has_file(to->job, to->file, newname))
		return -EEXIST;
	return 0;
}

static void rename_file(fuse_req_t req, const struct node *from, const char *name,
	const struct node *to, const char *newname, bool noreplace)
{
	int err = check_rename(from, name, to, newname, noreplace);
	bool same = from->ino == to->ino && !strcmp(name, newname);

	if (err || same)
		ops_err(req, err);
	else if (names_requests(to, newname))
		rename_submitting(req, from, name, to);
	else
		ops_err(req, gb_file_rename(from->job, from->file, name, to->job,
				     to->file, newname, noreplace));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	fuse_ino_t newparent, const char *newname, unsigned flags)
{
	_cleanup_node_ struct node from = {};
	_cleanup_node_ struct node to = {};

	if (flags & ~RENAME_NOREPLACE) {
		ops_err(req, -EINVAL);
		return;
	}
	if (!ops_node(req, parent, &from) || !ops_node(req, newparent, &to))
		return;
	if (from.kind == NODE_ROOT && to.kind == NODE_ROOT)
		rename_job(req, name, newname);
	else
		rename_file(req, &from, name, &to, newname, flags & RENAME_NOREPLACE);
}

/* ---- what is never made ------------------------------------------------------------
 */

void op_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	ops_err(req, -EPERM);
}

void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	ops_err(req, -EPERM);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	ops_err(req, -EPERM);
}
