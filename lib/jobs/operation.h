/*
 * An operation on a job: the job, its worker, its waiters.
 */
#ifndef GB_OPERATION_H
#define GB_OPERATION_H

#include "jobs/job.h"

/* An operation on a job. run() blocks, on a worker; its result answers the waiters
 * unless task_answer answered them before. */
struct task {
	struct task *next, **prev; /* client.tasks */
	struct gb_job *job;      /* a reference */
	int (*run)(struct task *t);
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
	struct gb_job *from;     /* rename that submits: a reference, or NULL */
	struct gb_file *file;    /* a reference, or NULL */
	char *arg;
	char *advice;            /* lines that come before the check's in `warnings`, or
	                            NULL */
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
_must_check_ int task_start(struct gb_job *job, enum work_lane lane, int (*run)(struct task *t),
	bool owns, bool give_up, const struct task *fill, struct gb_waiter *w);
/* Answer the waiters now; the task goes on in the background. */
void task_answer(struct task *t, int err);
/* From run(): cancel the call that t waits for after so many seconds, if it is still
 * running. */
void task_deadline(struct task *t, double seconds);
/* From run(): whether that has happened; if not, it will not happen any more. */
bool task_is_late(struct task *t);
/* Lock held: the job is free for the next task, because run() is at its end.
 * Call task_disowned afterwards, unlocked: it wakes those who wait for that. */
void task_disown(struct task *t);
void task_disowned(struct task *t);

#endif
