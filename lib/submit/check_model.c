/*
 * Checked before anything is sent: does the API know the model, and can it do what the
 * job needs? An unknown model would be refused only after an upload of gigabytes, and a
 * retired one may be accepted and fail line by line. If this is unknown, the submission
 * goes on, and the API itself decides.
 */
#include "files/files.h"
#include "jobs/models.h"
#include "submit/submit.h"
#include "provider/all/ids.h"

#include <errno.h>

struct refusal {
	int err;
	char *what, *todo; /* malloc'ed */
};

static int refuse_model(struct submission *s, const struct refusal *r)
{
	if (!s->t->background)
		files_decided(s->t->file);
	job_dir_error(s->job, r->err, r->what, r->todo, NULL);
	s->told = true;
	if (s->t->from && !s->moved)
		/* If that fails, the file is still where mv took it from. */
		DROP(files_reject(s->t->file, s->job));
	return r->err;
}

static char *names_like(struct submission *s, enum batch_method needs)
{
	_cleanup_free_ char *like = models_like(s->c->models, s->rec->model, needs);

	return util_format("%s%s%s", like ? "Names that would do: " : "",
		like ? like : "", like ? ". " : "");
}

/* There is no such model, or it runs no batches at all. */
static struct refusal other_model(
	struct submission *s, enum batch_method needs, bool known)
{
	_cleanup_free_ char *names = names_like(s, needs);
	const char *model = remote_model_name(s->rec->model);

	return (struct refusal){-EINVAL,
		known ? util_format(
				"The model %s does not offer %s, which this job needs.",
				model, s->c->api.provider->method_name(needs))
		      : util_format("The API has no model %s.", model),
		util_format("Nothing was sent. %sAll names are in .batchfs/models; "
			    "change it with: "
			    "echo NAME > model, then: echo submit > ctl",
			names ? names : "")};
}

/* A model of the other kind: either of the two can be what was meant. */
static struct refusal other_kind(struct submission *s, enum batch_method needs)
{
	_cleanup_free_ char *names = names_like(s, needs);
	const char *model = remote_model_name(s->rec->model);
	const char *lines =
		s->t->file->composed ? "or, if that is the model you want, have the "
				       "requests made again: echo submit > ctl"
		: needs == BATCH_EMBED
			? "or write lines with \"contents\", a list, in place of "
			  "\"content\""
			: "or write lines with \"content\", one object, in place of "
			  "\"contents\"";

	return (struct refusal){-EBADMSG,
		util_format(
			needs == BATCH_EMBED
				? "The model %s gives answers, and these requests ask for "
				  "embeddings (\"content\")."
				: "The model %s makes embeddings, and these requests ask for "
				  "answers (\"contents\").",
			model),
		util_format(
			"Nothing was sent. %sEither change the model: echo NAME > model, then: "
			"echo submit > ctl; %s",
			names ? names : "", lines)};
}

int submission_model(struct submission *s)
{
	enum batch_method needs =
		s->rec->batch->embedding ? BATCH_EMBED : BATCH_GENERATE;
	struct refusal r = {0};
	unsigned methods = 0;
	int err = models_methods(s->c->models, s->rec->model, &s->t->cancel, &methods);

	if (err == -ECANCELED)
		return err;
	if (err == -ENOENT || (!err && !methods))
		r = other_model(s, needs, !err);
	else if (!err && !(methods & needs))
		r = other_kind(s, needs);
	err = r.err ? refuse_model(s, &r) : 0;
	free(r.what);
	free(r.todo);
	return err;
}
