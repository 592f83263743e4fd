/*
 * Going to the background, and who waits for the mount: the process that was started,
 * which exits when it can be used or has failed, and a service manager (service.h).
 *
 * Without -f the process forks before it does anything that involves threads or the
 * network; verdict_fork does not return in the parent. The child has said what went
 * wrong when it ends without a verdict: until then it shares stderr.
 */
#ifndef FS_VERDICT_H
#define FS_VERDICT_H

#include <pthread.h>
#include <stdbool.h>

struct verdict {
	const char *mountpoint;
	int fd; /* to the parent; -1: in the foreground */
	pthread_t thread;
	bool started;
};

/* *ret_fd: the child's end of the pipe to the parent. in_parent is called there. */
int verdict_fork(void (*in_parent)(void *), void *arg, int *ret_fd);
/* Mounted; the session's loop is about to begin. */
int verdict_start(struct verdict *v);
/* After the unmount, which ends its request if nobody answered it. */
void verdict_stop(struct verdict *v);

#endif
