/* Results: what comes of a transfer. Head, body, end, and trying again. */
#include "results_private.h"
#include "api.h"
#include "util.h"

#include <errno.h>
#include <string.h>

/* ---- what the head tells ------------------------------------------------- */

int stream_changed(struct gb_results *r, struct after *a)
{
	r->changed = true;
	r->dirty = false;
	stream_stop_all(r);
	results_fail_all(r, -EIO, a);
	return -EIO;
}

/* Everything is local: say so once. */
static void check_complete(struct gb_results *r, struct after *a)
{
	if (r->filled || !results_is_complete(r))
		return;
	r->filled = true;
	r->fetching = false;
	a->events |= 1u << RESULTS_FILLED;
	waitq_move(&r->fetchq, &a->wake);
}

/* Another size than is known, or less than is there. A page in place of the file, or one
 * answer that is wrong, tells so once; a file that is another does it again. Of which
 * there are no bytes yet it may be. */
static int doubt_size(struct gb_results *r, int64_t size, struct after *a)
{
	bool again = r->doubted == size;

	r->doubted = size;
	if (!again)
		return -EIO;
	return r->have.n || r->summed.n || r->sealed ? stream_changed(r, a) : 0;
}

static int learn_size(struct gb_results *r, int64_t size, struct after *a)
{
	int err = 0;

	if (size > RESULTS_MAX)
		return -EFBIG;
	if (r->size != size &&
		(r->size >= 0 || ranges_limit(&r->have) > (uint64_t)size ||
			ranges_limit(&r->summed) > (uint64_t)size))
		err = doubt_size(r, size, a);
	if (err)
		return err;
	r->doubted = -1;
	if (r->size == size)
		return 0;
	r->size = size;
	r->no_length = false;
	r->dirty = true;
	a->events |= 1u << RESULTS_SIZED;
	waitq_move(&r->sizeq, &a->wake);
	results_wake_ready(r, a);
	if (results_is_complete(r) && size % RESULTS_BLOCK)
		disk_sum_block(r, (uint64_t)size, NULL, false);
	check_complete(r, a);
	return 0;
}

static void learn_no_length(struct gb_results *r, struct after *a)
{
	if (r->size < 0 && !r->no_length)
		r->no_length = r->dirty = true;
	waitq_move(&r->sizeq, &a->wake);
}

/* A server whose ranges cannot be used: ask for the whole, now. */
static int distrust_ranges(struct stream *s)
{
	s->r->no_ranges = true;
	s->at_once = true;
	return -EIO;
}

static int head_partial(struct stream *s, const struct http_reply *h, struct after *a)
{
	struct gb_results *r = s->r;
	int err;

	if (!s->ranged)
		return -EIO;
	if (h->range_total < 0 && s->kind == STREAM_PROBE && h->range_start == 0) {
		learn_no_length(r, a);
		return 0;
	}
	if (h->encoded || h->range_start < 0 || (uint64_t)h->range_start != s->base ||
		(h->range_total < 0 && r->size < 0) ||
		(h->range_total >= 0 && h->range_total <= h->range_start))
		return distrust_ranges(s);
	if (h->range_total >= 0) {
		err = learn_size(r, h->range_total, a);
		if (err < 0)
			return err;
	}
	if (s->end > (uint64_t)r->size)
		s->end = (uint64_t)r->size;
	if (h->content_length > (int64_t)(s->end - s->base))
		return distrust_ranges(s);
	return 0;
}

/* 200: the body is the whole file, whatever was asked for. */
static int head_whole(struct stream *s, const struct http_reply *h, struct after *a)
{
	struct gb_results *r = s->r;
	int err;

	if (s->ranged && (s->base > 0 || s->kind == STREAM_PROBE || h->encoded))
		r->no_ranges = true;
	for (struct stream *o = r->streams; o; o = o->next)
		if (o != s && o->whole && !o->stopping)
			s->stopping = true;
	if (!h->encoded && h->content_length >= 0) {
		err = learn_size(r, h->content_length, a);
		if (err < 0)
			return err;
	} else {
		learn_no_length(r, a);
	}
	s->whole = true;
	s->base = s->pos = s->first = s->reader = s->crc_base = 0;
	s->end = r->size >= 0 ? (uint64_t)r->size : NO_END;
	s->kind = STREAM_OPEN;
	s->headed = true;
	s->stopping |= !stream_is_followed(s) || disk_fd(r) < 0;
	return s->stopping ? -ECANCELED : 0;
}

int stream_on_head(void *arg, const struct http_reply *h)
{
	struct stream *s = arg;
	struct gb_results *r = s->r;
	struct after a;
	int err = 0;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	if (s->stopping)
		err = -ECANCELED;
	else if (h->status == 206)
		err = head_partial(s, h, &a);
	else if (h->status == 200)
		err = head_whole(s, h, &a);
	else if (h->status / 100 == 2)
		err = -EIO;
	s->err = err;
	s->headed = err == 0 && h->status / 100 == 2;
	if (s->headed)
		stream_plan(r, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return err;
}

/* ---- what comes ---------------------------------------------------------- */

/* Lines of JSON objects end so; a body cut inside a line hardly ever does. */
static bool ends_well(char last)
{
	return last == '\n' || last == '}';
}

static void count_rate(struct gb_results *r, uint64_t n)
{
	double now = util_now(), dt = now - r->rate_since;

	r->rate_bytes += n;
	if (dt < 1)
		return;
	r->rate = dt < 3 ? (double)r->rate_bytes / dt : 0;
	r->rate_bytes = 0;
	r->rate_since = now;
}

/* The block that ends at pos has come: checksum, map, perhaps the end of it all. */
static int end_block(struct stream *s, struct after *a)
{
	struct gb_results *r = s->r;
	uint64_t lo = (s->pos - 1) / RESULTS_BLOCK * RESULTS_BLOCK;
	int err = disk_sum_block(
		r, s->pos, s->crc_base == lo ? &s->crc : NULL, !s->skipped);

	s->crc_base = s->pos;
	s->crc = 0;
	s->skipped = false;
	if (err == -ESTALE)
		return stream_changed(r, a);
	check_complete(r, a);
	if (r->unsaved >= SAVE_EVERY) {
		r->unsaved = 0;
		a->save = true;
	}
	return 0;
}

/* n bytes at pos are on disk. */
static int commit(struct stream *s, size_t n, struct after *a)
{
	struct gb_results *r = s->r;
	int64_t fresh = ranges_add(&r->have, s->pos, s->pos + n);
	int err = 0;

	if (fresh < 0)
		return (int)fresh;
	s->pos += n;
	s->progress |= fresh > 0;
	r->unsaved += (uint64_t)fresh;
	count_rate(r, n);
	results_wake_ready(r, a);
	if (s->pos == results_block_end(r, s->pos - 1))
		err = end_block(s, a);
	return err < 0 ? err : s->pos == s->end ? 0 : stream_judge(s);
}

/* The last byte came and is no end of a line: the last block is not believed, nor is it
 * that this is the end. */
static int spoil(struct stream *s)
{
	struct gb_results *r = s->r;
	uint64_t lo = s->pos / RESULTS_BLOCK * RESULTS_BLOCK;

	ranges_remove(&r->have, lo, NO_END);
	ranges_remove(&r->summed, lo, NO_END);
	if (!r->sealed)
		r->size = -1;
	s->progress = false;
	return -EIO;
}

/* A page, or noise: an output is lines of objects. Its length was no better. */
static int not_an_output(struct stream *s)
{
	if (!s->r->sealed)
		s->r->size = -1;
	s->progress = false;
	return -EIO;
}

/* A piece that does not cross the end of a block. */
static int take_piece(struct stream *s, const char *buf, size_t n)
{
	struct gb_results *r = s->r;
	struct after a;
	uint64_t end;
	bool there;
	int err = 0, fd;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	fd = r->fd;
	there = ranges_end(&r->have, s->pos) >= s->pos + n;
	end = r->size >= 0 && (uint64_t)r->size < s->end ? (uint64_t)r->size : s->end;
	if (s->stopping)
		err = -ECANCELED;
	else if (s->pos > end || end - s->pos < n)
		err = -EIO;
	else if (s->pos == 0 && buf[0] != '{')
		err = not_an_output(s);
	else if (r->size >= 0 && s->pos + n == (uint64_t)r->size &&
		 !ends_well(buf[n - 1]))
		err = spoil(s);
	pthread_mutex_unlock(&r->lock);
	if (err == 0 && !there)
		err = util_pwrite_all(fd, buf, n, (off_t)s->pos);
	if (err < 0)
		return err == -EDQUOT ? -ENOSPC : err;
	s->skipped |= there;
	s->crc = util_crc32c(s->crc, buf, n);
	s->last = buf[n - 1];

	pthread_mutex_lock(&r->lock);
	err = s->stopping ? -ECANCELED : commit(s, n, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return err;
}

int stream_on_data(void *arg, const void *buf, size_t n)
{
	struct stream *s = arg;
	const char *p = buf;
	int err = 0;

	if (s->kind == STREAM_PROBE)
		return 0;
	while (n > 0 && err == 0) {
		uint64_t room = RESULTS_BLOCK - s->pos % RESULTS_BLOCK;
		size_t piece = n < room ? n : (size_t)room;

		err = take_piece(s, p, piece);
		p += piece;
		n -= piece;
	}
	if (err < 0)
		s->err = err;
	return err;
}

/* ---- the end of a transfer ----------------------------------------------- */

/* A whole body without a length has ended: that is the length, if it looks whole. */
static int end_unmeasured(struct stream *s, struct after *a)
{
	struct gb_results *r = s->r;
	int err;

	if (s->pos == 0 || !ends_well(s->last))
		return -EIO;
	err = learn_size(r, (int64_t)s->pos, a);
	if (err == 0 && s->pos % RESULTS_BLOCK)
		err = end_block(s, a);
	else if (err == 0)
		check_complete(r, a);
	return err;
}

/* The verdict on a 2xx. */
static int end_body(struct stream *s, const struct http_reply *reply, struct after *a)
{
	if (s->err < 0)
		return s->err;
	if (!s->headed || !reply->complete)
		return -EIO;
	if (s->kind == STREAM_PROBE || s->pos == s->end)
		return 0;
	if (s->end == NO_END)
		return end_unmeasured(s, a);
	/* A part may be shorter than what was asked; asking again helps. */
	return !s->whole && s->progress ? 0 : -EIO;
}

/* 416: beyond the end. It tells the size, or makes no sense. */
static int end_beyond(struct stream *s, const struct http_reply *reply, struct after *a)
{
	if (reply->range_total >= 0 && s->base >= (uint64_t)reply->range_total)
		return learn_size(s->r, reply->range_total, a);
	return s->ranged ? distrust_ranges(s) : -EIO;
}

struct verdict {
	int err;     /* 0: go on */
	bool again;  /* trying again may help */
	bool gone;   /* the API has it no more */
	double hint; /* of Retry-After, -1 */
};

/* 403 is how the API says "not there, or not yours", and what it says about keys. */
static bool is_about_key(const struct api_error *e)
{
	static const char *const reasons[] = {"API_KEY", "SERVICE_", "CONSUMER_",
		"BILLING", "USER_PROJECT", "ACCESS_"};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strncmp(e->reason, reasons[i], strlen(reasons[i])) == 0)
			return true;
	return false;
}

static struct verdict judge_status(const struct http_reply *reply)
{
	struct api_error e = {0};
	struct verdict v;

	api_error_from_reply(reply, &e);
	v = (struct verdict){.err = e.err < 0 ? e.err : -EIO, .hint = e.retry};
	v.again = !e.hopeless && (reply->status == 408 || reply->status == 429 ||
					 reply->status < 400 || reply->status >= 500);
	v.gone = reply->status == 404 || reply->status == 410 ||
		 (reply->status == 403 && !is_about_key(&e));
	if (v.gone)
		v.err = -ENODATA;
	api_error_clear(&e);
	return v;
}

/* There are two paths to an output, and not every endpoint serves both. */
static int try_other_path(struct stream *s)
{
	s->r->other_path = true;
	s->at_once = true;
	return -EIO;
}

static struct verdict judge_end(
	struct stream *s, const struct http_reply *reply, struct after *a)
{
	struct verdict v = {.hint = -1};

	if (s->stopping)
		return v;
	if (s->err < 0 || (reply->err == 0 && reply->status / 100 == 2))
		v.err = end_body(s, reply, a);
	else if (reply->err < 0)
		v.err = reply->err == -ECANCELED ? -EINTR : reply->err;
	else if (reply->status == 416)
		v.err = end_beyond(s, reply, a);
	else if (reply->status == 404 && !s->other_path)
		v.err = try_other_path(s);
	else
		return judge_status(reply);
	v.again = v.err == -EIO || v.err == -ETIMEDOUT || v.err == -EHOSTUNREACH;
	return v;
}

static bool is_orphan(const struct gb_waiter *w, void *arg)
{
	return !stream_find_cover(arg, w->lo);
}

/* Those whom other streams serve may go on waiting. */
static void give_up(struct gb_results *r, int err, struct after *a)
{
	a->err = err;
	r->tries = 0;
	r->fetching = false;
	waitq_move_if(&r->readq, &a->fail, is_orphan, r);
	waitq_move(&r->fetchq, &a->fail);
	if (r->size < 0)
		waitq_move(&r->sizeq, &a->fail);
}

static void on_timer(void *arg)
{
	struct gb_results *r = arg;
	struct after a;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	r->retrying = false;
	stream_plan(r, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	results_put(r);
}

/* After a failure; a stream that brought something starts the count anew. */
static void try_again(struct gb_results *r, const struct stream *s,
	const struct verdict *v, struct after *a)
{
	int err;

	r->tries = s->progress ? 1 : r->tries + 1;
	double pause = engine_backoff((int)r->tries, v->hint);
	/* Nobody who reads waits for an hour because the server says so. */
	if (r->tries > MAX_TRIES || pause > ENGINE_PATIENCE) {
		give_up(r, v->err, a);
		return;
	}
	if (r->retrying || s->at_once)
		return;
	err = engine_timer(r->engine, pause, on_timer, r);
	if (err < 0) {
		results_fail_all(r, -EINTR, a);
		return;
	}
	r->retrying = true;
	r->holds++;
}

static void take_verdict(struct gb_results *r, const struct stream *s,
	const struct verdict *v, struct after *a)
{
	if (v->err == 0) {
		if (s->progress)
			r->tries = 0;
	} else if (v->gone) {
		r->lost = true;
		a->events |= 1u << RESULTS_LOST;
		results_fail_all(r, r->rotten ? -EIO : -ENODATA, a);
	} else if (v->err == -EINTR) {
		results_fail_all(r, -EINTR, a);
	} else if (v->again) {
		try_again(r, s, v, a);
	} else {
		give_up(r, v->err, a);
	}
}

static void unlink_stream(struct stream *s)
{
	struct stream **p = &s->r->streams;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	if (--s->r->n_streams == 0)
		pthread_cond_broadcast(&s->r->idle);
}

void stream_on_done(void *arg, struct http_reply *reply)
{
	struct stream *s = arg;
	struct gb_results *r = s->r;
	struct after a;
	struct verdict v;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	v = judge_end(s, reply, &a);
	unlink_stream(s);
	if (!r->changed)
		take_verdict(r, s, &v, &a);
	stream_plan(r, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	free(s);
	results_put(r);
}
