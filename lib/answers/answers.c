/*
 * The answers of a job: what is told of them, opening and reading them.
 *
 * Bytes of results come through gb_results, which checks every block it has not seen.
 * The object stays open for the job that was read last, because thousands of small
 * files may be read one after the other.
 */
#include "answers/answers.h"
#include "answers/index.h"
#include "answers/known_parts.h"
#include "answers/make.h"
#include "answers/slots.h"
#include "answers/sources.h"
#include "archive/complete.h"
#include "archive/save.h"
#include "jobs/parts.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { RECENT = 4 };

struct answers_cache {
	atomic_bool hurry; /* stops work that only reads local files; any thread */
	/* All below: client.lock. */
	struct gb_answers *open;        /* those read last */
	struct answers *recent[RECENT]; /* references: the indexes used last */
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

const atomic_bool *answers_hurrying(const struct gb_client *c)
{
	return &c->answers->hurry;
}

enum { EVICTED_MAX = 10 /* times that results may go before they are looked at */ };

struct gb_answers {
	atomic_uint refs;
	struct gb_job *job;
	struct answers *index;
	struct gb_results *results; /* NULL: there are none, or slots has them */
	struct answers_slots *slots; /* of several parts */
	int requests, table;        /* -1: there are none */
	struct gather_spare spare;
};

/* ---- what is in memory ----------------------------------------------------------- */

/* Lock held. a, of which the caller has a reference, is used: of those that were used
 * before all but a few may leave memory. Returns one for let_rest, or NULL. */
static struct answers *use_index(struct answers_cache *c, struct answers *a)
{
	struct answers *last = answers_ref(a);

	for (size_t i = 0; i < RECENT && last; i++) {
		struct answers *at = c->recent[i];

		c->recent[i] = last;
		last = at;
		if (at == a) {
			/* It moved to the front: nothing rests, least of all a. */
			answers_unref(at);
			return NULL;
		}
	}
	return last;
}

/* One that is used again meanwhile is read from disk again. */
static void let_rest(struct answers *a_take)
{
	if (a_take)
		answers_rest(a_take);
	answers_unref(a_take);
}

/* Lock held. Returns a reference that is over, or NULL. */
static struct answers *disuse_index(struct answers_cache *c, const struct answers *a)
{
	for (size_t i = 0; a && i < RECENT; i++)
		if (c->recent[i] == a)
			return STEAL_PTR(c->recent[i]);
	return NULL;
}

/* ---- what is told of them -------------------------------------------------------- */

struct answers *answers_shown(const struct gb_job *job)
{
	return parts_several(job) ? job->merged : job->batch->answers;
}

static void index_info(const struct answers *a, bool sure, struct gb_info *i)
{
	i->has_answers = a->head.stamp.results_size >= 0;
	i->has_retry = sure && a->head.stamp.requests_size >= 0;
	i->answers_there = true;
	if (a->head.n_parts)
		i->answers_at = a->made;
	i->has_vectors = i->has_answers && a->head.dims;
	i->has_table = i->has_answers && a->head.n_lines;
	i->answers_size[GB_ANSWERS_TABLE] = (int64_t)a->head.table_size;
	i->answers_size[GB_ANSWERS_TSV] = (int64_t)a->head.tsv_size;
	i->answers_size[GB_ANSWERS_RETRY] = (int64_t)a->head.retry_size;
	i->answers_size[GB_ANSWERS_USAGE] = (int64_t)a->usage_len;
	i->answers_size[GB_ANSWERS_VECTORS] = (int64_t)answers_vectors_size(a);
}

void answers_part_info(struct gb_job *job, struct gb_info *i)
{
	const struct answers *a = job->batch->answers;
	enum gb_output o = job_output(job);

	i->has_answers = o == GB_OUTPUT_SAVED || o == GB_OUTPUT_INLINE ||
			 o == GB_OUTPUT_THERE || o == GB_OUTPUT_KEPT;
	/* Results that may only be late are not offered for another submission. */
	bool sure = !complete_in_doubt(job);

	i->answers_grow = false;
	i->has_vectors = i->has_answers && job->batch->embedding;
	i->has_table = i->has_answers && answers_table_name(job);

	i->has_retry = sure && answers_sent_here(job) &&
		       (i->has_answers || answers_ended_with_nothing(job));
	i->answers_pending =
		!a && !job->batch->index_failed && answers_can_be_made(job);
	if (a)
		index_info(a, sure, i);
}

/* Of all parts: the index that there is, until it can be seen to be of others. */
static void all_info(struct gb_job *dir, struct gb_info *i)
{
	const struct answers *a = dir->merged;
	bool fits = known_parts_fit(dir), can = known_parts_can(dir), sure = true;

	for (uint32_t n = 0; n < parts_count(dir); n++)
		sure &= !complete_in_doubt(parts_at(dir, n));
	i->answers_grow = true;
	i->answers_there = false;
	i->has_answers = known_parts_have(dir) || known_parts_lack(dir);
	i->has_vectors = i->has_answers && dir->batch->embedding;
	i->has_table = i->has_answers && answers_table_name(dir);
	i->has_retry = sure && can && answers_sent_here(dir);
	i->answers_pending = can && !fits && !dir->merge_failed;
	if (a && (fits || dir->merge_failed))
		index_info(a, sure, i);
}

void answers_info(struct gb_job *job, struct gb_info *i)
{
	if (parts_several(job))
		all_info(job, i);
	else
		answers_part_info(job, i);
}

/* ---- open answers ---------------------------------------------------------------- */

void gb_answers_close(struct gb_answers *a)
{
	if (!a || --a->refs)
		return;
	if (a->results)
		gb_results_close(a->results);
	slots_free(a->slots);
	util_closep(&a->requests);
	util_closep(&a->table);
	gather_spare_free(&a->spare);
	answers_unref(a->index);
	gb_job_unref(a->job);
	free(a);
}

bool gb_answers_final(const struct gb_answers *a)
{
	return !a->index->head.n_parts;
}

static int answers_make(
	struct gb_job *job, struct answers *index_take, struct gb_answers **ret)
{
	struct gb_answers *a = calloc(1, sizeof(*a));
	struct stat st;
	struct span at;
	bool tabs;
	int err = 0;

	if (!a) {
		answers_unref(index_take);
		return -ENOMEM;
	}
	*a = (struct gb_answers){.refs = 1, .job = gb_job_ref(job), .index = index_take,
		.requests = -1, .table = -1};
	if (index_take->head.n_parts)
		err = slots_new(job, index_take->parts, index_take->head.n_parts,
			&a->slots);
	else if (index_take->head.stamp.results_size >= 0)
		err = gb_part_results_open(job, &a->results);
	if (!err && index_take->head.stamp.requests_size >= 0) {
		int fd = answers_open_requests(job, &st, &at);

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

static int open_there(struct gb_job *job, bool all, struct gb_answers **ret)
{
	struct gb_client *c = job->c;
	struct gb_answers *a = NULL;
	struct answers *index, *idle = NULL;

	client_lock(c);
	index = all ? job->merged : job->batch->answers;
	if (index && c->answers->open && c->answers->open->index == index) {
		a = c->answers->open;
		a->refs++;
	} else if (index) {
		idle = use_index(c->answers, answers_ref(index));
	}
	client_unlock(c);
	let_rest(idle);
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
		err = answers_want(job, false, w);
	return err == -ENOENT ? -EAGAIN : err;
}

int gb_part_answers_open(
	struct gb_job *job, struct gb_waiter *w, struct gb_answers **ret)
{
	int err = -EAGAIN;

	for (int i = 0; i < EVICTED_MAX && err == -EAGAIN; i++)
		err = make_there(job, w);
	return err ? err : open_there(job, false, ret);
}

/* ---- parts that are not saved yet ------------------------------------------------ */

/* Lock held. Where there is something to show, one that failed a moment ago is left
 * out. */
static bool is_to_fetch(struct gb_job *part)
{
	struct gb_job *dir = job_directory(part);
	struct gb_client *c = dir->c;

	if (!known_parts_lacks(part))
		return false;
	return !known_parts_can(dir) ||
	       (!c->o.offline && !c->stopping && save_is_possible(part) &&
		       !save_told_later(part) &&
		       knowledge_fetch_due(&part->batch->known, client_moment(c)));
}

/* Where there is something to show, what cannot be fetched is no obstacle. */
static int judge_fetch(struct gb_job *part, int err)
{
	client_lock(part->c);
	bool can = known_parts_can(job_directory(part));
	client_unlock(part->c);
	return can && err != -EINTR && err != -ENOMEM ? 0 : err;
}

static const struct parts_call fetching = {.width = 2,
	.fits = is_to_fetch,
	.call = save_make_whole,
	.judge = judge_fetch};

/* What is not saved is fetched if all have ended, or if it would not be without a
 * reader. Answers come before parts that have not ended. */
static int fetch_parts(struct gb_job *dir, struct gb_waiter *w)
{
	struct gb_client *c = dir->c;
	bool some = false;

	client_lock(c);
	bool later = known_parts_can(dir) && c->o.fetch != GB_FETCH_READ &&
		     job_wait_verdict(dir) == -EINPROGRESS;
	for (uint32_t i = 0; !later && !some && i < parts_count(dir); i++)
		some = is_to_fetch(parts_at(dir, i));
	client_unlock(c);
	return some ? parts_each(dir, &fetching, w) : 0;
}

static int open_all(struct gb_job *dir, struct gb_waiter *w, struct gb_answers **ret)
{
	int err = fetch_parts(dir, w);

	if (err)
		return err;
	err = answers_want(dir, true, w);
	client_lock(dir->c);
	bool old = err && err != -EINPROGRESS && err != -EINTR && dir->merged;
	client_unlock(dir->c);
	return err && !old ? err : open_there(dir, true, ret);
}

int gb_answers_open(struct gb_job *job, struct gb_waiter *w, struct gb_answers **ret)
{
	client_lock(job->c);
	bool all = parts_several(job);
	client_unlock(job->c);
	return all ? open_all(job, w, ret) : gb_part_answers_open(job, w, ret);
}

void answers_forget(struct gb_job *job)
{
	struct gb_client *c = job->c;
	struct gb_answers *open = NULL;

	client_lock(c);
	struct answers *old = STEAL_PTR(job->batch->answers);
	job->batch->index_failed = false;
	job_directory(job)->merge_stale = true;
	/* Who reads a directory has the results of its parts open. */
	if (c->answers->open && (c->answers->open->job == job ||
					c->answers->open->job == job->parent))
		open = STEAL_PTR(c->answers->open);
	struct answers *recent = disuse_index(c->answers, old);
	client_unlock(c);
	gb_answers_close(open);
	answers_unref(recent);
	answers_unref(old);
}

void answers_close(struct gb_client *c)
{
	keep_open(c, NULL);
	for (size_t i = 0; i < RECENT; i++)
		answers_unref(STEAL_PTR(c->answers->recent[i]));
}

/* ---- reading --------------------------------------------------------------------- */

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
	struct slots_from slots = {a->slots, w};
	struct answers_sources s = {{answers_read_results, &source, answers_readv_results},
		text_from_fd(&a->requests), text_from_fd(&a->table), &a->spare};
	bool results = a->index->head.stamp.results_size >= 0;

	if (a->slots)
		s.results = (struct text_source){slots_read, &slots, slots_readv};
	switch (what) {
	case GB_ANSWERS_TSV:
		return results ? answers_read_tsv(a->index, &s, off, buf, n)
				  : -ENOENT;
	case GB_ANSWERS_RETRY:
		return a->requests >= 0 ? answers_read_retry(a->index, &s, off, buf, n)
					: -ENOENT;
	case GB_ANSWERS_USAGE:
		return read_usage(a->index, off, buf, n);
	case GB_ANSWERS_TABLE:
		return results && a->table >= 0
			       ? answers_read_table(a->index, &s, off, buf, n)
			       : -ENOENT;
	case GB_ANSWERS_VECTORS:
		return results ? answers_read_vectors(a->index, &s, off, buf, n)
				  : -ENOENT;
	default:
		return number < a->index->head.n_nodes
			       ? answers_read_node(a->index, &s, number, off, buf, n)
			       : -ESTALE;
	}
}

/* ---- the tree -------------------------------------------------------------------- */

static struct answers *index_ref(struct gb_job *job)
{
	struct answers *idle = NULL;

	client_lock(job->c);
	struct answers *a = answers_shown(job);
	if (a)
		idle = use_index(job->c->answers, answers_ref(a));
	client_unlock(job->c);
	let_rest(idle);
	return a;
}

/* When the results came that it is of; 0: not told. */
static struct timespec node_time(const struct answers *a, const struct answers_node *n)
{
	uint64_t slot = n->kind != NODE_IS_DIR && n->row < a->head.n_rows
				? a->rows[n->row].result_from >> ANSWERS_SLOT_BITS
				: UINT64_MAX;

	if (slot >= a->head.n_parts)
		return (struct timespec){0};
	return (struct timespec){a->parts[slot].s, a->parts[slot].ns};
}

static void describe(const struct answers *a, uint32_t number, struct gb_answer *ret)
{
	const struct answers_node *n = &a->nodes[number];

	*ret = (struct gb_answer){.number = number, .dir = n->kind == NODE_IS_DIR,
		.size = (int64_t)answers_node_size(a, n), .at = node_time(a, n)};
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
