/*
 * The results of many parts, opened when they are first read. A few stay open until
 * others are read, so ten thousand parts need no more descriptors than these, and than
 * are read, or waited for, at one time.
 *
 * Any thread; nothing waits. Parts live as long as this: their directory is referred
 * to. So long their results stay where they are, too: rmdir moves them away when it is
 * freed.
 */
#ifndef GB_PART_READERS_H
#define GB_PART_READERS_H

#include "jobs/job.h"

struct part_readers;

/* Steals the array of n parts; one that is NULL cannot be read (-EIO). -ENOMEM. */
_must_check_ int part_readers_new(struct gb_job *dir, struct gb_job **parts_take,
	uint32_t n, struct part_readers **ret);
void part_readers_free(struct part_readers *s);

/* The results of part i, for one read, which ends with part_readers_leave. What is not
 * saved any more is -EIO. */
struct part_reader {
	struct gb_results *results;
	int place; /* private */
};
_must_check_ int part_readers_take(
	struct part_readers *s, uint32_t i, struct part_reader *ret);
void part_readers_leave(struct part_readers *s, struct part_reader *r);

#endif
