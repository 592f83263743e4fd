/*
 * Which close of a requests.jsonl is the last one, and may it submit? The essay is
 * in lastclose.c. Any thread; closes_flush and closes_settle may read all of /proc,
 * which takes milliseconds.
 */
#ifndef FS_LASTCLOSE_H
#define FS_LASTCLOSE_H

#include "mount.h"

struct closes;
struct wfile;

/* Part of an open handle. */
struct close_handle {
	struct wfile *file; /* NULL: not open for writing */
	bool append;
};

int closes_new(struct closes **ret);
void closes_free(struct closes *c);

/* A file was opened for writing by thread tid: fill in h. -ENOMEM. */
int closes_open(struct mount *m, struct close_handle *h, fuse_ino_t ino,
	struct gb_file *file, bool append, pid_t tid);
/* The RELEASE of h: should nothing have been decided of what was written, the job's
 * error says so. job and file are those of h. */
void closes_last(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file);
/* The handle has gone for good. true: it was the last that could write. */
bool closes_release(struct mount *m, struct close_handle *h);

/* Thread tid writes through h; called before the bytes are written. */
void closes_write(struct mount *m, struct close_handle *h, pid_t tid);
/* The file was cut to nothing: whatever was written is forgotten. */
void closes_emptied(struct mount *m, fuse_ino_t ino);

/* A FLUSH by thread tid on h. 1: submit, this was the last close and nobody else
 * will be told so of this content; 0: nothing to do; -EBUSY: it ought to have been
 * submitted and is not, the job's error says why. file and job are those of h. */
int closes_flush(struct mount *m, struct close_handle *h, struct gb_job *job,
	struct gb_file *file, pid_t tid);

/* Before file `name` of the job, in dir, is submitted in another way: -EBUSY while somebody
 * can still write to it; otherwise 0, and closes leave it alone from now on. */
int closes_settle(
	struct mount *m, struct gb_job *job, struct gb_file *dir, const char *name);

/* The same before a composed draft of the job is submitted, of all that it is made of. */
int closes_settle_parts(struct mount *m, struct gb_job *job);

#endif
