#include "base/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct crew {
	size_t n;
	int (*each)(void *arg, size_t i);
	void *arg;
	atomic_size_t next;
	atomic_bool over;
};

static void *crew_work(void *of)
{
	struct crew *crew = of;
	size_t i;

	while (!crew->over && (i = crew->next++) < crew->n)
		if (crew->each(crew->arg, i))
			crew->over = true;
	return NULL;
}

static unsigned crew_start(struct crew *crew, unsigned want, pthread_t threads[CREW_MAX])
{
	unsigned n = 0;
	pthread_attr_t attr;
	sigset_t every, old;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &old);
	while (n < want && n + 1 < crew->n &&
		pthread_create(&threads[n], &attr, crew_work, crew) == 0)
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return n;
}

void crew_run(size_t n, unsigned at_once, int (*each)(void *arg, size_t i), void *arg)
{
	struct crew crew = {.n = n, .each = each, .arg = arg};
	pthread_t threads[CREW_MAX];
	unsigned most = at_once > CREW_MAX ? CREW_MAX : at_once;
	unsigned others = crew_start(&crew, most ? most - 1 : 0, threads);

	crew_work(&crew);
	while (others > 0)
		pthread_join(threads[--others], NULL);
}
