/* Between submit.c, which takes the steps, and submit_verbs.c, which starts them. */
#ifndef GB_SUBMIT_H
#define GB_SUBMIT_H

#include "client.h"

/* task.run of a submission (task.file, from, by_close, background) and of `check`. */
int submit_run(struct task *t);
int submit_check_run(struct task *t);

/* Write `error` for a failure err with the API's own text (or NULL). */
void submit_tell(struct gb_job *job, int err, const char *text);

/* Try queued work again in a few minutes. */
void submit_retry_later(struct gb_client *c);

#endif
