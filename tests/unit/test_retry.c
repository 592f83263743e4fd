/* Asking again in the same directory: rounds by the verb and without a person. What a crash
 * leaves: test_money_retry.c. */
#include "fake_client.h"

#include "jobs/operation.h"
#include "jobs/parts.h"

#include <pthread.h>

#define ASK(k) "{\"key\":\"" k "\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}}\n"
#define SAYS(k, text)                                                                  \
	"{\"key\":\"" k "\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"    \
	"[{\"text\":\"" text "\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":"    \
	"{\"promptTokenCount\":3,\"candidatesTokenCount\":4}}}\n"
#define FAILS(k) "{\"key\":\"" k "\",\"error\":{\"code\":13,\"message\":\"no\"}}\n"
#define WRONG(k) "{\"key\":\"" k "\",\"error\":{\"code\":3,\"message\":\"bad\"}}\n"

static const char four[] = ASK("a") ASK("b") ASK("c") ASK("d");

static struct gb_job *submitted(const char *split)
{
	struct gb_job *dir = make_draft("job", four);

	if (split)
		assert_int_equal(gb_draft_set_split(dir, split), 0);
	assert_int_equal(BLOCKING(gb_submit, dir, GB_BY_CTL), 0);
	return dir;
}

static void await_made(unsigned n)
{
	for (double until = util_now() + 60; fake_made(&fake) < n && util_now() < until;)
		usleep(1000);
	assert_int_equal(fake_made(&fake), n);
}

static int list_now(struct gb_client *c, struct gb_waiter *w)
{
	return gb_list_refresh(c, GB_LIST_FRESH, w);
}

static bool is_seen_ended(const struct fake_job *j)
{
	client_lock(client);
	struct gb_job *job = job_find_id(client, j->id);
	bool ended = job && knowledge_ended(&job->batch->known);
	client_unlock(client);
	return ended;
}

/* The nth job ends with these results; NULL: it fails. */
static void end_job(unsigned n, const char *results)
{
	struct fake_job *j = fake_job(&fake, n);

	j->answers = results;
	fake_end(&fake, j, results ? REMOTE_STATE_SUCCEEDED : REMOTE_STATE_FAILED);
	/* A look that was under way may have been too early. */
	for (double until = util_now() + 60; !is_seen_ended(j) && util_now() < until;)
		assert_int_equal(BLOCKING(list_now, client), 0);
	assert_true(is_seen_ended(j));
}

static char *file_of(struct gb_job *job, enum gb_answers_file what)
{
	struct gb_answers *a;
	struct waiter_sync s;
	char *text = calloc(1, 1 << 16);
	int err;

	do {
		waiter_sync_init(&s);
		err = gb_answers_open(job, &s.w, &a);
		if (err == -EINPROGRESS && !(err = waiter_sync_wait(&s)))
			err = -EINPROGRESS;
	} while (err == -EINPROGRESS);
	assert_int_equal(err, 0);
	assert_true(gb_answers_read(a, what, 0, 0, text, (1 << 16) - 1, NULL) >= 0);
	gb_answers_close(a);
	return text;
}

static void expect_file(struct gb_job *job, enum gb_answers_file what, const char *want)
{
	char *got = file_of(job, what);

	assert_string_equal(got, want);
	free(got);
}

static void expect_usage(struct gb_job *job, const char *line)
{
	char *got = file_of(job, GB_ANSWERS_USAGE);

	assert_non_null(strstr(got, line));
	free(got);
}

static bool may_retry(struct gb_job *job)
{
	return gb_verbs(job) & GB_RETRY;
}

static bool is_at_work(struct gb_job *dir)
{
	client_lock(client);
	bool any = dir->dir->task;
	for (uint32_t i = 0; i < parts_count(dir); i++)
		any |= parts_at(dir, i)->dir->task != NULL;
	client_unlock(client);
	return any;
}

/* At once, whoever is still at work on what has ended. */
static void retry(struct gb_job *job)
{
	assert_true(may_retry(job));
	assert_int_equal(BLOCKING(gb_retry, job), 0);
}

static struct gb_job *found(void)
{
	struct gb_job *job = gb_job_by_name(client, "job");

	assert_non_null(job);
	return job;
}

static void await_index(struct gb_job *job)
{
	assert_int_equal(BLOCKING(gb_job_settle, job), 0);
	free(file_of(job, GB_ANSWERS_USAGE));
}

/* ---- the verb ----------------------------------------------------------------------- */

static void rounds_of(const char *split, unsigned first)
{
	struct gb_job *dir = submitted(split);

	await_made(first);
	assert_false(may_retry(dir));
	assert_int_equal(BLOCKING(gb_retry, dir), -EBUSY);
	if (first == 2) {
		end_job(1, FAILS("c") WRONG("d"));
		assert_false(may_retry(dir));
	}
	end_job(0, first == 2 ? SAYS("a", "A") FAILS("b")
			      : SAYS("a", "A") FAILS("b") FAILS("c") WRONG("d"));
	await_index(dir);
	expect_file(dir, GB_ANSWERS_RETRY, ASK("b") ASK("c"));
	retry(dir);
	expect_file(dir, GB_ANSWERS_RETRY, "");
	assert_false(may_retry(dir));
	assert_int_equal(BLOCKING(gb_retry, dir), -EBUSY);
	unsigned now = split && strcmp(split, "1") == 0 ? first + 2 : first + 1;
	await_made(now);
	assert_string_equal(fake_job(&fake, first)->requests, ASK("b") ASK("c"));
	assert_string_equal(fake_job(&fake, first)->display,
		first == 2 ? "job [part 3]" : "job [part 2]");
	end_job(first, FAILS("c") SAYS("b", "B"));
	await_index(dir);
	expect_file(dir, GB_ANSWERS_RETRY, ASK("c"));
	/* Another, after a restart. */
	gb_job_unref(dir);
	reopen();
	dir = found();
	assert_int_equal(BLOCKING(gb_answers_look, dir), 0);
	retry(dir);
	await_made(now + 1);
	assert_string_equal(fake_job(&fake, now)->requests, ASK("c"));
	end_job(now, SAYS("c", "C"));
	await_index(dir);
	expect_file(dir, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\n"
		"d\tfailed\tINVALID_ARGUMENT (3): bad\n");
	expect_usage(dir, "total_token_count 21\n");
	assert_false(may_retry(dir));
	assert_int_equal(BLOCKING(gb_retry, dir), -EBUSY);
	gb_job_unref(dir);
}

static void test_bought_whole(void **state)
{
	rounds_of("none", 1);
}

static void test_cut(void **state)
{
	rounds_of("2", 2);
}

/* Somebody is still at work on a job, whom the end has overtaken. */
struct at_work {
	struct gb_job *job;
	struct operation op;
	pthread_t thread;
};

static void *leave_soon(void *arg)
{
	struct at_work *w = arg;

	usleep(50000);
	client_lock(client);
	w->job->dir->task = NULL;
	client_unlock(client);
	return NULL;
}

static void be_at_work(struct at_work *w, struct gb_job *job)
{
	*w = (struct at_work){.job = job};
	client_lock(client);
	assert_null(job->dir->task);
	job->dir->task = &w->op;
	client_unlock(client);
	assert_int_equal(pthread_create(&w->thread, NULL, leave_soon, w), 0);
}

/* The verb waits for him, and who is interrupted meanwhile buys nothing. */
static void test_at_work(void **state)
{
	struct gb_job *dir = submitted("2");
	struct at_work on_dir, on_part;
	struct waiter_sync s;

	await_made(2);
	end_job(0, SAYS("a", "A") FAILS("b"));
	end_job(1, SAYS("c", "C") SAYS("d", "D"));
	await_index(dir);
	while (is_at_work(dir))
		usleep(1000);
	be_at_work(&on_part, part_of(dir, 1));
	waiter_sync_init(&s);
	assert_int_equal(gb_retry(dir, &s.w), -EINPROGRESS);
	assert_true(gb_waiter_drop(&s.w));
	pthread_join(on_part.thread, NULL);
	be_at_work(&on_part, part_of(dir, 1));
	be_at_work(&on_dir, dir);
	retry(dir);
	pthread_join(on_part.thread, NULL);
	pthread_join(on_dir.thread, NULL);
	await_made(3);
	assert_string_equal(fake_job(&fake, 2)->requests, ASK("b"));
	usleep(20000);
	assert_int_equal(fake_made(&fake), 3);
	gb_job_unref(dir);
}

/* Nothing came of it at all. */
static void test_failed_whole(void **state)
{
	struct gb_job *dir = submitted(NULL);

	await_made(1);
	end_job(0, NULL);
	await_state(dir, "JOB_STATE_FAILED");
	retry(dir);
	await_made(2);
	assert_string_equal(fake_job(&fake, 1)->requests, four);
	end_job(1, SAYS("a", "A") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
	await_index(dir);
	expect_file(dir, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\nd\tanswered\tD\n");
	assert_false(may_retry(dir));
	gb_job_unref(dir);
}

/* A round has as many parts as its user wants requests in one; all of them are there
 * before any is sent. */
static void test_round_is_cut(void **state)
{
	struct gb_job *dir = submitted("2");

	await_made(2);
	end_job(0, FAILS("a") FAILS("b"));
	end_job(1, FAILS("c") SAYS("d", "D"));
	await_index(dir);
	retry(dir);
	await_made(4);
	for (unsigned i = 2; i < 4; i++) {
		struct fake_job *j = fake_job(&fake, i);

		assert_string_equal(j->requests,
			strcmp(j->display, "job [part 3]") ? ASK("c") : ASK("a") ASK("b"));
	}
	gb_job_unref(dir);
}

static char *many_lines(int n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < n; i++)
		fprintf(f,
			"{\"key\":\"k%d\",\"request\":{\"contents\":[{\"parts\":[{"
			"\"text\":\"%*d\"}]}]}}\n",
			i, i * 31 % 70, i);
	fclose(f);
	return text;
}

/* A round that never fits is made smaller, too: each line of it is in one job. */
static void test_round_never_fits(void **state)
{
	char *text = many_lines(500);
	struct gb_job *dir = make_draft("job", text);

	assert_int_equal(BLOCKING(gb_submit, dir, GB_BY_CTL), 0);
	await_made(1);
	end_job(0, NULL);
	await_state(dir, "JOB_STATE_FAILED");
	fake.takes_bytes = strlen(text) / 3;
	fake.ends_at_once = true;
	retry(dir);
	await_state(dir, "JOB_STATE_PARTIALLY_SUCCEEDED");
	assert_true(fake_made(&fake) >= 4 && fake_made(&fake) <= 6);
	for (int k = 0; k < 500; k++) {
		unsigned n = 0;
		char key[16];

		snprintf(key, sizeof(key), "\"k%d\"", k);
		for (unsigned i = 1; i < fake_made(&fake); i++)
			n += strstr(fake_job(&fake, i)->requests, key) != NULL;
		assert_int_equal(n, 1);
	}
	await_index(dir);
	expect_file(dir, GB_ANSWERS_RETRY, "");
	gb_job_unref(dir);
	free(text);
}

static void test_other_key(void **state)
{
	struct gb_job *dir = submitted(NULL);

	await_made(1);
	end_job(0, FAILS("a") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
	await_index(dir);
	gb_job_unref(dir);
	fake_options.key = "another-key";
	reopen();
	dir = found();
	assert_int_equal(BLOCKING(gb_retry, dir), -EACCES);
	usleep(20000);
	assert_int_equal(fake_made(&fake), 1);
	gb_job_unref(dir);
	fake_options.key = NULL;
}

/* Refused for good: nothing is left of the round, and it can be asked for again. */
static void test_refused(void **state)
{
	struct gb_job *dir = submitted(NULL);

	await_made(1);
	end_job(0, FAILS("a") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
	await_index(dir);
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
	retry(dir);
	/* What was refused is given up. */
	for (double until = util_now() + 60; !may_retry(dir) && util_now() < until;)
		usleep(1000);
	assert_true(may_retry(dir));
	expect_file(dir, GB_ANSWERS_RETRY, ASK("a"));
	char *error = gb_job_error(dir);
	assert_non_null(error);
	free(error);
	retry(dir);
	await_made(2);
	error = gb_job_error(dir);
	assert_null(error);
	gb_job_unref(dir);
}

/* Cancelled before it was sent, or while it runs: no part of that round is bought, a
 * later round is. */
static void test_cancelled(void **state)
{
	struct gb_job *dir = submitted(NULL);
	struct gb_job *part;

	await_made(1);
	end_job(0, FAILS("a") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
	await_index(dir);
	fake.takes_bytes = 1;
	retry(dir);
	await_state(dir, "QUEUED");
	assert_int_equal(BLOCKING(gb_cancel, dir), 0);
	fake.takes_bytes = 0;
	for (double until = util_now() + 60;
		(part = gb_job_part(dir, 2)) && util_now() < until; gb_job_unref(part))
		usleep(1000);
	assert_null(part);
	usleep(20000);
	assert_int_equal(fake_made(&fake), 1);
	expect_file(dir, GB_ANSWERS_RETRY, ASK("a"));
	retry(dir);
	await_made(2);
	gb_job_unref(dir);
}

/* ---- without a person ----------------------------------------------------------------- */

static atomic_uint ends;

static void on_ended(void *arg, struct gb_job *job)
{
	ends++;
}

static void with_retries(int n)
{
	fake_options.retries = n;
	fake_options.ended = on_ended;
	ends = 0;
	reopen();
}

static void test_in_vain(void **state)
{
	with_retries(2);
	struct gb_job *dir = submitted(NULL);
	struct waiter_sync s;

	waiter_sync_init(&s);
	assert_int_equal(gb_job_wait(dir, &s.w), -EINPROGRESS);
	await_made(1);
	end_job(0, FAILS("a") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
	for (unsigned i = 1; i < 3; i++) {
		await_made(i + 1);
		assert_false(s.over);
		assert_int_equal(ends, 0);
		assert_string_equal(fake_job(&fake, i)->requests, ASK("a"));
		end_job(i, FAILS("a"));
	}
	assert_int_equal(waiter_sync_wait(&s), 0);
	await_index(dir);
	usleep(50000);
	assert_int_equal(fake_made(&fake), 3);
	assert_int_equal(ends, 1);
	/* A person may. */
	assert_true(may_retry(dir));
	assert_int_equal(BLOCKING(gb_job_wait, dir), 0);
	gb_job_unref(dir);
}

/* What is answered before is the end; and so is that of a directory that needs none. */
static void test_answered(void **state)
{
	with_retries(9);
	for (unsigned i = 0; i < 2; i++) {
		struct gb_job *dir = submitted(NULL);

		await_made(1);
		if (i) {
			end_job(0, FAILS("a") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
			await_made(2);
			end_job(1, SAYS("a", "A"));
		} else {
			end_job(0, SAYS("a", "A") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
		}
		assert_int_equal(BLOCKING(gb_job_wait, dir), 0);
		await_index(dir);
		usleep(20000);
		assert_int_equal(fake_made(&fake), 1 + i);
		assert_int_equal(ends, 1);
		expect_file(dir, GB_ANSWERS_TSV,
			"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\nd\tanswered\tD\n");
		client_lock(client);
		assert_int_equal(dir->dir->rec.retries_left, 0);
		client_unlock(client);
		gb_job_unref(dir);
		fake_teardown(state);
		fake_setup(state);
		with_retries(9);
	}
}

/* The next start goes on with it, and not with directories that were not submitted so. */
static void test_restarts(void **state)
{
	struct gb_job *old = make_draft("old", four);

	assert_int_equal(BLOCKING(gb_submit, old, GB_BY_CTL), 0);
	await_made(1);
	end_job(0, FAILS("a") FAILS("b") FAILS("c") FAILS("d"));
	await_index(old);
	gb_job_unref(old);
	setenv("BATCHFS_TEST_RETRY_SECONDS", "3600", 1);
	with_retries(1);
	struct gb_job *dir = submitted(NULL);
	await_made(2);
	end_job(1, FAILS("a") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
	await_index(dir);
	assert_true(may_retry(dir));
	gb_job_unref(dir);
	setenv("BATCHFS_TEST_RETRY_SECONDS", "0.01", 1);
	reopen();
	dir = found();
	await_made(3);
	assert_string_equal(fake_job(&fake, 2)->display, "job [part 2]");
	end_job(2, SAYS("a", "A"));
	assert_int_equal(BLOCKING(gb_job_wait, dir), 0);
	usleep(20000);
	assert_int_equal(fake_made(&fake), 3);
	gb_job_unref(dir);
}

/* Between two rounds: a person does not want another. */
static void test_stopped(void **state)
{
	setenv("BATCHFS_TEST_RETRY_SECONDS", "3600", 1);
	with_retries(3);
	struct gb_job *dir = submitted(NULL);
	struct waiter_sync s;

	waiter_sync_init(&s);
	await_made(1);
	end_job(0, FAILS("a") SAYS("b", "B") SAYS("c", "C") SAYS("d", "D"));
	await_index(dir);
	assert_int_equal(gb_job_wait(dir, &s.w), -EINPROGRESS);
	assert_true(gb_verbs(dir) & GB_CANCEL);
	assert_int_equal(BLOCKING(gb_cancel, dir), 0);
	assert_int_equal(waiter_sync_wait(&s), 0);
	assert_false(gb_verbs(dir) & GB_CANCEL);
	assert_true(may_retry(dir));
	setenv("BATCHFS_TEST_RETRY_SECONDS", "0.01", 1);
	gb_job_unref(dir);
	reopen();
	usleep(50000);
	assert_int_equal(fake_made(&fake), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_bought_whole),
		FAKE_CASE(test_cut), FAKE_CASE(test_at_work),
		FAKE_CASE(test_failed_whole),
		FAKE_CASE(test_round_is_cut), FAKE_CASE(test_round_never_fits),
		FAKE_CASE(test_other_key), FAKE_CASE(test_refused),
		FAKE_CASE(test_cancelled), FAKE_CASE(test_in_vain),
		FAKE_CASE(test_answered), FAKE_CASE(test_restarts),
		FAKE_CASE(test_stopped)};

	hurry_parts();
	setenv("BATCHFS_TEST_RETRY_SECONDS", "0.01", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
