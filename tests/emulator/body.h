/*
 * Reply bodies on their way out: from memory or from a file, whole, in chunks, gzipped,
 * cut, stalled or dripping.
 */
#ifndef EMU_BODY_H
#define EMU_BODY_H

#include "http.h"

/*
 * Makes the response of a reply that is complete, moving its bytes (or its descriptor)
 * out of it. Never NULL.
 */
struct MHD_Response *body_response(struct request *rq);

/* Number of bytes the body will have, as far as it is known. */
int64_t body_size(const struct reply *r);

#endif
