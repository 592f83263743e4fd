/*
 * Which results a start finds saved and in the cache, and what happens to saved copies
 * with a damaged map.
 *
 * If the journal says that the saved copy was complete, but its map cannot be read, its
 * checksums are lost. The copy stays as it is until the output has been downloaded
 * again beside it. If the API does not have it any more, the copy is all there is: if
 * it has its former length and looks like an output, it is accepted, with a new map.
 */
#include "archive/recover.h"
#include "archive/save.h"
#include "provider/all/ids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

int recover_results(struct gb_job *job)
{
	struct record *r = &job->dir->rec;
	_cleanup_close_ int dir = job_dir_open(job);
	int64_t size = r->batch->results_size;
	int found = dir < 0 ? dir : results_mapped(dir, RESULTS_FILE, &size);

	if (found < 0 && util_reading(found) == READ_FAILED)
		return found;
	r->batch->results_size = size;
	r->batch->home = found == 1;
	job->batch->kept = found < 0 && r->batch->results_size > 0;
	job->batch->results_size = r->batch->results_size;
	if (job->batch->kept)
		client_log(job->c, LOG_WARNING,
			"results of %s: the checksums of the saved copy are damaged; "
			"the copy is kept until the results have been fetched again",
			job_label(job));
	return 0;
}

static int look_in_cache(struct gb_client *c, const char *name)
{
	char id[REMOTE_ID_SIZE];
	int64_t size;

	struct gb_job *job =
		remote_id_from(REMOTE_BATCH, name, id) ? job_find_id(c, id) : NULL;
	if (!job || (job->dir && job->dir->rec.own))
		return 0;
	int found = results_sealed(c->store->results, name, &size);
	if (found < 0 && util_reading(found) == READ_FAILED)
		return found;
	if (found == 1) {
		job->batch->cached = true;
		job->batch->results_size = size;
	}
	return 0;
}

int recover_cache(struct gb_client *c)
{
	_cleanup_close_ int fd = util_dup(c->store->results);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int err = 0;

	if (!d)
		return fd < 0 ? fd : -errno;
	fd = -1;
	rewinddir(d);
	while (!err && (e = util_readdir(d, &err)))
		err = look_in_cache(c, e->d_name);
	closedir(d);
	return err;
}

/* ---- kept -------------------------------------------------------------------------- */

static bool is_kept(struct gb_job *job, int64_t *ret_size)
{
	client_lock(job->c);
	bool kept = job->batch->kept;
	*ret_size = job->dir->rec.batch->results_size;
	client_unlock(job->c);
	return kept;
}

int recover_may_replace(struct gb_job *job, struct gb_results *r)
{
	int64_t size;

	if (!is_kept(job, &size))
		return 0;
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir < 0)
		return dir;
	if (results_known_size(r) != size && results_fits(dir, RESULTS_FILE, size) == 0)
		return -ENODATA;
	return results_seal(r);
}

static int tally_there(int dir, struct tally *ret)
{
	_cleanup_close_ int fd =
		openat(dir, RESULTS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return tally_file(fd, st.st_size, ret);
}

int recover_may_replace_by(
	struct gb_job *job, int dir, int64_t size, const struct tally *t, bool less)
{
	struct tally there;
	int64_t kept_size;
	bool kept = is_kept(job, &kept_size);
	int err = tally_there(dir, &there);

	if (err)
		return err == -ENOENT ? 0 : err;
	bool other = kept && size != kept_size && !tally_less(&there, t) &&
		     results_fits(dir, RESULTS_FILE, kept_size) == 0;
	/* Even a damaged copy may have answers that one odd reply leaves out. */
	return other || (less && tally_less(t, &there)) ? -ENODATA : 0;
}

/* Whether a download failed in a way that makes the saved copy the better choice. */
static bool is_hopeless(struct gb_job *job, int err)
{
	client_lock(job->c);
	bool missing = knowledge_final(&job->batch->known) ||
		       knowledge_standing(&job->batch->known, client_moment(job->c)) >=
			       STANDS_MISSING;
	bool over = job->c->o.offline || (err == -EBUSY && missing);
	client_unlock(job->c);
	return over || err == -ENODATA || err == -ENOENT;
}

/* A download of a different output is useless, and nobody has it open, because opens
 * wait. */
static void drop_new(struct gb_job *job, int dir)
{
	client_lock(job->c);
	struct gb_results *r = STEAL_PTR(job->batch->results);
	client_unlock(job->c);
	results_unref(r);
	unlinkat(dir, RESULTS_NEW_FILE, 0);
	unlinkat(dir, RESULTS_NEW_FILE ".map", 0);
}

int recover_take_kept(struct gb_job *job, int err)
{
	struct gb_client *c = job->c;
	int64_t size;

	if (!is_kept(job, &size) || !is_hopeless(job, err))
		return err;
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir < 0)
		return dir;
	err = results_adopt(dir, RESULTS_FILE, size);
	if (err && err != -EBADMSG)
		return err;
	drop_new(job, dir);
	client_lock(c);
	bool news = !job->batch->unfit;
	job->batch->unfit = err != 0;
	client_unlock(c);
	if (news)
		client_log(c, LOG_WARNING,
			err ? "results of %s: the saved copy is incomplete, and the "
			      "results cannot be fetched again; the copy is kept in "
			      "state_dir/jobs/%s"
			    : "results of %s: they cannot be fetched again; the saved "
			      "copy has its full length, and its checksums were "
			      "computed anew (jobs/%s)",
			job_label(job), job->dir->lid);
	if (!err)
		return save_note_safe(job, size, true);
	job_changed(job, GB_CHANGED_RESULTS | GB_CHANGED_FILES);
	return -ENODATA;
}
