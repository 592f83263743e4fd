/*
 * What a mount and a verb need before they can work: a source that is one, directories, a
 * key, a process that hides it, a client. Called from main, before there are threads. What
 * fails has been said in a line on stderr. Errors are negative errno.
 */
#ifndef FS_PREPARE_H
#define FS_PREPARE_H

#include "gembatch.h"
#include "mount/options.h"
#include "start/key.h"

/* gembatch checks more closely. This catches arguments that are not a source at all,
 * and those that may hold a password: SOURCE becomes part of directory names and
 * messages, and no URL parser reliably removes a password with a '#' or '/' in it. */
int prepare_source(const struct options *o);
/* Make state_dir and cache_dir absolute; they are not below the mountpoint (NULL: there is
 * none). */
int prepare_directories(struct options *o, const char *mountpoint);
/* No core dump, no ptrace, no /proc/PID/environ for the user's other programs; and memory
 * goes back to the system soon. */
void prepare_process(void);

/* Open a client as the options say. more: what they do not say (holder, callbacks); *ret_why
 * as gb_open. */
int prepare_client(const struct options *o, const struct key *key,
	const struct gb_options *more, struct gb_client **ret, char **ret_why);

#endif
