/*
 * Parts that are not to be bought: given up by a person or by an rmdir, wanted again, and
 * what a start finds of them.
 */
#include "submit/parts_send.h"
#include "submit/cut.h"
#include "submit/parts_send_private.h"
#include "submit/queue.h"
#include "submit/reconcile.h"

#include <errno.h>

/* ---- what there is; lock held ---------------------------------------------------- */

struct tally parts_tally(struct gb_job *dir)
{
	struct tally t = {0};

	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const struct gb_job *part = parts_at(dir, i);

		if (!part_is_cut(part))
			continue;
		if (!t.first && !part->dir->rec.late)
			t.first = part;
		t.intended += !part_is_unsent(part) || job_may_be_there(part);
		t.unsent |= part_is_unsent(part);
	}
	t.intended += !t.intended && parts_are_lost(dir);
	return t;
}

bool parts_rest_is_unwanted(const struct gb_job *dir)
{
	const struct record *r = &dir->dir->rec;

	return r->rest_dropped || r->removal || !dir->in_tree;
}

/* For one of a later round: what it has another part has, too. */
static bool round_is_had(struct gb_job *part)
{
	return cut_is_had(part) || parts_late_has(part);
}

/* What it has was bought by another: a create that was taken for lost. */
static bool is_had(struct gb_job *part)
{
	if (!part_is_unsent(part))
		return false;
	return part_is_cut(part) ? part->parent->batch->id || parts_others_have(part)
				 : job_phase(part) != PHASE_DRAFT && round_is_had(part);
}

bool part_is_stopped(const struct gb_job *part)
{
	const struct record *r = &part->parent->dir->rec;
	int round = part->dir->rec.round;

	return round ? round <= r->rounds_stopped : r->rest_dropped;
}

bool part_is_unwanted(struct gb_job *part)
{
	const struct gb_job *dir = part->parent;
	const struct operation *t = part->dir->task;
	bool asked_for = t && t->again; /* by a person, of this part */

	return dir->dir->rec.removal || !dir->in_tree || is_had(part) ||
	       (part_is_stopped(part) && !asked_for);
}

bool parts_take_up_whole(struct gb_job *dir)
{
	const struct record *r = &dir->dir->rec;

	for (size_t i = r->n_put_by; i-- > 0;) {
		const struct record_intent *n = &r->put_by[i];

		if (n->round || n->range_off || n->range_len != r->batch->sent_size)
			continue;
		job_take_up(dir, i);
		return true;
	}
	return false;
}

/* Lock held: the newest intent of one that is not sent again after all is valid again: it is
 * looked for, and said to be uncertain. */
static bool is_uncertain_again(struct gb_job *part)
{
	size_t n = part->dir->rec.n_put_by;
	bool again = part->parent && part_is_unsent(part) && n && !part->dir->task;

	if (again) {
		job_take_up(part, n - 1);
		job_set_phase(part, PHASE_SUBMITTING);
		parts_may_overlap(part);
	}
	return again;
}

/* Lock held: its halves know by it that another has all of them, too. The queue comes to it
 * again. */
static bool waits_for_halves(struct gb_job *part)
{
	bool waits = part->parent && part->dir->rec.round && part_is_unsent(part) &&
		     round_is_had(part) && cut_has_halves(part);

	if (waits)
		job_set_phase(part, PHASE_QUEUED);
	return waits;
}

int part_unmake(struct gb_job *part)
{
	client_lock(part->c);
	bool again = is_uncertain_again(part);
	bool waits = !again && waits_for_halves(part);
	client_unlock(part->c);
	if (waits) {
		/* Nothing else need happen any more: the last half may go by itself. */
		queue_wait(part);
		return -EBUSY;
	}
	if (!again)
		return parts_unmake(part);
	job_dir_save_soon(part);
	reconcile_later(part);
	job_changed(part, GB_CHANGED_META | GB_CHANGED_FILES);
	return -EBUSY;
}

/* Lock held. */
static bool may_be_unmade(struct gb_job *part, enum unmake which)
{
	bool cut = part_is_cut(part) && which != UNMAKE_UNWANTED;

	return part->parent && part_is_unsent(part) &&
	       (cut || (which != UNMAKE_CUT && part_is_unwanted(part)));
}

void parts_unmake_unsent(struct gb_job *dir, enum unmake which)
{
	struct gb_client *c = dir->c;

	/* Halves before what they are of. Who goes meanwhile is passed over. */
	client_lock(c);
	uint32_t i = parts_count(dir);
	client_unlock(c);
	while (i-- > 0) {
		client_lock(c);
		struct gb_job *part = i < parts_count(dir) ? parts_at(dir, i) : NULL;
		bool unsent = part && may_be_unmade(part, which);
		client_unlock(c);
		if (unsent)
			/* It is sent, or goes when who is at work on it sees that. */
			DROP(part_unmake(part));
	}
}

/* ---- stop, and go on ----------------------------------------------------------------------- */

/* What may be bought without anybody asking again. */
struct wanted {
	bool rest_dropped, rest_gone;
	int rounds_stopped, retries_left;
};

/* Lock held. What it was. */
static struct wanted set_wanted(struct record *r, struct wanted w)
{
	struct wanted before = {
		r->rest_dropped, r->rest_gone, r->rounds_stopped, r->retries_left};

	r->rest_dropped = w.rest_dropped;
	r->rest_gone = w.rest_gone;
	r->rounds_stopped = w.rounds_stopped;
	r->retries_left = w.retries_left;
	return before;
}

static int drop_rest(struct gb_job *dir, bool drop)
{
	struct record *r = &dir->dir->rec;

	client_lock(dir->c);
	/* A person stopped it, for good. */
	struct wanted before = set_wanted(r,
		(struct wanted){drop, r->rest_gone || drop,
			drop ? parts_last_round(dir) : r->rounds_stopped,
			drop ? 0 : r->retries_left});
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
	parts_unmake_unsent(dir, UNMAKE_ALL);
	return 0;
}

bool parts_may_be_bought(struct gb_job *part)
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
		if (!goes || part_unmake(part))
			i++;
	}
}

/* Lock held. What an older version counted it says again: of which parts is not known. */
static bool find_news_of_lost(struct gb_job *dir)
{
	struct record *r = &dir->dir->rec;

	if (r->parts_removed && r->rest_gone)
		parts_lost_were_removed(dir);
	r->parts_removed = false;
	bool news = parts_know_lost(dir);
	r->rest_dropped |= news;
	return news;
}

/* A record is damaged, and aside, or somebody took it away. From then on a person says what
 * is bought; so again if it is another's. */
static void tell_lost(struct gb_job *dir)
{
	struct record *r = &dir->dir->rec;
	uint32_t first;
	int64_t bytes;

	client_lock(dir->c);
	bool changes = !r->removal && (r->parts_told || r->parts_removed);
	bool tells = !r->removal && find_news_of_lost(dir);
	unsigned n = parts_lost(dir, &first, &bytes);
	client_unlock(dir->c);
	if (changes && !tells)
		job_dir_save_soon(dir);
	if (!tells)
		return;
	_cleanup_free_ char *what = util_format(
		"The record of parts/%04u is lost%s: %lld bytes of these requests were bought, "
		"or may have been.",
		first, n > 1 ? ", and of others" : "", (long long)bytes);
	job_dir_error(dir, -EIO, what ? what : "The record of a part is lost.",
		"They are not bought again by themselves, nor is the rest. Look in the list of "
		"jobs for what was bought; to buy the rest: echo submit > ctl; to buy again what "
		"has no answer: echo retry > ctl",
		NULL);
	job_dir_save_soon(dir);
}

void parts_recover(struct gb_job *dir)
{
	if (parts_note_all(dir))
		job_dir_save_soon(dir); /* others are noted when they are asked for */
	tell_lost(dir);
	recover_rounds(dir);
	client_lock(dir->c);
	bool cut_short = is_cut_short(dir);
	if (cut_short && parts_take_up_whole(dir)) {
		/* It is looked for, and then said to be uncertain. */
		job_set_phase(dir, PHASE_SUBMITTING);
		cut_short = false;
	}
	bool all = dir->dir->rec.removal;
	bool cut = parts_rest_is_unwanted(dir) || cut_short || job_phase(dir) != PHASE_PARTS;
	if (cut_short)
		job_set_phase(dir, PHASE_UPLOADING); /* and so a draft again */
	client_unlock(dir->c);
	if (cut)
		parts_unmake_unsent(dir, all ? UNMAKE_ALL : UNMAKE_CUT);
}
