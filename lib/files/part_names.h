/* What the names of a composed draft's files say. Pure. */
#ifndef GB_PART_NAMES_H
#define GB_PART_NAMES_H

#include <stdbool.h>

/* Whether a file of this name in the job's directory itself is a part of a composed
 * draft (inputs/ is not a file). */
bool composed_is_part(const char *name);
/* Whether a file or directory of this name is ignored, in inputs/ and beside the parts:
 * dot files, and files that editors, downloads and other systems leave behind. */
bool composed_is_leftover(const char *name);

#endif
