/*
 * The client: what all rooms share, and its lock.
 *
 * All other state belongs to a module: only the module's sources know struct poller,
 * struct saver and so on; client/client.c makes and frees them.
 *
 * Locks, in this order:
 *   job_dir.disk  one per job with local data: only one thread at a time writes its
 *                 files and journal. Held over disk work, never over the network.
 *   cache_lock    which files of the cache directory are in use or being removed; held
 *                 over small disk work
 *   client.lock   everything in memory: the table, jobs, records. Held briefly, and
 *                 never over a system call that can block.
 * Waiters, callbacks of gb_options, hooks (hooks.h says which) and the engine are
 * called with neither held. "Lock held" and "unlocked" in comments mean client.lock.
 */
#ifndef GB_CLIENT_H
#define GB_CLIENT_H

#include "base/string_index.h"
#include "base/test_point.h"
#include "base/thread_pool.h"
#include "base/waiter.h"
#include "jobs/knowledge.h"
#include "provider/provider.h"
#include "store/state_dir.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct answers_cache;
struct follows;
struct gb_job;
struct job_hooks;
struct models;
struct poller;
struct queue;
struct fits;
struct uploads;
struct removals;
struct saver;
struct reconciling;
struct operation;

struct gb_client {
	const struct job_hooks *hooks; /* hooks.h; set once */
	struct gb_options o;     /* strings are the client's copies */
	char *key;
	char key_print[LID_SIZE];
	struct store *store;
	bool keep_ends;  /* somebody wants to know of ends, now or later */
	struct uploads *uploads;
	struct engine *engine;
	struct provider_conn api; /* calls of the API; by engine */
	struct thread_pool *pool;

	pthread_mutex_t cache_lock;
	pthread_mutex_t lock;
	struct gb_job **slots;   /* all below: lock */
	uint32_t n_slots, cap_slots;
	struct string_index by_name, by_id; /* of slots */
	void *interned;
	size_t met_bytes;        /* approximate memory for jobs that others made */
	uint64_t seq;            /* counts API calls begun */
	bool stopping;
	bool loading;            /* one thread alone knows the client: what is said
	                            here of the lock does not hold yet */
	struct operation *operations;      /* all that are queued or run */
	uint64_t operation_serial;
	uint32_t unsent;         /* submissions whose create was not answered … */
	uint32_t put_by;         /* … and intents that others took the place of */
	time_t offline_since;    /* wall clock, to be shown; 0: online */
	int last_error;          /* of the newest call of the poller */
	struct {
		int64_t bytes;
		double counted; /* 0: never */
		bool counting;
	} disk_use;              /* client/disk_use.c */
	struct {
		int64_t in, out, cached;
	} counted;               /* tokens since the start: jobs/history.c */
	double trash_look;       /* client/trash.c: the trash is not emptied again
	                            before this */

	struct poller *poller;           /* jobs/poller.c */
	struct models *models;           /* jobs/models.c */
	struct follows *follows;         /* requests/validate_ahead.c */
	struct saver *saver;             /* archive/save.c */
	struct answers_cache *answers;   /* answers/answers.c */
	struct reconciling *reconciling;       /* submit/reconcile_look.c */
	struct queue *queue;             /* submit/queue.c */
	struct fits *fits;               /* submit/fit.c */
	struct removals *removals;       /* client/remove.c */
};

/* Any thread: a line to the log function of gb_options. */
void client_log(struct gb_client *c, int priority, const char *fmt, ...) _printf_(3, 4);

/* Under the sanitizers who needs the lock sees to it that this thread has it: an access
 * without is a fault each time, not only when another thread comes in between. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
extern _Thread_local const struct gb_client *client_held;

static inline void client_holds(const struct gb_client *c)
{
	client_held = c;
}

static inline void client_expect_lock(const struct gb_client *c)
{
	if (client_held != c && !c->loading)
		abort();
}
#else
static inline void client_holds(const struct gb_client *c)
{
}

static inline void client_expect_lock(const struct gb_client *c)
{
}
#endif

static inline void client_lock(struct gb_client *c)
{
	pthread_mutex_lock(&c->lock);
	client_holds(c);
}

static inline void client_unlock(struct gb_client *c)
{
	client_holds(NULL);
	pthread_mutex_unlock(&c->lock);
}

/* The time of an observation or of a question. */
static inline struct moment client_moment(const struct gb_client *c)
{
	return (struct moment){
		util_now(), engine_server_time(c->engine), c->api.provider->limits};
}

/* unlocked: whether calls can be made now; note the result of a call. */
bool client_online(struct gb_client *c);
void client_called(struct gb_client *c, const struct provider_error *err);

#endif
