/* The table of result_grammar.h for the Gemini API, and what words on its lines mean. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "provider/gemini/answer_schema.h"
#include "provider/gemini/result_line.h"
#include "provider/gemini/result_vector.h"

static int walk_lines(
	const struct line_reading *r, const struct text_source *source, struct span at)
{
	_cleanup_free_ struct line_walk *w = malloc(sizeof *w);

	if (!w)
		return -ENOMEM;
	line_walk_init(w, r->of, r->seed, r->calls, r->arg);
	return line_walk_run(w, source, at.from, at.to, r->cancel);
}

static const struct finish_word finishes[] = {
	{"STOP", FINISH_USUAL},
	{"MAX_TOKENS", FINISH_CUT},
	{"NO_IMAGE", FINISH_NO_PICTURE},
	{"IMAGE_OTHER", FINISH_NO_PICTURE},
	{"SAFETY", FINISH_BLOCKED},
	{"RECITATION", FINISH_BLOCKED},
	{"PROHIBITED_CONTENT", FINISH_BLOCKED},
	{"BLOCKLIST", FINISH_BLOCKED},
	{"SPII", FINISH_BLOCKED},
	{"IMAGE_SAFETY", FINISH_BLOCKED},
	{"IMAGE_PROHIBITED_CONTENT", FINISH_BLOCKED},
	{"IMAGE_RECITATION", FINISH_BLOCKED},
	{"MODEL_ARMOR", FINISH_BLOCKED},
	{0},
};

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

/* "MODEL_STAGE_RETIRED" as well as "RETIRED". */
static bool stage_is_ending(const char *stage)
{
	return *stage &&
	       (ends_with(stage, "DEPRECATED") || ends_with(stage, "RETIRED"));
}

/* An alias answers as any model; gemini-x as gemini-x-001 or gemini-x-preview-09-2026,
 * but not as gemini-x-lite. */
static bool may_answer_as(const char *asked, const char *version)
{
	size_t n = strlen(asked);
	const char *rest = version + n;

	if (n > strlen("-latest") && ends_with(asked, "-latest"))
		return true;
	if (strncmp(asked, version, n) != 0 || (*rest && *rest != '-'))
		return false;
	return strspn(rest, "-0123456789") == strlen(rest) ||
	       strncmp(rest, "-preview", 8) == 0 || strncmp(rest, "-exp", 4) == 0;
}

const struct result_grammar gemini_results = {
	.walk = walk_lines,
	.finishes = finishes,
	.stage_is_ending = stage_is_ending,
	.may_answer_as = may_answer_as,
	.schema = answer_schema_compile,
	.vector_find = vector_find,
	.vector_read = vector_read,
};
