/* How large the state directory is. */
#ifndef GB_DISK_USE_H
#define GB_DISK_USE_H

#include "jobs/client.h"

#include <stdio.h>

/* Unlocked: the line of status. */
void disk_use_status(struct gb_client *c, FILE *out);

#endif
