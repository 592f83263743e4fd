#include "cli/ended.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/command.h"
#include "util/util.h"

/* Of the main thread. */
static struct child {
	struct child *next;
	char *name;
	pid_t pid;
} *children;

static void keep_child(const char *name, pid_t pid)
{
	struct child *c = calloc(1, sizeof(*c));

	if (!c) /* it runs, and is not waited for */
		return;
	*c = (struct child){children, strdup(name), pid};
	children = c;
}

void ended_start(struct desk *d, const char *name, const char *state)
{
	const char *command = d->place->o->on_end;
	pid_t pid;
	int err = command ? d->ops->take_end(d, name) : -EALREADY;

	if (err)
		return;
	fflush(stdout);
	err = command_start(command, NULL, name, state, STDERR_FILENO, &pid);
	if (err)
		cli_say("on_end %s: %s", name, strerror(-err));
	else
		keep_child(name, pid);
}

static void say_status(const char *name, int status)
{
	if (WIFSIGNALED(status))
		cli_say("on_end %s: killed by signal %d", name, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		cli_say("on_end %s: exit status %d", name, WEXITSTATUS(status));
}

static void wait_for(const struct child *c)
{
	int status;
	pid_t pid;

	while (!(pid = waitpid(c->pid, &status, WNOHANG)) && !cli_stopped())
		usleep(20000);
	if (pid == c->pid)
		say_status(c->name ? c->name : "", status);
}

void ended_wait(void)
{
	for (struct child *c; (c = children); free(c)) {
		wait_for(c);
		children = c->next;
		free(c->name);
	}
}
