/* Runs a command, and writes to FILE what it took:
 *
 *     bench_usage FILE COMMAND [ARGUMENT...]
 *
 * Microseconds of wall time, microseconds of processor time of it and its children, KiB of
 * the largest of them. Its exit status is the command's. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long cpu_us(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000LL +
	       u->ru_utime.tv_usec + u->ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;

	if (argc < 3)
		errx(2, "usage: bench_usage FILE COMMAND [ARGUMENT...]");
	long long start = now_us();
	pid_t pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	if (waitpid(pid, &status, 0) != pid || getrusage(RUSAGE_CHILDREN, &usage) < 0)
		err(2, "wait");
	long long took = now_us() - start;
	FILE *f = fopen(argv[1], "w");
	if (!f || fprintf(f, "%lld %lld %ld\n", took, cpu_us(&usage), usage.ru_maxrss) < 0 ||
		fclose(f) != 0)
		err(2, "%s", argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
