/*
 * What of a directory's requests is still to be bought.
 *
 * Which bytes a part has is in the part's journal. That a part's record is not there does
 * not say that it was not bought: it may be damaged, or gone. So before a part is asked
 * for the directory's own journal has its number and its bytes. What has no record at a
 * start is lost: it is never the rest again, and it is said.
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

/* Whoever has some of the requests, or had, in no order; room for one more. NULL without
 * memory. */
static struct part_range *takers(const struct gb_job *dir, uint32_t *ret_n)
{
	const struct parts *p = dir->parts;
	uint32_t n = 0, all = p ? p->n + (uint32_t)p->lost.n : 0;
	struct part_range *ret = calloc(all + 1, sizeof(*ret));

	for (uint32_t i = 0; ret && p && i < p->n; i++) {
		const struct record *r = &p->v[i]->dir->rec;

		if (is_of_round_0(p->v[i]))
			ret[n++] = (struct part_range){r->range_off, r->range_len};
	}
	for (size_t i = 0; ret && p && i < p->lost.n; i++) {
		const struct range *l = &p->lost.v[i];

		ret[n++] = (struct part_range){
			(int64_t)l->lo, (int64_t)(l->hi - l->lo)};
	}
	*ret_n = n;
	return ret;
}

int64_t parts_rest_of(const struct gb_job *dir, struct part_range *ret_first)
{
	uint32_t n;
	struct part_range *had = takers(dir, &n);
	int64_t at = 0, rest = 0;

	client_expect_lock(dir->c);
	*ret_first = (struct part_range){0};
	/* Without memory nothing is cut now. */
	if (!had)
		return 0;
	qsort(had, n, sizeof(*had), by_offset);
	had[n] = (struct part_range){dir->dir->rec.batch->sent_size, 0};
	for (uint32_t i = 0; i <= n; i++) {
		int64_t end = had[i].off + had[i].len;

		if (had[i].off > at && !ret_first->len)
			*ret_first = (struct part_range){at, had[i].off - at};
		if (had[i].off > at)
			rest += had[i].off - at;
		at = end > at ? end : at;
	}
	free(had);
	return rest;
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
	int64_t rest = dir->dir->rec.batch->sent_size;
	struct part_range first;

	client_expect_lock(dir->c);
	if (!dir->parts)
		return rest;
	if (dir->parts->overlap)
		return parts_rest_of(dir, &first);
	for (uint32_t i = 0; i < dir->parts->n; i++)
		if (is_of_round_0(dir->parts->v[i]))
			rest -= dir->parts->v[i]->dir->rec.range_len;
	return rest - (int64_t)ranges_total(&dir->parts->lost);
}

/* ---- what was bought ------------------------------------------------------------- */

/* Into the record, lock held. */
static int bought_texts(struct gb_job *dir)
{
	const struct parts *p = dir->parts;
	char *bytes = ranges_text(&p->bought), *numbers = ranges_text(&p->numbers);
	int err = bytes && numbers ? 0 : -ENOMEM;

	if (!err) {
		record_take(&dir->dir->rec.bought, &bytes);
		record_take(&dir->dir->rec.parts_bought, &numbers);
	}
	free(bytes);
	free(numbers);
	return err;
}

/* So much of it is new, or -ENOMEM. */
static int64_t add_bytes(struct ranges *to, int64_t off, int64_t len)
{
	return ranges_add(to, (uint64_t)off, (uint64_t)(off + len));
}

static int64_t add_own(const struct gb_job *part, struct ranges *to)
{
	const struct record *r = &part->dir->rec;

	return is_of_round_0(part) ? add_bytes(to, r->range_off, r->range_len) : 0;
}

/* The same of what it has put by: each of these creates may have made a job, of more than the
 * part has now, and any may be what the part waits for again. */
static int64_t add_put_by(const struct gb_job *part, struct ranges *to)
{
	const struct record *r = &part->dir->rec;
	int64_t all = 0, n = 0;

	for (size_t i = 0; n >= 0 && i < r->n_put_by; i++) {
		const struct record_intent *p = &r->put_by[i];

		n = p->round ? 0 : add_bytes(to, p->range_off, p->range_len);
		all += n;
	}
	return n < 0 ? n : all;
}

/* Lock held. Whether it is news, or -ENOMEM. */
static int add_bought(struct gb_job *part)
{
	struct parts *p = part->parent->parts;
	uint64_t number = (uint64_t)part->dir->rec.part;
	int64_t n = ranges_add(&p->numbers, number, number + 1);
	int64_t own = add_own(part, &p->bought), put_by = add_put_by(part, &p->bought);

	if (n < 0 || own < 0 || put_by < 0)
		return -ENOMEM;
	bool news = n || own || put_by;
	int err = news ? bought_texts(part->parent) : 0;
	return err ? err : news;
}

static int remove_number(struct ranges *numbers, const struct gb_job *part)
{
	uint64_t number = (uint64_t)part->dir->rec.part;

	return ranges_remove_exactly(numbers, number, number + 1);
}

/* Lock held: not of that part any more. -ENOMEM: of it still, some or all. */
static int strike_part(
	const struct gb_job *part, struct ranges *bytes, struct ranges *numbers)
{
	const struct record *r = &part->dir->rec;
	uint64_t off = (uint64_t)r->range_off;
	int err = remove_number(numbers, part);

	if (!err && is_of_round_0(part))
		err = ranges_remove_exactly(bytes, off, off + (uint64_t)r->range_len);
	return err;
}

static int subtract(struct ranges *from, const struct ranges *what)
{
	int err = 0;

	for (size_t i = 0; !err && i < what->n; i++)
		err = ranges_remove_exactly(from, what->v[i].lo, what->v[i].hi);
	return err;
}

static bool may_have_job(const struct gb_job *part)
{
	return parts_is_out(part) || part->dir->rec.n_put_by;
}

/* Lock held: what creates that were made, or may have been, were for. */
static int add_all_out(const struct gb_job *dir, struct ranges *to)
{
	const struct parts *p = dir->parts;
	int64_t n = 0;

	for (uint32_t i = 0; n >= 0 && i < p->n; i++) {
		n = parts_is_out(p->v[i]) ? add_own(p->v[i], to) : 0;
		if (n >= 0)
			n = add_put_by(p->v[i], to);
	}
	return n < 0 ? -ENOMEM : 0;
}

/* Lock held: these bytes were not bought after all, but for those of other creates. Without
 * memory they are said to be bought and are not, which costs nothing. */
static void remove_bytes(struct gb_job *dir, struct part_range range)
{
	struct ranges less = {0}, out = {0};

	if (add_bytes(&less, range.off, range.len) >= 0 && !add_all_out(dir, &out) &&
		!subtract(&less, &out))
		DROP(subtract(&dir->parts->bought, &less));
	ranges_clear(&less);
	ranges_clear(&out);
}

/* Lock held: as above. */
static void remove_bought(struct gb_job *part)
{
	const struct record *r = &part->dir->rec;

	if (is_of_round_0(part))
		remove_bytes(part->parent,
			(struct part_range){r->range_off, r->range_len});
	if (!may_have_job(part))
		DROP(remove_number(&part->parent->parts->numbers, part));
	DROP(bought_texts(part->parent));
}

int parts_note_bought(struct gb_job *part)
{
	struct gb_job *dir = NULL;
	int news = 0;

	client_lock(part->c);
	if (part->parent) {
		dir = gb_job_ref(part->parent);
		news = add_bought(part);
	}
	client_unlock(part->c);
	int err = news > 0 ? job_dir_save(dir) : news;
	client_lock(part->c);
	if (err && part->parent)
		remove_bought(part);
	client_unlock(part->c);
	gb_job_unref(dir);
	return err;
}

int parts_note_unbought(struct gb_job *part)
{
	struct gb_job *dir = NULL;

	client_lock(part->c);
	struct parts *p = part->parent ? part->parent->parts : NULL;
	uint64_t number = (uint64_t)part->dir->rec.part;
	if (p && ranges_end(&p->numbers, number) > number) {
		dir = gb_job_ref(part->parent);
		remove_bought(part);
	}
	client_unlock(part->c);
	int err = dir ? job_dir_save(dir) : 0;
	client_lock(part->c);
	if (err && part->parent)
		DROP(add_bought(part)); /* its record is there */
	client_unlock(part->c);
	gb_job_unref(dir);
	return err;
}

int parts_note_smaller(struct gb_job *part, struct part_range less)
{
	struct gb_job *dir = NULL;

	client_lock(part->c);
	if (part->parent && is_of_round_0(part)) {
		dir = gb_job_ref(part->parent);
		remove_bytes(dir, less);
		DROP(bought_texts(dir)); /* as above */
	}
	client_unlock(part->c);
	int err = dir ? job_dir_save(dir) : 0;
	gb_job_unref(dir);
	return err;
}

int parts_note_all(struct gb_job *dir)
{
	int news = 0;

	client_lock(dir->c);
	for (uint32_t i = 0; news >= 0 && dir->parts && i < dir->parts->n; i++) {
		struct gb_job *part = dir->parts->v[i];

		if (may_have_job(part)) {
			int one = add_bought(part);

			news = one < 0 ? one : news | one;
		}
	}
	client_unlock(dir->c);
	return news > 0 ? job_dir_save(dir) : news;
}

void parts_forget_bought(struct gb_job *dir)
{
	struct parts *p = dir->parts;

	client_expect_lock(dir->c);
	if (p) {
		ranges_clear(&p->bought);
		ranges_clear(&p->numbers);
		ranges_clear(&p->lost);
		ranges_clear(&p->lost_numbers);
	}
	record_unset(&dir->dir->rec.bought);
	record_unset(&dir->dir->rec.parts_bought);
	record_unset(&dir->dir->rec.parts_told);
	dir->dir->rec.parts_removed = false;
}

/* ---- what is lost ---------------------------------------------------------------- */

/* What is no such text was written by another version, and says nothing. */
static int read_bought(struct gb_job *dir)
{
	const struct record *r = &dir->dir->rec;
	struct parts *p = dir->parts;
	int err = ranges_parse(r->bought, &p->bought);

	err = err == -ENOMEM ? err : ranges_parse(r->parts_bought, &p->numbers);
	if (err != -ENOMEM)
		err = ranges_parse(r->bought, &p->lost);
	if (err != -ENOMEM)
		err = ranges_parse(r->parts_bought, &p->lost_numbers);
	return err == -ENOMEM ? err : 0;
}

/* What a part has put by is lost where the record of another is: that may have bought it
 * since. Else it is not bought again yet. */
static int strike_put_by(struct parts *p)
{
	struct ranges put_by = {0};
	int64_t n = 0;

	for (uint32_t i = 0; n >= 0 && !p->lost_numbers.n && i < p->n; i++)
		n = add_put_by(p->v[i], &put_by);
	int err = n < 0 ? -ENOMEM : subtract(&p->lost, &put_by);
	ranges_clear(&put_by);
	return err;
}

int parts_find_lost(struct gb_job *dir)
{
	const struct record *r = &dir->dir->rec;

	if (!r->parts_bought && !r->bought)
		return 0;
	int err = parts_reserve(dir);
	if (!err)
		err = read_bought(dir);
	struct parts *p = dir->parts;
	for (uint32_t i = 0; !err && i < p->n; i++)
		err = strike_part(p->v[i], &p->lost, &p->lost_numbers);
	if (!err)
		err = strike_put_by(p);
	/* A number is not given again. */
	if (!err && (uint64_t)p->last + 1 < ranges_limit(&p->lost_numbers))
		p->last = (int)ranges_limit(&p->lost_numbers) - 1;
	return err;
}

unsigned parts_lost(const struct gb_job *dir, uint32_t *ret_first, int64_t *ret_bytes)
{
	const struct parts *p = dir->parts;

	client_expect_lock(dir->c);
	*ret_first = p && p->lost_numbers.n ? (uint32_t)p->lost_numbers.v[0].lo : 0;
	*ret_bytes = p ? (int64_t)ranges_total(&p->lost) : 0;
	return p ? (unsigned)ranges_total(&p->lost_numbers) : 0;
}

bool parts_are_lost(const struct gb_job *dir)
{
	return dir->parts && (dir->parts->lost.n || dir->parts->lost_numbers.n);
}

/* ---- of which it is known ---------------------------------------------------------- */

static bool has_all(const struct ranges *r, const struct ranges *of)
{
	for (size_t i = 0; i < of->n; i++)
		if (ranges_end(r, of->v[i].lo) < of->v[i].hi)
			return false;
	return true;
}

/* Without memory, or of a text that is none, it is known of none: then it is said again. */
bool parts_know_lost(struct gb_job *dir)
{
	static const struct ranges none;
	const struct ranges *lost = dir->parts ? &dir->parts->lost_numbers : &none;
	char **told = &dir->dir->rec.parts_told;
	struct ranges known = {0};

	client_expect_lock(dir->c);
	bool news = ranges_parse(*told, &known) ? lost->n : !has_all(&known, lost);
	_cleanup_free_ char *text = lost->n ? ranges_text(lost) : NULL;
	record_take(told, &text);
	ranges_clear(&known);
	return news;
}

/* Their bytes stay bought. */
void parts_note_removed(struct gb_job *part)
{
	client_expect_lock(part->c);
	DROP(remove_number(&part->parent->parts->numbers, part));
	DROP(bought_texts(part->parent)); /* it is said to be lost */
}

void parts_lost_were_removed(struct gb_job *dir)
{
	struct parts *p = dir->parts;

	client_expect_lock(dir->c);
	if (!p)
		return;
	DROP(subtract(&p->numbers, &p->lost_numbers));
	ranges_clear(&p->lost_numbers);
	DROP(bought_texts(dir)); /* as above */
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
