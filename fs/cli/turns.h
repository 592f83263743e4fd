/*
 * Several verbs at once, one state directory. Only one process may have it (gb_open),
 * but `run` waits for a day: so who only waits lets the others in, in turn.
 *
 * STATE/turns is locked by whoever wants the state directory and has not got it yet:
 * who has it looks whether somebody has that lock, gives the state directory back, and
 * queues for it again. A mount gives nothing back: verbs work through it.
 */
#ifndef FS_CLI_TURNS_H
#define FS_CLI_TURNS_H

#include "cli/cli.h"

/* Open the client when it is our turn, within so many seconds (-1: however long it
 * takes). 0; -EREMOTE: a mount has the state directory, and *ret_mount (malloc'ed)
 * is where; other errors have *ret_why (malloc'ed, or NULL). */
int turns_open(const struct cli_place *place, double seconds, struct gb_client **ret,
	char **ret_mount, char **ret_why);
/* Only the lock, for who works through a mount and must be alone for a while; close
 * it. A descriptor; -1: nobody can make it. -EINTR. */
int turns_alone(const struct options *o, int *ret);
/* Whether somebody else wants the state directory. */
bool turns_wanted(const struct options *o);

#endif
