/* Waiting until a job has ended, and saying on stderr how far it is: one line that is
 * overwritten on a terminal, a line for each change elsewhere. */
#ifndef FS_CLI_FOLLOW_H
#define FS_CLI_FOLLOW_H

#include "cli/desk.h"

/* 0: it has ended, and *ret_state (malloc'ed) is what `state` says; -EAGAIN: not before
 * until (seconds_now's; -1: no limit); -EINTR. */
int follow(
	struct desk *d, const char *name, bool quiet, double until, char **ret_state);

/* Say that waiting is over before the end, err: -EAGAIN or -EINTR. Returns the exit
 * status. */
int follow_left(struct desk *d, const char *name, int err);

/* Say what `error` of the job says; false: there is none. */
bool follow_tell_error(struct desk *d, const char *name);

#endif
