/*
 * on_end=COMMAND where a verb waits and no mount has the state directory: run for each job
 * that was waited for, once, as a mount would; here, and what it prints goes to stderr. It
 * may call batchfs itself: the state directory is given back before it is waited for.
 */
#ifndef FS_CLI_ENDED_H
#define FS_CLI_ENDED_H

#include "cli/desk.h"

/* The job has ended with this state, and its results have been given: start the command, if
 * it is still due. */
void ended_start(struct desk *d, const char *name, const char *state);
/* With the desk closed: wait for what was started, unless a signal asks us to stop. How it
 * ended is said if it failed, and changes nothing. */
void ended_wait(void);

#endif
