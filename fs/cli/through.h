/* What a verb's options say of a job where a mount does the work, which has options of its
 * own. Without a mount gembatch sees to it, and these do nothing. */
#ifndef FS_CLI_THROUGH_H
#define FS_CLI_THROUGH_H

#include "cli/desk.h"

/* Hold the draft, which is complete, against max_tokens and max_cost. -ECANCELED: it is
 * above, or that is not known, and that has been said. */
int through_limits(struct desk *d, const char *name);

/* After an end, what follow returned: as often as retries says, ask again what is not
 * answered, and wait for it. As follow; *state is replaced. */
int through_rounds(
	struct desk *d, const char *name, bool quiet, double until, char **state);

#endif
