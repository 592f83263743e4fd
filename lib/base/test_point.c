/*
 * For tests of what a crash leaves behind and of races: named points that a run passes
 * on its way. Without the variables below, which are read once, nothing happens.
 *
 *   BATCHFS_TEST_TRACE=FILE    a line for each point that is passed: its name
 *   BATCHFS_TEST_STOP=NAME#N   dies there as by kill -9, the Nth time (1)
 *   BATCHFS_TEST_PAUSE=NAME=S  the first thread there waits S seconds; several,
 *                              separated by commas
 *   BATCHFS_TEST_GO=FILE       it waits no longer than until there is that file
 *
 * Tests take the names from a trace, so that a new point is tested automatically.
 */
#include "base/test_point.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PAUSES 4

struct hook {
	char name[48];
	double number; /* which time; seconds */
	atomic_uint passed;
};

static struct {
	struct hook stop, pauses[MAX_PAUSES];
	const char *go;
	int trace; /* -1: none */
	bool on;
} hooks;

/* "NAME" and what follows the last `mark`; usual without it. */
static void split_hook(
	const char *value, size_t n, char mark, double usual, struct hook *ret)
{
	const char *at = memrchr(value, mark, n);

	ret->number = at ? atof(at + 1) : usual;
	snprintf(ret->name, sizeof(ret->name), "%.*s",
		(int)(at ? (size_t)(at - value) : n), value);
}

static void read_hooks(void)
{
	const char *trace = getenv("BATCHFS_TEST_TRACE"),
		   *stop = getenv("BATCHFS_TEST_STOP");
	const char *pause = getenv("BATCHFS_TEST_PAUSE");

	if (stop)
		split_hook(stop, strlen(stop), '#', 1, &hooks.stop);
	for (int i = 0; pause && *pause && i < MAX_PAUSES; i++) {
		size_t n = strcspn(pause, ",");

		split_hook(pause, n, '=', 1, &hooks.pauses[i]);
		pause += n + (pause[n] == ',');
	}
	hooks.go = getenv("BATCHFS_TEST_GO");
	hooks.trace =
		trace ? open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
		      : -1;
	hooks.on = hooks.stop.name[0] || hooks.pauses[0].name[0] || hooks.trace >= 0;
}

static void trace(const char *name)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s\n", name);

	if (hooks.trace >= 0 && write(hooks.trace, line, (size_t)n) < 0)
		abort();
}

static void pause_here(double seconds)
{
	enum { LOOK_US = 10000 };

	for (double at = 0; at < seconds; at += LOOK_US / 1e6) {
		if (hooks.go && access(hooks.go, F_OK) == 0)
			return;
		usleep(LOOK_US);
	}
}

void test_point(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_hooks);
	if (!hooks.on)
		return;
	trace(name);
	if (strcmp(hooks.stop.name, name) == 0 &&
		++hooks.stop.passed == hooks.stop.number)
		kill(getpid(), SIGKILL);
	for (struct hook *h = hooks.pauses; h < hooks.pauses + MAX_PAUSES; h++)
		if (strcmp(h->name, name) == 0 && h->passed++ == 0)
			pause_here(h->number);
}

double test_seconds(const char *env, double usual)
{
	const char *value = getenv(env);

	return value && atof(value) > 0 ? atof(value) : usual;
}
