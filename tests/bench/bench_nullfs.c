/* A filesystem that does next to nothing: what the kernel and libfuse cost by themselves.
 *
 *     NULLFS_SINK=FILE bench_nullfs [FUSE options] MOUNTPOINT
 *
 * It holds two files. `state` has 21 bytes; as batchfs does it answers reads of it with
 * direct I/O, spares itself the FLUSH of what was only read, and lets the kernel keep
 * names and attributes. What is written to `sink` is written to FILE at the same place, and
 * that is all: no spool can be quicker. */
#include <errno.h>
#define FUSE_USE_VERSION 314
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT "JOB_STATE_SUCCEEDED\n"
enum { FILE_INO = 2, SINK_INO };
#define BELIEF 3600.0
#define LARGEST_WRITE (128 << 10) /* as batchfs: what fits a cache is copied sooner */

static int sink = -1;

static void fill(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino,
		.st_mode = ino == FILE_INO   ? S_IFREG | 0444
			   : ino == SINK_INO ? S_IFREG | 0666
					     : S_IFDIR | 0555,
		.st_nlink = 1,
		.st_size = ino == FILE_INO ? (off_t)strlen(TEXT) : 0};
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {
		.attr_timeout = BELIEF, .entry_timeout = BELIEF};

	if (strcmp(name, "state") == 0)
		e.ino = FILE_INO;
	else if (sink >= 0 && strcmp(name, "sink") == 0)
		e.ino = SINK_INO;
	else {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill(e.ino, &e.attr);
	fuse_reply_entry(req, &e);
}

static void setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int which,
	struct fuse_file_info *fi)
{
	struct stat st;

	fill(ino, &st);
	fuse_reply_attr(req, &st, BELIEF);
}

static void write_file(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	off_t off, struct fuse_file_info *fi)
{
	ssize_t n = pwrite(sink, buf, size, off);

	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, (size_t)n);
}

static void init(void *arg, struct fuse_conn_info *conn)
{
	conn->want &= ~(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ |
			FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->max_write = LARGEST_WRITE;
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	fill(ino, &st);
	fuse_reply_attr(req, &st, BELIEF);
}

static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->noflush = ino == FILE_INO;
	fuse_reply_open(req, fi);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	size_t n = (size_t)off < strlen(TEXT) ? strlen(TEXT) - (size_t)off : 0;

	fuse_reply_buf(req, n ? TEXT + off : NULL, n < size ? n : size);
}

static void flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {.init = init,
	.lookup = lookup,
	.getattr = getattr,
	.setattr = setattr,
	.open = open_file,
	.read = read_file,
	.write = write_file,
	.flush = flush,
	.release = release};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts o;
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se;
	const char *to = getenv("NULLFS_SINK");

	if (to && (sink = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
		return 1;
	if (fuse_parse_cmdline(&args, &o) < 0 || !o.mountpoint)
		return 2;
	se = fuse_session_new(&args, &ops, sizeof ops, NULL);
	if (!se || fuse_set_signal_handlers(se) < 0 ||
		fuse_session_mount(se, o.mountpoint) < 0)
		return 1;
	fuse_daemonize(o.foreground);
	fuse_session_loop_mt(se, config);
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	fuse_loop_cfg_destroy(config);
	return 0;
}
