/*
 * An operation on a job: the job, its worker, its waiters.
 */
#ifndef GB_OPERATION_H
#define GB_OPERATION_H

#include "jobs/job.h"

/* An operation on a job. run() blocks, on a worker; its result answers the waiters
 * unless operation_answer answered them before. */
struct operation {
	struct operation *next, **prev; /* client.tasks */
	struct gb_job *job;      /* a reference */
	int (*run)(struct operation *t);
	struct gb_waitq q;
	struct canceller cancel;
	bool answered;
	atomic_bool left;        /* the last waiter has been dropped */
	atomic_bool intended;    /* from here on, dropping the waiters cancels
	                            nothing */
	bool sends;              /* a submission: `cancel` stops it before the create */
	bool stopped;            /* client.lock; by `cancel`: no create is intended any more */
	struct gb_waitq let_go;  /* waiters until the job is free for the next task */
	bool owns;               /* local.task points here; the file is held */
	uint64_t serial;         /* of all tasks ever */
	struct gb_job *part;     /* client.lock; of its job, and being sent by it now */
	struct gb_job *from;     /* rename that submits: a reference, or NULL */
	struct gb_file *file;    /* a reference, or NULL */
	char *arg;
	char *advice;            /* lines that come before the check's in `warnings`, or
	                            NULL */
	struct gb_terms terms;   /* of a submission */
	bool background;
	bool queued;             /* submits a QUEUED job */
	bool again;              /* resubmit: submits a job again that is being
	                            settled */
	bool gathers;            /* reads all files that are sent, not only `file` */
	/* For tasks that own their job: after so many seconds, time in the queue
	 * included, `late` is called, the call that the task waits for is cancelled,
	 * and the waiters are answered 0. */
	double late_after;
	void (*late)(struct gb_job *job);
};

/* Start run on lane for job. owns: only one such task per job, else -EBUSY. give_up:
 * dropping the last waiter sets the canceller, unless the create is intended already.
 * Unlocked. fill may set members before the task starts. Returns -EINPROGRESS, or an
 * error; with w NULL it runs in the background: 0. */
_must_check_ int operation_start(struct gb_job *job, enum pool_lane lane,
	int (*run)(struct operation *t), bool owns, bool give_up,
	const struct operation *fill, struct gb_waiter *w);
/* From run() of one that does not own its job: own it from here on. -EBUSY: another
 * does, -ENOENT: the job is gone. */
_must_check_ int operation_take(struct operation *t);
/* Answer the waiters now; the task goes on in the background. */
void operation_answer(struct operation *t, int err);
/* From run(): cancel the call that t waits for after so many seconds, if it is still
 * running. */
void operation_deadline(struct operation *t, double seconds);
/* From run(): whether that has happened; if not, it will not happen any more. */
bool operation_is_late(struct operation *t);
/* Lock held: the job is free for the next task, because run() is at its end.
 * Call operation_disowned afterwards, unlocked: it wakes those who wait for that. */
void operation_disown(struct operation *t);
void operation_disowned(struct operation *t);

#endif
