/*
 * A job as the table has it: names, ids, states, what it carries for the rooms above; who waits for
 * something of it; change notices. "Lock held" unless a comment says "unlocked".
 */
#ifndef GB_JOB_H
#define GB_JOB_H

#include "jobs/client.h"
#include "jobs/job_dir.h"
#include "jobs/knowledge.h"
#include "results/results.h"

struct answers;

/* Who waits for something of a job. */
enum job_queue {
	QUEUE_REFRESHERS, /* its state, as it is now */
	QUEUE_ENDERS,     /* its end */
	QUEUE_HOMERS,     /* its results at home */
	QUEUE_INDEXERS,   /* the index of its answers */
	QUEUE_SEALERS,    /* its results being safe */
	QUEUE_SETTLERS,   /* what came back being here as files */
	JOB_QUEUES
};

/* Of output that a reader has made whole: unless it is SEAL_NONE it stays where it lies. */
enum sealing {
	SEAL_NONE,
	SEAL_RESTS, /* planned: it begins when nobody reads, or somebody waits */
	SEAL_RUNS
};

/* What is kept of every job. Small: there may be 100,000. */
struct gb_job {
	struct gb_client *c;
	atomic_uint refs;        /* the table's one included */
	uint32_t slot;

	/* All below: client.lock. Strings that are handed out to callers never
	 * change or go before the job does (old names are kept in old_names). */
	char *name;
	struct old_name *old_names;
	char *id;                /* at the API (provider/ids.h) */
	const char *state_text;  /* interned */
	const char *model;       /* interned */
	char *output_file;       /* its id at the API */
	struct local *_Atomic local; /* set once, under the lock; read by any */
	struct gb_results *results;
	struct timespec created, updated, ended_at;
	int64_t requests, succeeded, failed, pending; /* -1: not known */
	int64_t results_size;    /* -1 */
	int64_t known_off;       /* in CACHE/known, -1: not there */
	double learnt;           /* util_now at the newest reply; 0: none in this run */
	uint64_t seq;            /* of the call that told it */
	uint64_t listed_seq;     /* of the newest list that had it */
	double next_look;        /* poller: while somebody waits */
	struct gb_waitq *queues; /* JOB_QUEUES of them, made when one is first needed */
	struct answers *answers; /* the index of what came back, once it is loaded */
	unsigned handles;        /* gb_results_open without close */
	uint8_t state;           /* enum remote_state */
	uint8_t sealing;         /* enum sealing */
	uint8_t seal_rested;     /* looks at a seal that rests */
	bool in_tree : 1;
	bool output_inline : 1;
	bool has_api_error : 1;
	bool wanted : 1;         /* poller: a refresh is asked for */
	bool solo : 1;           /* poller: the list did not tell; ask for it alone */
	bool watched : 1;        /* in the poller's list */
	bool fetching : 1;       /* being brought home; never beside a seal */
	bool checked : 1;        /* the output was read back whole by this process */
	bool kept : 1;           /* what was whole at home has no map that can be read */
	bool unfit : 1;          /* … and is not whole any more */
	bool no_length : 1;      /* the API does not tell how long the output is */
	bool resized : 1;        /* it told another length before */
	bool cached : 1;         /* all of the output is in the cache directory */
	bool embedding : 1;
	bool indexing : 1;       /* the index of answers is being made or loaded */
	bool index_failed : 1;
	bool settle_timer : 1;   /* patience with that is being timed */
	struct gb_job *watch_next;
	struct knowledge known;  /* what was said of it, and what follows (knowledge.h) */
	unsigned gave_up_often;  /* readings of the output that failed in quick order … */
	double gave_up_at;       /* … the last of them, and with what */
	int gave_up;
	char *refusal;           /* the API's words when it refused the output, or NULL */
};

struct gb_job *job_new(struct gb_client *c);
/* Give a job its id; -EEXIST when another bears it. */
_must_check_ int job_set_id(struct gb_job *job, const char *id);
/* Give it a name that nobody has: name itself or name~tail. */
_must_check_ int job_set_name(struct gb_job *job, const char *name, const char *tail);
void job_forget_name(struct gb_job *job);
struct gb_job *job_find_id(struct gb_client *c, const char *id);
struct gb_job *job_find_name(struct gb_client *c, const char *name);
/* A job met as somebody else's turned out to be ours: out of the table. -EEXIST: it is
 * ours already, under another name, and stays. */
_must_check_ int job_drop_twin(struct gb_job *twin);
const char *client_intern(struct gb_client *c, const char *text);
/* unlocked: its name, else its id, for logs; lives as long as the job. */
const char *job_label(struct gb_job *job);
/* unlocked: tell the world that something about job changed, and answer who waits
 * for its end if it came. */
void job_changed(struct gb_job *job, unsigned what);
/* 0 or an errno: waiting is over; -EINPROGRESS: go on. */
int job_wait_verdict(struct gb_job *job);
void table_init(struct gb_client *c);
void table_free(struct gb_client *c);

static inline enum phase job_phase(const struct gb_job *job)
{
	return job->local ? (enum phase)job->local->rec.phase : PHASE_REMOTE;
}

static inline bool phase_is_draft(enum phase p)
{
	return p == PHASE_DRAFT || p == PHASE_FAILED;
}

/* There may be a job at the API, and its answer is missing. */
static inline bool phase_is_unanswered(enum phase p)
{
	return p == PHASE_SUBMITTING || p == PHASE_UNCERTAIN;
}

static inline struct moment job_moment(const struct gb_job *job)
{
	return knowledge_needs_time(&job->known) ? client_moment(job->c)
						 : (struct moment){0};
}

/* Whether the job has not ended and is ours to look after. */
static inline bool job_own_unfinished(const struct gb_job *job)
{
	if (!job->local || !job->local->rec.own)
		return false;
	if (!job->id)
		return job->local->rec.phase == PHASE_UNCERTAIN;
	return knowledge_routine(&job->known, job_moment(job));
}

enum gb_output job_output(const struct gb_job *job);
/* The same of the API alone, whatever is on the local disk. */
enum gb_output job_output_there(const struct gb_job *job);

/* Asking the API for the output may bring it: it is named, and its life is not over. */
bool job_output_may_come(const struct gb_job *job);

/* All of the output lay in the job's directory once. */
static inline bool job_was_home(const struct gb_job *job)
{
	return job->local && job->local->rec.results_size >= 0;
}

/* client.lock held: change the phase of a job with local data. */
void job_set_phase(struct gb_job *job, enum phase p);

/* client.lock held: whether what the API says with this key is about this job. */
bool submit_same_key(const struct gb_job *job);

/* client.lock held: w into a queue of job's. -EINPROGRESS; -ENOMEM: it waits not. */
_must_check_ int queue_add(struct gb_job *job, enum job_queue kind, struct gb_waiter *w);
_must_check_ int queue_add_until(
	struct gb_job *job, enum job_queue kind, struct gb_waiter *w, uint64_t until);
/* The same: whether anybody is in it; all of them to another. */
bool queue_waits(const struct gb_job *job, enum job_queue kind);
void queue_take(struct gb_job *job, enum job_queue kind, struct gb_waitq *to);

#endif
