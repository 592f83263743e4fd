/*
 * Resumable upload of one file through the API's File service.
 *
 * An interrupted upload can be resumed, even by another process. This needs its session
 * (a URL, which is a secret, and the size), which the caller keeps on disk; on_session
 * reports it as soon as there is one. Uploading is safe to repeat: an unused file costs
 * nothing and expires after 48 h.
 *
 * One long piece is sent ("upload, finalize"). After an interruption the server is
 * asked how much it has, and the rest is sent. If the MIME type of a text is refused,
 * text/plain is tried once (docs/api-facts.md, "Upload").
 */
#ifndef GB_UPLOAD_H
#define GB_UPLOAD_H

#include "provider/gemini/gemini.h"

/* Blocks. 0: *ret is the file, ACTIVE. -ECANCELED, -EINVAL … as provider.h. Gives up
 * after 6 breaks without progress. */
int upload_run(struct engine *e, struct upload *u, struct canceller *c,
	struct remote_file *ret, struct provider_error *err);

#endif
