/*
 * Taking what replies of the API tell. A reply is applied only if its call began after
 * the call that brought the present knowledge, so a slow reply never overwrites newer
 * knowledge.
 */
#include "jobs/bind.h"
#include "jobs/history.h"
#include "jobs/observe.h"
#include "jobs/poller.h"
#include "jobs/hooks.h"
#include "store/job_catalog.h"
#include "store/dir_names.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

/* From this size on, the log of known jobs is searched for old entries. */
enum { KNOWN_TIDY = 1 << 20 };

/* Bytes of memory for jobs that others made: some 110,000. A server that never comes to
 * an end must not fill the memory. */
#define MET_MAX ((size_t)46 << 20)

uint64_t observe_seq(struct gb_client *c)
{
	client_lock(c);
	uint64_t seq = ++c->seq;
	client_unlock(c);
	return seq;
}

static const char *tail_of(const char *id)
{
	return remote_id_tail(id);
}

bool observe_full(const struct gb_client *c)
{
	return c->met_bytes >= MET_MAX;
}

/* The approximate memory for a job: with its strings, index cells and allocation
 * headers. */
static size_t cost_of(const struct remote_batch *b)
{
	size_t name = b->display ? strlen(b->display) : 0;

	return sizeof(struct gb_job) + 96 + strlen(b->id) +
	       (name < NAME_SIZE ? name : NAME_SIZE) +
	       (b->output_file ? strlen(b->output_file) : 0);
}

/* Lock held. A job that is new to this state directory: it gets its permanent name. */
static struct gb_job *meet(struct gb_client *c, const struct remote_batch *b)
{
	char name[NAME_SIZE];
	struct gb_job *job = observe_full(c) ? NULL : job_new(c);

	if (!job || job_set_id(job, b->id))
		return NULL;
	c->met_bytes += cost_of(b);
	name_encode(b->display ? b->display : "", tail_of(b->id), name);
	if (job_set_name(job, name, tail_of(b->id)))
		return NULL;
	return job;
}

/* Lists leave out inlined responses: an ended job without an input file, or one that
 * we sent inline, is believed to have some until a look of its own tells. */
static bool inline_presumed(
	const struct gb_job *job, const struct remote_batch *b, bool listed)
{
	if (b->output_inline)
		return true;
	if (!listed || b->output_file || b->state != REMOTE_STATE_SUCCEEDED)
		return false;
	if (job->dir && job->dir->rec.own)
		return job->dir->rec.batch->is_inline;
	return !b->has_input_config;
}

static void set_file(char **field, const char *value)
{
	if (value && (!*field || strcmp(*field, value) != 0))
		DROP(record_set(field, value)); /* the next reply has it, too */
}

static bool tells_error(const struct remote_batch *b)
{
	return b->state == REMOTE_STATE_FAILED || b->state == REMOTE_STATE_EXPIRED ||
	       (b->error_code && b->state != REMOTE_STATE_CANCELLED &&
		       b->state != REMOTE_STATE_SUCCEEDED);
}

static struct job_word job_word_of(
	const struct gb_job *job, const struct remote_batch *b, bool listed)
{
	return (struct job_word){
		.listed = listed,
		.ended = b->ended,
		.succeeded = b->state == REMOTE_STATE_SUCCEEDED,
		.output = job->batch->output_file || b->output_file || b->output_inline,
		.presumed = inline_presumed(job, b, listed),
		.error = tells_error(b),
		.pending = b->pending > 0,
		.created = b->created.tv_sec,
		.end = b->ended_at.tv_sec ? b->ended_at.tv_sec
		       : b->ended         ? b->updated.tv_sec
					  : 0,
	};
}

/* Lock held. All that a reply says. */
static void take_reply(struct gb_job *job, const struct remote_batch *b, bool presumed)
{
	job->batch->state = (uint8_t)b->state;
	job->batch->state_text = client_intern(job->c, b->state_text);
	if (b->model)
		job->model = client_intern(job->c, remote_model_name(b->model));
	job->batch->created = b->created;
	job->batch->updated = b->updated;
	job->batch->ended_at = b->ended_at;
	if (b->requests >= 0) {
		job->batch->requests = b->requests;
		job->batch->succeeded = b->succeeded;
		job->batch->failed = b->failed;
		job->batch->pending = b->pending;
	}
	job->batch->embedding = b->embedding;
	set_file(&job->batch->output_file, b->output_file);
	job->batch->output_inline = !job->batch->output_file && presumed;
	job->batch->has_api_error = tells_error(b);
}

struct news {
	unsigned what; /* enum gb_change */
	bool keep;     /* the reply is what is to be remembered */
};

/* Lock held: what a reply changed, compared with before. */
static unsigned changes(const struct gb_job *job, const struct gb_job *was)
{
	unsigned what = 0;

	if (job->batch->state_text != was->batch->state_text ||
		job->batch->succeeded != was->batch->succeeded ||
		job->batch->failed != was->batch->failed ||
		job->batch->pending != was->batch->pending ||
		job->batch->updated.tv_sec != was->batch->updated.tv_sec)
		what |= GB_CHANGED_META;
	if (!!job->batch->output_file != !!was->batch->output_file ||
		job->batch->output_inline != was->batch->output_inline ||
		job->batch->has_api_error != was->batch->has_api_error ||
		knowledge_final(&job->batch->known) !=
			knowledge_final(&was->batch->known))
		what |= GB_CHANGED_FILES;
	return what;
}

/* Lock held. recalled: as an earlier run wrote it down; by_get: that one had it so. */
static struct news apply(struct gb_job *job, const struct remote_batch *b, bool listed,
	bool recalled, bool by_get)
{
	struct moment m = client_moment(job->c);
	struct job_word w = job_word_of(job, b, listed);
	struct gb_job was;
	enum take take = TAKE_ALL;
	struct news news;

	memcpy(&was, job, sizeof(was));
	if (recalled)
		knowledge_recalled(&job->batch->known, m, &w, by_get);
	else
		take = knowledge_saw(&job->batch->known, m, &w);
	if (take == TAKE_ALL)
		take_reply(job, b, w.presumed);
	else if (b->ended && !job->batch->output_file && !job->batch->output_inline)
		set_file(&job->batch->output_file, b->output_file);
	news.what = changes(job, &was);
	/* At start a part is not linked yet. */
	if (!job->in_tree &&
		!(job->dir && (job->dir->rec.removal || job->dir->rec.part_of))) {
		job->in_tree = true;
		news.what |= GB_CHANGED_TREE;
	}
	news.keep = take == TAKE_ALL &&
		    (news.what || knowledge_end_by_get(&job->batch->known) !=
					  knowledge_end_by_get(&was.batch->known));
	return news;
}

/* The mark that job.json is what a GET said goes behind it. */
static void mark_by_get(struct gb_job *job, bool by_get)
{
	client_lock(job->c);
	bool news = job->dir->rec.batch->end_by_get != by_get;
	job->dir->rec.batch->end_by_get = by_get;
	client_unlock(job->c);
	if (news)
		job_dir_save_soon(job);
}

static void keep_json(struct gb_job *job, const struct remote_batch *b)
{
	int64_t off;

	if (!b->json)
		return;
	client_lock(job->c);
	bool by_get = knowledge_end_by_get(&job->batch->known);
	client_unlock(job->c);
	if (job->dir) {
		job_dir_keep_json(job, b->json);
		mark_by_get(job, by_get);
		return;
	}
	if (catalog_add(job->c->store, b, by_get, &off) == 0) {
		client_lock(job->c);
		job->batch->known_off = off;
		client_unlock(job->c);
	}
}

/* Lock held. Of an own job, which nobody has seen to have ended yet. */
static bool end_is_news(const struct gb_job *job)
{
	return knowledge_ended(&job->batch->known) && job->dir && job->dir->rec.own &&
	       !job->dir->rec.batch->end_logged;
}

static void log_job_end(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	bool news = end_is_news(job);
	client_unlock(c);
	if (news)
		DROP(job_end_due(job)); /* a full disk: no more than that is lost */
	client_lock(c);
	news = end_is_news(job);
	if (news)
		job->dir->rec.batch->end_logged = true;
	bool cancelled = job->batch->state == REMOTE_STATE_CANCELLED;
	client_unlock(c);
	if (!news)
		return;
	history_add(job, cancelled ? "cancelled" : "ended");
	job_dir_save_soon(job);
	c->hooks->room_freed(c);
}

static void name_given(struct gb_job *job)
{
	const char *id = job_id_now(job);
	int err = id ? store_name_add(job->c->store, id, job_label(job)) : 0;

	if (err)
		client_log(job->c, LOG_WARNING,
			"%s: the directory may have another name after the next start: "
			"%s",
			job_label(job), strerror(-err));
}

/* Lock held: the job b speaks of, made if need be. *ret_owner: a submission of ours
 * that has just been found by its input file. */
static struct gb_job *observe_place(struct gb_client *c, const struct remote_batch *b,
	bool listed, struct gb_job **ret_owner, bool *ret_new)
{
	struct gb_job *job = job_find_id(c, b->id);

	if (job)
		return job;
	if (client_seeks(c)) {
		*ret_owner = b->input_file ? c->hooks->owner_of(c, b->input_file) : NULL;
		if (*ret_owner)
			return NULL;
		if (!b->has_input_config && c->hooks->may_be_ours(c, b, listed))
			return NULL;
	}
	job = meet(c, b);
	*ret_new = job != NULL;
	return job;
}

struct gb_job *observe_batch(
	struct gb_client *c, const struct remote_batch *b, uint64_t seq, bool listed)
{
	struct gb_job *owner = NULL;
	bool is_new = false;
	struct news news = {0};

	client_lock(c);
	struct gb_job *job = observe_place(c, b, listed, &owner, &is_new);
	if (listed && !owner && !(job && job->dir && job->dir->rec.own))
		c->hooks->seen_in_list(c, b);
	if (owner)
		gb_job_ref(owner);
	if (job) {
		gb_job_ref(job);
		if (listed) {
			job->batch->listed_seq = seq;
			job->batch->unlisted = false;
		}
		if (seq >= job->batch->seq) {
			bool first = job->batch->seq == 0;

			news = apply(job, b, listed, false, false);
			if (first)
				news.what |= GB_CHANGED_META | GB_CHANGED_FILES;
			job->batch->seq = seq;
			job->batch->learnt = util_now();
		}
	}
	client_unlock(c);
	if (owner) {
		DROP(c->hooks->turned_up(owner, b)); /* the next list has it, too */
		return owner;
	}
	if (!job)
		return NULL;
	if (is_new)
		name_given(job);
	if (news.keep)
		keep_json(job, b);
	if (news.what) {
		log_job_end(job);
		job_changed(job, news.what);
	}
	if (b->ended)
		c->hooks->ended(job, news.what);
	return job;
}

bool observe_keeps(const struct gb_job *job)
{
	return (job->dir && (job->dir->rec.own || job->dir->rec.removal)) ||
	       job_was_saved(job) || job_output(job) == GB_OUTPUT_SAVED;
}

/* Lock held. Whether what is known of a missing job may be dropped: a whole list was
 * without it, too (interface: Freshness). */
static bool may_leave(struct gb_job *job, bool *ret_ask)
{
	bool keep = observe_keeps(job);
	bool listed = job->batch->listed_seq >= poller_whole_seq(job->c);

	*ret_ask = !keep && job->in_tree && listed;
	return !keep && job->in_tree && !listed;
}

void observe_missed(struct gb_job *job)
{
	struct gb_client *c = job->c;
	bool ask;

	client_lock(c);
	const char *id = job->batch->id;
	knowledge_missed(&job->batch->known, client_moment(c));
	bool leave = may_leave(job, &ask);
	if (leave) {
		job->in_tree = false;
		job->batch->seq = 0;
		knowledge_forgotten(&job->batch->known);
	} else if (ask) {
		poller_want_whole(c);
	}
	client_unlock(c);
	if (leave && id)
		DROP(catalog_add_gone(c->store, id)); /* a start asks again */
	job_changed(job, leave ? GB_CHANGED_TREE : GB_CHANGED_FILES);
}

int observe_look(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err)
{
	struct gb_client *c = job->c;
	uint64_t seq = observe_seq(c);
	const char *id = job_id_now(job);
	struct remote_batch b;
	int ret = id ? provider_look(&c->api, id, cancel, &b, err) : -ENODATA;

	if (ret == 0) {
		gb_job_unref(observe_batch(c, &b, seq, false));
		remote_batch_clear(&b);
	} else if (ret == -ENOENT) {
		observe_missed(job);
	} else if (ret == -EACCES) {
		client_lock(c);
		knowledge_key_refused(&job->batch->known, client_moment(c));
		client_unlock(c);
		job_changed(job, 0);
	}
	return ret;
}

/* ---- at start, before there are other threads ------------------------------------ */

static void remember_name(void *arg, const char *id, const char *name)
{
	struct gb_client *c = arg;

	if (job_find_id(c, id) || job_find_name(c, name))
		return;
	struct gb_job *job = job_new(c);
	if (job && job_set_id(job, id) == 0)
		DROP(job_set_name(job, name, tail_of(id))); /* it is named by a list */
}

static void remember_job(
	void *arg, const struct remote_batch *b, bool gone, bool by_get, int64_t off)
{
	struct gb_client *c = arg;
	struct gb_job *job = job_find_id(c, b->id);

	if (!job && !gone)
		job = meet(c, b);
	if (!job || job->dir)
		return;
	if (gone) {
		job->in_tree = false;
		knowledge_forgotten(&job->batch->known);
	} else {
		apply(job, b, true, true, by_get);
	}
	job->batch->known_off = gone ? -1 : off;
}

/* Each change of a job is an entry more: once most of them are old, without them. */
static void tidy_known(struct gb_client *c, int64_t size)
{
	_cleanup_free_ int64_t *offs =
		size < KNOWN_TIDY ? NULL : calloc(c->n_slots + 1, sizeof(*offs));
	int64_t used = 0;
	size_t n = 0;

	for (uint32_t i = 0; offs && i < c->n_slots; i++) {
		if (c->slots[i]->batch->known_off < 0)
			continue;
		offs[n] = c->slots[i]->batch->known_off;
		used += catalog_length(c->store, offs[n++]);
	}
	if (!offs || used > size / 2 || catalog_compact(c->store, offs, n))
		return;
	for (uint32_t i = 0, at = 0; i < c->n_slots; i++)
		if (c->slots[i]->batch->known_off >= 0)
			c->slots[i]->batch->known_off = offs[at++];
}

/* Damage is said; what could not be read is the caller's to tell. */
static int pass_damage(struct gb_client *c, const char *what, int err)
{
	if (util_reading(err) == READ_FAILED)
		return err;
	if (err)
		client_log(c, LOG_WARNING,
			"%s is damaged: what is missing in it is asked for again",
			what);
	return 0;
}

int observe_names(struct gb_client *c)
{
	return pass_damage(
		c, "state_dir/names", store_names(c->store, remember_name, c));
}

int observe_known(struct gb_client *c)
{
	int64_t size = 0;
	int err = pass_damage(
		c, "cache_dir/known", catalog_walk(c->store, remember_job, c, &size));

	if (!err && !c->o.readonly)
		tidy_known(c, size);
	return err;
}

/* What is damaged, or not there, the API is asked for again. */
int observe_local_json(struct gb_job *job)
{
	_cleanup_free_ char *text = NULL;
	struct remote_batch b;
	size_t n;
	_cleanup_close_ int dir = job_dir_open(job);
	int err = dir < 0 ? dir : util_read_file(dir, "job.json", 16 << 20, &text, &n);

	if (util_reading(err) == READ_FAILED)
		return err;
	if (err || (err = job->c->api.provider->parse(text, n, &b)))
		return err == -ENOMEM ? err : 0;
	if (job->batch->id && strcmp(b.id, job->batch->id) == 0)
		apply(job, &b, true, true, job->dir->rec.batch->end_by_get);
	remote_batch_clear(&b);
	return 0;
}

void observe_keys(struct gb_client *c)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];
		const struct record *r = job->dir ? &job->dir->rec : NULL;

		if (!r || !r->key_print || !r->batch->id)
			continue;
		knowledge_made_with(&job->batch->known, identity_same_key(job));
		if (r->removal)
			knowledge_recalled_misses(&job->batch->known,
				(unsigned)r->missed, (double)r->missed_span);
		if (r->removal >= REMOVAL_CANCELLED)
			knowledge_cancel_accepted(&job->batch->known);
		knowledge_insisted(&job->batch->known, r->insisted);
	}
}
