/* Between submit.c, prepare.c and create.c, which take the steps of a submission,
 * and start.c, which starts them. */
#ifndef GB_SUBMIT_H
#define GB_SUBMIT_H

#include "base/util.h"

#include "jobs/job.h"
#include "jobs/operation.h"
#include "requests/validate.h"

/* An intent whose answer is missing. */
struct lost {
	enum phase phase;
	char *input_file;
	bool is_inline;
};

struct submission {
	struct task *t;
	struct gb_job *job;
	struct gb_client *c;
	struct record *rec;
	struct scan_report report;
	int fd;             /* what is sent; -1 */
	int plain;          /* the same, with names of files in place of URIs; -1 */
	struct attachments *attached; /* files that it names; NULL: none */
	int64_t size;
	bool is_inline;
	char *input_file;   /* uploaded for this create, not yet in the record */
	bool moved;         /* the rename's file is requests.jsonl */
	struct lost lost;   /* resubmit: what the new intent took the place of */
	char *inline_text;
	size_t inline_len;
	struct provider_error err;
	pthread_t syncing;  /* while syncs: makes the requests durable */
	bool syncs;
	bool composed;      /* fd is a copy that is not durable yet */
	int sync_err;
	bool told;          /* `error` is written already */
	bool held;          /* its turn has not come: it stays queued (queue.h) */
	bool unfit;         /* the check refused it: it stays a draft */
	bool doubted;       /* the API did not have what we thought; tried anew */
};

/* task.run of a submission (task.file, from, by_close, background) and of `check`. */
int submit_run(struct task *t);
int submit_check_run(struct task *t);
/* The same of a composed draft: composed_draft.h first. */
int submit_composed_run(struct task *t);
int submit_check_composed_run(struct task *t);

/* The first step (prepare.c), and a refusal of what it found: written to `error`,
 * the bytes kept. Returns err. */
int submission_check(struct submission *s);
/* The bytes of the requests and of what is made of them, and their names, to the disk:
 * the first begins, the second waits, also after it was called already. Before that nothing
 * may be intended. */
void submission_begin_durable(struct submission *s);
_must_check_ int submission_durable(struct submission *s);
/* Before anything is sent (check_name.c): is the name free, if nobody could say so when
 * the draft was made? -EEXIST; -EHOSTUNREACH: that cannot be looked up now. */
int submission_name(struct submission *s);
/* The same (check_model.c): -EINVAL when the model will not do. */
int submission_model(struct submission *s);
int submission_refuse(struct submission *s, int err, const char *text);
/* The last two steps, and what they share with the ones before. */
_must_check_ int submission_intend(struct submission *s);
int submission_create(struct submission *s);
/* The rename itself: on disk, and no start does it again. */
_must_check_ int submission_promote(struct submission *s);
/* The journal to disk. What comes from another directory is moved just before, as no
 * start could find it there; but not before there is room for the journal. */
_must_check_ int submission_save(struct submission *s);

/* Whether what was taken on in the background may go on: 0, or -EAGAIN, and s->held. */
int submission_turn(struct submission *s);

/* ---- start.c ---------------------------------------------------------------------- */

/* After a start: go on with what the journal says. */
void submit_recover(struct gb_job *job);
/* A rename to requests.jsonl whose intent is on disk, or that was taken on in the
 * background, was to happen: let it. 0 when there is none; otherwise nothing of the job may
 * be sent: what is called requests.jsonl is another file yet. */
_must_check_ int submit_finish_rename(struct gb_job *job);

#endif
