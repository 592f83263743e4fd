/*
 * Saving results: downloading them, and noting that they came, failed or were refused.
 * seal.c makes what is complete durable.
 *
 * Inline output is not a file at the API: each reply has all of it, which is written
 * into a local file at once (complete.c decides whether that is taken).
 */
#include "archive/complete.h"
#include "archive/open.h"
#include "archive/recover.h"
#include "jobs/observe.h"
#include "jobs/operation.h"
#include "jobs/parts.h"
#include "jobs/hooks.h"
#include "archive/save_private.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/statvfs.h>
#include <syslog.h>

enum {
	FAILURES_TOLD = 3,  /* tries to save in a row that failed, some two minutes */
	TRY_AGAIN = 7,      /* engine_backoff's n, after an outage or a full disk */
	REFUSED_PAUSE = 60, /* seconds, the first after a refusal */
	GIVE_UP_OFTEN = 4,  /* failures shortly after each other that cost nothing
	                       yet */
	GIVE_UP_REST = 2,   /* seconds, then, until a reader costs requests again */
	GIVE_UP_QUICK = 10, /* seconds between those in quick order */
};

static const uint64_t floor_max = 256 << 20;

/* ---- what becomes of it ---------------------------------------------------------- */

/* Lock held. Whoever was told a different size may still use it. */
static void note_size(struct gb_job *job, int64_t size)
{
	if (job->batch->results_size >= 0 && job->batch->results_size != size)
		job->batch->resized = true;
	job->batch->results_size = size;
	job->batch->size_told = false;
}

void save_note_told(struct gb_job *job, struct gb_results *r, int64_t size)
{
	bool proven = results_known_size(r) == size;

	client_lock(job->c);
	if (job->batch->results_size < 0) {
		job->batch->results_size = size;
		job->batch->size_told = !proven;
	}
	client_unlock(job->c);
}

void save_note_proven(struct gb_job *job, struct gb_results *r)
{
	int64_t size = results_known_size(r);

	if (size >= 0 && job->batch->size_told)
		note_size(job, size);
}

int save_note_safe(struct gb_job *job, int64_t size, bool home)
{
	struct gb_client *c = job->c;

	client_lock(c);
	note_size(job, size);
	job->batch->tail = TAIL_UNKNOWN;
	job->batch->cached = !home;
	if (home) {
		job->batch->kept = job->batch->unfit = false;
		job->dir->rec.batch->home = true;
		job->dir->rec.batch->results_size = size;
	}
	client_unlock(c);
	test_point("home-noted");
	int err = home ? job_dir_save(job) : 0;
	job->c->hooks->results_saved(job);
	job_changed(job, GB_CHANGED_RESULTS | GB_CHANGED_FILES);
	return err;
}

/* Lock held. Note that a saved copy is damaged and only a part is left. Returns whether
 * that is new. */
static bool note_refused(
	struct gb_job *job, bool some, unsigned status, char *words_take)
{
	bool part = some && !job->batch->kept && job_was_saved(job);
	bool news = part && !knowledge_has_part(&job->batch->known);

	knowledge_download_refused(&job->batch->known, client_moment(job->c), status,
		part, test_seconds("BATCHFS_TEST_REFUSED_SECONDS", REFUSED_PAUSE));
	free(job->batch->refusal);
	job->batch->refusal = words_take;
	if (part)
		job->dir->rec.batch->home = false;
	return news;
}

/* Opening failed output again and again does not send a request each time; and nothing
 * does before the time that the API named. */
static void note_gave_up(struct gb_job *job, int err, double told)
{
	double now = util_now();

	client_lock(job->c);
	if (now - job->batch->gave_up_at > GIVE_UP_QUICK)
		job->batch->gave_up_often = 0;
	job->batch->gave_up_often++;
	job->batch->gave_up_at = now;
	job->batch->gave_up = err;
	job->batch->gave_up_told = told;
	client_unlock(job->c);
}

/* Lock held. */
static void note_came(struct gb_job *job)
{
	knowledge_download_came(&job->batch->known);
	job->batch->gave_up_told = 0;
}

int save_told_later(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return util_now() < job->batch->gave_up_told ? job->batch->gave_up : 0;
}

void save_spare(struct gb_job *job, struct gb_results *r)
{
	client_lock(job->c);
	bool often = job->batch->gave_up_often >= GIVE_UP_OFTEN;
	double until = fmax(often ? job->batch->gave_up_at + GIVE_UP_REST : 0,
		job->batch->gave_up_told);
	int err = util_now() < until ? job->batch->gave_up : 0;
	client_unlock(job->c);
	if (err)
		results_rest(r, err, until);
}

void save_event(void *arg, struct gb_results *r, enum results_event ev)
{
	struct gb_job *job = arg;
	int64_t size = results_known_size(r);
	bool some = results_some(r), holed = false;
	char *words = NULL;
	unsigned status = ev == RESULTS_REFUSED ? results_refusal(r, &words) : 0;

	if (ev == RESULTS_GAVE_UP) {
		double told;
		int err = results_gave_up(r, &told);

		note_gave_up(job, err, told);
		return;
	}
	client_lock(job->c);
	if (ev == RESULTS_SIZED)
		note_size(job, size);
	else if (ev == RESULTS_FILLED)
		seal_plan(job);
	else if (ev == RESULTS_REFUSED)
		holed = note_refused(job, some, status, words);
	else
		job->batch->checked = false;
	if (ev == RESULTS_SIZED || ev == RESULTS_FILLED)
		note_came(job);
	client_unlock(job->c);
	if (ev == RESULTS_REFUSED)
		save_try_again(job->c);
	if (holed)
		client_log(job->c, LOG_WARNING,
			"results of %s: a part of the saved copy is damaged, and the "
			"API does not send it again (HTTP %u)",
			job_label(job), status);
	if (ev == RESULTS_DAMAGED)
		client_log(job->c, LOG_WARNING,
			"results of %s: the saved copy is damaged; the damaged part is "
			"fetched again",
			job_label(job));
	job_changed(job, GB_CHANGED_RESULTS | GB_CHANGED_FILES);
}

/* ---- bringing home --------------------------------------------------------------- */

/* On a worker. */
static int fetch_blocking(struct gb_results *r)
{
	struct waiter_sync s;

	waiter_sync_init(&s);
	return (int)waiter_sync_end(&s, results_fetch(r, &s.w));
}

int gb_statvfs(struct gb_client *c, struct statvfs *ret)
{
	return fstatvfs(c->store->state, ret) < 0 ? -errno : 0;
}

/* There must still be room for drafts after results have been saved. */
static int room_for(struct gb_client *c, int64_t size)
{
	struct statvfs vfs;

	if (gb_statvfs(c, &vfs))
		return 0;
	uint64_t free = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	uint64_t least = (uint64_t)vfs.f_blocks * vfs.f_frsize / 20;
	if (least > floor_max)
		least = floor_max;
	bool low = free < least + (size > 0 ? (uint64_t)size : 0);
	client_lock(c);
	c->saver->disk_low = low;
	client_unlock(c);
	return low ? -ENOSPC : 0;
}

static int fetch_file(struct gb_job *job)
{
	struct gb_results *r = NULL;
	int err = output_of(job, &r);

	if (!err)
		err = room_for(job->c, results_known_size(r));
	if (!err)
		err = fetch_blocking(r);
	if (!err)
		err = recover_may_replace(job, r);
	if (!err) {
		/* Move what was read before from the cache; does nothing if it is here
		 * already. */
		_cleanup_close_ int dir = job_dir_open(job);

		err = dir < 0 ? dir : results_rehome(r, dir, RESULTS_FILE);
	}
	if (!err)
		err = seal_results(job, r, true);
	results_unref(r);
	return err;
}

static void refused_inline(struct gb_job *job, const struct provider_error *e)
{
	client_lock(job->c);
	note_refused(job, false, (unsigned)e->status, e->text ? strdup(e->text) : NULL);
	client_unlock(job->c);
}

static const char no_inline[] = "The API could not send this job's results.";

/* Write the server's message, and that nothing is lost, to `error`; it is removed once
 * the results have arrived. Not where there is a saved copy, which is only looked at
 * again. */
static void tell_inline(struct gb_job *job, int err, const char *text)
{
	bool told, tell = err == -EIO || err == -ETIMEDOUT;

	client_lock(job->c);
	tell = tell && !job->dir->rec.batch->home;
	told = job->dir->rec.error &&
	       strncmp(job->dir->rec.error, no_inline, strlen(no_inline)) == 0;
	client_unlock(job->c);
	if (tell)
		job_dir_error(job, err, no_inline,
			"The job itself is fine, and its results are stored inside it "
			"at the API. Requests for large ones fail at times. Try again "
			"later: read results.jsonl, or: echo fetch > ctl",
			text);
	else if (told && !err)
		job_dir_error(job, 0, NULL, NULL, NULL);
	if (tell || (told && !err))
		job_changed(job, GB_CHANGED_FILES);
}

static void note_inline(struct gb_job *job, int err, const struct provider_error *e)
{
	client_lock(job->c);
	bool home = job->dir->rec.batch->home;
	client_unlock(job->c);
	if (!home && (err == -ENOENT || err == -EACCES))
		refused_inline(job, e);
	else if (err && e->retry > 0)
		note_gave_up(job, err, util_now() + engine_backoff(1, e->retry));
	if (err == -ENOENT)
		observe_missed(job);
	tell_inline(job, err, e->text);
}

/* Into fd. */
static int request_inline(struct gb_job *job, int fd, int64_t *ret_lines)
{
	struct gb_client *c = job->c;
	struct canceller none = CANCELLER_INIT;
	struct provider_error e = {.retry = -1};
	struct remote_batch b;
	const char *id = job_id_now(job);
	uint64_t seq = observe_seq(c);
	if (!id)
		return -ENOENT;
	int err = provider_inline_output(&c->api, id, fd, &none, &b, ret_lines, &e);

	client_called(c, &e);
	note_inline(job, err, &e);
	provider_error_clear(&e);
	if (err)
		return err;
	bool has = b.output_inline;
	gb_job_unref(observe_batch(c, &b, seq, false));
	remote_batch_clear(&b);
	return has ? 0 : -ENOENT;
}

int save_inline(struct gb_job *job)
{
	struct tally t = {0};
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir < 0)
		return dir;
	_cleanup_close_ int fd = openat(dir, INLINE_FILE,
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = fd < 0 ? -errno : request_inline(job, fd, &t.lines);

	if (!err)
		err = complete_take_inline(job, dir, lseek(fd, 0, SEEK_END), &t);
	unlinkat(dir, INLINE_FILE, 0); /* unless it was published */
	return err;
}

static int download_all(struct gb_job *job)
{
	client_lock(job->c);
	enum gb_output o = job->batch->kept ? job_output_there(job) : job_output(job);
	bool comes = job_output_may_come(job);
	bool is_inline = !job->batch->output_file && o != GB_OUTPUT_SAVED;
	client_unlock(job->c);
	if (o == GB_OUTPUT_NONE || o == GB_OUTPUT_AWAITED)
		return -EBUSY;
	if (!comes && o != GB_OUTPUT_SAVED)
		return o == GB_OUTPUT_DAMAGED ? -EIO : -ENODATA;
	return is_inline ? save_inline(job) : fetch_file(job);
}

static int bring_home(struct gb_job *job)
{
	int err = job->dir ? 0 : job_dir_make(job);

	if (err)
		return err;
	test_point("fetch-begins");
	client_lock(job->c);
	bool home = job->dir->rec.batch->home, more = complete_is_short(job);
	client_unlock(job->c);
	if (!home || more)
		err = home ? complete_look(job) : download_all(job);
	return err ? recover_take_kept(job, err) : 0;
}

int save_in_vain(const struct gb_job *job)
{
	bool told = job->batch->save_failures >= FAILURES_TOLD &&
		    !job->c->offline_since && !save_is_safe(job) &&
		    save_is_possible(job);

	return told ? -job->batch->save_errno : 0;
}

/* Lock held. */
static void count_failure(struct batch *b, int err)
{
	if (err == -ECANCELED)
		return;
	b->save_failures += b->save_failures < UINT8_MAX;
	b->save_errno = (uint8_t)-err;
}

/* Lock held. A refusal has set the time of the next try itself. */
static void note_outcome(struct gb_job *job, int err)
{
	struct moment m = client_moment(job->c);

	if (err)
		count_failure(job->batch, err);
	else
		job->batch->save_failures = 0;
	if (!err) {
		note_came(job);
	} else if (knowledge_fetch_due(&job->batch->known, m)) {
		knowledge_download_failed(&job->batch->known, m,
			engine_backoff(TRY_AGAIN, job->batch->gave_up_told - m.now));
	}
}

static void fetch_over(struct gb_job *job, int err)
{
	struct gb_waitq over;

	waitq_init(&over);
	client_lock(job->c);
	bool told = save_in_vain(job);
	job->batch->fetching = false;
	note_outcome(job, err);
	bool news = told != !!save_in_vain(job);
	job->c->saver->fetches_running--;
	queue_take(job, QUEUE_SAVERS, &over);
	client_unlock(job->c);
	output_rest(job);
	waitq_call(&over, err == -ECANCELED ? -EINTR : err);
	job_changed(job, news ? GB_CHANGED_FILES : 0);
}

static int save_operation_run(struct operation *t)
{
	struct gb_job *job = t->job;
	int err = bring_home(job);

	if (err && err != -ECANCELED)
		client_log(job->c, LOG_WARNING, "results of %s: %s", job_label(job),
			strerror(-err));
	fetch_over(job, err);
	if (err)
		save_try_again(job->c);
	save_next(job->c);
	return 0;
}

/* Lock held. Not while it is being sealed where it is. */
bool save_begin(struct gb_job *job)
{
	client_expect_lock(job->c);
	if (job->batch->fetching || job->batch->sealing)
		return false;
	job->batch->fetching = true;
	job->c->saver->fetches_running++;
	return true;
}

/* save_begin said so. */
int save_run(struct gb_job *job)
{
	int err = operation_start(
		job, POOL_LONG, save_operation_run, false, false, NULL, NULL);

	if (err)
		fetch_over(job, err);
	return err;
}

int gb_part_save_results(struct gb_job *job, struct gb_waiter *w)
{
	struct gb_client *c = job->c;
	bool start = false, seal = false;
	int err = 0;

	client_lock(c);
	enum gb_output o = job_output(job);
	if (c->stopping)
		err = -EINTR;
	else if (job->dir && job->dir->rec.batch->home &&
		 (c->o.offline || !complete_is_short(job)))
		err = 0;
	else if (o == GB_OUTPUT_NONE || o == GB_OUTPUT_AWAITED)
		err = -EBUSY;
	else if (!save_is_possible(job))
		err = o == GB_OUTPUT_DAMAGED ? -EIO : -ENODATA;
	else if (c->o.offline && o != GB_OUTPUT_SAVED && o != GB_OUTPUT_KEPT)
		err = -EHOSTUNREACH;
	else if ((err = queue_add(job, QUEUE_SAVERS, w)) == -EINPROGRESS &&
		 !(start = save_begin(job)))
		seal = job->batch->sealing == SEAL_RESTS && seal_begin(job);
	client_unlock(c);
	if (start)
		save_run(job);
	if (seal)
		seal_start(job);
	return err;
}

/* Lock held. */
static bool part_is_to_save(struct gb_job *part)
{
	return !save_is_safe(part) && save_is_possible(part);
}

/* A few at a time: what is saved by itself wants its turn, too. */
static const struct parts_call saving = {
	.width = 2, .fits = part_is_to_save, .call = gb_part_save_results};

/* Of several all that is there: the rest is saved when it has ended. */
int gb_save_results(struct gb_job *job, struct gb_waiter *w)
{
	bool some = false, any = false;

	client_lock(job->c);
	bool several = parts_several(job);
	for (uint32_t i = 0; several && i < parts_count(job); i++) {
		some |= part_is_to_save(parts_at(job, i));
		any |= save_is_safe(parts_at(job, i));
	}
	client_unlock(job->c);
	if (!several)
		return gb_part_save_results(job, w);
	return some ? parts_each(job, &saving, w) : any ? 0 : -EBUSY;
}

struct saver *saver_new(void)
{
	return calloc(1, sizeof(struct saver));
}

void saver_free(struct saver *s)
{
	free(s);
}

bool saver_disk_low(const struct gb_client *c)
{
	client_expect_lock(c);
	return c->saver->disk_low;
}
