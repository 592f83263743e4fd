/* How long a close takes to find out who else holds the file (fs/closing/holders.c), on a
 * machine with many processes.
 *
 *     bench_holders PROCESSES DESCRIPTORS ROUNDS
 *
 * makes so many processes, no relatives of the opener's, which hold so many descriptors in
 * all (files, sockets, pipes), and prints the median and the 99th percentile of the rounds in
 * milliseconds, and the mean of processor time: of a file that its opener keeps open; of one
 * that nobody else holds, where every process must be looked at; the same where it is known
 * how far each had run before the file was opened; and of the taking of such a census. */
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

#include "closing/census.h"
#include "closing/proc.h"

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
	close(ready);
	for (;;)
		pause();
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct sample {
	double *took, cpu;
	int n;
};

static double clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void print(const char *what, struct sample *s)
{
	qsort(s->took, (size_t)s->n, sizeof *s->took, by_size);
	printf("%s\t%.2f\t%.2f\t%.2f\n", what, s->took[s->n / 2],
		s->took[s->n * 99 / 100], s->cpu / s->n);
}

/* One look, by somebody who is not the opener; how long it took goes to s. */
static bool look(
	struct sample *s, uint64_t ino, struct census *before, struct census *latest)
{
	pid_t opener = getppid(), closers[] = {opener};
	struct proc_question q = {.ino = ino,
		.closers = closers,
		.closer_count = 1,
		.before = before,
		.origins = {{.process = opener}}};
	double start = clock_ms(CLOCK_MONOTONIC),
	       cpu = clock_ms(CLOCK_THREAD_CPUTIME_ID);

	proc_find_holders(&q, 1, latest);
	s->cpu += clock_ms(CLOCK_THREAD_CPUTIME_ID) - cpu;
	s->took[s->n++] = clock_ms(CLOCK_MONOTONIC) - start;
	return q.found == HOLDER_SOME;
}

static void take(struct sample *s, struct census **latest)
{
	double start = clock_ms(CLOCK_MONOTONIC),
	       cpu = clock_ms(CLOCK_THREAD_CPUTIME_ID);
	struct census *now = census_take(*latest, true);

	s->cpu += clock_ms(CLOCK_THREAD_CPUTIME_ID) - cpu;
	s->took[s->n++] = clock_ms(CLOCK_MONOTONIC) - start;
	if (!now)
		exit(1);
	census_unref(*latest);
	*latest = now;
}

/* In turns, so that all of them meet the same machine. */
static void measure(uint64_t ino, int rounds)
{
	struct sample held = {}, all = {}, known = {}, census = {};
	struct sample *const each[] = {&held, &all, &known, &census};
	struct census *latest = NULL, *before;
	uint64_t nobodys = ~(uint64_t)0;
	int wrong = 0;

	for (size_t i = 0; i < sizeof each / sizeof *each; i++)
		each[i]->took = calloc((size_t)rounds, sizeof(double));
	for (int i = 0; i < rounds; i++) {
		take(&census, &latest);
		before = census_ref(latest);
		wrong += !look(&held, ino, before, latest);
		wrong += look(&known, nobodys, before, latest);
		wrong += look(&all, nobodys, NULL, latest);
		census_unref(before);
	}
	if (wrong)
		fprintf(stderr, "%d wrong answers\n", wrong);
	printf("what\tp50\tp99\tcpu\n");
	print("held", &held);
	print("last, all", &all);
	print("last, known", &known);
	print("census", &census);
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
		measure(st.st_ino, rounds);
		fflush(NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(fd);
}

/* Orphans of another program, who end when stay is closed, and their maker with them. */
static void start_maker(int n, int each, int ready, const int stay[2])
{
	char args[4][16];
	int numbers[] = {n, each, ready, stay[0]};

	if (fork())
		return;
	if (fork())
		_exit(0);
	close(stay[1]);
	for (int i = 0; i < 4; i++)
		snprintf(args[i], sizeof args[i], "%d", numbers[i]);
	execl("/proc/self/exe", "maker", args[0], args[1], args[2], args[3], NULL);
	_exit(1);
}

static int be_maker(int n, int each, int ready, int stay)
{
	char c;

	while (n--)
		if (make_process(each, ready) < 0)
			return 1;
	return read(stay, &c, 1) != 0;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 2000, all = argc > 2 ? atoi(argv[2]) : 50000;
	int rounds = argc > 3 ? atoi(argv[3]) : 200, ready[2], stay[2];
	char c;

	if (argc == 5)
		return be_maker(n, all, rounds, atoi(argv[4]));
	if (pipe(ready) || pipe(stay))
		return 1;
	start_maker(n, all / n, ready[1], stay);
	close(ready[1]);
	for (int i = 0; i < n; i++)
		if (read(ready[0], &c, 1) != 1)
			return 1;
	measure_all(rounds);
	return 0;
}
