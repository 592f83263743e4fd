/*
 * A directory with several of the API's jobs behind it.
 *
 * Each of them is a part: a struct gb_job like any other, with a directory, a journal,
 * an upload, an intent and results of its own, so that everything that holds for one job
 * (once, found again, saved, removed) holds for each part by the same code. A part has no
 * name and is not in the tree: `parent` is the directory. Its journal names the
 * directory's LID, so a start finds it again whatever happened between the two writes.
 *
 * Round 0 are the requests as the user wrote them. If they were cut, the directory is in
 * PHASE_PARTS and never submitted itself; which bytes of its requests a part has is
 * in the part's journal, and which were bought in the directory's. What neither says is
 * the rest: it is not bought yet. If they were not cut, the
 * directory's own batch is the first part. Later rounds ask again what is not answered;
 * their parts have a requests.jsonl of their own.
 * Those of one round are PHASE_DRAFT until all of them have it, durably; then the
 * directory's journal counts the round (`rounds`), and with that all of them are queued.
 * So a round is asked for as a whole or not at all.
 *
 * A create whose answer was lost, and whose requests were sent again on somebody's word, may
 * have made a job all the same. When that turns up, it is bound to the part that it was for, if
 * that has none; else it becomes a part more, a *late* one (parts_make_late), whose requests
 * others have, too.
 *
 * Whoever shows a directory asks parts_several, and folds over parts_at; what one part
 * shows by itself (gb_part_info and the like) never folds. So a directory that is its own
 * first part needs no other object for that: gb_job_… is the directory, gb_part_… its own
 * batch.
 *
 * Numbers count from 1 in the order in which parts were made. "Lock held" (client.lock)
 * for all unless a comment says "unlocked". A part stays linked as long as its directory:
 * who holds a reference to a directory may use the pointers that come from here. Errors
 * are negative errno.
 */
#ifndef GB_PARTS_H
#define GB_PARTS_H

#include "jobs/job.h"

/* Bytes of the requests as they are sent. */
struct part_range {
	int64_t off, len;
};

/* Parts made so far, the directory's own batch included if it is one: 1 for a job that
 * was never cut. */
uint32_t parts_count(const struct gb_job *dir);
/* The i-th of them, i < parts_count, by number; the directory itself if its own batch is
 * the first part. */
struct gb_job *parts_at(struct gb_job *dir, uint32_t i);
/* Whether others than the directory's own batch are or may come to be behind it. */
bool parts_several(const struct gb_job *dir);
/* Number of job among the parts of its directory, from 1. */
uint32_t parts_number(const struct gb_job *job);

/* What people call it: its name, or of a part NAME/0002. */
#define PART_LABEL_SIZE (256 + 16)
void parts_label(const struct gb_job *job, char ret[PART_LABEL_SIZE]);
/* Whether a job of that name is part of a directory called dir, on whatever machine. */
bool parts_name_is_of(const char *name, const char *dir);
/* Lock held: whether other people's jobs bear such names. Looks through the table. */
bool parts_bear_name(struct gb_client *c, const char *dir);
/* How many have a number below n: those from parts_at(dir, parts_below(dir, n)) on do
 * not. */
uint32_t parts_below(struct gb_job *dir, uint32_t n);
/* The one with that number, borrowed; NULL: there is none. */
struct gb_job *parts_numbered(struct gb_job *dir, uint32_t n);
/* Whether something of its requests is to be bought that no part has yet: the record of a
 * directory in PHASE_PARTS has in `sent_size` how many bytes they are. Not any more once
 * that was dropped (cancel), or the directory is being removed. */
bool parts_rest_is_open(const struct gb_job *dir);

/* Whether more of a directory may come to be sent: what a part has that was not, or what no
 * part has. */
bool parts_has_more(struct gb_job *dir);

/* The highest round that a part is or was of; 0: nothing was asked again. */
int parts_last_round(const struct gb_job *dir);

/* ---- the rest (parts_rest.c) ----------------------------------------------------- */

/* For a directory in PHASE_PARTS: how many bytes of its requests no part of round 0 has,
 * nor had; and the first of them, len 0: all have one, or there is no memory to find
 * them. */
int64_t parts_rest_size(const struct gb_job *dir);
struct part_range parts_rest(const struct gb_job *dir);
/* Unlocked. Its directory's journal has which bytes of its requests, and which parts, were
 * to be bought, so that a part whose record is lost is not bought again. Durably, or as
 * before: of a part that is about to be asked for; of one that was not made and is about
 * to go; of one that was made smaller, by `range`. */
_must_check_ int parts_note_bought(struct gb_job *part);
_must_check_ int parts_note_unbought(struct gb_job *part);
_must_check_ int parts_note_smaller(struct gb_job *part, struct part_range range);
/* After a start: the same of all parts of a directory that an older version made. */
_must_check_ int parts_note_all(struct gb_job *dir);
/* A draft is submitted: what was before does not count. */
void parts_forget_bought(struct gb_job *dir);
/* How many parts were bought, or may have been, of which there is no record any more; the
 * first, and how many bytes of the requests they had. */
unsigned parts_lost(const struct gb_job *dir, uint32_t *ret_first, int64_t *ret_bytes);
bool parts_are_lost(const struct gb_job *dir);
/* Lock held, after a start: it is known from here on (the record's parts_told) of which there
 * is none, and of no others. Whether there are some of which it was not. */
bool parts_know_lost(struct gb_job *dir);
/* Lock held. rmdir removes a part, or has removed those that are lost: of these there need be
 * no record any more. */
void parts_note_removed(struct gb_job *part);
void parts_lost_were_removed(struct gb_job *dir);

/* ---- making them ----------------------------------------------------------------- */

/* Unlocked. Make a part with the next number, durably, in the phase `phase`: it has its
 * directory's model, origin and key, and a display name of its own. requests: how many
 * it has; round 0: range says which; later: if it has what was in another part of the round,
 * half_of is the number of that, and range.off where in it. *ret is borrowed.
 * -EEXIST: another part of round 0 has some of them. */
_must_check_ int parts_make(struct gb_job *dir, int round, int half_of,
	struct part_range range, int64_t requests, enum phase phase,
	struct gb_job **ret);
/* Unlocked. A job has turned up for the intent with that input file, which `of`, a directory or
 * a part, has put by: the intent becomes a part of its own, durably, a late one. What it has
 * others have, too. *ret is borrowed. -EEXIST: there is no such intent any more. */
_must_check_ int parts_make_late(
	struct gb_job *of, const char *input_file, struct gb_job **ret);
/* Whether another, which was made or may have been, has something of the range of a part of
 * round 0: so has a late one; and so one that has an intent again that it was larger for, which
 * its taker tells by parts_may_overlap. Others never overlap. */
bool parts_others_have(const struct gb_job *part);
/* Whether a create of something of that range is on its way for another. */
bool parts_others_create(const struct gb_job *part, struct part_range range);
void parts_may_overlap(struct gb_job *part);
/* The same for one of a later round: a late one has its lines. */
bool parts_late_has(struct gb_job *part);
/* What it has others have bought, too. */
void parts_mark_late(struct gb_job *part);
/* Unlocked. Remove a part that was never intended, and its directory on disk: what it
 * had is part of the rest again. -EBUSY: there may be a job at the API. */
_must_check_ int parts_unmake(struct gb_job *part);

/* One call for each part of a directory. */
struct parts_call {
	unsigned width; /* so many are on their way at a time */
	/* Lock held: whether it is called for a part. */
	bool (*fits)(struct gb_job *part);
	int (*call)(struct gb_job *part, struct gb_waiter *w);
	/* What an error of it counts as, or NULL; lock not held. */
	int (*judge)(struct gb_job *part, int err);
	int none;       /* the answer where it fits no part */
};

/* Unlocked. Call it for all parts that it fits, and answer w, once all have answered, with
 * 0 or the first error. -EINPROGRESS (with w NULL 0), or -ENOMEM. */
int parts_each(struct gb_job *dir, const struct parts_call *call, struct gb_waiter *w);

/* Lock held: a part was removed: its directory has it no more. */
void parts_forget(struct gb_job *part);

/* At start, before there are other threads: link what load_jobs found. A part whose
 * directory is gone becomes a directory. -ENOMEM. */
_must_check_ int parts_load(struct gb_client *c);
/* job is freed. */
void parts_free(struct gb_job *job);

#endif
