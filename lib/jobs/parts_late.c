/*
 * Late parts: jobs that turn up for a create whose answer was lost, once their
 * requests have been sent again. Other parts have the same requests, so from then on
 * what a directory has left to buy is computed with overlaps in mind.
 */
#include "jobs/parts_private.h"
#include "store/dir_names.h"

#include <errno.h>
#include <unistd.h>

/* ---- what two have ------------------------------------------------------------- */

bool parts_others_have(const struct gb_job *part)
{
	const struct parts *p = part->parent->parts;
	const struct record *r = &part->dir->rec;

	client_expect_lock(part->c);
	for (uint32_t i = 0; p->overlap && i < p->n; i++) {
		const struct record *o = &p->v[i]->dir->rec;

		if (p->v[i] != part && !o->round && parts_is_out(p->v[i]) &&
			parts_meet(o, r->range_off, r->range_len))
			return true;
	}
	return false;
}

/* Lock held: of what part `number` of a later round had in its file, a late one has
 * what is at off. */
static bool late_has_at(const struct gb_job *dir, int round, int number, int64_t off)
{
	const struct parts *p = dir->parts;

	for (uint32_t i = 0; i < p->n; i++) {
		const struct record *o = &p->v[i]->dir->rec;

		if (o->late && o->round == round && o->half_of == number &&
			parts_is_out(p->v[i]) && (!o->range_len || off < o->range_len))
			return true;
	}
	return false;
}

bool parts_late_has(struct gb_job *part)
{
	struct gb_job *dir = part->parent;
	const struct record *r = &part->dir->rec;
	int round = r->round, number = r->part;
	int64_t off = 0;

	/* Where it begins in its own file, then in that of the part whose half it is
	 * … */
	while (dir->parts->overlap && !late_has_at(dir, round, number, off)) {
		number = r ? r->half_of : 0;
		if (!number)
			return false;
		off += r->range_off;
		struct gb_job *of = parts_numbered(dir, (uint32_t)number);
		r = of && of->parent ? &of->dir->rec : NULL;
	}
	return dir->parts->overlap;
}

/* Lock held: one of its halves, for which the part's own intents do not matter, as it
 * has none that may have a job; a reference. */
static struct gb_job *hand_on_one(struct gb_job *part)
{
	const struct record *r = &part->dir->rec;
	const struct parts *p = part->parent ? part->parent->parts : NULL;
	bool may = p && r->round && r->half_of && !parts_is_out(part) && !r->n_put_by;

	for (uint32_t i = 0; may && i < p->n; i++) {
		struct record *o = &p->v[i]->dir->rec;

		if (o->half_of != r->part || o->round != r->round || o->late ||
			late_has_at(part->parent, r->round, r->part, o->range_off))
			continue;
		o->half_of = r->half_of;
		o->range_off += r->range_off;
		return gb_job_ref(p->v[i]);
	}
	return NULL;
}

void parts_hand_on(struct gb_job *part)
{
	struct gb_job *half;

	do {
		client_lock(part->c);
		half = hand_on_one(part);
		client_unlock(part->c);
		if (half)
			job_dir_save_soon(half);
		gb_job_unref(half);
	} while (half);
}

bool parts_others_create(const struct gb_job *part, struct part_range range)
{
	const struct parts *p = part->parent->parts;

	client_expect_lock(part->c);
	for (uint32_t i = 0; i < p->n; i++) {
		const struct record *o = &p->v[i]->dir->rec;

		if (p->v[i] != part && !o->round && p->v[i]->dir->creating &&
			parts_meet(o, range.off, range.len))
			return true;
	}
	return false;
}

void parts_may_overlap(struct gb_job *part)
{
	client_expect_lock(part->c);
	part->parent->parts->overlap = true;
}

void parts_mark_late(struct gb_job *part)
{
	struct record *r = &part->dir->rec;

	client_expect_lock(part->c);
	part->parent->parts->n_cut -= parts_is_cut(r);
	part->parent->parts->overlap = true;
	r->late = true;
}

void parts_find_overlap(struct gb_job *dir)
{
	struct parts *p = dir->parts;
	struct part_range first;

	if (p && !p->overlap)
		p->overlap = parts_rest_size(dir) != parts_rest_of(dir, &first);
}

/* ---- making -------------------------------------------------------------------- */

/* Lock held: what of's intent at i is when it is a part of its own. */
static int describe_late(const struct gb_job *of, size_t i, struct record *r)
{
	const struct record *o = &of->dir->rec;
	const struct record_intent *n = &o->put_by[i];

	r->late = true;
	r->round = n->round;
	/* From there halves find it (parts_late_has). */
	r->half_of = n->round ? o->part : 0;
	r->range_off = n->range_off;
	r->range_len = n->range_len;
	r->batch->phase = PHASE_UNCERTAIN;
	r->batch->requests = n->requests;
	r->batch->is_inline = n->is_inline;
	r->batch->intent_server = n->intent_server;
	r->batch->intent_since = n->intent_since;
	return record_set(&r->batch->input_file, n->input_file);
}

/* A part of a later round has requests of its own, which nobody changes. */
static int link_requests(struct gb_job *of, int to_dir)
{
	_cleanup_close_ int from = job_dir_open_files(of);
	_cleanup_close_ int to = util_dir_open(to_dir, "files", true);

	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	return linkat(from, GB_REQUESTS, to, GB_REQUESTS, 0) < 0 ? -errno
								: util_sync_dir(to);
}

/* The intent is moved: either of has it, or the part. */
static int move_intent(
	struct gb_job *of, const char *input_file, const char *lid, struct gb_job **ret)
{
	struct record r;
	size_t i = record_find_intent(&of->dir->rec, input_file);

	if (i == of->dir->rec.n_put_by)
		return -EEXIST;
	record_init(&r);
	int err = describe_late(of, i, &r);
	if (!err)
		err = parts_add(job_directory(of), lid, &r, ret);
	if (!err)
		job_drop_intent(of, i);
	record_clear(&r);
	return err;
}

int parts_make_late(struct gb_job *of, const char *input_file, struct gb_job **ret)
{
	struct gb_client *c = of->c;
	char lid[LID_SIZE];
	_cleanup_close_ int fd = store_job_make(c->store, lid);

	if (fd < 0)
		return fd;
	client_lock(c);
	bool own = of->parent && of->dir->rec.round;
	client_unlock(c);
	if (own)
		/* Without them its results are there all the same. */
		DROP(link_requests(of, fd));
	client_lock(c);
	int err = move_intent(of, input_file, lid, ret);
	client_unlock(c);
	if (err)
		/* Without a journal the next start removes it. */
		DROP(util_remove_tree(c->store->jobs, lid));
	else if (job_dir_save(*ret) || parts_note_bought(*ret))
		/* As long as of's journal has it nothing is lost. */
		job_dir_save_soon(*ret);
	else
		job_dir_save_soon(of);
	return err;
}
