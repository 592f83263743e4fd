/* Options of a verb that count for one directory, whoever does the work: a mount has options
 * of its own. gembatch holds the directory to them (gb_terms). */
#ifndef FS_CLI_TERMS_H
#define FS_CLI_TERMS_H

#include "cli/cli.h"

/* As submit and queue of ctl take them, each with a space before it: malloc'ed, "": there
 * are none. */
char *terms_of(const struct cli_args *a, const struct options *o);
/* The same for retry, which takes only retries. */
char *terms_of_retry(const struct cli_args *a, const struct options *o);

#endif
