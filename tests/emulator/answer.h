/* Composing responses: the built-in, deterministic responder. */
#ifndef EMU_ANSWER_H
#define EMU_ANSWER_H

#include "prompt.h"
#include "responder.h"

/* A response with this text. */
json_t *answer_text(const struct asking *a, const struct prompt *p, const char *text,
	size_t len, const char *finish);
json_t *answer_builtin(const struct asking *a, json_t *request, const struct prompt *p);
json_t *answer_embedding(const struct asking *a, json_t *request);
/* Whether the model's embeddings come in the form of 2026: with usageMetadata, and inline
 * below inlinedResponses. */
bool answer_embeds_newly(const char *model);

#endif
