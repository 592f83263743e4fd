#include "ledger.h"

void ledger_add(struct ledger *l, const char *project, double amount)
{
	struct ledger_entry *e;

	if (l->n == l->cap) {
		l->cap = l->cap * 2 + 64;
		l->entries = xrealloc(l->entries, l->cap * sizeof(l->entries[0]));
	}
	e = &l->entries[l->n++];
	e->when = now_ns();
	e->amount = amount;
	snprintf(e->project, sizeof(e->project), "%s", project);
}

static void forget(struct ledger *l, int64_t before)
{
	size_t old = 0;

	while (old < l->n && l->entries[old].when <= before)
		old++;
	if (old)
		memmove(l->entries, l->entries + old,
			(l->n -= old) * sizeof(l->entries[0]));
}

double ledger_sum(
	struct ledger *l, const char *project, double seconds, int64_t *ret_oldest)
{
	double sum = 0;

	forget(l, now_ns() - (int64_t)(seconds * NS));
	for (size_t i = l->n; i-- > 0;) {
		if (strcmp(l->entries[i].project, project))
			continue;
		sum += l->entries[i].amount;
		if (ret_oldest)
			*ret_oldest = l->entries[i].when;
	}
	return sum;
}

void ledger_clear(struct ledger *l)
{
	free(l->entries);
	*l = (struct ledger){0};
}
