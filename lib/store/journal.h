/*
 * The journal of one job: everything about it that must survive, as one small file
 * that is replaced atomically (JSON on one line, its CRC-32C on the next). A step
 * that costs money or cannot be repeated is written here before it is taken, and
 * recovery reads nothing else.
 *
 * Spans of time do not use the wall clock, because people and daemons set it. The
 * members called …_since are seconds on CLOCK_BOOTTIME (util_now), 0: not at all. The
 * file says to which boot they belong and when it was written. Within the same boot
 * they are used as they are; after another boot they are moved so that the span
 * continues from its length when the file was written. So a span grows by time that has
 * passed, and never by more.
 *
 * A create whose answer was lost is an intent: until it is known to have made nothing, there
 * may be a job. One that is replaced by another (resubmit, on somebody's word) is not forgotten
 * but put by, with what it was for, as long as the record lives: its job may turn up late.
 *
 * What the API's job has of its own is in "batches", an array of one. Format 1 of the
 * state directory had these members among the others; it is still read. Where several of
 * the API's jobs are behind a directory each has a journal of its own, which names the
 * directory in `part_of` (jobs/parts.h).
 *
 * A record is plain memory; its owner (struct job_dir) says what guards it. Strings are
 * malloc'ed, those that are const are counted (base/counted.h); NULL when absent.
 */
#ifndef GB_RECORD_H
#define GB_RECORD_H

#include "base/counted.h"
#include "base/util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far the job's submission has come, in the order of a job's life. */
enum phase {
	PHASE_REMOTE,     /* made elsewhere; has a directory only because something is
	                     saved */
	PHASE_DRAFT,
	PHASE_FAILED,     /* SUBMIT_FAILED: there is no job; still a draft otherwise */
	PHASE_UPLOADING,  /* checked and being sent; no job yet */
	PHASE_QUEUED,     /* background: waits for the next try */
	PHASE_SUBMITTING, /* create is intended: from here on there may be a job */
	PHASE_UNCERTAIN,  /* it is unknown whether there is a job */
	PHASE_SENT,       /* the API knows the job: id is set */
	PHASE_PARTS,      /* checked and cut: its parts are submitted, it never is */
	PHASES
};

/* How far rmdir has come. */
enum removal {
	REMOVAL_NONE,
	REMOVAL_INTENDED, /* asked for, no step accepted yet */
	REMOVAL_CANCELLED,/* cancel accepted, or it had ended: it is deleted at the end */
	REMOVAL_DELETED,  /* deleted at the API; uploads and local copies remain */
	REMOVALS
};

/* There may be 100,000 records: members that are half a word stand in twos, those of a
 * byte in eights. */

/* One of the API's jobs that the directory asked for, or shows. */
struct record_batch {
	int phase;       /* enum phase */
	int tries;       /* creates of this size that were answered with 429, and sat
	                    out */
	char *session;   /* upload session: a secret */
	int64_t sent_size; /* size of what is being sent */
	char *sent_stamp;/* which content the session is for */
	char *source;    /* path of the file that the intent renames to
	                    requests.jsonl */
	char *mime;
	char *input_file; /* id of the file uploaded for this create */
	int64_t requests;/* how many the check counted; -1 */
	int64_t intent_server; /* when create was intended, Unix time of the server */
	int64_t intent_since;
	int64_t queued_since;  /* a close or ctl asked for it */
	int64_t upload_since;  /* input_file was complete … */
	int64_t upload_until;  /* … and when it expires, Unix time of the server; 0: not
	                          told */

	const char *id;  /* at the API (provider/ids.h) */
	int64_t sent_at; /* local wall clock, to be shown: results are never older */
	int64_t results_size; /* of what has been saved; -1 */
	int64_t lines;   /* of the saved results; -1: not counted */
	int64_t doubted_since; /* whether the API has more was asked … */
	int looks;             /* … so often */

	bool is_inline;
	bool embedding;  /* the requests ask for embeddings: the method of the create */
	bool cancel_asked;
	bool home;       /* results.jsonl is complete beside this file */
	bool cut;        /* the last line is incomplete */
	bool end_logged; /* the end is in the history */
	bool counted;    /* and so are the tokens */
	bool end_due;    /* the caller wants to know of the end, and has not taken it */
	bool end_by_get; /* job.json is from a GET after the end */
};

#define RECORD_BATCHES 1

/* An intent that was put by: members as in record_batch and record. */
struct record_intent {
	int phase;
	char *input_file;
	bool is_inline;
	int64_t intent_server, intent_since;
	int64_t sent_size, requests;
	int round;       /* 0: it was for these bytes of the directory's requests, … */
	int64_t range_off, range_len; /* … of one that was not cut: for all of them */
};

struct record {
	const char *name;    /* of the directory */
	const char *display; /* display name sent */
	const char *model;
	int64_t made_s, made_ns; /* time of mkdir, or as set by utimes since */

	bool name_unchecked; /* no list has said that the name is free */
	bool own;        /* made by this state directory */
	bool background; /* submitted with submit=background */
	bool composed;   /* requests.jsonl is composed.jsonl, made from the draft's
	                    parts */
	bool warned;     /* there are warnings of the check beside this file */
	bool names_files; /* as checked, the requests name files of the draft, or
	                     uploads of ours */
	bool rest_dropped; /* what no part has yet of the requests is not bought any
	                      more … */
	bool rest_gone;  /* … nor can be: it was cancelled, or what was bought before is
	                     among it, since parts were removed */

	char *bought;      /* ranges_text of the bytes of the requests that parts were to
	                      have when their creates were intended … */
	char *parts_bought; /* … and of the numbers of such parts, later rounds' too, but for
	                      those that rmdir removed */
	char *parts_told;  /* these of them had no record at the newest start, and it was
	                      said */
	bool parts_removed; /* by an older version: rmdir removed some, whose numbers are
	                       still among them */

	int64_t estimate_tokens; /* of its prompts, by the newest estimate; -1: none … */
	int estimate_percent;    /* … and how far off that may be */
	int rounds;      /* so many later rounds were asked for; parts of others never
	                    were */
	char *estimate_cost;     /* at the price of that time, or NULL */
	char *taint;     /* why no close may submit requests.jsonl */
	char *split;     /* as the user wrote it; NULL: as the option says */
	int rounds_stopped; /* no part of a round up to this is bought any more */
	int retries_left; /* rounds that are still asked for without a person */
	int64_t limit_tokens; /* gb_terms; 0: none */
	char *limit_cost;     /* a number; NULL: none */
	int retries;      /* gb_terms: with retries_own so many in place of the option */

	int part;        /* its number in the directory that it is a part of, from 1 … */
	char *part_of;   /* … and LID of that; NULL: is one */
	int round;       /* 0: of the requests; n: it asks again what round n - 1 did not
	                    answer, and has a requests.jsonl of its own */
	int half_of;     /* later rounds: number of the part that had its requests before,
	                    from range_off on; of a late one, from the start; 0: none */
	int64_t range_off, range_len; /* round 0: which bytes of the directory's requests,
	                                 as they are sent, are its; later: how many of
	                                 its own are left to it, 0: all */

	const char *origin;    /* the origin that a queued job is meant for … */
	const char *key_print; /* … and a salted fingerprint of the key */
	char *stray;     /* earlier uploads of ours to delete, separated by spaces */

	int64_t removal_since;
	int64_t missed, missed_span; /* how often a removal got a 404, over what time */
	int removal;     /* enum removal */

	int err;         /* errno that belongs to `error`; -EPERM: waiting does not help */
	char *error;     /* text of `error`, lines */

	struct record_batch batch[RECORD_BATCHES];
	struct record_intent *put_by; /* n_put_by of them, oldest first */
	uint32_t n_put_by;

	bool retries_own; /* see retries */
	bool insisted;   /* a person wants the job removed, whatever this key can see */
	bool late;       /* a part: its job turned up after its requests had been sent
	                    again, so other parts have them, too */
};

void record_init(struct record *r);
void record_clear(struct record *r);

/* For a member …_since: the present time; and how many seconds ago it was. */
int64_t record_now(void);
double record_span(int64_t since);

/* Replace a string field by a copy of value (NULL: none). On -ENOMEM the field stays as
 * it was. */
_must_check_ int record_set(char **field, const char *value);
/* The same with none, which cannot fail. */
void record_unset(char **field);
/* The same with *value, malloc'ed, which is stolen. */
void record_take(char **field, char **value);

/* How often it asks again by itself, where gb_options says `option`. */
static inline int record_retries(const struct record *r, int option)
{
	return r->retries_own ? r->retries : option;
}

/* The present intent is put by: what is left has none, and no input file. -ENOMEM: nothing
 * was changed. */
_must_check_ int record_put_by(struct record *r);
/* The opposite: the one at i is the present intent again, for what it was for; there must be
 * no other. */
void record_take_up(struct record *r, size_t i);
/* What is at i has a record of its own. */
void record_drop_intent(struct record *r, size_t i);
/* Which intent that was put by has this input file; n_put_by: none. */
size_t record_find_intent(const struct record *r, const char *input_file);

/* The requests, or who is asked, have changed. */
void record_forget_estimate(struct record *r);

/* The file's bytes, malloc'ed; NULL without memory. Pure, but for the clock. */
char *record_dump(const struct record *r, size_t *ret_len);
/* -EBADMSG: incomplete, or not ours. Unknown members are ignored. */
_must_check_ int record_parse(const char *text, size_t len, struct record *ret);

#endif
