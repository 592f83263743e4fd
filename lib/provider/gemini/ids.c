#include "provider/gemini/gemini.h"

const struct provider_ids gemini_ids = {
	.prefix = {[REMOTE_BATCH] = "batches/", [REMOTE_FILE] = "files/",
		[REMOTE_MODEL] = "models/"},
	.tuned = "tunedModels/",
};
