/*
 * STATE/sizes: how large a job of each model was when the API took it, and when it
 * refused it although nothing else of that model was there. A small text file, replaced
 * atomically, a line a model:
 *
 *   MODEL TAKEN_BYTES TAKEN_REQUESTS REFUSED_BYTES REFUSED_REQUESTS REFUSED_AT
 *
 * A refusal that is in doubt is not written. What is lost or damaged of it costs another
 * refusal, no more: bad lines are passed over.
 * What the numbers mean is submit/fit.h's. Any thread; nothing is kept.
 */
#ifndef GB_MODEL_SIZES_H
#define GB_MODEL_SIZES_H

#include "store/state_dir.h"

enum { MODEL_SIZES_MAX = 1000, MODEL_SIZE_NAME = 128 };

struct model_size {
	char model[MODEL_SIZE_NAME];
	int64_t taken, taken_requests;     /* the largest since the refusal; 0: none */
	int64_t refused, refused_requests; /* the newest; 0: none … */
	int64_t refused_at;                /* … Unix time of the server */
	/* In memory alone: the refusal may have been about something else, and this many
	 * bytes were taken since. */
	bool doubted;
	int64_t taken_since;
	double taken_at;                   /* util_now; 0: nothing in this run */
};

/* *ret is malloc'ed. 0 without a file; the errno of reading it. */
_must_check_ int model_sizes_read(
	struct store *s, struct model_size **ret, size_t *ret_n);
_must_check_ int model_sizes_write(
	struct store *s, const struct model_size *all, size_t n);

#endif
