/* What proc.c and holders.c share: reading the small files of /proc. */
#ifndef FS_PROC_PRIVATE_H
#define FS_PROC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PF_EXITING 0x4u
#define PF_KTHREAD 0x200000u

/* What became of a look. Money hangs on it: nothing but GONE means that something is not
 * there, and none of these is an errno, which is easily taken for "no". */
enum sight {
	SIGHT_CLEAR,  /* it was read */
	SIGHT_GONE,   /* there is no such thing (any more): ENOENT and ESRCH alone */
	SIGHT_HIDDEN, /* the kernel keeps it from us: EACCES, EPERM */
	SIGHT_DIM,    /* anything else: short of descriptors or memory, not understood,
		       * inside execve */
};

/* What a failed call means; err is an errno. */
enum sight sight_of(int err);
static inline enum sight sight_worse(enum sight a, enum sight b)
{
	return a > b ? a : b;
}

struct stat_line {
	char state;
	pid_t parent;
	unsigned flags;
	unsigned threads;
	uint64_t start;
	int exit_code;
};

/* A small file below dirfd, NUL-terminated and cut where room ends. */
enum sight proc_slurp(int dirfd, const char *path, char *buf, size_t room);
/* The file `name` of process or thread pid. */
enum sight proc_slurp_of(pid_t pid, const char *name, char *buf, size_t room);
/* The text after "Name:\t" in the manner of status and fdinfo, or NULL. */
const char *proc_field(const char *text, const char *name);

/* Whether pid is inside execve, as far as `statm` tells, which the kernel keeps from
 * nobody: its new memory has no program yet. True also when it cannot be told. */
bool proc_in_exec(pid_t pid);
/* The stat of pid; DIM while it is inside execve, which is not waited for. */
enum sight proc_stat(pid_t pid, struct stat_line *ret);
/* A number for the control group a process is in; 0 when it cannot be told. */
uint64_t proc_cgroup(pid_t pid);

#endif
