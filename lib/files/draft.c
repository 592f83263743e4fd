#include "files/files.h"
#include "jobs/parts.h"
#include "jobs/split.h"
#include "store/dir_names.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <string.h>

static void now_to(struct record *r)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts); /* wall: shown */
	r->made_s = ts.tv_sec;
	r->made_ns = ts.tv_nsec;
}

static int new_record(struct gb_client *c, const char *name, const char *display,
	bool listed, struct record *r)
{
	record_init(r);
	r->own = true;
	r->name_unchecked = !listed;
	now_to(r);
	if (counted_set(&r->name, name) || counted_set(&r->display, display) ||
		counted_set(&r->model, c->o.model)) {
		record_clear(r);
		return -ENOMEM;
	}
	return 0;
}

/* Lock held. By a job, or by parts that another machine made. */
static bool name_is_taken(struct gb_client *c, const char *name)
{
	return job_find_name(c, name) || parts_bear_name(c, name);
}

/* Lock held. Another job's display name may be this one without bearing it here. */
static struct gb_job *enlist_draft(struct gb_client *c, const char *name,
	const char *lid, struct record *r, int *err)
{
	struct gb_job *job;

	if (name_is_taken(c, name)) {
		*err = -EEXIST;
		return NULL;
	}
	job = job_new(c);
	*err = job ? job_set_name(job, name, NULL) : -ENOMEM;
	if (!*err)
		*err = job_dir_attach(job, lid, r);
	if (!*err)
		*err = files_add_inputs(job);
	if (*err)
		return NULL;
	job->model = client_intern(c, remote_model_name(job->dir->rec.model));
	job->in_tree = true;
	return gb_job_ref(job);
}

int gb_draft_create(
	struct gb_client *c, const char *name, bool listed, struct gb_job **ret)
{
	char display[NAME_SIZE], lid[LID_SIZE];
	struct record r;
	int err = name_decode(name, display);

	if (!err && c->o.readonly)
		err = -EROFS;
	if (!err)
		err = new_record(c, name, display, listed, &r);
	if (err)
		return err;
	client_lock(c);
	err = name_is_taken(c, name) ? -EEXIST : 0;
	client_unlock(c);
	_cleanup_close_ int dir = err ? -1 : store_job_make(c->store, lid);
	test_point("draft-made");
	if (!err)
		err = dir < 0 ? dir : store_journal_save(dir, &r);
	test_point("draft-written");
	struct gb_job *job = NULL;
	if (!err) {
		client_lock(c);
		job = enlist_draft(c, name, lid, &r, &err);
		client_unlock(c);
	}
	if (err && dir >= 0)
		util_remove_tree(c->store->jobs, lid);
	record_clear(&r);
	if (err)
		return err;
	job_changed(job, GB_CHANGED_TREE);
	*ret = job;
	return 0;
}

int gb_draft_rename(struct gb_job *job, const char *name, bool listed)
{
	struct gb_client *c = job->c;
	char display[NAME_SIZE];
	int err = name_decode(name, display);

	if (err)
		return err;
	_cleanup_counted_ const char *copy = counted_new(name);
	_cleanup_counted_ const char *shown = counted_new(display);
	if (!copy || !shown)
		return -ENOMEM;
	client_lock(c);
	if (!job->in_tree)
		err = -ENOENT;
	else if (!phase_is_draft(job_phase(job)) || job->dir->task)
		err = -EPERM;
	else if (parts_bear_name(c, name))
		err = -EEXIST;
	else
		err = job_set_name(job, name, NULL);
	if (!err) {
		counted_take(&job->dir->rec.name, &copy);
		counted_take(&job->dir->rec.display, &shown);
		job_share_strings(job);
		job->dir->rec.name_unchecked = !listed;
	}
	client_unlock(c);
	if (err)
		return err;
	err = job_dir_save(job);
	job_changed(job, GB_CHANGED_TREE);
	return err;
}

int gb_draft_set_model(struct gb_job *job, const char *model)
{
	struct gb_client *c = job->c;
	int err = 0;

	if (!remote_model_valid(model))
		return -EINVAL;
	client_lock(c);
	if (!phase_is_draft(job_phase(job)))
		err = -EROFS;
	else if (job->dir->task)
		err = -EBUSY;
	else if (!(err = counted_set(&job->dir->rec.model, model))) {
		job_share_strings(job);
		job->model = client_intern(c, remote_model_name(model));
		record_forget_estimate(&job->dir->rec);
	}
	client_unlock(c);
	if (err)
		return err;
	err = job_dir_save(job);
	job_changed(job, GB_CHANGED_META);
	return err;
}

int gb_draft_set_split(struct gb_job *job, const char *split)
{
	_cleanup_free_ char *copy = strdup(split);
	int64_t n;
	int err = copy ? split_parse(split, &n) : -ENOMEM;

	if (err)
		return err;
	client_lock(job->c);
	if (!phase_is_draft(job_phase(job)))
		err = -EROFS;
	else if (job->dir->task)
		err = -EBUSY;
	else
		record_take(&job->dir->rec.split, &copy);
	client_unlock(job->c);
	if (err)
		return err;
	err = job_dir_save(job);
	job_changed(job, GB_CHANGED_META);
	return err;
}

void gb_draft_set_times(struct gb_job *job, const struct timespec *mtime)
{
	client_lock(job->c);
	bool draft = phase_is_draft(job_phase(job));
	if (draft) {
		job->dir->rec.made_s = mtime->tv_sec;
		job->dir->rec.made_ns = mtime->tv_nsec;
	}
	client_unlock(job->c);
	if (draft)
		job_dir_save_soon(job);
}
