/*
 * Uploads: the resumable protocol with its sessions, and the two one-request forms
 * (multipart and raw). Bytes go straight from the socket to the file they stay in.
 *
 * Order of calls for one request: upload_name (which operation is it), upload_begin
 * (before the body), upload_data (as often as bytes come), upload_handle (after the
 * body; not called when the connection broke), upload_piece_end (always).
 */
#ifndef EMU_UPLOAD_H
#define EMU_UPLOAD_H

#include "http.h"

const char *upload_name(struct request *rq);
void upload_begin(struct request *rq);
void upload_data(struct request *rq, const char *data, size_t n);
void upload_handle(struct request *rq);
void upload_piece_end(struct request *rq);

/* POST /v1beta/files: a record without bytes. */
void files_create(struct request *rq);

#endif
