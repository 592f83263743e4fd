#include "answers/gather.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/util.h"

enum { VECTORS = 1024 /* IOV_MAX of Linux */ };

/* A span and its bytes: from `bytes` on. have: they are there. */
struct piece {
	struct span at;
	uint32_t bytes;
	bool have;
};

struct gather_room {
	struct piece pieces[GATHER_SPANS]; /* from gather_read on by place, disjoint */
	uint32_t n;
	size_t used; /* of text */
	struct iovec vectors[VECTORS];
	char gap[GATHER_GAP]; /* where what lies between spans goes */
	char text[GATHER_ROOM];
};

/* ---- its memory ------------------------------------------------------------------------- */

void gather_spare_free(struct gather_spare *s)
{
	free(atomic_exchange(&s->room, NULL));
}

static struct gather_room *take_room(struct gather_spare *s)
{
	struct gather_room *room = s ? atomic_exchange(&s->room, NULL) : NULL;

	return room ? room : malloc(sizeof *room);
}

static void leave_room(struct gather_spare *s, struct gather_room *room)
{
	if (s && room)
		room = atomic_exchange(&s->room, room);
	free(room);
}

/* ---- reading from it -------------------------------------------------------------------- */

/* The last piece that begins at or before off. */
static const struct piece *piece_of(const struct gather_room *room, uint64_t off)
{
	const struct piece *p = room->pieces;
	uint32_t half;

	/* Without jumps that depend on what is found: they would be guessed wrong. */
	for (uint32_t n = room->n; n > 1; n -= half) {
		half = n / 2;
		p += p[half].at.from <= off ? half : 0;
	}
	return room->n && p->at.from <= off ? p : NULL;
}

static ssize_t read_gathered(void *arg, uint64_t off, void *buf, size_t n)
{
	const struct gather *g = arg;
	const struct piece *p = g->room ? piece_of(g->room, off) : NULL;

	if (!p || !p->have || off >= p->at.to)
		return g->from->read(g->from->arg, off, buf, n);
	if (n > p->at.to - off)
		n = (size_t)(p->at.to - off);
	memcpy(buf, g->room->text + p->bytes + (off - p->at.from), n);
	return (ssize_t)n;
}

void gather_init(
	struct gather *g, const struct text_source *from, struct gather_spare *spare)
{
	*g = (struct gather){
		.source = {read_gathered, g, NULL}, .from = from, .spare = spare};
}

void gather_end(struct gather *g)
{
	leave_room(g->spare, g->room);
	g->room = NULL;
}

/* ---- what is needed --------------------------------------------------------------------- */

void gather_begin(struct gather *g)
{
	g->some = false;
	if (g->room)
		g->room->n = g->room->used = 0;
}

static bool add_piece(struct gather_room *room, struct span at)
{
	size_t n = (size_t)(at.to - at.from);

	if (room->n == GATHER_SPANS || n > GATHER_ROOM - room->used)
		return false;
	room->pieces[room->n++] = (struct piece){.at = at};
	room->used += n;
	return true;
}

bool gather_add(struct gather *g, struct span at)
{
	if (at.to <= at.from || at.to - at.from > GATHER_LONG || !g->from->readv)
		return true;
	if (!g->some) {
		g->first = at;
		g->some = true;
		return true;
	}
	if (!g->room) {
		g->room = take_room(g->spare);
		if (!g->room)
			return true;
		g->room->n = g->room->used = 0;
	}
	if (!g->room->n && !add_piece(g->room, g->first))
		return false;
	return add_piece(g->room, at);
}

/* ---- reading it ------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->at.from > y->at.from) - (x->at.from < y->at.from);
}

static bool is_in_order(const struct gather_room *room)
{
	for (uint32_t i = 1; i < room->n; i++)
		if (room->pieces[i].at.from < room->pieces[i - 1].at.from)
			return false;
	return true;
}

/* By place, and what overlaps as one; each with a place in the room. */
static void put_in_order(struct gather_room *room)
{
	struct piece *p = room->pieces;
	uint32_t n = 0, bytes = 0;

	if (!is_in_order(room))
		qsort(p, room->n, sizeof *p, by_place);
	for (uint32_t i = 0; i < room->n; i++) {
		if (n && p[i].at.from <= p[n - 1].at.to) {
			if (p[i].at.to > p[n - 1].at.to)
				p[n - 1].at.to = p[i].at.to;
		} else {
			p[n++] = p[i];
		}
	}
	room->n = n;
	for (uint32_t i = 0; i < n; i++) {
		p[i].bytes = bytes;
		bytes += (uint32_t)(p[i].at.to - p[i].at.from);
	}
}

/* Pieces from the first on that one call reads; returns the one after them. */
static uint32_t run_end(const struct gather_room *room, uint32_t first)
{
	const struct piece *p = room->pieces;
	uint32_t i = first + 1;

	while (i < room->n && p[i].at.from - p[i - 1].at.to <= GATHER_GAP &&
		2 * (i - first) + 1 <= VECTORS)
		i++;
	return i;
}

/* Pieces [first, end) and what is between them. */
static int read_run(struct gather *g, uint32_t first, uint32_t end)
{
	struct gather_room *room = g->room;
	struct iovec *v = room->vectors;
	int n = 0;

	for (uint32_t i = first; i < end; i++) {
		const struct piece *p = &room->pieces[i];

		if (i > first)
			v[n++] = (struct iovec){
				room->gap, (size_t)(p->at.from - p[-1].at.to)};
		v[n++] = (struct iovec){
			room->text + p->bytes, (size_t)(p->at.to - p->at.from)};
	}
	int err = g->from->readv(g->from->arg, room->pieces[first].at.from, v, n);

	for (uint32_t i = first; !err && i < end; i++)
		room->pieces[i].have = true;
	return err;
}

int gather_read(struct gather *g)
{
	struct gather_room *room = g->room;
	uint32_t end;
	int err = 0;

	if (!room || !room->n)
		return 0;
	put_in_order(room);
	for (uint32_t i = 0; err != -EINPROGRESS && i < room->n; i = end) {
		end = run_end(room, i);
		err = read_run(g, i, end);
	}
	return err == -EINPROGRESS ? err : 0;
}
