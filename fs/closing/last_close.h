/*
 * Which close of a requests.jsonl is the last one, and may it submit? The reasoning is
 * in last_close.c. Any thread. Nothing here looks into /proc or waits: a question that
 * needs a look is answered later, through a waiter whose done() is called with
 * PENDING_AGAIN (pending.h).
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
/* No more requests will come: answer those that wait (-EINTR). */
void closes_stop(struct closes *c);
void closes_free(struct closes *c);
/* Its look threads, for others that must know who asks. */
struct looks *closes_looks(struct closes *c);

/* A file will be opened for writing soon: look which processes there are, so that its close
 * need not look into those that have not run in between (census.h). */
void closes_foresee(struct mount *m);

/* A file was opened for writing by thread tid: fill in h. -ENOMEM. */
int closes_open(struct mount *m, struct close_handle *h, fuse_ino_t ino,
	struct gb_file *file, bool append, pid_t tid);
/* The RELEASE of h: if nothing has been decided about what was written, the job's error
 * says so. job and file are those of h. */
void closes_last(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file);
/* The handle is gone. true: it was the last that could write. */
bool closes_release(struct mount *m, struct close_handle *h);

/* Thread tid writes to file through h; called before the bytes are written. */
void closes_write(
	struct mount *m, struct close_handle *h, struct gb_file *file, pid_t tid);
/* The file was truncated to nothing: whatever was written is forgotten. */
void closes_emptied(struct mount *m, fuse_ino_t ino);

/* A FLUSH by thread tid on h. 0: there is nothing to do. -EINPROGRESS: closes_verdict
 * takes *ret when w is done; until then file and job, which are those of h, must
 * stay. */
int closes_flush(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file, pid_t tid, struct gb_waiter *w, struct ask **ret);
/* 1: submit; this was the last close, and no other gets this answer for this content;
 * 0: nothing to do; -EBUSY: it should have been submitted but is not, and the job's
 * error says why. Frees ask. */
int closes_verdict_take(struct ask *ask);

/* To be called before file `name` of the job, in dir, is submitted in another way:
 * -EBUSY if somebody can still write to it; 0, and closes ignore it from now on; or
 * -EINPROGRESS: ask again when w is done, unless it is done with an error. */
int closes_settle(struct mount *m, struct gb_job *job, struct gb_file *dir,
	const char *name, struct gb_waiter *w);

/* The same before a composed draft of the job is submitted, for all its parts. */
int closes_settle_parts(struct mount *m, struct gb_job *job, struct gb_waiter *w);

#endif
