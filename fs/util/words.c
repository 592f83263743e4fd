#include "util/words.h"

#include <string.h>

#include "util/util.h"

enum { TOO_MANY = 3 };

/* Levenshtein distance of two short words; 99 if they are too long. */
static unsigned words_distance(const char *a, const char *b)
{
	size_t n = strlen(b);
	unsigned row[32];

	if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
		return 99;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			unsigned best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

void words_offer(struct words_search *s, const char *name)
{
	unsigned slips = words_distance(s->word, name);

	if (slips >= (s->nearest ? s->slips : TOO_MANY))
		return;
	s->nearest = name;
	s->slips = slips;
}
