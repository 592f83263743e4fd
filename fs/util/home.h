/*
 * The user's own directories, as the XDG specification has them. Called from main only.
 */
#ifndef FS_HOME_H
#define FS_HOME_H

/* $variable/batchfs/name, or ~/fallback/batchfs/name: malloc'ed and absolute; NULL when
 * there is no home directory. The specification tells to pass over a variable that is
 * not absolute. */
char *home_path(const char *variable, const char *fallback, const char *name);

#endif
