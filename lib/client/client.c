#include "provider/all/providers.h"
#include "submit/attachments.h"
#include "submit/queue.h"
#include "answers/index.h"
#include "files/files.h"
#include "answers/answers.h"
#include "archive/recover.h"
#include "archive/save.h"
#include "client/remove.h"
#include "client/trash.h"
#include "jobs/observe.h"
#include "jobs/poller.h"
#include "submit/reconcile.h"
#include "submit/resubmit.h"
#include "submit/submit.h"
#include "jobs/hooks.h"
#include "requests/validate_ahead.h"
#include "jobs/models.h"
#include "client/open_with.h"
#include "store/uploads.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>

enum {
	KEY_CHECK = 8,        /* seconds the key's check may take at start */
	FINISH_WITHIN = 5,    /* seconds a create in flight may take at the end */
};

/* ---- options -------------------------------------------------------------------- */

static char *copy_or_null(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void copy_options(struct gb_client *c, const struct gb_options *o)
{
	c->o = *o;
	c->key = copy_or_null(o->key);
	c->o.key = NULL;
	c->o.source = copy_or_null(o->source);
	c->o.version = o->version ? copy_or_null(o->version) : NULL;
	c->o.key_source = copy_or_null(o->key_source);
	c->o.state_dir = copy_or_null(o->state_dir);
	c->o.cache_dir = copy_or_null(o->cache_dir);
	c->o.holder = copy_or_null(o->holder);
	c->o.prices = copy_or_null(o->prices);
	c->o.webhook = copy_or_null(o->webhook);
	c->o.model = copy_or_null(o->model ? o->model : MODEL_DEFAULT);
	if (!c->o.cache_max)
		c->o.cache_max = (uint64_t)10 << 30;
	if (!c->o.poll_s)
		c->o.poll_s = 30;
	if (!c->o.ttl_s)
		c->o.ttl_s = 5;
}

static void free_options(struct gb_client *c)
{
	const char *strings[] = {c->o.source, c->o.key_source, c->o.state_dir,
		c->o.version, c->o.cache_dir, c->o.holder, c->o.model, c->o.webhook,
		c->o.prices};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free((char *)strings[i]);
	if (c->key)
		explicit_bzero(c->key, strlen(c->key));
	free(c->key);
}

/* ---- loading -------------------------------------------------------------------------- */

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
	if (!err && !r->removal)
		err = job_set_name(job, r->name[0] ? r->name : tail, tail);
	if (!err)
		err = job_dir_attach(job, lid, r);
	if (err)
		return err;
	job->model = client_intern(c, remote_model_name(job->dir->rec.model));
	job->in_tree = job->dir->rec.own || job->dir->rec.batch->phase == PHASE_REMOTE;
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

static int load_jobs(struct gb_client *c, char **ret_why)
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
	if ((err = observe_names(c)))
		return cannot_read(&l, err, "%s/names", c->o.state_dir);
	if ((err = observe_known(c)))
		return cannot_read(&l, err, "%s/known", c->o.cache_dir);
	if ((err = recover_cache(c)))
		return cannot_read(&l, err, "%s/results", c->o.cache_dir);
	trash_expire(c); /* what needs no clock: trash=0 */
	return 0;
}

static void recover(struct gb_client *c)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];

		if (!job->dir || c->o.readonly)
			continue;
		if (job->dir->rec.removal)
			remove_recover(job);
		else
			submit_recover(job);
	}
}

/* ---- what is done where the rooms below say that something happened ------------------------ */

static void job_ended(struct gb_job *job, bool news)
{
	if (news)
		remove_ended(job);
	save_consider(job);
}

static void room_freed(struct gb_client *c)
{
	queue_go_later(c, true);
}

/* The list that told so came before: what it showed to have ended was not fetched. */
static void back_online(struct gb_client *c)
{
	queue_online(c);
	save_next(c);
}

static const struct job_hooks hooks = {
	.owner_of = reconcile_owner,
	.may_be_ours = reconcile_may_be_ours,
	.seen_in_list = resubmit_saw,
	.duplicate = remove_twin,
	.room_freed = room_freed,
	.ended = job_ended,
	.listed = resubmit_after_list,
	.online = back_online,
	.results_saved = answers_results_saved,
	.results_dropped = answers_forget,
	.freed = remove_unsent,
	.results_awaited = save_is_missing,
	.take_settled = after_end_look,
	.file_ref = gb_file_ref,
	.file_unref = gb_file_unref,
	.file_claim = files_claim,
	.file_let_go = files_let_go,
	.files_free = files_free,
	.answers_unref = answers_unref,
};

/* ---- open ------------------------------------------------------------------------------- */

/* The advice is a line of its own before the API's message; both are joined into one
 * line. */
static void one_line(char *text)
{
	char *end = text ? strchr(text, '\n') : NULL;

	if (!end)
		return;
	*end = ' ';
	text[strcspn(text, "\n")] = '\0';
}

static int client_check_key(struct gb_client *c, char **ret_why)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error e = {.retry = -1};
	int err;

	if (c->o.offline)
		return 0;
	err = provider_check_key(&c->api, KEY_CHECK, &none, &e);
	/* A network that wants a login refuses everybody; that says nothing about the
	 * key. */
	if (err == -EACCES && !e.from_api)
		err = -EIO;
	if (err == -EACCES) {
		free(*ret_why);
		*ret_why = util_format("the API refused the key (from %s): %s",
			c->o.key_source ? c->o.key_source : "the caller",
			e.text ? e.text : "check it and its project");
	} else if (err) {
		free(*ret_why);
		*ret_why = util_format("the API cannot be used now (%s): starting "
				       "offline, going online when it answers",
			e.text ? e.text : strerror(-err));
		c->offline_since = time(NULL); /* wall: shown */
		c->last_error = err;
	}
	provider_error_clear(&e);
	one_line(*ret_why);
	return err == -EACCES ? err : 0;
}

static int start_engine(struct gb_client *c, char **ret_why)
{
	struct engine_options eo = {.base = c->o.source,
		.key = c->key,
		.key_header = c->api.provider->key_header,
		.version = c->o.version,
		.written = c->api.provider->version,
		.user_agent = "batchfs/" GB_VERSION,
		.log = c->o.log,
		.arg = c->o.arg};
	int err = engine_new(&eo, &c->engine, ret_why);

	c->api.engine = c->engine;
	return err ? err : engine_start(c->engine);
}

static struct gb_client *client_new(
	const struct gb_options *o, const struct provider *p, void *arg)
{
	struct gb_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->hooks = &hooks;
	c->api = (struct provider_conn){.provider = p, .arg = arg};
	copy_options(c, o);
	pthread_mutex_init(&c->cache_lock, NULL);
	pthread_mutex_init(&c->lock, NULL);
	table_init(c);
	c->pool = pool_new();
	c->follows = follows_new(c->pool, p->requests);
	c->poller = poller_new();
	c->queue = queue_new();
	c->saver = saver_new();
	c->answers = answers_cache_new();
	c->reconciling = reconciling_new();
	c->removals = removals_new();
	c->models = models_new(c);
	return c;
}

static void start_behind(void *arg)
{
	struct gb_client *c = arg;
	struct gb_job *job;

	trash_expire(c); /* the key's check has told the server's clock */
	queue_go(c);
	for (uint32_t slot = 0; (job = gb_job_next(c, slot)); gb_job_unref(job)) {
		slot = job->slot + 1;
		save_consider(job);
		remove_ended(job);
		job_changed(job, 0); /* an end that nobody has been told of */
	}
	attach_tidy(c);
}

static bool all_options_copied(const struct gb_client *c)
{
	return c->pool && c->follows && c->models && c->poller && c->queue &&
	       c->saver && c->answers && c->reconciling && c->removals;
}

int gb_open(const struct gb_options *o, struct gb_client **ret, char **ret_why)
{
	return client_open_with(o, provider_default(), NULL, ret, ret_why);
}

int client_open_with(const struct gb_options *o, const struct provider *p, void *arg,
	struct gb_client **ret, char **ret_why)
{
	struct gb_client *c = client_new(o, p, arg);
	int err;

	*ret_why = NULL;
	if (!c || !all_options_copied(c))
		return -ENOMEM;
	if (!c->key && !c->o.offline) {
		*ret_why = strdup("no API key");
		err = -EACCES;
		goto fail;
	}
	err = store_open(
		c->o.state_dir, c->o.cache_dir, c->o.holder, &c->store, ret_why);
	if (!err)
		err = start_engine(c, ret_why);
	if (!err)
		err = load_jobs(c, ret_why);
	if (!err)
		err = client_check_key(c, ret_why);
	if (err)
		goto fail;
	store_fingerprint(c->store, c->key ? c->key : "", c->key_print);
	observe_keys(c);
	recover(c);
	err = c->o.offline ? 0 : poll_start(c);
	if (err)
		goto fail;
	if (!c->o.offline)
		err = pool_add(c->pool, POOL_SHORT, start_behind, c);
	if (err)
		goto fail;
	*ret = c;
	return 0;
fail:
	if (!*ret_why)
		*ret_why = strdup(strerror(-err));
	gb_close(c);
	return err;
}

/* ---- close --------------------------------------------------------------------------------- */

/* Lock held. Everybody who waits for job. */
static void collect_job(struct gb_job *job, struct gb_waitq *to)
{
	for (int i = 0; job->queues && i < JOB_QUEUES; i++)
		waitq_move(&job->queues[i], to);
}

/* Lock held. Creates that were sent get a moment to be answered. */
static bool create_in_flight(struct gb_client *c)
{
	for (struct operation *t = c->operations; t; t = t->next)
		if (t->owns && job_phase(t->job) == PHASE_SUBMITTING)
			return true;
	return false;
}

static void give_up_tasks(struct gb_client *c)
{
	client_lock(c);
	c->stopping = true;
	answers_hurry(c);
	for (struct operation *t = c->operations; t; t = t->next)
		if (!t->intended)
			canceller_set(c->engine, &t->cancel);
	poll_poke(c);
	client_unlock(c);
	for (double until = util_now() + FINISH_WITHIN; util_now() < until;) {
		client_lock(c);
		bool flying = create_in_flight(c);
		client_unlock(c);
		if (!flying)
			break;
		usleep(20000);
	}
}

void gb_shutdown(struct gb_client *c)
{
	struct gb_waitq all;

	waitq_init(&all);
	client_lock(c);
	bool again = c->stopping;
	c->stopping = true;
	poller_take_waiters(c, &all);
	models_take_waiters(c->models, &all, NULL, NULL);
	for (uint32_t i = 0; i < c->n_slots; i++)
		collect_job(c->slots[i], &all);
	client_unlock(c);
	waitq_call(&all, -EINTR);
	if (again || !c->engine)
		return;
	give_up_tasks(c);
	/* Downloads and calls end here, their waiters with them. */
	engine_stop(c->engine);
	client_lock(c);
	for (struct operation *t = c->operations; t; t = t->next) {
		t->answered = true;
		waitq_move(&t->q, &all);
		waitq_move(&t->let_go, &all);
	}
	client_unlock(c);
	waitq_call(&all, -EINTR);
}

void gb_close(struct gb_client *c)
{
	if (!c)
		return;
	gb_shutdown(c);
	poll_stop(c);
	if (c->pool)
		pool_stop(c->pool);
	answers_close(c);
	save_close(c);
	table_free(c);
	uploads_close(c->uploads);
	engine_free(c->engine);
	follows_free(c->follows);
	pool_free(c->pool);
	store_close(c->store);
	queue_free(c->queue);
	removals_free(c->removals);
	reconciling_free(c->reconciling);
	answers_cache_free(c->answers);
	saver_free(c->saver);
	poller_free(c->poller);
	models_free(c->models);
	free_options(c);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->cache_lock);
	free(c);
}
