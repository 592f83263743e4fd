/* What `error` says, which speaks of files as a mount has them, in the words of verbs. */
#ifndef FS_CLI_WORDING_H
#define FS_CLI_WORDING_H

/* text of the job called name, for somebody without a mount. Malloc'ed; NULL: no
 * memory. */
char *wording(const char *text, const char *name);

#endif
