/* What poller.c, poll_plan.c, ask.c and list.c share: the poller of a client. All under
 * client.lock. */
#ifndef GB_POLLER_PRIVATE_H
#define GB_POLLER_PRIVATE_H

#include "jobs/poller.h"
#include "jobs/job.h"
#include "jobs/looks.h"

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
	struct look_pace pace;
	struct look_budget rounds; /* of lists for those who wait */
	uint32_t check_from;     /* slot: which missing jobs are requested next */
	double sweep_at;         /* ask.c: when a timer looks who has waited long
	                            enough; 0: none */
};

/* poll_plan.c: what is to be done next. */
enum action { SLEEP, LIST, GET };

struct plan {
	enum action action;
	enum list_extent extent; /* LIST: jobs of the round are marked */
	struct gb_job *job;      /* GET */
	bool waited;             /* the call is for those who wait for an end */
	double until;            /* SLEEP, util_now; 0: for good */
};
struct plan plan_next(struct gb_client *c);
/* A GET of job was answered. */
void plan_got(struct gb_job *job, bool waited);
/* A round of lists, seq, was read; and, whether or not it was, it is over. */
void plan_listed(struct gb_client *c, uint64_t seq, const struct list_end *read);
void plan_round_over(struct gb_client *c);
/* Somebody begins to wait for the end of job. told: util_now of news that are fresh
 * enough; 0: look at once. */
void plan_wait(struct gb_job *job, double told);

#endif
