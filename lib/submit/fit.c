#include "submit/fit.h"

#include "base/waiter.h"
#include "jobs/parts.h"
#include "jobs/split.h"
#include "provider/all/ids.h"
#include "store/model_sizes.h"
#include "submit/cut.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
	TRUSTED = 3600,      /* seconds for which nothing larger than what was refused, or
	                        half of it, is tried */
	BELIEVED = 3 * 86400 /* seconds after which a refusal says nothing */
};

struct fits {
	struct model_size *all; /* client.lock, all; room for MODEL_SIZES_MAX */
	size_t n;
};

struct fits *fits_new(void)
{
	return calloc(1, sizeof(struct fits));
}

void fits_free(struct fits *f)
{
	if (f)
		free(f->all);
	free(f);
}

int fits_load(struct gb_client *c)
{
	return model_sizes_read(c->store, &c->fits->all, &c->fits->n);
}

/* ---- what is remembered; lock held ------------------------------------------------ */

static const char *model_of(const struct gb_job *job)
{
	return remote_model_name(job->dir->rec.model ? job->dir->rec.model : "");
}

static struct model_size *size_find(struct gb_client *c, const char *model)
{
	for (size_t i = 0; i < c->fits->n; i++)
		if (strcmp(c->fits->all[i].model, model) == 0)
			return &c->fits->all[i];
	return NULL;
}

/* NULL: its name is none that can be remembered. */
static struct model_size *size_make(struct gb_client *c, const char *model)
{
	struct model_size *m = size_find(c, model);

	if (m || !*model || strlen(model) >= MODEL_SIZE_NAME || strpbrk(model, " \n\t"))
		return m;
	/* Of so many nobody needs the first. */
	m = &c->fits->all[c->fits->n < MODEL_SIZES_MAX ? c->fits->n++ : 0];
	*m = (struct model_size){0};
	strcpy(m->model, model);
	return m;
}

static bool is_believed(const struct gb_client *c, const struct model_size *m)
{
	return m->refused &&
	       engine_server_time(c->engine) - m->refused_at < BELIEVED;
}

int64_t fit_most(const struct gb_job *job)
{
	struct gb_client *c = job->c;
	const struct model_size *m = size_find(c, model_of(job));

	if (!m || !is_believed(c, m))
		return INT64_MAX;
	int64_t fits = m->taken ? m->taken : m->refused / 2;
	int64_t below = m->refused / 10 * 9;
	int64_t more = fits / 4 * 5;

	if (engine_server_time(c->engine) - m->refused_at < TRUSTED)
		return fits > m->refused / 2 ? fits : m->refused / 2;
	return more < below ? more : below;
}

/* Unlocked. */
static void keep_sizes(struct gb_client *c)
{
	client_lock(c);
	size_t n = c->fits->n;
	_cleanup_free_ struct model_size *all = calloc(n + 1, sizeof(*all));
	if (all)
		memcpy(all, c->fits->all, n * sizeof(*all));
	client_unlock(c);
	if (all)
		/* What a start does not know costs another refusal. */
		DROP(model_sizes_write(c->store, all, n));
}

void fit_taken(struct submission *s)
{
	struct gb_client *c = s->c;

	client_lock(c);
	struct model_size *m = size_make(c, model_of(s->job));
	bool more = m && s->size > m->taken;
	/* Each bit more is not worth a write. */
	bool keep = more && (m->refused || s->size / 5 * 4 > m->taken);
	if (more) {
		m->taken = s->size;
		m->taken_requests = s->rec->batch->requests;
	}
	if (m && m->taken >= m->refused)
		m->refused = 0;
	client_unlock(c);
	if (keep)
		keep_sizes(c);
}

static void fit_refused(struct submission *s)
{
	client_lock(s->c);
	struct model_size *m = size_make(s->c, model_of(s->job));
	if (m) {
		m->refused = s->size;
		m->refused_requests = s->rec->batch->requests;
		m->refused_at = engine_server_time(s->c->engine);
		/* The quota is smaller than it was. */
		if (m->taken >= m->refused)
			m->taken = m->taken_requests = 0;
	}
	client_unlock(s->c);
	keep_sizes(s->c);
}

void fit_status(struct gb_client *c, FILE *out)
{
	client_lock(c);
	for (size_t i = 0; i < c->fits->n; i++) {
		const struct model_size *m = &c->fits->all[i];

		if (!is_believed(c, m))
			continue;
		fprintf(out, "fits %s\ttaken %" PRId64 " bytes (%" PRId64
			     " requests)\trefused %" PRId64 " bytes (%" PRId64
			     " requests)\n",
			m->model, m->taken, m->taken_requests, m->refused,
			m->refused_requests);
	}
	client_unlock(c);
}

/* ---- whether it can ever be taken -------------------------------------------------- */

/* Lock held. What may be there counts as there. */
static bool is_unfinished(const struct gb_job *job)
{
	if (!job->batch->id)
		return phase_is_unanswered(job_phase(job));
	return !knowledge_ended(&job->batch->known) &&
	       (job_shown(job) || (job->dir && job->dir->rec.removal)) &&
	       knowledge_standing(&job->batch->known, job_moment(job)) != STANDS_GONE;
}

unsigned fit_unfinished(struct gb_client *c)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < c->n_slots; i++)
		n += is_unfinished(c->slots[i]);
	return n;
}

/* Lock held. An alias is answered with the name behind it. */
static bool has_model(const struct gb_job *job, const char *model)
{
	return (job->model && strcmp(job->model, model) == 0) ||
	       (job->dir && job->dir->rec.model && strcmp(model_of(job), model) == 0);
}

/* Lock held. Ours was made so short ago that its money still counts. */
static bool cost_lately(const struct gb_job *job)
{
	const struct record *r = job->dir ? &job->dir->rec : NULL;
	int span = job->c->api.provider->limits->money_span;

	return r && r->own && job->batch->id && r->batch->intent_since &&
	       record_span(r->batch->intent_since) <
		       test_seconds("BATCHFS_TEST_MONEY_SECONDS", span);
}

/* Lock held. */
static bool nothing_else(const struct gb_job *job, bool queue_named)
{
	struct gb_client *c = job->c;
	const char *model = model_of(job);
	bool none = true;

	for (uint32_t i = 0; none && i < c->n_slots; i++) {
		const struct gb_job *other = c->slots[i];

		if (other == job)
			continue;
		none = !(is_unfinished(other) && has_model(other, model)) &&
		       (queue_named || !cost_lately(other));
	}
	return none;
}

static int list_afresh(struct gb_client *c)
{
	struct waiter_sync w;

	waiter_sync_init(&w);
	return (int)waiter_sync_end(&w, gb_list_refresh(c, GB_LIST_FRESH, &w.w));
}

static bool may_be_halved(struct submission *s)
{
	client_lock(s->c);
	const struct record *r = s->rec;
	bool part = s->job->parent && !r->round;
	bool whole = !s->job->parent && !s->t->again && !s->is_inline &&
		     split_of(s->job) == SPLIT_AUTO;
	bool may = (part || whole) && !s->t->again &&
		   r->batch->requests >= 2 * CUT_LEAST;
	client_unlock(s->c);
	return may;
}

bool submission_too_large(struct submission *s)
{
	const struct provider_error *e = &s->err;

	if (s->too_large || e->status != 429 || !e->from_api || e->hopeless ||
		e->quota == QUOTA_MONEY || e->quota == QUOTA_RATE)
		return s->too_large;
	if (!may_be_halved(s) || list_afresh(s->c))
		return false;
	client_lock(s->c);
	s->too_large = nothing_else(s->job, e->quota == QUOTA_QUEUE);
	client_unlock(s->c);
	if (s->too_large)
		fit_refused(s);
	return s->too_large;
}
