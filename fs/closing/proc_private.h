/* What proc.c and holders.c share: reading the small files of /proc. */
#ifndef FS_PROC_PRIVATE_H
#define FS_PROC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PF_EXITING 0x4u
#define PF_KTHREAD 0x200000u

/* The result of a look. Money depends on it: only GONE means that something is not
 * there, and none of these is an errno, which is easily mistaken for "no". */
enum sight {
	SIGHT_CLEAR,  /* it was read */
	SIGHT_GONE,   /* there is no such thing (any more): ENOENT and ESRCH alone */
	SIGHT_HIDDEN, /* the kernel does not let us see it: EACCES, EPERM */
	SIGHT_DIM,    /* anything else: out of descriptors or memory, not understood,
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
	uint64_t program; /* of all since one execve; 0: it has none, or it is hidden */
	int exit_code;
};

/* A small file below dirfd, NUL-terminated and cut where room ends. */
enum sight proc_slurp(int dirfd, const char *path, char *buf, size_t room);
/* The file `name` of process or thread pid. */
enum sight proc_slurp_of(pid_t pid, const char *name, char *buf, size_t room);
/* The text after "Name:\t" as in status and fdinfo, or NULL. */
const char *proc_field(const char *text, const char *name);

/* Whether pid is inside execve, according to `statm`, which everybody may read: its new
 * memory has no program yet. Also true if that is unknown. */
bool proc_in_exec(pid_t pid);
/* The stat of pid; DIM while it is inside execve, for which this does not wait. */
enum sight proc_stat(pid_t pid, struct stat_line *ret);
/* A number for the control group of a process; 0 if that is unknown. */
uint64_t proc_cgroup(pid_t pid);

#endif
