#include "base/sorted_array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The index of the first slot whose number is at least number. */
static uint32_t sorted_array_find(const struct sorted_array *n, uint32_t number)
{
	uint32_t lo = 0, hi = n->used;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (n->slots[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int sorted_array_make_room(struct sorted_array *n)
{
	uint32_t cap = n->cap ? 2 * n->cap : 4;
	struct sorted_array_slot *slots;

	if (n->used < n->cap)
		return 0;
	slots = realloc(n->slots, cap * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	n->slots = slots;
	n->cap = cap;
	return 0;
}

int sorted_array_add(struct sorted_array *n, uint32_t number, void *thing)
{
	uint32_t i = sorted_array_find(n, number);

	if (i == n->used || n->slots[i].number != number) {
		if (sorted_array_make_room(n))
			return -ENOMEM;
		memmove(n->slots + i + 1, n->slots + i,
			(n->used - i) * sizeof(*n->slots));
		n->used++;
	}
	n->slots[i] = (struct sorted_array_slot){number, thing};
	n->things++;
	return 0;
}

static void close_holes(struct sorted_array *n)
{
	uint32_t to = 0;

	for (uint32_t i = 0; i < n->used; i++)
		if (n->slots[i].thing)
			n->slots[to++] = n->slots[i];
	n->used = to;
}

void sorted_array_remove(struct sorted_array *n, uint32_t number)
{
	uint32_t i = sorted_array_find(n, number);

	if (i == n->used || n->slots[i].number != number || !n->slots[i].thing)
		return;
	n->slots[i].thing = NULL;
	n->things--;
	if (n->used >= 16 && n->things < n->used / 2)
		close_holes(n);
	else if (!n->things)
		n->used = 0;
}

void *sorted_array_from(const struct sorted_array *n, uint32_t number)
{
	uint32_t i = sorted_array_find(n, number);

	while (i < n->used && !n->slots[i].thing)
		i++;
	return i < n->used ? n->slots[i].thing : NULL;
}

void sorted_array_clear(struct sorted_array *n)
{
	free(n->slots);
	*n = (struct sorted_array){0};
}
