/* How long a close takes to find out who else holds the file (fs/closing/holders.c), on a
 * machine with many processes.
 *
 *     bench_holders PROCESSES DESCRIPTORS ROUNDS
 *
 * makes so many processes, which hold so many descriptors in all (files, sockets, pipes),
 * and prints the median and the 99th percentile of the rounds in milliseconds: of a file
 * that nobody else holds, and of one that its opener keeps open. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "closing/proc.h"

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void hold_descriptors(int n)
{
	int pair[2];

	for (int i = 0; i < n; i++) {
		switch (i % 4) {
		case 0:
		case 1:
			open("/proc/self/exe", O_RDONLY);
			break;
		case 2:
			if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
				i++;
			break;
		default:
			if (pipe(pair) == 0)
				i++;
		}
	}
}

static pid_t make_process(int descriptors, int ready)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	hold_descriptors(descriptors);
	if (write(ready, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *what, uint64_t ino, bool held, int rounds)
{
	double *took = calloc((size_t)rounds, sizeof *took);
	pid_t self = getppid(), closers[] = {self};
	int wrong = 0;

	for (int i = 0; took && i < rounds; i++) {
		struct proc_question q = {.ino = ino,
			.closers = closers,
			.closer_count = 1,
			.origins = {{.process = self}}};
		double start = now_ms();

		proc_find_holders(&q, 1);
		took[i] = now_ms() - start;
		wrong += (q.found == HOLDER_SOME) != held;
	}
	qsort(took, (size_t)rounds, sizeof *took, by_size);
	if (wrong)
		fprintf(stderr, "%s: wrong in %d rounds\n", what, wrong);
	printf("%s\t%.2f\t%.2f\n", what, took[rounds / 2], took[rounds * 99 / 100]);
	free(took);
}

/* Nobody looks at itself: a child of the one that holds the file. */
static void measure_all(int rounds)
{
	char path[] = "/tmp/bench-holders-XXXXXX";
	int fd = mkstemp(path);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		exit(1);
	unlink(path);
	pid_t pid = fork();
	if (!pid) {
		close(fd);
		measure("held", st.st_ino, true, rounds);
		measure("last", ~(uint64_t)0, false, rounds);
		fflush(NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(fd);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 2000, all = argc > 2 ? atoi(argv[2]) : 50000;
	int rounds = argc > 3 ? atoi(argv[3]) : 200, ready[2];
	pid_t *pids = calloc((size_t)n + 1, sizeof *pids);
	char c;

	if (!pids || pipe(ready))
		return 1;
	for (int i = 0; i < n; i++)
		pids[i] = make_process(all / n, ready[1]);
	for (int i = 0; i < n; i++)
		if (pids[i] < 0 || read(ready[0], &c, 1) != 1)
			return 1;
	measure_all(rounds);
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	free(pids);
	return 0;
}
