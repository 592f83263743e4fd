#include "start/resources.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

/* glibc loads this for the first pthread_cancel, which libfuse makes at the unmount,
 * and aborts if it cannot: without a free descriptor results would be lost while they
 * are being saved. Other libcs neither have nor need this library. */
static void load_unwinder(void)
{
	if (!dlopen("libgcc_s.so.1", RTLD_NOW))
		dlerror();
}

void resources_raise(void)
{
	struct rlimit files;

	load_unwinder();
	/* The soft limit is low for the sake of select(), which nobody here calls. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* O_PATH: neither reads nor writes, and there is always a root. */
void resources_hold_standard(void)
{
	int fd;

	do
		fd = open("/", O_PATH | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}
