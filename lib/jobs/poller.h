/*
 * The one poller: a thread that makes every call that only asks (poller.c), its lists (list.c), and
 * who asks it, and how long they wait (ask.c).
 */
#ifndef GB_POLLER_H
#define GB_POLLER_H

#include "jobs/job.h"

/* list.c: read the list until a page tells nothing new, or all of it; seq is of
 * learn_seq. Blocks. 0 or err's. */
int list_read(
	struct gb_client *c, bool whole, uint64_t seq, struct provider_error *err);

/* ask.c: waiters for metadata. Until when (a waiter's `hi`); then, with the lock not held,
 * see to it that they are answered. ask_wait: how long reads wait, in seconds. */
uint64_t ask_until(double seconds);
void ask_bound(struct gb_client *c, double seconds);
double ask_wait(void);
/* Lock held: no look is made in time for somebody who asks now: what is known must do. */
bool ask_in_vain(const struct gb_client *c);

/* Its state. NULL without memory. */
struct poller *poller_new(void);
void poller_free(struct poller *p);
/* Lock held: who waits for lists, to `to`. */
void poller_take_waiters(struct gb_client *c, struct gb_waitq *to);
/* Lock held: all of the list is to be read, soon. */
void poller_want_whole(struct gb_client *c);
/* Lock held: client.seq of the newest whole list, 0: none; since when no list has failed, by
 * util_now, 0: the last did. */
uint64_t poller_whole_seq(const struct gb_client *c);
double poller_lists_ok_since(const struct gb_client *c);
/* Lock held: the next look at a job that is waited for comes soon. */
void poller_look_soon(struct gb_job *job);

int poll_start(struct gb_client *c);
void poll_stop(struct gb_client *c);
/* With client.lock held: something to look at; the poller plans anew. */
void poll_poke(struct gb_client *c);
void poll_watch(struct gb_job *job);

#endif
