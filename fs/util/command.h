/* A command of the user's about a job: `/bin/sh -c 'COMMAND "$@"' batchfs NAME STATE`. */
#ifndef FS_COMMAND_H
#define FS_COMMAND_H

#include <sys/types.h>

/* Start it in dir (NULL: here), in a process group of its own, with nothing to read and what
 * it prints going to `out`. name is an argument and never part of the command's text. 0, and
 * *ret is to be waited for; or an errno. */
int command_start(const char *command, const char *dir, const char *name,
	const char *state, int out, pid_t *ret);

#endif
