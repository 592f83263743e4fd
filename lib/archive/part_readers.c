#include "archive/part_readers.h"
#include "jobs/hooks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STAY_OPEN = 8 };

struct part_readers {
	struct gb_job *dir;
	struct gb_job **parts;
	uint32_t n;
	pthread_mutex_t lock; /* all below */
	uint64_t clock;
	struct open_part {
		struct gb_results *results; /* NULL: free */
		uint32_t part;
		unsigned users;
		uint64_t used;
	} *open;
	uint32_t n_open, room; /* places that are taken; that there are */
};

static void note_readers(struct gb_job *dir, int by)
{
	client_lock(dir->c);
	bool last = !(dir->dir->part_readers += (unsigned)by);
	client_unlock(dir->c);
	if (last)
		dir->c->hooks->unread(dir);
}

int part_readers_new(struct gb_job *dir, struct gb_job **parts_take, uint32_t n,
	struct part_readers **ret)
{
	struct part_readers *s = calloc(1, sizeof(*s));

	if (!s) {
		free(parts_take);
		return -ENOMEM;
	}
	s->dir = gb_job_ref(dir);
	note_readers(dir, 1);
	s->parts = parts_take;
	s->n = n;
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void part_readers_free(struct part_readers *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->room; i++)
		gb_results_close(s->open[i].results);
	free(s->open);
	pthread_mutex_destroy(&s->lock);
	note_readers(s->dir, -1);
	gb_job_unref(s->dir);
	free(s->parts);
	free(s);
}

/* Lock held. */
static int find_open(struct part_readers *s, uint32_t part)
{
	for (uint32_t i = 0; i < s->room; i++) {
		struct open_part *o = &s->open[i];

		if (o->results && o->part == part) {
			o->users++;
			o->used = ++s->clock;
			return (int)i;
		}
	}
	return -1;
}

/* Lock held: whether nobody reads it, nor waits until bytes of it are here again: who
 * closes it sends these away. */
static bool is_idle(const struct open_part *o)
{
	return o->results && !o->users && !results_waited(o->results);
}

/* Lock held: of those that are idle the one that was read least lately; -1: none. */
static int find_idle(const struct part_readers *s)
{
	int best = -1;

	for (uint32_t i = 0; i < s->room; i++)
		if (is_idle(&s->open[i]) &&
			(best < 0 || s->open[i].used < s->open[best].used))
			best = (int)i;
	return best;
}

/* Lock held: a place that is free; -ENOMEM. */
static int find_free(struct part_readers *s)
{
	uint32_t room = s->room ? 2 * s->room : STAY_OPEN;

	for (uint32_t i = 0; i < s->room; i++)
		if (!s->open[i].results)
			return (int)i;
	struct open_part *more = reallocarray(s->open, room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + s->room, 0, (room - s->room) * sizeof(*more));
	int first = (int)s->room;
	s->open = more;
	s->room = room;
	return first;
}

/* Lock held: for another: that of an idle one, whose results are *ret_old then, if
 * enough are open; else a free one. -ENOMEM. */
static int find_place(struct part_readers *s, struct gb_results **ret_old)
{
	int i = s->n_open < STAY_OPEN ? -1 : find_idle(s);

	if (i >= 0)
		*ret_old = STEAL_PTR(s->open[i].results);
	else if ((i = find_free(s)) >= 0)
		s->n_open++;
	return i;
}

/* Steals r. */
static int put_open(struct part_readers *s, uint32_t part, struct gb_results *r,
	struct part_reader *ret)
{
	struct gb_results *old = NULL;

	pthread_mutex_lock(&s->lock);
	int i = find_open(s, part);
	if (i >= 0)
		old = r;
	else if ((i = find_place(s, &old)) >= 0)
		s->open[i] = (struct open_part){r, part, 1, ++s->clock};
	else
		old = r;
	if (i >= 0)
		*ret = (struct part_reader){s->open[i].results, i};
	pthread_mutex_unlock(&s->lock);
	gb_results_close(old);
	return i < 0 ? i : 0;
}

int part_readers_take(struct part_readers *s, uint32_t part, struct part_reader *ret)
{
	struct gb_results *r = NULL;

	pthread_mutex_lock(&s->lock);
	int i = find_open(s, part);
	if (i >= 0)
		*ret = (struct part_reader){s->open[i].results, i};
	pthread_mutex_unlock(&s->lock);
	if (i >= 0)
		return 0;
	int err = s->parts[part] ? gb_part_results_open(s->parts[part], &r) : -EIO;
	if (err)
		return err == -ENOMEM || err == -EMFILE || err == -ENFILE ? err : -EIO;
	return put_open(s, part, r, ret);
}

void part_readers_leave(struct part_readers *s, struct part_reader *r)
{
	struct gb_results *old = NULL;

	pthread_mutex_lock(&s->lock);
	struct open_part *o = &s->open[r->place];
	o->users--;
	/* It was opened while all others were read. */
	if (s->n_open > STAY_OPEN && is_idle(o)) {
		old = STEAL_PTR(o->results);
		s->n_open--;
	}
	pthread_mutex_unlock(&s->lock);
	gb_results_close(old);
}
