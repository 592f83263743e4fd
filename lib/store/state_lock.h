/*
 * One process per state directory: STATE/lock, held as long as its descriptor is open.
 *
 * Two kinds of lock are taken, because a network filesystem may limit either to one
 * machine (NFS: local_lock=). If neither reaches the server, only the file's text
 * remains: it names the holder of the lock, is emptied at the end, and counts on a
 * network filesystem if it names another host. This module uses util only.
 */
#ifndef GB_STATELOCK_H
#define GB_STATELOCK_H

#include "base/util.h"

/* Take it in the directory `state`, called path in messages; holder: where the caller
 * is mounted. 0 and the descriptor; -EBUSY: somebody has it, and *ret_why (malloc'ed)
 * says who, and what can be done; or why it cannot be taken. Blocks up to two
 * seconds. */
_must_check_ int state_lock_take(
	int state, const char *path, const char *holder, int *ret, char **ret_why);

/* Who has it, as gb_state_holder says. Blocks up to two seconds. */
int state_lock_look(int state, char **ret_holder);

/* Release the lock; -1: does nothing. */
void state_lock_release(int fd);

#endif
