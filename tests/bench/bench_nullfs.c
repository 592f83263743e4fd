/* A filesystem that does nothing: what the kernel and libfuse cost by themselves.
 *
 *     bench_nullfs [FUSE options] MOUNTPOINT
 *
 * It holds one file, `state`, of 21 bytes. As batchfs does it answers reads of it with
 * direct I/O, spares itself the FLUSH of what was only read, and lets the kernel keep
 * names and attributes. */
#include <errno.h>
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>

#define TEXT "JOB_STATE_SUCCEEDED\n"
#define FILE_INO 2
#define BELIEF 3600.0

static void fill(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino,
		.st_mode = ino == FILE_INO ? S_IFREG | 0444 : S_IFDIR | 0555,
		.st_nlink = 1,
		.st_size = ino == FILE_INO ? (off_t)strlen(TEXT) : 0};
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {
		.ino = FILE_INO, .attr_timeout = BELIEF, .entry_timeout = BELIEF};

	if (strcmp(name, "state") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill(FILE_INO, &e.attr);
	fuse_reply_entry(req, &e);
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
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	size_t n = (size_t)off < strlen(TEXT) ? strlen(TEXT) - (size_t)off : 0;

	fuse_reply_buf(req, n ? TEXT + off : NULL, n < size ? n : size);
}

static void release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {.lookup = lookup,
	.getattr = getattr,
	.open = open_file,
	.read = read_file,
	.release = release};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts o;
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se;

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
