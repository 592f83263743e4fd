/* The models the emulator pretends to have. */
#ifndef EMU_MODELS_H
#define EMU_MODELS_H

#include "http.h"

enum model_use { MODEL_GENERATE, MODEL_EMBED, MODEL_COUNT };

/* Can the model (no "models/") run such batches, or count? False after a 404 was replied. */
bool model_check(struct request *rq, const char *name, enum model_use use);

void models_list(struct request *rq);
void models_get(struct request *rq);

#endif
