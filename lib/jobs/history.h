/*
 * The ledger .batchfs/history: a line for each event of a job of ours.
 */
#ifndef GB_HISTORY_H
#define GB_HISTORY_H

#include "jobs/job.h"

/* Unlocked: an event for the ledger: created, cancel-asked, ended, cancelled,
 * deleted … */
void history_add(struct gb_job *job, const char *event);
struct ledger_tokens;
void history_add_counted(struct gb_job *job, const struct ledger_tokens *tokens);

#endif
