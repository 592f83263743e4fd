/*
 * How a directory's requests may be cut into parts (parts.h), as its user said: `auto`, as
 * few as fit; `none`, one job or nothing; N, parts of N requests.
 */
#ifndef GB_SPLIT_H
#define GB_SPLIT_H

#include "jobs/job.h"

/* Instead of a number of requests. */
enum { SPLIT_AUTO = 0, SPLIT_NONE = -1 };

/* -EINVAL: it says none of these. */
int split_parse(const char *text, int64_t *ret);
/* Lock held: what holds for a directory: its own word, else the client's. */
int64_t split_of(const struct gb_job *dir);
/* Lock held: the same as its user wrote it. */
const char *split_text(const struct gb_job *dir);
/* Unlocked: whether its requests may be cut at all. */
bool split_may_cut(struct gb_job *job);

#endif
