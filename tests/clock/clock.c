/*
 * A wall clock that tests can step under a running program: preloaded (LD_PRELOAD), it
 * adds the seconds that the file $BATCHFS_TEST_CLOCK holds to what time(),
 * gettimeofday() and clock_gettime(CLOCK_REALTIME) say. The file is read at each call;
 * while it cannot be (no descriptor is left, it is being written) the last value holds.
 * Other clocks go on as they are: that is what is tested.
 */
#include <fcntl.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static char path[4096];
static atomic_llong last;

__attribute__((constructor)) static void remember_path(void)
{
	const char *value = getenv("BATCHFS_TEST_CLOCK");

	snprintf(path, sizeof(path), "%s", value ? value : "");
}

static long long ahead(void)
{
	int saved = errno, fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char text[32], *end;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n > 0) {
		text[n] = '\0';
		long long seconds = strtoll(text, &end, 10);

		if (end != text && *end == '\n')
			last = seconds;
	}
	errno = saved;
	return last;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int err = (int)syscall(SYS_clock_gettime, clock, ret);

	if (!err && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += ahead();
	return err;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*ret = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return 0;
}
