/*
 * A job's own directory in the state directory. Only jobs that were made here, or whose
 * results are saved, have one. It holds the journal, the error text, and which
 * operation is at work on the job.
 */
#ifndef GB_JOB_DIR_H
#define GB_JOB_DIR_H

#include "base/sorted_array.h"
#include "jobs/client.h"
#include "store/journal.h"

#include <pthread.h>
#include <stdatomic.h>

struct kept_marks;
struct operation;

/* What continues a removal: a timer or one task, never two at a time. */
enum removing {
	REMOVING_IDLE,
	REMOVING_PLANNED, /* a timer will start a task */
	REMOVING_RUNS,    /* a task is on it */
	REMOVING_AGAIN,   /* … and another follows at once when it is done */
};

/* A job with a directory of its own in the state directory. Flags stand together, because
 * there may be 100,000. */
struct job_dir {
	char lid[LID_SIZE];

	/* client.lock, but `forgotten` and `stay_told`. */
	bool gathering;          /* the task reads all files that are sent */
	bool cutting;            /* somebody is making its next part */
	bool creating;           /* the reply to the create may still come */
	bool turned_up;          /* the API has the job of an intent that was put by: no
	                            other is made for it */
	bool save_planned;       /* job_dir_save_soon has a timer */
	bool unmaking;           /* parts_unmake: no operation may begin */
	bool retry_planned;      /* client/retry.c has a timer */
	bool end_told;           /* gb_options.ended has been called */
	bool other_key;          /* rmdir was refused because of this */
	bool stay_told;          /* who removes it: that the disk does not take it */
	atomic_bool forgotten;   /* fully removed; set under both locks */
	uint8_t removing;        /* enum removing */

	uint32_t next_file;      /* client.lock */
	pthread_mutex_t disk;
	struct record rec;       /* client.lock */
	/* Its files, client.lock: all by number; those in the top directory; by
	 * directory and name, a tsearch tree. */
	struct sorted_array numbers, top;
	void *names;
	uint32_t lookalikes;     /* client.lock; how many of those in the top directory
	                            are */
	unsigned writers;        /* client.lock; changes in progress to files that are
	                            sent */
	atomic_uint touches;     /* incremented when the next change must be
	                            journalled */
	unsigned part_readers;   /* client.lock; archive/part_readers.h: who may still open
	                            results of any of its parts, which stay where they
	                            are so long */
	struct kept_marks *marks; /* client.lock; where its requests can be cut, as long as
	                             some have no part; NULL: not known */
	struct operation *task;       /* client.lock; the verb that owns the job now */
	char *checked;           /* what `check` counted or found wrong */
	struct canceller *settler; /* client.lock; canceller of a submission that looks
	                              for its job */
	double resubmit_after;   /* client.lock; resubmit=: not before this */
	double uploaded_since;   /* for `transfers`; 0: none is running */
	int64_t upload_size;
	_Atomic int64_t uploaded;
};

/* Give job a directory in the state directory (job->dir). Takes local.disk and
 * client.lock itself. */
_must_check_ int job_dir_make(struct gb_job *job);
_must_check_ int job_dir_attach(
	struct gb_job *job, const char *lid, struct record *rec_take);
void job_dir_free(struct gb_client *c, struct job_dir *l);
/* Open its directory, or files/ in it: a descriptor that the caller closes soon, or
 * negative errno. An idle job has nothing open, because there may be 100,000 of
 * them. */
int job_dir_open(struct gb_job *job);
int job_dir_open_files(struct gb_job *job);
/* Write the record as it is now. Unlocked; takes disk, then lock for the copy. */
_must_check_ int job_dir_save(struct gb_job *job);
/* The same if the time does not matter: a write that fails is logged and retried until
 * it succeeds. */
void job_dir_save_soon(struct gb_job *job);
/* job_dir_save with local.disk held already. */
_must_check_ int job_dir_save_locked(struct gb_job *job);
/* The same around a step. The step is not taken if there is no room for the record, and
 * the record is not kept if the step fails; then returns the step's error. */
_must_check_ int job_dir_save_around(
	struct gb_job *job, int (*step)(void *arg), void *arg);
/* Set `error`: a first line and a second (what to do), and the API's own text. Takes
 * client.lock; the caller saves. what NULL: no error. */
void job_dir_error(struct gb_job *job, int err, const char *what, const char *todo,
	const char *text);
/* The same of a submission whose answer is missing, which a list may settle, or a
 * person, at any moment: only while its phase is `from` and no create is in flight;
 * with it the phase becomes `to`, so that nobody sees one without the other. false: it
 * has moved on. */
bool job_dir_error_turn(struct gb_job *job, enum phase from, enum phase to, int err,
	const char *what, const char *todo, const char *text);
/* Write job.json from a reply. */
void job_dir_keep_json(struct gb_job *job, const char *json);

#endif
