/* Pointers by ascending number: a sorted array with holes, so that finding, adding at
 * the end and removing anywhere are cheap. No locks, no ownership: the contents belong
 * to the caller. All zeros is empty. */
#ifndef GB_NUMBERED_H
#define GB_NUMBERED_H

#include <stdint.h>

struct sorted_array {
	struct sorted_array_slot {
		uint32_t number;
		void *thing; /* NULL: a hole */
	} *slots;
	uint32_t used, cap, things;
};

/* 0 or -ENOMEM. The number must be free. */
int sorted_array_add(struct sorted_array *n, uint32_t number, void *thing);
void sorted_array_remove(struct sorted_array *n, uint32_t number);
/* The first element whose number is at least number, or NULL. */
void *sorted_array_from(const struct sorted_array *n, uint32_t number);
void sorted_array_clear(struct sorted_array *n);

#endif
