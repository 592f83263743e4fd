/* What projects did in the last seconds, added up. All under world_lock. */
#ifndef EMU_LEDGER_H
#define EMU_LEDGER_H

#include "util.h"

struct ledger {
	struct ledger_entry {
		int64_t when;
		char project[64];
		double amount;
	} * entries; /* oldest first */
	size_t n, cap;
};

void ledger_add(struct ledger *l, const char *project, double amount);
/*
 * The sum of a project in the last `seconds`; what is older is forgotten. ret_oldest: when
 * the first of it was; may be NULL.
 */
double ledger_sum(
	struct ledger *l, const char *project, double seconds, int64_t *ret_oldest);
void ledger_clear(struct ledger *l);

#endif
