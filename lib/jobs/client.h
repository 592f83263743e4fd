/*
 * The inside of a client: the table of jobs and what its modules share.
 *
 *   client.c   open, close, recovery
 *   table.c    jobs by slot, name, id; names given; references; change notices
 *   observe.c    what replies of the API teach: new jobs, states, ends, missing jobs
 *   poller.c     the one poller: single flight, waiting for ends; list.c: its lists;
 *              ask.c: who asks it, and how long they wait
 *   job_dir.c    jobs with something on disk: journal, error text
 *   draft.c    making, naming and describing drafts
 *   validate_ahead.c   the check of what is being written
 *   contents.c    contents of requests.jsonl, inputs and scratch; file_tree.c: where
 *              they are; naming.c: making, renaming, removing
 *   operation.c     a verb at work: a job, a worker, its waiters
 *   submit.c   draft → checked → uploaded, every step journalled first
 *   attachments.c, attachments_upload.c  files that requests name: found, uploaded, put in
 *   prepare.c  its first step
 *   check_name.c  its name, where no list could confirm it; check_model.c: its model
 *   create.c   intended → created: where money is spent
 *   start.c  who may start that: verbs, recovery
 *   queue.c    background work whose turn at the API has not come
 *   reconcile.c   creates whose answer never came; reconcile_look.c: looking for their jobs;
 *              resubmit.c: what is sent again without a person
 *   remove.c   rmdir; cancel.c: the verb
 *   trash.c    what rmdir left, for some days
 *   open.c   results: where they lie, opening them
 *   save.c     making them safe, bringing home, cache
 *   after_end.c  waiting a little until what came back is here as files
 *   complete.c    whether what was saved is all there is
 *   recover.c  which of them a start finds, and those whose map is damaged
 *   answers.c  what came back, by request: the index, and files made of results
 *   advice.c   what is worth knowing and no error: warnings
 *   describe.c     what a job shows: state, error, verbs that fit
 *   models.c   the API's models, and what they can do
 *   reports.c    status, jobs table, transfers, history
 *
 *   test_point.c  where tests stop us
 *
 * and, knowing nothing of clients: knowledge.c journal.c state_dir.c state_lock.c dir_names.c
 * waiter.c thread_pool.c.
 *
 * Locks, in this order:
 *   local.disk   one per job with local data: its files and journal are written by
 *                one at a time. Held over disk work, never over the network.
 *   cache_lock   which files of the cache directory are in use, or go from it: held
 *                over small disk work
 *   client.lock  everything in memory: the table, jobs, records. Short, and no
 *                system call that can block under it.
 * Waiters, callbacks of gb_options and the engine are called with neither held.
 */
#ifndef GB_CLIENT_H
#define GB_CLIENT_H

#include "provider/provider.h"
#include "jobs/knowledge.h"
#include "base/sorted_array.h"
#include "store/journal.h"
#include "results/results.h"
#include "store/state_dir.h"
#include "base/string_index.h"
#include "base/test_point.h"
#include "base/waiter.h"
#include "base/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>

struct answers;
struct follows;
struct job_hooks;
struct models;
struct queue;
struct registry;
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
	char *id;                /* "batches/…" */
	const char *state_text;  /* interned */
	const char *model;       /* interned */
	char *output_file;       /* "files/…" at the API */
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

/* reconcile_look.c: looks for lost creates; client.lock. */
struct settling {
	bool asked, running;
	uint64_t begun, done;    /* how many looks */
	unsigned failures;       /* in a row */
	double after, timer_at;  /* util_now; no look before; one is planned, 0: none */
};

struct gb_client {
	const struct job_hooks *hooks; /* hooks.h; set once */
	struct gb_options o;     /* strings are the client's copies */
	char *key;
	char key_print[LID_SIZE];
	struct store *store;
	struct registry *registry;
	struct engine *engine;
	struct provider_conn api; /* calls of the API; by engine */
	struct work *work;
	struct follows *follows;

	pthread_mutex_t cache_lock;
	pthread_mutex_t lock;
	struct gb_job **slots;   /* all below: lock */
	uint32_t n_slots, cap_slots;
	struct strindex by_name, by_id; /* of slots */
	void *interned;
	size_t met_bytes;        /* of jobs that others made, about */
	uint64_t seq;            /* counts API calls begun */
	bool stopping;
	struct task *tasks;      /* all that are queued or run */
	uint64_t task_serial;
	uint32_t unsent;         /* submissions whose answer is missing */
	struct settling settling;
	struct queue *queue;     /* queue.c: background work whose turn has not come */
	unsigned removals;       /* that go on in the background just now */

	/* poller.c */
	pthread_t poller;
	bool poller_runs;
	pthread_cond_t poke;
	struct gb_job *watched;
	struct gb_waitq list_q;
	bool want_list, want_whole, listed;
	bool caught_up;          /* since the start; part of a list may be missing */
	double listed_at, whole_at; /* util_now; 0: never */
	uint64_t whole_seq;      /* of the newest whole list; 0: none */
	double list_after;       /* util_now: no look before, after failures */
	unsigned list_failures;  /* of looks, in a row */
	double lists_ok_since;   /* CLOCK_BOOTTIME: none has failed since; 0: the last did */
	unsigned list_pages;     /* of the newest round of lists; 0: none yet */
	uint32_t check_from;     /* slot: which missing jobs are asked for next */
	double sweep_at;         /* ask.c: when a timer looks who has waited enough; 0 */
	time_t offline_since;    /* wall clock, to be shown; 0: online */
	int last_error;          /* of the newest call of the poller */

	double trash_look;       /* trash.c: what is too old is not looked for before */

	/* save.c */
	unsigned fetches_running;
	double fetch_at;         /* home_next is planned for then; 0: it is not */
	bool rest_timer;         /* a look at seals that rest is */
	bool disk_low;

	/* answers.c */
	struct gb_answers *answers_open; /* those read last */
	atomic_bool hurry;       /* what only reads local files gives up; any thread */

	struct models *models;
};

void client_log(struct gb_client *c, int priority, const char *fmt, ...) _printf_(3, 4);

static inline void client_lock(struct gb_client *c)
{
	pthread_mutex_lock(&c->lock);
}

static inline void client_unlock(struct gb_client *c)
{
	pthread_mutex_unlock(&c->lock);
}

/* ---- table.c: all with client.lock held unless it says "unlocked" -------------- */

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

/* When something is learnt, or a conclusion is asked for. */
static inline struct moment client_moment(const struct gb_client *c)
{
	return (struct moment){util_now(), engine_server_time(c->engine)};
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

/* ---- observe.c (unlocked) --------------------------------------------------------- */

/* Take what a reply tells about a job. seq: client.seq when the call began. listed:
 * from a list, which leaves things out. Returns the job, a new reference, or NULL
 * when it is held back or not to be shown. */
struct gb_job *learn_batch(
	struct gb_client *c, const struct remote_batch *b, uint64_t seq, bool listed);
/* The API said 404 of a job itself, with GET, cancel or DELETE. */
void learn_missed(struct gb_job *job);
/* Lock held: it is ours, or its results are at home: it leaves the tree by rmdir alone. */
bool learn_keeps(const struct gb_job *job);
/* Ask the API for a job and take what it tells, a 404 included. Blocks. 0 or err's. */
int learn_look(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
uint64_t learn_seq(struct gb_client *c);
/* Lock held: there are so many jobs of others that no more are believed in. */
bool learn_full(const struct gb_client *c);
/* At start: what CACHE/known and job.json hold; once the key's fingerprint is known: which
 * jobs it made. */
_must_check_ int learn_names(struct gb_client *c);
_must_check_ int learn_known(struct gb_client *c);
_must_check_ int learn_local_json(struct gb_job *job);
void learn_keys(struct gb_client *c);

/* client.lock held: w into a queue of job's. -EINPROGRESS; -ENOMEM: it waits not. */
_must_check_ int queue_add(struct gb_job *job, enum job_queue kind, struct gb_waiter *w);
_must_check_ int queue_add_until(
	struct gb_job *job, enum job_queue kind, struct gb_waiter *w, uint64_t until);
/* The same: whether anybody is in it; all of them to another. */
bool queue_waits(const struct gb_job *job, enum job_queue kind);
void queue_take(struct gb_job *job, enum job_queue kind, struct gb_waitq *to);

/* ---- poller.c ---------------------------------------------------------------------- */
/* list.c: read the list until a page tells nothing new, or all of it; seq is of
 * learn_seq. Blocks. 0 or err's. */
int list_read(
	struct gb_client *c, bool whole, uint64_t seq, struct provider_error *err);

/* ask.c: waiters for metadata. Until when (a waiter's `hi`); then, with the lock not held,
 * see to it that they are answered. ask_wait: how long reads wait, in seconds. */
uint64_t ask_until(double seconds);
void ask_bound(struct gb_client *c, double seconds);
double ask_wait(void);
/* Lock held: no look is made in time for somebody who asks now: what is known must do. */
bool ask_in_vain(const struct gb_client *c);

int poll_start(struct gb_client *c);
void poll_stop(struct gb_client *c);
/* With client.lock held: something to look at; the poller plans anew. */
void poll_poke(struct gb_client *c);
void poll_watch(struct gb_job *job);
/* unlocked: whether calls can be made now; what a call ended with. */
bool client_online(struct gb_client *c);
void client_called(struct gb_client *c, const struct provider_error *err);

/* client.lock held: change the phase of a job with local data. */
void job_set_phase(struct gb_job *job, enum phase p);

/* ---- job_dir.c ---------------------------------------------------------------------- */

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

/* ---- contents.c ------------------------------------------------------------------------ */

/* At start, before there are other threads. */
_must_check_ int files_load(struct gb_job *job);
void files_free(struct local *l);
/* All with client.lock held. A file of the top; of a directory (NULL: the top); by its
 * path ("inputs/a/b"). */
struct gb_file *files_find(struct gb_job *job, const char *name);
struct gb_file *files_find_in(struct gb_job *job, struct gb_file *dir, const char *name);
struct gb_file *files_by_path(struct gb_job *job, const char *path);
bool files_has(struct gb_job *job, const char *name);
/* The first of a directory, or of all, whose number is at least number. */
struct gb_file *files_next(struct gb_job *job, struct gb_file *dir, uint32_t number);
struct gb_file *files_any(struct gb_job *job, uint32_t number);
/* The directory inputs/, if there is none yet. */
int files_add_inputs(struct gb_job *job);
/* requests.jsonl that shows what the parts were composed to. */
int files_add_composed(struct gb_job *job);
/* Unlocked: what is known of the draft as it is (an error, what was composed) holds
 * until the next change only. */
void files_changed(struct gb_job *job);
/* Unlocked: bytes and names of f durable. */
_must_check_ int files_sync(struct gb_job *job, struct gb_file *f);
/* The content of requests.jsonl has been decided: close does not submit it again
 * before it changes. */
void files_decided(struct gb_file *f);
bool files_is_decided(struct gb_file *f);
/* client.lock held: a task takes f; false: it is taken, or somebody writes. */
bool files_claim(struct gb_file *f);
void files_let_go(struct gb_file *f);
/* Move file `name` of `from` to requests.jsonl of job, replacing (disk, and memory);
 * both directories durable. Unlocked. */
_must_check_ int files_promote(struct gb_job *from, struct gb_file *f, struct gb_job *job);
/* Keep the bytes of f as requests.jsonl.rejected of job, too: a file of its own, as both
 * can be written to. f is held by its task. Unlocked. */
_must_check_ int files_reject(struct gb_file *f, struct gb_job *job);
/* A draft's files changed since its last submission: state DRAFT, no error, no
 * upload to take up. Unlocked. */
_must_check_ int files_touch(struct gb_job *job);

/* ---- operation.c ----------------------------------------------------------------------------- */

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

/* ---- submit.c, reconcile.c, remove.c, save.c ------------------------------------------------ */

/* After a start: go on with what the journal says. */
void submit_recover(struct gb_job *job);
/* A rename to requests.jsonl whose intent is on disk, or that was taken on in the
 * background, was to happen: let it. 0 when there is none; otherwise nothing of the job may
 * be sent: what is called requests.jsonl is another file yet. */
_must_check_ int submit_finish_rename(struct gb_job *job);
/* client.lock held: whether what the API says with this key is about this job. */
bool submit_same_key(const struct gb_job *job);
/* The API's job of a submission of ours: journal it. Unlocked. */
_must_check_ int submit_known(struct gb_job *job, const struct remote_batch *b);

/* reconcile_look.c: the answer of a create never came. Wait for a look, which others share:
 * 0 the job was found and is journalled; -EAGAIN not (yet), or the look failed;
 * -ECANCELED. */
int settle_once(struct gb_job *job, struct canceller *cancel);
/* Go on looking behind until the time is over, then SUBMIT_UNCERTAIN. */
void settle_later(struct gb_job *job);
/* client.lock held: the submission of ours that file was uploaded for; NULL. */
struct gb_job *settle_owner(struct gb_client *c, const char *file);
/* client.lock held: may this job, of which we do not know the input file, be the one
 * that a lost create made? listed: its own resource may name the file; else it has
 * none. */
bool settle_may_be_ours(struct gb_client *c, const struct remote_batch *b, bool listed);
/* Lock held: what b may be is not sent again by itself before `until`. */
void settle_doubt(struct gb_client *c, const struct remote_batch *b, double until);

void remove_recover(struct gb_job *job);
/* client.lock held: whether `forget` fits: rmdir cannot finish, or not with this key. */
bool remove_may_forget(const struct gb_job *job);
/* trash.c, unlocked: empty the trash of what is too old, if that has not just been done; the
 * clock that it goes by, 0: none can be believed now. */
void trash_expire(struct gb_client *c);
time_t trash_clock(struct gb_client *c);
/* unlocked: what job_drop_twin dropped, never one of ours: what is kept of it here goes, too, or it would
 * be met again at the next start. */
void remove_twin(struct gb_job *twin);
/* A submission that rmdir overtook has ended without a create: the rest of it. */
void remove_unsent(struct gb_job *job);
/* unlocked: the job has ended or gone: go on with rmdir if it waits for that, and
 * delete our uploads. */
void remove_ended(struct gb_job *job);

/* client.lock held: whether the output lies, or will, in the job's own directory.
 * What is whole in the cache is there until a fetch has moved it. */
bool output_is_at_home(const struct gb_job *job);
/* Unlocked: the job's one object for its output; a new reference. */
int output_of(struct gb_job *job, struct gb_results **ret);
/* Unlocked: if nobody reads, fetches or seals, the descriptor can go. */
void output_rest(struct gb_job *job);

/* struct results_config's, arg: the job. */
void home_event(void *arg, struct gb_results *r, enum results_event ev);
/* Unlocked: all of it is here, but not safe yet. */
void home_note_whole(struct gb_job *job);
/* A reader has opened r: who does so in a loop, and fails, costs no request each time. */
void home_spare(struct gb_job *job, struct gb_results *r);
/* At the end, when no thread is left: what rests is sealed by the next start. */
void home_close(struct gb_client *c);
/* unlocked: the job has ended: bring its results home if that is asked for. */
void home_consider(struct gb_job *job);
#define HOME_RESULTS "results.jsonl"
#define HOME_NEW "results.new" /* downloaded again, beside what is kept */
/* unlocked: it is whole and durable, at home or in the cache. */
_must_check_ int home_note_safe(struct gb_job *job, int64_t size, bool home);
/* after_end.c; client.lock held: who need wait no longer to `to`. */
void after_end_look(struct gb_job *job, struct gb_waitq *to);
/* Start what is missing and there is room for; arg: the client. Unlocked. */
void home_go_on(void *arg);
/* complete.c; all about results that are saved. client.lock held: they have fewer lines than
 * the API counts; and it is not yet sure that there are no more; and it is time to look. */
bool whole_is_short(const struct gb_job *job);
bool whole_in_doubt(const struct gb_job *job);
bool whole_look_due(const struct gb_job *job);
/* Unlocked, on a worker. Just sealed: how many lines they have; whole_judged when that is
 * written down. -EAGAIN: those in the cache are not all, and were dropped. */
int whole_judge(struct gb_job *job, struct gb_results *r, bool home);
void whole_judged(struct gb_job *job);
/* The same: ask the API for more of them. */
int whole_look(struct gb_job *job);
/* recover.c, at start: which results are at home or whole in the cache. Negative: that
 * cannot be told now. */
_must_check_ int home_look(struct gb_job *job);
_must_check_ int home_look_cache(struct gb_client *c);
/* unlocked: whether r, downloaded anew beside what is kept, may take its place; -ENODATA:
 * it is another output than came home. On a worker. */
int home_may_replace(struct gb_job *job, struct gb_results *r);
/* unlocked: the download failed with err: what is kept is taken, if the API does not have
 * the output any more and it is whole; else err. On a worker. */
int home_take_kept(struct gb_job *job, int err);
/* client.lock held: there is output, which is not at home, at most in the cache. */
bool home_can_fetch(const struct gb_job *job);
/* client.lock held: should come home by itself and has not. */
bool home_missing(const struct gb_job *job);
/* client.lock held: all of the output is on the local disk, known to be whole, durable. */
bool home_safe(const struct gb_job *job);
/* unlocked: bring that about, in the cache where a reader has made it whole there, else at
 * home. As gb_fetch_home; call it again after a successful wake-up. */
int home_make_whole(struct gb_job *job, struct gb_waiter *w);

/* ---- advice.c ------------------------------------------------------------------------ */

struct warnings;

/* Unlocked: what the check met, which warnings_text_take ends; it replaces what was said
 * before. The caller saves the journal. */
void advice_keep(struct gb_job *job, struct warnings *w);
/* Unlocked: a line more, of a submission on its way. */
void advice_add(struct gb_job *job, const char *line);
/* Unlocked: what was kept; the caller frees. NULL: nothing. */
char *advice_text(struct gb_job *job);
/* client.lock held: whether there is anything. */
bool advice_has(const struct gb_job *job);

/* ---- describe.c -------------------------------------------------------------------------- */

/* Whether a file of this name at the top was perhaps meant to be another. */
bool files_lookalike(const char *name);
/* Unlocked: what looks like a mistake in a draft's files, as `error` says it; the caller
 * frees. NULL: nothing. */
char *files_mistake(struct gb_job *job);
/* Lock held: whether there is something. */
bool files_has_mistake(struct gb_job *job);
/* Write `error` for a failure err with the API's own text (or NULL). */
void submit_tell(struct gb_job *job, int err, const char *text);

/* ---- answers.c (unlocked, but for answers_info) ------------------------------------------- */

/* client.lock held: what gb_job_info says of answers. */
void answers_info(const struct gb_job *job, struct gb_info *i);
/* Results have come home or are whole in the cache: make their index behind. */
void answers_come_home(struct gb_job *job);
/* What is loaded is of no use any more: the job has been removed, or has other results. */
void answers_forget(struct gb_job *job);
/* The client is being closed. */
void answers_close(struct gb_client *c);

/* history.c, unlocked: an event for the ledger: created, cancel-asked, ended, cancelled,
 * deleted … */
void history_add(struct gb_job *job, const char *event);
struct ledger_tokens;
void history_add_counted(struct gb_job *job, const struct ledger_tokens *tokens);

/* resubmit.c, unlocked: a list has been read. */
void resubmit_after_list(struct gb_client *c);
/* Lock held: a job that a list names and that may be one whose answer was lost. */
void resubmit_saw(struct gb_client *c, const struct remote_batch *b);

#endif
