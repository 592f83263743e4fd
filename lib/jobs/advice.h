/*
 * The half of `warnings` that the check and a submission said: a file beside the journal. What results
 * tell is in the index of answers (answers/index.h).
 */
#ifndef GB_ADVICE_H
#define GB_ADVICE_H

#include "jobs/job.h"

struct warnings;

/* Unlocked: what the check met, which warnings_text_take ends; it replaces what was said
 * before. The caller saves the journal. */
void advice_keep(struct gb_job *job, struct warnings *w);
/* Unlocked: a line more, of a submission on its way. */
void advice_add(struct gb_job *job, const char *line);
/* Unlocked: what was kept; the caller frees. NULL: nothing. */
char *advice_text(struct gb_job *job);

#endif
