/*
 * Before anything is sent: does the API know the model, and can it do what the job needs?
 * An unknown model would be refused only after an upload of gigabytes, and a retired one
 * may be taken and fail line by line. When nobody can tell the submission goes on: then the
 * API itself decides.
 */
#include "models.h"
#include "submit.h"

#include <errno.h>

static int refuse_model(struct submission *s, const char *what_take, enum batch_method needs)
{
	_cleanup_free_ char *like = models_like(s->c->models, s->rec->model, needs);
	_cleanup_free_ char *todo = util_format(
		"Nothing was sent. %s%s%sAll names are in .batchfs/models; change it with: "
		"echo NAME > model, then: echo submit > ctl",
		like ? "Names that would do: " : "", like ? like : "", like ? ". " : "");

	if (!s->t->background)
		files_decided(s->t->file);
	local_error(s->job, -EINVAL, what_take, todo, NULL);
	s->told = true;
	if (s->t->from && !s->moved)
		/* Where that fails the file is still where mv took it from. */
		DROP(files_reject(s->t->file, s->job));
	return -EINVAL;
}

int submission_model(struct submission *s)
{
	enum batch_method needs = BATCH_GENERATE;
	const char *model = s->rec->model;
	_cleanup_free_ char *what = NULL;
	unsigned methods = 0;
	int err = models_methods(s->c->models, model, &s->t->cancel, &methods);

	if (err == -ECANCELED)
		return err;
	if (err == -ENOENT)
		what = util_format("The API has no model %s.", api_model_name(model));
	else if (!err && !(methods & needs))
		what = util_format("The model %s does not offer %s, which this job needs.",
			api_model_name(model), batch_method_name(needs));
	return what ? refuse_model(s, what, needs) : 0;
}
