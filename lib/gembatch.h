/*
 * gembatch: a cached client for the batch jobs of one Gemini API project.
 *
 * A client owns a state directory (what must not be lost: drafts, the journal of every
 * submission, saved results) and a cache directory (what can be fetched or made again).
 * It keeps a table of all jobs of the project: those made here, drafts included, and
 * those that other programs made.
 *
 * Life cycle: gb_open, then anything, then gb_close. Everything in between may be
 * called from any thread. Nothing here waits for the network: a call either
 * answers from memory (and the local disk) or takes a waiter and answers later.
 *
 * Waiters. A call that takes a struct gb_waiter returns
 *   0             done, the waiter was not used;
 *   -EINPROGRESS  the waiter is held and its done() is called exactly once, from a
 *                 thread of the library, possibly before the call has returned;
 *   other         failed, the waiter was not used.
 * gb_waiter_drop takes a waiter back. Work that other waiters share goes on. done()
 * runs without any lock held; it must not block and may call gb_* again.
 *
 * Ownership. Jobs and files are counted: what a call returns through ret_x is a
 * reference that the caller must drop. Strings in a struct are borrowed from the object
 * they describe and live as long as the reference.
 *
 * Errors are negative errno, one vocabulary for all: EBADMSG bad requests, EINVAL
 * refused by the API, EACCES key refused, ENOENT gone, EDQUOT quota, EFBIG too large,
 * EIO broken API, EHOSTUNREACH no network, ETIMEDOUT deadline, ENOSPC disk full, EINTR
 * given up, EBUSY not possible in this state.
 */
#ifndef GEMBATCH_H
#define GEMBATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

#include "gembatch_version.h"

#ifdef __cplusplus
extern "C" {
static_assert(sizeof(off_t) == 8, "compile with -D_FILE_OFFSET_BITS=64");
#else
_Static_assert(sizeof(off_t) == 8, "compile with -D_FILE_OFFSET_BITS=64");
#endif

/* The version of the library that is running; GB_VERSION is that of this header. */
const char *gb_version(void);

struct gb_client;
struct gb_job;
struct gb_file;
struct gb_results;
struct gb_answers;

/* ---- the client ------------------------------------------------------------ */

enum gb_fetch { GB_FETCH_OWN, GB_FETCH_ALL, GB_FETCH_READ };

/* What gb_options.changed reports. */
enum gb_change {
	GB_CHANGED_TREE = 1,    /* a job appeared, went or got another name */
	GB_CHANGED_META = 2,    /* state, counts or times */
	GB_CHANGED_FILES = 4,   /* results, error, id … appeared or went */
	GB_CHANGED_RESULTS = 8, /* the size of results became known, or all are saved */
};

struct gb_options {
	const char *source;      /* base URL: https, or http to a loopback address */
	const char *key;         /* API key; NULL only with offline */
	const char *version;     /* of the API: "v1beta", "v1"; NULL: v1beta */
	const char *key_source;  /* where the key came from, for status */
	const char *state_dir;   /* both are made, mode 0700, where missing */
	const char *cache_dir;
	uint64_t cache_max;      /* bytes; 0: 10 GiB */
	const char *model;       /* of new drafts; NULL: gemini-flash-latest */
	enum gb_fetch fetch;     /* whose results are saved when the job has ended */
	bool background;         /* gb_submit returns when the bytes are safe on disk */
	bool keep_running;       /* gb_remove refuses jobs that have not ended (EBUSY) */
	bool offline;            /* call nothing */
	bool readonly;           /* submit, remove and fetch nothing automatically */
	int trash_days;          /* how long removed jobs' local copies stay; 0: not at
	                            all */
	int poll_s, ttl_s;       /* seconds; 0: 30 and 5; ttl_s -1: always stale */
	const char *split;       /* of drafts that do not say: "auto", "none" or a number
	                            (gb_draft_set_split); NULL: auto */
	int retries;             /* a directory submitted now asks what retry.jsonl lists
	                            again by itself, up to so many times; 0: what was to
	                            be asked so is not, as long as the client is open */
	const char *webhook;     /* URL that the API calls at the end of each new job */
	int resubmit_hours;      /* submit uncertain jobs again after so long; 0:
	                            never */
	uint64_t inline_max;     /* requests up to this size go inline; 0: never */
	uint64_t max_tokens;     /* refuse to submit what is estimated above so many
	                            tokens of prompts; 0: no limit */
	double max_cost;         /* the same in prices.tsv's currency */
	const char *prices;      /* path of the user's prices.tsv, which need not exist;
	                            or NULL */
	const char *holder;      /* what the lock says beside host and pid: mountpoint */

	/* Both may be called from any thread, without locks held; they must not
	 * block or call back into the library. line has no newline. */
	void (*log)(void *arg, int priority, const char *line);
	/* Something about job (borrowed) changed; NULL: about the client as a whole.
	 * what is a set of enum gb_change, slot the job's number in the table. */
	void (*changed)(void *arg, uint32_t slot, unsigned what);
	/* NULL, or called once in the life of a client for each own job (borrowed) that
	 * has ended and whose results are saved, if they are to be saved. The next
	 * client calls it again, until gb_job_take_end has been called. */
	void (*ended)(void *arg, struct gb_job *job);
	bool guest; /* here for a moment, beside others that have the directories longer:
	               where the last of those had `ended`, or this has it, ends that are
	               learnt now are kept for who takes them */
	void *arg;
};

/* Open the directories (lock, migrate, recover), check the key by one cheap call and
 * start the threads. Blocks at most 10 s. Without a network the client comes up offline
 * and recovers by itself. *ret_why (malloc'ed, the caller frees it) is one line: what
 * went wrong, or on success a warning; else NULL. -EACCES key refused, -EPERM state
 * directory not accessible, -EBUSY locked by another process, -EPROTO state directory of a newer version, … */
int gb_open(const struct gb_options *o, struct gb_client **ret, char **ret_why);

/* Give up submissions whose create is not intended yet, answer every waiter (-EINTR),
 * write everything else to disk, stop the threads. Takes seconds at most. All
 * references must have been dropped. */
void gb_close(struct gb_client *c);

/* First half of gb_close: answers every waiter; afterwards every call that would
 * take one fails with -EINTR. For callers that must reply before they unmount. */
void gb_shutdown(struct gb_client *c);

/* Who has the state directory open: 0 nobody; -EBUSY a process of this machine, and
 * *ret_holder (malloc'ed) is its gb_options.holder, "" if it has none; -EREMOTE: another
 * machine, or nobody can say. Blocks up to two seconds. */
int gb_state_holder(const char *state_dir, char **ret_holder);

/* ---- waiters ---------------------------------------------------------------- */

struct gb_waitq;

struct gb_waiter {
	void (*done)(struct gb_waiter *w, int err);
	struct gb_waitq *q; /* private from here on; zero before use */
	struct gb_waiter *next, **prev;
	uint64_t lo, hi;
	int err;
};

/* Take w back. true: it was still held and done() will never be called. false: it
 * is not held; done() has been called or is about to be. */
bool gb_waiter_drop(struct gb_waiter *w);

/* ---- the table of jobs ------------------------------------------------------- */

/* Slots number jobs in the order in which the client saw them first, from 0. A slot is
 * not reused while the client is open. */
struct gb_job *gb_job_ref(struct gb_job *job);
void gb_job_unref(struct gb_job *job);

/* A new reference, or NULL. Only jobs that are in the tree are found. */
struct gb_job *gb_job_by_name(struct gb_client *c, const char *name);
struct gb_job *gb_job_by_id(
	struct gb_client *c, const char *id); /* without its prefix */
struct gb_job *gb_job_by_slot(struct gb_client *c, uint32_t slot);
/* The first job in the tree whose slot is at least slot. */
struct gb_job *gb_job_next(struct gb_client *c, uint32_t slot);

/* The n-th part (from 1) of a directory behind which there are several of the API's jobs;
 * NULL: there is none with that number. A part is a job with a slot of its own, which
 * gb_job_by_slot finds and gb_job_next passes over; what is shown of it is read-only. It
 * may be `dir` itself, whose own job was the first. */
struct gb_job *gb_job_part(struct gb_job *dir, uint32_t n);
bool gb_job_is_part(struct gb_job *job);
/* The first whose number is at least n. */
struct gb_job *gb_job_part_next(struct gb_job *dir, uint32_t n);

/*
 * What is shown of one part. A call gb_job_… on a directory behind which there are several
 * speaks for all of them; gb_part_… never does: it tells of the one job of the API that is
 * `part`'s own, be it that of a part or that of a directory which is its own first. For a
 * job that has no parts both say the same.
 */

enum gb_output {
	GB_OUTPUT_NONE,    /* none yet, or there never will be any */
	GB_OUTPUT_AWAITED, /* ended, the API has not named it yet */
	GB_OUTPUT_INLINE,  /* at the API inside the job; listed once saved */
	GB_OUTPUT_THERE,   /* a file at the API */
	GB_OUTPUT_SAVED,    /* all of it on the local disk */
	GB_OUTPUT_LOST,    /* not saved, and the API does not have it any more; or the
	                      saved copy is incomplete, and the API refused the rest */
	GB_OUTPUT_KEPT,    /* saved once, but its checksums are lost: fetched again, or
	                      accepted as it is if the API does not have it any more */
	GB_OUTPUT_DAMAGED, /* the same, and the readable part is on the local disk */
};

/* Files made from results. */
enum gb_answers_file {
	GB_ANSWERS_TSV,   /* one line per request: key, outcome, text or reason */
	GB_ANSWERS_RETRY, /* the requests that another try may answer */
	GB_ANSWERS_USAGE, /* `name value` lines: tokens and outcomes */
	GB_ANSWERS_TABLE, /* the user's table with the answers, as CSV with its
	                     separator */
	GB_ANSWERS_VECTORS, /* embeddings in numpy's NPY format: float32, one row per
	                       request */
	GB_ANSWERS_FILES,
	GB_ANSWERS_NODE = GB_ANSWERS_FILES, /* of the tree */
};

struct gb_info {
	uint32_t slot;
	const char *name;  /* of the directory, unique, encoded */
	const char *id;    /* as the API has it, or NULL */
	const char *state; /* as the user sees it: "DRAFT", "JOB_STATE_PENDING", … */
	const char *model; /* as people write it */
	const char *split; /* how its requests are cut, as people write it */
	bool draft;        /* nothing is being sent or at the API: files can be
	                      written */
	bool submitted;    /* the submission has begun: read-only */
	bool sent;         /* the API knows the job */
	bool ended;        /* an end state and nothing more to come */
	bool own;          /* made or being made from this state directory */
	bool is_part;      /* of a directory: see gb_job_part */
	const char *dir_name; /* of a part: its directory's name; else its own */
	uint32_t dir_slot; /* of that directory */
	uint32_t part;     /* its number among the parts of its directory, from 1 */
	bool has_parts;    /* there are several: numbers, states and outputs here speak for
	                      all of them */
	uint32_t parts;    /* made so far: 1 without has_parts */
	uint32_t parts_sent, parts_ended; /* of them */
	uint32_t rounds;       /* so often was asked again what was not answered … */
	uint32_t retries_left; /* … and so often it still is, without a person */
	int submit_errno;  /* why a submission failed; EPERM: waiting will not help; 0: it
	                      did not, or that is not known */
	bool has_error;    /* gb_job_error has a text */
	bool has_warnings; /* gb_job_warnings has one */
	bool has_requests; /* requests.jsonl is on the local disk */
	bool removing;     /* rmdir goes on in the background; not in the tree */
	enum gb_output output;
	bool results_safe;    /* all of it on the local disk, and nothing can undo that */
	int64_t results_size; /* bytes, -1: not known yet */
	bool results_told;    /* by one reply alone: it may be another a moment later */
	bool results_unmeasured; /* and the API does not tell it before all is saved */
	bool results_refused; /* the API refused them; they are requested again, see
	                         gb_job_error */
	bool has_answers;  /* there are results that answers can be made of */
	bool has_table;    /* and the requests were made of a table */
	bool has_vectors;  /* and they are embeddings of one length, as far as is known */
	bool has_retry;    /* and requests, or the job ended with nothing to show */
	bool answers_grow;    /* they are of several parts, and may become more */
	struct timespec answers_at; /* when they last became more; 0: with the end */
	bool answers_there;   /* their index is loaded: sizes and tree are known */
	bool answers_pending; /* it is not loaded, but loading it needs the local disk
	                         only */
	int64_t answers_size[GB_ANSWERS_FILES]; /* bytes, where they are there */
	struct timespec created, ended_at, updated; /* tv_sec 0: not known */
	struct timespec grown; /* gb_part_info of a directory: when the API made the newest
	                          of its parts; 0: there are none */
	int64_t requests, succeeded, failed, pending; /* -1: not known */
	int64_t estimated_tokens;  /* of the prompts, by gb_estimate; -1: none */
	int estimate_percent;      /* how far off that may be */
	char estimated_cost[32];   /* of the prompts; "": no price */
	time_t learnt;     /* when this was last heard from the API; 0: never */
	time_t expires;    /* when the API drops the results, or the job expires; 0:
	                      n/a */
};

/* A consistent snapshot of the job; from memory. */
void gb_job_info(struct gb_job *job, struct gb_info *ret);
void gb_part_info(struct gb_job *part, struct gb_info *ret);

/* Malloc'ed texts, NULL when there is none: what is wrong and what to do; the
 * API's own resource (JSON, without inlined responses). */
char *gb_job_error(struct gb_job *job);
/* Warnings, one per line: what the check found, and what the results show. */
char *gb_job_warnings(struct gb_job *job);
char *gb_job_json(struct gb_job *job); /* NULL where there are several */
char *gb_part_error(struct gb_job *part);
char *gb_part_json(struct gb_job *part);

/* Make metadata at most ttl old. Answers 0 at once if it is, if the job has ended, or
 * offline. All callers share one call. A bad answer from the API is an error (-EIO,
 * -EACCES, …); an API that cannot be reached is not. */
int gb_job_refresh(struct gb_job *job, struct gb_waiter *w);

/* The same for callers that need counts. If a list gave the counts of a job that has
 * ended, they may be from before its end; then the job itself is requested, once. */
int gb_job_refresh_counts(struct gb_job *job, struct gb_waiter *w);

/* How new the list must be. */
enum gb_list {
	GB_LIST_FRESH, /* at most ttl old; waits 2 s at most */
	GB_LIST_ONCE,  /* read to its end since the start; waits 10 s at most */
	GB_LIST_NEWS,  /* read since the start until it tells nothing new; waits 10 s at
	                * most. Enough to show all jobs, but not to say that a name is
	                * free */
};

/* The same for the whole list. An error says that the list is older than asked for, and
 * the caller must use what is known. Readers that do not want to wait pass w NULL: a
 * refresh is started in the background. */
int gb_list_refresh(struct gb_client *c, enum gb_list how, struct gb_waiter *w);

/* Wait until the job has ended and its output is named, or known never to come. 0 at
 * once for drafts, failed and uncertain submissions, and offline; -EACCES or -ENOENT
 * where waiting is useless. */
int gb_job_wait(struct gb_job *job, struct gb_waiter *w);
/* To be called after that: 0 once the results of an own job are saved and its answers
 * can be listed, or after some seconds, or if that will not happen automatically. */
int gb_job_settle(struct gb_job *job, struct gb_waiter *w);

/* The caller takes the event that gb_options.ended reported: 0, and no client reports
 * it again; -EALREADY: it was taken before; -EBUSY: it has not been reported yet; other: the
 * journal could not be written. Blocks on the disk. */
int gb_job_take_end(struct gb_job *job);

/* ---- drafts ------------------------------------------------------------------ */

/* Make a local draft. Nothing is sent. -EEXIST if a job of the project has the name (as
 * far as the table knows: refresh it first), -EILSEQ (not UTF-8, or with control
 * characters), -ENAMETOOLONG. listed: that refresh (GB_LIST_FRESH) answered 0. Otherwise
 * the name is looked up before anything is sent, even after a restart. */
int gb_draft_create(
	struct gb_client *c, const char *name, bool listed, struct gb_job **ret);
/* Rename the directory of a draft, likewise. -EPERM once submission has begun. */
int gb_draft_rename(struct gb_job *job, const char *name, bool listed);
/* The model of a draft, as people or the API write it. -EINVAL: cannot be one. */
int gb_draft_set_model(struct gb_job *job, const char *model);
/* How the requests of a draft may be cut into several of the API's jobs: "auto", as few
 * as fit; "none", one job or nothing; "N", parts of N requests. -EINVAL: anything else. */
int gb_draft_set_split(struct gb_job *job, const char *split);
void gb_draft_set_times(struct gb_job *job, const struct timespec *mtime);

/* ---- files of a job on the local disk ---------------------------------------- */

/*
 * Files: requests.jsonl, the parts of composed drafts, and scratch. A job's directory
 * has one subdirectory, inputs/, with whatever the user makes in it. A directory `dir`
 * in the calls below is a file too; NULL is the job's own.
 *
 * What is sent (requests.jsonl, the parts of a composed draft) can be written while the
 * job is a draft, scratch always. A file keeps its number through renames within its
 * job and lives until it has no name and no reference. Numbers start at 256 and are
 * never used again.
 */
#define GB_FILE_NUMBER_MAX ((UINT32_C(1) << 24) - 1)
#define GB_REQUESTS "requests.jsonl"
#define GB_REJECTED "requests.jsonl.rejected"

struct gb_file *gb_file_ref(struct gb_file *f);
void gb_file_unref(struct gb_file *f);
/* -EEXIST with excl, -EPERM for requests.jsonl when the job is no draft, … */
int gb_file_create(struct gb_job *job, struct gb_file *dir, const char *name, bool excl,
	struct gb_file **ret);
/* -EPERM at the top. */
int gb_file_mkdir(struct gb_job *job, struct gb_file *dir, const char *name,
	struct gb_file **ret);
struct gb_file *gb_file_by_name(
	struct gb_job *job, struct gb_file *dir, const char *name);
bool gb_job_has_file(struct gb_job *job, struct gb_file *dir, const char *name);
struct gb_file *gb_file_by_number(struct gb_job *job, uint32_t number);
/* The first named file of dir whose number is at least number. */
struct gb_file *gb_file_next(struct gb_job *job, struct gb_file *dir, uint32_t number);
bool gb_file_is_dir(const struct gb_file *f);
/* Whether it was sent, or the sent requests were made from it, so that it cannot be
 * written any more. */
bool gb_file_is_fixed(struct gb_file *f);
/* Whether it is part of a composed draft: in inputs/, prompt.txt, … */
bool gb_file_is_part(struct gb_file *f);
uint32_t gb_file_number(const struct gb_file *f);
/* Copy its present name to name (256 bytes); false if it has none. */
bool gb_file_name(struct gb_file *f, char *name);
int gb_file_stat(struct gb_file *f, struct stat *ret);
/* Descriptor for reading, borrowed. Never written through. */
int gb_file_fd(struct gb_file *f);
/* All of buf at off, or a negative errno. -EROFS once the file is what was sent. */
int gb_file_write(struct gb_file *f, const void *buf, size_t n, off_t off);
int gb_file_truncate(struct gb_file *f, off_t size);
int gb_file_set_times(struct gb_file *f, const struct timespec times[2]);
/* To be called when nobody has it open for writing any more. */
void gb_file_settle(struct gb_file *f);
/* Make its bytes and its name durable. This may take long, so the answer comes through
 * w. */
int gb_file_sync(struct gb_file *f, struct gb_waiter *w);
int gb_file_unlink(struct gb_job *job, struct gb_file *dir, const char *name);
int gb_file_rmdir(struct gb_job *job, struct gb_file *dir, const char *name);
/* Rename within a job or between jobs; replaces the target as rename(2) does. Not for a
 * rename that submits. */
int gb_file_rename(struct gb_job *from, struct gb_file *from_dir, const char *name,
	struct gb_job *to, struct gb_file *to_dir, const char *new_name,
	bool noreplace);
/* The writer was killed or failed. No close submits this content until the file is
 * truncated to nothing, replaced, or submitted by rename or ctl. If the file is part of
 * a composed draft, it is not sent until it is truncated to nothing, replaced or
 * removed. This is remembered on disk. why goes into `error`. */
void gb_file_taint(struct gb_file *f, const char *why);
bool gb_file_tainted(struct gb_file *f);
/* Write this to `error` again, if requests.jsonl was changed since and `error` is
 * empty. */
void gb_file_explain_taint(struct gb_file *f);
/* Explain in `error` that f is still being written, so that its draft is not sent. */
void gb_file_busy(struct gb_file *f);
/* Explain in `error` why a close did not submit (the draft stays a draft). */
void gb_job_explain(struct gb_job *job, const char *why);
/* Explain why a name cannot be made: in the log, and in a draft's `error` until it is
 * changed, if nothing else stands there. */
void gb_job_explain_name(struct gb_job *job, const char *what, const char *todo);

/* Files that request lines name, and that are to be copied into the draft before it is
 * sent: each(arg, line, name) for a URI without a scheme, in the order of the lines, as
 * often as it is there. A result other than 0 ends it. Needs no client. fd is read from its
 * beginning. -ESTALE: from some line on these are no acceptable requests, as the check
 * (gb_check) will say. */
int gb_requests_files(int fd, int (*each)(void *arg, uint64_t line, const char *name),
	void *arg);

/* ---- verbs ------------------------------------------------------------------- */

/* GB_BY_QUEUE: in the background, whatever gb_options says. */
enum gb_by { GB_BY_CLOSE, GB_BY_CTL, GB_BY_QUEUE };

/* Submit the draft's requests.jsonl: check, upload, create. The waiter is answered when
 * the API has answered (background: when the bytes are checked and safe on disk). If
 * the last waiter is dropped before the create is intended, the submission is given up;
 * afterwards it goes on, and the state shows the result. If the requests do not fit into one job and may be cut
 * (gb_draft_set_split), the waiter is answered when the first part exists, and the others
 * follow in the background; of what is given up later the rest can be submitted again. A
 * close does not check a
 * content again that the check refused, until it changes: 0. The caller has made sure
 * that nobody can still write to the file. */
int gb_submit(struct gb_job *job, enum gb_by by, struct gb_waiter *w);
/* What counts for one directory beside gb_options, as long as it is not submitted anew. */
struct gb_terms {
	int retries;         /* in place of gb_options.retries, and whatever that is
	                        later; -1: as that says */
	uint64_t max_tokens; /* the lower one counts; 0: no other limit */
	double max_cost;     /* likewise */
};
/* The same with terms (NULL: none), which are in the journal with it. */
int gb_submit_on(struct gb_job *job, enum gb_by by, const struct gb_terms *terms,
	struct gb_waiter *w);
/* The same for a rename of file `name` in `dir` of `from` onto requests.jsonl of `job`.
 * If the check refuses the file, or the submission fails before the create is intended,
 * nothing is moved, and the bytes are also saved as requests.jsonl.rejected. Never
 * -EINVAL, -EOPNOTSUPP, -ENOSYS or -EXDEV: -EBADMSG instead. */
int gb_submit_rename(struct gb_job *from, struct gb_file *dir, const char *name,
	struct gb_job *job, struct gb_waiter *w);
/* Check the draft, send nothing. */
int gb_check(struct gb_job *job, struct gb_waiter *w);
/* Ask the API how many tokens a sample of the prompts has, and so estimate those of all:
 * see gb_info. A draft is checked as well. Nothing is sent but the sample, and nothing
 * is bought. -EBUSY: its requests are not here. */
int gb_estimate(struct gb_job *job, struct gb_waiter *w);
/* After a waiter of one of these was dropped: 0 when the job can be used again,
 * or the submission goes on (its create was intended); -EINPROGRESS: it is being given
 * up, which takes moments. */
int gb_job_left(struct gb_job *job, struct gb_waiter *w);
/* Ask again what retry.jsonl lists, in the same directory, as further parts of it: all has
 * ended, and something is listed. Answered when that is safe on disk; it is bought in the
 * background. One call is one round, whatever happens meanwhile. -EBUSY: something goes
 * on, or nothing is listed; -EACCES: another key made it. */
int gb_retry(struct gb_job *job, struct gb_waiter *w);
/* How often a directory that was submitted asks again by itself, rounds that were made
 * included: as gb_terms. 0, or -EBUSY: it is a draft, or not ours. Blocks on the disk. */
int gb_retry_up_to(struct gb_job *job, int retries);
/* Stop a submission whose create is not intended yet (the job is a draft again), or
 * cancel the job at the API: answered when that has accepted it. */
int gb_cancel(struct gb_job *job, struct gb_waiter *w);
/* Save the results now. */
int gb_save_results(struct gb_job *job, struct gb_waiter *w);
int gb_part_save_results(struct gb_job *part, struct gb_waiter *w);
/* Settle an uncertain submission by hand: declare that id is its job; or submit again
 * on purpose. */
int gb_adopt(struct gb_job *job, const char *id, struct gb_waiter *w);
int gb_resubmit(struct gb_job *job, struct gb_waiter *w);
/* Remove a job: a draft locally (0 at once), an ended job at the API; any other is
 * cancelled first. Answered when the first step is accepted, within 10 s. */
int gb_remove(struct gb_job *job, struct gb_waiter *w);
/* The same when a person insists, although another key made the job or the API does not
 * know it. What this key can reach is cancelled and deleted; otherwise only the local
 * copies are removed. */
int gb_forget(struct gb_job *job, struct gb_waiter *w);

/* Which verbs are possible now, as a set of bits in this order. */
enum gb_verb { GB_SUBMIT = 1, GB_CHECK = 2, GB_CANCEL = 4, GB_FETCH_VERB = 8,
	GB_ADOPT = 16, GB_RESUBMIT = 32, GB_FORGET = 64, GB_ESTIMATE = 128,
	GB_QUEUE = 256, GB_RETRY = 512 };
unsigned gb_verbs(struct gb_job *job);

/* ---- results ------------------------------------------------------------------ */

/* The output file of a job, backed by a sparse file that fills as it is read. Opening
 * costs nothing. -ENOENT: there is none; -ENODATA: gone; -EINPROGRESS (there is no
 * waiter): it is inline in the job, or its checksums are lost: call gb_save_results
 * first. */
int gb_results_open(struct gb_job *job, struct gb_results **ret);
int gb_part_results_open(struct gb_job *part, struct gb_results **ret);
void gb_results_close(struct gb_results *r);
/* *ret becomes the size in bytes. This takes a small request the first time, unless a
 * read has shown the size already. 0 with *ret -1: the API tells no length.
 *
 * No byte is read before a second reply agrees with what the first one told. If it does
 * not, gb_results_ready fails with -EIO for all who have the file open, until they have
 * closed it: whoever opens it then and asks for the size gets the right one. A size
 * from before the open may be wrong: ask afterwards. */
int gb_results_size(struct gb_results *r, struct gb_waiter *w, int64_t *ret);
/* How many bytes at off, up to n, gb_results_read can return now: > 0; 0: off is at or
 * past the end; -EINPROGRESS: they were requested, and done() is called when it is
 * worth asking again (err 0) or when that failed. */
ssize_t gb_results_ready(
	struct gb_results *r, uint64_t off, size_t n, struct gb_waiter *w);
/* Read n such bytes. Returns n or an errno; -EIO: the local bytes are damaged, and the
 * next gb_results_ready fetches them again. */
ssize_t gb_results_read(struct gb_results *r, void *buf, size_t n, uint64_t off);
/* Whether every byte is local and durable and was compared with its checksum, and only
 * one size was ever reported: from then on kernel caches may keep the file. */
bool gb_results_final(struct gb_results *r);

/* ---- answers ------------------------------------------------------------------- */

/*
 * Results as files. They are made from the local results while they are read, by means
 * of an index. The index is made once, in the background, when the results have been
 * saved. The files form a tree with a directory for each '/' in a key: node 0 is its
 * root. The tree of one job never changes. That of a directory with several parts
 * grows when a part's results are saved: a number stands for the same bytes as long as
 * it stands for any. What is open stays as it was.
 */
struct gb_answer {
	uint32_t number;
	bool dir;
	int64_t size;
	struct timespec at; /* of several parts: when the part's results came; else 0 */
	char name[256];
};

/* Load or make the index if that needs the local disk only; this takes seconds for a
 * gigabyte of results. Also 0 if there is nothing to make it from. */
int gb_answers_look(struct gb_job *job, struct gb_waiter *w);
/* Open them for reading. The results are saved first if necessary: call it again after
 * each successful wake-up. -ENOENT: there is no output. */
int gb_answers_open(struct gb_job *job, struct gb_waiter *w, struct gb_answers **ret);
int gb_part_answers_open(
	struct gb_job *part, struct gb_waiter *w, struct gb_answers **ret);
void gb_answers_close(struct gb_answers *a);
/* Whether files other than those of the tree are the same for who opens them later. */
bool gb_answers_final(const struct gb_answers *a);
/* Read up to n bytes at off; fewer only at the end. number is used for GB_ANSWERS_NODE.
 * -EINPROGRESS: the local bytes were damaged and are fetched again. */
ssize_t gb_answers_read(struct gb_answers *a, enum gb_answers_file what,
	uint32_t number, uint64_t off, void *buf, size_t n, struct gb_waiter *w);
/* Find a node by number, or a child by name; false: there is none, or no index is
 * loaded. */
bool gb_answer_get(struct gb_job *job, uint32_t number, struct gb_answer *ret);
bool gb_answer_child(
	struct gb_job *job, uint32_t dir, const char *name, struct gb_answer *ret);
/* The first child of a directory whose number is at least `from`. */
bool gb_answer_next(
	struct gb_job *job, uint32_t dir, uint32_t from, struct gb_answer *ret);
#define GB_ANSWER_NUMBERS (UINT32_C(1) << 25) /* numbers are less */

/* ---- the project ---------------------------------------------------------------- */

/* Texts for people, written to out: `name value` lines; a line per running
 * transfer; a table of all jobs (TSV). From memory. */
void gb_status(struct gb_client *c, FILE *out);
void gb_transfers(struct gb_client *c, FILE *out);
void gb_jobs_table(struct gb_client *c, FILE *out);
/* What gb_status says, in other forms: Prometheus' text format; a JSON object. */
enum gb_status_form { GB_STATUS_TEXT, GB_STATUS_METRICS, GB_STATUS_JSON };
void gb_status_as(struct gb_client *c, enum gb_status_form form, FILE *out);
/* Descriptor of the append-only ledger, borrowed, for pread. */
int gb_history_fd(struct gb_client *c);
/* Models that can run batches, one per line: name, tab, method of the API. Malloc'ed.
 * The API is asked at most once an hour. After -EINPROGRESS call again with w NULL to
 * get what is known (an empty text if nothing is). */
int gb_models(struct gb_client *c, struct gb_waiter *w, char **ret);

/* The state directory's disk, as statvfs. */
int gb_statvfs(struct gb_client *c, struct statvfs *ret);

#ifdef __cplusplus
}
#endif
#endif
