/*
 * What /proc says about other processes. No state. Only readlink of descriptors and
 * reads of fdinfo, stat, statm, status and cgroup are used: they never enter a
 * filesystem.
 *
 * Since 2026 the kernel blocks readers of /proc/PID/stat and of links in /proc/PID/fd
 * while process PID replaces its program. In that time execve closes the close-on-exec
 * descriptors and waits for the answer to FLUSH. So threads that answer the kernel must
 * not call functions marked "may wait"; those are for look threads (look.h).
 */
#ifndef FS_PROC_H
#define FS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether /proc is there and shows what is needed. */
bool proc_usable(void);

/* Whether a signal that should interrupt is pending for thread tid. True if that is
 * unknown. */
bool proc_interrupted(pid_t tid);

/* The process that thread tid belongs to; 0 if that is unknown. */
pid_t proc_process_of(pid_t tid);

/* The present time, in the clock and units of process start times. */
uint64_t proc_ticks(void);

enum proc_end {
	END_NOT,     /* it lives */
	END_CLEAN,   /* it is exiting with status 0 */
	END_FAILED,  /* … with another */
	END_KILLED,  /* it is dying by a signal */
	END_UNKNOWN, /* it is exiting and /proc does not show how, or it cannot be
	                seen */
};

struct proc_closer {
	pid_t process; /* 0: cannot be told */
	bool in_exec;  /* it is closing descriptors in execve; nothing else is known
	                  then */
	enum proc_end end;
	int code; /* exit status or signal */
};

/* What thread tid, which waits for the answer to its FLUSH, is doing. */
void proc_closer(pid_t tid, struct proc_closer *ret);

/* The answer is the worst that was found. */
enum proc_holder {
	HOLDER_NONE,
	HOLDER_FLYING, /* none, but some descriptors are in flight in a socket */
	HOLDER_UNKNOWN,
	HOLDER_SOME,
};

/* Where an open file comes from: the process that opened it, its ancestors at that
 * time, and the control group it was in. */
struct proc_origin {
	pid_t process; /* 0: there is none; or */
	bool unknown;  /* it cannot be told */
	pid_t kin[15]; /* 0: none */
	uint64_t cgroup;
};

/* The origin of a file that thread tid opened at the time `since` (proc_ticks). May
 * wait. */
void proc_origin(pid_t tid, uint64_t since, struct proc_origin *ret);

#define PROC_ORIGINS 8

struct census;

struct proc_question {
	uint64_t ino;         /* held writable by whom? */
	const pid_t *closers; /* processes that close it just now */
	size_t closer_count;
	uint64_t since;        /* ticks when it was first opened */
	struct census *before; /* taken before that, comparable; or NULL */
	struct proc_origin origins[PROC_ORIGINS];
	enum proc_holder found; /* the answer */
};

/* Whether a process, or a thread with a table of its own, has a writable descriptor of
 * inode `ino`: n questions, answered by one walk through /proc. UNKNOWN: none was
 * found, but a process that cannot be inspected might have one: the closer, an opener,
 * or one that may have inherited it; or the look itself failed somewhere (descriptors,
 * memory, a /proc that is gone or hides processes). A process can have inherited it
 * only if it was started after the file was opened, and descends from an opener or, if
 * its parents have ended, was adopted by an ancestor of one or by process 1. Adopted
 * children stay in their control group, which distinguishes them from services that
 * process 1 starts. FLYING: in a socket of the closer, of an opener, its parent, or any
 * descendant of that. A process that has not run since q.before is not looked at. `latest`
 * is any census, or NULL: what it knows is not read again. May wait. */
void proc_find_holders(struct proc_question *q, size_t n, struct census *latest);

#endif
