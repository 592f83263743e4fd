/*
 * A job has turned up for a create whose answer was lost.
 *
 * As long as nothing else was sent for it, the job is simply that of the directory or part. If
 * its requests were sent again on somebody's word, the intent was put by (store/journal.h),
 * and what is done depends on how far the other has come:
 *
 *   not intended yet     none is made: the intent is the present one again
 *   being created        it waits; the next list has it, too
 *   not answered either  the found one is the job, the other intent is put by in its place
 *   made                 both were bought: the found one becomes a late part (parts.h), and the
 *                        directory's warnings, log and ledger say so
 *
 * So it is never shown as somebody else's, its results are saved and merged as those of any
 * part, and what is not bought yet of its requests is not bought again.
 */
#include "jobs/advice.h"
#include "jobs/bind.h"
#include "jobs/history.h"
#include "jobs/parts.h"
#include "submit/parts_send.h"
#include "submit/parts_send_private.h"
#include "submit/reconcile.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

enum found { FOUND_PRESENT, FOUND_AGAIN, FOUND_LATE, FOUND_NOT_NOW };

/* ---- which; lock held ------------------------------------------------------------ */

static bool is_present(const struct gb_job *owner, const char *file)
{
	const char *own = owner->dir->rec.batch->input_file;

	return phase_is_unanswered(job_phase(owner)) && own && strcmp(own, file) == 0;
}

/* It is for what the present one is for. */
static bool is_same(const struct record *r, const struct record_intent *n)
{
	int64_t len = r->part_of ? r->range_len : r->batch->sent_size;

	return n->round == r->round && n->range_off == r->range_off &&
	       n->range_len == len;
}

/* Nothing was intended since it was put by: of a directory that was cut since, of no
 * part. */
static enum found found_unsent(struct gb_job *owner, const struct record_intent *n)
{
	bool cut = job_phase(owner) == PHASE_PARTS;

	if (cut && (parts_tally(owner).intended || !is_same(&owner->dir->rec, n)))
		return FOUND_LATE;
	/* Whether that is bought, too, is known once it is answered. */
	bool beside = owner->parent && !owner->dir->rec.round &&
		      parts_others_create(owner,
			      (struct part_range){n->range_off, n->range_len});

	/* Who is at work on it, or comes to be, must not create another meanwhile. */
	owner->dir->turned_up = owner->dir->task || beside;
	return owner->dir->turned_up ? FOUND_NOT_NOW : FOUND_AGAIN;
}

static enum found found_as(struct gb_job *owner, size_t i)
{
	const struct record *r = &owner->dir->rec;

	if (owner->dir->creating)
		return FOUND_NOT_NOW;
	if (owner->batch->id)
		return FOUND_LATE;
	if (phase_is_unanswered(job_phase(owner)))
		return is_same(r, &r->put_by[i]) ? FOUND_AGAIN : FOUND_LATE;
	return found_unsent(owner, &r->put_by[i]);
}

/* ---- what is done ---------------------------------------------------------------- */

/* Lock held: the one at i is the present intent. */
static int take_up(struct gb_job *owner, size_t i)
{
	bool lost = phase_is_unanswered(job_phase(owner));
	int err = lost ? job_put_by(owner, PHASE_UNCERTAIN) : 0;

	if (err)
		return err;
	job_take_up(owner, i);
	owner->dir->turned_up = false;
	if (!owner->parent || owner->dir->rec.round)
		return 0;
	/* What it was made smaller by others may have. */
	parts_may_overlap(owner);
	if (parts_others_have(owner))
		parts_mark_late(owner);
	return 0;
}

static void tell_late(struct gb_job *part)
{
	char label[PART_LABEL_SIZE];

	client_lock(part->c);
	parts_label(part, label);
	uint32_t number = parts_number(part);
	struct gb_job *dir = gb_job_ref(job_directory(part));
	client_unlock(part->c);
	_cleanup_free_ char *line = util_format(
		"the job of a submission whose answer was lost turned up after its requests "
		"had been sent again: it is part %u, and both cost",
		number);
	if (line)
		advice_add(dir, line);
	client_log(dir->c, LOG_WARNING,
		"%s: this job turned up after its requests had been sent again: both cost",
		label);
	history_add(part, "found");
	gb_job_unref(dir);
}

void reconcile_bound(struct gb_job *job)
{
	client_lock(job->c);
	bool late = job->dir->rec.late;
	client_unlock(job->c);
	if (late)
		tell_late(job);
	parts_go_later(job);
}

static int bind_late(struct gb_job *owner, const struct remote_batch *b)
{
	struct gb_job *part;
	int err = parts_make_late(owner, b->input_file, &part);

	return err ? err : bind_batch(part, b);
}

int reconcile_found(struct gb_job *owner, const struct remote_batch *b)
{
	struct gb_client *c = owner->c;
	struct record *r = &owner->dir->rec;
	int err = 0;

	client_lock(c);
	bool present = is_present(owner, b->input_file);
	size_t i = present ? 0 : record_find_intent(r, b->input_file);
	struct gb_job *dir = gb_job_ref(job_directory(owner));
	enum found found = FOUND_PRESENT;
	if (!present && i == r->n_put_by)
		err = -EEXIST;
	else if (!present)
		found = found_as(owner, i);
	if (found == FOUND_AGAIN)
		err = take_up(owner, i);
	client_unlock(c);
	test_point("turned-up");
	if (!err)
		err = found == FOUND_NOT_NOW ? -EBUSY
		      : found == FOUND_LATE  ? bind_late(owner, b)
					     : bind_batch(owner, b);
	if (!err && found != FOUND_PRESENT)
		parts_unmake_unsent(dir, UNMAKE_UNWANTED);
	gb_job_unref(dir);
	return err;
}
