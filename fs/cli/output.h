/* What came back, to stdout or as files. */
#ifndef FS_CLI_OUTPUT_H
#define FS_CLI_OUTPUT_H

#include "cli/desk.h"

/* A file of a job, to stdout. */
int output_file(struct desk *d, const char *name, const char *path);
/* Where what those write went, in words, if it was that which failed last, with this err;
 * else NULL. */
const char *output_refused(int err);
/* Before anything is bought: whether `to` can be written. CLI_OK, or an error that has
 * been said. */
int output_prepare(const struct cli_args *a);
/* What `run` gives: answers.tsv, results.jsonl (raw), or the files of responses/
 * into the directory `to`. A file there is whole or not there. *ret_file: which file or
 * directory of the job that is. */
int output_answers(struct desk *d, const struct cli_args *a, const char **ret_file);
/* Of a job that has ended: how many requests have no answer, and of how many the results
 * could not be had yet. */
int output_missing(struct desk *d, const char *name, long long *ret_missing,
	long long *ret_pending);

#endif
