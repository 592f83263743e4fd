/*
 * Which close of a requests.jsonl is the last one, and may it submit? The essay is
 * in last_close.c. Any thread. Nothing here looks into /proc or waits: what has to be
 * looked at first is answered later, through a waiter whose done() is called with
 * PARK_AGAIN (pending.h).
 */
#ifndef FS_LASTCLOSE_H
#define FS_LASTCLOSE_H

#include "mount/mount.h"

struct closes;
struct looks;
struct wfile;
struct ask;

/* Part of an open handle. */
struct close_handle {
	struct wfile *file; /* NULL: not open for writing */
	bool append;
};

int closes_new(struct mount *m, struct closes **ret);
/* No request comes any more: answer those that wait (-EINTR). */
void closes_stop(struct closes *c);
void closes_free(struct closes *c);
/* Its look threads, for others that have to know who asks. */
struct looks *closes_looks(struct closes *c);

/* A file was opened for writing by thread tid: fill in h. -ENOMEM. */
int closes_open(struct mount *m, struct close_handle *h, fuse_ino_t ino,
	struct gb_file *file, bool append, pid_t tid);
/* The RELEASE of h: should nothing have been decided of what was written, the job's
 * error says so. job and file are those of h. */
void closes_last(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file);
/* The handle has gone for good. true: it was the last that could write. */
bool closes_release(struct mount *m, struct close_handle *h);

/* Thread tid writes to file through h; called before the bytes are written. */
void closes_write(
	struct mount *m, struct close_handle *h, struct gb_file *file, pid_t tid);
/* The file was cut to nothing: whatever was written is forgotten. */
void closes_emptied(struct mount *m, fuse_ino_t ino);

/* A FLUSH by thread tid on h. 0: there is nothing to do. -EINPROGRESS: closes_verdict
 * takes *ret when w is done; until then file and job, which are those of h, stay. */
int closes_flush(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file, pid_t tid, struct gb_waiter *w, struct ask **ret);
/* 1: submit, this was the last close and nobody else will be told so of this content; 0:
 * nothing to do; -EBUSY: it ought to have been submitted and is not, the job's error says
 * why. Frees ask. */
int closes_verdict_take(struct ask *ask);

/* Before file `name` of the job, in dir, is submitted in another way: -EBUSY when somebody
 * can still write to it; 0, and closes leave it alone from now on; or -EINPROGRESS: ask
 * again when w is done, unless that has an error. */
int closes_settle(struct mount *m, struct gb_job *job, struct gb_file *dir,
	const char *name, struct gb_waiter *w);

/* The same before a composed draft of the job is submitted, of all that it is made of. */
int closes_settle_parts(struct mount *m, struct gb_job *job, struct gb_waiter *w);

#endif
