/*
 * What a directory shows of all its parts, folded from them each time: nothing of it is
 * kept, so nothing of it can be old. A job without parts is told by describe.c alone.
 */
#include "answers/answers.h"
#include "archive/merged.h"
#include "client/describe.h"
#include "jobs/parts.h"

#include <string.h>

enum { ERRORS_SHOWN = 3 };

/* How far a part is: the directory is as far as the least finished. */
enum rank {
	RANK_UNCERTAIN,
	RANK_SUBMITTING,
	RANK_UPLOADING,
	RANK_QUEUED,
	RANK_PENDING,
	RANK_RUNNING,
	RANK_ENDED
};

struct fold {
	struct gb_info *i;
	enum rank rank;
	const char *state;   /* of the first that is no further than that */
	uint32_t succeeded, with_output;
	int worst;           /* of ends without output, by end_rank */
	const char *end;
	int64_t round0;      /* requests that parts of round 0 have */
	bool later;          /* there are parts of later rounds */
	bool all_ended, sized;
	time_t oldest, newest; /* when parts that go on, or others, were last heard of */
};

static enum rank rank_of(const struct gb_job *part)
{
	if (part->batch->id) {
		if (!job_runs(part))
			return RANK_ENDED;
		return part->batch->state <= REMOTE_STATE_PENDING ? RANK_PENDING
								  : RANK_RUNNING;
	}
	switch (job_phase(part)) {
	case PHASE_UNCERTAIN:
		return RANK_UNCERTAIN;
	case PHASE_SUBMITTING:
		return RANK_SUBMITTING;
	case PHASE_UPLOADING:
		return RANK_UPLOADING;
	case PHASE_FAILED:
		return RANK_ENDED;
	default:
		return RANK_QUEUED;
	}
}

/* Of how parts ended that have nothing to show, the directory says the worst. */
static int end_rank(const struct gb_job *part)
{
	switch (part->batch->state) {
	case REMOTE_STATE_FAILED:
		return 4;
	case REMOTE_STATE_EXPIRED:
		return 3;
	case REMOTE_STATE_CANCELLED:
		return 2;
	default:
		return 1;
	}
}

static void fold_state(
	struct fold *f, const struct gb_job *part, const struct gb_info *p)
{
	enum rank rank = rank_of(part);

	if (rank < f->rank) {
		f->rank = rank;
		f->state = p->state;
	}
	f->i->parts_sent += p->sent;
	f->i->parts_ended += p->sent && rank == RANK_ENDED;
	f->all_ended &= p->ended || job_has_vanished(part) ||
			(!p->sent && rank == RANK_ENDED);
	if (rank != RANK_ENDED)
		return;
	if (part->batch->state == REMOTE_STATE_SUCCEEDED)
		f->succeeded++;
	else if (end_rank(part) > f->worst) {
		f->worst = end_rank(part);
		f->end = p->state;
	}
	f->with_output += p->output != GB_OUTPUT_NONE;
}

static bool time_before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static void fold_times(
	struct fold *f, const struct gb_job *part, const struct gb_info *p)
{
	struct gb_info *i = f->i;
	struct timespec made = part->batch->created;

	/* Until one is sent it is as old as the draft was. */
	if (made.tv_sec && (i->parts_sent <= 1 || time_before(made, i->created)))
		i->created = made;
	if (time_before(i->ended_at, p->ended_at))
		i->ended_at = p->ended_at;
	if (time_before(i->updated, p->updated))
		i->updated = p->updated;
	if (p->expires && (!i->expires || p->expires < i->expires))
		i->expires = p->expires;
	if (p->sent && !p->ended && (!f->oldest || p->learnt < f->oldest))
		f->oldest = p->learnt;
	if (p->learnt > f->newest)
		f->newest = p->learnt;
}

static int64_t some(int64_t n)
{
	return n > 0 ? n : 0;
}

static void fold_counts(
	struct fold *f, const struct gb_job *part, const struct gb_info *p)
{
	struct gb_info *i = f->i;
	bool later = part->dir && (part->dir->rec.round || part->dir->rec.late);
	bool counted = part->batch->requests >= 0;

	f->later |= later;
	f->round0 += later ? 0 : some(p->requests);
	i->succeeded += some(p->succeeded);
	i->failed += some(p->failed);
	int64_t open = counted				  ? some(p->pending)
		       : job_phase(part) == PHASE_FAILED ? 0
							  : some(p->requests);

	if (job_has_vanished(part))
		i->failed += open;
	else
		i->pending += open;
}

/* One output that must still come counts for all. */
static enum gb_output worse_output(enum gb_output a, enum gb_output b)
{
	static const int order[] = {
		[GB_OUTPUT_NONE] = 0,    [GB_OUTPUT_LOST] = 1,  [GB_OUTPUT_SAVED] = 2,
		[GB_OUTPUT_DAMAGED] = 3, [GB_OUTPUT_THERE] = 4, [GB_OUTPUT_KEPT] = 5,
		[GB_OUTPUT_INLINE] = 6,  [GB_OUTPUT_AWAITED] = 7,
	};

	return order[a] > order[b] ? a : b;
}

static void fold_output(struct fold *f, const struct gb_info *p)
{
	struct gb_info *i = f->i;
	bool has = p->output != GB_OUTPUT_NONE && p->output != GB_OUTPUT_LOST;

	i->output = worse_output(i->output, p->output);
	i->results_safe &= p->results_safe || !has;
	i->results_unmeasured |= p->results_unmeasured;
	i->results_refused |= p->results_refused;
	if (!i->submit_errno)
		i->submit_errno = p->submit_errno;
	f->sized &= p->results_size >= 0 || !has;
	i->results_size += has ? some(p->results_size) : 0;
}

/* What no part has yet is still to come, unless it was given up. Later rounds ask
 * again: they add no requests, and what they answer has not failed. */
static void finish_counts(struct fold *f, const struct gb_job *dir, bool open)
{
	struct gb_info *i = f->i;
	int64_t all = f->round0;

	if (job_phase(dir) == PHASE_PARTS && dir->dir->rec.batch->requests > all)
		all = dir->dir->rec.batch->requests;
	i->pending += open ? all - f->round0 : 0;
	if (f->later) {
		if (i->succeeded > all - i->pending)
			i->succeeded = all - i->pending;
		i->failed = all - i->pending - i->succeeded;
	}
	i->requests = all;
}

static const char *finish_state(const struct fold *f, bool open, bool dropped)
{
	if (open && f->rank > RANK_QUEUED)
		return "QUEUED";
	if (f->rank < RANK_ENDED)
		return f->state;
	if (f->succeeded && f->succeeded == f->i->parts && !dropped)
		return remote_state_text(REMOTE_STATE_SUCCEEDED);
	if (f->succeeded || f->with_output)
		return "JOB_STATE_PARTIALLY_SUCCEEDED";
	return f->end ? f->end : remote_state_text(REMOTE_STATE_CANCELLED);
}

/* Lock held. */
static void fold_parts(struct gb_job *dir, struct gb_info *i)
{
	struct fold f = {.i = i, .rank = RANK_ENDED, .all_ended = true, .sized = true};
	bool open = parts_rest_is_open(dir);
	uint32_t n = parts_count(dir);

	describe_one(dir, i);
	i->id = NULL;
	i->has_error = describe_is_wrong(dir);
	i->has_parts = true;
	i->parts = n;
	i->parts_sent = i->parts_ended = 0;
	i->succeeded = i->failed = i->pending = i->results_size = 0;
	i->output = GB_OUTPUT_NONE;
	i->results_safe = true;
	i->results_unmeasured = i->results_refused = false;
	i->ended_at = i->updated = (struct timespec){0};
	i->expires = i->learnt = 0;
	for (uint32_t at = 0; at < n; at++) {
		struct gb_job *part = parts_at(dir, at);
		struct gb_info p;

		describe_one(part, &p);
		i->has_error |= describe_is_wrong(part);
		fold_state(&f, part, &p);
		fold_times(&f, part, &p);
		fold_counts(&f, part, &p);
		fold_output(&f, &p);
	}
	finish_counts(&f, dir, open);
	i->state = finish_state(&f, open, f.round0 < i->requests);
	i->sent = i->parts_sent > 0;
	i->ended = f.all_ended && !open;
	i->learnt = f.oldest ? f.oldest : f.newest;
	if (f.rank < RANK_ENDED || open) {
		/* The parts' output in order is one file, and there when all is. */
		i->output = GB_OUTPUT_NONE;
		i->ended_at = (struct timespec){0};
	}
	i->results_safe &= i->output != GB_OUTPUT_NONE;
	/* What part lacks a newline shows when it is saved. */
	i->results_unmeasured |= i->output != GB_OUTPUT_NONE && !i->results_safe;
	i->results_told = false;
	i->results_size =
		f.sized && i->output != GB_OUTPUT_NONE ? merged_size(dir) : -1;
	answers_info(dir, i);
}

void gb_job_info(struct gb_job *job, struct gb_info *ret)
{
	client_lock(job->c);
	if (parts_several(job))
		fold_parts(job, ret);
	else
		describe_one(job, ret);
	client_unlock(job->c);
}

static bool has_several(struct gb_job *job)
{
	client_lock(job->c);
	bool several = parts_several(job);
	client_unlock(job->c);
	return several;
}

char *gb_job_json(struct gb_job *job)
{
	return has_several(job) ? NULL : gb_part_json(job);
}

/* ---- error ----------------------------------------------------------------------- */

/* Those whose results are not here come first: what is paid for may still be had. */
enum wrong { LACKS_RESULTS, IS_OTHERWISE_WRONG, WRONGS };

/* Lock held. Its own batch's error is told with the directory's own. */
static bool is_wrong(struct gb_job *dir, struct gb_job *part, enum wrong how)
{
	return part != dir && describe_is_wrong(part) &&
	       describe_lacks_results(part) == (how == LACKS_RESULTS);
}

/* The next part from *at on that is wrong like that, a reference; NULL: none. */
static struct gb_job *next_wrong(struct gb_job *dir, enum wrong how, uint32_t *at)
{
	struct gb_job *part = NULL;

	client_lock(dir->c);
	for (; !part && *at < parts_count(dir); ++*at)
		if (is_wrong(dir, parts_at(dir, *at), how))
			part = gb_job_ref(parts_at(dir, *at));
	client_unlock(dir->c);
	return part;
}

static void put_part_error(FILE *out, struct gb_job *part)
{
	_cleanup_free_ char *text = describe_error(part, true);

	client_lock(part->c);
	uint32_t number = parts_number(part);
	client_unlock(part->c);
	if (text)
		fprintf(out, "parts/%04u: %s", number, text);
}

/* Returns how many there are; shown: some are already. */
static unsigned put_wrong(FILE *out, struct gb_job *dir, enum wrong how, unsigned shown)
{
	struct gb_job *part;
	unsigned n = 0;

	for (uint32_t at = 0; (part = next_wrong(dir, how, &at)); gb_job_unref(part))
		if (shown + ++n <= ERRORS_SHOWN)
			put_part_error(out, part);
	return n;
}

/* The verbs that settle a create whose answer is missing take one at a time. */
static void put_uncertain(FILE *out, struct gb_job *dir)
{
	uint32_t n = 0, first = 0;

	client_lock(dir->c);
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const struct gb_job *part = parts_at(dir, i);

		if (job_phase(part) != PHASE_UNCERTAIN)
			continue;
		first = n++ ? first : parts_number(part);
	}
	client_unlock(dir->c);
	if (n == 1)
		fprintf(out, "One part is uncertain, parts/%04u: adopt ID and resubmit "
			     "mean that one.\n", first);
	else if (n)
		fprintf(out, "%u parts are uncertain: adopt ID and resubmit mean the "
			     "first of them, now parts/%04u, so give one of them %u "
			     "times.\n", n, first, n);
}

static char *errors_of_all(struct gb_job *dir)
{
	_cleanup_free_ char *own = describe_error(dir, true);
	unsigned wrong = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs(own ? own : "", out);
	put_uncertain(out, dir);
	for (enum wrong how = 0; how < WRONGS; how++)
		wrong += put_wrong(out, dir, how, wrong);
	if (wrong > ERRORS_SHOWN)
		fprintf(out, "More errors: %u. To see all: cat parts/*/error\n",
			wrong - ERRORS_SHOWN);
	if (fclose(out) == 0 && size)
		return text;
	free(text);
	return NULL;
}

char *gb_job_error(struct gb_job *job)
{
	return has_several(job) ? errors_of_all(job) : gb_part_error(job);
}
