/* POST models/M:countTokens: how long a prompt is, which costs nothing; and what is
 * documented about lengths, for what cannot be asked. docs/api-facts.md, "Tokens". */
#ifndef GB_GEMINI_COUNT_TOKENS_H
#define GB_GEMINI_COUNT_TOKENS_H

#include "provider/gemini/gemini.h"

/* provider.count. Memory: a few times what is counted. */
int gemini_count(struct engine *e, const struct count_args *a, struct canceller *c,
	int64_t *ret_tokens, struct provider_error *err);

/* provider.guess. */
double gemini_guess_tokens(const char *mime, int64_t size);

#endif
