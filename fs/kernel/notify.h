/*
 * Telling the kernel that what it was told is no longer so.
 *
 * A thread of its own takes changes from a queue that merges them, so whoever
 * notices a change never waits. Only attributes are invalidated, with offset -1: an
 * invalidation of pages waits behind a stalled READ, one of a name behind a parked
 * operation in that directory. Neither is needed: pages are kept of files only that
 * change no more, and an inode that has gone answers ESTALE, upon which the kernel
 * looks the name up again.
 *
 * notify_start, then any call from any thread, then notify_stop.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "mount/mount.h"

struct notify;

int notify_new(struct notify **ret);
/* The session is mounted: from now on there is somebody to tell. */
int notify_start(struct notify *n, struct mount *m);
void notify_stop(struct notify *n);
void notify_free(struct notify *n);

/* gb_options.changed. Merges and returns; before notify_start nothing is kept but
 * the time. */
void notify_changed(struct notify *n, uint32_t slot, unsigned what);

/* The kernel is being told something about the job. Changes of jobs it has not
 * heard of cost nothing. */
void notify_told(struct notify *n, uint32_t slot);

/* At once, from a request on the very inode, before its reply. */
void notify_now(struct mount *m, fuse_ino_t ino);

/* The same of all that shows what a job is: who was told that a verb has succeeded sees
 * it at once. */
void notify_job_now(struct mount *m, uint32_t slot);

/* When something changed last; tree: when a job last came or went. */
struct timespec notify_last_change(struct notify *n, bool tree);

#endif
