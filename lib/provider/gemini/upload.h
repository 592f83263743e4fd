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

#include "provider/gemini/calls.h"

struct upload {
	int fd;              /* read with pread; the caller keeps it open */
	int64_t size;
	const char *mime;    /* "application/jsonl", "image/png", … */
	const char *display; /* display name of the file */
	char session[1024];  /* "": start anew; else go on with this one */
	/* A session was started (url "" : the old one is dead). Runs on the calling
	 * thread; non-zero gives the upload up. */
	int (*on_session)(void *arg, const char *url);
	/* So many bytes have gone; on the engine thread, at the end on the calling
	 * one. */
	void (*on_progress)(void *arg, int64_t n);
	void *arg;
};

/* Blocks. 0: *ret is the file, ACTIVE. -ECANCELED, -EINVAL … as calls.h. Gives up
 * after 6 breaks without progress. */
int upload_run(struct engine *e, struct upload *u, struct canceller *c,
	struct remote_file *ret, struct provider_error *err);

#endif
