#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/wait.h>

#define MAX_OUTPUT (64 * 1024 * 1024)
#define MAX_ENVIRONMENT (100 * 1024)

extern char **environ;

static sem_t slots;

void command_limit(int n)
{
	sem_init(&slots, 0, n > 0 ? n : 1);
}

/* The environment with our two variables on top; strings beyond those are borrowed. */
static char **make_environment(const char *model, json_t *request)
{
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
	size_t n = 0, o = 0;
	char **env;

	while (environ[n])
		n++;
	env = xcalloc(n + 3, sizeof(*env));
	env[o++] = xasprintf("GEMINI_MODEL=%s", model);
	env[o++] = xasprintf("GEMINI_REQUEST=%s",
		text && strlen(text) < MAX_ENVIRONMENT ? text : "");
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "GEMINI_", 7))
			env[o++] = environ[i];
	return env;
}

static void free_environment(char **env)
{
	free(env[0]);
	free(env[1]);
	free(env);
}

static int start(const char *command, char **env, int in, int out, pid_t *ret_pid)
{
	char *argv[] = {"sh", "-c", (char *)command, NULL};
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	sigset_t pipe_set, none;
	int r;

	sigemptyset(&none);
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &pipe_set);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_adddup2(&acts, in, 0);
	posix_spawn_file_actions_adddup2(&acts, out, 1);
	r = posix_spawn(ret_pid, "/bin/sh", &acts, &attr, argv, env);
	posix_spawn_file_actions_destroy(&acts);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* Writes some of the prompt; closes the pipe when that is done or refused. */
static void feed(struct pollfd *p, const struct buf *prompt, size_t *done)
{
	ssize_t n = write(p->fd, prompt->p + *done, prompt->len - *done);

	if (n > 0)
		*done += n;
	if ((n < 0 && errno != EAGAIN) || *done == prompt->len) {
		close(p->fd);
		p->fd = -1;
	}
}

static void drain(struct pollfd *p, struct buf *out)
{
	char chunk[16384];
	ssize_t n = read(p->fd, chunk, sizeof(chunk));

	if (n > 0 && out->len + n <= MAX_OUTPUT)
		buf_add(out, chunk, n);
	else if (n <= 0) {
		close(p->fd);
		p->fd = -1;
	}
}

static void talk(int to, int from, const struct buf *prompt, struct buf *out, pid_t pid)
{
	struct pollfd p[2] = {
		{.fd = to, .events = POLLOUT}, {.fd = from, .events = POLLIN}};
	size_t done = 0;

	fcntl(to, F_SETFL, O_NONBLOCK);
	if (!prompt->len) {
		close(to);
		p[0].fd = -1;
	}
	while (p[1].fd >= 0) {
		if (poll(p, 2, 200) < 0 && errno != EINTR)
			break;
		if (stopping())
			kill(pid, SIGTERM);
		if (p[0].fd >= 0 && p[0].revents)
			feed(&p[0], prompt, &done);
		if (p[1].revents)
			drain(&p[1], out);
	}
	if (p[0].fd >= 0)
		close(p[0].fd);
}

static int run(
	const char *command, char **env, const struct buf *prompt, struct buf *out)
{
	int in[2], back[2], status, r;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return 127;
	if (pipe2(back, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return 127;
	}
	r = start(command, env, in[0], back[1], &pid);
	close(in[0]);
	close(back[1]);
	if (r < 0) {
		close(in[1]);
		close(back[0]);
		return 127;
	}
	talk(in[1], back[0], prompt, out, pid);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int command_run(const char *command, const char *model, json_t *request,
	const struct buf *prompt, struct buf *out)
{
	char **env = make_environment(model, request);
	int status;

	while (sem_wait(&slots) < 0)
		;
	status = run(command, env, prompt, out);
	sem_post(&slots);
	free_environment(env);
	return status;
}
