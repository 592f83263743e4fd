/*
 * Telling the kernel that something it knows has changed.
 *
 * A separate thread takes changes from a queue that merges them, so the code that
 * notices a change never waits. Only attributes are invalidated, with offset -1:
 * invalidating pages would wait for a stalled READ, invalidating a name for a parked
 * operation in that directory. Neither is needed: pages are kept only for files that do
 * not change any more, and an inode that is gone answers ESTALE, after which the kernel
 * looks the name up again.
 *
 * notify_start, then any call from any thread, then notify_stop.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "mount/mount.h"

struct notify;

int notify_new(struct notify **ret);
/* The session is mounted: from now on there is a kernel to tell. */
int notify_start(struct notify *n, struct mount *m);
void notify_stop(struct notify *n);
void notify_free(struct notify *n);

/* For gb_options.changed. Merges and returns; before notify_start only the time is
 * kept. */
void notify_changed(struct notify *n, uint32_t slot, unsigned what);

/* Note that the kernel is told something about the job. Changes of jobs that it does
 * not know cost nothing. */
void notify_told(struct notify *n, uint32_t slot);

/* At once, from a request on the very inode, before its reply. */
void notify_now(struct mount *m, fuse_ino_t ino);

/* The same for every file that shows the job's state: a caller whose verb has succeeded
 * sees the result at once. */
void notify_job_now(struct mount *m, uint32_t slot);

/* When something last changed; tree: when a job last appeared or disappeared. */
struct timespec notify_last_change(struct notify *n, bool tree);

#endif
