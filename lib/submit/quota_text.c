/* What `error` says about a create that a quota refused: which quota, as far as the API
 * tells, and what a person can do. */
#include "jobs/messages.h"
#include "jobs/split.h"
#include "submit/cut.h"
#include "submit/fit.h"
#include "submit/submit.h"

#include <errno.h>
#include <inttypes.h>

static const char *which_quota(const struct provider_error *e)
{
	if (e->hopeless)
		return "The API's quota or rate limit is used up, and waiting does not "
		       "help: its message is about billing or credits.";
	switch (e->quota) {
	case QUOTA_QUEUE:
		return "The API's quota for what is unfinished at a time is used up.";
	case QUOTA_MONEY:
		return "The API's quota for money spent in ten minutes is used up.";
	case QUOTA_RATE:
		return "The API's quota for calls in a minute is used up.";
	default:
		return "The API's quota or rate limit is used up, and it does not say "
		       "which.";
	}
}

/* What passes by itself. malloc'ed */
static char *wait_for(const struct submission *s, unsigned unfinished)
{
	const char *model = s->rec->model;

	if (s->err.quota == QUOTA_MONEY)
		return util_format("Wait ten minutes");
	if (s->err.quota == QUOTA_RATE)
		return util_format("Wait a minute");
	if (unfinished)
		return util_format("Wait until running jobs have ended (%u of %s %s "
				   "unfinished; the API allows %s)",
			unfinished, model, unfinished == 1 ? "is" : "are",
			s->c->api.provider->limits->jobs_text);
	return util_format("Nothing of %s is unfinished, so %" PRId64 " request%s %s "
			   "perhaps too %s at a time, or another quota is used up: "
			   "wait some minutes",
		model, s->rec->batch->requests, util_s(s->rec->batch->requests),
		s->rec->batch->requests == 1 ? "is" : "are",
		s->rec->batch->requests == 1 ? "much" : "many");
}

/* Whether, and how, less can be asked for at a time. malloc'ed */
static char *ask_for_less(const struct submission *s, int64_t split)
{
	int64_t n = s->rec->batch->requests;

	if (s->err.quota == QUOTA_RATE || n < 2)
		return NULL;
	if (split == SPLIT_NONE)
		return util_format(" To have them sent as several jobs, as large as fits: "
				   "echo auto > split, then submit.");
	return util_format(" To send less at a time: echo N > split, with N requests per "
			   "job (below %" PRId64 "), then submit.", n);
}

static void tell_quota(struct submission *s, struct gb_job *at, const char *text)
{
	client_lock(s->c);
	unsigned unfinished = fit_same_model(s->job);
	int64_t split = split_of(job_directory(s->job));
	client_unlock(s->c);
	_cleanup_free_ char *wait = wait_for(s, unfinished);
	_cleanup_free_ char *less = ask_for_less(s, split);
	_cleanup_free_ char *todo =
		s->err.hopeless
			? util_format("No job was created. When that is fixed: echo "
				      "submit > ctl")
			: util_format("No job was created. %s, then: echo submit > ctl; "
				      "or have batchfs wait and send it then: echo queue "
				      "> ctl.%s",
				  wait ? wait : "Wait", less ? less : "");

	job_dir_error(at, -EDQUOT, which_quota(&s->err), todo, text);
}

void submission_tell(struct submission *s, struct gb_job *at, int err, const char *own)
{
	const char *text = own ? own : s->err.text;

	if (err == -EDQUOT && s->err.status == 429)
		tell_quota(s, at, text);
	else
		message_tell(at, err, s->err.err == err, text);
}
