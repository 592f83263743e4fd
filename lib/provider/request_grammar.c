#include "provider/request_grammar.h"

#include <ctype.h>
#include <string.h>

/* By first and last letter, which both spellings have in common. */
void placement_filter_init(struct placement_filter *f, const struct request_grammar *g)
{
	memset(f, 0, sizeof *f);
	for (enum place place = 0; place < N_PLACES; place++) {
		size_t n = g->places[place].n;
		const struct placement *rows = g->places[place].rows;

		for (size_t i = 0; i < n; i++) {
			const char *name = rows[i].name;
			unsigned last = (unsigned char)name[rows[i].len - 1] & 31;

			if (rows[i].part != PART_UNWANTED)
				f->bits[place][name[0] & 31] |= UINT32_C(1) << last;
		}
	}
}

bool placement_is(const char *name, size_t len, const char *camel)
{
	size_t i = 0;

	for (; *camel; camel++) {
		char c = *camel;
		bool snake = i < len && name[i] == '_' && isupper((unsigned char)c);

		i += snake;
		if (i == len ||
			name[i++] != (snake ? (char)tolower((unsigned char)c) : c))
			return false;
	}
	return i == len;
}

const struct placement *placement_find(
	const struct request_grammar *g, enum place place, const char *name, size_t len)
{
	size_t n = g->places[place].n;
	const struct placement *rows = g->places[place].rows;

	/* In snake_case it is longer. */
	for (const struct placement *r = rows; r < rows + n; r++)
		if (len == r->len ? memcmp(name, r->name, len) == 0
				  : len > r->len && placement_is(name, len, r->name))
			return r;
	return NULL;
}
