/*
 * Which processes were refused an unlink, so that their rmdir is refused too.
 *
 * rm -r stops at the first file that it cannot remove. find -delete does not: it goes
 * on to the directory, and here that would delete the job at the API with its results.
 * A person who types rmdir means it; a program that has just failed to empty the
 * directory does not. Remembered for a minute, for few processes. Any thread; which
 * process a thread belongs to is found out by look threads.
 *
 * GNU rm -r goes on to the other files, too. A process that was refused a file that
 * batchfs makes, which are listed first, is refused the user's own as well: of a draft
 * they are all there is.
 */
#ifndef FS_REFUSALS_H
#define FS_REFUSALS_H

#include "mount/mount.h"

/* Thread tid was refused an unlink in dir; own: of a file that batchfs makes. Returns
 * whether it is the first refusal that is remembered of dir. */
bool refusals_note(struct mount *m, pid_t tid, uint64_t dir, bool own);
/* To be called before thread tid removes dir, or (inside) a file in it: 0: its process
 * was not refused any, or (inside) none that batchfs makes; -EINPROGRESS: w is done
 * with PENDING_AGAIN if it was not refused, else with an error. -ENOMEM. */
int refusals_check(
	struct mount *m, pid_t tid, uint64_t dir, bool inside, struct gb_waiter *w);

#endif
