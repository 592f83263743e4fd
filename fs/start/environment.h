/*
 * What this process takes from its environment, and what it does not: a process that
 * holds a key does not let variables make libraries write down what passes, or load
 * code or data. docs/security.md has the list and the reasons.
 */
#ifndef BATCHFS_ENVIRONMENT_H
#define BATCHFS_ENVIRONMENT_H

/* First of all things: before any library looks and any thread or child is started.
 * What a user may miss is said in the log. */
void environment_clean(void);

#endif
