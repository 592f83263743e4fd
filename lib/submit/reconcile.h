/* Between reconcile.c, which knows whose a job may be, and reconcile_look.c, which looks. */
#ifndef GB_SETTLE_H
#define GB_SETTLE_H

#include "jobs/client.h"

enum { SETTLE_CLOCK_SLACK = 120 /* the server's clock is known to so many seconds */ };

/* client.lock held: whether looking is over. */
bool settle_time_over(const struct record *r, struct engine *e);
/* Unlocked: nothing can tell; candidates: ids, one a line, or "". */
void settle_uncertain(struct gb_job *job, const char *candidates);

#endif
