#include "base/string_index.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

enum { FREE, TAKEN_BEFORE, FIRST, SMALLEST = 64 };

void string_index_init(struct string_index *ix,
	const char *(*string_of)(void *arg, uint32_t number), void *arg)
{
	*ix = (struct string_index){.string_of = string_of, .arg = arg,
		.seed = {util_random_u64(), util_random_u64()}};
}

void string_index_clear(struct string_index *ix)
{
	free(ix->cells);
	ix->cells = NULL;
	ix->size = ix->used = ix->live = 0;
}

static uint32_t first_cell(const struct string_index *ix, const char *text)
{
	struct siphash h;

	siphash_init(&h, ix->seed);
	siphash_add(&h, text, strlen(text));
	return (uint32_t)siphash_end(&h).first & (ix->size - 1);
}

static const char *string_in(const struct string_index *ix, uint32_t cell)
{
	return ix->string_of(ix->arg, ix->cells[cell] - FIRST);
}

/* Where text is, or else a free cell. There always is one. */
static uint32_t cell_of(const struct string_index *ix, const char *text)
{
	uint32_t i = first_cell(ix, text);

	while (ix->cells[i] != FREE &&
		(ix->cells[i] == TAKEN_BEFORE || strcmp(string_in(ix, i), text) != 0))
		i = (i + 1) & (ix->size - 1);
	return i;
}

/* Into a table of size cells: what was removed is gone. */
static int resize(struct string_index *ix, uint32_t size)
{
	uint32_t *old = ix->cells, n = ix->size;
	uint32_t *cells = calloc(size, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	ix->cells = cells;
	ix->size = size;
	ix->used = ix->live;
	for (uint32_t i = 0; i < n; i++)
		if (old[i] >= FIRST)
			cells[cell_of(ix, ix->string_of(ix->arg, old[i] - FIRST))] =
				old[i];
	free(old);
	return 0;
}

int string_index_add(struct string_index *ix, uint32_t number)
{
	uint32_t size = ix->size ? ix->size : SMALLEST;
	int err;

	while (3 * ((uint64_t)ix->live + 1) > 2 * (uint64_t)size)
		size *= 2;
	if (size != ix->size || 3 * ((uint64_t)ix->used + 1) > 2 * (uint64_t)size)
		if ((err = resize(ix, size)))
			return err;
	uint32_t cell = cell_of(ix, ix->string_of(ix->arg, number));
	ix->used += ix->cells[cell] == FREE;
	ix->live += ix->cells[cell] == FREE;
	ix->cells[cell] = number + FIRST;
	return 0;
}

void string_index_remove(struct string_index *ix, uint32_t number)
{
	if (!ix->size)
		return;
	uint32_t cell = cell_of(ix, ix->string_of(ix->arg, number));
	if (ix->cells[cell] != number + FIRST)
		return;
	ix->cells[cell] = TAKEN_BEFORE;
	ix->live--;
}

bool string_index_find(const struct string_index *ix, const char *text, uint32_t *ret)
{
	if (!ix->size)
		return false;
	uint32_t cell = cell_of(ix, text);
	if (ix->cells[cell] == FREE)
		return false;
	*ret = ix->cells[cell] - FIRST;
	return true;
}
