#include "provider/all/providers.h"
#include "submit/attachments.h"
#include "submit/fit.h"
#include "submit/parts_send.h"
#include "submit/queue.h"
#include "answers/index.h"
#include "files/files.h"
#include "answers/answers.h"
#include "archive/recover.h"
#include "archive/save.h"
#include "client/load.h"
#include "client/release_uploads.h"
#include "client/remove.h"
#include "client/retry.h"
#include "client/trash.h"
#include "jobs/observe.h"
#include "jobs/poller.h"
#include "jobs/split.h"
#include "submit/reconcile.h"
#include "submit/resubmit.h"
#include "submit/submit.h"
#include "jobs/hooks.h"
#include "requests/validate_ahead.h"
#include "jobs/models.h"
#include "client/open_with.h"
#include "store/uploads.h"

#include "store/state_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <syslog.h>

enum {
	KEY_CHECK = 8,        /* seconds the key's check may take at start */
	FINISH_WITHIN = 5,    /* seconds a create in flight may take at the end */
};

const char *gb_version(void)
{
	return GB_VERSION;
}

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
	c->o.split = copy_or_null(o->split);
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
		c->o.prices, c->o.split};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free((char *)strings[i]);
	if (c->key)
		explicit_bzero(c->key, strlen(c->key));
	free(c->key);
}

/* ---- what is done where the rooms below say that something happened -------------- */

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
	.turned_up = reconcile_found,
	.seen_in_list = resubmit_saw,
	.duplicate = remove_twin,
	.room_freed = room_freed,
	.bound = reconcile_bound,
	.ended = job_ended,
	.listed = resubmit_after_list,
	.online = back_online,
	.results_saved = answers_results_saved,
	.results_dropped = answers_forget,
	.changed = retry_consider,
	.unread = remove_parts_unread,
	.freed = remove_unsent,
	.unmade = release_unmade,
	.results_awaited = save_is_missing,
	.goes_on = retry_goes_on,
	.take_settled = after_end_look,
	.file_ref = gb_file_ref,
	.file_unref = gb_file_unref,
	.file_claim = files_claim,
	.file_let_go = files_let_go,
	.files_free = files_free,
	.answers_unref = answers_unref,
};

/* ---- open ------------------------------------------------------------------------ */

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

/* The cheap call that tells whether the key is good goes out while the disk is read. */
struct key_check {
	struct gb_client *c;
	struct canceller cancel;
	struct provider_error e;
	int err;
	pthread_t thread;
	bool runs;
};

static void *ask_for_key(void *arg)
{
	struct key_check *k = arg;

	k->err = provider_check_key(&k->c->api, KEY_CHECK, &k->cancel, &k->e);
	return NULL;
}

static int key_check_start(struct key_check *k)
{
	int err = k->c->o.offline
			  ? 0
			  : -pthread_create(&k->thread, NULL, ask_for_key, k);

	k->runs = !err && !k->c->o.offline;
	return err;
}

static void tell_key_refused(const struct key_check *k, char **ret_why)
{
	free(*ret_why);
	*ret_why = util_format("the API refused the key (from %s): %s",
		k->c->o.key_source ? k->c->o.key_source : "the caller",
		k->e.text ? k->e.text : "check it and its project");
}

static void start_unreached(const struct key_check *k, int err, char **ret_why)
{
	free(*ret_why);
	*ret_why = util_format("the API cannot be used now (%s): starting offline, going "
			       "online when it answers",
		k->e.text ? k->e.text : strerror(-err));
	k->c->offline_since = time(NULL); /* wall: shown */
	k->c->last_error = err;
}

/* What came of it; given up if the start has failed already. */
static int key_check_end(struct key_check *k, int failed, char **ret_why)
{
	int err = 0;

	if (!k->runs)
		return failed;
	if (failed)
		canceller_set(k->c->engine, &k->cancel);
	pthread_join(k->thread, NULL);
	/* A network that wants a login refuses everybody; that says nothing about the
	 * key. */
	if (!failed)
		err = k->err == -EACCES && !k->e.from_api ? -EIO : k->err;
	if (err == -EACCES)
		tell_key_refused(k, ret_why);
	else if (err)
		start_unreached(k, err, ret_why);
	provider_error_clear(&k->e);
	if (!failed)
		one_line(*ret_why);
	return failed ? failed : err == -EACCES ? err : 0;
}

static int load_all(struct gb_client *c, char **ret_why)
{
	int err = fits_load(c);

	return err ? err : load_jobs(c, ret_why);
}

/* The disk and the key. */
static int look_around(struct gb_client *c, char **ret_why)
{
	struct key_check k = {.c = c, .cancel = CANCELLER_INIT, .e = {.retry = -1}};
	int err = key_check_start(&k);

	if (!err)
		err = load_all(c, ret_why);
	return key_check_end(&k, err, ret_why);
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

enum at_start { STARTS_NOT, STARTS_REMOVED, STARTS_SUBMITTED };

/* A directory's removal begins its parts'. A part that there may be at the API is
 * looked for all the same. */
static enum at_start what_starts(const struct gb_job *job)
{
	enum at_start what = STARTS_NOT;

	client_lock(job->c);
	bool with_all = job->parent && job->parent->dir->rec.removal &&
			!phase_is_unanswered(job_phase(job));
	if (job->dir && job->dir->rec.removal)
		what = STARTS_REMOVED;
	else if (job->dir && !with_all)
		what = STARTS_SUBMITTED;
	client_unlock(job->c);
	return what;
}

static void recover_all(
	struct gb_client *c, enum at_start which, void (*recover)(struct gb_job *job))
{
	struct gb_job *job = NULL;

	for (uint32_t i = 0; !c->o.readonly; i++) {
		client_lock(c);
		job = i < c->n_slots ? c->slots[i] : NULL;
		client_unlock(c);
		if (!job)
			return;
		if (what_starts(job) == which)
			recover(job);
	}
}

/* All journals are made whole before anything goes on: a look at the API settles
 * whatever is unanswered, of any job, and the removal of a part is its directory's
 * business, too. */
static void recover(struct gb_client *c)
{
	recover_all(c, STARTS_SUBMITTED, submit_recover);
	recover_all(c, STARTS_REMOVED, remove_recover);
	reconcile_open(c);
}

static struct gb_client *client_new(
	const struct gb_options *o, const struct provider *p, void *arg)
{
	struct gb_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->hooks = &hooks;
	c->loading = true;
	c->api = (struct provider_conn){.provider = p, .arg = arg};
	copy_options(c, o);
	pthread_mutex_init(&c->cache_lock, NULL);
	pthread_mutex_init(&c->lock, NULL);
	table_init(c);
	c->pool = pool_new();
	c->follows = follows_new(c->pool, p->requests);
	c->poller = poller_new();
	c->queue = queue_new();
	c->fits = fits_new();
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
	for (uint32_t slot = 0; (job = job_next_any(c, slot)); gb_job_unref(job)) {
		slot = job->slot + 1;
		save_consider(job);
		remove_ended(job);
		job_changed(job, 0); /* an end that nobody has been told of */
	}
	attach_tidy(c);
}

static bool all_options_copied(const struct gb_client *c)
{
	return c->pool && c->follows && c->fits && c->models && c->poller && c->queue &&
	       c->saver && c->answers && c->reconciling && c->removals;
}

int gb_open(const struct gb_options *o, struct gb_client **ret, char **ret_why)
{
	return client_open_with(o, provider_default(), NULL, ret, ret_why);
}

static int check_split(const struct gb_client *c, char **ret_why)
{
	int64_t n;

	if (!c->o.split || split_parse(c->o.split, &n) == 0)
		return 0;
	*ret_why = util_format("split=%s: must be auto, none or a number of requests",
		c->o.split);
	return -EINVAL;
}

/* A guest says nothing of its own but that it wants them, too. */
static void decide_ends(struct gb_client *c)
{
	if (!c->o.readonly && (c->o.ended || !c->o.guest))
		store_want_ends(c->store, c->o.ended);
	c->keep_ends = c->o.ended || (c->o.guest && store_wants_ends(c->store));
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
	err = check_split(c, ret_why);
	if (!err)
		err = store_open(
		c->o.state_dir, c->o.cache_dir, c->o.holder, &c->store, ret_why);
	if (err == -EACCES) /* that is said of the key */
		err = -EPERM;
	if (!err)
		decide_ends(c);
	if (!err)
		err = start_engine(c, ret_why);
	if (!err)
		err = look_around(c, ret_why);
	if (err)
		goto fail;
	store_fingerprint(c->store, c->key ? c->key : "", c->key_print);
	observe_keys(c);
	client_lock(c);
	c->loading = false;
	client_unlock(c);
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

int gb_state_holder(const char *state_dir, char **ret_holder)
{
	_cleanup_close_ int dir = open(
		state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	*ret_holder = NULL;
	if (dir < 0)
		return errno == ENOENT ? 0 : errno == EACCES ? -EPERM : -errno;
	return state_lock_look(dir, ret_holder);
}

/* ---- close ----------------------------------------------------------------------- */

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
		if (t->owns && (job_phase(t->job) == PHASE_SUBMITTING ||
				       (t->part && job_phase(t->part) ==
							   PHASE_SUBMITTING)))
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
	fits_free(c->fits);
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
