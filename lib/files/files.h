/*
 * The files of a draft: what users put into a job's directory. Shared by contents.c
 * (bytes, modes, taint), on_disk.c (descriptors, sizes, durability), file_tree.c (which
 * file is where), naming.c (create, rename, remove), draft.c (mkdir, the model) and
 * mistakes.c (what looks like a misnamed file); what the rooms above call is in the
 * second half. composed_draft.h makes requests.jsonl from inputs/.
 *
 * A job's files are a tree: the top, and below its one directory inputs/ whatever the
 * user makes. A file is found by (directory, name) and by its number. Top: NULL.
 *
 * A change, in order: take local.disk; note in the journal that the draft changes
 * (files_touch); change bytes or names; change the table (client.lock). An operation
 * claims a file (files_claim) before it sends it; until files_let_go nobody can write
 * to it.
 *
 * Ownership: files are counted; the job's table holds one reference. Locks: each
 * function says which it wants. Errors are negative errno.
 */
#ifndef GB_FILES_H
#define GB_FILES_H

#include "base/util.h"

#include "jobs/job.h"
#include "requests/validate_ahead.h"

#define FILE_PATH_MAX 1024 /* of the path below files/, its NUL included */
#define FILE_INPUTS "inputs"
#define FILE_COMPOSED "composed.jsonl"

struct gb_file {
	struct gb_client *c;
	struct gb_job *job;     /* lock; whose table it is in. NULL: has no name */
	struct gb_file *parent; /* lock; its directory, NULL: the top */
	const char *name;       /* lock; counted */
	uint32_t number;
	atomic_uint refs;       /* the table's one included */
	bool is_dir;
	bool lookalike;         /* lock; at the top, and its name looks like a mistake
	                           for another */
	bool composed;          /* requests.jsonl of a composed job: FILE_COMPOSED */
	bool held;              /* lock; a task sends it: it may not change */
	atomic_bool tainted;    /* its writer was killed or failed */
	atomic_bool marked;     /* the mode on disk says that it is incomplete */
	atomic_int fd;          /* opened under disk; closed when only the table refers
	                           to it */
	atomic_uint touched;    /* count at which the journal noted a change; disk */
	/* `content` counts changes; what a close decided is remembered for one
	 * count. */
	atomic_uint_fast64_t changes, decided;
	off_t length;           /* lock; as far as it was written through the mount */
	off_t in_order;         /* lock; how much was written from the first byte on */
	struct follow *follow;  /* lock; its check during the writing */
	unsigned writers;       /* lock; changes in progress: it may not be sent */
	struct sorted_array children; /* lock; of a directory */
};

/* A new file that is in no table; one reference. NULL without memory. */
struct gb_file *files_new(struct gb_job *job, const char *name);
/* Lock held: add it to job's table, which takes the reference. -ENOMEM, -ENOSPC
 * (numbers are used up). */
_must_check_ int files_link(
	struct gb_job *job, struct gb_file *parent, struct gb_file *f);
/* Lock held: remove it from its table; the caller gets the table's reference. */
void files_unlink(struct gb_file *f);
/* Lock held: give it another name or directory, in the same job or another. In
 * another job everything in a directory gets new numbers. name_take is counted,
 * and stolen on success only. */
int files_move(
	struct gb_file *f, struct gb_job *to, struct gb_file *parent,
	const char **name_take);

/* Lock held: the path below files/. -ENAMETOOLONG. */
int files_path(const struct gb_file *f, char ret[FILE_PATH_MAX]);
/* Lock held: whether the requests are or will be made from it: requests.jsonl,
 * or part of a composed draft. */
bool files_is_sent(const struct gb_job *job, const struct gb_file *parent,
	const char *name);

/* Its check as far as it has come during the writing, or NULL; the caller owns it
 * now. */
struct follow *files_take_follow(struct gb_file *f);

/* local.disk held, lock not: a descriptor of the directory, which the caller closes. */
int files_open_dir(struct gb_job *job, struct gb_file *dir);
/* The same: open the file itself, if it is not open yet. Its descriptor, borrowed. */
_must_check_ int files_open(struct gb_job *job, struct gb_file *f);
/* Unlocked: a descriptor of its own, to read it; the caller closes. Many files can be
 * read one after the other that somebody holds all the while. */
_must_check_ int files_reopen(struct gb_file *f);
/* Unlocked, to be read; the caller closes: a job's requests as they were written
 * or composed, and as they are sent, which may be another file: of size bytes, since
 * one that an earlier try left has another size. */
_must_check_ int files_open_requests(struct gb_job *job, struct stat *ret);
_must_check_ int files_open_sent(struct gb_job *job, int64_t size, struct stat *ret);
/* The same for each file that somebody has open, before their names are removed. */
_must_check_ int files_hold(struct gb_job *job);

/* ---- for the rooms above ---------------------------------------------------------- */

/* At start, before there are other threads. */
_must_check_ int files_load(struct gb_job *job);
void files_free(struct job_dir *l);
/* Lock held, for all. A file of the top; of a directory (NULL: the top); by its
 * path ("inputs/a/b"). */
struct gb_file *files_find(struct gb_job *job, const char *name);
struct gb_file *files_find_in(
	struct gb_job *job, struct gb_file *dir, const char *name);
struct gb_file *files_by_path(struct gb_job *job, const char *path);
bool files_has(struct gb_job *job, const char *name);
/* The first of a directory, or of all, whose number is at least number. */
struct gb_file *files_next(struct gb_job *job, struct gb_file *dir, uint32_t number);
struct gb_file *files_any(struct gb_job *job, uint32_t number);
/* The directory inputs/, if there is none yet. */
int files_add_inputs(struct gb_job *job);
/* requests.jsonl that shows what the parts were composed to. */
int files_add_composed(struct gb_job *job);
/* Unlocked: what is known about the draft (an error, what was composed) is valid until
 * the next change only. */
void files_changed(struct gb_job *job);
/* Unlocked: make bytes and names of f durable. */
_must_check_ int files_sync(struct gb_job *job, struct gb_file *f);
/* The content of requests.jsonl has been decided: close does not submit it again
 * before it changes. */
void files_decided(struct gb_file *f);
bool files_is_decided(struct gb_file *f);
/* Lock held: a task takes f; false: another task has it, or somebody writes to
 * it. */
bool files_claim(struct gb_file *f);
void files_let_go(struct gb_file *f);
/* Move file `name` of `from` to requests.jsonl of job, replacing (disk, and memory);
 * both directories durable. Unlocked. */
_must_check_ int files_promote(
	struct gb_job *from, struct gb_file *f, struct gb_job *job);
/* Save the bytes of f also as requests.jsonl.rejected of job, as a separate file
 * because both can be written to. f is held by its task. Unlocked. */
_must_check_ int files_reject(struct gb_file *f, struct gb_job *job);
/* A draft's files changed since its last submission: state DRAFT, no error, no upload
 * to resume. Unlocked. */
_must_check_ int files_touch(struct gb_job *job);

/* Whether a file of this name at the top was perhaps meant to have another name. */
bool files_lookalike(const char *name);
/* The name that it was perhaps meant to have; NULL. */
const char *files_meant_by(const char *name);
/* Unlocked: what looks like a mistake in a draft's files, as text for `error`; the
 * caller frees it. NULL: nothing. */
char *files_mistake(struct gb_job *job);
/* Lock held: whether there is such a mistake. */
bool files_has_mistake(struct gb_job *job);

#endif
