/* Partial replies: the system parameter fields=name,metadata(state,batchStats). */
#ifndef EMU_FIELDS_H
#define EMU_FIELDS_H

#include <jansson.h>

/* Removes from `json` what the mask does not name. A mask that makes no sense is passed
 * over where it stops making sense. */
void fields_apply(json_t *json, const char *mask);

#endif
