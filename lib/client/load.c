/*
 * What a start finds in the state directory and the cache: the jobs, the uploads, the
 * names. What is proven to be damaged is moved aside; what cannot be read now is a
 * reason for not mounting.
 */
#include "client/load.h"

#include "archive/recover.h"
#include "archive/save.h"
#include "client/trash.h"
#include "files/files.h"
#include "jobs/observe.h"
#include "jobs/parts.h"
#include "provider/all/ids.h"
#include "store/uploads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>

struct loading {
	struct gb_client *c;
	char **why;
};

static int cannot_read(struct loading *l, int err, const char *fmt, ...) _printf_(3, 4);

/* The reason for not mounting: the first file that could not be read. Returns err. */
static int cannot_read(struct loading *l, int err, const char *fmt, ...)
{
	_cleanup_free_ char *path = NULL;
	va_list ap;

	if (*l->why)
		return err;
	va_start(ap, fmt);
	if (vasprintf(&path, fmt, ap) < 0)
		path = NULL;
	va_end(ap);
	*l->why = util_format("%s cannot be read: %s (nothing was changed; mount again "
			      "when it can be read)",
		path ? path : "the state directory", strerror(-err));
	return err;
}

/* What of a job could not be read, for the one line that says so. */
static const char *const journal_part = "journal";

/* Lock not needed: there are no other threads yet. The journal was read well. */
static int enlist_record(struct gb_client *c, const char *lid, struct record *r,
	const char **ret_part)
{
	static const struct {
		const char *name;
		int (*load)(struct gb_job *);
	} parts[] = {
		{"job.json", observe_local_json},
		{RESULTS_FILE ".map", recover_results},
		{"files", files_load},
	};
	struct gb_job *job = job_new(c);
	const char *tail = r->batch->id ? remote_id_tail(r->batch->id) : lid;
	int err = job ? 0 : -ENOMEM;

	*ret_part = journal_part;
	if (!err && r->batch->id)
		err = job_set_id(job, r->batch->id);
	if (!err && !r->removal && !r->part_of)
		err = job_set_name(job, r->name[0] ? r->name : tail, tail);
	if (!err)
		err = job_dir_attach(job, lid, r);
	if (err)
		return err;
	job->model = client_intern(c, remote_model_name(job->dir->rec.model));
	job->in_tree = (job->dir->rec.own || job->dir->rec.batch->phase == PHASE_REMOTE) &&
		       !job->dir->rec.part_of;
	for (size_t i = 0; i < ARRAY_SIZE(parts) && !err; i++) {
		*ret_part = parts[i].name;
		err = parts[i].load(job);
	}
	return err;
}

/* Whether a directory without a journal was never finished: nothing has been put into
 * it. 1; 0; or the errno if that is unknown. */
static int unfinished(int dir)
{
	_cleanup_close_ int fd = util_dup(dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int err = 0;
	bool empty = true;

	if (!d)
		return fd < 0 ? fd : -errno;
	fd = -1;
	if (unlinkat(dir, "files", AT_REMOVEDIR) < 0 && errno != ENOENT)
		err = errno == ENOTEMPTY || errno == ENOTDIR ? 0 : -errno;
	while (!err && empty && (e = util_readdir(d, &err)))
		empty = e->d_name[0] == '.';
	closedir(d);
	return err ? err : empty;
}

static void set_job_aside(
	struct gb_client *c, const char *lid, const char *part, int why)
{
	int err = store_job_aside(c->store, lid);

	client_log(c, LOG_ERR, "%s of jobs/%s is damaged (%s): %s%s", part, lid,
		strerror(-why),
		err ? "it cannot be moved to aside/: " : "moved to aside/",
		err ? strerror(-err) : "");
}

/* A crash while a job that was taken for someone else's became ours leaves two with its
 * id: ours counts. */
static void make_name_room(struct gb_client *c, const struct record *r)
{
	struct gb_job *other =
		r->own && r->batch->id ? job_find_id(c, r->batch->id) : NULL;

	if (!other || !other->dir || other->dir->rec.own)
		return;
	/* Should it stay, the next start does this again. */
	if (job_drop_twin(other) == 0)
		DROP(store_job_aside(c->store, other->dir->lid));
}

static int load_opened(
	struct gb_client *c, const char *lid, int dir, const char **ret_part)
{
	struct record r;
	int err;

	record_init(&r);
	*ret_part = journal_part;
	err = store_journal_load(dir, &r);
	if (err == -ENOENT) {
		int empty = unfinished(dir);

		/* Should it stay, the next start does this again. */
		if (empty == 1)
			DROP(util_remove_tree(c->store->jobs, lid));
		return empty == 1 ? 0 : empty == 0 ? err : empty;
	}
	if (!err) {
		make_name_room(c, &r);
		err = enlist_record(c, lid, &r, ret_part);
	}
	record_clear(&r);
	return err;
}

/* Only files that are proven bad are moved aside. A job that cannot be read now may
 * have been paid for, so there is no mount without it: the job would seem not to
 * exist. */
static int load_job(void *arg, const char *lid)
{
	struct loading *l = arg;
	const char *part = "it";
	_cleanup_close_ int dir = store_job_open(l->c->store, lid);
	int err = dir < 0 ? dir : 0;

	test_point("load");
	if (!err)
		err = load_opened(l->c, lid, dir, &part);
	switch (util_reading(err)) {
	case READ_WHOLE:
		return 0;
	case READ_ABSENT:
	case READ_DAMAGED:
		if (dir >= 0)
			set_job_aside(l->c, lid, part, err);
		return 0; /* what is no directory is no job of ours */
	case READ_FAILED:
		break;
	}
	if (err == -EEXIST) { /* two have one id */
		set_job_aside(l->c, lid, part, err);
		return 0;
	}
	cannot_read(
		l, err, "%s/jobs/%s/%s", l->c->o.state_dir, lid, dir < 0 ? "" : part);
	return err;
}

/* Whose copies are here or in the trash. What refers to one job comes in a row. */
struct known_lids {
	struct gb_client *c;
	char lid[LID_SIZE];
	int known;
};

static int is_that_lid(void *arg, const char *lid)
{
	return strcmp(arg, lid) == 0;
}

static int lid_known(void *arg, const char *lid)
{
	struct known_lids *k = arg;

	if (strcmp(k->lid, lid) == 0)
		return k->known;
	snprintf(k->lid, sizeof(k->lid), "%s", lid);
	k->known = store_job_exists(k->c->store, lid);
	if (k->known == 0)
		k->known = store_trashed(k->c->store, is_that_lid, k->lid);
	return k->known;
}

static int load_registry(struct gb_client *c)
{
	struct known_lids k = {.c = c};
	bool damaged;
	int err = uploads_open(c->store, lid_known, &k, &c->uploads, &damaged);

	if (!err && damaged)
		client_log(c, LOG_WARNING,
			"state_dir/attachments is damaged: moved to aside/, files will be "
			"uploaded again");
	return err;
}

int load_jobs(struct gb_client *c, char **ret_why)
{
	struct loading l = {c, ret_why};
	int err;

	if (c->store->salt_lost)
		client_log(c, LOG_WARNING,
			"state_dir/salt is damaged, so it is unknown which key queued "
			"jobs were meant for. They are not sent; to send one, copy its "
			"requests.jsonl to a new job");
	if ((err = load_registry(c)))
		return cannot_read(&l, err, "%s/attachments", c->o.state_dir);
	if ((err = store_jobs(c->store, load_job, &l)))
		return cannot_read(&l, err, "%s/jobs", c->o.state_dir);
	if ((err = parts_load(c)))
		return cannot_read(&l, err, "%s/jobs", c->o.state_dir);
	if ((err = observe_names(c)))
		return cannot_read(&l, err, "%s/names", c->o.state_dir);
	if ((err = observe_known(c)))
		return cannot_read(&l, err, "%s/known", c->o.cache_dir);
	if ((err = recover_cache(c)))
		return cannot_read(&l, err, "%s/results", c->o.cache_dir);
	trash_expire(c); /* what needs no clock: trash=0 */
	return 0;
}
