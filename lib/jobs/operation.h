/*
 * A verb at work: a job, a worker, its waiters.
 */
#ifndef GB_OPERATION_H
#define GB_OPERATION_H

#include "jobs/job.h"

/* A verb at work on a job. run() blocks, on a worker; its result answers the waiters
 * unless task_answer did before. */
struct task {
	struct task *next, **prev; /* client.tasks */
	struct gb_job *job;      /* a reference */
	int (*run)(struct task *t);
	struct gb_waitq q;
	struct canceller cancel;
	bool answered;
	atomic_bool intended;    /* from here on dropping the waiters cancels nothing */
	bool owns;               /* local.task points here; the file is held */
	uint64_t serial;         /* of all tasks ever */
	struct gb_job *from;     /* rename that submits: a reference, or NULL */
	struct gb_file *file;    /* a reference, or NULL */
	char *arg;
	char *advice;            /* lines for `warnings` before those of the check, or NULL */
	bool background;
	bool queued;             /* sends what is QUEUED */
	bool again;              /* resubmit: sends what is being settled */
	bool gathers;            /* reads all that is sent, not `file` alone */
	/* Who owns its job: the waiters are answered 0 when it has taken so many seconds, also
	 * in the queue; before that `late` is called, and what it waits for is cancelled. */
	double late_after;
	void (*late)(struct gb_job *job);
};

/* Start run on lane for job. owns: only one such task per job, else -EBUSY. give_up:
 * dropping the last waiter sets the canceller while not intended. Unlocked. fill may
 * set members before it starts. Returns -EINPROGRESS, or an error; with w NULL it
 * runs behind: 0. */
_must_check_ int task_start(struct gb_job *job, enum work_lane lane, int (*run)(struct task *t),
	bool owns, bool give_up, const struct task *fill, struct gb_waiter *w);
/* Answer the waiters now; the task goes on behind. */
void task_answer(struct task *t, int err);
/* From run(): cancel what t waits for after so many seconds, if it still runs. */
void task_deadline(struct task *t, double seconds);
/* From run(): whether that has happened; if not it will not any more. */
bool task_is_late(struct task *t);
/* client.lock held: the job is free for the next; run() is at its end. */
void task_disown(struct task *t);

#endif
