/*
 * What the rooms above want to know of a job, and what this room must ask them. One
 * table, set by client/client.c before anything is loaded, the same for all clients.
 *
 * "lock": called with client.lock held; such a hook only looks and decides, does not
 * block, and calls nothing outside. The others are called with no lock held.
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
struct job_dir;

struct job_hooks {
	/* ---- what is heard of jobs that nobody knows here ------------------------- */

	/* lock: whose create, which was not answered, input_file was uploaded for; or NULL. */
	struct gb_job *(*owner_of)(struct gb_client *c, const char *input_file);
	/* lock: whether b, whose input file is unknown, may be the job of a create
	 * whose reply was lost. listed: b came from a list, and its own resource may
	 * name the file. */
	bool (*may_be_ours)(
		struct gb_client *c, const struct remote_batch *b, bool listed);
	/* lock: a list shows b, which is not known to be ours. */
	void (*seen_in_list)(struct gb_client *c, const struct remote_batch *b);
	/* b is of an intent of owner_of's answer. */
	int (*turned_up)(struct gb_job *owner, const struct remote_batch *b);
	/* A job that was taken for someone else's is one of ours; it was removed from
	 * the table. */
	void (*duplicate)(struct gb_job *twin);

	/* ---- events ---------------------------------------------------------------------- */

	/* A job of ours has ended, so there may be room for another. */
	void (*room_freed)(struct gb_client *c);
	/* A submission of ours was bound to its job at the API, whoever found that. */
	void (*bound)(struct gb_job *job);
	/* The API says that job has ended; news: for the first time. */
	void (*ended)(struct gb_job *job, bool news);
	/* A round of lists has been read. */
	void (*listed)(struct gb_client *c);
	/* The API can be reached again. */
	void (*online)(struct gb_client *c);
	/* The results are saved; the saved results were replaced by others. */
	void (*results_saved)(struct gb_job *job);
	void (*results_dropped)(struct gb_job *job);
	/* Something about a directory, or a part of it, has changed. */
	void (*changed)(struct gb_job *dir);
	/* Nobody has the results of several parts of dir open any more. */
	void (*unread)(struct gb_job *dir);
	/* A submission has ended without a create, and the job was removed during
	 * it. */
	void (*freed)(struct gb_job *job);
	/* A part of dir that was never sent is gone, for which `file` was uploaded;
	 * NULL: none was. */
	void (*unmade)(struct gb_job *dir, const char *file);

	/* ---- questions ------------------------------------------------------------------- */

	/* lock: whether results are to be saved automatically and are not saved yet. */
	bool (*results_awaited)(const struct gb_job *job);
	/* lock: all of a directory has ended, and what is not answered is asked again
	 * without a person. */
	bool (*goes_on)(struct gb_job *dir);
	/* lock: move to `to` those who waited for the answers as files and need not
	 * wait any more. */
	void (*take_settled)(struct gb_job *job, struct gb_waitq *to);

	/* ---- what a job carries for them ------------------------------------------------- */

	struct gb_file *(*file_ref)(struct gb_file *f);
	void (*file_unref)(struct gb_file *f);
	/* lock: nobody writes to f, and nobody can until f is released. */
	bool (*file_claim)(struct gb_file *f);
	void (*file_let_go)(struct gb_file *f);
	void (*files_free)(struct job_dir *l);
	void (*answers_unref)(struct answers *a);
};

#endif
