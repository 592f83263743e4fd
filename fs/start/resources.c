#include "start/resources.h"

#include <dlfcn.h>
#include <stddef.h>
#include <sys/resource.h>

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
