/*
 * Which processes there are, and how far each has run. Who has not run since before a
 * file was first opened cannot have got a descriptor of it, so that a close on a
 * machine with many processes looks into few of them. The proof is in census.c.
 *
 * A census does not change once it is taken. Any thread; "may wait" as in proc.h.
 */
#ifndef FS_CENSUS_H
#define FS_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct citizen {
	pid_t pid;
	pid_t parent;      /* -1: not known */
	uint64_t identity; /* of no other process that had or has this pid */
	uint64_t ran;      /* nanoseconds, all its threads; 0: not known */
	uint64_t program;  /* of all since one execve; 0: without, or hidden */
};

struct census;

/* All processes, by ascending pid, with a reference for the caller. NULL if it is not
 * certain that these are all, or without memory. What `earlier` (or NULL) knows is not
 * read again. With `comparable` it costs more, and may be `then` below. May wait. */
struct census *census_take(const struct census *earlier, bool comparable);
struct census *census_ref(struct census *c); /* NULL is allowed, here and below */
void census_unref(struct census *c);
unsigned census_alive(void); /* how many there are in memory */

/* Whether another is worth its time: the last one was begun or taken at `at`
 * (seconds_now; 0: there was none) and cost so many seconds of a processor. All of them
 * together take a twentieth of one processor at most, however many processes there
 * are. */
bool census_is_due(double now, double at, double cost);

size_t census_count(const struct census *c);
const struct citizen *census_at(const struct census *c, size_t i);
const struct citizen *census_find(const struct census *c, pid_t pid); /* or NULL */

/* Switch to every processor once, so that what has run before is accounted for: to be
 * called between the moment in question and the taking of the census that is `now`
 * below. False if that failed: then census_compare says nothing. May wait. */
bool census_settle(void);

/* Who has run between two censuses, `now` taken after census_settle; free() it, before
 * `then`. NULL: that cannot be told. */
struct census_change;
struct census_change *census_compare(
	const struct census *then, const struct census *now);
/* Whether p, of `now`, and all that may have shared its descriptors, have surely not
 * run from the time of `then` until then. */
bool census_slept(const struct census_change *x, const struct citizen *p);

#endif
