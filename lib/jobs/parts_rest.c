/*
 * What of a directory's requests is still to be bought.
 *
 * Which bytes a part has is in the part's journal. That a part's record is not there does
 * not say that it was not bought: it may be damaged, or gone. So the directory's own
 * journal has how far the requests were bought, and what is before that is never the rest
 * again, unless its part goes because it was proven not to have been made.
 */
#include "jobs/parts_private.h"

#include <errno.h>
#include <stdlib.h>

static int by_offset(const void *a, const void *b)
{
	const struct part_range *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

static bool is_of_round_0(const struct gb_job *part)
{
	return !part->dir->rec.round;
}

/* Bytes from `from` to `to` that no part has, and the first of them; -ENOMEM. */
static int64_t gaps(
	const struct gb_job *dir, int64_t from, int64_t to, struct part_range *ret_first)
{
	uint32_t n = 0, all = dir->parts ? dir->parts->n : 0;
	struct part_range *had = calloc(all + 1, sizeof(*had));
	int64_t at = from, sum = 0;

	client_expect_lock(dir->c);
	*ret_first = (struct part_range){0};
	if (!had)
		return -ENOMEM;
	for (uint32_t i = 0; i < all; i++) {
		const struct record *r = &dir->parts->v[i]->dir->rec;

		if (is_of_round_0(dir->parts->v[i]) && r->range_off < to)
			had[n++] = (struct part_range){r->range_off, r->range_len};
	}
	qsort(had, n, sizeof(*had), by_offset);
	had[n] = (struct part_range){to, 0};
	for (uint32_t i = 0; i <= n; i++) {
		int64_t end = had[i].off + had[i].len;

		if (had[i].off > at && !ret_first->len)
			*ret_first = (struct part_range){at, had[i].off - at};
		if (had[i].off > at)
			sum += had[i].off - at;
		at = end > at ? end : at;
	}
	free(had);
	return sum;
}

int64_t parts_rest_of(const struct gb_job *dir, struct part_range *ret_first)
{
	const struct record *r = &dir->dir->rec;
	int64_t rest = gaps(dir, r->bought_to, r->batch->sent_size, ret_first);

	/* Without memory nothing is cut now. */
	return rest < 0 ? 0 : rest;
}

struct part_range parts_rest(const struct gb_job *dir)
{
	struct part_range first;

	parts_rest_of(dir, &first);
	return first;
}

/* Called often: as long as parts do not overlap their lengths are enough. */
int64_t parts_rest_size(const struct gb_job *dir)
{
	int64_t from = dir->dir->rec.bought_to;
	int64_t rest = dir->dir->rec.batch->sent_size - from;
	struct part_range first;

	client_expect_lock(dir->c);
	if (dir->parts && dir->parts->overlap)
		return parts_rest_of(dir, &first);
	for (uint32_t i = 0; dir->parts && i < dir->parts->n; i++) {
		const struct record *part = &dir->parts->v[i]->dir->rec;

		if (is_of_round_0(dir->parts->v[i]) && part->range_off >= from)
			rest -= part->range_len;
	}
	return rest;
}

/* ---- how far it was bought ------------------------------------------------------- */

/* It was made, or nobody can say that it was not. */
static bool is_bought(const struct gb_job *part)
{
	return part->batch->id || phase_is_unanswered(job_phase(part));
}

/* From `from` on. */
static int64_t bought_to(const struct gb_job *dir, int64_t from)
{
	int64_t at;

	do {
		at = from;
		for (uint32_t i = 0; dir->parts && i < dir->parts->n; i++) {
			const struct gb_job *part = dir->parts->v[i];
			const struct record *r = &part->dir->rec;

			if (is_of_round_0(part) && is_bought(part) &&
				r->range_off <= from && r->range_off + r->range_len > from)
				from = r->range_off + r->range_len;
		}
	} while (from > at);
	return from;
}

bool parts_note_bought(struct gb_job *dir)
{
	struct record *r = &dir->dir->rec;
	int64_t before = r->bought_to;

	client_expect_lock(dir->c);
	if (job_phase(dir) == PHASE_PARTS)
		r->bought_to = bought_to(dir, before);
	return r->bought_to != before;
}

/* Unlocked: `before` is valid again where that cannot be written. */
static int save_bought(struct gb_job *dir, int64_t before)
{
	int err = job_dir_save(dir);

	client_lock(dir->c);
	if (err)
		dir->dir->rec.bought_to = before;
	client_unlock(dir->c);
	return err;
}

int parts_save_bought(struct gb_job *dir)
{
	client_lock(dir->c);
	int64_t before = dir->dir->rec.bought_to;
	bool news = parts_note_bought(dir);
	client_unlock(dir->c);
	return news ? save_bought(dir, before) : 0;
}

int64_t parts_lost(const struct gb_job *dir, struct part_range *ret_first)
{
	const struct record *r = &dir->dir->rec;

	client_expect_lock(dir->c);
	return gaps(dir, 0, r->bought_to, ret_first);
}

bool parts_are_lost(const struct gb_job *dir)
{
	struct part_range first;

	return dir->dir->rec.bought_to && parts_lost(dir, &first) != 0;
}

/* Lock held: bought bytes outside of `range` whose part is lost: they would be bought again
 * with it. */
static bool others_are_lost(const struct gb_job *dir, struct part_range range)
{
	struct part_range first;
	int64_t end = range.off + range.len;

	return gaps(dir, 0, range.off, &first) ||
	       gaps(dir, end, dir->dir->rec.bought_to, &first);
}

int parts_reopen(struct gb_job *part, struct part_range range)
{
	struct gb_job *dir = NULL;
	int64_t before = 0;

	client_lock(part->c);
	if (part->parent && is_of_round_0(part) &&
		part->parent->dir->rec.bought_to > range.off &&
		!others_are_lost(part->parent, range)) {
		dir = gb_job_ref(part->parent);
		before = dir->dir->rec.bought_to;
		dir->dir->rec.bought_to = range.off;
	}
	client_unlock(part->c);
	int err = dir ? save_bought(dir, before) : 0;
	gb_job_unref(dir);
	return err;
}

/* ---- whether any of it is to be bought ------------------------------------------- */

bool parts_rest_is_open(const struct gb_job *dir)
{
	const struct record *r = dir->dir ? &dir->dir->rec : NULL;

	client_expect_lock(dir->c);
	return r && r->batch->phase == PHASE_PARTS && !r->rest_dropped && !r->removal &&
	       parts_rest_size(dir) > 0;
}

bool parts_has_more(struct gb_job *dir)
{
	bool more = parts_rest_is_open(dir);

	for (uint32_t i = 0; !more && i < parts_count(dir); i++) {
		const struct gb_job *part = parts_at(dir, i);

		more = part->dir && !part->batch->id && job_phase(part) != PHASE_FAILED;
	}
	return more;
}
