/*
 * Many short spans of a source by few reads. Results come in an order of their own, so the
 * rows of a file that is made of them need a span here and a span there: a read for each
 * would cost more than all the rest. What rows need is told beforehand, is read in the order
 * of its places, neighbours at once, and then taken from memory in the order of the rows:
 *
 *     gather_init(&g, &source, spare)
 *     for each round of rows:
 *             gather_begin(&g)
 *             while (gather_add(&g, span)) …  until it is full, or there are no more rows
 *             gather_read(&g)
 *             … read from g.source …
 *     gather_end(&g)
 *
 * g.source can be asked for anything: what was not gathered (long spans, spans that could not
 * be read) comes from the source itself, with its own errors.
 *
 * Memory: half a MiB a read, taken when there are two spans to gather. `spare` keeps it for
 * the next read. Any thread; a struct gather is of one at a time.
 */
#ifndef GB_ANSWERS_GATHER_H
#define GB_ANSWERS_GATHER_H

#include <stdatomic.h>

#include "base/json_text.h"

#define GATHER_ROOM (432 << 10) /* bytes of spans that are gathered at once, … */
#define GATHER_SPANS 2048       /* … and how many */
#define GATHER_LONG (16 << 10)  /* a longer span is left out */
/* What lies between two spans is read, too, if it is no longer: it costs less than another
 * call. */
#define GATHER_GAP (8 << 10)

struct gather_room;

/* A room that no read uses, or NULL; zero it at first. Any thread. */
struct gather_spare {
	_Atomic(struct gather_room *) room;
};
void gather_spare_free(struct gather_spare *s);

struct gather {
	struct text_source source; /* to be read from */
	const struct text_source *from;
	struct gather_spare *spare;
	/* NULL: none was needed yet, or there is no memory for it. */
	struct gather_room *room;
	struct span first; /* of a round, if there is some: one alone is not gathered */
	bool some;
};

/* from: borrowed until the end; one without readv is read span by span. spare: the same, or
 * NULL. Then g must stay where it is. */
void gather_init(
	struct gather *g, const struct text_source *from, struct gather_spare *spare);
void gather_end(struct gather *g);

/* Forget what was gathered. */
void gather_begin(struct gather *g);
/* at: may be empty. False: it is full, and this one has no place; a first one has. */
bool gather_add(struct gather *g, struct span at);
/* 0, or -EINPROGRESS of the source, whose waiter is told later. Other errors are those of
 * whoever reads what is missing. */
int gather_read(struct gather *g);

#endif
