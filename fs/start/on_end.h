/*
 * on_end=COMMAND: a command for each own job that has ended and whose results are
 * saved.
 *
 * gembatch reports such a job (gb_options.ended) and remembers for which jobs the
 * command has been started; here it is run: `/bin/sh -c 'COMMAND "$@"' batchfs NAME
 * STATE` in the mountpoint, at most a few at a time, with what it prints going to the
 * log. A name is an argument and never part of the command's text. Commands still
 * queued at the end of the mount are run by the next mount; running ones continue.
 */
#ifndef FS_ON_END_H
#define FS_ON_END_H

#include "mount/mount.h"

/* command NULL: nothing is ever run. Both strings are borrowed. */
int on_end_new(const char *command, const char *dir, struct on_end **ret);
/* The mount can be used now, which commands need: from now on they are run. */
int on_end_start(struct on_end *e);
/* Any thread; takes a reference of its own. Does not block. */
void on_end_add(struct on_end *e, struct gb_job *job);
/* Run nothing any more, and hold no reference to a job, so that the client can be
 * closed; closing may still call on_end_add. */
void on_end_stop(struct on_end *e);
void on_end_free(struct on_end *e);

#endif
