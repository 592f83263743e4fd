#include "answers/slots.h"
#include "answers/known_parts.h"
#include "answers/sources.h"

#include <errno.h>

enum { OPEN_MAX = 8 };

struct answers_slots {
	struct gb_job **jobs; /* by slot; NULL: there is no such part any more */
	uint32_t n;
	pthread_mutex_t lock; /* all below */
	uint64_t clock;
	struct open_slot {
		struct gb_results *results; /* NULL: free */
		uint32_t slot;
		unsigned users;
		uint64_t used;
	} open[OPEN_MAX];
};

int slots_new(struct gb_job *dir, const struct answers_part *parts, uint32_t n,
	struct answers_slots **ret)
{
	struct answers_slots *s = calloc(1, sizeof *s);

	if (!s || !(s->jobs = calloc(n + 1, sizeof(struct gb_job *)))) {
		free(s);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		s->jobs[i] = known_parts_job(dir, parts[i].number);
	s->n = n;
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void slots_free(struct answers_slots *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < OPEN_MAX; i++)
		if (s->open[i].results)
			gb_results_close(s->open[i].results);
	pthread_mutex_destroy(&s->lock);
	free(s->jobs);
	free(s);
}

/* Lock held. */
static struct open_slot *slot_find(struct answers_slots *s, uint32_t slot)
{
	for (size_t i = 0; i < OPEN_MAX; i++) {
		struct open_slot *o = &s->open[i];

		if (o->results && o->slot == slot) {
			o->users++;
			o->used = ++s->clock;
			return o;
		}
	}
	return NULL;
}

/* Lock held: a place for one more, whose results are in *ret_old; NULL: all are read. */
static struct open_slot *slot_place(struct answers_slots *s, struct gb_results **ret_old)
{
	struct open_slot *best = NULL;

	for (size_t i = 0; i < OPEN_MAX; i++) {
		struct open_slot *o = &s->open[i];

		if (!o->users && (!best || o->used < best->used))
			best = o;
	}
	if (best)
		*ret_old = STEAL_PTR(best->results);
	return best;
}

/* Steals r, which is read outside the table where there is no room. */
static struct open_slot *slot_put(
	struct answers_slots *s, uint32_t slot, struct gb_results *r)
{
	struct gb_results *old = NULL;

	pthread_mutex_lock(&s->lock);
	struct open_slot *o = slot_find(s, slot);
	if (o)
		old = r;
	else if ((o = slot_place(s, &old)))
		*o = (struct open_slot){r, slot, 1, ++s->clock};
	pthread_mutex_unlock(&s->lock);
	if (old)
		gb_results_close(old);
	return o;
}

static void slot_leave(struct answers_slots *s, struct open_slot *o)
{
	pthread_mutex_lock(&s->lock);
	o->users--;
	pthread_mutex_unlock(&s->lock);
}

/* What is not saved any more is an error of the disk to those who read the index. */
static int open_slot(struct answers_slots *s, uint32_t slot, struct gb_results **ret)
{
	int err = s->jobs[slot] ? gb_part_results_open(s->jobs[slot], ret) : -EIO;

	return err == -ENOMEM || err == -EMFILE || err == -ENFILE ? err : err ? -EIO : 0;
}

ssize_t slots_read(void *arg, uint64_t off, void *buf, size_t n)
{
	const struct slots_from *from = arg;
	struct answers_slots *s = from->slots;
	uint64_t slot = off >> ANSWERS_SLOT_BITS;
	struct gb_results *r = NULL;

	off &= answers_slot(1) - 1;
	if (slot >= s->n)
		return -EIO;
	pthread_mutex_lock(&s->lock);
	struct open_slot *o = slot_find(s, (uint32_t)slot);
	pthread_mutex_unlock(&s->lock);
	if (!o) {
		int err = open_slot(s, (uint32_t)slot, &r);
		if (err)
			return err;
		o = slot_put(s, (uint32_t)slot, r);
	}
	ssize_t got = answers_read_from(o ? o->results : r, from->w, off, buf, n);
	if (o)
		slot_leave(s, o);
	else
		gb_results_close(r);
	return got;
}
