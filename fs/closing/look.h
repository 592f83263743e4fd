/*
 * Threads that look into /proc, and the clerk, who hears what they saw.
 *
 * A look into /proc can wait for another process, for good if that waits for us: so no
 * thread that answers the kernel looks. It posts a look, which a look thread works on, and
 * the clerk is told. Looks at who closes are quick and have a thread that does nothing
 * else; walks through all of /proc never keep it.
 *
 * Why no arrangement of processes can close the circle. The kernel is answered by FUSE
 * threads, the clerk and threads of gembatch. None of them ever waits for a process: the
 * clerk waits for the end of a look only until a time that was set before, and takes what
 * has not been seen by then for unknown. So every FLUSH is answered in bounded time,
 * whatever the look threads wait for; and all they can wait for is a process that waits
 * for such answers, or for something that is not ours. They may all be stuck: then
 * everything is unknown, and nothing is bought.
 *
 * Look threads have a table of descriptors of their own, empty at first. So they can open
 * what they need when the process has used up all it may have; and so their work must not
 * touch a descriptor of the process: it does not log, nor reply, nor call gembatch.
 *
 * Life cycle: looks_new, then looks_post and looks_nudge by any thread, looks_stop, and
 * looks_free when nothing is posted any more.
 */
#ifndef FS_LOOK_H
#define FS_LOOK_H

#include <stdbool.h>
#include <sys/queue.h>

struct look {
	/* On a look thread: looks into /proc and writes what it saw into its own struct. */
	void (*work)(struct look *l);
	/* On the clerk: owns l from here on. */
	void (*done)(struct look *l);
	STAILQ_ENTRY(look) link; /* private */
};

struct looks;

/* turn is run by the clerk whenever something may have changed: after done(), a nudge, and
 * when the time that the last one answered is over: in so many seconds, or < 0: never. */
int looks_new(double (*turn)(void *arg), void *arg, struct looks **ret);
/* End the threads. done() of what was not looked at is called, here; one that is stuck is
 * left alone with what it looks at. */
void looks_stop(struct looks *s);
void looks_free(struct looks *s);

void looks_post(struct looks *s, struct look *l, bool quick);
void looks_nudge(struct looks *s);

#endif
