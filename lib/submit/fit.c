#include "submit/fit.h"

#include "base/waiter.h"
#include "jobs/parts.h"
#include "jobs/split.h"
#include "provider/all/ids.h"
#include "store/model_sizes.h"
#include "submit/cut.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

enum {
	TRUSTED = 3600,      /* seconds for which nothing larger than what was refused, or
	                        half of it, is tried */
	BELIEVED = 3 * 86400 /* seconds after which a refusal says nothing */
};

/* How often a refusal is sat out before it is about the size, although nothing of the model
 * is unfinished: as long as something else may be why. */
enum { NEVER = INT_MAX, FOR_A_TIME = 2, FOR_MONEY = 1, FOR_OTHERS = 2 };

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

/* Seconds over which the API limits money. */
static double money_span(const struct gb_client *c)
{
	return test_seconds(
		"BATCHFS_TEST_MONEY_SECONDS", c->api.provider->limits->money_span);
}

static bool is_believed(const struct gb_client *c, const struct model_size *m)
{
	double most = m->doubted ? money_span(c) : BELIEVED;

	return m->refused &&
	       (double)(engine_server_time(c->engine) - m->refused_at) < most;
}

/* As many bytes as the half of what was refused has, or so few requests that nothing is made
 * smaller. */
static int64_t half_of_refused(const struct model_size *m)
{
	int64_t least = m->refused_requests > CUT_LEAST
				? m->refused / m->refused_requests * (CUT_LEAST + 2)
				: 0;
	int64_t half = cut_half(m->refused);

	return half > least ? half : least < m->refused ? least : m->refused;
}

int64_t fit_most(const struct gb_job *job)
{
	struct gb_client *c = job->c;
	const struct model_size *m = size_find(c, model_of(job));

	if (!m || !is_believed(c, m))
		return INT64_MAX;
	int64_t half = half_of_refused(m);
	int64_t fits = m->taken ? m->taken : half;
	int64_t below = m->refused / 10 * 9;
	int64_t more = fits / 4 * 5;

	if (engine_server_time(c->engine) - m->refused_at < TRUSTED)
		return fits > half ? fits : half;
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

/* Of money that was used up then, more was spent since than what was refused: it was
 * about the size. */
static void clear_doubt(struct gb_client *c, struct model_size *m, int64_t taken)
{
	m->taken_since += taken;
	if (!m->doubted || !is_believed(c, m) || m->taken_since < m->refused)
		return;
	m->doubted = false;
	m->refused_at = engine_server_time(c->engine);
}

void fit_taken(struct submission *s)
{
	struct gb_client *c = s->c;

	client_lock(c);
	struct model_size *m = size_make(c, model_of(s->job));
	bool more = m && s->size > m->taken;
	/* Each bit more is not worth a write. */
	bool keep = more && (m->refused || s->size / 5 * 4 > m->taken);
	bool doubted = m && m->doubted;
	if (more) {
		m->taken = s->size;
		m->taken_requests = s->rec->batch->requests;
	}
	if (m && m->taken >= m->refused)
		m->refused = 0;
	if (m)
		clear_doubt(c, m, s->size);
	if (m)
		m->taken_at = util_now();
	keep |= doubted && !m->doubted;
	client_unlock(c);
	if (keep)
		keep_sizes(c);
}

static void fit_refused(struct submission *s, bool doubted)
{
	client_lock(s->c);
	struct model_size *m = size_make(s->c, model_of(s->job));
	if (m) {
		m->refused = s->size;
		m->refused_requests = s->rec->batch->requests;
		m->refused_at = engine_server_time(s->c->engine);
		m->doubted = doubted;
		m->taken_since = 0;
		/* The quota is smaller than it was. */
		if (m->taken >= m->refused)
			m->taken = m->taken_requests = 0;
	}
	client_unlock(s->c);
	if (!doubted)
		keep_sizes(s->c);
}

bool fit_moves(const struct gb_job *job, double span)
{
	const struct model_size *m = size_find(job->c, model_of(job));

	return m && m->taken_at && util_now() - m->taken_at < span;
}

void fit_status(struct gb_client *c, FILE *out)
{
	client_lock(c);
	for (size_t i = 0; i < c->fits->n; i++) {
		const struct model_size *m = &c->fits->all[i];

		if (!is_believed(c, m))
			continue;
		fprintf(out, "fits %s\ttaken %" PRId64 " bytes (%" PRId64
			     " request%s)\trefused %" PRId64 " bytes (%" PRId64
			     " request%s)\n",
			m->model, m->taken, m->taken_requests, util_s(m->taken_requests),
			m->refused, m->refused_requests, util_s(m->refused_requests));
	}
	client_unlock(c);
}

/* ---- what else may be why it was refused; lock held -------------------------------- */

/* What may be there counts as there. */
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

/* The API shows an alias as the name behind it, which is known of aliases that we have sent:
 * *ret_sure. */
static const char *name_behind(struct gb_client *c, const char *model, bool *ret_sure)
{
	const char *real = NULL;

	*ret_sure = false;
	for (uint32_t i = 0; !*ret_sure && i < c->n_slots; i++) {
		const struct gb_job *job = c->slots[i];

		if (!job->batch->id || !job->model)
			continue;
		*ret_sure = strcmp(job->model, model) == 0;
		if (job->dir && job->dir->rec.own && strcmp(model_of(job), model) == 0)
			real = job->model;
	}
	if (*ret_sure || !real)
		return model;
	*ret_sure = true;
	return real;
}

/* It was made so short ago that its money still counts. */
static bool cost_lately(const struct gb_job *job)
{
	const struct record *r = job->dir ? &job->dir->rec : NULL;
	double span = money_span(job->c);

	if (!job->batch->id)
		return false;
	if (r && r->own && r->batch->intent_since)
		return record_span(r->batch->intent_since) < span;
	return job->batch->created.tv_sec &&
	       (double)(engine_server_time(job->c->engine) -
		       job->batch->created.tv_sec) < span;
}

/* Of all jobs of the project but one. */
struct others {
	unsigned same; /* so many of its model are unfinished */
	bool unsure;   /* one is that may be of its model; or one of it may be there */
	bool cost;     /* one was made lately */
};

/* What a job is for: as its user said, and the name that this is at the API, if sure. */
struct meant {
	const char *said, *real;
	bool sure;
};

static bool has_model(const struct gb_job *job, const struct meant *m)
{
	return (job->model && strcmp(job->model, m->real) == 0) ||
	       (job->dir && job->dir->rec.model && strcmp(model_of(job), m->said) == 0);
}

static void take_other(
	struct others *o, const struct gb_job *other, const struct meant *m)
{
	bool unfinished = is_unfinished(other), same = has_model(other, m);

	o->cost |= cost_lately(other);
	/* A person has to say whether it is there. All others go on meanwhile. */
	if (job_phase(other) == PHASE_UNCERTAIN)
		o->unsure |= same;
	else if (unfinished && same)
		o->same++;
	else if (unfinished && !m->sure)
		o->unsure = true;
}

static struct others look_at_others(const struct gb_job *job)
{
	struct gb_client *c = job->c;
	struct others o = {0};
	struct meant m = {.said = model_of(job)};

	m.real = name_behind(c, m.said, &m.sure);
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (c->slots[i] != job)
			take_other(&o, c->slots[i], &m);
	return o;
}

unsigned fit_same_model(const struct gb_job *job)
{
	return look_at_others(job).same;
}

/* ---- whether it can ever be taken -------------------------------------------------- */

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
	bool whole = !s->is_inline && split_of(s->job) == SPLIT_AUTO;
	bool may = (s->job->parent || whole) && r->batch->requests > CUT_LEAST;
	client_unlock(s->c);
	return may;
}

/* After how many refusals that were sat out one of the kind is about the size. */
static int patience_with(enum quota_kind kind, const struct others *o)
{
	int most = 0;

	if (o->same || kind == QUOTA_RATE)
		return NEVER;
	if (kind == QUOTA_TIMED)
		most = FOR_A_TIME;
	else if (kind == QUOTA_MONEY)
		most = o->cost ? FOR_MONEY + FOR_OTHERS : FOR_MONEY;
	return o->unsure && most < FOR_OTHERS ? FOR_OTHERS : most;
}

bool submission_too_large(struct submission *s)
{
	const struct provider_error *e = &s->err;

	if (s->too_large || e->status != 429 || !e->from_api || e->hopeless)
		return s->too_large;
	if (e->quota == QUOTA_RATE || !may_be_halved(s) || list_afresh(s->c))
		return false;
	client_lock(s->c);
	struct others o = look_at_others(s->job);
	s->too_large = s->rec->batch->tries >= patience_with(e->quota, &o);
	client_unlock(s->c);
	if (s->too_large)
		fit_refused(s, o.unsure || (o.cost && e->quota != QUOTA_QUEUE));
	return s->too_large;
}
