/* The calls on batch jobs. create.c has the create, which is a story of its own. */
#ifndef EMU_BATCHES_H
#define EMU_BATCHES_H

#include "http.h"

void batch_create(struct request *rq);
void batch_create_embed(struct request *rq);
/* Before the body comes: so much of it is kept. */
void batch_create_begin(struct request *rq);

void batch_get(struct request *rq);
void batch_list(struct request *rq);
void batch_cancel(struct request *rq);
void batch_delete(struct request *rq);
void batch_patch(struct request *rq);

#endif
