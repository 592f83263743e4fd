#include "start/on_end.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "util/command.h"
#include "util/log.h"

#define AT_A_TIME 4
#define LINE_LONGEST 1000

struct ended {
	STAILQ_ENTRY(ended) link;
	struct gb_job *job;
};

struct on_end {
	const char *command; /* NULL: none */
	const char *dir;
	pthread_t threads[AT_A_TIME];
	unsigned started; /* threads; of start and stop alone */
	int stop_fd;      /* readable once it is over */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;                        /* lock */
	STAILQ_HEAD(, ended) queue;       /* lock */
};

/* A command that runs. */
struct child {
	const char *name; /* of the job */
	pid_t pid;
	int out, pidfd;
	size_t have;
	char line[LINE_LONGEST + 1];
};

int on_end_new(const char *command, const char *dir, struct on_end **ret)
{
	struct on_end *e = calloc(1, sizeof *e);

	if (!e)
		return -ENOMEM;
	e->dir = dir;
	e->stop_fd = eventfd(0, EFD_CLOEXEC);
	e->command = command;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->wake, NULL);
	STAILQ_INIT(&e->queue);
	*ret = e;
	return 0;
}

void on_end_free(struct on_end *e)
{
	if (!e)
		return;
	closep(&e->stop_fd);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void free_ended(struct ended *one)
{
	gb_job_unref(one->job);
	free(one);
}

void on_end_add(struct on_end *e, struct gb_job *job)
{
	struct ended *one = e->command ? calloc(1, sizeof *one) : NULL;

	/* Without memory it stays in the journal, for the next mount. */
	if (!one)
		return;
	one->job = gb_job_ref(job);
	pthread_mutex_lock(&e->lock);
	bool late = e->stop;
	if (!late)
		STAILQ_INSERT_TAIL(&e->queue, one, link);
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	if (late)
		free_ended(one);
}

/* ---- one command ------------------------------------------------------------------- */

static void log_output(struct child *c)
{
	c->line[c->have] = '\0';
	if (c->have)
		log_line(LOG_INFO, "on_end %s: %s", c->name, c->line);
	c->have = 0;
}

/* What there is to read now; false at its end. */
static bool take_output(struct child *c)
{
	char buf[4096];
	ssize_t n = read(c->out, buf, sizeof buf);

	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n' || c->have == LINE_LONGEST)
			log_output(c);
		if (buf[i] != '\n')
			c->line[c->have++] = buf[i];
	}
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Wait until it has ended (true), or the mount has ended: then it goes on without us.
 * Its children may keep its output open; we do not wait for that. */
static bool follow_command(const struct on_end *e, struct child *c)
{
	struct pollfd fds[] = {
		{c->out, POLLIN, 0}, {c->pidfd, POLLIN, 0}, {e->stop_fd, POLLIN, 0}};

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return false;
		if (fds[0].revents && !take_output(c))
			fds[0].fd = -1;
		else if (!fds[0].revents && fds[1].revents)
			return true;
		else if (fds[2].revents)
			return false;
	}
}

static void end_command(struct child *c, bool ended)
{
	int status;

	log_output(c);
	if (!ended)
		return;
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		log_line(LOG_WARNING, "on_end %s: killed by signal %d", c->name,
			WTERMSIG(status));
	else if (WEXITSTATUS(status))
		log_line(LOG_WARNING, "on_end %s: exit status %d", c->name,
			WEXITSTATUS(status));
}

static void run_command(const struct on_end *e, const char *name, const char *state)
{
	struct child c = {.name = name, .out = -1, .pidfd = -1};
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_line(LOG_ERR, "on_end %s: %s", name, strerror(errno));
		return;
	}
	c.out = ends[0];
	err = command_start(e->command, e->dir, name, state, ends[1], &c.pid);
	close(ends[1]);
	if (err) {
		log_line(LOG_ERR, "on_end %s: %s", name, strerror(-err));
	} else {
		c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
		end_command(&c, follow_command(e, &c));
	}
	closep(&c.pidfd);
	close(c.out);
}

/* ---- the threads ------------------------------------------------------------------- */

static struct ended *next_ended(struct on_end *e)
{
	struct ended *one;

	pthread_mutex_lock(&e->lock);
	while (!e->stop && STAILQ_EMPTY(&e->queue))
		pthread_cond_wait(&e->wake, &e->lock);
	one = e->stop ? NULL : STAILQ_FIRST(&e->queue);
	if (one)
		STAILQ_REMOVE_HEAD(&e->queue, link);
	pthread_mutex_unlock(&e->lock);
	return one;
}

static void *run_commands(void *arg)
{
	struct on_end *e = arg;
	struct ended *one;

	while ((one = next_ended(e))) {
		struct gb_info info;

		gb_job_info(one->job, &info);
		if (!gb_job_take_end(one->job))
			run_command(e, info.name, info.state);
		free_ended(one);
	}
	return NULL;
}

int on_end_start(struct on_end *e)
{
	int err = 0;

	while (e->command && e->started < AT_A_TIME && !err) {
		err = pthread_create(&e->threads[e->started], NULL, run_commands, e);
		e->started += !err;
	}
	return -err;
}

void on_end_stop(struct on_end *e)
{
	struct ended *one;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_broadcast(&e->wake);
	pthread_mutex_unlock(&e->lock);
	eventfd_write(e->stop_fd, 1);
	while (e->started)
		pthread_join(e->threads[--e->started], NULL);
	while ((one = STAILQ_FIRST(&e->queue))) {
		STAILQ_REMOVE_HEAD(&e->queue, link);
		free_ended(one);
	}
}
