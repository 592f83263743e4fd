#include "refusals.h"

#include <pthread.h>
#include <time.h>

enum { REMEMBERED = 64, SECONDS = 60 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct refusal {
	pid_t process;
	uint64_t dir;
	time_t until; /* monotonic */
} refusals[REMEMBERED]; /* a ring; lock */
static unsigned next;

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec;
}

void refusals_note(pid_t process, uint64_t dir)
{
	if (!process)
		return;
	pthread_mutex_lock(&lock);
	refusals[next++ % REMEMBERED] = (struct refusal){process, dir, now() + SECONDS};
	pthread_mutex_unlock(&lock);
}

bool refusals_hit(pid_t process, uint64_t dir)
{
	bool hit = false;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < REMEMBERED && !hit; i++)
		hit = process && refusals[i].process == process &&
		      refusals[i].dir == dir && refusals[i].until > now();
	pthread_mutex_unlock(&lock);
	return hit;
}
