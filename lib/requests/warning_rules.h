/* What an API accepts in request lines but answers badly (the tales of its grammar), as
 * lines of `warnings`. Pure. */
#ifndef GB_WARN_LINES_H
#define GB_WARN_LINES_H

#include "requests/validate.h"
#include "requests/warnings.h"

/* model: that will be asked, as people or the API write it. */
void warn_lines(const struct validate_report *r, const struct request_grammar *g,
	const char *model, struct warnings *w);

#endif
