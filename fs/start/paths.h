/*
 * Where things are on the local disk: the XDG directories, the names that belong to an
 * account, and whether a mountpoint can be used. Called from main only.
 */
#ifndef FS_PATHS_H
#define FS_PATHS_H

#include "mount/options.h"

/* All return malloc'ed absolute paths, or NULL when there is no home directory. */
char *paths_key_file(const char *account);
char *paths_prices(void);
/* $XDG_STATE_HOME/batchfs/ACCOUNT@HOST[:PORT], likewise the cache. */
char *paths_state_dir(const char *account, const char *source);
char *paths_cache_dir(const char *account, const char *source);

/* *ret becomes the absolute path of the mountpoint; or a negative errno after a line
 * that says what is wrong. */
int paths_check_mountpoint(const struct options *o, char **ret);
/* The descriptor of /dev/fuse that mount.fuse3(8) has mounted and passed, with
 * drop_privileges: /dev/fd/N stands in the mountpoint's place then. -1: none. */
int paths_passed_fd(const char *mountpoint);
/* Whether dir, which need not exist yet, is or is below mountpoint (absolute). */
bool paths_below(const char *dir, const char *mountpoint);

#endif
