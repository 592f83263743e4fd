/*
 * `warnings` of a job: what the check met is a file beside the journal, whose record says
 * that it is there; what results tell lies in the index of answers.
 */
#include "answers/index.h"
#include "jobs/client.h"
#include "requests/warnings.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { ADVICE_MAX = 64 << 10 };

/* A warning that cannot be kept is no reason to fail: it is in the log at most. */
static bool write_text(struct gb_job *job, const char *text)
{
	bool kept = false;

	pthread_mutex_lock(&job->local->disk);
	_cleanup_close_ int dir = local_dir_open(job);
	if (dir >= 0 && *text)
		kept = util_write_file(dir, STORE_WARNINGS, text, strlen(text), false) == 0;
	else if (dir >= 0)
		unlinkat(dir, STORE_WARNINGS, 0);
	pthread_mutex_unlock(&job->local->disk);
	return kept;
}

void advice_keep(struct gb_job *job, struct warnings *w)
{
	_cleanup_free_ char *text = warnings_text_take(w);
	bool kept = write_text(job, text ? text : "");

	client_lock(job->c);
	job->local->rec.warned = kept;
	client_unlock(job->c);
}

static char *read_text(struct gb_job *job)
{
	char *text = NULL;
	size_t n;

	client_lock(job->c);
	bool warned = job->local && job->local->rec.warned;
	client_unlock(job->c);
	if (!warned)
		return NULL;
	pthread_mutex_lock(&job->local->disk);
	_cleanup_close_ int dir = local_dir_open(job);
	if (dir >= 0)
		DROP(util_read_file(dir, STORE_WARNINGS, ADVICE_MAX, &text, &n));
	pthread_mutex_unlock(&job->local->disk);
	return text;
}

void advice_add(struct gb_job *job, const char *line)
{
	_cleanup_free_ char *old = read_text(job);
	struct warnings w = {0};

	if (old && strstr(old, line))
		return;
	warnings_text(&w, old ? old : "");
	warnings_add(&w, "%s", line);
	advice_keep(job, &w);
}

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
	"The results are inside the job at the API and not on this disk. To save them: "
	"echo fetch > ctl, or read results.jsonl, which is not listed until then.\n";

bool advice_has(const struct gb_job *job)
{
	return (job->local && job->local->rec.warned) || of_results(job) ||
	       results_inside(job);
}

char *gb_job_warnings(struct gb_job *job)
{
	_cleanup_free_ char *text = read_text(job);
	char *all = NULL;

	client_lock(job->c);
	size_t n = of_results(job);
	const struct answers *a = job->answers;
	const char *inside = results_inside(job) ? how_to_save : "";
	if (text || n || *inside)
		all = util_format("%s%.*s%s", text ? text : "", (int)n,
			n ? a->blob + a->head.warnings_at : "", inside);
	client_unlock(job->c);
	return all;
}
