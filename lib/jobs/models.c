#include "jobs/models.h"

#include "jobs/poller.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <string.h>

enum {
	LIST_GOOD = 3600, /* seconds that the list is believed */
	LIST_AGAIN = 7,   /* engine_backoff's n for submissions: half a minute at least */
	NEAREST = 3,      /* names to tell */
};

struct models {
	struct gb_client *c;
	/* All below: client.lock. */
	struct remote_models list;
	/* CLOCK_BOOTTIME. After a failure readers ask again soon, submissions do
	 * without. */
	double good_until, read_after, ask_after;
	unsigned failures; /* in a row */
	int err;           /* of the newest */
	struct gb_waitq waiting;
	bool asked;
};

struct models *models_new(struct gb_client *c)
{
	struct models *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->c = c;
	waitq_init(&m->waiting);
	return m;
}

void models_free(struct models *m)
{
	if (!m)
		return;
	remote_models_clear(&m->list);
	waitq_destroy(&m->waiting);
	free(m);
}

bool models_known(const struct models *m)
{
	return m->list.n > 0;
}

void models_take_waiters(struct models *m, struct gb_waitq *to,
	bool (*which)(const struct gb_waiter *w, void *arg), void *arg)
{
	if (which)
		waitq_move_if(&m->waiting, to, which, arg);
	else
		waitq_move(&m->waiting, to);
}

/* Blocks. If the list cannot be read, the one from before stays. */
static int read_models(struct models *m, struct canceller *cancel)
{
	struct gb_client *c = m->c;
	struct provider_error e = {.retry = -1};
	struct remote_models list = {0};
	int err = provider_models(&c->api, cancel, &list, &e);

	client_called(c, &e);
	client_lock(c);
	double now = util_now();
	m->err = err == -ECANCELED ? -EINTR : err;
	m->failures = err ? m->failures + 1 : 0;
	if (err) {
		m->read_after = now + engine_backoff((int)m->failures, e.retry);
		m->ask_after = now + engine_backoff(LIST_AGAIN, e.retry);
	} else {
		struct remote_models old = m->list;

		m->list = list;
		list = old;
		m->good_until = now + LIST_GOOD;
	}
	client_unlock(c);
	provider_error_clear(&e);
	remote_models_clear(&list);
	return err;
}

/* Lock held. */
static bool models_stale(const struct models *m)
{
	return !m->list.n || util_now() > m->good_until;
}

/* ---- for readers -------------------------------------------------------------------- */

static void read_for_waiters(void *arg)
{
	struct models *m = arg;
	struct canceller none = CANCELLER_INIT;
	int err = read_models(m, &none);

	client_lock(m->c);
	m->asked = false;
	if (models_known(m))
		err = 0;
	client_unlock(m->c);
	waitq_wake(&m->waiting, err == -ECANCELED ? -EINTR : err);
}

/* Lock held. */
static char *models_text(const struct models *m)
{
	size_t size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < m->list.n; i++) {
		const struct remote_model *one = &m->list.list[i];

		if (one->methods)
			fprintf(out, "%s\t%s\n", one->name,
				m->c->api.provider->method_name(
					one->methods & BATCH_GENERATE ? BATCH_GENERATE
								      : BATCH_EMBED));
	}
	fclose(out);
	return text;
}

int gb_models(struct gb_client *c, struct gb_waiter *w, char **ret)
{
	struct models *m = c->models;
	bool ask = false;
	int err = 0;

	client_lock(c);
	bool soon = util_now() < m->read_after;
	if (c->stopping) {
		err = -EINTR;
	} else if (w && soon && !models_known(m)) {
		err = m->err;
	} else if (w && models_stale(m) && !c->o.offline && !soon) {
		err = waitq_add(&m->waiting, w, 0, ask_until(ask_wait()));
		ask = !m->asked;
		m->asked = true;
	} else {
		*ret = models_text(m);
	}
	client_unlock(c);
	if (err == -EINPROGRESS)
		ask_bound(c, ask_wait());
	if (ask && pool_add(c->pool, POOL_SHORT, read_for_waiters, m))
		waitq_wake(&m->waiting, -EINTR);
	return err;
}

/* ---- for submissions ---------------------------------------------------------------- */

/* Whether the list has the model; then what it can do. */
static bool in_list(struct models *m, const char *model, unsigned *ret)
{
	const char *name = remote_model_name(model);
	bool found = false;

	client_lock(m->c);
	for (size_t i = 0; i < m->list.n && !found; i++) {
		found = strcmp(m->list.list[i].name, name) == 0;
		if (found)
			*ret = m->list.list[i].methods;
	}
	client_unlock(m->c);
	return found;
}

/* -EAGAIN: there is no list, and it is too soon to ask again. */
static int have_list(struct models *m, struct canceller *cancel)
{
	client_lock(m->c);
	bool stale = models_stale(m), wait = util_now() < m->ask_after;
	client_unlock(m->c);
	return !stale ? 0 : wait ? -EAGAIN : read_models(m, cancel);
}

int models_methods(
	struct models *m, const char *model, struct canceller *cancel, unsigned *ret)
{
	struct provider_error e = {.retry = -1};
	int err = have_list(m, cancel);

	/* That there is no list says nothing about a model. */
	if (err || in_list(m, model, ret))
		return err == -ENOENT ? -EIO : err;
	err = provider_model_get(&m->c->api, model, cancel, ret, &e);
	/* A page that something in between sent says nothing about models. */
	if (err == -ENOENT && !e.from_api)
		err = -EIO;
	provider_error_clear(&e);
	return err;
}

bool models_embeds(struct models *m, const char *model, struct canceller *cancel)
{
	unsigned methods = 0;

	if (!in_list(m, model, &methods) && !m->c->o.offline &&
		models_methods(m, model, cancel, &methods) < 0)
		return false;
	return methods == BATCH_EMBED;
}

/* How many pairs of neighbouring letters two names share: versions and variants of a
 * family have most of them in common. */
static unsigned likeness(const char *a, const char *b)
{
	unsigned shared = 0;

	for (const char *p = a; p[0] && p[1]; p++)
		for (const char *q = b; q[0] && q[1]; q++)
			if (p[0] == q[0] && p[1] == q[1]) {
				shared++;
				break;
			}
	return shared;
}

/* Lock held. The next best that is not in taken. */
static const struct remote_model *most_alike(const struct models *m, const char *name,
	enum batch_method method, const struct remote_model *const *taken,
	size_t n_taken)
{
	const struct remote_model *best = NULL;
	unsigned most = 0;

	for (size_t i = 0; i < m->list.n; i++) {
		const struct remote_model *one = &m->list.list[i];
		unsigned like = likeness(name, one->name) + 1;
		bool had = !(one->methods & method);

		for (size_t k = 0; k < n_taken; k++)
			had |= taken[k] == one;
		if (!had && like > most) {
			most = like;
			best = one;
		}
	}
	return best;
}

char *models_like(struct models *m, const char *model, enum batch_method method)
{
	const struct remote_model *taken[NEAREST];
	const char *name = remote_model_name(model);
	char *text = NULL;
	size_t n = 0;

	client_lock(m->c);
	while (n < NEAREST && (taken[n] = most_alike(m, name, method, taken, n))) {
		char *longer = util_format(
			"%s%s%s", n ? text : "", n ? ", " : "", taken[n]->name);

		free(text);
		text = longer;
		n++;
	}
	client_unlock(m->c);
	return text;
}
