/*
 * What one mount consists of. Made by main, borrowed by everybody; everything except
 * the session is set before the first request and does not change until the last.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "gembatch.h"
#include "mount/options.h"

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "util/util.h"

struct closes;
struct notify;
struct on_end;
struct pending_lot;

/* Seconds for which the kernel may cache attributes and names. Short, because noticed
 * changes are announced at once (notify.h) and this is only for the rest. */
#define BELIEF 1.0

/* What a waker of our own passes to done() of a waiter, so that the request that waits
 * is tried once more (kernel/pending.h). */
#define PENDING_AGAIN (-ERESTART)

struct mount {
	const struct options *o;
	struct gb_client *gb;
	struct fuse_session *se;
	struct pending_lot *lot;
	struct notify *notify;
	struct on_end *on_end;
	struct closes *closes;
	struct handles *handles;
	uint64_t ino_base;   /* random high bits, see ino.h */
	atomic_uint doors;   /* that were given, see ino.h */
	struct timespec started;
	atomic_bool ending; /* requests that wait are answered with EINTR from now on */
};

static inline struct mount *mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

#endif
