/*
 * From a checked directory to several of the API's jobs: who makes parts (jobs/parts.h),
 * and when they are sent.
 *
 * The step `split` (cut.h) decides that a directory goes in parts, after everything
 * about it was checked and before anything is uploaded; or a create of all of it was
 * refused, and could never fit (fit.h). Then:
 *
 *   in the background   the directory is in PHASE_PARTS, durably, and its submission
 *                       over. Its parts are made and sent one after the other
 *   somebody waits      the first part is made and sent by the directory's own
 *                       submission, which is answered with how that came out. The
 *                       directory enters PHASE_PARTS just before the intent of that
 *                       part: until then a crash, an interrupt or a failure leaves a
 *                       draft, and a rename that submits has moved nothing
 *
 * The rule for money: bytes that the journal of a part has are sent by that part alone,
 * and no part is made while another of the same directory is on its way to its intent.
 * So there is at most one part at a time whose range can change (it is halved, or
 * removed and cut anew), and whatever a crash leaves, the ranges of all parts never
 * overlap (parts_make refuses it), and what none has is found as the rest. Each part has
 * its own upload, intent and journal, by the steps of any submission (submit.h).
 *
 * parts_go makes the next part and queues it (queue.h). It is called when something
 * happened that may allow one: a part was sent, its create's reply was lost, it was
 * removed; a start; a look at the queue. It does nothing while
 *
 *   - a part is queued or on its way, or the directory's own submission runs,
 *   - the first part of a directory that was submitted by a call that waited is
 *     unanswered: that call has failed, and perhaps nothing was bought,
 *   - the rest was dropped (cancel, rmdir, given up), or this key is another project's.
 *
 * A part that the API refuses stays queued as any job does. It is halved if it can never
 * fit. Given up (a refusal that does not pass, a day of refusals), it is removed, and the
 * directory says what is not bought; if nothing was, the directory is in PHASE_FAILED.
 *
 * Any thread; "lock held" where a comment says so, else unlocked.
 */
#ifndef GB_PARTS_SEND_H
#define GB_PARTS_SEND_H

#include "submit/submit.h"

/* The create of all of d was refused with err: whether its parts may fit. */
bool submission_fits_in_parts(struct submission *d, int err);
/* d's requests go in parts: as above, up to where its callers are answered. */
int submission_part_out(struct submission *d);
/* task.run of a part's submission (task.queued, task.again): t->job is the part. */
int submit_part_run(struct operation *t);

/* Make dir's next part, if one is due, on a worker. Also for what is no directory of
 * parts, and for parts, which mean their directory. */
void parts_go_later(struct gb_job *job);
/* Lock held: whether one is due. */
bool parts_due(struct gb_job *dir);

/* What no part has is not bought any more: durably; parts that were not intended are
 * removed, now or when the submission that has them notices. A part that is being
 * created is not stopped. */
_must_check_ int parts_stop(struct gb_job *dir);
/* Lock held: whether a create of the part may be intended. */
bool parts_may_be_bought(struct gb_job *part);
/* The opposite, asked for by a person: buy the rest, in the background. -EBUSY: there is
 * none, or it was asked for again meanwhile. */
_must_check_ int parts_resume(struct gb_job *dir);
/* Lock held: whether parts_resume fits. */
bool parts_may_resume(struct gb_job *dir);

/* Lock held. The newest intent of dir's own that is for all of its requests, and was put by when they
 * were cut, is the present one again; false: there is none. */
bool parts_take_up_whole(struct gb_job *dir);

/* The first part whose create was not answered; a reference, or NULL. A job that is no
 * directory of parts, and is such a job itself, is meant itself. */
struct gb_job *parts_unsettled(struct gb_job *job);

/* After a start, of each directory, before there are submissions. */
void parts_recover(struct gb_job *dir);

#endif
