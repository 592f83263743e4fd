/*
 * Reading the list of jobs, page by page, newest first, until a page has nothing new,
 * to the end, or until those are told for whom it is read. observe.c takes the jobs;
 * only the poller reads.
 */
#include "jobs/poller_private.h"
#include "jobs/observe.h"
#include "jobs/hooks.h"

#include <string.h>
#include <syslog.h>

enum { MAX_EMPTY_PAGES = 100 };

/* A listed job whose input file the list does not name may be the one that a lost
 * create made: its own resource shows it. */
static void ask_whose(struct gb_client *c, const struct remote_batch *b)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {0};
	struct remote_batch whole;
	uint64_t seq = observe_seq(c);

	client_lock(c);
	bool open =
		client_seeks(c) && !b->has_input_config && c->hooks->may_be_ours(c, b, true);
	client_unlock(c);
	if (!open || provider_get(&c->api, b->id, &none, &whole, &err))
		goto out;
	/* The job's own resource does not name a file either: then it has none, and
	 * is not ours unless an inline submission is being settled. */
	gb_job_unref(observe_batch(c, &whole, seq, false));
	remote_batch_clear(&whole);
out:
	provider_error_clear(&err);
}

/* Lock held: somebody waits for a job that was on no page yet. */
static bool round_is_open(const struct gb_client *c, uint64_t seq)
{
	for (const struct gb_job *job = c->poller->watched; job; job = job->watch_next)
		if (job->batch->in_round && job->batch->seq < seq)
			return true;
	return false;
}

struct round {
	struct gb_client *c;
	uint64_t seq;
	enum list_extent extent;
	unsigned page;
	bool news;
	unsigned empty;
	bool full;
	bool over; /* there is no more to be read, whatever the API says */
};

static void note_page(const struct round *r, struct gb_job *job)
{
	client_lock(r->c);
	job->batch->listed_page = r->page;
	client_unlock(r->c);
}

/* Returns whether the next page may hold something we want to know. */
static bool take_page(struct round *r, const struct remote_page *p)
{
	size_t again = 0;

	r->news = false;
	for (size_t i = 0; i < p->n; i++) {
		const struct remote_batch *b = &p->batches[i];

		client_lock(r->c);
		struct gb_job *old = job_find_id(r->c, b->id);
		bool known = old && knowledge_final(&old->batch->known) && job_shown(old);
		again += old && old->batch->listed_seq == r->seq;
		r->full = observe_full(r->c);
		client_unlock(r->c);
		r->news |= !known;
		struct gb_job *job = observe_batch(r->c, b, r->seq, true);
		if (job)
			note_page(r, job);
		else
			ask_whose(r->c, b);
		gb_job_unref(job);
	}
	r->empty = p->n ? 0 : r->empty + 1;
	/* A server that pages in circles. */
	r->over = (p->n && again == p->n) || r->empty > MAX_EMPTY_PAGES || r->full;
	if (r->full)
		client_log(r->c, LOG_WARNING,
			"the API's list of jobs does not end: the rest is not read, "
			"and new jobs may not be shown");
	client_lock(r->c);
	bool open = round_is_open(r->c, r->seq);
	client_unlock(r->c);
	return open || r->extent == LIST_WHOLE ||
	       (r->extent == LIST_NEWS && (r->news || p->n == 0));
}

static bool wants_news(const struct gb_waiter *w, void *arg)
{
	return w->lo == GB_LIST_NEWS;
}

/* After a page without news there is none, for a look at names: with many jobs known
 * from disk nobody waits for the rest of the list. */
static void catch_up(struct gb_client *c)
{
	struct gb_waitq now;

	waitq_init(&now);
	client_lock(c);
	c->poller->caught_up = true;
	waitq_move_if(&c->poller->list_q, &now, wants_news, NULL);
	client_unlock(c);
	waitq_call(&now, 0);
}

int list_read(struct gb_client *c, enum list_extent extent, uint64_t seq,
	struct list_end *ret, struct provider_error *err)
{
	struct round r = {.c = c, .seq = seq, .extent = extent};
	struct canceller none = CANCELLER_INIT;
	_cleanup_free_ char *token = NULL;
	bool had_all_news = false;

	for (r.page = 1;; r.page++) {
		struct remote_page page;

		if (provider_list(&c->api, token, &none, &page, err))
			return err->err;
		client_called(c, err);
		bool more = take_page(&r, &page);
		if (page.n && !r.news)
			catch_up(c);
		had_all_news |= page.n && !r.news;
		r.over |= !page.next || (token && strcmp(token, page.next) == 0);
		free(token);
		token = STEAL_PTR(page.next);
		remote_page_clear(&page);
		if (more && !r.over)
			continue;
		*ret = (struct list_end){.end = r.over, .news = r.over || had_all_news};
		return 0;
	}
}
