/*
 * What rmdir left, for some days.
 */
#ifndef GB_TRASH_H
#define GB_TRASH_H

#include "jobs/client.h"

/* Unlocked: empty the trash of what is too old, if that has not just been done; the
 * clock that it goes by, 0: none can be believed now. */
void trash_expire(struct gb_client *c);
time_t trash_clock(struct gb_client *c);

#endif
