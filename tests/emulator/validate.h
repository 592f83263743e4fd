/* The check of an input file that a create makes before there is a job. */
#ifndef EMU_VALIDATE_H
#define EMU_VALIDATE_H

#include "util.h"

struct validation {
	int64_t requests; /* lines that are requests */
	int64_t tokens;   /* of all of them; a guess by bytes where nothing is checked */
	int faults;
	struct buf text; /* one line a fault, as the service words it */
};

/*
 * Reads `size` bytes of `fd` through a mapping: memory does not grow with the file.
 * Knobs say what is refused. The caller frees v->text.
 */
void validate_file(int fd, int64_t size, bool embed, struct validation *v);

#endif
