/* Results: which transfers to start, for whom, and when to abort them. */
#include "results/results_private.h"
#include "base/util.h"

#include <errno.h>

/* ---- starting ------------------------------------------------------------ */

/* Whether what s was asked for proves the size, soon. */
static bool will_prove(const struct stream *s)
{
	const struct gb_results *r = s->r;

	if (!s->headed)
		return true;
	/* Whatever else is asked for, it is this again. */
	if (s->whole && r->no_ranges)
		return true;
	if (r->size < 0)
		return s->kind != STREAM_PROBE && s->end == NO_END;
	return s->kind != STREAM_PROBE && s->end == (uint64_t)r->size &&
	       s->end - s->sure <= NEAR;
}

/* lo waits to know whether it is past the end. */
static bool is_past(const struct gb_results *r, uint64_t lo)
{
	return r->size >= 0 && !r->ended && lo >= (uint64_t)r->size;
}

/* Whether s will bring lo soon, so that it need not be requested. */
static bool covers(const struct stream *s, uint64_t lo)
{
	if (is_past(s->r, lo) && !s->stopping && will_prove(s))
		return true;
	if (s->stopping || (s->kind == STREAM_PROBE && !s->whole))
		return false;
	if (s->whole)
		return lo >= s->sure || s->r->no_ranges;
	return lo >= s->sure && lo < s->end &&
	       (s->kind == STREAM_BOUNDED || lo - s->sure <= NEAR);
}

struct stream *stream_find_cover(const struct gb_results *r, uint64_t lo)
{
	for (struct stream *s = r->streams; s; s = s->next)
		if (covers(s, lo))
			return s;
	return NULL;
}

static void submit_range(const struct stream *s, char *text, size_t size)
{
	if (s->end == NO_END)
		snprintf(text, size, "%llu-", (unsigned long long)s->base);
	else
		snprintf(text, size, "%llu-%llu", (unsigned long long)s->base,
			(unsigned long long)s->end - 1);
}

static int submit(struct stream *s)
{
	struct gb_results *r = s->r;
	char range[48];
	struct download d = {.file = r->file,
		.way = r->way,
		.range = s->ranged ? range : NULL,
		.on_head = stream_on_head,
		.on_data = stream_on_data,
		.done = stream_on_done,
		.arg = s};
	int err;

	submit_range(s, range, sizeof range);
	s->way = r->way;
	err = r->api->provider->download(r->api, &d, &s->t);
	return err == -ECANCELED ? -EINTR : err;
}

/* base and end are only wishes where the server ignores Range. */
static int start_stream(
	struct gb_results *r, enum stream_kind kind, uint64_t base, uint64_t end)
{
	struct stream *s;
	int err = copy_fd(r);

	if (kind != STREAM_PROBE && err < 0)
		return err;
	if (r->piece && kind != STREAM_PROBE && end - base > r->piece)
		end = base + r->piece;
	if (end <= base) /* that would ask for all from there */
		return -EIO;
	s = malloc(sizeof *s);
	if (!s)
		return -ENOMEM;
	*s = (struct stream){.r = r,
		.kind = kind,
		.base = base,
		.pos = base,
		.sure = base,
		.end = end,
		.first = base,
		.reader = base,
		.ranged = !r->no_ranges,
		.crc_base = base};
	if (r->no_ranges) {
		s->kind = STREAM_OPEN;
		s->whole = true;
		s->base = s->pos = s->sure = s->first = s->reader = s->crc_base = 0;
		s->end = NO_END;
	}
	err = submit(s);
	if (err < 0) {
		free(s);
		return err;
	}
	s->next = r->streams;
	r->streams = s;
	r->n_streams++;
	r->holds++;
	return 0;
}

/* A stream from lo goes up to where a long local run begins that makes a new request
 * worth while, or one that reaches the end. */
static uint64_t stream_end(const struct gb_results *r, uint64_t lo)
{
	for (;;) {
		uint64_t next = results_local_next(r, lo);

		if (next == NO_END)
			return r->size >= 0 ? (uint64_t)r->size : NO_END;
		lo = results_local_end(r, next);
		if (lo - next >= SKIP || (r->size >= 0 && lo >= (uint64_t)r->size))
			return next;
	}
}

static int start_open(struct gb_results *r, uint64_t base)
{
	uint64_t end = stream_end(r, base);
	int err;

	/* "a-" and "a-b" with b the last byte ask for the same; the first cannot be
	 * refused for a size that is not quite what was thought. */
	if (r->size >= 0 && end == (uint64_t)r->size)
		end = NO_END;
	err = start_stream(r, STREAM_OPEN, base, end);
	if (err == 0 && base == r->resume) {
		r->streams->first = r->resume_first;
		r->resume = NO_END;
	}
	return err;
}

/* What of the blocks around [lo, hi) is missing next to lo. */
static int start_bounded(struct gb_results *r, uint64_t lo, uint64_t hi)
{
	uint64_t base = lo / RESULTS_BLOCK * RESULTS_BLOCK, end, next;

	if (hi - lo > RESULTS_BLOCK)
		hi = lo + RESULTS_BLOCK;
	while ((next = results_local_next(r, base)) < lo)
		base = results_local_end(r, next);
	end = results_block_end(r, hi - 1);
	next = results_local_next(r, lo);
	return start_stream(r, STREAM_BOUNDED, base, next < end ? next : end);
}

static bool is_sequential(const struct gb_results *r, uint64_t lo)
{
	if (lo < RESULTS_BLOCK && results_local_end(r, 0) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(r->ends); i++)
		if (r->ends[i] == lo)
			return true;
	return false;
}

/* A second reply that tells the size, by its last byte, or by all that is missing where
 * that is little. */
static int start_proof(struct gb_results *r)
{
	uint64_t size = (uint64_t)r->size, lo = results_local_end(r, 0);

	if (lo < size && size - lo <= RESULTS_UNSURE)
		return start_open(r, lo);
	return start_stream(r, STREAM_BOUNDED, size - 1, size);
}

static int start_for(struct gb_results *r, uint64_t lo, uint64_t hi)
{
	if (is_past(r, lo))
		return start_proof(r);
	if (!is_sequential(r, lo))
		return start_bounded(r, lo, hi);
	if (lo < RESULTS_BLOCK && results_local_end(r, 0) == 0)
		lo = 0;
	return start_open(r, lo);
}

/* ---- planning ------------------------------------------------------------ */

struct want {
	struct gb_results *r;
	uint64_t lo, hi;
};

/* Not to be moved: this only finds the first waiter whom nothing serves, and tells
 * streams who follows them. */
static bool look_at_waiter(const struct gb_waiter *w, void *arg)
{
	struct want *want = arg;
	struct stream *s = stream_find_cover(want->r, w->lo);

	/* Held bytes that are here wait for the size alone. */
	if (results_is_held(want->r) && results_local_end(want->r, w->lo) > w->lo)
		return false;
	if (s && s->reader < w->lo)
		s->reader = w->lo;
	if (!s && w->lo < want->lo) {
		want->lo = w->lo;
		want->hi = w->hi;
	}
	return false;
}

/* 1: started something; 0: nothing to start. */
static int plan_reader(struct gb_results *r)
{
	struct want want = {.r = r, .lo = NO_END};
	int err;

	waitq_move_if(&r->readq, NULL, look_at_waiter, &want);
	if (want.lo == NO_END)
		return 0;
	err = start_for(r, want.lo, want.hi);
	return err < 0 ? err : 1;
}

/* One stream after the other, each over the first hole. */
static int plan_fetch(struct gb_results *r)
{
	uint64_t hole = results_local_end(r, 0);
	struct stream *s;
	int err;

	if (!r->fetching)
		return 0;
	for (s = r->streams; s; s = s->next)
		if (!s->stopping && s->kind == STREAM_OPEN)
			return 0;
	while ((r->size < 0 || hole < (uint64_t)r->size) &&
		(s = stream_find_cover(r, hole)) && s->end != NO_END)
		hole = results_local_end(r, s->end);
	if (s || (r->size >= 0 && hole >= (uint64_t)r->size))
		return 0;
	err = start_open(r, hole);
	return err < 0 ? err : 1;
}

/* Everything that a fetch knows of is here, but it is unknown whether that is all. */
static bool fetch_needs_proof(const struct gb_results *r)
{
	return r->fetching && is_past(r, results_local_end(r, 0));
}

static bool is_size_wanted(struct gb_results *r)
{
	if (fetch_needs_proof(r) ||
		(results_is_held(r) && waitq_count(&r->readq) > 0))
		return true;
	return waitq_count(&r->sizeq) > 0 && !r->proven &&
	       (r->size >= 0 || !r->no_length);
}

static int plan_size(struct gb_results *r)
{
	int err;

	if (!is_size_wanted(r))
		return 0;
	for (struct stream *s = r->streams; s; s = s->next)
		if (!s->stopping && will_prove(s))
			return 0;
	/* Where no length is told the end of the body is what tells it. */
	err = r->size >= 0    ? start_proof(r)
	      : r->no_length ? start_open(r, results_local_end(r, 0))
			      : start_stream(r, STREAM_PROBE, 0, 1);
	return err < 0 ? err : 1;
}

void stream_plan(struct gb_results *r, struct after *a)
{
	int more = 1;

	while (more > 0 && r->n_streams < MAX_STREAMS) {
		if (r->stopped || r->frozen || r->retrying || r->changed || r->refused)
			return;
		more = plan_reader(r);
		if (more == 0)
			more = plan_fetch(r);
		if (more == 0)
			more = plan_size(r);
	}
	if (more < 0)
		results_fail_all(r, more, a);
}

static void note_end(struct gb_results *r, uint64_t off, uint64_t end)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->ends); i++)
		if (r->ends[i] == off) {
			r->ends[i] = end;
			return;
		}
	r->ends[r->next_end++ % ARRAY_SIZE(r->ends)] = end;
}

void stream_note_read(struct gb_results *r, uint64_t off, uint64_t end, struct after *a)
{
	note_end(r, off, end);
	for (struct stream *s = r->streams; s; s = s->next)
		if (off >= s->base && off <= s->sure && end > s->reader)
			s->reader = end < s->sure ? end : s->sure;
	if (r->resume == NO_END || end > r->resume || r->resume - end > AHEAD / 2 ||
		r->readers == 0 || r->retrying || r->stopped || r->frozen ||
		r->changed || r->n_streams == MAX_STREAMS ||
		stream_find_cover(r, r->resume) ||
		results_local_end(r, end) != r->resume)
		return;
	if (start_open(r, r->resume) == 0)
		r->streams->reader = end;
	r->resume = NO_END;
}

/* ---- breaking off -------------------------------------------------------- */

static void stop(struct stream *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->r->api->provider->download_abort(s->r->api, s->t);
}

void stream_stop_all(struct gb_results *r)
{
	for (struct stream *s = r->streams; s; s = s->next)
		stop(s);
}

/* A bounded one is as good as there, and its connection can be used again. */
bool stream_is_followed(const struct stream *s)
{
	struct gb_results *r = s->r;

	return r->fetching || r->readers > 0 || s->kind != STREAM_OPEN ||
	       waitq_count(&r->readq) > 0 || (!s->headed && waitq_count(&r->sizeq) > 0);
}

void stream_stop_unfollowed(struct gb_results *r)
{
	for (struct stream *s = r->streams; s; s = s->next)
		if (!stream_is_followed(s))
			stop(s);
}

static bool is_too_far(const struct stream *s)
{
	uint64_t read = s->reader - s->first;

	return !s->r->fetching && !s->whole && s->kind == STREAM_OPEN &&
	       s->sure > s->reader &&
	       s->sure - s->reader > (2 * read > AHEAD ? 2 * read : AHEAD);
}

/* What follows is local, enough of it to make a new request later. */
static bool has_arrived(const struct stream *s)
{
	uint64_t end = results_local_end(s->r, s->sure);

	if (s->r->size >= 0 && end >= (uint64_t)s->r->size)
		return s->sure < (uint64_t)s->r->size;
	return !s->whole && end - s->sure >= SKIP;
}

/* After each piece: 0 to go on. */
int stream_judge(struct stream *s)
{
	struct gb_results *r = s->r;

	if (stream_is_followed(s) && !is_too_far(s) && !has_arrived(s))
		return 0;
	if (is_too_far(s)) {
		r->resume = s->sure;
		r->resume_first = s->first;
	}
	s->stopping = true;
	return -ECANCELED;
}
