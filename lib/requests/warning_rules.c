#include "requests/warning_rules.h"

#include <inttypes.h>

#include "provider/all/ids.h"

void warn_lines(const struct validate_report *r, const struct request_grammar *g,
	const char *model, struct warnings *w)
{
	if (!model)
		model = "";
	model = remote_model_name(model);
	for (const struct line_tale *tale = g->tales; tale->text; tale++) {
		const struct validate_warned *s = &r->warned[tale->warning];

		if (!s->n || !tale->about(model))
			continue;
		if (s->n == 1)
			warnings_add(w, "line %" PRIu64 ": %s", s->first, tale->text);
		else
			warnings_add(w, "line %" PRIu64 " and %" PRIu64 " more: %s",
				s->first, s->n - 1, tale->text);
	}
}
