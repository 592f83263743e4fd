/* What poller.c, ask.c and list.c share: the poller of a client. All under client.lock. */
#ifndef GB_POLLER_PRIVATE_H
#define GB_POLLER_PRIVATE_H

#include "jobs/poller.h"
#include "jobs/job.h"

struct poller {
	pthread_t thread;
	bool runs;
	pthread_cond_t poke;
	struct gb_job *watched;
	struct gb_waitq list_q;
	bool want_list, want_whole, listed;
	bool caught_up;          /* since the start; a part of a list may be missing */
	double listed_at, whole_at; /* util_now; 0: never */
	uint64_t whole_seq;      /* of the newest whole list; 0: none */
	double list_after;       /* util_now: after failures, no look before this */
	unsigned list_failures;  /* of looks, in a row */
	double lists_ok_since;   /* CLOCK_BOOTTIME: none has failed since; 0: the last
	                            one failed */
	unsigned list_pages;     /* of the newest round of lists; 0: none yet */
	uint32_t check_from;     /* slot: which missing jobs are requested next */
	double sweep_at;         /* ask.c: when a timer looks who has waited long
	                            enough; 0: none */
};

#endif
