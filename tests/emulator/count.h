/* models/X:countTokens: free, and the same number as in usageMetadata. */
#ifndef EMU_COUNT_H
#define EMU_COUNT_H

#include "http.h"

void count_tokens(struct request *rq);

#endif
