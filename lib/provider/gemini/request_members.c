#include "provider/gemini/request_members.h"

#include <ctype.h>
#include <string.h>

#include "base/util.h"

const char placement_no_object[] = "is not an object: write {…}";
const char placement_string[] =
	"is a string: write {\"parts\": [{\"text\": \"…\"}]}";
const char placement_beside[] =
	"cannot be used together with a system instruction, tools or toolConfig: put "
	"those into the cache";

const char placement_role[] = "must be user or model: a system instruction goes into "
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

const struct placement *placement_rows(enum place place, size_t *ret_n)
{
	static const struct {
		const struct placement *rows;
		size_t n;
	} all[N_PLACES] = {
		[PLACE_REQUEST] = {in_request, ARRAY_SIZE(in_request)},
		[PLACE_CONFIG] = {in_config, ARRAY_SIZE(in_config)},
		[PLACE_THINKING] = {in_thinking, ARRAY_SIZE(in_thinking)},
	};

	*ret_n = all[place].n;
	return all[place].rows;
}

bool placement_is_role(const char *role, size_t len)
{
	static const char *const roles[] = {"user", "model", "function", ""};

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (len == strlen(roles[i]) && memcmp(role, roles[i], len) == 0)
			return true;
	return false;
}

/* By first and last letter, which both spellings have in common. */
void placement_filter_init(struct placement_filter *f)
{
	memset(f, 0, sizeof *f);
	for (enum place place = 0; place < N_PLACES; place++) {
		size_t n;
		const struct placement *rows = placement_rows(place, &n);

		for (size_t i = 0; i < n; i++) {
			const char *name = rows[i].name;
			unsigned last = (unsigned char)name[rows[i].len - 1] & 31;

			if (rows[i].part != PART_UNWANTED)
				f->bits[place][name[0] & 31] |= UINT32_C(1) << last;
		}
	}
}

bool placement_is(const char *name, size_t len, const char *camel)
{
	size_t i = 0;

	for (; *camel; camel++) {
		char c = *camel;
		bool snake = i < len && name[i] == '_' && isupper((unsigned char)c);

		i += snake;
		if (i == len || name[i++] != (snake ? (char)tolower((unsigned char)c) : c))
			return false;
	}
	return i == len;
}

const struct placement *placement_find(enum place place, const char *name, size_t len)
{
	size_t n;
	const struct placement *rows = placement_rows(place, &n);

	/* In snake_case it is longer. */
	for (const struct placement *r = rows; r < rows + n; r++)
		if (len == r->len ? memcmp(name, r->name, len) == 0
				  : len > r->len && placement_is(name, len, r->name))
			return r;
	return NULL;
}
