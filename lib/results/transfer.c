/* Results: the course of a transfer: head, end, retries. Its body is in
 * transfer_body.c. */
#include "results/results_private.h"
#include "base/util.h"
#include "provider/errors.h"

#include <errno.h>
#include <string.h>

/* ---- what the head tells ------------------------------------------------- */

int stream_changed(struct gb_results *r, struct after *a)
{
	r->changed = true;
	r->dirty = false;
	/* At once: this object may be gone before it is idle. If it fails it is tried
	 * again then. */
	copy_set_aside(r);
	stream_stop_all(r);
	results_fail_all(r, -EIO, a);
	return -EIO;
}

/* Everything is local: say so once. */
void stream_check_complete(struct gb_results *r, struct after *a)
{
	if (r->filled || !results_is_complete(r))
		return;
	r->filled = true;
	r->fetching = false;
	a->events |= 1u << RESULTS_FILLED;
	waitq_move(&r->fetchq, &a->wake);
}

/* A size that differs from the known one, or is less than what is there. A stray error
 * page, or one wrong answer, reports a wrong size once; a file that really changed
 * reports it again. If nobody has read a byte yet, accept the new size, unless it is
 * zero. */
static int doubt_size(struct gb_results *r, int64_t size, struct after *a)
{
	bool again = r->doubted == size;

	r->doubted = size;
	if (!again || size == 0 || r->kept)
		return -EIO;
	if (r->given || r->sealed)
		return stream_changed(r, a);
	/* What came with the wrong length is not mixed with what comes with the right
	 * one. */
	stream_stop_all(r);
	ranges_clear(&r->have);
	ranges_clear(&r->summed);
	return 0;
}

/* The size that others may have been told is another than the proven one: whoever has
 * the file open may have relied on it. Proven ones are always told. */
static void note_shown(struct gb_results *r, struct after *a)
{
	if (r->shown >= 0 && r->shown != r->size) {
		r->misled = r->unheard = true;
		a->events |= 1u << RESULTS_SIZED;
		a->err = -EIO;
		waitq_move(&r->readq, &a->fail);
	}
	r->shown = r->size;
}

bool stream_is_told(struct odd *o, int64_t size, uint32_t crc, unsigned times)
{
	if (o->size != size || o->crc != crc)
		*o = (struct odd){.size = size, .crc = crc};
	return ++o->told >= times;
}

void stream_prove_size(struct gb_results *r, struct after *a)
{
	if (!r->proven)
		a->events |= 1u << RESULTS_SIZED;
	r->proven = true;
	note_shown(r, a);
	/* The map of a sealed file has the size: told again it stays sealed. */
	r->dirty |= !r->sealed && !r->sealing;
	waitq_move(&r->sizeq, &a->wake);
	results_wake_ready(r, a);
	if (results_is_complete(r) && r->size % RESULTS_BLOCK)
		copy_sum_block(r, (uint64_t)r->size, NULL, false);
	stream_check_complete(r, a);
}

int stream_learn_size(struct gb_results *r, int64_t size, struct after *a)
{
	bool again = r->size == size || r->doubted == size;
	int err = 0;

	if (size > RESULTS_MAX)
		return -EIO;
	if (size == 0 && r->size < 0) {
		again = stream_is_told(&r->empty, 0, 0, ODD_TIMES);
		err = again ? 0 : -EIO;
	}
	if (err == 0 && r->size != size &&
		(r->size >= 0 || ranges_limit(&r->have) > (uint64_t)size ||
			ranges_limit(&r->summed) > (uint64_t)size))
		err = doubt_size(r, size, a);
	if (err)
		return err;
	r->doubted = -1;
	if (r->size != size) {
		r->size = size;
		r->proven = r->no_length = false;
		r->ended = size == 0;
	}
	if (again)
		stream_prove_size(r, a);
	else if (results_may_show(r))
		waitq_move(&r->sizeq, &a->wake);
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

/* The head contradicts itself about the bytes that follow, so none of them is used. If
 * a server does this repeatedly, the whole file is requested. */
static int head_contradicts(struct stream *s)
{
	return s->r->tries >= 2 ? distrust_ranges(s) : -EIO;
}

static bool is_consistent(const struct http_reply *h)
{
	int64_t n = h->range_end - h->range_start + 1;

	return n > 0 && (h->range_total < 0 || h->range_end < h->range_total) &&
	       (h->content_length < 0 || h->content_length == n);
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
	if (!is_consistent(h))
		return head_contradicts(s);
	if (s->end != NO_END && h->range_end >= (int64_t)s->end)
		return distrust_ranges(s);
	if (h->range_total >= 0) {
		s->taught = r->size < 0;
		err = stream_learn_size(r, h->range_total, a);
		if (err < 0)
			return err;
	}
	if (h->range_end >= r->size)
		return head_contradicts(s);
	s->end = (uint64_t)h->range_end + 1;
	s->measured = h->content_length >= 0;
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
		s->measured = true;
		s->taught = r->size < 0;
		err = stream_learn_size(r, h->content_length, a);
		if (err < 0)
			return err;
	} else {
		learn_no_length(r, a);
	}
	s->whole = true;
	s->base = s->pos = s->sure = s->first = s->reader = s->crc_base = 0;
	s->end = r->size >= 0 ? (uint64_t)r->size : NO_END;
	s->kind = STREAM_OPEN;
	s->headed = true;
	s->stopping |= !stream_is_followed(s) || copy_fd(r) < 0;
	return s->stopping ? -ECANCELED : 0;
}

/* Lock held. */
static int take_head(struct stream *s, const struct http_reply *h, struct after *a)
{
	int err = -EIO;

	if (s->stopping)
		err = -ECANCELED;
	else if (h->status == 206)
		err = head_partial(s, h, a);
	else if (h->status == 200)
		err = head_whole(s, h, a);
	s->err = err;
	s->headed = err == 0;
	if (s->headed)
		stream_plan(s->r, a);
	return err;
}

static int take_head_now(struct stream *s, const struct http_reply *h)
{
	struct gb_results *r = s->r;
	struct after a;
	int err;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	err = take_head(s, h, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	return err;
}

/* A page that comes instead of the file is complete in itself, and its head says
 * nothing about the file: the first bytes decide. A content type that says page may be
 * wrong. */
static int put_head_off(struct stream *s, const struct http_reply *h)
{
	s->late = malloc(sizeof *h);
	if (!s->late)
		return -ENOMEM;
	*s->late = *h;
	s->late->body = NULL;
	return 0;
}

enum { JUDGED = 64 /* bytes are enough to miss members */ };

static bool is_file(const struct http_reply *h, const char *buf, size_t n)
{
	enum shape shape = shape_of_beginning(buf, n);

	if (h->page)
		return shape == SHAPE_LINES;
	return shape == SHAPE_ODD ? n < JUDGED || shape_has_members(buf, n)
				  : shape != SHAPE_FOREIGN;
}

int stream_take_late_head(struct stream *s, const char *buf, size_t n)
{
	struct http_reply *h = STEAL_PTR(s->late);
	int err = is_file(h, buf, n) ? take_head_now(s, h) : -EIO;

	free(h);
	return err;
}

int stream_on_head(void *arg, const struct http_reply *h)
{
	struct stream *s = arg;

	if (h->status / 100 != 2)
		return 0;
	return h->status == 200 ? put_head_off(s, h) : take_head_now(s, h);
}

/* ---- the end of a transfer ----------------------------------------------- */

/* 416: beyond the end. It states the size, or makes no sense. That the file is empty is
 * accepted only from a complete reply. */
static int end_beyond(struct stream *s, const struct http_reply *reply, struct after *a)
{
	if (s->ranged && reply->range_total == 0)
		return distrust_ranges(s);
	if (reply->range_total >= 0 && s->base >= (uint64_t)reply->range_total)
		return stream_learn_size(s->r, reply->range_total, a);
	return s->ranged ? distrust_ranges(s) : -EIO;
}

/* A status that says no. */
static struct download_verdict judge_refusal(
	struct stream *s, const struct http_reply *reply)
{
	struct gb_results *r = s->r;
	struct download_verdict v = r->api->provider->judge_download(reply, s->way);

	if (v.other_way) {
		r->way = s->way + 1;
		s->at_once = true;
		v.err = -EIO;
		v.again = true;
	} else if (reply->status == 404 && !v.refused) {
		/* The ways are tried in turn, whichever of them answered that the file
		 * does not exist. */
		r->way = 0;
	}
	return v;
}

static struct download_verdict stream_judge_end(
	struct stream *s, const struct http_reply *reply, struct after *a)
{
	struct download_verdict v = {.hint = -1};

	s->cut_short = reply->err < 0 && s->err == 0;
	if (s->stopping)
		return v;
	if (s->err < 0 || (reply->err == 0 && reply->status / 100 == 2))
		v.err = stream_end_body(s, reply, a);
	else if (reply->err < 0)
		v.err = reply->err == -ECANCELED ? -EINTR : reply->err;
	else if (reply->status == 416)
		v.err = end_beyond(s, reply, a);
	else
		return judge_refusal(s, reply);
	v.again =
		errors_may_pass(&(struct provider_error){.err = v.err}, CALL_DOWNLOAD);
	return v;
}

static bool is_orphan(const struct gb_waiter *w, void *arg)
{
	return !stream_find_cover(arg, w->lo);
}

/* Waiters that other streams serve may go on waiting. The time that the API named for
 * the next request applies to all who come meanwhile. */
static void stream_give_up(
	struct gb_results *r, const struct download_verdict *v, struct after *a)
{
	a->err = v->err;
	a->events |= 1u << RESULTS_GAVE_UP;
	r->gave_up = v->err;
	r->rest_err = v->hint > 0 ? v->err : 0;
	r->rest_until = v->hint > 0 ? util_now() + engine_backoff(1, v->hint) : 0;
	r->tries = 0;
	r->fetching = false;
	waitq_move_if(&r->readq, &a->fail, is_orphan, r);
	waitq_move(&r->fetchq, &a->fail);
	if (!r->proven)
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

/* Connections that end early and bring nothing are asked for less at a time, until it
 * fits; and where that goes well, for more. Nothing is cut out of what comes whole:
 * there ranges are tried again. */
static void fit_piece(struct gb_results *r, const struct stream *s, bool failed)
{
	uint64_t came = s->pos - s->base, least;

	if (failed && s->cut_short && s->whole)
		r->no_ranges = false;
	if (failed && s->cut_short && !s->progress && !s->whole && came > 0 &&
		r->tries >= 2) {
		least = r->piece && r->piece < came ? r->piece / 2 : came / 2;
		r->piece = least > PIECE_MIN ? least : PIECE_MIN;
		r->good_pieces = 0;
	}
	if (failed || !r->piece || !s->progress || ++r->good_pieces < PIECES_GOOD)
		return;
	r->good_pieces = 0;
	r->piece = r->piece > RESULTS_UNSURE ? 0 : r->piece * 2;
}

/* After a failure; a stream that brought something starts the count anew. */
static void try_again(struct gb_results *r, const struct stream *s,
	const struct download_verdict *v, struct after *a)
{
	int err;

	r->tries = s->progress ? 1 : r->tries + 1;
	fit_piece(r, s, true);
	double pause = engine_backoff((int)r->tries, v->hint);
	/* A reader does not wait for an hour because the server asks for it. */
	if (r->tries > MAX_TRIES || pause > ENGINE_PATIENCE) {
		stream_give_up(r, v, a);
		return;
	}
	if (r->retrying || s->at_once)
		return;
	err = engine_timer(r->api->engine, pause, on_timer, r);
	if (err < 0) {
		results_fail_all(r, -EINTR, a);
		return;
	}
	r->retrying = true;
	r->holds++;
}

static void take_verdict(struct gb_results *r, const struct stream *s,
	struct download_verdict *v, struct after *a)
{
	if (v->err == 0) {
		if (s->progress)
			r->tries = 0;
		fit_piece(r, s, false);
	} else if (v->refused) {
		r->refused = true;
		r->refused_with = v->refused;
		r->way = 0; /* the next try begins with the first */
		free(r->refused_words);
		r->refused_words = STEAL_PTR(v->words);
		a->events |= 1u << RESULTS_REFUSED | 1u << RESULTS_GAVE_UP;
		r->gave_up = r->rotten ? -EIO : -ENODATA;
		r->rest_err = 0;
		results_fail_all(r, r->gave_up, a);
	} else if (v->err == -EINTR) {
		results_fail_all(r, -EINTR, a);
	} else if (v->again) {
		try_again(r, s, v, a);
	} else {
		stream_give_up(r, v, a);
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
	struct download_verdict v;

	after_init(&a);
	pthread_mutex_lock(&r->lock);
	v = stream_judge_end(s, reply, &a);
	unlink_stream(s);
	if (!r->changed)
		take_verdict(r, s, &v, &a);
	stream_plan(r, &a);
	pthread_mutex_unlock(&r->lock);
	results_finish(r, &a);
	free(v.words);
	ranges_clear(&s->mine);
	free(s->late);
	free(s);
	results_put(r);
}
