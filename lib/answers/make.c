/*
 * The index of one job's answers: loaded, or made and written, on a worker.
 */
#include "answers/make.h"
#include "answers/answers_private.h"
#include "answers/sources.h"
#include "archive/save.h"
#include "base/test_point.h"
#include "files/composed_draft.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

enum { TRIES = 4 /* while what it is made of changes */ };

static const struct result_grammar *grammar_of(const struct gb_job *job)
{
	return job->c->api.provider->results;
}

int answers_properties(
	struct gb_job *job, struct answers_input *in, char **ret_properties)
{
	int err = in->table ? compose_draft_properties(
				      job, ret_properties, &in->properties_len)
			    : 0;

	if (!err)
		in->properties = *ret_properties;
	return err;
}

static int build(struct gb_job *job, struct answers_opened *o, struct answers **ret)
{
	struct answers_from source = {.results = o->results};
	struct text_source from_results = {
		answers_read_results, &source, answers_readv_results};
	struct text_source from_requests = text_from_fd(&o->requests);
	struct text_source from_table = text_from_fd(&o->table);
	_cleanup_free_ char *properties = NULL;
	struct answers_input in = {.grammar = grammar_of(job),
		.results = o->results ? &from_results : NULL,
		.requests = o->requests >= 0 ? &from_requests : NULL,
		.table = o->table >= 0 ? &from_table : NULL,
		.tabs = o->tabs,
		.stamp = o->stamp,
		.requests_from = (uint64_t)o->stamp.requests_from,
		.cancel = answers_hurrying(job->c)};
	int err = answers_properties(job, &in, &properties);

	if (err)
		return err;
	client_lock(job->c);
	in.asked = job->batch->requests;
	in.model = job->model;
	client_unlock(job->c);
	return answers_build(&in, ret);
}

void answers_keep(struct gb_job *job, int dir, const char *name, struct answers **a)
{
	struct answers *mapped;

	test_point("index-save");
	int err = answers_save(*a, dir, name);
	test_point("index-saved");
	if (err)
		client_log(job->c, LOG_WARNING, "the index of answers of %s: %s",
			job_label(job), strerror(-err));
	else if (!answers_load_saved(dir, name, *a, &mapped)) {
		answers_unref(*a);
		*a = mapped;
	}
}

/* Load it from disk, or make it and write it there. */
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
	if (!err && dir >= 0)
		answers_keep(job, dir, name, ret);
out:
	answers_close_all(&o);
	return err;
}

void answers_log_tokens(
	struct gb_job *job, const int64_t tokens[TOKENS_N], const struct answers *price)
{
	client_lock(job->c);
	bool now = answers_sent_here(job) && !job->dir->rec.batch->counted;
	if (now)
		job->dir->rec.batch->counted = true;
	client_unlock(job->c);
	if (!now)
		return;
	answers_count(job, tokens, price);
	job_dir_save_soon(job);
}

void answers_finish(struct gb_job *job, struct answers *a, bool cancelled)
{
	char text[ANSWERS_USAGE_MAX];

	a->unserved =
		cancelled && a->head.stamp.results_size >= 0 ? answers_unserved(a) : 0;
	answers_price(job, a);
	a->usage_len = answers_usage(a, text);
}

/* Lock held. The results may have been saved while an index of the requests alone was
 * made, or better ones while that of a short copy was. */
static bool is_of_now(const struct gb_job *job, const struct answers *a)
{
	int64_t size = a->head.stamp.results_size;

	return save_is_safe(job) == (size >= 0) &&
	       (size < 0 || size == job->batch->results_size);
}

static bool take_answers(struct gb_job *job, struct answers *a)
{
	bool has_results = a->head.stamp.results_size >= 0;
	struct answers *old = NULL;

	client_lock(job->c);
	bool cancelled = job->dir && job->dir->rec.batch->cancel_asked;
	bool fits = is_of_now(job, a);
	client_unlock(job->c);
	if (!fits)
		return false;
	answers_finish(job, a, cancelled);
	/* Who reads the usage finds its line in the history. */
	if (has_results)
		answers_log_tokens(job, a->head.tokens, a);
	client_lock(job->c);
	fits = is_of_now(job, a);
	if (fits) {
		old = job->batch->answers;
		job->batch->answers = answers_ref(a);
	}
	client_unlock(job->c);
	answers_unref(old);
	return fits;
}

int answers_make_one(struct gb_job *job)
{
	struct answers *a = NULL;
	bool taken = false;
	int err = 0;

	for (int i = 0; !err && !taken; i++) {
		err = i == TRIES ? -EAGAIN : load_or_build(job, &a);
		taken = !err && take_answers(job, a);
		if (!err)
			answers_unref(a);
	}
	return err;
}
