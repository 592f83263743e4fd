/* The texts of virtual files, each a function of what gembatch has in memory. */
#ifndef FS_TEXTS_H
#define FS_TEXTS_H

#include "mount/mount.h"

int text_model(struct mount *m, struct gb_job *job, FILE *out);
int text_split(struct mount *m, struct gb_job *job, FILE *out);
/* Of one part alone. */
int text_part_state(struct mount *m, struct gb_job *job, FILE *out);
int text_part_stats(struct mount *m, struct gb_job *job, FILE *out);
int text_part_error(struct mount *m, struct gb_job *job, FILE *out);
int text_part_id(struct mount *m, struct gb_job *job, FILE *out);
int text_part_json(struct mount *m, struct gb_job *job, FILE *out);
int text_state(struct mount *m, struct gb_job *job, FILE *out);
int text_stats(struct mount *m, struct gb_job *job, FILE *out);
int text_error(struct mount *m, struct gb_job *job, FILE *out);
int text_warnings(struct mount *m, struct gb_job *job, FILE *out);
int text_id(struct mount *m, struct gb_job *job, FILE *out);
int text_json(struct mount *m, struct gb_job *job, FILE *out);
int text_ctl(struct mount *m, struct gb_job *job, FILE *out);

/* Of .batchfs; job is NULL. */
int text_readme(struct mount *m, struct gb_job *job, FILE *out);
int text_status(struct mount *m, struct gb_job *job, FILE *out);
int text_status_json(struct mount *m, struct gb_job *job, FILE *out);
int text_metrics(struct mount *m, struct gb_job *job, FILE *out);
int text_jobs(struct mount *m, struct gb_job *job, FILE *out);
int text_transfers(struct mount *m, struct gb_job *job, FILE *out);

#endif
