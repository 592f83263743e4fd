/*
 * A few threads of its own that go through a list together: for work that blocks, begun
 * by a worker that must not wait for other workers (thread_pool.h).
 *
 * Blocks until all of them have ended. The threads take no signals.
 */
#ifndef GB_CREW_H
#define GB_CREW_H

#include <stdbool.h>
#include <stddef.h>

#define CREW_MAX 20

/* Call each(arg, i) for i from 0 up to n, up to at_once (CREW_MAX) at the same time, one
 * of them on the calling thread. A result other than 0 ends it: what runs is waited for,
 * nothing more is begun. With fewer threads than asked for, or none, it takes longer. */
void crew_run(size_t n, unsigned at_once, int (*each)(void *arg, size_t i), void *arg);

#endif
