/* countTokens: how long a prompt would be. */
#ifndef EMU_TOKENS_H
#define EMU_TOKENS_H

#include "http.h"

void tokens_count(struct request *rq);

#endif
