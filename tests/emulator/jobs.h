/*
 * Batch jobs: their records, how they look on the wire, and their life.
 *
 * A job passes PENDING and RUNNING as time goes by; life.c moves it on, a worker makes
 * its results. Requests are in inline/ID.in (for file jobs a hard link to the input, so
 * that the file may be deleted), inline results in inline/ID.out, the output of file
 * jobs is the File batch-ID. All functions want world_lock held unless said.
 */
#ifndef EMU_JOBS_H
#define EMU_JOBS_H

#include "files.h"
#include "util.h"

#define JOB_ID 48
#define JOB_ID_LEN 36

enum job_state {
	JOB_PENDING,
	JOB_RUNNING,
	JOB_SUCCEEDED,
	JOB_FAILED,
	JOB_CANCELLED,
	JOB_EXPIRED,
	JOB_PARTIAL,
	JOB_STATES
};

struct job {
	char id[JOB_ID];
	char project[64];
	char *model;        /* without "models/" */
	char *display_name; /* may hold NULs; NULL: none */
	size_t display_len;
	char input_file[FILE_ID]; /* empty: inline */
	bool embed, has_output, inline_output;
	int64_t priority;
	int64_t created, updated, ended; /* as shown; ended 0: not */
	int64_t total, ok, failed;
	int64_t tokens; /* of its prompts, as estimated at create */
	enum job_state state;
	int error_code; /* 0: none */
	char *error_text;
	int64_t output_from; /* when a late output appears */
	/* how it is to go on */
	int outcome; /* choice of the knob, taken at create */
	int64_t pending_since, run_from, run_until;
	int64_t cancel_at; /* 0: nobody asked */
	char *shown_state; /* instead of the true one; not saved */
	/* not saved: a worker has it, the clock has it, it is to go when neither has */
	bool working, watched, deleted;
};

void jobs_load(void);

/* A new record, not yet known to anybody else; without the lock. */
struct job *job_new(void);
void job_free(struct job *j);
/* Makes it known and takes it over. */
void job_add_take(struct job *j);
void job_save(const struct job *j);
/* With its output; at once or when the worker lets go of it. */
void job_delete(struct job *j);
/* The job if this project has it; NULL otherwise. */
struct job *job_find(const char *project, const char *id);
bool job_has_ended(const struct job *j);
int64_t jobs_unended(const char *project);
int job_state_of(const char *name);

/* All jobs, oldest first. */
struct job **jobs_all(size_t *ret_n);
/* To be called when a createTime was altered. */
void jobs_resort(void);

/* The Operation. Inline output is left out; job_add_output puts it in. */
json_t *job_json(const struct job *j, bool listing);
/* Same for inlined responses of an ended job, read from disk; without the lock. */
void job_add_output(json_t *operation, const char *id);
bool job_shows_inline(const struct job *j);
/* The bare batch, as PATCH answers. */
json_t *job_batch_json(const struct job *j, bool listing);

#endif
