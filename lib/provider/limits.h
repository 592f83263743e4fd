/* What an API takes at most, and how long things live there. Constant; its texts go
 * into sentences that a person reads. */
#ifndef GB_LIMITS_H
#define GB_LIMITS_H

#include <stdint.h>

struct provider_limits {
	/* Bytes: of a job's requests as a file, and inline; of an attachment; of all
	 * that a project may store. */
	int64_t requests, inlined, attachment, storage;
	int64_t lines;    /* requests in one job */
	int jobs;         /* of a project that are not ended, at most; somewhat fewer are
	                     made */
	const char *requests_text, *attachment_text, *storage_text; /* "2 GB" */
	const char *jobs_text; /* "100 at a time" */

	/* Seconds. A job that has not ended, and results after an end, are kept for so
	 * long … */
	int job_life;
	/* … and results that are still refused then certainly do not exist any more. */
	int results_over;
	/* Of an upload. One is sent only if it is no older than `upload_good`, and
	 * lives for as long as it would then. */
	int upload_life, upload_good;
	/* Over how long the money is counted that may be spent. */
	int money_span;
	/* A job is to be seen at the latest so long after its create, one that carries
	 * its requests sooner. */
	int seen_after, inlined_seen_after;
};

#endif
