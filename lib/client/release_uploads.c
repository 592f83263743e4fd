#include "client/release_uploads.h"

#include "jobs/parts.h"
#include "store/uploads.h"
#include "submit/attachments.h"

#include <stdlib.h>
#include <string.h>

/* A refusal counts as done: the file expires within two days. */
static bool delete_file(struct gb_client *c, const char *file)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {0};
	int ret = provider_file_remove(&c->api, file, &none, &err);
	bool done = ret == 0 || (err.refused && err.from_api);

	provider_error_clear(&err);
	return done;
}

void release_requests(struct gb_job *job)
{
	struct gb_client *c = job->c;
	_cleanup_free_ char *file = NULL;

	client_lock(c);
	struct record *r = &job->dir->rec;
	if (r->own && r->batch->input_file && identity_same_key(job) &&
		(knowledge_ended(&job->batch->known) || !job->batch->id ||
			r->removal == REMOVAL_DELETED))
		file = strdup(r->batch->input_file);
	client_unlock(c);
	if (!file || c->o.offline)
		return;
	bool done = delete_file(c, file);
	test_point("upload-deleted");
	if (done) {
		client_lock(c);
		record_unset(&r->batch->input_file);
		client_unlock(c);
		job_dir_save_soon(job);
	}
}

/* ---- what its requests name -------------------------------------------------------- */

/* Lock held. The directory's own files are released when all of it was sent. */
static struct gb_job *directory_that_is_sent(struct gb_job *job)
{
	struct gb_job *dir = job_directory(job);

	return parts_has_more(dir) ? NULL : dir;
}

/* What its directory holds, unless more of it is to be sent: a part that is made after
 * that was looked at holds it anew. */
static void release_directory(struct gb_job *dir)
{
	struct gb_client *c = dir->c;
	uint64_t claims = uploads_claims(c->uploads, dir->dir->lid);

	client_lock(c);
	bool sent = directory_that_is_sent(dir);
	client_unlock(c);
	if (!sent)
		return;
	uploads_end_since(c->uploads, dir->dir->lid, claims);
	attach_tidy(c);
}

void release_all(struct gb_job *job)
{
	struct gb_client *c = job->c;

	release_requests(job);
	client_lock(c);
	struct gb_job *dir = gb_job_ref(job_directory(job));
	client_unlock(c);
	if (dir != job)
		attach_release(c, job->dir->lid, false);
	release_directory(dir);
	gb_job_unref(dir);
}

bool release_is_due(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	bool due = job->dir && job->dir->rec.batch->input_file;
	struct gb_job *dir = job->dir ? directory_that_is_sent(job) : NULL;
	if (dir)
		gb_job_ref(dir);
	bool part = job->parent;
	client_unlock(c);
	due |= part && uploads_holds(c->uploads, job->dir->lid);
	due |= dir && uploads_holds(c->uploads, dir->dir->lid);
	gb_job_unref(dir);
	return due;
}

/* ---- a part that was not sent -------------------------------------------------------- */

struct unmade {
	struct gb_job *dir; /* a reference */
	char *file;
};

static void unmade_free(struct unmade *u)
{
	gb_job_unref(u->dir);
	free(u->file);
	free(u);
}

static void unmade_run(void *arg)
{
	struct unmade *u = arg;
	struct gb_client *c = u->dir->c;

	client_lock(c);
	bool may = !c->o.offline && !c->o.readonly && identity_same_key(u->dir);
	/* A draft keeps its files for its next submission. */
	bool draft = !parts_several(u->dir);
	client_unlock(c);
	if (may && u->file)
		delete_file(c, u->file);
	if (may && !draft)
		release_directory(u->dir);
	unmade_free(u);
}

void release_unmade(struct gb_job *dir, const char *file)
{
	struct gb_client *c = dir->c;

	if (!file && !uploads_holds(c->uploads, dir->dir->lid))
		return;
	struct unmade *u = calloc(1, sizeof(*u));
	if (!u)
		return;
	*u = (struct unmade){gb_job_ref(dir), file ? strdup(file) : NULL};
	if (pool_add(c->pool, POOL_SHORT, unmade_run, u))
		unmade_free(u);
}
