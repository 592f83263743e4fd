/*
 * The results of all parts of an index as one source: those of slot i begin at
 * answers_slot(i).
 *
 * Any thread. A read does not wait, but with w NULL: then it is a worker's.
 */
#ifndef GB_ANSWERS_SLOTS_H
#define GB_ANSWERS_SLOTS_H

#include "answers/index.h"
#include "jobs/job.h"

struct answers_slots;

/* parts: by slot. -ENOMEM. */
_must_check_ int slots_new(struct gb_job *dir, const struct answers_part *parts,
	uint32_t n, struct answers_slots **ret);
void slots_free(struct answers_slots *s);

/* The arg of slots_read and slots_readv, which are those of a text_source. */
struct slots_from {
	struct answers_slots *slots;
	struct gb_waiter *w;
};
ssize_t slots_read(void *arg, uint64_t off, void *buf, size_t n);
int slots_readv(void *arg, uint64_t off, struct iovec *v, int n);

#endif
