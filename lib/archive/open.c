/*
 * Output: where the output of a job is, the one object for it, and what readers ask of
 * it.
 *
 * The output of an own job is kept in its directory in the state directory, from the
 * first byte on; that of others in the cache directory, until it is to be saved.
 */
#include "archive/open.h"
#include "archive/merged.h"
#include "archive/save.h"
#include "jobs/parts.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <string.h>

/* ---- where ---------------------------------------------------------------------- */

bool output_is_local(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->dir && (job->dir->rec.own || job_was_saved(job) ||
				     (job->batch->fetching && !job->batch->cached));
}

/* In the cache directory with cache_lock held: nothing is evicted between looking at
 * what is there and being known to be in use. */
static int results_make(struct gb_job *job, bool home, struct gb_results **ret)
{
	struct gb_client *c = job->c;
	struct results_config cfg = {.api = &c->api, .event = save_event, .arg = job};
	_cleanup_free_ char *file = NULL;

	client_lock(c);
	cfg.offline = c->o.offline;
	cfg.checked = job->batch->checked;
	const char *id = job->batch->id;
	bool kept = job->batch->kept;
	cfg.shown = job->batch->size_told ? job->batch->results_size : 0;
	cfg.was_whole = home && !kept && job_was_saved(job);
	file = job_output_may_come(job) && job->batch->output_file
		       ? strdup(job->batch->output_file)
		       : NULL;
	client_unlock(c);
	if (!id)
		return -ENOENT;
	cfg.file = file;
	cfg.name = !home  ? remote_id_tail(id)
		   : kept ? RESULTS_NEW_FILE
			  : RESULTS_FILE;
	_cleanup_close_ int dir = home ? job_dir_open(job) : -1;
	if (home && dir < 0)
		return dir;
	cfg.dirfd = home ? dir : c->store->results;
	return results_new(&cfg, ret);
}

int output_of(struct gb_job *job, struct gb_results **ret)
{
	struct gb_client *c = job->c;
	struct gb_results *made = NULL;
	int err = 0;

	client_lock(c);
	if (!job->batch->id)
		err = -ENOENT;
	else if (job->batch->results)
		*ret = results_ref(job->batch->results);
	bool home = output_is_local(job);
	client_unlock(c);
	if (err || *ret)
		return err;
	if (!home)
		pthread_mutex_lock(&c->cache_lock);
	err = results_make(job, home, &made);
	client_lock(c);
	if (!err && !job->batch->results) {
		job->batch->results = results_ref(made);
		save_note_proven(job, made);
	}
	if (!err)
		*ret = results_ref(job->batch->results);
	client_unlock(c);
	if (!home)
		pthread_mutex_unlock(&c->cache_lock);
	results_unref(made);
	return err;
}

void output_rest(struct gb_job *job)
{
	struct gb_results *idle = NULL;

	client_lock(job->c);
	if (!job->batch->handles && !job->batch->fetching && !job->batch->sealing)
		idle = STEAL_PTR(job->batch->results);
	if (idle)
		job->batch->checked = results_final(idle);
	client_unlock(job->c);
	results_unref(idle);
}

int gb_part_results_open(struct gb_job *job, struct gb_results **ret)
{
	struct gb_client *c = job->c;
	struct gb_results *r = NULL;

	client_lock(c);
	enum gb_output o = job_output(job);
	bool lost = o == GB_OUTPUT_LOST && !save_is_possible(job);
	int told = o == GB_OUTPUT_INLINE ? save_told_later(job) : 0;
	if (o != GB_OUTPUT_NONE)
		job->batch->handles++;
	client_unlock(c);
	int err = o == GB_OUTPUT_NONE || o == GB_OUTPUT_AWAITED ? -ENOENT
		  : lost					? -ENODATA
		  : told					? told
		  : o == GB_OUTPUT_INLINE || o == GB_OUTPUT_KEPT ||
				o == GB_OUTPUT_LOST
			  ? -EINPROGRESS
			  : output_of(job, &r);
	if (!err) {
		results_reader(r, 1);
		save_spare(job, r);
		if (results_unsealed(r))
			save_note_whole(job);
		gb_job_ref(job);
		*ret = r;
		return 0;
	}
	client_lock(c);
	if (o != GB_OUTPUT_NONE)
		job->batch->handles--;
	client_unlock(c);
	return err;
}

/* ---- of all parts ---------------------------------------------------------------- */

static int open_merged(struct gb_job *dir, struct gb_results **ret)
{
	struct merged *m;
	int err = merged_open(dir, &m);

	if (err)
		return err;
	struct gb_results *r = results_of_several(m);
	if (!r) {
		merged_close(m);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

int gb_results_open(struct gb_job *job, struct gb_results **ret)
{
	client_lock(job->c);
	bool several = parts_several(job);
	client_unlock(job->c);
	return several ? open_merged(job, ret) : gb_part_results_open(job, ret);
}

/* ---- what readers ask ------------------------------------------------------------ */

void gb_results_close(struct gb_results *r)
{
	if (!r)
		return;
	if (results_several(r)) {
		merged_close(results_several(r));
		free(r);
		return;
	}
	struct gb_job *job = results_arg(r);

	results_reader(r, -1);
	client_lock(job->c);
	job->batch->handles--;
	job->batch->left_at = util_now();
	client_unlock(job->c);
	results_unref(r);
	output_rest(job);
	gb_job_unref(job);
}

int gb_results_size(struct gb_results *r, struct gb_waiter *w, int64_t *ret)
{
	if (results_several(r)) {
		*ret = merged_length(results_several(r));
		return 0;
	}
	int err = results_size(r, w, ret);
	struct gb_job *job = results_arg(r);

	if (!err && *ret >= 0)
		save_note_told(job, r, *ret);
	if (!err && *ret < 0) {
		client_lock(job->c);
		bool news = !job->batch->no_length;
		job->batch->no_length = true;
		client_unlock(job->c);
		if (news)
			job_changed(job, GB_CHANGED_FILES);
	}
	return err;
}

ssize_t gb_results_ready(
	struct gb_results *r, uint64_t off, size_t n, struct gb_waiter *w)
{
	return results_several(r) ? merged_ready(results_several(r), off, n, w)
				  : results_ready(r, off, n, w);
}

ssize_t gb_results_read(struct gb_results *r, void *buf, size_t n, uint64_t off)
{
	return results_several(r) ? merged_read(results_several(r), buf, n, off)
				  : results_read(r, buf, n, off);
}

bool gb_results_final(struct gb_results *r)
{
	if (results_several(r))
		return false; /* it grows by the rounds to come */
	struct gb_job *job = results_arg(r);

	client_lock(job->c);
	bool sure = job->batch->results_size >= 0 && !job->batch->size_told &&
		    !job->batch->resized;
	client_unlock(job->c);
	return sure && results_final(r);
}
