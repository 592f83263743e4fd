/*
 * on_end=COMMAND: a command for each own job that has ended and whose results are saved.
 *
 * gembatch says when that is the case (gb_options.ended) and remembers for whom the
 * command has been started; here it is run: `/bin/sh -c 'COMMAND "$@"' batchfs NAME STATE`
 * in the mountpoint, at most a few at a time, with what it prints going to the log. A
 * name is an argument and never part of the command's text. What is still queued at the
 * end of the mount is run by the next; what runs then goes on by itself.
 */
#ifndef FS_ON_END_H
#define FS_ON_END_H

#include "mount/mount.h"

/* command NULL: nothing will ever be run. dir is borrowed. */
int on_end_new(const char *command, const char *dir, struct on_end **ret);
/* The mount can be used, which commands do: from now on they are run. */
int on_end_start(struct on_end *e);
/* Any thread; takes a reference of its own. Does not block. */
void on_end_add(struct on_end *e, struct gb_job *job);
/* Nothing is run any more, and no reference to a job is held: the client can be closed,
 * which may still call on_end_add. */
void on_end_stop(struct on_end *e);
void on_end_free(struct on_end *e);

#endif
