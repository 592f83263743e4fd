/*
 * Threads that look into /proc, and the clerk, which gets their results.
 *
 * A look into /proc can wait for another process, and for ever if that process waits
 * for us. So threads that answer the kernel do not look. They post a look, a look
 * thread takes it, and the clerk gets the result. Looks at the closer are quick and
 * have a thread of their own, so that walks through all of /proc never delay them.
 *
 * Why no arrangement of processes can close the circle. The kernel is answered by FUSE
 * threads, the clerk and threads of gembatch. None of them ever waits for a process:
 * the clerk waits for a look only until a time set in advance, and treats what has not
 * been seen by then as unknown. So every FLUSH is answered in bounded time, whatever
 * the look threads wait for. They can only wait for a process that waits for such
 * answers, or for something that is not ours. If all of them are stuck, everything is
 * unknown, and nothing is submitted.
 *
 * Each look thread has a descriptor table of its own, empty at first. So it can open
 * what it needs even if the process has no descriptors left. For the same reason its
 * work must not touch a descriptor of the process: it does not log, reply, or call
 * gembatch.
 *
 * Life cycle: looks_new, then looks_post and looks_nudge by any thread, looks_stop, and
 * looks_free when nothing is posted any more.
 */
#ifndef FS_LOOK_H
#define FS_LOOK_H

#include <stdbool.h>
#include <sys/queue.h>

struct look {
	/* On a look thread: looks into /proc and writes what it saw into its own
	 * struct. */
	void (*work)(struct look *l);
	/* On the clerk: owns l from here on. */
	void (*done)(struct look *l);
	STAILQ_ENTRY(look) link; /* private */
};

struct looks;

/* The clerk runs turn whenever something may have changed: after done(), after a nudge,
 * and when the time that the last turn returned is over (in so many seconds; < 0:
 * never). */
int looks_new(double (*turn)(void *arg), void *arg, struct looks **ret);
/* End the threads. done() of looks that were not taken is called here; a thread that is
 * stuck is left behind with its look. */
void looks_stop(struct looks *s);
void looks_free(struct looks *s);

void looks_post(struct looks *s, struct look *l, bool quick);
void looks_nudge(struct looks *s);

#endif
