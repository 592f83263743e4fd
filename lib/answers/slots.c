#include "answers/slots.h"
#include "answers/known_parts.h"
#include "answers/sources.h"
#include "archive/part_readers.h"

#include <errno.h>

struct answers_slots {
	struct part_readers *readers;
	uint32_t n;
};

int slots_new(struct gb_job *dir, const struct answers_part *parts, uint32_t n,
	struct answers_slots **ret)
{
	struct answers_slots *s = calloc(1, sizeof *s);
	struct gb_job **jobs = calloc(n + 1, sizeof(struct gb_job *));
	int err = s && jobs ? 0 : -ENOMEM;

	for (uint32_t i = 0; !err && i < n; i++)
		jobs[i] = known_parts_job(dir, parts[i].number);
	if (!err)
		err = part_readers_new(dir, STEAL_PTR(jobs), n, &s->readers);
	free(jobs);
	if (err) {
		free(s);
		return err;
	}
	s->n = n;
	*ret = s;
	return 0;
}

void slots_free(struct answers_slots *s)
{
	if (s)
		part_readers_free(s->readers);
	free(s);
}

/* The results of the slot that off is in, until part_readers_leave; and the place in them. */
static int take_slot(struct answers_slots *s, uint64_t *off, struct part_reader *ret)
{
	uint64_t slot = *off >> ANSWERS_SLOT_BITS;

	*off &= answers_slot(1) - 1;
	return slot < s->n ? part_readers_take(s->readers, (uint32_t)slot, ret) : -EIO;
}

ssize_t slots_read(void *arg, uint64_t off, void *buf, size_t n)
{
	const struct slots_from *from = arg;
	struct part_reader r;
	int err = take_slot(from->slots, &off, &r);

	if (err)
		return err;
	ssize_t got = answers_read_from(r.results, from->w, off, buf, n);
	part_readers_leave(from->slots->readers, &r);
	return got;
}

int slots_readv(void *arg, uint64_t off, struct iovec *v, int n)
{
	const struct slots_from *from = arg;
	struct part_reader r;
	int err = take_slot(from->slots, &off, &r);

	if (err)
		return err;
	err = answers_readv_from(r.results, from->w, off, v, n);
	part_readers_leave(from->slots->readers, &r);
	return err;
}
