/*
 * Making the results of a job: requests are read a line at a time, answers go to disk
 * in a window that is shuffled, so memory does not grow with the job.
 */
#ifndef EMU_RESULTS_H
#define EMU_RESULTS_H

#include "jobs.h"

struct work {
	char id[JOB_ID], project[64];
	char *model;
	bool embed, inline_input, inline_output;
	int64_t serve; /* so many requests are answered, the rest is code 1; -1: all */
	/* Called before each request; false: serve no more. Also for progress. */
	bool (*go_on)(struct work *w);
	/* out */
	int64_t ok, failed, size;
};

/* Writes blobs/batch-ID or inline/ID.out. 0 or -errno. No lock held. */
int results_make(struct work *w);

#endif
