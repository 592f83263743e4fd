/* Measures what a shell is too slow or too coarse for.
 *
 *     bench_clock opens FILE N        microseconds of an open, read, close of FILE
 *     bench_clock waiters FILE N      N readers of FILE in one process, until all have
 *                                     an answer or SIGTERM comes; says how many had
 *
 * One number on stdout. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_some(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	for (size_t n = 0; n < size;) {
		ssize_t got = read(fd, buf, size - n);

		if (got < 0)
			die(path);
		if (!got)
			break;
		n += (size_t)got;
	}
	close(fd);
}

static int opens(const char *path, unsigned n)
{
	char buf[64];
	double start = now();

	for (unsigned i = 0; i < n; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, buf, sizeof buf) < 0)
			die(path);
		close(fd);
	}
	printf("%.3f\n", (now() - start) / n * 1e6);
	return 0;
}

static atomic_uint answered;
static const char *waited_for;

static void *wait_for(void *arg)
{
	char buf[64];

	read_some(waited_for, buf, 1);
	atomic_fetch_add(&answered, 1);
	return arg;
}

static void on_term(int sig)
{
	_exit(0);
}

static int waiters(const char *path, unsigned n)
{
	pthread_t *threads = calloc(n, sizeof *threads);
	pthread_attr_t attr;

	waited_for = path;
	signal(SIGTERM, on_term);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&threads[i], &attr, wait_for, NULL))
			die("thread");
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	printf("%u\n", atomic_load(&answered));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	unsigned long n = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;

	if (!strcmp(what, "opens") && n)
		return opens(argv[2], (unsigned)n);
	if (!strcmp(what, "waiters") && n)
		return waiters(argv[2], (unsigned)n);
	fprintf(stderr, "usage: bench_clock opens|waiters …\n");
	return 2;
}
