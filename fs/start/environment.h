/*
 * What this process takes from its environment, and what it ignores: a process that
 * holds a key does not let variables make libraries record traffic, or load code or
 * data. docs/security.md has the list and the reasons.
 */
#ifndef BATCHFS_ENVIRONMENT_H
#define BATCHFS_ENVIRONMENT_H

/* To be called first, before any library reads its variables and before any thread or
 * child is started. What a user may miss is reported in the log. */
void environment_clean(void);

#endif
