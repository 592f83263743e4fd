/*
 * One of the API's jobs behind a directory (job.h): its id and state as the API
 * reported them, what is known about it, its output and where that is stored, the index
 * of its answers.
 *
 * A directory is not a job of the API: there may be several behind one (parts.h), each
 * in a struct gb_job of its own. A draft's has no id yet. All members: client.lock.
 * A comment above each group says which room writes it.
 */
#ifndef GB_BATCH_H
#define GB_BATCH_H

#include "jobs/knowledge.h"
#include "results/results.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct answers;

/* Whether results that a reader completed are being sealed. While this is not SEAL_NONE
 * the file must not be moved. */
enum sealing {
	SEAL_NONE,
	SEAL_RESTS, /* planned: begins when no reader is left, or when somebody waits
	               for it */
	SEAL_RUNS
};

/* How its saved output ends, which is looked up when it is first needed. */
enum batch_tail { TAIL_UNKNOWN, TAIL_NEWLINE, TAIL_OPEN };

struct batch {
	/* jobs/observe.c: what the API reported. */
	const char *id;          /* at the API (provider/ids.h); counted */
	const char *state_text;  /* interned */
	char *output_file;       /* its id at the API */
	struct timespec created, updated, ended_at;
	int64_t requests, succeeded, failed, pending; /* -1: not known */
	int64_t known_off;       /* offset in CACHE/known; -1: not there */
	double learnt;           /* util_now at the newest reply; 0: none in this run */
	uint64_t seq;            /* of the call that brought it */
	uint64_t listed_seq;     /* of the newest list that contained the job */
	struct knowledge known;  /* what the API said about the job (knowledge.h) */

	/* archive/: its output on this machine. */
	struct gb_results *results;
	int64_t results_size;    /* -1; to be shown: for more see size_told */
	char *refusal;           /* the API's message when it refused the output, or
	                            NULL */
	unsigned gave_up_often;  /* reads of the output that failed shortly after each
	                            other … */
	int gave_up;             /* … the error of the last one, and when that was */
	double gave_up_at;
	double gave_up_told;     /* when the API wants the next request; 0: not
	                            stated */
	double left_at;          /* when the last of `handles` was closed (util_now) */
	unsigned handles;        /* gb_results_open without close */

	/* jobs/list.c */
	unsigned listed_page;    /* page of the newest list that contained it; 0: none */

	/* answers/ */
	struct answers *answers; /* the index of the answers, once it is loaded */

	/* jobs/poll_plan.c */
	struct looks *looks;     /* once somebody has waited for its end; NULL: nobody */
	double next_look;        /* it is not asked for by itself before */

	uint8_t state;           /* enum remote_state */
	uint8_t sealing;         /* enum sealing */
	uint8_t tail;            /* archive/: enum batch_tail */
	uint8_t seal_rested;     /* how often a waiting seal was looked at */
	uint8_t save_failures;   /* tries to save the output that failed in a row … */
	uint8_t save_errno;      /* … and the errno of the last one, positive */
	/* jobs/observe.c */
	bool output_inline : 1;
	bool has_api_error : 1;
	bool embedding : 1;
	/* jobs/poller.c */
	bool wanted : 1;         /* a refresh was requested */
	bool solo : 1;           /* the list does not tell enough: request it by itself */
	bool unlisted : 1;       /* a list that was read to its end did not have it */
	bool in_round : 1;       /* the round of lists is read on until it is told */
	/* archive/ */
	bool fetching : 1;       /* being saved; never at the same time as a seal */
	bool checked : 1;        /* this process has read back the whole output */
	bool kept : 1;           /* the saved output was complete, but its map cannot be
	                            read */
	bool unfit : 1;          /* … and it is damaged */
	bool no_length : 1;      /* the API does not tell how long the output is */
	bool size_told : 1;      /* one reply alone has told results_size: it is shown
	                            and nothing else */
	bool resized : 1;        /* it reported another length before */
	bool cached : 1;         /* all of the output is in the cache directory */
	/* answers/ */
	bool indexing : 1;       /* the index of answers is being made or loaded */
	bool index_failed : 1;
	bool made_good : 1;      /* of a part: all its requests have a result, from others
	                            if need be */
};

#endif
