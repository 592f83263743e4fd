#include "util/words.h"

#include <string.h>

#include "util/util.h"

/* Of a short word half is another word. */
static unsigned too_many(const char *word)
{
	return strlen(word) > 3 ? 3 : 2;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Letters left out, added, changed, or in each other's place, between two short words; 99 if
 * they are too long. */
static unsigned words_distance(const char *a, const char *b)
{
	size_t m = strlen(a), n = strlen(b);
	unsigned d[32][32];

	if (m >= ARRAY_SIZE(d) || n >= ARRAY_SIZE(d[0]))
		return 99;
	for (size_t i = 0; i <= m; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= n; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= m; i++)
		for (size_t j = 1; j <= n; j++) {
			d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
				least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[m][n];
}

void words_offer(struct words_search *s, const char *name)
{
	unsigned slips = words_distance(s->word, name);

	if (slips >= (s->nearest ? s->slips : too_many(s->word)))
		return;
	s->nearest = name;
	s->slips = slips;
}
