#include "cli/terms.h"

#include <inttypes.h>
#include <string.h>

#include "util/util.h"

char *terms_of_retry(const struct cli_args *a, const struct options *o)
{
	return a->retries || o->retries > 0 ? format(" retries=%d", o->retries) : strdup("");
}

char *terms_of(const struct cli_args *a, const struct options *o)
{
	_cleanup_free_ char *retries = terms_of_retry(a, o);
	_cleanup_free_ char *tokens =
		o->max_tokens ? format(" max_tokens=%" PRIu64, o->max_tokens) : strdup("");
	_cleanup_free_ char *cost =
		o->max_cost > 0 ? format(" max_cost=%.12f", o->max_cost) : strdup("");

	return retries && tokens && cost ? format("%s%s%s", retries, tokens, cost) : NULL;
}
