/* The warnings of the check and of a submission: a file beside the journal, whose
 * record says that it exists. */
#include "jobs/advice.h"
#include "requests/warnings.h"

#include <string.h>
#include <unistd.h>

enum { ADVICE_MAX = 64 << 10 };

/* A warning that cannot be written is not a reason to fail; at most it is logged. */
static bool write_advice(struct gb_job *job, const char *text)
{
	bool kept = false;

	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir >= 0 && *text)
		kept = util_write_file(
			       dir, STORE_WARNINGS, text, strlen(text), false) == 0;
	else if (dir >= 0)
		unlinkat(dir, STORE_WARNINGS, 0);
	pthread_mutex_unlock(&job->dir->disk);
	return kept;
}

void advice_keep(struct gb_job *job, struct warnings *w)
{
	_cleanup_free_ char *text = warnings_text_take(w);
	bool kept = write_advice(job, text ? text : "");

	client_lock(job->c);
	job->dir->rec.warned = kept;
	client_unlock(job->c);
}

char *advice_text(struct gb_job *job)
{
	char *text = NULL;
	size_t n;

	client_lock(job->c);
	bool warned = job->dir && job->dir->rec.warned;
	client_unlock(job->c);
	if (!warned)
		return NULL;
	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir >= 0)
		DROP(util_read_file(dir, STORE_WARNINGS, ADVICE_MAX, &text, &n));
	pthread_mutex_unlock(&job->dir->disk);
	return text;
}

void advice_add(struct gb_job *job, const char *line)
{
	_cleanup_free_ char *old = advice_text(job);
	struct warnings w = {0};

	if (old && strstr(old, line))
		return;
	warnings_text(&w, old ? old : "");
	warnings_add(&w, "%s", line);
	advice_keep(job, &w);
}
