/*
 * Requests that wait for gembatch: one struct each, and no thread.
 *
 * Life cycle: pending_new, fill in the payload, pending_run. From then on the lot owns it.
 * `call` starts the operation with &p->w as its waiter and answers as gb_* functions
 * do; `end` replies to the kernel, after which the struct and what its payload refers
 * to are freed. With `again` a successful wake-up leads to another `call` instead;
 * PENDING_AGAIN from a waker of our own always does so. `call` and `end` are never run at
 * the same time for one request; `end` runs exactly once, in the thread of pending_run,
 * one of gembatch's or the lot's. Neither may block.
 *
 * Interrupts. The kernel reports any signal of the waiting thread, even one that
 * interrupts nothing (a child's end, a resized window, Go's preemption), and does so
 * once. A thread of the lot looks which signals are really pending, every 100 ms while
 * the request waits. If one should interrupt, it takes the waiter back and ends the
 * request with -EINTR. Work that others wait for goes on. Where there is `leave`, it is
 * called first in place of `call`, and the request ends when that is done, or
 * PENDING_LEAVES seconds later: whoever was interrupted then finds what was given up gone.
 */
#ifndef FS_PARK_H
#define FS_PARK_H

#include <errno.h>
#include <sys/queue.h>

#include "mount/mount.h"

struct handle;
struct ask;

struct pending {
	struct gb_waiter w;
	struct mount *m;
	fuse_req_t req;
	pid_t tid; /* the thread that waits */
	int (*call)(struct pending *p);
	void (*end)(struct pending *p, int err);
	int (*leave)(struct pending *p); /* or NULL */
	bool again;

	/* Payload: what call and end need; references and malloc'ed memory, freed at
	 * the end. */
	struct gb_job *job, *to;
	struct gb_file *file;
	char *name, *new_name;
	struct handle *h; /* borrowed: the kernel holds it open */

	char *text;
	fuse_ino_t ino;
	struct fuse_file_info fi;
	off_t off;
	size_t size, have;
	int64_t value;
	struct gb_results *results;
	struct ask *ask; /* FLUSH: the question to the clerk */
	bool checked;    /* RMDIR: the unlink guard has been asked */
	bool part;       /* what is asked of `job` is of one part alone */

	/* Private, under the lot's lock. */
	TAILQ_ENTRY(pending) watched_link;
	double deadline;
	unsigned refs;
	int phase, err;
	bool interrupted, watched, hooked, leaves;
};

#define PENDING_LEAVES 1 /* seconds */

struct pending_lot;

int pending_lot_new(struct pending_lot **ret);
/* To be called when no request can be parked any more. */
void pending_lot_free(struct pending_lot *lot);

/* NULL after having replied -ENOMEM. */
struct pending *pending_new(fuse_req_t req, int (*call)(struct pending *p),
	void (*end)(struct pending *p, int err));

/* Run it. seconds > 0: end it with -ETIMEDOUT if it takes longer. */
void pending_run(struct pending *p, double seconds);

/* In `end`: whether the request had to wait. */
static inline bool pending_has_waited(const struct pending *p)
{
	return p->hooked;
}

/* Instead of pending_run: reply err (negative) and free p. */
void pending_fail(struct pending *p, int err);

/* An `end` that replies err and nothing else. */
void pending_end_err(struct pending *p, int err);

#endif
