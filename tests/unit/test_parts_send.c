/* A directory whose requests go as several jobs: cut, bought in order, fitted to quotas, and
 * what becomes of failures. What a crash leaves: test_money_parts.c. */
#include "fake_parts.h"

#include "submit/parts_send.h"

/* ---- all is well -------------------------------------------------------------------- */

static void buy_in(int n, const char *split, unsigned jobs)
{
	struct gb_job *job = draft_of(n, split);

	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	assert_true(fake_made(&fake) >= 1);
	if (jobs > 1)
		await_all(job);
	assert_bought(n, jobs);
	gb_job_unref(job);
}

static void test_numbers(void **state)
{
	static const struct {
		int n;
		const char *split;
		unsigned jobs;
	} rows[] = {{10, "3", 4}, {10, "5", 2}, {10, "10", 1}, {10, "11", 1},
		{10, "1", 10}, {10, "none", 1}, {10, "auto", 1}, {10, NULL, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buy_in(rows[i].n, rows[i].split, rows[i].jobs);
		fake_teardown(state);
		fake_setup(state);
	}
}

static void test_names(void **state)
{
	buy_in(4, "2", 2);
	assert_string_equal(fake_job(&fake, 0)->display, "job [part 1]");
	assert_string_equal(fake_job(&fake, 1)->display, "job [part 2]");
}

static void test_split_texts(void **state)
{
	static const char *const bad[] = {"", "0", "-1", "many", "1x", "99999999999999999999",
		"Auto", " 3"};
	struct gb_job *job = draft_of(3, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(gb_draft_set_split(job, bad[i]), -EINVAL);
	assert_int_equal(gb_draft_set_split(job, "none"), 0);
	gb_job_unref(job);
}

static void test_too_many(void **state)
{
	struct gb_job *job = draft_of(10001, "1");

	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EINVAL);
	assert_int_equal(fake_made(&fake), 0);
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	assert_string_equal(state_of_job(job), "DRAFT");
	char *error = gb_job_error(job);
	assert_non_null(strstr(error, "10001 jobs"));
	free(error);
	gb_job_unref(job);
}

/* Lines that are not sent as they are are cut where they are sent. */
static void test_other_lines(void **state)
{
	struct gb_job *job = make_draft("job",
		"{\"contents\":[{\"parts\":[{\"text\":\"a\"}]}]}\r\n\n"
		"{\"request\":{\"contents\":[{\"parts\":[{\"text\":\"b\"}]}]}}\n"
		"{\"contents\":[{\"parts\":[{\"text\":\"c\"}]}]}");

	assert_int_equal(gb_draft_set_split(job, "2"), 0);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	await_all(job);
	assert_int_equal(fake_made(&fake), 2);
	assert_string_equal(fake_job(&fake, 0)->requests,
		"{\"key\":\"1\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"a\"}]}]}}\n"
		"{\"key\":\"3\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"b\"}]}]}}\n");
	assert_string_equal(fake_job(&fake, 1)->requests,
		"{\"key\":\"4\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"c\"}]}]}}\n");
	gb_job_unref(job);
}

/* A name whose parts another machine bought is taken. */
static void test_names_of_others(void **state)
{
	struct gb_job *job;

	fake_stranger(&fake, "theirs [part 3]");
	fake_stranger(&fake, "like [part x]");
	see_all();
	assert_int_equal(gb_draft_create(client, "theirs", true, &job), -EEXIST);
	assert_int_equal(gb_draft_create(client, "like", true, &job), 0);
	assert_int_equal(gb_draft_rename(job, "theirs", true), -EEXIST);
	assert_int_equal(gb_draft_rename(job, "their", true), 0);
	gb_job_unref(job);
	/* One that was made while no list could be had. */
	assert_int_equal(gb_draft_create(client, "late", false, &job), 0);
	fake_stranger(&fake, "late [part 1]");
	char *text = lines_of(3);
	struct gb_file *f;
	assert_int_equal(gb_file_create(job, NULL, GB_REQUESTS, true, &f), 0);
	assert_int_equal(gb_file_write(f, text, strlen(text), 0), 0);
	gb_file_settle(f);
	gb_file_unref(f);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EEXIST);
	free(text);
	gb_job_unref(job);
}

/* ---- failures --------------------------------------------------------------------------- */

static void test_first_refused(void **state)
{
	struct gb_job *job = draft_of(10, "3");

	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EINVAL);
	assert_string_equal(state_of_job(job), "SUBMIT_FAILED");
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429, .times = 4});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EDQUOT);
	assert_int_equal(fake_made(&fake), 0);
	assert_int_equal(fake_uploads(&fake), 0);
	fake_script(&fake, FAKE_UPLOAD_BYTES, (struct fake_answer){FAKE_STATUS, 400});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EINVAL);
	gb_job_unref(job);
	reopen();
	job = found();
	assert_true(!strcmp(state_of_job(job), "DRAFT") ||
		    !strcmp(state_of_job(job), "SUBMIT_FAILED"));
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	await_all(job);
	assert_bought(10, 4);
	gb_job_unref(job);
}

/* Nobody knows whether the first was made: no other is, until that is settled. */
static void test_first_lost(void **state)
{
	for (int made = 0; made < 2; made++) {
		/* One that was made is found, however long that takes. */
		setenv("BATCHFS_TEST_CLOSE_SECONDS", made ? "60" : "0.05", 1);
		struct gb_job *job = draft_of(10, "3");

		fake_script(&fake, FAKE_CREATE,
			(struct fake_answer){made ? FAKE_LOST_AFTER : FAKE_LOST_BEFORE});
		int ret = BLOCKING(gb_submit, job, GB_BY_CTL);
		assert_true(ret == (made ? 0 : -EIO));
		if (!made) {
			assert_string_equal(state_of_job(job), "SUBMITTING");
			usleep(50000);
			assert_int_equal(fake_made(&fake), 0);
			assert_int_equal(BLOCKING(gb_resubmit, job), 0);
		}
		await_all(job);
		assert_bought(10, 4);
		gb_job_unref(job);
		fake_teardown(state);
		fake_setup(state);
	}
}

/* One of the others does not hold up the rest. */
static void test_third_lost(void **state)
{
	struct gb_job *job = draft_of(8, "1");

	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK, .times = 2});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_LOST_AFTER});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	await_all(job);
	assert_bought(8, 8);
	gb_job_unref(job);
}

/* A later refusal: what is bought stays, and the rest is bought when a person says so. */
static void test_third_refused(void **state)
{
	struct gb_job *job = draft_of(8, "1");

	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK, .times = 2});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	for (bool dropped = false; !dropped;) {
		client_lock(client);
		dropped = job->dir->rec.rest_dropped;
		client_unlock(client);
	}
	gb_job_unref(job);
	reopen();
	job = found();
	assert_int_equal(fake_made(&fake), 2);
	assert_int_equal(parts_of(job), 2);
	char *error = gb_job_error(job);
	assert_non_null(strstr(error, "2 parts"));
	free(error);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	await_all(job);
	assert_bought(8, 8);
	gb_job_unref(job);
}

static void test_stop(void **state)
{
	struct gb_job *job = draft_of(8, "1");

	fake.takes_jobs = 3;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	while (fake_count(&fake, FAKE_CREATE) < 4)
		usleep(1000);
	assert_int_equal(parts_stop(job), 0);
	fake.takes_jobs = 0;
	gb_job_unref(job);
	reopen();
	job = found();
	usleep(50000);
	assert_int_equal(fake_made(&fake), 3);
	assert_int_equal(parts_of(job), 3);
	gb_job_unref(job);
}

/* ---- quotas --------------------------------------------------------------------------------- */

/* In the background, jobs end one after the other. */
static void test_two_at_a_time(void **state)
{
	struct gb_job *job = draft_of(10, "1");

	fake.takes_jobs = 2;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
	for (unsigned i = 0; i < 10; i++) {
		while (fake_made(&fake) < (i + 2 < 10 ? i + 2 : 10))
			usleep(1000);
		fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_SUCCEEDED);
		see_all();
	}
	await_all(job);
	assert_bought(10, 10);
	gb_job_unref(job);
}

static void too_large(const char *split, enum gb_by by, const char *text)
{
	struct gb_job *job = draft_of(2000, split);

	fake.takes_bytes = 40000;
	fake.quota_text = text;
	fake.ends_at_once = true;
	assert_int_equal(BLOCKING(gb_submit, job, by), 0);
	await_all(job);
	assert_bought(2000, fake_made(&fake));
	assert_true(fake_made(&fake) > 3 && fake_made(&fake) < 20);
	gb_job_unref(job);
}

/* The next directory, after a restart, begins with what fits: of so many creates and jobs
 * before, none of its own is refused. */
static void next_fits_at_once(unsigned creates, unsigned made)
{
	char *text = lines_of(2000);

	reopen();
	struct gb_job *next = make_draft("next", text);
	assert_int_equal(BLOCKING(gb_submit, next, GB_BY_CTL), 0);
	await_all(next);
	assert_int_equal(fake_count(&fake, FAKE_CREATE) - creates, fake_made(&fake) - made);
	free(text);
	gb_job_unref(next);
}

/* Nothing as large is ever taken: halved, and remembered. */
static void test_never_fits(void **state)
{
	static const char *const splits[] = {"auto", "1500", NULL};

	for (int i = 0; i < 6; i++) {
		too_large(splits[i / 2], i % 2 ? GB_BY_QUEUE : GB_BY_CTL,
			i % 3 ? NULL : "Too many enqueued tokens.");
		unsigned creates = fake_count(&fake, FAKE_CREATE), made = fake_made(&fake);
		assert_true(creates > made);
		next_fits_at_once(creates, made);
		fake_teardown(state);
		fake_setup(state);
	}
}

/* Somebody else's job of that model may be why: nothing is halved. */
static void test_others_count(void **state)
{
	struct gb_job *job = draft_of(2000, NULL);

	fake_stranger(&fake, "other");
	fake.takes_bytes = 40000;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EDQUOT);
	assert_int_equal(fake_made(&fake), 1);
	assert_int_equal(fake_uploads(&fake), 0);
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	await_all(job);
	gb_job_unref(job);
}

/* The API shows the name behind an alias: jobs of that name are of the same model, others are
 * not, once it is known; until then all of them may be. */
static void test_alias(void **state)
{
	struct gb_job *job = draft_of(2000, NULL);

	fake.takes_bytes = 60000;
	fake.ends_at_once = true;
	fake.alias_of = "gemini-9";
	struct fake_job *other = fake_stranger(&fake, "other");
	other->model = (char *)"gemini-other";
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	await_all(job);
	/* Two refusals were sat out. */
	assert_true(fake_count(&fake, FAKE_CREATE) >= fake_made(&fake) - 1 + 3);
	gb_job_unref(job);

	fake_end(&fake, other, REMOTE_STATE_SUCCEEDED);
	reopen();
	other = fake_stranger(&fake, "of the same");
	other->model = (char *)"gemini-9";
	see_all();
	char *text = lines_of(1000);
	job = make_draft("next", text);
	fake.takes_bytes = 20000;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EDQUOT);
	expect_error(job, "1 of gemini-flash-latest is unfinished");
	fake_end(&fake, other, REMOTE_STATE_SUCCEEDED);
	fake_stranger(&fake, "another")->model = (char *)"gemini-other";
	unsigned creates = fake_count(&fake, FAKE_CREATE), made = fake_made(&fake);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	await_all(job);
	assert_true(fake_count(&fake, FAKE_CREATE) - creates - (fake_made(&fake) - made) <= 2);
	free(text);
	gb_job_unref(job);
}

/* What a person can do about it. */
static void test_quota_texts(void **state)
{
	static const struct {
		const char *split, *api, *words;
	} rows[] = {{"none", NULL, "echo auto > split"},
		{"80", NULL, "echo N > split"},
		{"auto", "Too many enqueued tokens.", "unfinished at a time"},
		{"auto", "You exceeded your spend-based rate limit.", "Wait ten minutes"},
		{"auto", "Your prepayment credits are depleted.", "waiting does not help"},
		{"auto", NULL, "echo queue > ctl"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gb_job *job = draft_of(90, rows[i].split);

		fake_script(&fake, FAKE_CREATE,
			(struct fake_answer){
				FAKE_STATUS, 429, .text = rows[i].api, .times = 4});
		assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EDQUOT);
		assert_string_equal(state_of_job(job), "SUBMIT_FAILED");
		expect_error(job, rows[i].words);
		gb_job_unref(job);
		fake_teardown(state);
		fake_setup(state);
	}
}

/* What is missing here is not missing at the API. */
static void test_missing_here(void **state)
{
	struct gb_job *job = draft_of(4, "2");
	char command[600];

	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429, .times = 60});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
	while (fake_count(&fake, FAKE_CREATE) < 2)
		usleep(1000);
	/* Other names there come and go meanwhile, so find may fail in the end. */
	snprintf(command, sizeof(command),
		"find %s -name requests.jsonl -delete 2>/dev/null; ! ls %s/jobs/*/files/"
		"requests.jsonl 2>/dev/null", state_dir, state_dir);
	assert_int_equal(system(command), 0);
	for (bool dropped = false; !dropped; usleep(1000)) {
		client_lock(client);
		dropped = job->dir->rec.rest_dropped;
		client_unlock(client);
	}
	double until = util_now() + 60;
	char *error = NULL;
	while (util_now() < until && !(error && strstr(error, "of these requests"))) {
		free(error);
		error = gb_job_error(job);
	}
	assert_non_null(error);
	assert_null(strstr(error, "no such model"));
	assert_non_null(strstr(error, strerror(ENOENT)));
	free(error);
	gb_job_unref(job);
}

/* A rate, or money, is no size, as long as it may pass. */
static void test_no_size(void **state)
{
	static const struct fake_answer answers[] = {
		{FAKE_STATUS, 429, .retry = 0.01, .times = 4, .text = "12 requests per minute."},
		{FAKE_STATUS, 429, .text = "You exceeded your spend-based rate limit."},
		{FAKE_STATUS, 429, .text = "Your prepayment credits are depleted."}};
	struct gb_job *job = draft_of(2000, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		fake_script(&fake, FAKE_CREATE, answers[i]);
		assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EDQUOT);
		fake_unscript(&fake, FAKE_CREATE);
		assert_int_equal(fake_made(&fake), 0);
		assert_string_equal(state_of_job(job), "SUBMIT_FAILED");
	}
	gb_job_unref(job);
}

/* What names a time, or money, once or twice: all of it as one job. What goes on after that
 * was sat out is about the size after all. */
static void test_no_size_for_a_time(void **state)
{
	static const char money[] = "You exceeded your spend-based rate limit.";
	static const struct {
		struct fake_answer answer;
		enum gb_by by;
		unsigned jobs;
	} rows[] = {{{FAKE_STATUS, 429, .retry = 0.01, .times = 2}, GB_BY_CTL, 1},
		{{FAKE_STATUS, 429, .retry = 0.01, .times = 3}, GB_BY_CTL, 2},
		{{FAKE_STATUS, 429, .retry = 0.01, .times = 2}, GB_BY_QUEUE, 1},
		{{FAKE_STATUS, 429, .retry = 0.01, .times = 3}, GB_BY_QUEUE, 2},
		{{FAKE_STATUS, 429, .text = money, .retry = 0.01}, GB_BY_QUEUE, 1},
		{{FAKE_STATUS, 429, .text = money, .retry = 0.01, .times = 2}, GB_BY_QUEUE, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gb_job *job = draft_of(2000, NULL);

		fake_script(&fake, FAKE_CREATE, rows[i].answer);
		assert_int_equal(BLOCKING(gb_submit, job, rows[i].by), 0);
		while (fake_made(&fake) < rows[i].jobs)
			usleep(1000);
		if (rows[i].jobs > 1)
			await_all(job);
		assert_bought(2000, rows[i].jobs);
		gb_job_unref(job);
		fake_teardown(state);
		fake_setup(state);
	}
}

/* Whether money may be why, as something was bought a moment ago: it goes on all the same,
 * and what was taken since proves that it was the size. */
static void test_never_fits_just_after(void **state)
{
	setenv("BATCHFS_TEST_MONEY_SECONDS", "600", 1);
	for (int by = 0; by < 2; by++) {
		struct gb_job *small = make_draft("small", "{\"contents\":[]}\n");

		assert_int_equal(BLOCKING(gb_submit, small, GB_BY_CTL), 0);
		fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
		see_all();
		gb_job_unref(small);
		struct gb_job *job = draft_of(2000, NULL);
		fake.takes_bytes = 40000;
		fake.ends_at_once = true;
		assert_int_equal(
			BLOCKING(gb_submit, job, by ? GB_BY_QUEUE : GB_BY_CTL), 0);
		await_all(job);
		unsigned creates = fake_count(&fake, FAKE_CREATE), made = fake_made(&fake);
		assert_true(creates - made <= 3);
		gb_job_unref(job);
		/* That it was the size is durable. */
		next_fits_at_once(creates, made);
		fake_teardown(state);
		fake_setup(state);
	}
	setenv("BATCHFS_TEST_MONEY_SECONDS", "0", 1);
}

/* Nothing is made smaller than a hundred requests, and what has more is. */
static void test_least(void **state)
{
	char *most = lines_of(110);

	for (int by = 0; by < 2; by++) {
		struct gb_job *job = draft_of(170, by ? "auto" : "160");

		fake.takes_bytes = strlen(most);
		fake.ends_at_once = true;
		assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
		await_all(job);
		assert_bought(170, 2);
		gb_job_unref(job);
		fake_teardown(state);
		fake_setup(state);
	}
	free(most);
}

/* The last part is no crumb. */
static void test_even(void **state)
{
	static const size_t takes[] = {40000, 31000, 77000, 90500, 120000};

	for (size_t i = 0; i < ARRAY_SIZE(takes); i++) {
		struct gb_job *job = draft_of(2000, NULL);

		fake.takes_bytes = takes[i];
		fake.ends_at_once = true;
		assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
		await_all(job);
		for (unsigned n = 0; n < fake_made(&fake); n++)
			assert_true(fake_job(&fake, n)->n_requests >= 100);
		assert_bought(2000, fake_made(&fake));
		gb_job_unref(job);
		fake_teardown(state);
		fake_setup(state);
	}
}

/* A part that may be there waits for its person, who is told which it is. The others are
 * made smaller meanwhile; and so is that one once it is sent again. */
static void test_uncertain_never_fits(void **state)
{
	setenv("BATCHFS_TEST_SETTLE_SECONDS", "0.01", 1);
	struct gb_job *job = draft_of(1200, "300");

	fake.ends_at_once = true;
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_LOST_BEFORE});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
	struct gb_job *second;
	while (!(second = gb_job_part(job, 2)))
		usleep(1000);
	gb_job_unref(second);
	fake.takes_bytes = strlen(fake_job(&fake, 0)->requests) * 2 / 3;
	while (strcmp(state_of_job(job), "SUBMIT_UNCERTAIN") != 0)
		usleep(1000);
	while (fake_made(&fake) < 5)
		usleep(1000);
	expect_error(job, "One part is uncertain, parts/0002");
	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	await_all(job);
	assert_bought(1200, fake_made(&fake));
	gb_job_unref(job);
	setenv("BATCHFS_TEST_SETTLE_SECONDS", "600", 1);
}

/* `cancel` stops what is not bought; after it `resubmit` is still how the part that may be
 * there is settled. */
static void test_uncertain_after_cancel(void **state)
{
	setenv("BATCHFS_TEST_SETTLE_SECONDS", "0.01", 1);
	struct gb_job *job = draft_of(1200, "300");

	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_LOST_BEFORE});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
	while (strcmp(state_of_job(job), "SUBMIT_UNCERTAIN") != 0)
		usleep(1000);
	assert_int_equal(BLOCKING(gb_cancel, job), -EBUSY);
	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	assert_string_not_equal(state_of_job(job), "SUBMIT_UNCERTAIN");
	gb_job_unref(job);
	setenv("BATCHFS_TEST_SETTLE_SECONDS", "600", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_numbers), FAKE_CASE(test_names),
		FAKE_CASE(test_split_texts), FAKE_CASE(test_too_many),
		FAKE_CASE(test_other_lines), FAKE_CASE(test_names_of_others), FAKE_CASE(test_first_refused),
		FAKE_CASE(test_first_lost), FAKE_CASE(test_third_lost),
		FAKE_CASE(test_third_refused), FAKE_CASE(test_stop),
		FAKE_CASE(test_two_at_a_time), FAKE_CASE(test_never_fits),
		FAKE_CASE(test_others_count), FAKE_CASE(test_no_size),
		FAKE_CASE(test_no_size_for_a_time), FAKE_CASE(test_never_fits_just_after),
		FAKE_CASE(test_even), FAKE_CASE(test_alias),
		FAKE_CASE(test_quota_texts), FAKE_CASE(test_missing_here),
		FAKE_CASE(test_least), FAKE_CASE(test_uncertain_never_fits),
		FAKE_CASE(test_uncertain_after_cancel)};

	hurry_parts();
	setenv("BATCHFS_TEST_LOOK_SECONDS", "0.002", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
