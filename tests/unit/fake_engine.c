#include "fake_engine.h"
#include "provider/gemini/gemini.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

struct transfer {
	struct transfer *next;
	struct engine *e;
	struct http_request q;
	struct answer a;
	bool headed, aborted;
	size_t at;
	int fail;
};

struct timer {
	struct timer *next;
	void (*fn)(void *arg);
	void *arg;
};

void fake_init(struct engine *e, const char *data, size_t size)
{
	*e = (struct engine){.data = data, .size = size, .last = &e->first};
}

static void parse_range(struct answer *a)
{
	char *end;

	a->lo = strtoull(a->range, &end, 10);
	a->hi = end[1] ? strtoull(end + 1, NULL, 10) + 1 : UINT64_MAX;
}

/* As a server would that does everything right. */
static void be_honest(struct engine *e, struct answer *a)
{
	struct http_reply *r = &a->reply;

	*r = (struct http_reply){.status = 200,
		.retry_after = -1,
		.content_length = -1,
		.range_start = -1,
		.range_end = -1,
		.range_total = -1,
		.complete = true};
	a->body = e->data;
	a->n = e->size;
	if (a->range[0] && !e->no_range && a->lo >= e->size) {
		r->status = 416;
		r->range_total = (int64_t)e->size;
		a->n = 0;
	} else if (a->range[0] && !e->no_range) {
		r->status = 206;
		r->range_start = (int64_t)a->lo;
		r->range_end = (int64_t)(a->hi < e->size ? a->hi : e->size) - 1;
		r->range_total = (int64_t)e->size;
		a->body = e->data + a->lo;
		a->n = (a->hi < e->size ? a->hi : e->size) - a->lo;
	}
	if (!e->no_length)
		r->content_length = (int64_t)a->n;
}

int engine_submit(struct engine *e, const struct http_request *q, struct transfer **ret)
{
	struct transfer *t;

	if (e->down)
		return -ECANCELED;
	t = calloc(1, sizeof *t);
	t->e = e;
	t->q = *q;
	if (q->accept_range) {
		snprintf(t->a.range, sizeof t->a.range, "%s", q->accept_range);
		parse_range(&t->a);
	}
	if (e->calls < ARRAY_SIZE(e->ranges))
		strcpy(e->ranges[e->calls], t->a.range);
	t->a.number = ++e->calls;
	t->a.other = strncmp(q->path, "/download", 9) != 0;
	be_honest(e, &t->a);
	if (e->hook)
		e->hook(e, &t->a);
	*e->last = t;
	e->last = &t->next;
	if (ret)
		*ret = t;
	return 0;
}

void engine_abort(struct engine *e, struct transfer *t)
{
	t->aborted = true;
}

int engine_timer(struct engine *e, double delay, void (*fn)(void *arg), void *arg)
{
	struct timer *t, **p = &e->timers;

	if (e->down)
		return -ECANCELED;
	t = malloc(sizeof *t);
	*t = (struct timer){.fn = fn, .arg = arg};
	while (*p)
		p = &(*p)->next;
	*p = t;
	e->timers_set++;
	return 0;
}

double engine_backoff(int n, double hint)
{
	return hint > n ? hint : n;
}

static int download(
	struct provider_conn *p, const struct download *d, struct transfer **ret)
{
	struct http_request q = {.path = d->way ? "/second" : "/download",
		.accept_range = d->range,
		.body_fd = -1,
		.on_head = d->on_head,
		.on_data = d->on_data,
		.done = d->done,
		.arg = d->arg};

	return engine_submit(p->engine, &q, ret);
}

static void download_abort(struct provider_conn *p, struct transfer *t)
{
	engine_abort(p->engine, t);
}

const struct provider fake_files = {
	.name = "files",
	.can = CAN_RANGE,
	.ways = 2,
	.download = download,
	.download_abort = download_abort,
	.judge_download = gemini_judge_download,
};

static void end(struct transfer *t, int err)
{
	struct http_reply r = t->a.reply;

	r.err = t->fail ? t->fail : err;
	if (r.err || t->at < t->a.n)
		r.complete = false;
	if (err == -EHOSTUNREACH)
		r.status = 0;
	t->q.done(t->q.arg, &r);
	if (t->e->aborted < 1000000 && r.err == -ECANCELED)
		t->e->aborted++;
	free(t);
}

static void body(struct transfer *t)
{
	size_t n = t->e->chunk ? t->e->chunk : 64 << 10;

	if (n > t->a.n - t->at)
		n = t->a.n - t->at;
	t->fail = t->q.on_data(t->q.arg, t->a.body + t->at, n);
	t->at += n;
}

static struct transfer *take(struct engine *e)
{
	struct transfer **p = &e->first, *t;

	while (*p && !(*p)->aborted && (*p)->headed && (*p)->at == (*p)->a.n &&
		(*p)->a.stall && !(*p)->fail)
		p = &(*p)->next;
	t = *p;
	if (!t)
		return NULL;
	*p = t->next;
	if (!*p)
		e->last = p;
	t->next = NULL;
	return t;
}

static bool step_transfer(struct engine *e)
{
	struct transfer *t = take(e);
	bool good;

	if (!t)
		return false;
	good = t->a.reply.status / 100 == 2;
	if (t->aborted || t->fail) {
		end(t, -ECANCELED);
		return true;
	}
	if (!t->headed && t->a.reply.status) {
		t->headed = true;
		t->fail = t->q.on_head(t->q.arg, &t->a.reply);
	} else if (t->a.reply.status && good && t->at < t->a.n) {
		body(t);
	} else {
		end(t, t->a.reply.status ? t->a.break_off : -EHOSTUNREACH);
		return true;
	}
	*e->last = t;
	e->last = &t->next;
	return true;
}

static bool fire(struct engine *e)
{
	struct timer *t = e->timers;

	if (!t)
		return false;
	e->timers = t->next;
	t->fn(t->arg);
	free(t);
	return true;
}

bool fake_step(struct engine *e)
{
	return step_transfer(e) || fire(e);
}

void fake_run(struct engine *e)
{
	while (fake_step(e))
		;
}

void fake_settle(struct engine *e)
{
	while (step_transfer(e))
		;
}

unsigned fake_running(const struct engine *e)
{
	unsigned n = 0;

	for (struct transfer *t = e->first; t; t = t->next)
		n++;
	return n;
}

void fake_stop(struct engine *e)
{
	e->down = true;
	for (struct transfer *t = e->first; t; t = t->next)
		t->aborted = true;
	fake_run(e);
}
