/*
 * The check of a requests file (validate.h) beside the writing of it.
 *
 * What a program writes from the first byte on, in order, is scanned by a worker while
 * it goes on writing; when the file is complete only the rest is left. What a worker may
 * have looked at must not change: a write below that ends the following, and the file is
 * scanned anew. So a report is always of the bytes that are in the file.
 *
 *     fo = follow_begin(all, fd)            the first megabytes are there
 *     follow_wrote(fo, off, in_order)       after each write
 *     follow_finish(fo, fd, cancel, &report)   or follow_end(fo)
 *
 * What was looked at is also put on its way to the disk, so that little is left to wait
 * for when a close must have it durable.
 *
 * It costs what a scan costs, 8 bytes a key, and a buffer. FOLLOW_MAX files at a time:
 * one more ends the oldest, so drafts that nobody sends keep no memory for ever. A file
 * with a bad line is followed no further: it is somebody's other file, or will be
 * written again.
 */
#ifndef GB_FOLLOW_H
#define GB_FOLLOW_H

#include "requests/validate.h"
#include "base/thread_pool.h"

#include <sys/types.h>

enum {
	FOLLOW_MAX = 4,
	FOLLOW_STEP = 4 << 20, /* bytes that are worth waking a worker for */
};

struct follows;
struct follow;

/* All of a client. NULL without memory. Freed after work_stop and all of them. */
struct follows *follows_new(struct work *work);
void follows_free(struct follows *all);

/* Follow the file that fd is of; fd stays the caller's. NULL: it is not to be. */
struct follow *follow_begin(struct follows *all, int fd);
/* Bytes at off have been written, and [0, in_order) are there. Any thread. */
void follow_wrote(struct follow *fo, off_t off, off_t in_order);
/* Not any more. Frees; NULL is nothing. Does not wait for a worker that is on it. */
void follow_end(struct follow *fo);
/* The report of all of fd, the same file, with what has been looked at or, fo being
 * NULL or of no use, from the start. Nobody writes meanwhile. Frees fo. Else as
 * scan_file. */
int follow_finish(struct follow *fo, int fd, const atomic_bool *cancel,
	struct scan_report *ret);

#endif
