/* Why a file of a job cannot be had, and whether it comes. */
#ifndef FS_CLI_ABSENT_H
#define FS_CLI_ABSENT_H

#include "cli/desk.h"

/* Say it of NAME/FILE, which reading or listing answered with err. Returns the exit
 * status: CLI_LATER if it is there later. */
int absent_say(struct desk *d, const char *name, const char *file, int err);

/* Waiting for the end of a job failed with err: say why. That the API does not know it
 * any more is no reason to say that it is not here. Returns the exit status. */
int absent_waited(struct desk *d, const char *name, int err);

/* The exit status for a job that state says was not bought. */
int absent_unbought(struct desk *d, const char *name, const char *state);
/* The same, just after a verb of ctl failed with err, which has been said. */
int absent_refused(struct desk *d, const char *name, int err);

#endif
