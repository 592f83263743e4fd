/*
 * The operations FUSE asks for: decode, call, reply. Each gets one request and answers
 * it exactly once: here, or, if it is parked, wherever the answer becomes known. Split
 * by what they work on: ops_open.c and ops_io.c on files, ops_dir.c on listings,
 * ops_names.c on names, ops_attr.c on attributes; ops.c has the table.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "mount/mount.h"
#include "kernel/tree.h"

extern const struct fuse_lowlevel_ops ops_table;

/* Fill in what LOOKUP and similar requests answer for node n: 0 or a negative errno. */
int ops_entry(struct mount *m, const struct node *n, struct fuse_entry_param *ret);
void ops_reply_entry(fuse_req_t req, const struct node *n);
/* Reply with an error of ours (negative; 0 is success). */
void ops_err(fuse_req_t req, int err);
/* The errno for writing to a file that is not writable. root gets here because
 * permissions do not stop it, and so does a writer whose kernel has old attributes. */
int ops_read_only(fuse_req_t req);
/* A node for the request's inode; replies and returns false if it is stale. */
bool ops_node(fuse_req_t req, fuse_ino_t ino, struct node *ret);

struct pending;

/* For a park with `again`: make sure that the answers of its job are here; saves the
 * results first. */
int ops_call_answers(struct pending *p);

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	fuse_ino_t newparent, const char *newname, unsigned flags);
void op_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

#endif
