/*
 * For tests of what a crash leaves behind and of races: named points that a run passes
 * on its way. Without the variables below, which are read once, nothing happens.
 *
 *   BATCHFS_TEST_TRACE=FILE    a line for each point that is passed: its name
 *   BATCHFS_TEST_STOP=NAME#N   dies there as kill -9 would, at the Nth time (1)
 *   BATCHFS_TEST_PAUSE=NAME=S  the first who comes there stays S seconds
 *
 * Tests take the names from a trace, so that a new point is tested by being there.
 */
#include "client.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

static struct {
	char stop[48], pause[48];
	unsigned stop_at;
	double seconds;
	int trace; /* -1: none */
	bool on;
	atomic_uint stops, pauses;
} hooks;

/* "NAME" and what follows the last `mark`; usual without it. */
static double split(const char *env, char mark, double usual, char ret[48])
{
	const char *value = getenv(env), *at = value ? strrchr(value, mark) : NULL;
	size_t n = at ? (size_t)(at - value) : value ? strlen(value) : 0;

	snprintf(ret, 48, "%.*s", (int)n, value ? value : "");
	return at ? atof(at + 1) : usual;
}

static void read_hooks(void)
{
	const char *trace = getenv("BATCHFS_TEST_TRACE");

	hooks.stop_at = (unsigned)split("BATCHFS_TEST_STOP", '#', 1, hooks.stop);
	hooks.seconds = split("BATCHFS_TEST_PAUSE", '=', 1, hooks.pause);
	hooks.trace = trace ? open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	hooks.on = hooks.stop[0] || hooks.pause[0] || hooks.trace >= 0;
}

static void trace(const char *name)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s\n", name);

	if (hooks.trace >= 0 && write(hooks.trace, line, (size_t)n) < 0)
		abort();
}

void test_point(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_hooks);
	if (!hooks.on)
		return;
	trace(name);
	if (strcmp(hooks.stop, name) == 0 && ++hooks.stops == hooks.stop_at)
		kill(getpid(), SIGKILL);
	if (strcmp(hooks.pause, name) == 0 && hooks.pauses++ == 0)
		usleep((useconds_t)(hooks.seconds * 1e6));
}

double test_seconds(const char *env, double usual)
{
	const char *value = getenv(env);

	return value && atof(value) > 0 ? atof(value) : usual;
}
