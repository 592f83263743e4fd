/*
 * $XDG_CONFIG_HOME/batchfs/ACCOUNT.conf: options of an account, one a line as after -o,
 * with # for comments. It is read as if it stood before the command line's options.
 */
#ifndef FS_CONFIG_H
#define FS_CONFIG_H

/* Call set for each option of the account's file, with FILE:LINE, until it returns other
 * than 0, which is returned. 0 also where there is no such file. -EACCES: after a line
 * that says why it is not read. */
int config_read(const char *account,
	int (*set)(void *arg, char *option, const char *where), void *arg);

#endif
