/*
 * A job's own directory in the state directory: what only jobs have that were made here, or whose
 * results are saved. Its journal, its error text, the mark of who is at work on it.
 */
#ifndef GB_JOB_DIR_H
#define GB_JOB_DIR_H

#include "base/sorted_array.h"
#include "jobs/client.h"
#include "store/journal.h"

#include <pthread.h>
#include <stdatomic.h>

struct task;

/* Who goes on with rmdir: a timer or one task, never two. */
enum removing {
	REMOVING_IDLE,
	REMOVING_PLANNED, /* a timer will start a task */
	REMOVING_RUNS,    /* a task is on it */
	REMOVING_AGAIN,   /* … and goes on at once when it is done */
};

/* A job with a directory of its own in the state directory. */
struct local {
	char lid[LID_SIZE];
	pthread_mutex_t disk;
	struct record rec;       /* client.lock */
	/* Its files, client.lock: all by number; those at the top; by place and name,
	 * a tsearch tree. */
	struct numbered numbers, top;
	void *names;
	uint32_t next_file;
	uint32_t lookalikes;     /* client.lock; how many of those at the top are */
	unsigned writers;        /* client.lock; changes under way of what is sent */
	bool gathering;          /* client.lock; the task reads all that is sent */
	atomic_uint touches;     /* raised when the next change must be journalled */
	struct task *task;       /* client.lock; the verb that owns the job now */
	char *checked;           /* what `check` counted or complained of */
	bool creating;           /* client.lock; the create's answer may still come */
	struct canceller *settler; /* client.lock; of a submission that looks for it */
	bool save_planned;       /* client.lock; local_save_soon has a timer */
	atomic_bool forgotten;   /* removed to the last file; set under both locks */
	double resubmit_after;   /* client.lock; resubmit=: not before this */
	bool end_told;           /* client.lock; gb_options.ended has been called */
	enum removing removing;  /* client.lock */
	bool other_key;          /* client.lock; rmdir was refused for it */
	double uploaded_since;   /* for transfers; 0: none runs */
	int64_t upload_size;
	_Atomic int64_t uploaded;
};

/* Give job a directory in the state directory (job->local). Takes local.disk and
 * client.lock itself. */
_must_check_ int local_make(struct gb_job *job);
_must_check_ int local_attach(struct gb_job *job, const char *lid, struct record *rec_take);
void local_free(struct gb_client *c, struct local *l);
/* Its directory, and files/ in it: descriptors of the caller's, to be closed soon, or
 * negative errno. Nothing stays open for a job that rests: there may be 100,000. */
int local_dir_open(struct gb_job *job);
int local_files_dir_open(struct gb_job *job);
/* Write the record as it is now. Unlocked; takes disk, then lock for the copy. */
_must_check_ int local_save(struct gb_job *job);
/* The same where nothing hangs on when: what cannot be written now, which the log says, is
 * tried again until it is. */
void local_save_soon(struct gb_job *job);
/* local_save with local.disk held already. */
_must_check_ int local_save_locked(struct gb_job *job);
/* The same around a step that must not be taken if there is no room for the record,
 * nor the record stand if the step fails; its error, then. */
_must_check_ int local_save_around(struct gb_job *job, int (*step)(void *arg), void *arg);
/* Set `error`: a first line and a second (what to do), and the API's own text. Takes
 * client.lock; the caller saves. what NULL: no error. */
void local_error(struct gb_job *job, int err, const char *what, const char *todo,
	const char *text);
/* Write job.json from a reply. */
void local_keep_json(struct gb_job *job, const char *json);

#endif
