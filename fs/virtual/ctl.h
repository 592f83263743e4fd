/* The verbs of ctl, and what a write to model does. */
#ifndef FS_VERBS_H
#define FS_VERBS_H

#include "mount/mount.h"

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
