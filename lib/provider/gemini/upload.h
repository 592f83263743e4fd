/*
 * Resumable upload of one file through the API's File service.
 *
 * An upload can be taken up where it broke off, also by another process: what is
 * needed for that is its session (a URL, which is a secret, and the size). The
 * caller keeps it on disk; on_session tells it as soon as there is one.
 * Uploading is safe to repeat: a stray file costs nothing and dies in 48 h.
 *
 * One long piece is sent ("upload, finalize"); after a break the server is asked
 * how much it has and the rest is sent. The MIME type of a text that is refused is
 * tried once more as text/plain (docs/api-facts.md, "Upload").
 */
#ifndef GB_UPLOAD_H
#define GB_UPLOAD_H

#include "provider/gemini/gemini.h"

/* Blocks. 0: *ret is the file, ACTIVE. -ECANCELED, -EINVAL … as provider.h. Gives up
 * after 6 breaks without progress. */
int upload_run(struct engine *e, struct upload *u, struct canceller *c,
	struct remote_file *ret, struct provider_error *err);

#endif
