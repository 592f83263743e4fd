/*
 * What the rooms above want to know of a job, and what this room must ask of them. One table,
 * set by client/client.c before anything is loaded, the same for all clients.
 *
 * "lock": called with client.lock held; what is called looks and decides, it does not block
 * and calls nobody out. The others are called with no lock held.
 */
#ifndef GB_JOBS_HOOKS_H
#define GB_JOBS_HOOKS_H

#include <stdbool.h>

struct answers;
struct remote_batch;
struct gb_client;
struct gb_file;
struct gb_job;
struct gb_waitq;
struct local;

struct job_hooks {
	/* ---- what is heard of jobs that nobody knows here ------------------------- */

	/* lock: the submission of ours that input_file was uploaded for; NULL. */
	struct gb_job *(*owner_of)(struct gb_client *c, const char *input_file);
	/* lock: b, whose input file is not known, may be the job that a lost create made.
	 * listed: its own resource may name the file. */
	bool (*may_be_ours)(struct gb_client *c, const struct remote_batch *b, bool listed);
	/* lock: a list shows b, which is not known to be ours. */
	void (*seen_in_list)(struct gb_client *c, const struct remote_batch *b);
	/* What was taken for another's is one of ours, and out of the table. */
	void (*duplicate)(struct gb_job *twin);

	/* ---- events ------------------------------------------------------------------ */

	/* A job of ours has ended: there may be room for another. */
	void (*room_freed)(struct gb_client *c);
	/* The API says that job has ended; news: it did not say so before. */
	void (*ended)(struct gb_job *job, bool news);
	/* A round of lists has been read. */
	void (*listed)(struct gb_client *c);
	/* The API can be reached again. */
	void (*online)(struct gb_client *c);
	/* The results are saved; what was saved is not what they are any more. */
	void (*results_saved)(struct gb_job *job);
	void (*results_dropped)(struct gb_job *job);
	/* A submission has ended without a create, and the job was removed meanwhile. */
	void (*freed)(struct gb_job *job);

	/* ---- questions ----------------------------------------------------------------- */

	/* lock: results are to be saved by themselves, and are not yet. */
	bool (*results_awaited)(const struct gb_job *job);
	/* lock: who waits until what came back is here as files, and need not any more, to
	 * `to`. */
	void (*take_settled)(struct gb_job *job, struct gb_waitq *to);

	/* ---- what a job carries for them ------------------------------------------------- */

	struct gb_file *(*file_ref)(struct gb_file *f);
	void (*file_unref)(struct gb_file *f);
	/* lock: nobody writes to f, and nobody will before it is let go. */
	bool (*file_claim)(struct gb_file *f);
	void (*file_let_go)(struct gb_file *f);
	void (*files_free)(struct local *l);
	void (*answers_unref)(struct answers *a);
};

#endif
