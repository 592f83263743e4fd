/* Composed drafts: whose requests are made of files of the draft. */
#ifndef GB_COMPOSED_H
#define GB_COMPOSED_H

#include <stdbool.h>

/* Whether a file of this name, in the job's directory itself, is a part of a composed
 * draft (inputs/ is not a file). */
bool composed_is_part(const char *name);

#endif
