/*
 * The warnings of the check and of a submission: a file beside the journal. Those from
 * the results are in the index of answers (answers/index.h).
 */
#ifndef GB_ADVICE_H
#define GB_ADVICE_H

#include "jobs/job.h"

struct warnings;

/* Unlocked: write the check's warnings, which this frees; they replace earlier ones.
 * The caller saves the journal. */
void advice_keep(struct gb_job *job, struct warnings *w);
/* Unlocked: add a line from a submission. */
void advice_add(struct gb_job *job, const char *line);
/* Unlocked: the text in that file; the caller frees it. NULL: none. */
char *advice_text(struct gb_job *job);

#endif
