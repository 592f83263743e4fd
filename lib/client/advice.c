/* `warnings` of a job: what the check met (jobs/advice.c), and what results tell, which lies
 * in the index of answers. */
#include "answers/index.h"
#include "archive/complete.h"
#include "archive/save.h"
#include "client/advice.h"
#include "jobs/advice.h"

/* Lock held. */
static size_t of_results(const struct gb_job *job)
{
	return job->answers ? (size_t)job->answers->head.warnings_len : 0;
}

/* Lock held. An ended job of another client whose results are inside the job itself looks
 * as if nothing had come: lists leave them out, and nobody fetches them unasked. */
static bool results_inside(const struct gb_job *job)
{
	return job_output(job) == GB_OUTPUT_INLINE && !home_missing(job);
}

static const char how_to_save[] =
	"The results are stored inside the job at the API and are not on this disk "
	"yet. To save them: echo fetch > ctl, or read results.jsonl, which is not "
	"listed until then.\n";

bool advice_has(const struct gb_job *job)
{
	return (job->local && job->local->rec.warned) || of_results(job) ||
	       results_inside(job) || whole_is_short(job);
}

char *gb_job_warnings(struct gb_job *job)
{
	_cleanup_free_ char *text = advice_text(job);
	char *all = NULL;

	client_lock(job->c);
	size_t n = of_results(job);
	const struct answers *a = job->answers;
	const char *inside = results_inside(job) ? how_to_save : "";
	_cleanup_free_ char *less = whole_warning(job);
	if (text || n || *inside || less)
		all = util_format("%s%.*s%s%s", text ? text : "", (int)n,
			n ? a->blob + a->head.warnings_at : "", inside, less ? less : "");
	client_unlock(job->c);
	return all;
}
