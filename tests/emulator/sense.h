/* Requests that parse but make no sense to the service: values it refuses, each request
 * by itself, when its turn comes (or at create, by the knob `semantic`). */
#ifndef EMU_SENSE_H
#define EMU_SENSE_H

#include "util.h"

/* What is wrong with a request, a line per fault, malloc'ed; NULL: nothing. */
char *sense_fault(json_t *request, bool embed);

#endif
