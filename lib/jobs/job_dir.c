#include "jobs/job.h"
#include "jobs/hooks.h"
#include "requests/line_marks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>

enum { SAVE_AGAIN = 30 /* seconds */ };

int job_dir_open(struct gb_job *job)
{
	return store_job_open(job->c->store, job->dir->lid);
}

int job_dir_open_files(struct gb_job *job)
{
	_cleanup_close_ int dir = job_dir_open(job);

	return dir < 0 ? dir : util_dir_open(dir, "files", true);
}

void job_set_phase(struct gb_job *job, enum phase p)
{
	struct record *r = &job->dir->rec;

	client_expect_lock(job->c);
	job->c->unsent -= phase_is_unanswered(r->batch->phase);
	job->c->unsent += phase_is_unanswered(p);
	r->batch->phase = p;
}

int job_put_by(struct gb_job *job, enum phase next)
{
	int err = record_put_by(&job->dir->rec);

	client_expect_lock(job->c);
	if (err)
		return err;
	job->c->put_by++;
	job_set_phase(job, next);
	return 0;
}

void job_take_up(struct gb_job *job, size_t i)
{
	struct record *r = &job->dir->rec;
	enum phase p = (enum phase)r->put_by[i].phase;

	client_expect_lock(job->c);
	job_set_phase(job, p);
	record_take_up(r, i);
	job->c->put_by--;
}

void job_drop_intent(struct gb_job *job, size_t i)
{
	client_expect_lock(job->c);
	record_drop_intent(&job->dir->rec, i);
	job->c->put_by--;
}

static struct job_dir *job_dir_new(const char *lid)
{
	struct job_dir *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->next_file = 256;
	l->touches = 1;
	snprintf(l->lid, sizeof(l->lid), "%s", lid);
	pthread_mutex_init(&l->disk, NULL);
	record_init(&l->rec);
	return l;
}

void job_dir_free(struct gb_client *c, struct job_dir *l)
{
	if (!l)
		return;
	c->hooks->files_free(l);
	record_clear(&l->rec);
	pthread_mutex_destroy(&l->disk);
	free(l->checked);
	kept_marks_unref(l->marks);
	free(l);
}

int job_dir_attach(struct gb_job *job, const char *lid, struct record *rec_take)
{
	struct job_dir *l = job_dir_new(lid);

	if (!l)
		return -ENOMEM;
	l->rec = *rec_take;
	job->c->unsent += phase_is_unanswered(l->rec.batch->phase);
	job->c->put_by += (uint32_t)l->rec.n_put_by;
	record_init(rec_take);
	job->dir = l;
	job_share_strings(job);
	return 0;
}

/* What a record of a job made elsewhere starts with. */
static int describe_remote(struct gb_job *job, struct record *r)
{
	r->batch->phase = PHASE_REMOTE;
	if (counted_set(&r->name, job->name ? job->name : "") ||
		counted_set(&r->model, job->model) ||
		counted_set(&r->batch->id, job->batch->id))
		return -ENOMEM;
	/* What this key has seen is its project's. */
	if (knowledge_is_strangers(&job->batch->known) &&
		(counted_set(&r->origin, engine_origin(job->c->engine)) ||
			counted_set(&r->key_print, job->c->key_print)))
		return -ENOMEM;
	r->batch->end_by_get = knowledge_end_by_get(&job->batch->known);
	return 0;
}

int job_dir_make(struct gb_job *job)
{
	struct gb_client *c = job->c;
	struct record rec;
	char lid[LID_SIZE];
	bool used = false;

	if (job->dir)
		return 0;
	_cleanup_close_ int dir = store_job_make(c->store, lid);
	if (dir < 0)
		return dir;
	record_init(&rec);
	client_lock(c);
	int err = job->dir ? 0 : describe_remote(job, &rec);
	if (!err && !job->dir) {
		err = job_dir_attach(job, lid, &rec);
		used = !err;
	}
	client_unlock(c);
	record_clear(&rec);
	if (!used)
		util_remove_tree(c->store->jobs, lid);
	return err ? err : job_dir_save(job);
}

static int save_begin(struct gb_job *job, char *ret_tmp)
{
	struct gb_client *c = job->c;
	size_t n;

	client_lock(c);
	_cleanup_free_ char *text = record_dump(&job->dir->rec, &n);
	client_unlock(c);
	if (!text)
		return -ENOMEM;
	_cleanup_close_ int dir = job_dir_open(job);
	test_point("journal-write");
	return dir < 0 ? dir : util_write_begin(dir, text, n, true, ret_tmp);
}

static int save_end(struct gb_job *job, int err, const char *tmp)
{
	_cleanup_close_ int dir = err ? -1 : job_dir_open(job);

	if (!err)
		err = dir < 0 ? dir : util_write_end(dir, tmp, "journal", true);
	test_point("journal-written");
	if (err)
		client_log(job->c, LOG_ERR, "journal of %s: %s", job_label(job),
			strerror(-err));
	return err;
}

int job_dir_save_locked(struct gb_job *job)
{
	char tmp[UTIL_TMP_NAME_MAX];

	/* If it was removed meanwhile, there is nothing to write. */
	if (job->dir->forgotten)
		return 0;
	return save_end(job, save_begin(job, tmp), tmp);
}

int job_dir_save(struct gb_job *job)
{
	pthread_mutex_lock(&job->dir->disk);
	int err = job_dir_save_locked(job);
	pthread_mutex_unlock(&job->dir->disk);
	return err;
}

static void save_again(void *arg)
{
	struct gb_job *job = arg;

	client_lock(job->c);
	job->dir->save_planned = false;
	client_unlock(job->c);
	job_dir_save_soon(job);
	gb_job_unref(job);
}

/* On the engine's thread: the disk is a worker's. */
static void save_timer(void *arg)
{
	struct gb_job *job = arg;

	if (pool_add(job->c->pool, POOL_SHORT, save_again, job))
		gb_job_unref(job); /* the end: it was the last try */
}

void job_dir_save_soon(struct gb_job *job)
{
	if (!job_dir_save(job))
		return;
	client_lock(job->c);
	bool planned = job->dir->save_planned || job->c->stopping;
	job->dir->save_planned |= !job->c->stopping;
	client_unlock(job->c);
	if (planned)
		return;
	gb_job_ref(job);
	if (engine_timer(job->c->engine,
		    test_seconds("BATCHFS_TEST_SAVE_SECONDS", SAVE_AGAIN), save_timer,
		    job)) {
		client_lock(job->c);
		job->dir->save_planned = false;
		client_unlock(job->c);
		gb_job_unref(job);
	}
}

static void drop_saved(struct gb_job *job, const char *tmp)
{
	_cleanup_close_ int dir = job_dir_open(job);

	if (dir >= 0)
		unlinkat(dir, tmp, 0);
}

int job_dir_save_around(struct gb_job *job, int (*step)(void *arg), void *arg)
{
	char tmp[UTIL_TMP_NAME_MAX];

	pthread_mutex_lock(&job->dir->disk);
	int err = save_begin(job, tmp);
	pthread_mutex_unlock(&job->dir->disk);
	int stepped = err ? err : step(arg);
	pthread_mutex_lock(&job->dir->disk);
	if (!err && stepped)
		drop_saved(job, tmp);
	else
		stepped = save_end(job, err, tmp);
	pthread_mutex_unlock(&job->dir->disk);
	return stepped;
}

static char *error_text(const char *what, const char *todo, const char *text)
{
	return util_format("%s\n%s\n%s%s", what, todo ? todo : "", text ? text : "",
		text && *text && text[strlen(text) - 1] != '\n' ? "\n" : "");
}

/* Lock held. text NULL: no error. */
static void set_error(struct gb_job *job, int err, char **text_take)
{
	record_take(&job->dir->rec.error, text_take);
	job->dir->rec.err = err;
}

void job_dir_error(struct gb_job *job, int err, const char *what, const char *todo,
	const char *text)
{
	struct gb_client *c = job->c;
	_cleanup_free_ char *all = what ? error_text(what, todo, text) : NULL;

	client_lock(c);
	set_error(job, what ? err : 0, &all);
	client_unlock(c);
	if (what)
		client_log(c, LOG_WARNING, "%s: %s", job_label(job), what);
}

bool job_dir_error_turn(struct gb_job *job, enum phase from, enum phase to, int err,
	const char *what, const char *todo, const char *text)
{
	struct gb_client *c = job->c;
	_cleanup_free_ char *all = error_text(what, todo, text);

	client_lock(c);
	bool turns = job_phase(job) == from && !job->dir->creating;
	if (turns) {
		job_set_phase(job, to);
		set_error(job, err, &all);
	}
	client_unlock(c);
	if (turns)
		client_log(c, LOG_WARNING, "%s: %s", job_label(job), what);
	return turns;
}

void job_dir_keep_json(struct gb_job *job, const char *json)
{
	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir >= 0)
		/* Without it the API is asked again. */
		DROP(util_write_file(dir, "job.json", json, strlen(json), false));
	pthread_mutex_unlock(&job->dir->disk);
}
