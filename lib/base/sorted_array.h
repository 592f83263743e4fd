/* Pointers by ascending number: a sorted array with holes, so that finding, adding at
 * the end and removing anywhere are cheap. One alone takes no memory of its own, since
 * most jobs have one file. No locks, no ownership: the contents belong to the caller. All
 * zeros is empty. */
#ifndef GB_NUMBERED_H
#define GB_NUMBERED_H

#include <stdint.h>

struct sorted_array {
	union {
		struct sorted_array_slot {
			uint32_t number;
			void *thing; /* NULL: a hole */
		} *slots;
		void *only; /* if cap is 0, and used 1 */
	};
	uint32_t used, cap, things;
	uint32_t only_number;
};

/* 0 or -ENOMEM. The number must be free. */
int sorted_array_add(struct sorted_array *n, uint32_t number, void *thing);
void sorted_array_remove(struct sorted_array *n, uint32_t number);
/* The first element whose number is at least number, or NULL. */
void *sorted_array_from(const struct sorted_array *n, uint32_t number);
/* What is at place i < used; NULL: a hole. */
void *sorted_array_at(const struct sorted_array *n, uint32_t i);
void sorted_array_clear(struct sorted_array *n);

#endif
