/*
 * What replies of the API teach. A reply is applied only if its call began after the
 * one that told what is known, so a slow reply never overwrites newer knowledge.
 */
#include "client.h"
#include "known.h"
#include "names.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

/* After this long an end without output or error is believed (interface: Freshness). */
enum { GIVE_UP_AFTER = 3600 };
/* A log of known jobs this large is looked through for what is old. */
enum { KNOWN_TIDY = 1 << 20 };

/* Bytes of memory for jobs that others made: some 110,000. A server that never comes to an
 * end must not fill the memory. */
#define MET_MAX ((size_t)46 << 20)

uint64_t learn_seq(struct gb_client *c)
{
	client_lock(c);
	uint64_t seq = ++c->seq;
	client_unlock(c);
	return seq;
}

static const char *tail_of(const char *id)
{
	return id + strlen("batches/");
}

bool learn_full(const struct gb_client *c)
{
	return c->met_bytes >= MET_MAX;
}

/* What a job costs, about: with its strings, cells of indexes, heads of allocations. */
static size_t cost_of(const struct api_batch *b)
{
	size_t name = b->display ? strlen(b->display) : 0;

	return sizeof(struct gb_job) + 96 + strlen(b->id) + (name < NAME_SIZE ? name : NAME_SIZE) +
	       (b->output_file ? strlen(b->output_file) : 0);
}

/* Lock held. A job that this state directory has not met: it gets a name for good. */
static struct gb_job *meet(struct gb_client *c, const struct api_batch *b)
{
	char name[NAME_SIZE];
	struct gb_job *job = learn_full(c) ? NULL : job_new(c);

	if (!job || job_set_id(job, b->id))
		return NULL;
	c->met_bytes += cost_of(b);
	name_encode(b->display ? b->display : "", tail_of(b->id), name);
	if (job_set_name(job, name, tail_of(b->id)))
		return NULL;
	return job;
}

static bool end_is_final(struct gb_job *job)
{
	time_t end = job->ended_at.tv_sec ? job->ended_at.tv_sec : job->updated.tv_sec;

	if (!job->api_ended)
		return false;
	if (job->output_file || job->output_inline || job->has_api_error)
		return true;
	return engine_server_time(job->c->engine) - end >= GIVE_UP_AFTER;
}

/* Lists leave out inlined responses: an ended job without an input file, or one that
 * we sent inline, is believed to have some until a look of its own tells. */
static bool inline_presumed(
	const struct gb_job *job, const struct api_batch *b, bool listed)
{
	if (b->output_inline)
		return true;
	if (!listed || b->output_file || b->state != API_STATE_SUCCEEDED)
		return false;
	if (job->local && job->local->rec.own)
		return job->local->rec.is_inline;
	return !b->has_input_config;
}

static void set_file(char **field, const char *value)
{
	if (value && (!*field || strcmp(*field, value) != 0))
		record_set(field, value);
}

/* Lock held. What changed, as enum gb_change. */
static unsigned apply(struct gb_job *job, const struct api_batch *b, bool listed)
{
	const char *state = client_intern(job->c, b->state_text);
	bool had_output = job->output_file || job->output_inline, had = job->in_tree;
	bool was_error = job->has_api_error;
	unsigned what = 0;

	if (job->state_text != state || job->succeeded != b->succeeded ||
		job->failed != b->failed || job->pending != b->pending ||
		job->updated.tv_sec != b->updated.tv_sec)
		what |= GB_CHANGED_META;
	job->state = (uint8_t)b->state;
	job->state_text = state;
	if (b->model)
		job->model = client_intern(job->c, api_model_name(b->model));
	job->created = b->created;
	job->updated = b->updated;
	job->ended_at = b->ended_at;
	if (b->requests >= 0) {
		job->requests = b->requests;
		job->succeeded = b->succeeded;
		job->failed = b->failed;
		job->pending = b->pending;
	}
	job->api_ended = b->ended;
	job->embedding = b->embedding;
	set_file(&job->output_file, b->output_file);
	job->output_inline = !job->output_file && inline_presumed(job, b, listed);
	job->has_api_error = b->state == API_STATE_FAILED || b->state == API_STATE_EXPIRED ||
			     (b->error_code && b->state != API_STATE_CANCELLED &&
				     b->state != API_STATE_SUCCEEDED);
	job->closed = end_is_final(job);
	job->gone = job->denied = false;
	if (had_output != (job->output_file || job->output_inline) ||
		was_error != job->has_api_error)
		what |= GB_CHANGED_FILES;
	if (!had && !(job->local && job->local->rec.removal)) {
		job->in_tree = true;
		what |= GB_CHANGED_TREE;
	}
	return what;
}

static void keep_json(struct gb_job *job, const struct api_batch *b)
{
	int64_t off;

	if (!b->json)
		return;
	if (job->local) {
		local_keep_json(job, b->json);
		return;
	}
	if (known_add(job->c->store, b, &off) == 0) {
		client_lock(job->c);
		job->known_off = off;
		client_unlock(job->c);
	}
}

static void log_end(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	bool now = job->api_ended && job->local && job->local->rec.own &&
		   !job->local->rec.end_logged;
	if (now) {
		job->local->rec.end_logged = true;
		job->local->rec.end_due = c->o.ended != NULL;
	}
	bool cancelled = job->state == API_STATE_CANCELLED;
	client_unlock(c);
	if (!now)
		return;
	history_add(job, cancelled ? "cancelled" : "ended");
	local_save(job);
	queue_go_later(c, true);
}

static void name_given(struct gb_job *job)
{
	store_name_add(job->c->store, job->id, job_label(job));
}

/* Lock held: the job b speaks of, made if need be. *ret_owner: a submission of ours
 * that has just been found by its input file. */
static struct gb_job *place(struct gb_client *c, const struct api_batch *b, bool listed,
	struct gb_job **ret_owner, bool *ret_new)
{
	struct gb_job *job = job_find_id(c, b->id);

	if (job)
		return job;
	if (c->unsent) {
		*ret_owner = b->input_file ? settle_owner(c, b->input_file) : NULL;
		if (*ret_owner)
			return NULL;
		if (!b->has_input_config && settle_may_be_ours(c, b, listed))
			return NULL;
	}
	job = meet(c, b);
	*ret_new = job != NULL;
	return job;
}

struct gb_job *learn_batch(
	struct gb_client *c, const struct api_batch *b, uint64_t seq, bool listed)
{
	struct gb_job *owner = NULL;
	bool is_new = false;
	unsigned what = 0;

	client_lock(c);
	struct gb_job *job = place(c, b, listed, &owner, &is_new);
	if (owner)
		gb_job_ref(owner);
	if (job) {
		gb_job_ref(job);
		if (listed)
			job->listed_seq = seq;
		if (seq >= job->seq) {
			bool first = job->seq == 0;

			what = apply(job, b, listed);
			if (first)
				what |= GB_CHANGED_META | GB_CHANGED_FILES;
			job->seq = seq;
			job->learnt = util_now();
		}
	}
	client_unlock(c);
	if (owner) {
		submit_known(owner, b);
		return owner;
	}
	if (!job)
		return NULL;
	if (is_new)
		name_given(job);
	if (what) {
		keep_json(job, b);
		log_end(job);
		job_changed(job, what);
		if (b->ended)
			remove_ended(job);
	}
	if (b->ended)
		home_consider(job);
	return job;
}

/* A job of another key's project looks the same as one that is gone: what is ours, or
 * has results at home, stays (interface: Freshness). */
void learn_gone(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	job->gone = true;
	bool keep = (job->local && job->local->rec.own) || job_was_home(job) ||
		    job_output(job) == GB_OUTPUT_HOME;
	bool removing = job->local && job->local->rec.removal;
	bool leave = !keep && !removing && job->in_tree;
	if (leave) {
		job->in_tree = false;
		job->seq = 0;
	}
	client_unlock(c);
	if (leave)
		known_add_gone(c->store, job->id);
	job_changed(job, leave ? GB_CHANGED_TREE : 0);
	if (removing)
		remove_ended(job);
}

int learn_look(struct gb_job *job, struct canceller *cancel, struct api_error *err)
{
	struct gb_client *c = job->c;
	uint64_t seq = learn_seq(c);
	struct api_batch b;
	int ret = api_look(c->engine, job->id, cancel, &b, err);

	if (ret == 0) {
		gb_job_unref(learn_batch(c, &b, seq, false));
		api_batch_clear(&b);
	} else if (ret == -ENOENT) {
		learn_gone(job);
	}
	return ret;
}

/* ---- at start, before there are other threads ------------------------------------- */

static void remember_name(void *arg, const char *id, const char *name)
{
	struct gb_client *c = arg;

	if (job_find_id(c, id) || job_find_name(c, name))
		return;
	struct gb_job *job = job_new(c);
	if (job && job_set_id(job, id) == 0)
		job_set_name(job, name, tail_of(id));
}

static void remember_job(void *arg, const struct api_batch *b, bool gone, int64_t off)
{
	struct gb_client *c = arg;
	struct gb_job *job = job_find_id(c, b->id);

	if (!job && !gone)
		job = meet(c, b);
	if (!job || job->local)
		return;
	if (gone)
		job->in_tree = false;
	else
		apply(job, b, true);
	job->known_off = gone ? -1 : off;
}

/* Each change of a job is an entry more: once most of them are old, without them. */
static void tidy_known(struct gb_client *c, int64_t size)
{
	_cleanup_free_ int64_t *offs =
		size < KNOWN_TIDY ? NULL : calloc(c->n_slots + 1, sizeof(*offs));
	int64_t used = 0;
	size_t n = 0;

	for (uint32_t i = 0; offs && i < c->n_slots; i++) {
		if (c->slots[i]->known_off < 0)
			continue;
		offs[n] = c->slots[i]->known_off;
		used += known_length(c->store, offs[n++]);
	}
	if (!offs || used > size / 2 || known_compact(c->store, offs, n))
		return;
	for (uint32_t i = 0, at = 0; i < c->n_slots; i++)
		if (c->slots[i]->known_off >= 0)
			c->slots[i]->known_off = offs[at++];
}

/* Damage is said; what could not be read is the caller's to tell. */
static int pass_damage(struct gb_client *c, const char *what, int err)
{
	if (util_reading(err) == READ_FAILED)
		return err;
	if (err)
		client_log(c, LOG_WARNING, "%s is damaged: what it does not tell is asked for again",
			what);
	return 0;
}

int learn_names(struct gb_client *c)
{
	return pass_damage(
		c, "state_dir/names", store_names(c->store, remember_name, c));
}

int learn_known(struct gb_client *c)
{
	int64_t size = 0;
	int err = pass_damage(
		c, "cache_dir/known", known_walk(c->store, remember_job, c, &size));

	if (!err && !c->o.readonly)
		tidy_known(c, size);
	return err;
}

/* What is damaged, or not there, the API is asked for again. */
int learn_local_json(struct gb_job *job)
{
	_cleanup_free_ char *text = NULL;
	struct api_batch b;
	size_t n;
	_cleanup_close_ int dir = local_dir_open(job);
	int err = dir < 0 ? dir : util_read_file(dir, "job.json", 16 << 20, &text, &n);

	if (util_reading(err) == READ_FAILED)
		return err;
	if (err || (err = api_batch_parse(text, n, &b)))
		return err == -ENOMEM ? err : 0;
	if (job->id && strcmp(b.id, job->id) == 0)
		apply(job, &b, true);
	api_batch_clear(&b);
	return 0;
}
