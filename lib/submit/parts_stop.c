/*
 * Parts that are not to be bought: given up by a person or by an rmdir, wanted again, and
 * what a start finds of them.
 */
#include "submit/parts_send.h"
#include "submit/cut.h"
#include "submit/parts_send_private.h"

#include <errno.h>

/* ---- what there is; lock held ---------------------------------------------------- */

struct tally parts_tally(struct gb_job *dir)
{
	struct tally t = {0};

	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const struct gb_job *part = parts_at(dir, i);

		if (!part_is_cut(part))
			continue;
		if (!t.first)
			t.first = part;
		t.intended += !part_is_unsent(part);
		t.unsent |= part_is_unsent(part);
	}
	return t;
}

bool parts_rest_is_unwanted(const struct gb_job *dir)
{
	const struct record *r = &dir->dir->rec;

	return r->rest_dropped || r->removal || !dir->in_tree;
}

bool part_is_unwanted(const struct gb_job *part)
{
	const struct gb_job *dir = part->parent;
	const struct record *r = &dir->dir->rec;
	int round = part->dir->rec.round;

	return r->removal || !dir->in_tree ||
	       (round ? round <= r->rounds_stopped : r->rest_dropped);
}

void parts_unmake_unsent(struct gb_job *dir, bool all)
{
	struct gb_client *c = dir->c;

	for (uint32_t i = 0;;) {
		client_lock(c);
		struct gb_job *part = i < parts_count(dir) ? parts_at(dir, i) : NULL;
		bool unsent = part && part->parent && part_is_unsent(part) &&
			      (part_is_cut(part) || (all && part_is_unwanted(part)));
		client_unlock(c);
		if (!part)
			return;
		if (!unsent || parts_unmake(part))
			i++;
	}
}

/* ---- stop, and go on ----------------------------------------------------------------------- */

/* What may be bought without anybody asking again. */
struct wanted {
	bool rest_dropped;
	int rounds_stopped, retries_left;
};

/* Lock held. What it was. */
static struct wanted set_wanted(struct record *r, struct wanted w)
{
	struct wanted before = {r->rest_dropped, r->rounds_stopped, r->retries_left};

	r->rest_dropped = w.rest_dropped;
	r->rounds_stopped = w.rounds_stopped;
	r->retries_left = w.retries_left;
	return before;
}

static int drop_rest(struct gb_job *dir, bool drop)
{
	struct record *r = &dir->dir->rec;

	client_lock(dir->c);
	struct wanted before = set_wanted(r,
		(struct wanted){drop, drop ? parts_last_round(dir) : r->rounds_stopped,
			drop ? 0 : r->retries_left});
	r->rest_gone |= drop; /* a person stopped it, for good */
	client_unlock(dir->c);
	int err = job_dir_save(dir);
	if (err) {
		client_lock(dir->c);
		set_wanted(r, before);
		client_unlock(dir->c);
	}
	return err;
}

int parts_stop(struct gb_job *dir)
{
	struct gb_client *c = dir->c;
	int err = drop_rest(dir, true);

	if (err)
		return err;
	client_lock(c);
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		struct gb_job *part = parts_at(dir, i);
		struct operation *t = part->dir->task;

		if (!part->parent || !t || !part_is_unsent(part))
			continue;
		t->stopped = true;
		canceller_set(c->engine, &t->cancel);
	}
	client_unlock(c);
	parts_unmake_unsent(dir, true);
	return 0;
}

bool parts_may_be_bought(const struct gb_job *part)
{
	const struct gb_job *dir = part->parent;

	/* What was not cut is no part of the directory's requests any more. */
	return !part_is_unwanted(part) &&
	       (!part_is_cut(part) || job_phase(dir) == PHASE_PARTS);
}

bool parts_may_resume(struct gb_job *dir)
{
	const struct record *r = &dir->dir->rec;

	if (job_phase(dir) != PHASE_PARTS || !r->rest_dropped || r->rest_gone ||
		r->removal || parts_rest_size(dir) <= 0)
		return false;
	/* What was asked for again has the rest, too. */
	for (uint32_t i = 0; i < parts_count(dir); i++)
		if (!part_is_cut(parts_at(dir, i)))
			return false;
	return true;
}

int parts_resume(struct gb_job *dir)
{
	client_lock(dir->c);
	bool may = dir->dir && parts_may_resume(dir);
	client_unlock(dir->c);
	int err = may ? drop_rest(dir, false) : -EBUSY;
	if (err)
		return err;
	job_dir_error(dir, 0, NULL, NULL, NULL);
	job_dir_save_soon(dir);
	job_changed(dir, GB_CHANGED_META | GB_CHANGED_FILES);
	parts_go_later(dir);
	return 0;
}

/* ---- after a start -------------------------------------------------------------------------- */

/* Nothing was bought yet, and the call that asked for it never returned. */
static bool is_cut_short(struct gb_job *dir)
{
	return job_phase(dir) == PHASE_PARTS && !dir->dir->rec.background &&
	       !parts_tally(dir).intended;
}

/* A round counts, and then all of its parts are bought; or it does not, and none is. */
static void recover_rounds(struct gb_job *dir)
{
	for (uint32_t i = 0;;) {
		client_lock(dir->c);
		struct gb_job *part = i < parts_count(dir) ? parts_at(dir, i) : NULL;
		bool later = part && part->parent && !part_is_cut(part) && part_is_unsent(part);
		bool draft = later && job_phase(part) == PHASE_DRAFT;
		bool uncounted = later && part->dir->rec.round > dir->dir->rec.rounds;
		bool goes =
			later && (part_is_unwanted(part) ||
					 (draft && (uncounted || cut_is_copied(part))));
		if (draft && !goes)
			job_set_phase(part, PHASE_QUEUED);
		client_unlock(dir->c);
		if (!part)
			return;
		if (!goes || parts_unmake(part))
			i++;
	}
}

void parts_recover(struct gb_job *dir)
{
	recover_rounds(dir);
	client_lock(dir->c);
	bool cut_short = is_cut_short(dir);
	bool all = dir->dir->rec.removal;
	bool cut = parts_rest_is_unwanted(dir) || cut_short || job_phase(dir) != PHASE_PARTS;
	if (cut_short)
		job_set_phase(dir, PHASE_UPLOADING); /* and so a draft again */
	client_unlock(dir->c);
	if (cut)
		parts_unmake_unsent(dir, all);
}
