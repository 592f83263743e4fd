/*
 * The Gemini API as a provider: the table that provider.h asks for, and the parts of
 * it that are pure. Calls are made through the table only.
 */
#ifndef GB_GEMINI_H
#define GB_GEMINI_H

#include "provider/provider.h"

extern const struct provider provider_gemini;

/* Seconds over which the money is counted that may be spent. */
#define GEMINI_MONEY_SPAN 600

/* What a reply or failure means. Pure. */
void gemini_error_from_reply(
	const struct http_reply *reply, struct provider_error *ret);
struct download_verdict gemini_judge_download(
	const struct http_reply *reply, unsigned way);

/* From an Operation's JSON (text, n bytes). -EPROTO: it is not one. Pure. */
int gemini_batch_parse(const char *text, size_t n, struct remote_batch *ret);
int gemini_file_parse(const char *text, size_t n, struct remote_file *ret);

/* "batchGenerateContent", … */
const char *gemini_method_name(enum batch_method method);

extern const struct provider_ids gemini_ids;

#endif
