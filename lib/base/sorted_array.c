#include "base/sorted_array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t number_at(const struct sorted_array *n, uint32_t i)
{
	return n->cap ? n->slots[i].number : n->only_number;
}

void *sorted_array_at(const struct sorted_array *n, uint32_t i)
{
	return n->cap ? n->slots[i].thing : n->only;
}

static void put_at(struct sorted_array *n, uint32_t i, uint32_t number, void *thing)
{
	if (n->cap) {
		n->slots[i] = (struct sorted_array_slot){number, thing};
	} else {
		n->only = thing;
		n->only_number = number;
	}
}

/* The index of the first slot whose number is at least number. */
static uint32_t sorted_array_find(const struct sorted_array *n, uint32_t number)
{
	uint32_t lo = 0, hi = n->used;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (number_at(n, mid) < number)
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

	if (n->used < (n->cap ? n->cap : 1))
		return 0;
	slots = realloc(n->cap ? n->slots : NULL, cap * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	if (!n->cap)
		slots[0] = (struct sorted_array_slot){n->only_number, n->only};
	n->slots = slots;
	n->cap = cap;
	return 0;
}

int sorted_array_add(struct sorted_array *n, uint32_t number, void *thing)
{
	uint32_t i = sorted_array_find(n, number);

	if (i == n->used || number_at(n, i) != number) {
		if (sorted_array_make_room(n))
			return -ENOMEM;
		if (i < n->used)
			memmove(n->slots + i + 1, n->slots + i,
				(n->used - i) * sizeof(*n->slots));
		n->used++;
	}
	put_at(n, i, number, thing);
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

	if (i == n->used || number_at(n, i) != number || !sorted_array_at(n, i))
		return;
	put_at(n, i, number, NULL);
	n->things--;
	if (n->used >= 16 && n->things < n->used / 2)
		close_holes(n);
	else if (!n->things)
		n->used = 0;
}

void *sorted_array_from(const struct sorted_array *n, uint32_t number)
{
	uint32_t i = sorted_array_find(n, number);

	while (i < n->used && !sorted_array_at(n, i))
		i++;
	return i < n->used ? sorted_array_at(n, i) : NULL;
}

void sorted_array_clear(struct sorted_array *n)
{
	if (n->cap)
		free(n->slots);
	*n = (struct sorted_array){0};
}
