/*
 * The answers of a job: when their index is made, where it is kept, and reading them.
 *
 * An index is made on a worker, by one task per job however many wait for it, once the
 * results are saved (or complete in the cache), and is read back from disk at later
 * starts. A job that ended without output has one too, of its requests alone, for
 * retry.jsonl.
 *
 * Bytes of results come through gb_results, which checks every block it has not seen.
 * The object stays open for the job that was read last, because thousands of small
 * files may be read one after the other.
 */
#include "answers/answers_private.h"
#include "answers/answers.h"
#include "answers/sources.h"
#include "archive/complete.h"
#include "archive/save.h"
#include "jobs/operation.h"
#include "files/composed_draft.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

struct answers_cache {
	struct gb_answers *open; /* client.lock; those read last */
	atomic_bool hurry;       /* stops work that only reads local files; any
	                            thread */
};

struct answers_cache *answers_cache_new(void)
{
	return calloc(1, sizeof(struct answers_cache));
}

void answers_cache_free(struct answers_cache *a)
{
	free(a);
}

void answers_hurry(struct gb_client *c)
{
	c->answers->hurry = true;
}

enum { EVICTED_MAX = 10 /* times that results may go before they are looked at */ };

struct gb_answers {
	atomic_uint refs;
	struct gb_job *job;
	struct answers *index;
	struct gb_results *results; /* NULL: there are none */
	int requests, table;        /* -1: there are none */
};

void answers_part_info(struct gb_job *job, struct gb_info *i)
{
	const struct answers *a = job->batch->answers;
	enum gb_output o = job_output(job);

	i->has_answers = o == GB_OUTPUT_SAVED || o == GB_OUTPUT_INLINE ||
			 o == GB_OUTPUT_THERE || o == GB_OUTPUT_KEPT;
	/* Results that may only be late are not offered for another submission. */
	bool sure = !complete_in_doubt(job);

	i->has_vectors = i->has_answers && job->batch->embedding;
	i->has_table = i->has_answers && answers_table_name(job);

	i->has_retry = sure && answers_sent_here(job) &&
		       (i->has_answers || answers_ended_with_nothing(job));
	i->answers_pending =
		!a && !job->batch->index_failed && answers_can_be_made(job);
	if (!a)
		return;
	i->has_answers = a->head.stamp.results_size >= 0;
	i->has_retry = sure && a->head.stamp.requests_size >= 0;
	i->answers_there = true;
	i->has_vectors = i->has_answers && a->head.dims;
	i->has_table = i->has_answers && a->head.n_lines;
	i->answers_size[GB_ANSWERS_TABLE] = (int64_t)a->head.table_size;
	i->answers_size[GB_ANSWERS_TSV] = (int64_t)a->head.tsv_size;
	i->answers_size[GB_ANSWERS_RETRY] = (int64_t)a->head.retry_size;
	i->answers_size[GB_ANSWERS_USAGE] = (int64_t)a->usage_len;
	i->answers_size[GB_ANSWERS_VECTORS] = (int64_t)answers_vectors_size(a);
}

void answers_info(struct gb_job *job, struct gb_info *i)
{
	answers_part_info(job, i);
}

/* ---- making -------------------------------------------------------------------------------- */

static const struct result_grammar *grammar_of(const struct gb_job *job)
{
	return job->c->api.provider->results;
}

static int build(struct gb_job *job, struct answers_opened *o, struct answers **ret)
{
	struct answers_from source = {.results = o->results};
	struct text_source from_results = {answers_read_results, &source};
	struct text_source from_requests = {text_source_fd, &o->requests};
	struct text_source from_table = {text_source_fd, &o->table};
	_cleanup_free_ char *properties = NULL;
	struct answers_input in = {.grammar = grammar_of(job),
		.results = o->results ? &from_results : NULL,
		.requests = o->requests >= 0 ? &from_requests : NULL,
		.table = o->table >= 0 ? &from_table : NULL,
		.tabs = o->tabs,
		.stamp = o->stamp,
		.cancel = &job->c->answers->hurry};
	int err = in.table ? compose_draft_properties(
				     job, &properties, &in.properties_len)
			   : 0;

	if (err)
		return err;
	in.properties = properties;
	client_lock(job->c);
	in.asked = job->batch->requests;
	in.model = job->model;
	client_unlock(job->c);
	return answers_build(&in, ret);
}

/* Load it from disk, or make it and write it there. An index that cannot be written is
 * used anyway. */
static int load_or_build(struct gb_job *job, struct answers **ret)
{
	_cleanup_close_ int dir = -1;
	struct answers_opened o;
	char name[192];
	int err = answers_open_all(job, &o);

	if (err)
		goto out;
	dir = answers_index_place(job, name);
	err = dir < 0 ? dir : answers_load(dir, name, &o.stamp, grammar_of(job), ret);
	if (!err)
		goto out;
	err = build(job, &o, ret);
	if (err || dir < 0)
		goto out;
	test_point("index-save");
	int saved = answers_save(*ret, dir, name);
	test_point("index-saved");
	struct answers *mapped;

	if (saved)
		client_log(job->c, LOG_WARNING, "the index of answers of %s: %s",
			job_label(job), strerror(-saved));
	else if (!answers_load(dir, name, &o.stamp, grammar_of(job), &mapped)) {
		answers_unref(*ret);
		*ret = mapped;
	}
out:
	answers_close_all(&o);
	return err;
}

/* Write the tokens of an own job to the ledger, once. */
static void log_tokens(struct gb_job *job, const struct answers *a)
{
	if (a->head.stamp.results_size < 0)
		return;
	client_lock(job->c);
	bool now = answers_sent_here(job) && !job->dir->rec.batch->counted;
	if (now)
		job->dir->rec.batch->counted = true;
	client_unlock(job->c);
	if (!now)
		return;
	answers_count(job, a);
	job_dir_save_soon(job);
}

/* The results may have been saved while an index of the requests alone was made. */
static bool take_answers(struct gb_job *job, struct answers *a)
{
	struct answers *old = NULL;
	char text[ANSWERS_USAGE_MAX];

	client_lock(job->c);
	bool cancelled = job->dir && job->dir->rec.batch->cancel_asked;
	client_unlock(job->c);
	a->unserved =
		cancelled && a->head.stamp.results_size >= 0 ? answers_unserved(a) : 0;
	answers_price(job, a);
	a->usage_len = answers_usage(a, text);
	client_lock(job->c);
	bool fits = save_is_safe(job) == (a->head.stamp.results_size >= 0);
	if (fits) {
		old = job->batch->answers;
		job->batch->answers = answers_ref(a);
	}
	client_unlock(job->c);
	answers_unref(old);
	return fits;
}

static int make_index(struct gb_job *job)
{
	struct answers *a = NULL;
	bool taken = false;
	int err = 0;

	while (!err && !taken) {
		err = load_or_build(job, &a);
		taken = !err && take_answers(job, a);
		if (taken)
			log_tokens(job, a);
		if (!err)
			answers_unref(a);
	}
	if (err && err != -ECANCELED && err != -EAGAIN)
		client_log(job->c, LOG_WARNING, "answers of %s: %s", job_label(job),
			strerror(-err));
	return err;
}

/* Lock held: it has been made, or not. */
static void index_over(struct gb_job *job, int err, struct gb_waitq *ret)
{
	job->batch->indexing = false;
	job->batch->index_failed = err && err != -EAGAIN;
	queue_take(job, QUEUE_INDEXERS, ret);
}

static int index_run(struct operation *t)
{
	struct gb_job *job = t->job;
	struct gb_waitq over;
	int err = make_index(job);

	waitq_init(&over);
	client_lock(job->c);
	index_over(job, err, &over);
	client_unlock(job->c);
	job_changed(job, GB_CHANGED_FILES);
	/* A caller that gets success asks again, and so has it fetched. */
	waitq_call(&over, err == -ECANCELED ? -EINTR : err == -EAGAIN ? 0 : err);
	return err;
}

/* Lock held. 0: it is there. */
static int wait_for_index(struct gb_job *job, struct gb_waiter *w, bool *ret_start)
{
	if (job->c->stopping)
		return -EINTR;
	if (job->batch->answers)
		return 0;
	if (!answers_can_be_made(job))
		return -ENOENT;
	int err = w ? queue_add(job, QUEUE_INDEXERS, w) : 0;
	if (err == -ENOMEM)
		return err;
	*ret_start = !job->batch->indexing;
	job->batch->indexing = true;
	return err;
}

static int want(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	struct gb_waitq over;
	bool start = false;

	client_lock(c);
	int err = wait_for_index(job, w, &start);
	client_unlock(c);
	if (!start)
		return err;
	int started =
		operation_start(job, POOL_SHORT, index_run, false, false, NULL, NULL);
	if (!started)
		return err;
	waitq_init(&over);
	client_lock(c);
	index_over(job, started, &over);
	client_unlock(c);
	waitq_call(&over, started == -ECANCELED ? -EINTR : started);
	return w ? err : started;
}

/* One of the two objects stays: it may have been in use since the results were known to
 * be here, and an open file must not change. */
void answers_results_saved(struct gb_job *job)
{
	client_lock(job->c);
	bool made = job->batch->answers &&
		    job->batch->answers->head.stamp.results_size >= 0;
	client_unlock(job->c);
	if (made)
		return;
	answers_forget(job);
	want(job, NULL);
}

int gb_answers_look(struct gb_job *job, struct gb_waiter *w)
{
	int err = want(job, w);

	return err == -ENOENT ? 0 : err;
}

/* ---- open answers ------------------------------------------------------------------ */

void gb_answers_close(struct gb_answers *a)
{
	if (!a || --a->refs)
		return;
	if (a->results)
		gb_results_close(a->results);
	util_closep(&a->requests);
	util_closep(&a->table);
	answers_unref(a->index);
	gb_job_unref(a->job);
	free(a);
}

static int answers_make(
	struct gb_job *job, struct answers *index_take, struct gb_answers **ret)
{
	struct gb_answers *a = calloc(1, sizeof(*a));
	struct stat st;
	bool tabs;
	int err = 0;

	if (!a) {
		answers_unref(index_take);
		return -ENOMEM;
	}
	*a = (struct gb_answers){.refs = 1, .job = gb_job_ref(job), .index = index_take,
		.requests = -1, .table = -1};
	if (index_take->head.stamp.results_size >= 0)
		err = gb_part_results_open(job, &a->results);
	if (!err && index_take->head.stamp.requests_size >= 0) {
		int fd = answers_open_requests(job, &st);

		if (fd >= 0)
			a->requests = fd;
		else
			err = fd;
	}
	if (!err && index_take->head.n_lines) {
		a->table = answers_open_table(job, &st, &tabs);
		err = a->table < 0 ? a->table : 0;
	}
	if (err) {
		gb_answers_close(a);
		return err;
	}
	*ret = a;
	return 0;
}

/* The index that was read last stays open. Steals a. */
static void keep_open(struct gb_client *c, struct gb_answers *a)
{
	client_lock(c);
	struct gb_answers *old = c->answers->open;
	c->answers->open = a;
	client_unlock(c);
	gb_answers_close(old);
}

static int open_there(struct gb_job *job, struct gb_answers **ret)
{
	struct gb_client *c = job->c;
	struct gb_answers *a = NULL;
	struct answers *index = NULL;

	client_lock(c);
	if (c->answers->open && c->answers->open->index == job->batch->answers &&
		job->batch->answers) {
		a = c->answers->open;
		a->refs++;
	} else if (job->batch->answers) {
		index = answers_ref(job->batch->answers);
	}
	client_unlock(c);
	if (a) {
		*ret = a;
		return 0;
	}
	int err = index ? answers_make(job, index, &a) : -ENOENT;
	if (err)
		return err;
	a->refs++;
	keep_open(c, a);
	*ret = a;
	return 0;
}

/* 0: the index is there. -EAGAIN: the cache has just lost the results. */
static int make_there(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;

	client_lock(c);
	bool there = job->batch->answers, can = answers_can_be_made(job);
	enum gb_output o = job_output(job);
	client_unlock(c);
	if (!there && !can && (o == GB_OUTPUT_NONE || o == GB_OUTPUT_AWAITED))
		return -ENOENT;
	int err = there || can ? 0 : save_make_whole(job, w);
	if (!err && !there)
		err = want(job, w);
	return err == -ENOENT ? -EAGAIN : err;
}

int gb_part_answers_open(
	struct gb_job *job, struct gb_waiter *w, struct gb_answers **ret)
{
	int err = -EAGAIN;

	for (int i = 0; i < EVICTED_MAX && err == -EAGAIN; i++)
		err = make_there(job, w);
	return err ? err : open_there(job, ret);
}

int gb_answers_open(struct gb_job *job, struct gb_waiter *w, struct gb_answers **ret)
{
	return gb_part_answers_open(job, w, ret);
}

void answers_forget(struct gb_job *job)
{
	struct gb_client *c = job->c;
	struct gb_answers *open = NULL;

	client_lock(c);
	struct answers *old = STEAL_PTR(job->batch->answers);
	job->batch->index_failed = false;
	if (c->answers->open && c->answers->open->job == job)
		open = STEAL_PTR(c->answers->open);
	client_unlock(c);
	gb_answers_close(open);
	answers_unref(old);
}

void answers_close(struct gb_client *c)
{
	keep_open(c, NULL);
}

/* ---- reading -------------------------------------------------------------------------------- */

static ssize_t read_usage(const struct answers *a, uint64_t off, void *buf, size_t n)
{
	char text[ANSWERS_USAGE_MAX];
	size_t len = answers_usage(a, text);

	if (off >= len)
		return 0;
	if (n > len - off)
		n = len - off;
	memcpy(buf, text + off, n);
	return (ssize_t)n;
}

ssize_t gb_answers_read(struct gb_answers *a, enum gb_answers_file what,
	uint32_t number, uint64_t off, void *buf, size_t n, struct gb_waiter *w)
{
	struct answers_from source = {a->results, w};
	struct answers_sources s = {
		{answers_read_results, &source}, {text_source_fd, &a->requests},
		{text_source_fd, &a->table}};

	switch (what) {
	case GB_ANSWERS_TSV:
		return a->results ? answers_read_tsv(a->index, &s, off, buf, n)
				  : -ENOENT;
	case GB_ANSWERS_RETRY:
		return a->requests >= 0 ? answers_read_retry(a->index, &s, off, buf, n)
					: -ENOENT;
	case GB_ANSWERS_USAGE:
		return read_usage(a->index, off, buf, n);
	case GB_ANSWERS_TABLE:
		return a->results && a->table >= 0
			       ? answers_read_table(a->index, &s, off, buf, n)
			       : -ENOENT;
	case GB_ANSWERS_VECTORS:
		return a->results ? answers_read_vectors(a->index, &s, off, buf, n)
				  : -ENOENT;
	default:
		return number < a->index->head.n_nodes
			       ? answers_read_node(a->index, &s, number, off, buf, n)
			       : -ESTALE;
	}
}

/* ---- the tree -------------------------------------------------------------------------------- */

static struct answers *index_ref(struct gb_job *job)
{
	client_lock(job->c);
	struct answers *a =
		job->batch->answers ? answers_ref(job->batch->answers) : NULL;
	client_unlock(job->c);
	return a;
}

static void describe(const struct answers *a, uint32_t number, struct gb_answer *ret)
{
	const struct answers_node *n = &a->nodes[number];

	*ret = (struct gb_answer){.number = number, .dir = n->kind == NODE_IS_DIR,
		.size = (int64_t)n->size};
	memcpy(ret->name, answers_name(a, n), n->name_len);
}

bool gb_answer_get(struct gb_job *job, uint32_t number, struct gb_answer *ret)
{
	struct answers *a = index_ref(job);
	bool there = a && a->head.stamp.results_size >= 0 &&
		     number < a->head.n_nodes && a->nodes[number].kind != NODE_IS_GONE;

	if (there)
		describe(a, number, ret);
	answers_unref(a);
	return there;
}

bool gb_answer_child(
	struct gb_job *job, uint32_t dir, const char *name, struct gb_answer *ret)
{
	struct answers *a = index_ref(job);
	uint32_t number = a && dir < a->head.n_nodes ? answers_child(a, dir, name) : 0;

	if (number)
		describe(a, number, ret);
	answers_unref(a);
	return number;
}

bool gb_answer_next(
	struct gb_job *job, uint32_t dir, uint32_t from, struct gb_answer *ret)
{
	struct answers *a = index_ref(job);
	uint32_t number = a && dir < a->head.n_nodes ? answers_next(a, dir, from) : 0;

	if (number)
		describe(a, number, ret);
	answers_unref(a);
	return number;
}
