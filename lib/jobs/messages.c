/* What `error` says about a failed submission: what happened, and what to do. */
#include "jobs/messages.h"

#include "jobs/operation.h"

#include <errno.h>
#include <string.h>

static const struct {
	int err;
	const char *what, *todo;
	bool anywhere; /* the same, whoever it comes from */
} tales[] = {
	{-EINVAL, "The API refused the job.",
		"See the API's message below. Fix requests.jsonl or the model (names: "
		".batchfs/models; to change it: echo NAME > model), then: echo submit "
		"> ctl"},
	{-EACCES, "The API refused the key.",
		"No job was created. Check the key and the project it belongs to, "
		"mount again, then: echo submit > ctl"},
	{-EDQUOT, "The API's quota or rate limit is used up.",
		"No job was created. Wait, then: echo submit > ctl; or have batchfs wait "
		"and send it then: echo queue > ctl"},
	{-EEXIST,
		"Another job of the project has this name. It may have the same "
		"requests.",
		"Nothing was sent. To submit this one anyway, rename the directory "
		"(mv), then: echo submit > ctl", true},
	{-EHOSTUNREACH, "The API cannot be reached.",
		"No job was created. When the network is back: echo submit > ctl", true},
	{-ETIMEDOUT, "The API did not answer in time.", "Try again: echo submit > ctl", true},
	{-ENOSPC, "The local disk is full.",
		"Make room in state_dir, then: echo submit > ctl", true},
	{-EFBIG, "The requests are too large.",
		"No job was created. At most %s fit in one job. To have them sent as "
		"several: echo auto > split, then: echo submit > ctl", true},
	{-ENOENT, "The API knows no such model or file.",
		"No job was created. Model names are in .batchfs/models; to change the "
		"model: echo NAME > model, then: echo submit > ctl"},
	{0, "The API failed.", "No job was created. Try again: echo submit > ctl"},
};

static const char mend_parts[] =
	"See the API's message below (its lines are those of requests.jsonl, which "
	"shows what was sent). Fix defaults.json, schema.json, prompt.txt, the inputs "
	"or the model, then: echo submit > ctl";

/* What on this machine has failed is no answer of the API, whatever its errno. */
static const char here[] = "Something on this machine failed, not at the API";
static const char fix_here[] =
	"No job was created. The requests and what batchfs notes are in state_dir "
	"(.batchfs/status has its path): see that it can be read and written, then: echo "
	"submit > ctl";

static void tell_of_here(struct gb_job *job, int err, const char *text)
{
	_cleanup_free_ char *what = util_format("%s: %s.", here, strerror(-err));

	job_dir_error(job, err, what ? what : here, fix_here, text);
}

/* todo, with the API's limit in place of a %s. */
static char *with_limit(const char *todo, const struct provider_limits *l)
{
	const char *gap = strstr(todo, "%s");

	return gap ? util_format("%.*s%s%s", (int)(gap - todo), todo, l->requests_text,
			     gap + 2)
		   : strdup(todo);
}

void message_tell(struct gb_job *job, int err, bool by_api, const char *text)
{
	size_t i = 0;

	while (tales[i].err && tales[i].err != err)
		i++;
	if (!by_api && !tales[i].anywhere) {
		tell_of_here(job, err, text);
		return;
	}
	client_lock(job->c);
	bool parts = err == -EINVAL && job->dir->rec.composed;
	client_unlock(job->c);
	_cleanup_free_ char *todo = with_limit(
		parts ? mend_parts : tales[i].todo, job->c->api.provider->limits);
	job_dir_error(job, err, tales[i].what, todo, text);
}

void message_tell_left(struct operation *t)
{
	struct gb_client *c = t->job->c;

	client_lock(c);
	bool stopped = t->stopped, ending = c->stopping;
	client_unlock(c);
	job_dir_error(t->job, -EINTR,
		stopped ? "The submission was stopped by cancel: nothing was bought."
		: ending
			? "batchfs ended before this was submitted: nothing was bought."
			: "The submission was interrupted: nothing was bought.",
		"What was written is still here. To submit it: echo submit > ctl",
		NULL);
}
