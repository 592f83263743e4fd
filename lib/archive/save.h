/* What save.c and save_next.c share. */
#ifndef GB_HOME_H
#define GB_HOME_H

#include "jobs/client.h"

/* client.lock held: false, it is being fetched or sealed; true: call home_run_fetch. */
bool home_begin_fetch(struct gb_job *job);
int home_run_fetch(struct gb_job *job);
/* Unlocked: start what is missing and due, as far as there is room. */
void home_next(struct gb_client *c);
/* Unlocked: see that this is done again when the next of those that were refused is due. */
void home_try_again(struct gb_client *c);

#endif
