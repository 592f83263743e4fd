/* What the two files of the direct way share: desk_direct.c and direct_read.c. */
#ifndef FS_CLI_DESK_DIRECT_H
#define FS_CLI_DESK_DIRECT_H

#include "cli/await.h"
#include "cli/desk.h"
#include "mount/mount.h"

#define DIRECT_CHUNK (1 << 20)

struct direct {
	struct mount m; /* without a session: what the tables want */
	double since;   /* the turn began */
	/* Who waits for `waits_for` from slice to slice is one waiter: each new one has the
	 * API asked. */
	struct gb_job *waits_for; /* a reference, or NULL */
	struct await wait;
};

static inline struct direct *direct_of(struct desk *d)
{
	return d->way;
}

/* A reference; -ENOENT. What is not known is looked for in a fresh list. */
int direct_find_job(struct desk *d, const char *name, struct gb_job **ret);

/* As in struct desk_ops. */
int direct_read(
	struct desk *d, const char *name, const char *path, desk_sink sink, void *arg);
int direct_list(
	struct desk *d, const char *name, const char *path, desk_entry fn, void *arg);

#endif
