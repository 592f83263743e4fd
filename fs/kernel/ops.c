#include "kernel/ops.h"

#include <errno.h>
#include <string.h>

#include "kernel/handle.h"
#include "kernel/notify.h"
#include "kernel/pending.h"

void ops_err(fuse_req_t req, int err)
{
	fuse_reply_err(req, -err);
}

int ops_read_only(fuse_req_t req)
{
	return fuse_req_ctx(req)->uid ? -EACCES : -EROFS;
}

bool ops_node(fuse_req_t req, fuse_ino_t ino, struct node *ret)
{
	struct mount *m = mount_of(req);
	int err = node_get(m, ino, ret);

	if (err)
		err = handle_node(m, ino, ret);
	if (err)
		ops_err(req, err);
	return !err;
}

static bool has_doors(const struct node *n)
{
	return n->kind == NODE_VIRTUAL && n->file_row->write == WRITE_ALWAYS;
}

int ops_entry(struct mount *m, const struct node *n, struct fuse_entry_param *ret)
{
	struct stat st;
	bool fleeting;
	int err;

	/* Before the look, so that a change just after it is announced. */
	if (n->job)
		notify_told(m->notify, n->info.slot);
	err = node_attr(m, n, &st);
	if (err < 0)
		return err;
	/* What a check composed disappears with the next change, without the kernel.
	 * And a name that was moved by a rename which then failed, because the API
	 * refused the job, still exists for the kernel: mv looks at it once more and
	 * would see one file twice. */
	fleeting =
		n->kind == NODE_FILE && node_is_draft(n) && !gb_file_is_part(n->file);
	*ret = (struct fuse_entry_param){
		.ino = has_doors(n) ? ino_door(m, n->ino) : n->ino,
		.attr = st,
		/* 1: the size is not known, whoever wants it has to ask */
		.attr_timeout = err || !node_is_settled(n) ? 0 : BELIEF,
		.entry_timeout = fleeting || has_doors(n) ? 0 : BELIEF,
	};
	return err;
}

void ops_reply_entry(fuse_req_t req, const struct node *n)
{
	struct fuse_entry_param entry;
	int err = ops_entry(mount_of(req), n, &entry);

	if (err < 0)
		ops_err(req, err == -ESTALE ? -ENOENT : err);
	else
		fuse_reply_entry(req, &entry);
}

int ops_call_answers(struct pending *p)
{
	struct gb_answers *answers;
	int err = p->part ? gb_part_answers_open(p->job, &p->w, &answers)
			  : gb_answers_open(p->job, &p->w, &answers);

	if (!err)
		gb_answers_close(answers);
	return err;
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	fuse_reply_none(req);
}

static void op_forget_multi(
	fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	fuse_reply_none(req);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_fsyncdir(
	fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_init(void *arg, struct fuse_conn_info *conn)
{
	const struct mount *m = arg;
	static const unsigned wanted =
		FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_ATOMIC_O_TRUNC |
		FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS |
		FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS;

	conn->want &= ~(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ |
			FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->want |= conn->capable & wanted;
	conn->max_write = BLOCK;
	conn->max_read = m->o->max_read;
	/* Large direct reads come as background requests, parked ones for long. */
	conn->max_background = 1024;
	conn->congestion_threshold = 1024;
}

/*
 * Operations that are missing here answer ENOSYS once, and from then on the kernel does
 * without them: access (default_permissions), xattrs (EOPNOTSUPP), poll (always ready),
 * locks (local), lseek, fallocate, copy_file_range, ioctl, bmap. Never leave out, nor
 * answer ENOSYS to, open, opendir, flush and fsync.
 */
const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.create = op_create,
};
