/*
 * Looking at a process that may be inside execve.
 *
 * Since 2026 the kernel holds back who reads /proc/PID/stat or /proc/PID/fd/N while
 * process PID replaces its program, and execve closes the descriptors marked
 * close-on-exec in just that time: it waits for the answer to FLUSH, and we, reading
 * /proc to answer it, would wait for execve. For good, and with us everybody on the
 * machine who reads /proc, as ps does.
 *
 * So a thread of its own, that nobody waits for, looks first.
 */
#ifndef BATCHFS_SCOUT_H
#define BATCHFS_SCOUT_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether thread tid, which waits for our answer, is inside execve: takes a moment
 * (0.2 s) if so. False also where that cannot be told. */
bool scout_in_exec(pid_t tid);

#endif
