/*
 * Checking a requests file (validate.h) while it is written.
 *
 * What a program writes from the first byte on, in order, is checked by a worker while
 * the program goes on writing; when the file is complete, only the rest remains. Bytes
 * that a worker may have seen must not change: a write to them ends the following, and
 * the file is checked from the start. So a report always describes the bytes in the
 * file.
 *
 *     fo = follow_begin(all, fd)            the first megabytes are there
 *     follow_wrote(fo, off, in_order)       after each write
 *     follow_finish(fo, g, fd, cancel, &report)   or follow_end(fo)
 *
 * Checked bytes are also written back to the disk early, so that a close that must make
 * them durable has little left to wait for.
 *
 * The cost is that of a check, 8 bytes per key, and a buffer. At most FOLLOW_MAX files
 * at a time: one more ends the oldest, so drafts that are never submitted do not hold
 * memory for ever. A file with a bad line is not followed any further: it is some other
 * file, or will be written again.
 */
#ifndef GB_FOLLOW_H
#define GB_FOLLOW_H

#include "requests/validate.h"
#include "base/thread_pool.h"

#include <sys/types.h>

enum {
	FOLLOW_MAX = 4,
	FOLLOW_STEP = 4 << 20, /* how many bytes are worth waking a worker for */
};

struct follows;
struct follow;

/* All followers of a client. NULL without memory. Freed after pool_stop and after all
 * of them. */
struct follows *follows_new(struct thread_pool *work, const struct request_grammar *g);
void follows_free(struct follows *all);

/* Follow the file of fd, which stays the caller's. NULL: it cannot be followed. */
struct follow *follow_begin(struct follows *all, int fd);
/* Bytes at off have been written, and [0, in_order) are there. Any thread. */
void follow_wrote(struct follow *fo, off_t off, off_t in_order);
/* Stop following and free fo; NULL is allowed. Does not wait for a worker that is at
 * work on it. */
void follow_end(struct follow *fo);
/* The report on all of fd, the same file, using what was checked already; from the
 * start if fo is NULL or useless. Nobody may write meanwhile. Frees fo. Otherwise like
 * validate_file_any_size. */
int follow_finish(struct follow *fo, const struct request_grammar *g, int fd,
	const atomic_bool *cancel, struct validate_report *ret);

#endif
