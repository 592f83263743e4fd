/* What an armed fault does to one exchange; called by the server in this order. */
#ifndef EMU_MANGLE_H
#define EMU_MANGLE_H

#include "http.h"

/* Replaces the reply by the fault's own; for those that fault_forestalls names. */
void mangle_instead(struct request *rq);
/* Alters the JSON, adds headers. */
void mangle_json(struct request *rq);
/* Alters the bytes. */
void mangle_bytes(struct request *rq);

#endif
