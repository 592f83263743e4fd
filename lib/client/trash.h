/*
 * The trash: what rmdir removed, for some days.
 */
#ifndef GB_TRASH_H
#define GB_TRASH_H

#include "jobs/client.h"

#include <stdio.h>

/* Unlocked: remove from the trash what is too old, unless that was done recently.
 * Returns the clock that was used; 0: no clock can be trusted now. */
void trash_expire(struct gb_client *c);
time_t trash_clock(struct gb_client *c);
/* Unlocked: how many jobs are there (-1: cannot be told), and lines for the newest. */
int64_t trash_count(struct gb_client *c);
void trash_list(struct gb_client *c, FILE *out);

#endif
