/* Large tables of a unit test: all rows, or with ROWS_EVERY=n in the environment every nth,
 * as builds with sanitizers take ten times as long. */
#ifndef TABLE_ROWS_H
#define TABLE_ROWS_H

#include <stdbool.h>
#include <stdlib.h>

/* Whether the next row is run. */
static inline bool table_takes_row(void)
{
	static unsigned rows;
	const char *every = getenv("ROWS_EVERY");
	int n = every ? atoi(every) : 1;

	return n < 2 || rows++ % (unsigned)n == 0;
}

#endif
