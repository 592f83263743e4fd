#include "scout.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

enum {
	LOOK_MS = 10, /* between looks at the scout */
	STUCK = 20,   /* so many in a row in which it slept: not merely slow */
};

struct scout {
	pthread_mutex_t lock;
	pthread_cond_t back;
	pid_t of, tid;
	bool returned;
	atomic_uint refs; /* who sent it, and itself */
};

static void unref(struct scout *s)
{
	if (--s->refs)
		return;
	pthread_cond_destroy(&s->back);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The first bytes of a file of /proc; false when there is none. */
static bool peek(const char *path, char *buf, size_t room)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, room - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void *look(void *arg)
{
	struct scout *s = arg;
	char path[48], buf[512];

	pthread_mutex_lock(&s->lock);
	s->tid = gettid();
	pthread_mutex_unlock(&s->lock);
	snprintf(path, sizeof path, "/proc/%d/stat", (int)s->of);
	peek(path, buf, sizeof buf);
	pthread_mutex_lock(&s->lock);
	s->returned = true;
	pthread_cond_signal(&s->back);
	pthread_mutex_unlock(&s->lock);
	unref(s);
	return NULL;
}

/* Whether our thread tid is held back inside the kernel just now. */
static bool sleeps(pid_t tid)
{
	char path[48], buf[512];
	const char *end;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	if (!tid || !peek(path, buf, sizeof buf))
		return false;
	end = strrchr(buf, ')');
	return end && end[1] == ' ' && end[2] == 'D';
}

/* Under the lock: until it is back (false), or stuck. */
static bool is_stuck(struct scout *s)
{
	struct timespec t;
	int asleep = 0;

	clock_gettime(CLOCK_MONOTONIC, &t);
	while (!s->returned && asleep < STUCK) {
		t.tv_nsec += LOOK_MS * 1000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&s->back, &s->lock, &t))
			asleep = sleeps(s->tid) ? asleep + 1 : 0;
	}
	return !s->returned;
}

static bool send_out(struct scout *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool sent;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sent = !pthread_create(&thread, &attr, look, s);
	pthread_attr_destroy(&attr);
	return sent;
}

bool scout_in_exec(pid_t tid)
{
	struct scout *s = tid > 0 ? calloc(1, sizeof *s) : NULL;
	pthread_condattr_t clock;
	bool stuck = false;

	if (!s)
		return false;
	*s = (struct scout){.of = tid, .refs = 2};
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s->back, &clock);
	pthread_condattr_destroy(&clock);
	if (send_out(s)) {
		pthread_mutex_lock(&s->lock);
		stuck = is_stuck(s);
		pthread_mutex_unlock(&s->lock);
	} else {
		unref(s);
	}
	unref(s);
	return stuck;
}
