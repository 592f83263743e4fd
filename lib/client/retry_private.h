/* What retry.c (whether and when) and retry_write.c (the requests) share. */
#ifndef GB_RETRY_PRIVATE_H
#define GB_RETRY_PRIVATE_H

#include "jobs/parts.h"
#include "submit/cut.h"

#include <stdio.h>

struct operation;

/* A part whose requests are being written. */
struct asked {
	struct gb_job *part;
	int dir; /* its files */
	FILE *out;
	struct line_run have;
};

struct round {
	struct gb_job *dir;
	int number;
	struct line_run most; /* of one part */
	struct asked now;
	int64_t line;         /* where its last line begins */
	struct gb_job **parts;
	size_t n, room;
};

/* Lock held: whether all results that there are to be are saved. What has ended a moment ago
 * is still asked for, as far as the index is concerned. */
bool retry_all_is_here(struct gb_job *dir);
/* Unlocked, blocks: make the parts of a round, drafts, with their requests, durably.
 * -ENODATA: retry.jsonl lists nothing. What there is of them is in r in any case. */
_must_check_ int round_write(struct round *r, struct operation *t);

#endif
