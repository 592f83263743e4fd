/* Counts of calls by operation, and of bytes, for tests. Any thread. */
#ifndef EMU_STATS_H
#define EMU_STATS_H

#include "util.h"

void stats_call(const char *op);
void stats_bytes(int64_t in, int64_t out);
json_t *stats_json(void);
void stats_reset(void);

#endif
