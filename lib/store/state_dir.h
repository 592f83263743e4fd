/*
 * The state directory and the cache directory on disk.
 *
 *   STATE/version            format of all this: 3. Format 2 knew no parts; in format
 *                            1 a journal was of one batch
 *   STATE/lock               flock'ed; "host pid mountpoint"
 *   STATE/salt[.copy]        for the key's fingerprint; the copy has a checksum
 *   STATE/names              lines of "CRC ID NAME": names once given; appended to
 *   STATE/history            the ledger (ledger.h)
 *   STATE/jobs/LID/          a job with local data; LID: 16 hex digits
 *     journal                its record
 *     files/                 requests.jsonl, inputs/ and scratch, by name; mode 0700:
 *                            incomplete
 *     composed.jsonl         requests.jsonl of a composed job
 *     sent.jsonl             what is sent, if it differs from requests.jsonl: with
 *                            keys, and with URIs of uploads. Every check and submission
 *                            makes it, or removes it if there is no difference
 *     job.json               the API's resource as last received
 *     results.jsonl[.map]    saved results
 *     results.new[.map]      the same again, if the map was damaged, until it is
 *                            complete
 *     parts/0001/            the same of parts that were removed: the directory follows
 *     results.index          index of answers (index.h); made again when damaged
 *   STATE/ends               ends of own jobs are wanted by who had the directory last,
 *                            guests apart
 *   STATE/attachments        which contents are at the API, and which jobs need them
 *                            (uploads.h)
 *   STATE/trash/TIME-LID/    removed jobs, for some days; TIME is "undated" if no clock
 *                            could be trusted
 *   STATE/aside/             damaged files, moved out of the way
 *   CACHE/results/ID[.map|.index]   results of others as far as read
 *   CACHE/known              resources of other programs' jobs, for the next start
 *
 * Everything is 0700/0600 and opened relative to a descriptor, never through a link.
 *
 * store_open (state_lock.h), then anything, then store_close. The rest of this room has
 * a header for each file above: journal.h, dir_names.h, job_catalog.h, uploads.h,
 * ledger.h, and prices.h for a file of the user's. Nobody here knows jobs in memory or
 * the client. Descriptors that are returned are the caller's to close; those in struct
 * store are borrowed.
 *
 * Any thread; appends are serialised by the store's own lock. Errors are negative errno;
 * what one says about damage: util_reading (util.h).
 */
#ifndef GB_STORE_H
#define GB_STORE_H

#include "store/journal.h"
#include "base/util.h"

#define LID_SIZE 17
#define STORE_SENT "sent.jsonl"
#define STORE_WARNINGS "warnings"

struct store {
	int state, jobs, trash, cache, results; /* directory descriptors */
	int lock, names, history;
	int known;         /* CACHE/known, being appended to */
	char salt[33];
	bool salt_lost; /* both were damaged: fingerprints of earlier runs match no key
	                   now */
};

/* Make or open all of it; take the lock. -EBUSY locked (*ret_why says by whom),
 * -EPERM not ours or open to others, -EPROTO newer version. */
_must_check_ int store_open(const char *state_dir, const char *cache_dir,
	const char *holder, struct store **ret, char **ret_why);
void store_close(struct store *s);

/* Whether ends of jobs are wanted (gb_options.ended) by whoever has the directory for long;
 * and say it. What cannot be written is as it was. */
bool store_wants_ends(const struct store *s);
void store_want_ends(struct store *s, bool wanted);

/* Salted fingerprint of a key, 16 hex digits: tells keys apart and reveals nothing
 * else. */
void store_fingerprint(const struct store *s, const char *key, char ret[LID_SIZE]);

/* Make jobs/LID with a new LID; its descriptor, or negative errno. */
int store_job_make(struct store *s, char ret_lid[LID_SIZE]);
/* Open jobs/LID. */
int store_job_open(struct store *s, const char *lid);
_must_check_ int store_journal_save(int jobdir, const struct record *r);
_must_check_ int store_journal_load(int jobdir, struct record *ret);
/* Call fn for every LID. Stops at the first error and returns it, also if the directory
 * itself cannot be read. */
_must_check_ int store_jobs(
	struct store *s, int (*fn)(void *arg, const char *lid), void *arg);
/* Move jobs/LID to the trash, and remove it from there if days is 0, so that jobs/
 * never has half a job. now: Unix time by a clock that can be trusted; 0: there is
 * none. */
_must_check_ int store_job_remove(
	struct store *s, const char *lid, int trash_days, time_t now);
/* Move jobs/LID, a part's, to jobs/DIR/parts/NUMBER, where it waits for the directory to
 * follow it. */
_must_check_ int store_part_remove(
	struct store *s, const char *lid, const char *dir, int number);
/* Whether jobs/LID exists: 1, 0, or the errno if that is unknown. */
int store_job_exists(struct store *s, const char *lid);
/* Move it out of the way, for a person to look at. */
_must_check_ int store_job_aside(struct store *s, const char *lid);
/* Remove from the trash what is older than days. If an entry was made without a trusted
 * clock, or by one that was ahead, its days begin at the first look with a trusted
 * clock. Without one (now 0) nothing is old. */
void store_trash_expire(struct store *s, int days, time_t now);

/* Open jobs/LID, or its directory in the trash; a descriptor, or negative errno. */
int store_copy_open(struct store *s, const char *lid);
/* Call fn for the LID of every entry of the trash; stops at a result that is not 0, and
 * returns it. */
int store_trashed(struct store *s, int (*fn)(void *arg, const char *lid), void *arg);
/* The name of an entry of the trash; undated: there was no trusted clock. */
enum { STORE_TRASH_NAME = 64 };
void store_trash_name(
	const char *lid, long long when, bool undated, char ret[STORE_TRASH_NAME]);
/* Call fn for every name in a directory that does not begin with a dot. Stops at a
 * result that is not 0 and returns it, also if the directory itself cannot be read. */
int store_walk(int parent, const char *name, int (*fn)(void *arg, const char *entry),
	void *arg);

/* Append a line (newline added) to history. */
_must_check_ int store_append(int fd, const char *line);
/* Append to names; call fn for each of them. -EBADMSG: damaged lines were skipped;
 * other errors: not all could be read. */
_must_check_ int store_name_add(struct store *s, const char *id, const char *name);
_must_check_ int store_names(struct store *s,
	void (*fn)(void *arg, const char *id, const char *name), void *arg);

#endif
