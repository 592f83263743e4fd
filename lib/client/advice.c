/* `warnings` of a job: those of the check (jobs/advice.c), and those from the results,
 * which are in the index of answers. */
#include "answers/answers.h"
#include "answers/index.h"
#include "archive/complete.h"
#include "archive/save.h"
#include "client/advice.h"
#include "jobs/advice.h"

#include <inttypes.h>

/* Lock held. */
static size_t of_results(const struct gb_job *job)
{
	const struct answers *a = answers_shown(job);

	return a ? (size_t)a->head.warnings_len : 0;
}

/* Lock held. An ended job of another client with its results inside the job looks as if
 * it had none: lists leave them out, and they are not fetched automatically. */
static bool results_inside(const struct gb_job *job)
{
	return job_output(job) == GB_OUTPUT_INLINE && !save_is_missing(job);
}

static const char how_to_save[] =
	"The results are stored inside the job at the API and are not on this disk "
	"yet. To save them: echo fetch > ctl, or read results.jsonl, which is not "
	"listed until then.\n";

/* Lock held. It ends SUCCEEDED as if nothing had happened. */
static uint64_t unserved(const struct gb_job *job)
{
	const struct answers *a = answers_shown(job);

	return a ? a->unserved : 0;
}

static void put_unserved(FILE *out, const struct answers *a)
{
	uint64_t all =
		a->head.n_rows + (a->head.absent > 0 ? (uint64_t)a->head.absent : 0);

	fprintf(out,
		"a cancel was asked for: %" PRIu64 " of %" PRIu64
		" request%s %s not answered%s\n",
		a->unserved, all, util_s((int64_t)all), a->unserved == 1 ? "was" : "were",
		a->head.retry_size ? " (retry.jsonl has them)" : "");
}

bool advice_has(const struct gb_job *job)
{
	return (job->dir && job->dir->rec.warned) || of_results(job) ||
	       unserved(job) || results_inside(job) || complete_is_short(job);
}

char *gb_job_warnings(struct gb_job *job)
{
	_cleanup_free_ char *text = advice_text(job);
	char *all = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&all, &size);

	if (!out)
		return NULL;
	client_lock(job->c);
	const struct answers *a = answers_shown(job);
	size_t n = of_results(job);
	_cleanup_free_ char *less = complete_warning(job);
	fputs(text ? text : "", out);
	if (unserved(job))
		put_unserved(out, a);
	if (n)
		fwrite(a->blob + a->head.warnings_at, 1, n, out);
	fputs(results_inside(job) ? how_to_save : "", out);
	fputs(less ? less : "", out);
	client_unlock(job->c);
	if (fclose(out) == 0 && size)
		return all;
	free(all);
	return NULL;
}
