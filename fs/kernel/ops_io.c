/* Bytes: READ and WRITE. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "virtual/virtual_files.h"
#include "kernel/handle.h"
#include "closing/last_close.h"
#include "kernel/notify.h"
#include "kernel/ops.h"
#include "kernel/pending.h"

/* ---- buffers ------------------------------------------------------------------- */

/* A buffer per thread that replies with bytes of files, made when first needed and
 * as large as it ever had to be: allocating one for each read costs more than the
 * read. */
static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

struct buffer {
	size_t room;
	char bytes[];
};

static void make_key(void)
{
	pthread_key_create(&buffer_key, free);
}

static char *thread_buffer(size_t size)
{
	struct buffer *b;

	pthread_once(&buffer_once, make_key);
	b = pthread_getspecific(buffer_key);
	if (b && b->room >= size)
		return b->bytes;
	free(b);
	b = malloc(sizeof *b + size);
	pthread_setspecific(buffer_key, b);
	if (!b)
		return NULL;
	b->room = size;
	return b->bytes;
}

/* ---- READ ------------------------------------------------------------------------ */

/* From a copy: as soon as the kernel has it the handle may be closed, text and all,
 * and thread checkers look at what is replied afterwards. */
static void reply_text(
	fuse_req_t req, const char *text, size_t len, size_t size, off_t off)
{
	size_t n = (size_t)off < len ? len - off : 0;
	char *copy;

	if (n > size)
		n = size;
	copy = thread_buffer(n);
	if (!copy) {
		ops_err(req, -ENOMEM);
		return;
	}
	memcpy(copy, text + (n ? off : 0), n);
	fuse_reply_buf(req, copy, n);
}

/* Up to size bytes of fd at off: short at the end only. */
static void reply_fd(fuse_req_t req, int fd, size_t size, off_t off)
{
	char *buf = thread_buffer(size);
	size_t n = 0;

	if (fd < 0 || !buf) {
		ops_err(req, fd < 0 ? fd : -ENOMEM);
		return;
	}
	while (n < size) {
		ssize_t r = pread(fd, buf + n, size - n, off + n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && !n) {
			ops_err(req, -errno);
			return;
		}
		if (r <= 0)
			break;
		n += r;
	}
	fuse_reply_buf(req, buf, n);
}

/* Programs take a short read for the end of the file, so the whole range must be local,
 * or everything up to the end. Checked from the start each time: while waiting only the
 * length is kept. */
static int io_results(struct pending *p)
{
	size_t have = 0;

	while (have < p->size) {
		ssize_t n = gb_results_ready(
			p->h->results, p->off + have, p->size - have, &p->w);

		p->have = have;
		if (n < 0)
			return n;
		if (!n)
			return 0;
		have += n;
	}
	p->have = have;
	return 0;
}

static void end_results(struct pending *p, int err)
{
	char *buf = p->have ? thread_buffer(p->have) : NULL;

	if (p->have)
		err = buf ? gb_results_read(
				    p->h->results, buf, p->have, (uint64_t)p->off)
			  : -ENOMEM;
	if (err < 0)
		ops_err(p->req, err);
	else
		fuse_reply_buf(p->req, buf, p->have);
}

/* Park p (NULL: replied already) for a READ; call is run again when it is woken. */
static void pending_read(struct pending *p, struct handle *h, size_t size, off_t off)
{
	if (!p)
		return;
	p->h = h;
	p->size = size;
	p->off = off;
	p->again = true;
	pending_run(p, 0);
}

static void io_read_results(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	pending_read(pending_new(req, io_results, end_results), h, size, off);
}

/* Into the thread's buffer, from which `end`, on the same thread, replies. */
static int io_answers(struct pending *p)
{
	const struct handle *h = p->h;
	char *buf = thread_buffer(p->size);
	ssize_t n =
		buf ? gb_answers_read(h->answers,
			      h->row ? h->row->answers : GB_ANSWERS_NODE,
			      h->answer.number, (uint64_t)p->off, buf, p->size, &p->w)
		    : -ENOMEM;

	if (n < 0)
		return (int)n;
	p->have = (size_t)n;
	return 0;
}

static void end_answers(struct pending *p, int err)
{
	if (err)
		ops_err(p->req, err);
	else
		fuse_reply_buf(p->req, thread_buffer(p->size), p->have);
}

static void read_answers(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	pending_read(pending_new(req, io_answers, end_answers), h, size, off);
}

/* p->have: the end has come, and once was waited for what comes with it. */
static int call_wait(struct pending *p)
{
	int err = p->have ? 0 : gb_job_wait(p->h->job, &p->w);

	if (err || p->have)
		return err;
	p->have = 1;
	return gb_job_settle(p->h->job, &p->w);
}

static void end_wait(struct pending *p, int err)
{
	struct gb_info info;
	const char *text;
	char *state;
	size_t len;

	if (err) {
		ops_err(p->req, err);
		return;
	}
	gb_job_info(p->h->job, &info);
	state = format("%s\n", info.state);
	if (state)
		handle_set_text_take(p->m, p->h, state, strlen(state));
	text = handle_text(p->m, p->h, &len);
	if (text)
		reply_text(p->req, text, len, p->size, p->off);
	else
		ops_err(p->req, -ENOMEM);
}

static void read_wait(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	pending_read(pending_new(req, call_wait, end_wait), h, size, off);
}

static void io_read_log(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	char *buf = thread_buffer(size);

	if (buf)
		fuse_reply_buf(req, buf,
			log_lines_read(&h->log, (uint64_t)off, buf, size));
	else
		ops_err(req, -ENOMEM);
}

static void read_virtual(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct mount *m = mount_of(req);
	const char *text;
	size_t len;

	switch (h->row->how) {
	case HOW_RESULTS:
		io_read_results(req, h, size, off);
		return;
	case HOW_ANSWERS:
		read_answers(req, h, size, off);
		return;
	case HOW_HISTORY:
		reply_fd(req, gb_history_fd(m->gb), size, off);
		return;
	case HOW_LOG:
		io_read_log(req, h, size, off);
		return;
	default:
		break;
	}
	text = handle_text(m, h, &len);
	if (text)
		reply_text(req, text, len, size, off);
	else
		read_wait(req, h, size, off);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	if (h->row)
		read_virtual(req, h, size, off);
	else if (h->answers)
		read_answers(req, h, size, off);
	else
		reply_fd(req, gb_file_fd(h->file), size, off);
}

/* ---- WRITE ----------------------------------------------------------------------- */

static int call_store(struct pending *p)
{
	const struct vfile *row = p->h->row;

	return row->store(p->m, p->h->job, p->text, &p->w);
}

static int leave_store(struct pending *p)
{
	return gb_job_left(p->h->job, &p->w);
}

static void end_store(struct pending *p, int err)
{
	notify_job_now(p->m, p->h->slot);
	if (err)
		ops_err(p->req, err);
	else
		fuse_reply_write(p->req, p->size);
}

/* One word of the user's, without the newline and spaces around it. */
static char *word_dup(const char *buf, size_t size)
{
	while (size && strchr(" \t\r\n", buf[size - 1]) && buf[size - 1])
		size--;
	while (size && (*buf == ' ' || *buf == '\t')) {
		buf++;
		size--;
	}
	return strndup(buf, size);
}

#define WORD_MAX 4096

static void write_virtual(
	fuse_req_t req, struct handle *h, const char *buf, size_t size)
{
	struct pending *p;

	if (!h->row->store || size > WORD_MAX || memchr(buf, '\0', size)) {
		ops_err(req, h->row->store ? -EINVAL : -EROFS);
		return;
	}
	p = pending_new(req, call_store, end_store);
	if (!p)
		return;
	p->leave = leave_store;
	p->h = h;
	p->size = size;
	p->text = word_dup(buf, size);
	if (p->text)
		pending_run(p, 0);
	else
		pending_fail(p, -ENOMEM);
}

/* A write that failed leaves a file that is not what was meant, and its writer may
 * well close it all the same. */
static int write_file(struct mount *m, struct handle *h, const char *buf, size_t size,
	off_t off, pid_t tid)
{
	_cleanup_free_ char *why = NULL;
	int err;

	closes_write(m, &h->closing, h->file, tid);
	err = gb_file_write(h->file, buf, size, off);
	if (!err || err == -EROFS)
		return err;
	why = format(gb_file_is_part(h->file)
			     ? "Writing it failed: %s."
			     : "not submitted: writing requests.jsonl failed: %s",
		strerror(-err));
	gb_file_taint(h->file, why ? why : "not submitted: writing it failed");
	return err;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	int err;

	if (h->row) {
		write_virtual(req, h, buf, size);
		return;
	}
	if (!h->closing.file) {
		ops_err(req, -EBADF);
		return;
	}
	err = write_file(mount_of(req), h, buf, size, off, fuse_req_ctx(req)->pid);
	if (err)
		ops_err(req, err);
	else
		fuse_reply_write(req, size);
}
