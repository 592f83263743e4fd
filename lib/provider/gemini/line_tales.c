/* What models are known to ignore, refuse or answer badly: docs/api-facts.md. */
#include <string.h>

#include "provider/gemini/request_members.h"

/* Which models a warning is about, by their names. */
static bool is_any(const char *model)
{
	return true;
}

/* What is known was seen with those after the second generation. */
static bool is_new(const char *model)
{
	return strncmp(model, "gemini-1", 8) != 0 && strncmp(model, "gemini-2", 8) != 0;
}

static bool is_neon(const char *model)
{
	return strstr(model, "-neon") != NULL;
}

static bool spoils_json_schema(const char *model)
{
	return strstr(model, "-carbon") == NULL;
}

static bool refuses_budget(const char *model)
{
	return is_neon(model) || strncmp(model, "gemini-3.5-flash-lite", 21) == 0;
}

static bool dislikes_budget(const char *model)
{
	return is_new(model) && !refuses_budget(model);
}

const struct line_tale gemini_line_tales[] = {
	{WARN_BORROWED, is_any,
		"there is no \"key\": the value of custom_id, id or metadata is sent "
		"as the key"},
	{WARN_ODD_KEY, is_any,
		"custom_id, id or metadata has no string that could be the key: the "
		"line number is the key"},
	{WARN_JSON_SCHEMA, spoils_json_schema,
		"responseJsonSchema is known to give useless answers in batches: use "
		"responseSchema"},
	{WARN_BUDGET, refuses_budget,
		"this model refuses every request with thinkingBudget: use "
		"thinkingLevel"},
	{WARN_BUDGET, dislikes_budget,
		"thinkingBudget is for older models: use thinkingLevel"},
	{WARN_CANDIDATES, is_any,
		"candidateCount above 1 is refused or ignored by current models, and "
		"only the first candidate is shown here"},
	{WARN_SAMPLING, is_new,
		"temperature, topP and topK are ignored by current models"},
	{WARN_PENALTY, is_neon,
		"presencePenalty and frequencyPenalty are refused or ignored by "
		"this model"},
	{WARN_CACHED, is_neon, "cachedContent is refused or ignored by this model"},
	{WARN_PREFILLED, is_new,
		"the last turn is the model's: current models refuse or ignore it"},
	{0},
};
