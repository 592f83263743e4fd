/*
 * One process a state directory: STATE/lock, held as long as its descriptor is open.
 *
 * Two kinds of lock are taken, as network filesystems may keep either to one machine
 * (NFS: local_lock=). Where neither reaches the server, the file's text is what is left:
 * it names who holds the lock, is emptied at the end, and on a network filesystem that of
 * another host is believed. Knows nobody but util.
 */
#ifndef GB_STATELOCK_H
#define GB_STATELOCK_H

#include "base/util.h"

/* Take it in the directory `state`, called path in words; holder: where the caller is
 * mounted. 0 and the descriptor; -EBUSY: somebody has it, and *ret_why (malloc'ed) says
 * who, and what can be done; or why it cannot be taken. Blocks up to two seconds. */
_must_check_ int statelock_take(
	int state, const char *path, const char *holder, int *ret, char **ret_why);

/* The end of it; -1: nothing. */
void statelock_release(int fd);

#endif
