#include "jobs/operation.h"
#include "answers/answers.h"
#include "answers/sources.h"
#include "archive/save.h"
#include "client/advice.h"
#include "client/cancel.h"
#include "client/describe.h"
#include "client/remove.h"
#include "client/retry.h"
#include "jobs/split.h"
#include "provider/errors.h"
#include "files/files.h"
#include "jobs/parts.h"
#include "store/job_catalog.h"
#include "submit/parts_send.h"

#include <errno.h>
#include <string.h>

static const char *const phase_names[PHASES] = {
	[PHASE_DRAFT] = "DRAFT",
	[PHASE_FAILED] = "SUBMIT_FAILED",
	[PHASE_UPLOADING] = "UPLOADING",
	[PHASE_QUEUED] = "QUEUED",
	[PHASE_SUBMITTING] = "SUBMITTING",
	[PHASE_UNCERTAIN] = "SUBMIT_UNCERTAIN",
	[PHASE_PARTS] = "QUEUED", /* no part of it is sent yet */
};

/* Lock held. The last state from the API, else how far the submission is. */
const char *describe_state(const struct gb_job *job)
{
	enum phase p = job_phase(job);

	if (job->batch->state_text[0])
		return job->batch->state_text;
	if (p == PHASE_REMOTE || p == PHASE_SENT)
		return remote_state_text(
			p == PHASE_SENT ? REMOTE_STATE_PENDING : REMOTE_STATE_NONE);
	return phase_names[p];
}

/* Lock held. */
static bool is_refused(const struct gb_job *job)
{
	return knowledge_output(&job->batch->known, job_moment(job)) ==
		       OUTPUT_REFUSED &&
	       !save_is_safe(job);
}

static bool is_missing(const struct gb_job *job)
{
	return job->dir && !knowledge_final(&job->batch->known) &&
	       knowledge_standing(&job->batch->known, job_moment(job)) >=
		       STANDS_MISSING;
}

/* Lock held. The submitting program was interrupted too late to stop the submission. */
static bool goes_on_alone(const struct gb_job *job)
{
	const struct operation *t = job->dir ? job->dir->task : NULL;

	return t && t->sends && t->left && job_phase(job) == PHASE_SUBMITTING;
}

bool describe_lacks_results(struct gb_job *job)
{
	return is_refused(job) || save_in_vain(job) ||
	       job_output(job) == GB_OUTPUT_LOST ||
	       job_output(job) == GB_OUTPUT_DAMAGED;
}

/* Lock held. It came to nothing, or to less than was asked. */
static bool has_failed(const struct gb_job *job)
{
	return job->batch->has_api_error || is_missing(job);
}

bool describe_is_wrong(struct gb_job *job)
{
	return files_has_mistake(job) || (job->dir && job->dir->rec.error) ||
	       goes_on_alone(job) || describe_lacks_results(job) ||
	       (job->dir && job->dir->other_key) ||
	       (has_failed(job) && !job->batch->made_good);
}

bool describe_has_error(struct gb_job *job)
{
	return describe_is_wrong(job) || has_failed(job);
}

static time_t results_expiry(const struct gb_job *job)
{
	int life = job->c->api.provider->limits->job_life;

	if (knowledge_ended(&job->batch->known))
		return job->batch->ended_at.tv_sec ? job->batch->ended_at.tv_sec + life
						   : 0;
	return job->batch->created.tv_sec ? job->batch->created.tv_sec + life : 0;
}

/* Fill in what only jobs with a directory of their own have. */
static void local_info(struct gb_job *job, struct gb_info *i)
{
	const struct record *r = &job->dir->rec;

	i->own = r->own;
	i->split = split_text(job);
	i->rounds = (uint32_t)r->rounds;
	i->retries_left = record_retries(r, job->c->o.retries) > 0
				  ? (uint32_t)r->retries_left
				  : 0;
	i->draft = phase_is_draft(r->batch->phase) &&
		   !(job->dir->task && job->dir->task->intended);
	i->submitted = !phase_is_draft(r->batch->phase);
	i->submit_errno = r->batch->phase == PHASE_FAILED ? -r->err : 0;
	i->removing = r->removal != REMOVAL_NONE && !job->dir->forgotten;
	i->has_requests = files_has(job, GB_REQUESTS);
	i->estimated_tokens = r->estimate_tokens;
	i->estimate_percent = r->estimate_percent;
	snprintf(i->estimated_cost, sizeof(i->estimated_cost), "%s",
		r->estimate_cost ? r->estimate_cost : "");
	if (!job->batch->created.tv_sec)
		i->created = (struct timespec){r->made_s, r->made_ns};
	if (i->requests < 0)
		i->requests = r->batch->requests;
	/* The server's clock may be behind: results are newer than what they answer. */
	if (i->ended_at.tv_sec && i->ended_at.tv_sec < r->batch->sent_at)
		i->ended_at = (struct timespec){r->batch->sent_at, 0};
}

/* Of a time on our clock, 0: none. */
static time_t wall_time_of(double at)
{
	return at ? time(NULL) - (time_t)(util_now() - at) : 0; /* wall: shown */
}

void describe_one(struct gb_job *job, struct gb_info *ret)
{
	const struct gb_job *dir = job_directory(job);

	*ret = (struct gb_info){
		.slot = job->slot,
		.name = job->name ? job->name : "",
		.dir_name = dir->name ? dir->name : "",
		.dir_slot = dir->slot,
		.is_part = job->parent != NULL,
		.part = parts_number(job),
		.parts = 1,
		.parts_sent = job->batch->id != NULL,
		.parts_ended = knowledge_ended(&job->batch->known),
		.split = "",
		.id = job->batch->id,
		.state = describe_state(job),
		.model = job->model ? job->model : "",
		.submitted = true,
		.sent = job->batch->id != NULL,
		.ended = knowledge_final(&job->batch->known),
		.has_error = describe_has_error(job),
		.has_warnings = advice_has(job),
		.output = job_output(job),
		.results_safe = save_is_safe(job),
		.results_size = job->batch->results_size,
		.results_told = job->batch->size_told,
		.results_unmeasured =
			job->batch->no_length && job->batch->results_size < 0,
		.results_refused = is_refused(job),
		.created = job->batch->created,
		.ended_at = job->batch->ended_at,
		.updated = job->batch->updated,
		.requests = job->batch->requests,
		.succeeded = job->batch->succeeded,
		.failed = job->batch->failed,
		.pending = job->batch->pending,
		.estimated_tokens = -1,
		.learnt = wall_time_of(job->batch->learnt),
		.expires = results_expiry(job),
	};
	answers_part_info(job, ret);
	if (job->dir)
		local_info(job, ret);
}

/* Lock held. The last of them that was bought, as they are numbered in the order in
 * which they were made: stat of parts/ does not look at thousands. */
static struct timespec newest_part(struct gb_job *dir)
{
	struct timespec made = {0};

	for (uint32_t i = parts_several(dir) ? parts_count(dir) : 0; i-- > 0;)
		if ((made = parts_at(dir, i)->batch->created).tv_sec)
			break;
	return made;
}

void gb_part_info(struct gb_job *part, struct gb_info *ret)
{
	client_lock(part->c);
	describe_one(part, ret);
	ret->grown = newest_part(part);
	client_unlock(part->c);
}

char *gb_part_json(struct gb_job *job)
{
	struct gb_client *c = job->c;
	char *text = NULL;
	size_t n;

	client_lock(c);
	int64_t off = job->batch->known_off;
	bool kept = job->dir && job->batch->id;
	client_unlock(c);
	if (off >= 0)
		return catalog_json(c->store, off);
	if (!kept)
		return NULL;
	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir >= 0)
		DROP(util_read_file(dir, "job.json", 16 << 20, &text, &n)); /* NULL */
	pthread_mutex_unlock(&job->dir->disk);
	return text;
}

/* ---- error ----------------------------------------------------------------------- */

static char *error_of_api(struct gb_job *job, enum remote_state state)
{
	_cleanup_free_ char *json = gb_job_json(job);
	struct remote_batch b = {0};
	char *text;

	if (json)
		job->c->api.provider->parse(json, strlen(json), &b);
	if (state == REMOTE_STATE_EXPIRED)
		text = util_format("The job expired: it was not finished within %d "
				   "hours. You may still be charged.\n"
				   "To ask again: echo retry > ctl. In smaller parts: "
				   "mkdir NEW && cp retry.jsonl NEW/requests.jsonl\n"
				   "%s%s",
			job->c->api.provider->limits->job_life / 3600,
			b.error_text ? b.error_text : "", b.error_text ? "\n" : "");
	else
		text = util_format("The job failed at the API (%s).\n"
				   "See its message below. Fix the requests if they "
				   "caused it; to send them again as they are: echo "
				   "retry > ctl\n"
				   "%s\n",
			errors_grpc_name(b.error_code),
			b.error_text ? b.error_text : "");
	remote_batch_clear(&b);
	return text;
}

static char *damage_text(struct gb_job *job)
{
	return util_format("A part of results.jsonl is damaged on this disk, and the "
			   "API does not have the output any more.\n"
			   "The undamaged parts can be read (dd bs=1M conv=noerror). "
			   "The damaged file itself is %s/jobs/%s/results.jsonl\n",
		job->c->o.state_dir, job->dir->lid);
}

static char *refused_text(unsigned status, double in, const char *words)
{
	char when[32];
	time_t t = time(NULL) + (time_t)(in > 0 ? in : 0); /* wall: shown */

	util_time_text(t, when);
	return util_format(
		"The results are not saved: the API refused to send them (it answered "
		"%u).\n"
		"batchfs asks for them again, next at %s; to ask now: echo fetch > "
		"ctl. If another key made the job, mount with that key.\n"
		"%s%s",
		status, when, words ? words : "", words ? "\n" : "");
}

static char *in_vain_text(int err, double in)
{
	char when[32];
	time_t t = time(NULL) + (time_t)(in > 0 ? in : 0); /* wall: shown */

	util_time_text(t, when);
	return util_format("The results are not saved yet: %s.\n"
			   "batchfs asks for them again, next at about %s; to ask now: "
			   "echo fetch > ctl. How long the API keeps them: "
			   ".batchfs/status\n",
		errors_meaning(err), when);
}

/* since: by wall_time_of. */
static char *vanished_text(time_t since)
{
	char when[32] = "";

	if (since)
		util_time_text(since, when);
	return util_format("The API does not know this job any more%s%s%s: it was "
			   "removed there, and its results with it.\n"
			   "To send (and pay for) its requests again: echo retry > "
			   "ctl, once all else has ended. The copies on this machine "
			   "stay until rmdir.\n",
		since ? " (since " : "", when, since ? ", or before)" : "");
}

/* What is wrong as far as the API is concerned; lock not held. */
static char *remote_error(struct gb_job *job, bool by_directory)
{
	client_lock(job->c);
	struct moment m = client_moment(job->c);
	enum gb_output output = job_output(job);
	bool refused = is_refused(job), missing = is_missing(job);
	int in_vain = save_in_vain(job);
	bool vanished = job_has_vanished(job) && answers_ended_with_nothing(job) &&
			answers_sent_here(job);
	time_t since = wall_time_of(knowledge_missed_since(&job->batch->known));
	bool other_key = job->dir && job->dir->other_key;
	bool failed = job->batch->has_api_error;
	bool good = by_directory && job->batch->made_good;
	unsigned status = knowledge_refusal(&job->batch->known);
	double in = knowledge_fetch_at(&job->batch->known) - m.now;
	_cleanup_free_ char *words =
		job->batch->refusal ? strdup(job->batch->refusal) : NULL;
	enum remote_state state = job->batch->state;
	client_unlock(job->c);
	if (other_key)
		return strdup("This job was made with another key, so it cannot be "
			      "removed with this one.\n"
			      "Mount with that key. To remove it anyway, even if it "
			      "still runs and costs money: echo forget > ctl\n");
	if (output == GB_OUTPUT_DAMAGED)
		return damage_text(job);
	if (output == GB_OUTPUT_LOST)
		return strdup("The API does not have the output any more, and it is "
			      "not saved here.\n"
			      "If the job belongs to another project, mount with that "
			      "project's key. Otherwise the requests must be sent (and "
			      "paid for) again.\n");
	if (refused)
		return refused_text(status, in, words);
	if (in_vain)
		return in_vain_text(in_vain, in);
	if (good)
		return NULL;
	if (failed)
		return error_of_api(job, state);
	if (vanished)
		return vanished_text(since);
	if (missing)
		return strdup("The API does not know this job (any more), or it "
			      "belongs to another key's project.\n"
			      "The copies on this machine stay until rmdir. If rmdir "
			      "cannot finish: echo forget > ctl\n");
	return NULL;
}

char *describe_error(struct gb_job *job, bool by_directory)
{
	client_lock(job->c);
	const char *own = job->dir ? job->dir->rec.error : NULL;
	if (!own && goes_on_alone(job))
		own = "The submission was interrupted while the job was being created, "
		      "so it goes on.\n"
		      "Do not submit it again. state shows what became of it; to stop "
		      "the job then: echo cancel > ctl, or rmdir\n";
	_cleanup_free_ char *text = own ? strdup(own) : NULL;
	client_unlock(job->c);
	if (!text)
		text = files_mistake(job);
	char *more = remote_error(job, by_directory);
	if (!text || !more)
		return more ? more : STEAL_PTR(text);
	char *both = util_format("%s%s", text, more);
	free(more);
	return both;
}

char *gb_part_error(struct gb_job *job)
{
	return describe_error(job, false);
}

/* ---- verbs ----------------------------------------------------------------------- */

unsigned gb_verbs(struct gb_job *job)
{
	unsigned verbs = 0;

	client_lock(job->c);
	enum phase p = job_phase(job);
	bool busy = job->dir && job->dir->task;
	if (phase_is_draft(p) && !busy && !job->parent)
		verbs |= GB_SUBMIT | GB_CHECK | GB_ESTIMATE | GB_QUEUE;
	if (job->dir && parts_may_resume(job))
		verbs |= GB_SUBMIT | GB_QUEUE;
	if (cancel_fits(job))
		verbs |= GB_CANCEL;
	for (uint32_t i = 0; i < parts_count(job); i++)
		if (save_is_possible(parts_at(job, i)))
			verbs |= GB_FETCH_VERB;
	if (retry_fits(job))
		verbs |= GB_RETRY;
	if (submit_is_unsettled(job))
		verbs |= GB_ADOPT | GB_RESUBMIT;
	if (remove_may_forget(job))
		verbs |= GB_FORGET;
	client_unlock(job->c);
	return verbs;
}
