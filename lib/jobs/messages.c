/* What `error` says of a submission that failed: what happened, what to do. */
#include "jobs/messages.h"

#include <errno.h>

static const struct {
	int err;
	const char *what, *todo;
} tales[] = {
	{-EINVAL, "The API refused the job.",
		"Read its words below, mend requests.jsonl or model (names: .batchfs/models; "
		"change with: echo NAME > model), then: echo submit > ctl"},
	{-EACCES, "The API refused the key.",
		"Check the key and the project it belongs to, mount again, then: echo submit > ctl"},
	{-EDQUOT, "The API's quota or rate limit is used up.",
		"Wait until running jobs have ended (at most 100 at a time, and a number of "
		"enqueued tokens per model), then: echo submit > ctl"},
	{-EEXIST, "Another job of the project has this name: it may be this very job.",
		"Nothing was sent. To submit it all the same give the directory another name "
		"(mv), then: echo submit > ctl"},
	{-EHOSTUNREACH, "The API cannot be reached.",
		"Nothing was bought. When the network is back: echo submit > ctl"},
	{-ETIMEDOUT, "The API did not answer in time.", "Try again: echo submit > ctl"},
	{-ENOSPC, "The local disk is full.", "Make room in state_dir, then: echo submit > ctl"},
	{-EFBIG, "The requests are too large.",
		"At most 2 GB fit in one job: split them (split -l) over several"},
	{-ENOENT, "The API knows no such model or file.",
		"See .batchfs/models; change with: echo NAME > model, then: echo submit > ctl"},
	{0, "The API failed.", "Nothing was bought. Try again: echo submit > ctl"},
};

static const char mend_parts[] =
	"Read its words below (lines are those of requests.jsonl, which shows what was sent), "
	"mend defaults.json, schema.json, prompt.txt, the inputs or model, then: "
	"echo submit > ctl";

void submit_tell(struct gb_job *job, int err, const char *text)
{
	size_t i = 0;

	while (tales[i].err && tales[i].err != err)
		i++;
	client_lock(job->c);
	bool parts = err == -EINVAL && job->local->rec.composed;
	client_unlock(job->c);
	local_error(job, err, tales[i].what, parts ? mend_parts : tales[i].todo, text);
}
