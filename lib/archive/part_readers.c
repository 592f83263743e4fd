#include "archive/part_readers.h"
#include "jobs/hooks.h"

#include <errno.h>
#include <stdlib.h>

enum { OPEN_MAX = 8 };

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
	} open[OPEN_MAX];
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
	for (size_t i = 0; i < OPEN_MAX; i++)
		gb_results_close(s->open[i].results);
	pthread_mutex_destroy(&s->lock);
	note_readers(s->dir, -1);
	gb_job_unref(s->dir);
	free(s->parts);
	free(s);
}

/* Lock held. */
static int find_open(struct part_readers *s, uint32_t part)
{
	for (int i = 0; i < OPEN_MAX; i++) {
		struct open_part *o = &s->open[i];

		if (o->results && o->part == part) {
			o->users++;
			o->used = ++s->clock;
			return i;
		}
	}
	return -1;
}

/* Lock held: of those that nobody reads the one that was read least lately; -1: none. */
static int find_place(const struct part_readers *s)
{
	int best = -1;

	for (int i = 0; i < OPEN_MAX; i++)
		if (!s->open[i].users &&
			(best < 0 || s->open[i].used < s->open[best].used))
			best = i;
	return best;
}

/* Steals r if it finds a place. */
static void put_open(
	struct part_readers *s, uint32_t part, struct gb_results *r, struct part_reader *ret)
{
	struct gb_results *old = NULL;

	pthread_mutex_lock(&s->lock);
	int i = find_open(s, part);
	if (i >= 0) {
		old = r;
	} else if ((i = find_place(s)) >= 0) {
		old = s->open[i].results;
		s->open[i] = (struct open_part){r, part, 1, ++s->clock};
	}
	*ret = (struct part_reader){i >= 0 ? s->open[i].results : r, i};
	pthread_mutex_unlock(&s->lock);
	gb_results_close(old);
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
	put_open(s, part, r, ret);
	return 0;
}

void part_readers_leave(struct part_readers *s, struct part_reader *r)
{
	if (r->place < 0) {
		gb_results_close(r->results);
		return;
	}
	pthread_mutex_lock(&s->lock);
	s->open[r->place].users--;
	pthread_mutex_unlock(&s->lock);
}
