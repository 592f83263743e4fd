/*
 * An engine without a network, for tests of what stands on it: it takes the place of
 * lib/engine*.c at link time. One thread: nothing happens but in fake_step(), so every
 * order of events can be written down.
 *
 * Behind it is one file and a server that answers as told. A test describes lies by a
 * hook that changes an answer before it is given.
 */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H

#include "provider/provider.h"

struct answer {
	/* What was asked. */
	char range[48];  /* "" : none */
	uint64_t lo, hi; /* of it; hi UINT64_MAX: open */
	unsigned number; /* of the request, from 1 */
	bool other;      /* by the second path */
	/* What is answered; filled in as an honest server would. */
	struct http_reply reply;
	const char *body;
	size_t n;      /* bytes that come */
	bool stall;    /* after them nothing comes any more, not even the end */
	int break_off; /* after them the connection breaks with this */
};

struct engine {
	const char *data;
	size_t size;
	size_t chunk; /* bytes a step; 0: 64 KiB */
	void (*hook)(struct engine *e, struct answer *a);
	void *hook_arg;
	bool no_range, no_length;
	bool down; /* engine_stop has been called */

	unsigned calls, aborted, timers_set;
	char ranges[64][48]; /* what the first requests asked for */
	struct transfer *first, **last;
	struct timer *timers;
};

/* A provider with downloads alone, of that file. */
extern const struct provider fake_files;

void fake_init(struct engine *e, const char *data, size_t size);
/* Let something happen: a head, a piece of a body, an end; round robin. With nothing
 * else to do a timer fires. false: nothing at all. */
bool fake_step(struct engine *e);
void fake_run(struct engine *e);
/* Without timers. */
void fake_settle(struct engine *e);
unsigned fake_running(const struct engine *e);
/* As engine_stop. */
void fake_stop(struct engine *e);

#endif
