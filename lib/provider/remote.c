/* The neutral types of provider.h: freeing them, and what is shown of them. */
#include "provider/provider.h"

#include <string.h>

#include "provider/errors.h"
#include "base/util.h"

/* ---- states --------------------------------------------------------------------- */

static const char *const shown_states[] = {
	[REMOTE_STATE_NONE] = "JOB_STATE_UNSPECIFIED",
	[REMOTE_STATE_PENDING] = "JOB_STATE_PENDING",
	[REMOTE_STATE_RUNNING] = "JOB_STATE_RUNNING",
	[REMOTE_STATE_SUCCEEDED] = "JOB_STATE_SUCCEEDED",
	[REMOTE_STATE_FAILED] = "JOB_STATE_FAILED",
	[REMOTE_STATE_CANCELLED] = "JOB_STATE_CANCELLED",
	[REMOTE_STATE_EXPIRED] = "JOB_STATE_EXPIRED",
};

const char *remote_state_text(enum remote_state state)
{
	return shown_states[state < ARRAY_SIZE(shown_states) ? state
							     : REMOTE_STATE_NONE];
}

enum remote_state remote_state_of(const char *shown)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown_states); i++)
		if (strcmp(shown, shown_states[i]) == 0)
			return (enum remote_state)i;
	return REMOTE_STATE_OTHER;
}

/* ---- errors ---------------------------------------------------------------------- */

void provider_error_clear(struct provider_error *e)
{
	free(e->text);
	*e = (struct provider_error){.retry = -1};
}

char *provider_error_line(const struct provider_error *e)
{
	const char *meaning = errors_meaning(e->err);
	size_t n = e->text ? strcspn(e->text, "\n") : 0;

	if (n == 0)
		return e->status ? util_format("%s (HTTP %ld)", meaning, e->status)
				 : strdup(meaning);
	return util_format("%s: %.*s", meaning, (int)n, e->text);
}

enum create_verdict provider_create_verdict(const struct provider_error *e)
{
	if (e->err == 0)
		return CREATE_MADE;
	return e->sent == HTTP_NOT_SENT || e->refused ? CREATE_NOT_MADE
						      : CREATE_UNKNOWN;
}

/* ---- what calls return ------------------------------------------------------------ */

void remote_batch_clear(struct remote_batch *b)
{
	free(b->id);
	free(b->display);
	free(b->model);
	free(b->state_text);
	free(b->input_file);
	free(b->output_file);
	free(b->error_text);
	free(b->json);
	*b = (struct remote_batch){0};
}

void remote_page_clear(struct remote_page *p)
{
	for (size_t i = 0; i < p->n; i++)
		remote_batch_clear(&p->batches[i]);
	free(p->batches);
	free(p->next);
	*p = (struct remote_page){0};
}

void remote_models_clear(struct remote_models *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->list[i].name);
	free(m->list);
	*m = (struct remote_models){0};
}

void remote_file_clear(struct remote_file *f)
{
	free(f->name);
	free(f->uri);
	free(f->mime);
	*f = (struct remote_file){0};
}
