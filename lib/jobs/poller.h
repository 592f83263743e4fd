/*
 * The poller: one thread that makes every call that only reads (poller.c), the plan of
 * what it does when (poll_plan.c), the reading of lists (list.c), and the waiters for
 * metadata (ask.c).
 */
#ifndef GB_POLLER_H
#define GB_POLLER_H

#include "jobs/job.h"

/* list.c: read the list; seq comes from observe_seq. Blocks. 0 or the errno in err. */
enum list_extent {
	LIST_NEEDED, /* until all are told that are in the round (batch.in_round) */
	LIST_NEWS,   /* … and a page has nothing new */
	LIST_WHOLE,
};
/* What was read of it. */
struct list_end {
	bool end;  /* to its last page */
	bool news; /* all that is new */
};
int list_read(struct gb_client *c, enum list_extent extent, uint64_t seq,
	struct list_end *ret, struct provider_error *err);

/* ask.c: waiters for metadata. Until when they wait (a waiter's `hi`); and, unlocked,
 * make sure that they are answered then. ask_wait: how long reads wait, in seconds. */
uint64_t ask_until(double seconds);
void ask_bound(struct gb_client *c, double seconds);
double ask_wait(void);
/* Lock held: whether no look will be made in time for a caller who asks now, so that
 * the caller must use what is known. */
bool ask_in_vain(const struct gb_client *c);

/* Its state. NULL without memory. */
struct poller *poller_new(void);
void poller_free(struct poller *p);
/* Lock held: move those who wait for lists to `to`. */
void poller_take_waiters(struct gb_client *c, struct gb_waitq *to);
/* Lock held: the whole list is to be read soon. */
void poller_want_whole(struct gb_client *c);
/* Lock held: client.seq of the newest whole list, 0: none; since when no list has
 * failed, by util_now, 0: the last one failed. */
uint64_t poller_whole_seq(const struct gb_client *c);
double poller_lists_ok_since(const struct gb_client *c);
/* Lock held: a job was cancelled: look soon, and some times more. */
void poller_look_soon(struct gb_job *job);

int poll_start(struct gb_client *c);
void poll_stop(struct gb_client *c);
/* Lock held: there is something to look at; the poller makes a new plan. */
void poll_poke(struct gb_client *c);
void poll_watch(struct gb_job *job);

#endif
