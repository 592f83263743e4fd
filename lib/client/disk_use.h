/* How large the state directory is. */
#ifndef GB_DISK_USE_H
#define GB_DISK_USE_H

#include "jobs/client.h"

/* Unlocked. -1: it is being counted for the first time. */
int64_t disk_use_bytes(struct gb_client *c);

#endif
