/* Which members of a line of results, or of requests, are looked at, by where they
 * stand. */
#include "provider/gemini/result_line_private.h"

#include "base/util.h"
#include "provider/gemini/request_members.h"

static const struct line_rule in_result[] = {
	{"key", KEY, STRING},
	{"customId", CUSTOM_ID, STRING},
	{"id", ID, STRING},
	{"metadata", METADATA, NOTHING},
	{"response", RESPONSE, NOTHING},
	{"error", FAILURE, NOTHING},
	{"status", FAILURE, NOTHING},
};

static const struct line_rule in_metadata[] = {
	{"key", METADATA_KEY, STRING},
	{"customId", METADATA_CUSTOM_ID, STRING},
	{"id", METADATA_ID, STRING},
};

static const struct line_rule in_response[] = {
	{"candidates", CANDIDATES, NOTHING},
	{"promptFeedback", FEEDBACK, NOTHING},
	{"usageMetadata", USAGE, NOTHING},
	{"embedding", EMBEDDING, NOTHING},
	{"tokenCount", EMBEDDING_COUNT, SCALAR},
	{"modelVersion", VERSION, STRING},
	{"modelStatus", MODEL_STATUS, NOTHING},
};

static const struct line_rule in_model_status[] = {
	{"modelStage", STAGE, STRING},
	{"retirementTime", RETIRES, STRING},
};

static const struct line_rule in_candidate[] = {
	{"content", CONTENT, NOTHING},
	{"finishMessage", MESSAGE, STRING},
	{"finishReason", FINISH, STRING},
};

static const struct line_rule in_content[] = {
	{"parts", PARTS, NOTHING},
};

static const struct line_rule in_part[] = {
	{"text", PART_TEXT, STRING},
	{"thought", THOUGHT, SCALAR},
	{"thoughtSignature", HARMLESS, NOTHING},
	{"inlineData", INLINE_DATA, NOTHING},
};

static const struct line_rule in_inline_data[] = {
	{"mimeType", MIME, STRING},
	{"data", DATA, STRING},
};

static const struct line_rule in_feedback[] = {
	{"blockReason", BLOCK, STRING},
	{"blockReasonMessage", MESSAGE, STRING},
};

static const struct line_rule in_usage[] = {
	{"promptTokenCount", COUNT_PROMPT, SCALAR},
	{"candidatesTokenCount", COUNT_CANDIDATES, SCALAR},
	{"thoughtsTokenCount", COUNT_THOUGHTS, SCALAR},
	{"cachedContentTokenCount", COUNT_CACHED, SCALAR},
	{"totalTokenCount", COUNT_TOTAL, SCALAR},
};

static const struct line_rule in_failure[] = {
	{"code", CODE, SCALAR},
	{"message", MESSAGE, STRING},
	{"status", STATUS, STRING},
};

/* As line_parser.h has it. */
static const struct line_rule in_request_line[] = {
	{"key", KEY, STRING},
	{"custom_id", CUSTOM_ID, STRING},
	{"id", ID, STRING},
	{"metadata", REQUEST_METADATA, NOTHING},
	{"request", REQUEST, NOTHING},
	{"generationConfig", CONFIG, NOTHING},
};

static const struct line_rule in_request_metadata[] = {
	{"key", METADATA_KEY, STRING},
	{"custom_id", METADATA_CUSTOM_ID, STRING},
	{"id", METADATA_ID, STRING},
};

static const struct line_rule in_request[] = {
	{"generationConfig", CONFIG, NOTHING},
};

static const struct line_rule in_config[] = {
	{"responseMimeType", REQUEST_MIME, STRING},
	{"responseSchema", REQUEST_SCHEMA, NOTHING},
	{"responseJsonSchema", REQUEST_SCHEMA, NOTHING},
};

#define RULES(list) {list, ARRAY_SIZE(list)}

static const struct {
	const struct line_rule *rules;
	size_t n;
} by_place[] = {
	[RESULT] = RULES(in_result),
	[METADATA] = RULES(in_metadata),
	[RESPONSE] = RULES(in_response),
	[MODEL_STATUS] = RULES(in_model_status),
	[CANDIDATE] = RULES(in_candidate),
	[CONTENT] = RULES(in_content),
	[PART] = RULES(in_part),
	[INLINE_DATA] = RULES(in_inline_data),
	[FEEDBACK] = RULES(in_feedback),
	[USAGE] = RULES(in_usage),
	[FAILURE] = RULES(in_failure),
	[REQUEST_LINE] = RULES(in_request_line),
	[REQUEST_METADATA] = RULES(in_request_metadata),
	[REQUEST] = RULES(in_request),
	[CONFIG] = RULES(in_config),
};

const struct line_rule *result_line_rule(uint8_t parent, const struct line_word *name)
{
	if (parent >= ARRAY_SIZE(by_place))
		return NULL;
	for (size_t i = 0; i < by_place[parent].n; i++)
		if (placement_is(
			    name->text, name->len, by_place[parent].rules[i].name))
			return &by_place[parent].rules[i];
	return NULL;
}
