/* Request bodies against schema.h, refused in the words of the service. */
#ifndef EMU_BODYCHECK_H
#define EMU_BODYCHECK_H

#include "http.h"
#include "schema.h"

/*
 * The body as an object with no field that `m` lacks; NULL after having replied 400.
 * New reference.
 */
json_t *body_checked(struct request *rq, const struct message *m);

#endif
