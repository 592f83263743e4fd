/*
 * How many tokens a prompt has: one count for countTokens, for usageMetadata and for the
 * queue. Four bytes of text are a token, all turns together and the system instruction
 * apart, each rounded up; a file or inline data is TOKENS_FILE, whatever is in it. What
 * else a request has (tools, schemas) costs nothing.
 *
 * Two ways to the same number: from parsed JSON, and from text while it is checked, where
 * nothing is built. Any thread may call.
 */
#ifndef EMU_TOKENS_H
#define EMU_TOKENS_H

#include "jcheck.h"
#include "util.h"

#define TOKENS_FILE 258

enum modality {
	MODALITY_TEXT,
	MODALITY_IMAGE,
	MODALITY_VIDEO,
	MODALITY_AUDIO,
	MODALITY_DOCUMENT,
	MODALITIES
};

struct tokens {
	int64_t text, system;      /* bytes */
	int64_t files[MODALITIES]; /* how many */
};

/* Of so many bytes of text. */
int64_t tokens_of_bytes(int64_t bytes);

/* A GenerateContentRequest, or an EmbedContentRequest; adds to `t`. */
void tokens_add_request(struct tokens *t, const json_t *request);

/* jcheck's `seen`, for a line of either form; adds to `t`. All files are documents. */
void tokens_add_seen(struct tokens *t, const struct jcheck *c, const struct field *f,
	const char *text, size_t len);

int64_t tokens_sum(const struct tokens *t);
/* promptTokensDetails. */
json_t *tokens_details(const struct tokens *t);

#endif
