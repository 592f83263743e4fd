#include "jobs/job.h"
#include "jobs/hooks.h"
#include "jobs/parts.h"
#include "store/dir_names.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <search.h>
#include <string.h>

/* ---- strings that never go ---------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The client's copy of text, counted (base/counted.h); NULL without memory. */
static const char *interned(struct gb_client *c, const char *text)
{
	const char **found = tfind(text, &c->interned, by_text);

	client_expect_lock(c);
	if (found)
		return *found;
	const char *copy = counted_new(text);
	if (!copy || !(found = tsearch(copy, &c->interned, by_text))) {
		counted_unref(copy);
		return NULL;
	}
	return *found;
}

const char *client_intern(struct gb_client *c, const char *text)
{
	const char *found = text ? interned(c, text) : NULL;

	return found || !text ? found : "";
}

void client_share(struct gb_client *c, const char **member)
{
	if (*member)
		counted_merge(member, interned(c, *member));
}

void job_share_strings(struct gb_job *job)
{
	struct record *r = &job->dir->rec;

	counted_merge(&r->name, job->name);
	counted_merge(&r->display, r->name);
	counted_merge(&r->batch->id, job->batch->id);
	client_share(job->c, &r->model);
	client_share(job->c, &r->origin);
	client_share(job->c, &r->key_print);
}

static void drop_interned(void *text)
{
	counted_unref(text);
}

/* ---- indexes ------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
_Thread_local const struct gb_client *client_held;
#endif

static const char *name_of(void *arg, uint32_t slot)
{
	struct gb_client *c = arg;

	return c->slots[slot]->name;
}

static const char *id_of(void *arg, uint32_t slot)
{
	struct gb_client *c = arg;

	return c->slots[slot]->batch->id;
}

void table_init(struct gb_client *c)
{
	string_index_init(&c->by_name, name_of, c);
	string_index_init(&c->by_id, id_of, c);
}

static struct gb_job *find_in_index(
	struct gb_client *c, const struct string_index *ix, const char *text)
{
	uint32_t slot;

	client_expect_lock(c);
	return string_index_find(ix, text, &slot) ? c->slots[slot] : NULL;
}

struct gb_job *job_find_name(struct gb_client *c, const char *name)
{
	return find_in_index(c, &c->by_name, name);
}

struct gb_job *job_find_id(struct gb_client *c, const char *id)
{
	return find_in_index(c, &c->by_id, id);
}

struct gb_job *job_new(struct gb_client *c)
{
	struct gb_job *job = calloc(1, sizeof(*job));

	client_expect_lock(c);
	if (!job)
		return NULL;
	if (c->n_slots == c->cap_slots) {
		uint32_t cap = c->cap_slots ? 2 * c->cap_slots : 64;
		struct gb_job **slots = realloc(c->slots, cap * sizeof(*slots));

		if (!slots) {
			free(job);
			return NULL;
		}
		c->slots = slots;
		c->cap_slots = cap;
	}
	job->c = c;
	job->refs = 1;
	job->slot = c->n_slots;
	job->batch->requests = job->batch->succeeded = job->batch->failed =
		job->batch->pending = -1;
	job->batch->results_size = job->batch->known_off = -1;
	job->batch->state_text = "";
	c->slots[c->n_slots++] = job;
	return job;
}

int job_set_id(struct gb_job *job, const char *id)
{
	client_expect_lock(job->c);
	if (job->batch->id)
		return strcmp(job->batch->id, id) == 0 ? 0 : -EEXIST;
	if (job_find_id(job->c, id))
		return -EEXIST;
	job->batch->id = counted_new(id);
	if (!job->batch->id)
		return -ENOMEM;
	if (string_index_add(&job->c->by_id, job->slot)) {
		counted_unset(&job->batch->id);
		return -ENOMEM;
	}
	return 0;
}

/* Names that were handed out (gb_job_info) stay readable as long as the job. */
struct old_name {
	struct old_name *next;
	const char *name;
};

static void retire(struct gb_job *job, const char **name)
{
	struct old_name *old = malloc(sizeof(*old));

	if (old) {
		*old = (struct old_name){job->old_names, *name};
		job->old_names = old;
	}
	*name = NULL;
}

static void free_old_names(struct gb_job *job)
{
	struct old_name *old;

	while ((old = job->old_names)) {
		job->old_names = old->next;
		counted_unref(old->name);
		free(old);
	}
}

void job_forget_name(struct gb_job *job)
{
	client_expect_lock(job->c);
	if (!job->name)
		return;
	string_index_remove(&job->c->by_name, job->slot);
	retire(job, &job->name);
}

int job_set_name(struct gb_job *job, const char *name, const char *tail)
{
	char marked[NAME_SIZE];
	const struct gb_job *other = job_find_name(job->c, name);

	client_expect_lock(job->c);
	if (other == job)
		return 0;
	if (other) {
		if (!tail)
			return -EEXIST;
		name_mark(name, tail, marked);
		other = job_find_name(job->c, marked);
		if (other)
			return other == job ? 0 : -EEXIST;
		name = marked;
	}
	const char *copy = counted_new(name);
	if (!copy)
		return -ENOMEM;
	job_forget_name(job);
	job->name = copy;
	return string_index_add(&job->c->by_name, job->slot);
}

int job_drop_twin(struct gb_job *twin)
{
	client_expect_lock(twin->c);
	if (twin->dir && twin->dir->rec.own)
		return -EEXIST;
	string_index_remove(&twin->c->by_id, twin->slot);
	retire(twin, &twin->batch->id);
	twin->in_tree = false;
	job_forget_name(twin);
	return 0;
}

/* ---- references ----------------------------------------------------------------- */

struct gb_job *gb_job_ref(struct gb_job *job)
{
	job->refs++;
	return job;
}

/* All queues of a job are made at once, because few jobs have any. */
int queue_add(struct gb_job *job, enum job_queue kind, struct gb_waiter *w)
{
	return queue_add_until(job, kind, w, 0);
}

int queue_add_until(
	struct gb_job *job, enum job_queue kind, struct gb_waiter *w, uint64_t until)
{
	client_expect_lock(job->c);
	if (!job->queues) {
		job->queues = calloc(JOB_QUEUES, sizeof(*job->queues));
		for (int i = 0; job->queues && i < JOB_QUEUES; i++)
			waitq_init(&job->queues[i]);
	}
	return job->queues ? waitq_add(&job->queues[kind], w, 0, until) : -ENOMEM;
}

bool queue_waits(const struct gb_job *job, enum job_queue kind)
{
	client_expect_lock(job->c);
	return job->queues && waitq_count(&job->queues[kind]) > 0;
}

void queue_take(struct gb_job *job, enum job_queue kind, struct gb_waitq *to)
{
	client_expect_lock(job->c);
	if (job->queues)
		waitq_move(&job->queues[kind], to);
}

static void job_free(struct gb_job *job)
{
	for (int i = 0; job->queues && i < JOB_QUEUES; i++)
		waitq_destroy(&job->queues[i]);
	free(job->queues);
	job->c->hooks->answers_unref(job->batch->answers);
	job->c->hooks->answers_unref(job->merged);
	results_unref(job->batch->results); /* lives in the local directory */
	parts_free(job);
	job_dir_free(job->c, job->dir);
	counted_unref(job->name);
	free_old_names(job);
	counted_unref(job->batch->id);
	free(job->batch->output_file);
	free(job->batch->refusal);
	free(job->batch->looks);
	free(job);
}

void gb_job_unref(struct gb_job *job)
{
	if (job && --job->refs == 0)
		job_free(job);
}

void table_free(struct gb_client *c)
{
	string_index_clear(&c->by_name);
	string_index_clear(&c->by_id);
	for (uint32_t i = 0; i < c->n_slots; i++)
		gb_job_unref(c->slots[i]);
	free(c->slots);
	tdestroy(c->interned, drop_interned);
}

static struct gb_job *visible_ref(struct gb_job *job)
{
	return job && job_shown(job) ? gb_job_ref(job) : NULL;
}

struct gb_job *gb_job_by_name(struct gb_client *c, const char *name)
{
	client_lock(c);
	struct gb_job *job = visible_ref(job_find_name(c, name));
	client_unlock(c);
	return job;
}

struct gb_job *gb_job_by_id(struct gb_client *c, const char *id)
{
	char full[REMOTE_ID_SIZE];
	struct gb_job *job = NULL;

	if (!remote_id_from(REMOTE_BATCH, id, full))
		return NULL;
	client_lock(c);
	job = visible_ref(job_find_id(c, full));
	client_unlock(c);
	return job;
}

struct gb_job *gb_job_by_slot(struct gb_client *c, uint32_t slot)
{
	client_lock(c);
	struct gb_job *job = slot < c->n_slots ? visible_ref(c->slots[slot]) : NULL;
	client_unlock(c);
	return job;
}

struct gb_job *gb_job_next(struct gb_client *c, uint32_t slot)
{
	struct gb_job *job = NULL;

	client_lock(c);
	for (; slot < c->n_slots && !job; slot++)
		job = c->slots[slot]->parent ? NULL : visible_ref(c->slots[slot]);
	client_unlock(c);
	return job;
}

struct gb_job *job_next_any(struct gb_client *c, uint32_t slot)
{
	struct gb_job *job = NULL;

	client_lock(c);
	for (; slot < c->n_slots && !job; slot++)
		job = visible_ref(c->slots[slot]);
	client_unlock(c);
	return job;
}

const char *job_label(struct gb_job *job)
{
	client_lock(job->c);
	const char *label = job->parent      ? job->dir->rec.display
			    : job->name      ? job->name
			    : job->batch->id ? job->batch->id
					     : "a removed draft";
	client_unlock(job->c);
	return label;
}

/* ---- output ---------------------------------------------------------------------- */

enum gb_output job_output(const struct gb_job *job)
{
	client_expect_lock(job->c);
	if (job->dir && job->dir->rec.batch->home)
		return GB_OUTPUT_SAVED;
	if (job->batch->kept)
		return job->batch->unfit ? GB_OUTPUT_LOST : GB_OUTPUT_KEPT;
	if (job->batch->cached ||
		(job->batch->results && results_complete(job->batch->results)))
		return GB_OUTPUT_SAVED;
	return job_output_there(job);
}

enum gb_output job_output_there(const struct gb_job *job)
{
	bool part = knowledge_has_part(&job->batch->known);

	client_expect_lock(job->c);
	switch (knowledge_output(&job->batch->known, job_moment(job))) {
	case OUTPUT_NONE:
		return GB_OUTPUT_NONE;
	case OUTPUT_AWAITED:
		return GB_OUTPUT_AWAITED;
	case OUTPUT_OVER:
		return part ? GB_OUTPUT_DAMAGED : GB_OUTPUT_LOST;
	case OUTPUT_REFUSED:
		if (part)
			return GB_OUTPUT_DAMAGED;
		break;
	case OUTPUT_NAMED:
		break;
	}
	return job->batch->output_file ? GB_OUTPUT_THERE : GB_OUTPUT_INLINE;
}

bool job_output_may_come(const struct gb_job *job)
{
	enum output_known o = knowledge_output(&job->batch->known, job_moment(job));

	client_expect_lock(job->c);
	return o == OUTPUT_NAMED || o == OUTPUT_REFUSED;
}
