#include "start/resources.h"

#include <dlfcn.h>
#include <stddef.h>
#include <sys/resource.h>

/* glibc loads this for the first pthread_cancel, which is libfuse's at the unmount, and
 * aborts where it cannot: with no descriptor free results would be lost in the middle of
 * being saved. Other libcs have no such library, nor a use for it. */
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
