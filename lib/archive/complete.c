/*
 * Whether the saved results are complete.
 *
 * A body that was cut at the end of a line, with framing that matches the cut body,
 * looks complete. Only the number of lines shows the cut: there should be as many as
 * the API counts as successful or failed. With fewer lines, or if the last one is not a
 * complete JSON value, the results are saved and can be read, but are in doubt: the API
 * is asked how long they are after a minute and again after an hour. If it has more,
 * they are downloaded again beside the saved copy, which they replace only if they are
 * better. After that the saved copy counts as complete; a `fetch` still looks again.
 * The journal keeps lines and looks.
 *
 * Inline output has no length that could be asked for: each look downloads all of it.
 *
 * If the last newline is missing, the API is asked at once, because results that are
 * one byte short look complete otherwise. More lines than were counted are fine; if
 * nothing was counted, the last line decides. Short results in the cache are asked for
 * once, and if the API has more they are downloaded again beside the copy, too.
 */
#include "archive/complete.h"
#include "archive/open.h"
#include "archive/recover.h"
#include "archive/save_private.h"
#include "jobs/hooks.h"
#include "results/block_map.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { LOOKS = 2, DOUBT = 3600 /* seconds over which they are */ };

/* ---- what is known --------------------------------------------------------------- */

/* Lock held. How many lines the output should have; 0: not counted. */
static int64_t told(const struct gb_job *job)
{
	int64_t sum = (job->batch->succeeded > 0 ? job->batch->succeeded : 0) +
		      (job->batch->failed > 0 ? job->batch->failed : 0);

	if (!sum && job->batch->requests < 0 &&
		job->batch->state == REMOTE_STATE_SUCCEEDED && job->dir)
		return job->dir->rec.batch->requests;
	return sum;
}

static bool is_less(const struct gb_job *job, const struct tally *t)
{
	return t->cut || t->lines < told(job);
}

/* Lock held. Also where one reply named no output at all: a part of it is here. */
static bool more_may_come(const struct gb_job *job)
{
	return knowledge_output(&job->batch->known, job_moment(job)) != OUTPUT_OVER;
}

bool complete_is_short(const struct gb_job *job)
{
	const struct record *r = job->dir ? &job->dir->rec : NULL;
	struct tally t;

	if (!r || !r->batch->home || r->batch->lines < 0 || !more_may_come(job))
		return false;
	t = (struct tally){r->batch->lines, r->batch->cut};
	return is_less(job, &t);
}

char *complete_warning(const struct gb_job *job)
{
	const struct record *r;

	if (!complete_is_short(job))
		return NULL;
	r = &job->dir->rec;
	return util_format(
		"results.jsonl: %lld line%s%s, and the API counts %lld answer%s. %s\n",
		(long long)r->batch->lines, util_s(r->batch->lines),
		r->batch->cut ? ", the last one cut off or damaged" : "",
		(long long)told(job), util_s(told(job)),
		complete_in_doubt(job)
			? "The API is asked again within the hour. To ask now: "
			  "echo fetch > ctl."
			: "The API has no more. To ask again: echo fetch > ctl.");
}

bool complete_in_doubt(const struct gb_job *job)
{
	return complete_is_short(job) && job->dir->rec.batch->looks < LOOKS;
}

static double next_look(const struct record *r)
{
	double all = test_seconds("BATCHFS_TEST_DOUBT_SECONDS", DOUBT);

	return (r->batch->looks ? all : all / 60) -
	       record_span(r->batch->doubted_since);
}

bool complete_look_due(const struct gb_job *job)
{
	return complete_in_doubt(job) && next_look(&job->dir->rec) <= 0;
}

/* ---- judging what was saved ------------------------------------------------------ */

static int count_lines(struct gb_results *r, struct tally *ret)
{
	results_reader(r, 1);
	int fd = results_fd(r);
	int err = fd < 0 ? fd : tally_file(fd, results_known_size(r), ret);
	results_reader(r, -1);
	return err;
}

static void look_later(struct gb_job *job)
{
	struct gb_client *c = job->c;

	client_lock(c);
	bool doubt = complete_in_doubt(job);
	double pause = doubt ? next_look(&job->dir->rec) : 0;
	client_unlock(c);
	/* If this fails, the next look at what is missing does it. */
	if (doubt)
		DROP(engine_timer(c->engine, pause > 0 ? pause : 0, save_go_on, c));
}

/* Note the tally of saved results; a different tally restarts the count of looks. */
static void keep_tally(struct gb_job *job, const struct tally *t)
{
	struct record *r = &job->dir->rec;

	client_lock(job->c);
	if (r->batch->lines != t->lines || r->batch->cut != t->cut) {
		r->batch->looks = 0;
		r->batch->doubted_since = record_now();
	}
	r->batch->lines = t->lines;
	r->batch->cut = t->cut;
	int64_t counted = told(job);
	bool less = is_less(job, t);
	client_unlock(job->c);
	if (less)
		client_log(job->c, LOG_WARNING,
			"results of %s: %lld line%s%s of the %lld that the API counts; "
			"the API will be asked again",
			job_label(job), (long long)t->lines, util_s(t->lines),
			t->cut ? ", the last one cut," : "", (long long)counted);
}

static int fetch_better_cached(struct gb_job *job, const struct tally *old);

int complete_judge(struct gb_job *job, struct gb_results *r, bool home)
{
	struct canceller none = CANCELLER_INIT;
	struct tally t;
	int64_t size;
	int err = count_lines(r, &t);

	if (err)
		return err;
	if (results_odd(r))
		client_log(job->c, LOG_WARNING,
			"results of %s do not begin or end like lines of JSON, and the "
			"API sends them this way each time: they are saved as they are",
			job_label(job));
	client_lock(job->c);
	bool ask = (is_less(job, &t) && !home) || t.open;
	ask = ask && !job->c->o.offline && job->batch->output_file;
	client_unlock(job->c);
	bool more = ask && results_look(r, &none, &size) == 0 &&
		    size > results_known_size(r);
	t.cut |= more;
	if (more && !home)
		return fetch_better_cached(job, &t);
	if (home)
		keep_tally(job, &t);
	return 0;
}

void complete_judged(struct gb_job *job)
{
	look_later(job);
}

/* ---- looking again --------------------------------------------------------------- */

static int fetch_beside(
	struct gb_job *job, int dir, const char *name, struct gb_results **ret)
{
	struct results_config cfg = {.api = &job->c->api, .dirfd = dir, .name = name};
	struct waiter_sync s;

	client_lock(job->c);
	_cleanup_free_ char *file =
		job->batch->output_file ? strdup(job->batch->output_file) : NULL;
	client_unlock(job->c);
	cfg.file = file;
	int err = results_new(&cfg, ret);
	if (err)
		return err;
	waiter_sync_init(&s);
	err = (int)waiter_sync_end(&s, results_fetch(*ret, &s.w));
	return err ? err : results_seal(*ret);
}

static void remove_beside(int dir, const char *name)
{
	_cleanup_free_ char *map = util_format("%s" RESULTS_MAP_SUFFIX, name);

	unlinkat(dir, name, 0);
	if (map)
		unlinkat(dir, map, 0);
}

/* Download it again under that name. *ret: if it is better than old, else NULL. */
static int try_beside(struct gb_job *job, int dir, const char *name,
	const struct tally *old, struct tally *ret_t, struct gb_results **ret)
{
	struct gb_results *r = NULL;
	int err = fetch_beside(job, dir, name, &r);

	if (!err)
		err = count_lines(r, ret_t);
	if (!err && tally_less(old, ret_t)) {
		*ret = r;
		return 0;
	}
	results_unref(r);
	remove_beside(dir, name);
	return err;
}

/* Another file takes the place of that of this object. Its readers may go on. */
static struct gb_results *take_old(struct gb_job *job)
{
	client_lock(job->c);
	struct gb_results *old = STEAL_PTR(job->batch->results);
	job->batch->checked = false;
	client_unlock(job->c);
	return old;
}

static void drop_old(struct gb_job *job, struct gb_results *old)
{
	results_unref(old);
	job->c->hooks->results_dropped(job);
}

static int replace_copy(struct gb_job *job, struct gb_results *r, int dir)
{
	int err = results_rehome(r, dir, RESULTS_FILE);

	if (err)
		return err;
	drop_old(job, take_old(job));
	return save_note_safe(job, results_known_size(r), true);
}

/* Last: as long as the index of answers may be of the old copy, what that lacks is not
 * to be bought again. */
static int end_doubt(struct gb_job *job, const struct tally *t)
{
	keep_tally(job, t);
	return job_dir_save(job);
}

static struct tally saved_tally(struct gb_job *job)
{
	const struct record *r = &job->dir->rec;

	client_lock(job->c);
	struct tally t = {r->batch->lines, r->batch->cut};
	client_unlock(job->c);
	return t;
}

static int fetch_better(struct gb_job *job)
{
	_cleanup_close_ int dir = job_dir_open(job);
	struct tally old = saved_tally(job), t;
	struct gb_results *r = NULL;
	int err = dir < 0 ? dir : try_beside(job, dir, RESULTS_NEW_FILE, &old, &t, &r);

	if (r)
		err = replace_copy(job, r, dir);
	if (r && !err)
		err = end_doubt(job, &t);
	results_unref(r);
	return err;
}

/* Nobody opens the old one, or removes the new one, in between. */
static int replace_cached(struct gb_job *job, struct gb_results *r, const char *name)
{
	struct gb_client *c = job->c;

	pthread_mutex_lock(&c->cache_lock);
	struct gb_results *old = take_old(job);
	int err = results_rehome(r, c->store->results, name);
	pthread_mutex_unlock(&c->cache_lock);
	drop_old(job, old);
	return err ? err : save_note_safe(job, results_known_size(r), false);
}

/* In the cache. The copy stays unless there is a better one: it may be all that there
 * is, and the length that does not fit may have been the one odd reply. */
static int fetch_better_cached(struct gb_job *job, const struct tally *old)
{
	int dir = job->c->store->results;
	const char *id = job_id_now(job), *name = id ? remote_id_tail(id) : NULL;
	/* A name that the cache leaves alone while it is being written. */
	_cleanup_free_ char *tmp =
		name ? util_format(UTIL_TMP_PREFIX "%s", name) : NULL;
	struct gb_results *r = NULL;
	struct tally t;
	int err = tmp    ? try_beside(job, dir, tmp, old, &t, &r)
		  : name ? -ENOMEM
			 : -ENOENT;

	if (r)
		err = replace_cached(job, r, name);
	bool replaced = r && !err;
	results_unref(r);
	return replaced ? -EAGAIN : err == -ENODATA ? 0 : err;
}

static void looked(struct gb_job *job)
{
	client_lock(job->c);
	bool due = complete_look_due(job);
	if (due)
		job->dir->rec.batch->looks++;
	client_unlock(job->c);
	if (due)
		job_dir_save_soon(job);
	job_changed(job, GB_CHANGED_FILES);
	look_later(job);
}

static int look_at_file(struct gb_job *job)
{
	struct canceller none = CANCELLER_INIT;
	struct gb_results *r = NULL;
	int64_t size = -1;
	int err = output_of(job, &r);

	if (!err)
		err = results_look(r, &none, &size);
	if (!err && size > results_known_size(r))
		err = fetch_better(job);
	results_unref(r);
	return err;
}

int complete_look(struct gb_job *job)
{
	client_lock(job->c);
	bool is_inline = !job->batch->output_file;
	client_unlock(job->c);
	int err = is_inline ? save_inline(job) : look_at_file(job);

	/* What it has no more it has no more of. */
	if (err == -ENODATA || (is_inline && err == -ENOENT))
		err = 0;
	if (!err)
		looked(job);
	return err;
}

/* ---- inline output ---------------------------------------------------------------- */

/* Whenever this is interrupted, the journal counts no more lines than the file has, so
 * that a short one is not believed at the next start. */
static int save_first(struct gb_job *job, int dir, int64_t size, const struct tally *t)
{
	keep_tally(job, t);
	int err = job_dir_save(job);

	if (!err)
		err = results_publish(dir, INLINE_FILE, RESULTS_FILE);
	return err ? err : save_note_safe(job, size, true);
}

static int save_better(struct gb_job *job, int dir, int64_t size, const struct tally *t)
{
	int err = results_publish(dir, INLINE_FILE, RESULTS_FILE);

	if (err)
		return err;
	drop_old(job, take_old(job));
	err = save_note_safe(job, size, true);
	return err ? err : end_doubt(job, t);
}

int complete_take_inline(
	struct gb_job *job, int dir, int64_t size, const struct tally *t)
{
	client_lock(job->c);
	bool home = job->dir->rec.batch->home, less = is_less(job, t);
	client_unlock(job->c);
	struct tally old = saved_tally(job);
	if (home && !tally_less(&old, t))
		return 0;
	int err = recover_may_replace_by(job, dir, size, t, less);

	if (!err)
		err = (home ? save_better : save_first)(job, dir, size, t);
	if (!err)
		look_later(job);
	return err;
}
