/*
 * From a draft to a job. start.c chooses and starts a submission; submit.c has the
 * table of its steps, in order, and what happens when one fails; prepare.c,
 * check_name.c, check_model.c, attachments.h, upload.c and create.c take them. queue.h:
 * what is sent in the background. reconcile.h: creates whose reply was lost.
 * resubmit.h: resubmit=.
 *
 * In order: gb_submit claims the job for one operation (operation.h), which runs
 * submit_run on a worker. Before the step `intend` nothing costs money and every
 * failure leaves a draft; after it only a proof that nothing was made
 * (provider_create_verdict) takes the intent back. Every step is in the journal before
 * it is taken.
 *
 * Ownership: a struct submission lives on the stack of the worker and owns what it
 * points to, except t, job, c and rec. Threads: the steps run on that worker,
 * unlocked. Errors are negative errno, and `error` has the text (messages.h).
 */
#ifndef GB_SUBMIT_H
#define GB_SUBMIT_H

#include "base/util.h"

#include "jobs/job.h"
#include "jobs/operation.h"
#include "requests/validate.h"

#include <sys/stat.h>

struct submission {
	struct operation *t;
	struct gb_job *job;
	struct gb_client *c;
	struct record *rec;
	struct validate_report report;
	int fd;             /* what is sent: of it … */
	int64_t off, size;  /* … these bytes; -1 */
	struct lines_span plain; /* the same, with names of files in place of URIs; fd -1 */
	struct stat source; /* of the file that the requests come from */
	struct attachments *attached; /* files that it names; NULL: none */
	struct submission *whole; /* parts_send.h: of its directory, whose first part this
	                             is while somebody waits for it; NULL */
	char *error_before; /* of a directory that is sent again, and goes in parts */
	bool cut;           /* its requests go in parts */
	bool too_large;     /* the API will never take so much at a time (fit.h) */
	bool is_inline;
	char *input_file;   /* uploaded for this create, not yet in the record */
	char *orphan;       /* uploaded, and no job will refer to it; or NULL */
	bool moved;         /* the file of the rename is requests.jsonl now */
	bool puts_by;       /* resubmit: the newest intent that is put by is valid again if
	                       this one comes to nothing */
	char *inline_text;
	size_t inline_len;
	struct provider_error err;
	pthread_t syncing;  /* while syncs: makes the requests durable */
	bool syncs;
	bool composed;      /* fd is a copy that is not durable yet */
	int sync_err;
	bool told;          /* `error` is written already */
	bool held;          /* it is not its turn: it stays queued (queue.h) */
	bool unfit;         /* the check refused it: it stays a draft */
	bool doubted;       /* the API did not have what we expected; try again from the
	                       start */
};

/* A submission of nothing yet; its errors have no text. */
#define SUBMISSION(op, of)                                                             \
	(struct submission)                                                            \
	{                                                                              \
		.t = (op), .job = (of), .c = (of)->c, .rec = &(of)->dir->rec, .fd = -1,  \
		.plain = {-1, 0, -1}, .err = {.retry = -1}                             \
	}

struct submission_step {
	const char *name;
	int (*run)(struct submission *s);
};
/* Run them in order. If the API does not have files any more that were expected it
 * begins again at step_attach. */
int submission_steps(
	struct submission *s, const struct submission_step *steps, size_t n);
/* The steps that a part has, too, and the first of which is to be taken before the
 * others: it may be sent now. */
int step_upload_start(struct submission *s);
int step_attach(struct submission *s);
void submission_clear(struct submission *s);
/* Lock held: an upload is resumed only with the content it was begun with. */
int keep_session_of(struct submission *s);

/* task.run of a submission (task.file, from, by_close, background) and of `check`. */
int submit_run(struct operation *t);
int submit_check_run(struct operation *t);
/* The same of a composed draft: composed_draft.h first. */
int submit_composed_run(struct operation *t);
int submit_check_composed_run(struct operation *t);

/* The first step (prepare.c), and its refusal: write the reason to `error` and keep the
 * bytes. Returns err. */
int submission_check(struct submission *s);
/* Unlocked: how many requests the check has found is what the job has. */
void submission_note_requests(struct submission *s);
/* Make the bytes and names of the requests, and of what is made from them, durable. The
 * first function begins this, the second waits for it, and may be called again. Nothing
 * may be intended before. */
void submission_begin_durable(struct submission *s);
_must_check_ int submission_durable(struct submission *s);
/* Before anything is sent (check_name.c): check that the name is free, if that was
 * unknown when the draft was made. -EEXIST; -EHOSTUNREACH: it cannot be looked up
 * now. */
int submission_name(struct submission *s);
/* The same (check_model.c): -EINVAL if the model cannot do what the job needs. */
int submission_model(struct submission *s);
int submission_refuse(struct submission *s, int err, const char *text);
/* upload.c: s->input_file is the uploaded file, unless the requests go inline. */
int submission_upload(struct submission *s);
/* In memory only. Unlocked. */
void submission_set_phase(struct gb_job *job, enum phase p);
/* The last two steps, and what they share with earlier ones. */
_must_check_ int submission_intend(struct submission *s);
int submission_create(struct submission *s);
/* Do the rename itself, durably, so that no start does it again. */
_must_check_ int submission_promote(struct submission *s);
/* Write the journal to disk. A file that comes from another directory is moved just
 * before, because no start could find it there; but only once there is room for the
 * journal. */
_must_check_ int submission_save(struct submission *s);

/* Whether a submission in the background may go on: 0, or -EAGAIN and s->held. */
int submission_turn(struct submission *s);

/* ---- give_up.c: it has failed ---------------------------------------------------- */

/* err is what a step came to; returns what the callers get. */
int submission_give_up(struct submission *s, int err);
/* Write `error` of `at`, the job or its directory: err, in the words of the API or, if
 * there are any, in own (quota_text.c). */
void submission_tell(
	struct submission *s, struct gb_job *at, int err, const char *own);
/* The upload is not of a job and will not be; then delete it, which takes a call. */
void void_upload(struct submission *s);
void delete_orphan(struct submission *s);
/* The next try uses it. */
void keep_upload(struct submission *s);
/* In the background: it stays queued, and is tried again. It was not its turn; it has
 * failed with err, in a way that may pass, and is worth another try: 0, else err. */
int stay_held(struct submission *s);
int stay_queued(struct submission *s, int err);
bool worth_queueing(const struct submission *s, int err);
/* It waits for its next try. */
void submission_requeue(struct gb_job *job);
/* At its end: the queue learns how it came out. */
void submission_tell_queue(struct submission *s);

/* ---- start.c --------------------------------------------------------------------- */

/* After a start: go on as the journal says. */
void submit_recover(struct gb_job *job);
/* Lock held: whether only a person can tell what became of a create, of the job's own
 * or of one of its parts. */
bool submit_is_unsettled(struct gb_job *job);
/* Finish a rename to requests.jsonl whose intent is on disk, or that was accepted in
 * the background. 0 also if there is none. On error nothing of the job may be sent,
 * because requests.jsonl is still another file. */
_must_check_ int submit_finish_rename(struct gb_job *job);

#endif
