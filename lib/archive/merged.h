/*
 * results.jsonl of a directory with several parts: their outputs, one after the other, by
 * what they asked of the requests, then round by round, with a newline where one lacks it.
 *
 * It is there once all parts have ended, and read from what is saved. Nothing here waits:
 * what is not saved is an error that says so.
 */
#ifndef GB_MERGED_H
#define GB_MERGED_H

#include "jobs/job.h"

/* Lock held: whether all have ended and any has output; its size, -1: not known before
 * somebody opens it. */
bool merged_is_listed(struct gb_job *dir);
int64_t merged_size(struct gb_job *dir);

/* What is behind gb_results_… for it. -EINPROGRESS: a part's is not saved yet;
 * -ENOENT: it is not there (yet). */
struct merged;
_must_check_ int merged_open(struct gb_job *dir, struct merged **ret);
void merged_close(struct merged *m);
int64_t merged_length(const struct merged *m);
ssize_t merged_ready(struct merged *m, uint64_t off, size_t n, struct gb_waiter *w);
ssize_t merged_read(struct merged *m, void *buf, size_t n, uint64_t off);

#endif
