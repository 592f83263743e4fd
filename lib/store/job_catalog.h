/*
 * CACHE/known: what the API has told about jobs that others made, for the next start.
 *
 * A log. Each entry is a head with lengths and checksums, a summary, and the resource
 * as JSON. A start reads only the summaries, so that a hundred thousand jobs load in a
 * moment; the JSON is read when somebody opens `job.json`. The newest entry of a job
 * counts. A damaged entry, or one of another version, ends the log: it is cut off
 * there, which costs a read of the list.
 *
 * This module does not know clients. Adding: any thread; walking and compacting: at
 * start.
 */
#ifndef GB_KNOWN_H
#define GB_KNOWN_H

#include "base/util.h"

#include "provider/provider.h"
#include "store/state_dir.h"

/* Append b, with its JSON; by_get: a GET reported that it has ended. *ret_off is what
 * catalog_json takes. */
_must_check_ int catalog_add(
	struct store *s, const struct remote_batch *b, bool by_get, int64_t *ret_off);
/* Append that the job has gone. */
_must_check_ int catalog_add_gone(struct store *s, const char *id);

/* The JSON of the entry at off; the caller frees. NULL: it cannot be read. */
char *catalog_json(struct store *s, int64_t off);

/* Call fn for each entry in order. b has what the summary holds, and is gone with the
 * call: id, display, model, states, times, counts, files, error_code; b->id alone, with
 * gone true, of a job that has gone. *ret_size: of the log. */
_must_check_ int catalog_walk(struct store *s,
	void (*fn)(void *arg, const struct remote_batch *b, bool gone, bool by_get,
		int64_t off),
	void *arg, int64_t *ret_size);

/* Write the log again with n of its entries, at offs, which become the new offsets. On
 * failure the old log and offs stay. */
_must_check_ int catalog_compact(struct store *s, int64_t *offs, size_t n);
/* The bytes of the entry at off, 0: it cannot be read. */
int64_t catalog_length(struct store *s, int64_t off);

#endif
