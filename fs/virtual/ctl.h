/* The verbs of ctl, and what a write to model does. */
#ifndef FS_VERBS_H
#define FS_VERBS_H

#include "mount/mount.h"

/* Whether the word is one: *ret_argument is what it takes, or NULL, and *ret_terms whether
 * it takes terms of a submission (gb_terms), as NAME=VALUE; if not, *ret_nearest is what may be
 * meant, or NULL. */
bool verbs_have(const char *word, const char **ret_argument, bool *ret_terms,
	const char **ret_nearest);
/* Those that are possible now, one per line. */
void verbs_list(struct gb_job *job, FILE *out);

/* vfile.store of ctl, model and split. */
int verbs_store_ctl(
	struct mount *m, struct gb_job *job, const char *text, struct gb_waiter *w);
int verbs_store_model(
	struct mount *m, struct gb_job *job, const char *text, struct gb_waiter *w);
int verbs_store_split(
	struct mount *m, struct gb_job *job, const char *text, struct gb_waiter *w);

#endif
