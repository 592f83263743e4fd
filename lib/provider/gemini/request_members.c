#include "provider/gemini/request_members.h"

#include <string.h>

#include "base/util.h"
#include "provider/gemini/file_refs.h"

static const char no_object[] = "is not an object: write {…}";
static const char string[] = "is a string: write {\"parts\": [{\"text\": \"…\"}]}";
static const char beside[] =
	"cannot be used together with a system instruction, tools or toolConfig: put "
	"those into the cache";

static const char role_words[] =
	"must be user or model: a system instruction goes into "
	"systemInstruction, beside contents";

static const char wants_config[] =
	"belongs in generationConfig: {\"generationConfig\": {…}}";
static const char is_sdk[] = "is the SDK's name for it, not the API's: put its members "
			     "into generationConfig, or beside it";
static const char is_made[] = "is made from prompt.txt and the inputs: leave it out";
static const char no_line[] = "does not belong here: defaults.json holds members of a "
			      "request, such as generationConfig";
static const char is_job[] = "is set for the whole job: echo NAME > model";
static const char misspelt[] = "is misspelt: write systemInstruction";
static const char wants_top[] = "belongs beside generationConfig, not in it";

#define ROW(name, part, what) {name, sizeof name - 1, PART_##part, what, 0}
#define WARN(name, kind) {name, sizeof name - 1, PART_WARNED, NULL, WARN_##kind}

/* clang-format off */
static const struct placement in_request[] = {
	/* Most lines have the first. */
	ROW("generationConfig", CONFIG, NULL), ROW("systemInstruction", SYSTEM, NULL),
	ROW("tools", TOOLS, NULL), ROW("toolConfig", TOOLS, NULL),
	ROW("cachedContent", CACHED, NULL),
	ROW("config", MISPLACED, is_sdk),
	ROW("systemInstructions", MISPLACED, misspelt),
	ROW("temperature", MISPLACED, wants_config),
	ROW("topP", MISPLACED, wants_config),
	ROW("topK", MISPLACED, wants_config),
	ROW("maxOutputTokens", MISPLACED, wants_config),
	ROW("candidateCount", MISPLACED, wants_config),
	ROW("stopSequences", MISPLACED, wants_config),
	ROW("seed", MISPLACED, wants_config),
	ROW("responseMimeType", MISPLACED, wants_config),
	ROW("responseSchema", MISPLACED, wants_config),
	ROW("responseJsonSchema", MISPLACED, wants_config),
	ROW("responseModalities", MISPLACED, wants_config),
	ROW("thinkingConfig", MISPLACED, wants_config),
	ROW("speechConfig", MISPLACED, wants_config),
	ROW("imageConfig", MISPLACED, wants_config),
	ROW("mediaResolution", MISPLACED, wants_config),
	ROW("logprobs", MISPLACED, wants_config),
	ROW("responseLogprobs", MISPLACED, wants_config),
	ROW("presencePenalty", MISPLACED, wants_config),
	ROW("frequencyPenalty", MISPLACED, wants_config),
	ROW("contents", UNWANTED, is_made),
	ROW("request", UNWANTED, no_line), ROW("key", UNWANTED, no_line),
	ROW("model", UNWANTED, is_job),
};

static const struct placement in_config[] = {
	ROW("cachedContent", MISPLACED, wants_top),
	ROW("systemInstruction", MISPLACED, wants_top),
	ROW("tools", MISPLACED, wants_top),
	ROW("toolConfig", MISPLACED, wants_top),
	ROW("safetySettings", MISPLACED, wants_top),
	ROW("thinkingConfig", THINKING, NULL),
	WARN("temperature", SAMPLING), WARN("topP", SAMPLING), WARN("topK", SAMPLING),
	WARN("candidateCount", CANDIDATES), WARN("responseJsonSchema", JSON_SCHEMA),
	WARN("presencePenalty", PENALTY), WARN("frequencyPenalty", PENALTY),
};

static const struct placement in_thinking[] = {
	WARN("thinkingBudget", BUDGET),
};
/* clang-format on */

static bool is_role(const char *role, size_t len)
{
	static const char *const roles[] = {"user", "model", "function", ""};

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (len == strlen(roles[i]) && memcmp(role, roles[i], len) == 0)
			return true;
	return false;
}

const struct request_grammar gemini_requests = {
	.places =
		{
			[PLACE_REQUEST] = {in_request, ARRAY_SIZE(in_request)},
			[PLACE_CONFIG] = {in_config, ARRAY_SIZE(in_config)},
			[PLACE_THINKING] = {in_thinking, ARRAY_SIZE(in_thinking)},
		},
	.no_object = no_object,
	.string = string,
	.beside = beside,
	.role = role_words,
	.is_role = is_role,
	.max = VALIDATE_SEND_MAX,
	.tales = gemini_line_tales,
	.has_scheme = file_refs_has_scheme,
	.files_each = file_refs_each,
	.files_replace = file_refs_replace,
};
