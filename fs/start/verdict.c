#include "start/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "start/service.h"
#include "util/log.h"
#include "util/util.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546 /* linux/magic.h of Linux 5.17 */
#endif

/* In the background: let go of the terminal and tell the parent. */
static void detach_daemon(int verdict_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	log_to_syslog();
	if (chdir("/"))
		log_line(LOG_WARNING, "chdir /: %s", strerror(errno));
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(verdict_fd, "0", 1) != 1)
		log_line(LOG_WARNING, "the process that started this one has ended; "
				      "mounted all the same");
	close(verdict_fd);
}

/* Mounted is not yet usable: the kernel and libfuse may still disagree, and that shows
 * when the first request is answered, which only the session's loop does. So a thread
 * asks like any program; the others are told only if that works. */
static void *run_verdict(void *arg)
{
	struct verdict *v = arg;
	struct statfs fs;

	if (statfs(v->mountpoint, &fs) || fs.f_type != FUSE_SUPER_MAGIC)
		return NULL;
	if (v->fd >= 0)
		detach_daemon(v->fd);
	service_ready(v->mountpoint);
	return NULL;
}

int verdict_start(struct verdict *v)
{
	bool awaited = v->fd >= 0 || service_is_there();
	int err = awaited ? -pthread_create(&v->thread, NULL, run_verdict, v) : 0;

	v->started = awaited && !err;
	return err;
}

void verdict_stop(struct verdict *v)
{
	if (v->started)
		pthread_join(v->thread, NULL);
}

/* The parent's part. */
static int await_verdict(int fd)
{
	char verdict;
	ssize_t n;

	do
		n = read(fd, &verdict, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : 1;
}

int verdict_fork(void (*in_parent)(void *), void *arg, int *ret_fd)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	switch (fork()) {
	case -1:
		return -errno;
	case 0:
		close(ends[0]);
		*ret_fd = ends[1];
		return 0;
	default:
		in_parent(arg);
		close(ends[1]);
		exit(await_verdict(ends[0]));
	}
}
