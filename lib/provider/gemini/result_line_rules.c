/* Which members of a line of results, or of requests, are looked at, by where they
 * stand. */
#include "provider/gemini/result_line_private.h"

#include "base/util.h"
#include "provider/gemini/request_members.h"

static const struct line_rule rules[] = {
	{RESULT, "key", KEY, STRING},
	{RESULT, "customId", CUSTOM_ID, STRING},
	{RESULT, "id", ID, STRING},
	{RESULT, "metadata", METADATA, NOTHING},
	{METADATA, "key", METADATA_KEY, STRING},
	{METADATA, "customId", METADATA_CUSTOM_ID, STRING},
	{METADATA, "id", METADATA_ID, STRING},
	{RESULT, "response", RESPONSE, NOTHING},
	{RESULT, "error", FAILURE, NOTHING},
	{RESULT, "status", FAILURE, NOTHING},
	{RESPONSE, "candidates", CANDIDATES, NOTHING},
	{RESPONSE, "promptFeedback", FEEDBACK, NOTHING},
	{RESPONSE, "usageMetadata", USAGE, NOTHING},
	{RESPONSE, "embedding", EMBEDDING, NOTHING},
	{RESPONSE, "tokenCount", EMBEDDING_COUNT, SCALAR},
	{RESPONSE, "modelVersion", VERSION, STRING},
	{RESPONSE, "modelStatus", MODEL_STATUS, NOTHING},
	{MODEL_STATUS, "modelStage", STAGE, STRING},
	{MODEL_STATUS, "retirementTime", RETIRES, STRING},
	{CANDIDATE, "content", CONTENT, NOTHING},
	{CANDIDATE, "finishMessage", MESSAGE, STRING},
	{CANDIDATE, "finishReason", FINISH, STRING},
	{CONTENT, "parts", PARTS, NOTHING},
	{PART, "text", PART_TEXT, STRING},
	{PART, "thought", THOUGHT, SCALAR},
	{PART, "thoughtSignature", HARMLESS, NOTHING},
	{PART, "inlineData", INLINE_DATA, NOTHING},
	{INLINE_DATA, "mimeType", MIME, STRING},
	{INLINE_DATA, "data", DATA, STRING},
	{FEEDBACK, "blockReason", BLOCK, STRING},
	{FEEDBACK, "blockReasonMessage", MESSAGE, STRING},
	{USAGE, "promptTokenCount", COUNT_PROMPT, SCALAR},
	{USAGE, "candidatesTokenCount", COUNT_CANDIDATES, SCALAR},
	{USAGE, "thoughtsTokenCount", COUNT_THOUGHTS, SCALAR},
	{USAGE, "cachedContentTokenCount", COUNT_CACHED, SCALAR},
	{USAGE, "totalTokenCount", COUNT_TOTAL, SCALAR},
	{FAILURE, "code", CODE, SCALAR},
	{FAILURE, "message", MESSAGE, STRING},
	{FAILURE, "status", STATUS, STRING},
	{REQUEST_LINE, "key", KEY, STRING},
	/* As line_parser.h has it. */
	{REQUEST_LINE, "custom_id", CUSTOM_ID, STRING},
	{REQUEST_LINE, "id", ID, STRING},
	{REQUEST_LINE, "metadata", REQUEST_METADATA, NOTHING},
	{REQUEST_METADATA, "key", METADATA_KEY, STRING},
	{REQUEST_METADATA, "custom_id", METADATA_CUSTOM_ID, STRING},
	{REQUEST_METADATA, "id", METADATA_ID, STRING},
	{REQUEST_LINE, "request", REQUEST, NOTHING},
	{REQUEST_LINE, "generationConfig", CONFIG, NOTHING},
	{REQUEST, "generationConfig", CONFIG, NOTHING},
	{CONFIG, "responseMimeType", REQUEST_MIME, STRING},
};

const struct line_rule *result_line_rule(uint8_t parent, const struct line_word *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].parent == parent &&
			placement_is(name->text, name->len, rules[i].name))
			return &rules[i];
	return NULL;
}
