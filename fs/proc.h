/*
 * What /proc tells of other processes. No state, any thread. Only readlink of
 * descriptors and reads of fdinfo, stat and status are used: they never enter a
 * filesystem, so that asking from inside a request cannot deadlock.
 */
#ifndef FS_PROC_H
#define FS_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether /proc is there and shows what is needed. */
bool proc_usable(void);

/* Whether a signal that ought to interrupt is pending for thread tid. True when
 * nothing can be told. */
bool proc_interrupted(pid_t tid);

/* The process that thread tid belongs to; 0 when it cannot be told. */
pid_t proc_process_of(pid_t tid);

/* The same of a thread that closes a file, *ret_process, by its `status` alone, which the
 * kernel keeps from nobody (scout.h): whether it may be doing so because it ends. It has
 * given all its descriptors away then. True when nothing can be told. */
bool proc_may_be_ending(pid_t tid, pid_t *ret_process);

/* Now, in the clock and units of process start times. */
uint64_t proc_ticks(void);

enum proc_end {
	END_NOT,     /* it lives */
	END_CLEAN,   /* it is exiting with status 0 */
	END_FAILED,  /* … with another */
	END_KILLED,  /* it is dying by a signal */
	END_UNKNOWN, /* it is exiting and /proc hides how, or it cannot be seen */
};

/* How the thread that closes is ending; *ret_code gets the status or signal. */
enum proc_end proc_ending(pid_t tid, int *ret_code);

/* The worst that was found is the answer. */
enum proc_holder {
	HOLDER_NONE,
	HOLDER_FLYING, /* none, but descriptors of something are on their way in a socket */
	HOLDER_UNKNOWN,
	HOLDER_SOME,
};

/* Where an open file comes from: the process that opened it, its ancestors at that
 * time, and the control group it was in. */
struct proc_origin {
	pid_t process; /* 0: cannot be seen */
	pid_t kin[15]; /* 0: none */
	uint64_t cgroup;
};

/* The origin of what thread tid opens. */
void proc_origin(pid_t tid, struct proc_origin *ret);

struct proc_question {
	uint64_t ino;   /* held writable by whom? */
	pid_t closer;   /* process that closes it just now; 0: none or unknown */
	uint64_t since; /* ticks when it was first opened */
	struct proc_origin origins[8];
};

/* Whether a process has a writable descriptor of inode `ino`. UNKNOWN: none was
 * found, but one that cannot be looked into might: the closer, an opener, or one that
 * may have inherited it. A process can have inherited it only if it was started since
 * the file was opened, and descends from an opener or, where its parents have ended,
 * was adopted by an ancestor of one or by process 1. Adopted children stay in their
 * control group, which tells them from the services that process 1 starts all day.
 * FLYING: in a socket of the closer, of an opener, its parent, or of whoever descends
 * from that. */
enum proc_holder proc_find_holder(const struct proc_question *q);

#endif
