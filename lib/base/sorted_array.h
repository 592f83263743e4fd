/* Pointers by ascending number: a sorted array with holes, so that finding, adding at
 * the end and removing anywhere are cheap. No locks, no ownership: the contents belong
 * to the caller. All zeros is empty. */
#ifndef GB_NUMBERED_H
#define GB_NUMBERED_H

#include <stdint.h>

struct numbered {
	struct numbered_slot {
		uint32_t number;
		void *thing; /* NULL: a hole */
	} *slots;
	uint32_t used, cap, things;
};

/* 0 or -ENOMEM. The number must be free. */
int numbered_add(struct numbered *n, uint32_t number, void *thing);
void numbered_remove(struct numbered *n, uint32_t number);
/* The first element whose number is at least number, or NULL. */
void *numbered_from(const struct numbered *n, uint32_t number);
void numbered_clear(struct numbered *n);

#endif
