/* The bytes of an output file: calls of the table in gemini.c. */
#ifndef GB_GEMINI_OUTPUT_H
#define GB_GEMINI_OUTPUT_H

#include "provider/gemini/gemini.h"

int gemini_download(struct engine *e, const struct download *d, struct transfer **ret);
int gemini_output_size(struct engine *e, const char *file, unsigned way,
	struct canceller *c, int64_t *ret);

#endif
