/* Context caches, as far as a request line may name one. */
#ifndef EMU_CACHES_H
#define EMU_CACHES_H

#include "http.h"

void caches_load(void);
void caches_create(struct request *rq);
void caches_list(struct request *rq);
void caches_get(struct request *rq);
void caches_patch(struct request *rq);
void caches_delete(struct request *rq);

/* Does "cachedContents/ID" exist for the project? */
bool cache_exists(const char *project, const char *name);

#endif
