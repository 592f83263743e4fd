/*
 * A job in the table: names, ids, states, data of the rooms above, waiters, change
 * notices. The rest of what this room shows: client.h (the client and its lock),
 * batch.h (the API's job behind a directory), job_dir.h (its directory on disk),
 * operation.h (a verb at work), observe.h (what replies tell), poller.h (who asks the
 * API, and when), and hooks.h (what the rooms above are told and asked for).
 *
 * Life cycle: job_new, then job_set_id or job_set_name; changes under client.lock;
 * then, unlocked, job_changed, which wakes those who wait and tells the caller of
 * gembatch.h. Jobs are counted (gb_job_ref, gb_job_unref); the table holds a reference
 * until the client is closed. `local` is set once and stays.
 *
 * "Lock held" (client.lock) unless a comment says "unlocked". Errors are negative
 * errno.
 */
#ifndef GB_JOB_H
#define GB_JOB_H

#include "jobs/batch.h"
#include "jobs/client.h"
#include "jobs/job_dir.h"

/* What can be waited for in a job. */
enum job_queue {
	QUEUE_REFRESHERS, /* its state, as it is now */
	QUEUE_ENDERS,     /* its end */
	QUEUE_SAVERS,     /* its results saved */
	QUEUE_INDEXERS,   /* the index of its answers */
	QUEUE_SEALERS,    /* its results durable */
	QUEUE_SETTLERS,   /* its answers available as files */
	JOB_QUEUES
};

/* A directory: the data of every one. Small, because there may be 100,000 of them. */
struct gb_job {
	struct gb_client *c;
	atomic_uint refs;        /* the table's one included */
	uint32_t slot;

	/* All below: client.lock. Strings that callers have seen stay valid and
	 * unchanged as long as the job (old names stay in old_names). */
	const char *name;        /* counted (base/counted.h) */
	struct old_name *old_names;
	const char *model;       /* interned */
	struct job_dir *_Atomic dir; /* set once, under the lock; read by any */
	struct gb_waitq *queues; /* JOB_QUEUES of them, made when one is first needed */
	struct gb_job *parent;   /* the directory that it is a part of; NULL: is one. It
	                            goes by the removal of the part, or while no
	                            operation has the part (parts_unmake): a removal and
	                            an operation read their part's unlocked */
	struct parts *parts;     /* parts.h; NULL: none */
	struct answers *merged;  /* answers/: the index over all parts; NULL: none */
	struct gb_job *watch_next;
	bool in_tree : 1;
	bool watched : 1;        /* in the poller's list */
	bool settle_timer : 1;   /* a timer limits how long anyone waits for that */
	/* answers/: merged is being made; could not be; is of other results. */
	bool merging : 1, merge_failed : 1, merge_stale : 1;
	/* The API's job of its own, even before it is sent. Further ones are parts,
	 * jobs without a name that are not in the tree (parts.h). */
	struct batch batch[1];
};

struct gb_job *job_new(struct gb_client *c);
/* Give a job its id; -EEXIST if another job has it. */
_must_check_ int job_set_id(struct gb_job *job, const char *id);
/* Give it a name that no other job has: name itself or name~tail. */
_must_check_ int job_set_name(struct gb_job *job, const char *name, const char *tail);
void job_forget_name(struct gb_job *job);
struct gb_job *job_find_id(struct gb_client *c, const char *id);
struct gb_job *job_find_name(struct gb_client *c, const char *name);
/* A job that was taken for someone else's is one of ours: remove it from the table.
 * -EEXIST: it is known as ours already, under another name, and stays. */
_must_check_ int job_drop_twin(struct gb_job *twin);
const char *client_intern(struct gb_client *c, const char *text);
/* One copy stays: of a counted string that many jobs have; of those that a job has
 * twice or with others. Nobody may be reading them without the lock. */
void client_share(struct gb_client *c, const char **member);
void job_share_strings(struct gb_job *job);
/* unlocked: its name, else its id, for logs; lives as long as the job. */
const char *job_label(struct gb_job *job);
/* unlocked: announce that something about job changed, and answer those who wait for
 * its end if it has ended; of a part also for its directory. */
void job_changed(struct gb_job *job, unsigned what);
/* unlocked: an own job has ended, unless that was seen before: the caller is to be
 * told, of a part once of its directory. This is durable before the part's own note
 * that its end was seen, so a crash between the two makes it seen again. */
_must_check_ int job_end_due(struct gb_job *job);
/* 0 or an errno: waiting is over; -EINPROGRESS: go on. */
int job_wait_verdict(struct gb_job *job);
void table_init(struct gb_client *c);
void table_free(struct gb_client *c);

/* Lock held: the directory that it is, or is a part of. */
static inline struct gb_job *job_directory(struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->parent ? job->parent : job;
}

/* Lock held: whether users see it, in the tree or below parts/. */
static inline bool job_shown(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->parent ? job->parent->in_tree : job->in_tree;
}

/* Like gb_job_next, but parts are among them, wherever their directory is. */
struct gb_job *job_next_any(struct gb_client *c, uint32_t slot);

/* Lock held. */
static inline enum phase job_phase(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->dir ? (enum phase)job->dir->rec.batch->phase : PHASE_REMOTE;
}

/* unlocked: the same, for who works on the job while looks and lists may settle it. */
static inline enum phase job_phase_now(const struct gb_job *job)
{
	client_lock(job->c);
	enum phase p = job_phase(job);
	client_unlock(job->c);
	return p;
}

/* unlocked: its id at the API, NULL: none, which stays readable as long as the job:
 * that of a twin is taken from it (job_drop_twin). */
static inline const char *job_id_now(const struct gb_job *job)
{
	client_lock(job->c);
	const char *id = job->batch->id;
	client_unlock(job->c);
	return id;
}

/* unlocked: whether it is a part. */
static inline bool job_is_part_now(const struct gb_job *job)
{
	client_lock(job->c);
	bool part = job->parent;
	client_unlock(job->c);
	return part;
}

static inline bool phase_is_draft(enum phase p)
{
	return p == PHASE_DRAFT || p == PHASE_FAILED;
}

/* The API does not know it any more, and never told of an end (knowledge.h). */
static inline bool job_has_vanished(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->batch->id && knowledge_vanished(&job->batch->known);
}

/* Lock held: it is at the API and goes on there, as far as is known. */
static inline bool job_runs(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->batch->id && !knowledge_ended(&job->batch->known) &&
	       !job_has_vanished(job);
}

/* There may be a job at the API: its create was not answered. */
static inline bool phase_is_unanswered(enum phase p)
{
	return p == PHASE_SUBMITTING || p == PHASE_UNCERTAIN;
}

/* It has no id, and the API may have it all the same. */
static inline bool job_may_be_there(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return !job->batch->id && job->dir &&
	       (phase_is_unanswered(job_phase(job)) || job->dir->rec.n_put_by);
}

static inline struct moment job_moment(const struct gb_job *job)
{
	return knowledge_needs_time(&job->batch->known)
		       ? client_moment(job->c)
		       : (struct moment){.limits = job->c->api.provider->limits};
}

/* Whether the job has not ended and is ours to look after. */
static inline bool job_own_unfinished(const struct gb_job *job)
{
	client_expect_lock(job->c);
	if (!job->dir || !job->dir->rec.own)
		return false;
	if (!job->batch->id)
		return job->dir->rec.batch->phase == PHASE_UNCERTAIN;
	return knowledge_routine(&job->batch->known, job_moment(job));
}

enum gb_output job_output(const struct gb_job *job);
/* The same of the API alone, whatever is on the local disk. */
enum gb_output job_output_there(const struct gb_job *job);

/* Whether a request for the output can succeed: it is named, and its lifetime is not
 * over. */
bool job_output_may_come(const struct gb_job *job);

/* The whole output was in the job's directory once. */
static inline bool job_was_saved(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->dir && job->dir->rec.batch->results_size >= 0;
}

/* Lock held: change the phase of a job with local data. */
void job_set_phase(struct gb_job *job, enum phase p);
/* Lock held: its intent, which is not answered, is replaced: it is put by
 * (store/journal.h), and the phase is `next`. -ENOMEM: nothing was changed. */
_must_check_ int job_put_by(struct gb_job *job, enum phase next);
/* Lock held: the intent at i is the present one again; or has a record of its own. */
void job_take_up(struct gb_job *job, size_t i);
void job_drop_intent(struct gb_job *job, size_t i);
/* Lock held: whether a job at the API that nobody knows may be of an intent of ours. */
static inline bool client_seeks(const struct gb_client *c)
{
	client_expect_lock(c);
	return c->unsent || c->put_by;
}

/* Lock held: whether what the API says to this key concerns this job. */
bool identity_same_key(const struct gb_job *job);

/* Lock held: add w to one of the job's queues. Returns -EINPROGRESS, or -ENOMEM
 * if w was not queued. */
_must_check_ int queue_add(
	struct gb_job *job, enum job_queue kind, struct gb_waiter *w);
_must_check_ int queue_add_until(
	struct gb_job *job, enum job_queue kind, struct gb_waiter *w, uint64_t until);
/* Lock held: whether a queue has anyone in it; move all of them to another
 * queue. */
bool queue_waits(const struct gb_job *job, enum job_queue kind);
void queue_take(struct gb_job *job, enum job_queue kind, struct gb_waitq *to);

#endif
