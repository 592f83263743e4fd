/*
 * What a person or a start can ask of a submission: submit, check, adopt, resubmit, and
 * going on after a crash.
 */
#include "files/files.h"
#include "jobs/bind.h"
#include "jobs/messages.h"
#include "submit/estimate.h"
#include "jobs/parts.h"
#include "submit/reconcile.h"
#include "files/composed_draft.h"
#include "submit/parts_send.h"
#include "submit/submit.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

/* ---- verbs ---------------------------------------------------------------------- */

/* Lock held. */
static int may_submit(struct gb_job *job)
{
	if (job->c->o.readonly)
		return -EROFS;
	if (!job->dir || !phase_is_draft(job->dir->rec.batch->phase) || job->dir->task)
		return -EBUSY;
	return 0;
}

/* Lock held. */
static int may_check(struct gb_job *job)
{
	return job->dir && phase_is_draft(job->dir->rec.batch->phase) ? 0 : -EBUSY;
}

static int no_requests(struct gb_job *job)
{
	_cleanup_free_ char *mistake = files_mistake(job);

	job_dir_error(job, -EBADMSG,
		"There is nothing to send: this draft has no requests.",
		"Write requests.jsonl, one request per line; or copy files into "
		"inputs/ and write into prompt.txt what to ask about them.",
		mistake);
	files_changed(job);
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
	return -EBADMSG;
}

static int not_offline(struct gb_job *job)
{
	if (!job->c->o.offline)
		return 0;
	message_tell(
		job, -EHOSTUNREACH, false, "This mount was started with -o offline.\n");
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
	return -EHOSTUNREACH;
}

static int refuse_mixed_draft(struct gb_job *job)
{
	int err = compose_draft_refuse_mixed(job);

	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
	return err;
}

/* By a close: only requests.jsonl, and only what has not been decided. */
static bool worth_submitting(struct gb_file *f)
{
	struct stat st;

	return f && !files_is_decided(f) && !gb_file_stat(f, &st) && st.st_size > 0 &&
	       !gb_file_tainted(f);
}

/* The two ways that a draft can be gone through. */
struct way {
	int (*may)(struct gb_job *job); /* lock held */
	int (*requests)(struct operation *t);
	int (*composed)(struct operation *t);
	bool sends;
};

static const struct way submitting = {
	may_submit, submit_run, submit_composed_run, true};
static const struct way checking = {
	may_check, submit_check_run, submit_check_composed_run, false};
static const struct way estimating = {
	may_check, estimate_run, estimate_composed_run, false};

/* f is requests.jsonl, of job or to be moved to it; NULL: it is composed. Who reads the
 * parts reads all of them: none may change meanwhile. */
static int start_submission(struct gb_job *job, const struct way *way, bool background,
	struct gb_file *f, struct gb_job *from, const struct gb_terms *terms,
	struct gb_waiter *w)
{
	struct operation fill = {.file = f, .from = from, .gathers = !f,
		.terms = terms ? *terms : (struct gb_terms){.retries = -1},
		.sends = way->sends, .background = way->sends && background};
	int err = way->sends && !background ? not_offline(job) : 0;

	test_point("submit-chosen");
	return err ? err
		   : operation_start(job, POOL_LONG, f ? way->requests : way->composed,
			     true, true, &fill, w);
}

static int go(struct gb_job *job, const struct way *way, enum gb_by by,
	const struct gb_terms *terms, struct gb_waiter *w)
{
	bool background = job->c->o.background || by == GB_BY_QUEUE;

	client_lock(job->c);
	bool rest = way->sends && by != GB_BY_CLOSE && !job->c->o.readonly &&
		    job->dir && parts_may_resume(job);
	int err = way->may(job);
	struct gb_file *f = err ? NULL : files_find(job, GB_REQUESTS);
	enum compose_draft_kind kind =
		err || by == GB_BY_CLOSE ? GATHER_REQUESTS : compose_draft_kind(job);
	if (f)
		gb_file_ref(f);
	client_unlock(job->c);
	if (rest)
		return parts_resume(job);
	if (err)
		return err;
	if (by == GB_BY_CLOSE && !worth_submitting(f))
		goto out;
	if (kind == GATHER_MIXED)
		err = refuse_mixed_draft(job);
	else if (kind == GATHER_NOTHING)
		err = no_requests(job);
	else
		err = start_submission(job, way, background,
			kind == GATHER_COMPOSED ? NULL : f, NULL, terms, w);
out:
	gb_file_unref(f);
	return err;
}

int gb_submit(struct gb_job *job, enum gb_by by, struct gb_waiter *w)
{
	return go(job, &submitting, by, NULL, w);
}

int gb_submit_on(struct gb_job *job, enum gb_by by, const struct gb_terms *terms,
	struct gb_waiter *w)
{
	return go(job, &submitting, by, terms, w);
}

int gb_check(struct gb_job *job, struct gb_waiter *w)
{
	return go(job, &checking, GB_BY_CTL, NULL, w);
}

/* Of what was submitted. It owns nothing, and nobody waits for it but who asked. */
static int estimate_sent(struct gb_job *job, struct gb_waiter *w)
{
	client_lock(job->c);
	struct gb_file *f = job->dir ? files_find(job, GB_REQUESTS) : NULL;
	if (f)
		gb_file_ref(f);
	client_unlock(job->c);
	struct operation fill = {.file = f};
	int err = f ? operation_start(job, POOL_LONG, estimate_sent_run, false, true,
			      &fill, w)
		    : -EBUSY;
	gb_file_unref(f);
	return err;
}

int gb_estimate(struct gb_job *job, struct gb_waiter *w)
{
	if (job->c->o.offline)
		return -EHOSTUNREACH;
	client_lock(job->c);
	bool draft = phase_is_draft(job_phase(job));
	client_unlock(job->c);
	return draft ? go(job, &estimating, GB_BY_CTL, NULL, w) : estimate_sent(job, w);
}

int gb_submit_rename(struct gb_job *from, struct gb_file *dir, const char *name,
	struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;

	client_lock(c);
	int err = may_submit(job);
	if (!err && from->dir && from->dir->task)
		err = -EBUSY;
	struct gb_file *f = err ? NULL : files_find_in(from, dir, name);
	if (f)
		gb_file_ref(f);
	client_unlock(c);
	if (!err)
		err = f ? start_submission(
				  job, &submitting, c->o.background, f, from, NULL, w)
			: -ENOENT;
	gb_file_unref(f);
	return err;
}

/* Lock held. */
static bool unsettled(struct gb_job *job)
{
	enum phase p = job_phase(job);

	return p == PHASE_UNCERTAIN || (p == PHASE_SUBMITTING && !job->dir->task) ||
	       (p == PHASE_SUBMITTING && job->dir->rec.error);
}

/* A part has no file of its own: its requests are its directory's. */
static int resubmit_one(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	struct gb_file *f = NULL;
	int err = job->dir && !c->o.readonly ? submit_finish_rename(job) : 0;

	if (err)
		return err;
	client_lock(c);
	bool part = job->parent;
	if (c->o.readonly)
		err = -EROFS;
	else if (c->o.offline)
		err = -EHOSTUNREACH;
	else if (!unsettled(job) || job->dir->task)
		err = -EBUSY;
	else if (!part && !(f = files_find(job, GB_REQUESTS)))
		err = -ENOENT;
	if (f)
		gb_file_ref(f);
	client_unlock(c);
	if (!err) {
		struct operation fill = {.file = f, .again = true};

		err = operation_start(job, POOL_LONG,
			part ? submit_part_run : submit_run, true, true, &fill, w);
	}
	gb_file_unref(f);
	return err;
}

bool submit_is_unsettled(struct gb_job *job)
{
	for (uint32_t i = 0; i < parts_count(job); i++)
		if (unsettled(parts_at(job, i)))
			return true;
	return false;
}

int gb_resubmit(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_job *meant = parts_unsettled(job);
	int err = resubmit_one(meant ? meant : job, w);

	gb_job_unref(meant);
	return err;
}

static bool is_for(const struct record *r, const char *input_file)
{
	const char *own = r->batch->input_file;

	return (own && strcmp(own, input_file) == 0) ||
	       record_find_intent(r, input_file) < r->n_put_by;
}

/* Lock held: which other job of ours the API's job b belongs to, or may belong to; or
 * NULL. */
static struct gb_job *whose(
	struct gb_client *c, const struct remote_batch *b, const struct gb_job *but)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];
		const struct record *r = job->dir ? &job->dir->rec : NULL;

		if (!r || !r->own || job == but)
			continue;
		if ((job->batch->id && strcmp(job->batch->id, b->id) == 0) ||
			(b->input_file && is_for(r, b->input_file)))
			return job;
	}
	return NULL;
}

static int refuse_adoption(struct gb_job *job, const struct gb_job *owner)
{
	client_lock(job->c);
	enum phase p = job_phase(job);
	_cleanup_free_ char *what = util_format(
		"That job belongs to another directory: its requests were sent for %s.",
		job_directory((struct gb_job *)owner)->name
			? job_directory((struct gb_job *)owner)->name
			: "a job that is being removed");
	client_unlock(job->c);
	if (!phase_is_unanswered(p) ||
		!job_dir_error_turn(job, p, p, -EBUSY, what,
			"If another job at the API is this one: echo adopt ID > ctl. To "
			"submit again (and possibly pay twice): echo resubmit > ctl",
			NULL))
		return -EBUSY;
	job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
	return -EBUSY;
}

/* Lock held: a person says that b is the job, which was made of another file than ours:
 * so the one that was made of ours may still turn up. */
static int keep_intent(struct gb_job *job, const struct remote_batch *b)
{
	const char *own = job->dir->rec.batch->input_file;
	bool other = own && b->input_file && strcmp(own, b->input_file) != 0;

	return other ? job_put_by(job, PHASE_UNCERTAIN) : 0;
}

static int adopt_run(struct operation *t)
{
	struct gb_client *c = t->job->c;
	struct provider_error err = {0};
	struct remote_batch b;
	int ret = provider_get(&c->api, t->arg, &t->cancel, &b, &err);

	client_called(c, &err);
	if (!ret) {
		client_lock(c);
		bool fits = unsettled(t->job) && !t->job->dir->creating;
		struct gb_job *owner = whose(c, &b, t->job);
		if (fits && !owner)
			ret = keep_intent(t->job, &b);
		client_unlock(c);
		if (owner)
			ret = refuse_adoption(t->job, owner);
		else if (!ret)
			ret = fits ? bind_batch(t->job, &b) : -EBUSY;
		if (ret == -EEXIST)
			ret = -EBUSY;
		remote_batch_clear(&b);
	}
	provider_error_clear(&err);
	return ret == -ECANCELED ? -EINTR : ret;
}

int gb_adopt(struct gb_job *job, const char *id, struct gb_waiter *w)
{
	char full[REMOTE_ID_SIZE];

	if (!remote_id_from(REMOTE_BATCH, id, full))
		return -EINVAL;
	struct gb_job *meant = parts_unsettled(job);
	client_lock(job->c);
	bool fits = meant && unsettled(meant);
	client_unlock(job->c);
	struct operation fill = {.arg = full};
	int err = fits ? operation_start(meant, POOL_SHORT, adopt_run, false, true,
				 &fill, w)
		       : -EBUSY;
	gb_job_unref(meant);
	return err;
}

/* ---- recovery --------------------------------------------------------- */

static void other_key(struct gb_job *job)
{
	job_dir_error(job, -EACCES, "This job was queued for another key or endpoint.",
		"Mount with that key again to send it, or remove it with rmdir.", NULL);
}

int submit_finish_rename(struct gb_job *job)
{
	struct record *r = &job->dir->rec;

	client_lock(job->c);
	enum phase since = r->background ? PHASE_UPLOADING : PHASE_SUBMITTING;
	bool pending = r->batch->source && !job->dir->task && !job->c->o.readonly;
	bool due = pending && r->batch->phase >= (int)since;
	struct gb_file *f = due ? files_by_path(job, r->batch->source) : NULL;
	if (f)
		gb_file_ref(f);
	client_unlock(job->c);
	int err = f ? files_promote(job, f, job) : 0;
	gb_file_unref(f);
	if (err)
		client_log(job->c, LOG_ERR,
			"%s: the rename to requests.jsonl was started and cannot be "
			"finished: %s",
			job_label(job), strerror(-err));
	if (err || !pending)
		return err;
	client_lock(job->c);
	record_unset(&r->batch->source);
	client_unlock(job->c);
	job_dir_save_soon(job);
	return 0;
}

/* The power failed while the requests were being written to the disk and sent: fewer
 * are here than were sent. */
static void find_cut_short(struct gb_job *job)
{
	struct record *r = &job->dir->rec;
	long long size = -1;
	struct stat st;

	client_lock(job->c);
	struct gb_file *f = r->batch->source ? files_by_path(job, r->batch->source)
				      : files_find(job, GB_REQUESTS);
	bool sent = r->batch->phase == PHASE_UPLOADING && f && r->batch->sent_stamp &&
		    sscanf(r->batch->sent_stamp, "%*s %*s %*s %*s %lld", &size) == 1;
	if (sent)
		gb_file_ref(f);
	client_unlock(job->c);
	if (!sent)
		return;
	if (gb_file_stat(f, &st) == 0 && st.st_size != size)
		gb_file_taint(f, "not submitted: the machine stopped before the whole "
				 "file was on disk");
	gb_file_unref(f);
}

static void tell_cut_off(struct gb_job *job)
{
	client_lock(job->c);
	bool told = job->dir->rec.error;
	client_unlock(job->c);
	if (!told)
		job_dir_error(job, -EINTR,
			"batchfs was ended while this was being submitted: nothing was bought.",
			"What was written is still here. To submit it: echo submit > ctl",
			NULL);
}

/* Of what was under way: queued work goes on; the rest is a draft again, if it crashed
 * before the create was intended. Returns what it was; *ret_ours: this key and endpoint
 * are those that it is for. */
static enum phase recover_phase(struct gb_job *job, bool *ret_ours)
{
	client_lock(job->c);
	enum phase was = job_phase(job);
	if (was == PHASE_UPLOADING)
		job_set_phase(
			job, job->dir->rec.background ? PHASE_QUEUED : PHASE_DRAFT);
	*ret_ours = identity_same_key(job);
	client_unlock(job->c);
	return was;
}

void submit_recover(struct gb_job *job)
{
	if (!job_is_part_now(job))
		parts_recover(job);
	find_cut_short(job);
	/* If it fails, nothing is sent before it has been done. */
	DROP(submit_finish_rename(job));
	bool ours;
	enum phase was = recover_phase(job, &ours), is = job_phase_now(job);
	if (was == PHASE_UPLOADING && is == PHASE_DRAFT)
		tell_cut_off(job);
	else if (is == PHASE_SUBMITTING)
		reconcile_later(job);
	if (is == PHASE_QUEUED && !ours)
		other_key(job);
}
