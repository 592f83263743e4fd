/* Creates whose answers were lost, whose requests were sent again on somebody's word,
 * and whose jobs turn up after all, at every moment: each is ours, none is bought once
 * more, and what was bought twice is said. */
#include "fake_parts.h"

#include "answers/sources.h"
#include "jobs/advice.h"
#include "submit/parts_send.h"

#include <fcntl.h>

enum { LINES = 1200 };

/* ---- what happens before --------------------------------------------------------- */

static void shorten(const char *what, const char *seconds)
{
	char name[64];

	snprintf(name, sizeof(name), "BATCHFS_TEST_%s_SECONDS", what);
	setenv(name, seconds, 1);
}

/* One whose answer is lost, and which no list has yet. */
static void lose_next(void)
{
	fake_script(&fake, FAKE_CREATE,
		(struct fake_answer){FAKE_LOST_AFTER, .hides = true});
}

/* Submitted, and uncertain. */
static struct gb_job *uncertain(int lines, const char *split)
{
	struct gb_job *job = draft_of(lines, split);

	shorten("SETTLE", "0.01");
	shorten("CLOSE", "0.05");
	lose_next();
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EIO);
	for (double until = util_now() + 60;
		strcmp(state_of_job(job), "SUBMIT_UNCERTAIN") != 0 &&
		util_now() < until;)
		usleep(1000);
	assert_string_equal(state_of_job(job), "SUBMIT_UNCERTAIN");
	shorten("SETTLE", "600");
	shorten("CLOSE", "60");
	return job;
}

static void show(unsigned n)
{
	struct fake_job *j = fake_job(&fake, n);

	pthread_mutex_lock(&fake.lock);
	j->hidden = false;
	pthread_mutex_unlock(&fake.lock);
}

static void turn_up(unsigned n)
{
	show(n);
	see_all();
}

/* ---- what is seen after ---------------------------------------------------------- */

static unsigned in_tree(void)
{
	unsigned n = 0;
	struct gb_job *job;

	for (uint32_t slot = 0; (job = gb_job_next(client, slot)); gb_job_unref(job)) {
		slot = job->slot + 1;
		n++;
	}
	return n;
}

static bool has(struct gb_job *dir, const char *id)
{
	bool has = false;

	client_lock(client);
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const char *own = parts_at(dir, i)->batch->id;

		has |= own && strcmp(own, id) == 0;
	}
	client_unlock(client);
	return has;
}

/* Each job that was made is the directory's, and nothing else is in the tree; so also
 * after a restart. */
static void all_are_ours(unsigned made)
{
	for (int again = 0; again < 2; again++) {
		struct gb_job *job = found();

		see_all();
		assert_int_equal(fake_made(&fake), made);
		assert_int_equal(in_tree(), 1);
		for (unsigned i = 0; i < made; i++)
			if (!has(job, fake_job(&fake, i)->id))
				fail_msg("job %u is not of the directory", i);
		gb_job_unref(job);
		reopen();
	}
}

static bool is_said(struct gb_job *job)
{
	char *text = advice_text(job), line[1 << 16] = "";
	bool said = text && strstr(text, "both cost");

	free(text);
	assert_true(pread(gb_history_fd(client), line, sizeof(line) - 1, 0) > 0);
	return said && strstr(line, "\tfound\t");
}

/* Who else looks at lists may have been quicker, and be about to say so. */
static void says_both_cost(struct gb_job *job, bool both)
{
	for (double until = util_now() + 60;
		both && !is_said(job) && util_now() < until;)
		usleep(1000);
	assert_int_equal(is_said(job), both);
}

/* How often a line is among what was bought. */
static unsigned times(int line)
{
	char key[16];
	unsigned n = 0;

	snprintf(key, sizeof(key), "\"k%d\"", line);
	for (unsigned i = 0; i < fake_made(&fake); i++)
		n += strstr(fake_job(&fake, i)->requests, key) != NULL;
	return n;
}

static void end_all(struct gb_job *job, const char *state)
{
	for (unsigned i = 0; i < fake_made(&fake); i++)
		if (!fake_job(&fake, i)->ended)
			fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_SUCCEEDED);
	await_state(job, state);
	struct gb_info i = {0};
	for (double until = util_now() + 60; !i.results_safe && util_now() < until;) {
		usleep(1000);
		gb_job_info(job, &i);
	}
	assert_true(i.results_safe);
}

static void await_made(unsigned n)
{
	for (double until = util_now() + 60;
		fake_made(&fake) < n && util_now() < until;)
		usleep(1000);
	assert_true(fake_made(&fake) >= n);
}

static void await_creates(unsigned n)
{
	for (double until = util_now() + 60;
		fake_count(&fake, FAKE_CREATE) < n && util_now() < until;)
		usleep(1000);
	assert_true(fake_count(&fake, FAKE_CREATE) >= n);
}

static void await_phase(struct gb_job *job, enum phase phase)
{
	bool is = false;

	for (double until = util_now() + 60; !is && util_now() < until; usleep(1000)) {
		client_lock(client);
		is = job_phase(job) == phase && !job->dir->task;
		client_unlock(client);
	}
	assert_true(is);
}

/* ---- the whole directory --------------------------------------------------------- */

/* Bought again before it turned up: both are the directory's. */
static void test_whole(void **state)
{
	for (int restart = 0; restart < 2; restart++) {
		struct gb_job *job = uncertain(4, "none");

		assert_int_equal(BLOCKING(gb_resubmit, job), 0);
		if (restart) {
			gb_job_unref(job);
			reopen();
			job = found();
		}
		turn_up(0);
		says_both_cost(job, true);
		end_all(job, "JOB_STATE_SUCCEEDED");
		gb_job_unref(job);
		all_are_ours(2);
		fake_teardown(state);
		usual_waits(state);
	}
}

/* Lists that do not name input files: the job's own resource does. */
static void test_whole_unnamed(void **state)
{
	fake.lists_no_input = true;
	struct gb_job *job = uncertain(4, "none");

	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	turn_up(0);
	says_both_cost(job, true);
	gb_job_unref(job);
	all_are_ours(2);
}

/* The answer to the second is lost, too: whichever turns up first is the job. */
static void test_whole_twice(void **state)
{
	for (unsigned first = 0; first < 2; first++) {
		struct gb_job *job = uncertain(4, "none");

		shorten("SETTLE", "0.01");
		shorten("CLOSE", "0.05");
		lose_next();
		assert_int_equal(BLOCKING(gb_resubmit, job), -EIO);
		await_phase(job, PHASE_UNCERTAIN);
		turn_up(first);
		assert_string_equal(state_of_job(job), "JOB_STATE_PENDING");
		says_both_cost(job, false);
		turn_up(1 - first);
		says_both_cost(job, true);
		gb_job_unref(job);
		all_are_ours(2);
		fake_teardown(state);
		usual_waits(state);
	}
}

/* The second is refused: the first is what there is. */
static void test_whole_refused(void **state)
{
	static const long statuses[] = {400, 429};

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct gb_job *job = uncertain(4, "none");

		fake_script(&fake, FAKE_CREATE,
			(struct fake_answer){FAKE_STATUS, statuses[i], .times = 4});
		assert_true(BLOCKING(gb_resubmit, job) < 0);
		assert_string_equal(state_of_job(job), "SUBMIT_UNCERTAIN");
		assert_int_equal(BLOCKING(gb_remove, job), -EBUSY);
		turn_up(0);
		assert_string_equal(state_of_job(job), "JOB_STATE_PENDING");
		says_both_cost(job, false);
		gb_job_unref(job);
		all_are_ours(1);
		fake_teardown(state);
		usual_waits(state);
	}
}

/* A person says that another job is it; what ours was made of turns up all the same. */
static void test_adopted_another(void **state)
{
	struct gb_job *job = uncertain(4, "none");
	struct fake_job *other = fake_stranger(&fake, "other");

	other->input = "files/other";
	assert_int_equal(
		BLOCKING(gb_adopt, job, other->id + strlen("batches/")), 0);
	turn_up(0);
	says_both_cost(job, true);
	gb_job_unref(job);
	all_are_ours(2);
}

/* ---- the whole directory, which never fits --------------------------------------- */

static size_t takes_some(void)
{
	return strlen(fake_job(&fake, 0)->requests) * 2 / 3;
}

/* One that was sent whole, and can never fit, goes in parts when it is sent again. */
static void test_whole_never_fits(void **state)
{
	for (int late = 0; late < 2; late++) {
		struct gb_job *job = uncertain(LINES, "auto");

		fake.ends_at_once = true;
		fake.takes_bytes = takes_some();
		assert_int_equal(BLOCKING(gb_resubmit, job), 0);
		await_all(job);
		unsigned made = fake_made(&fake);
		assert_true(made >= 3 && made < 6);
		for (int i = 0; i < LINES; i++)
			assert_int_equal(times(i), 2); /* the lost one has all */
		if (late) {
			fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
			turn_up(0);
			says_both_cost(job, true);
			gb_job_unref(job);
			all_are_ours(made);
		} else {
			gb_job_unref(job);
		}
		fake_teardown(state);
		usual_waits(state);
	}
}

static atomic_int creates;

/* It turns up while its first part is uploaded. */
static void found_meanwhile(struct fake_provider *f, enum fake_call call)
{
	if (call != FAKE_UPLOAD || atomic_fetch_add(&creates, 1) != 1)
		return;
	show(0);
	see_all();
}

static void test_whole_never_fits_found(void **state)
{
	struct gb_job *job = uncertain(LINES, "auto");

	creates = 0;
	fake.takes_bytes = takes_some();
	fake.before = found_meanwhile;
	int ret = BLOCKING(gb_resubmit, job);
	assert_true(ret < 0);
	assert_true(creates >= 2);
	await_state(job, "JOB_STATE_PENDING");
	says_both_cost(job, false);
	gb_job_unref(job);
	all_are_ours(1);
}

/* Nothing is ever taken: it is as uncertain as before, and what it says, too. */
static void test_whole_nothing_fits(void **state)
{
	for (int restart = 0; restart < 2; restart++) {
		struct gb_job *job = uncertain(LINES, "auto");

		fake.takes_bytes = 1;
		shorten("CLOSE", "0.05");
		assert_int_equal(BLOCKING(gb_resubmit, job), -EDQUOT);
		assert_string_equal(state_of_job(job), "SUBMIT_UNCERTAIN");
		expect_error(job, "echo resubmit > ctl");
		assert_int_equal(BLOCKING(gb_remove, job), -EBUSY);
		assert_int_equal(fake_uploads(&fake), 1);
		gb_job_unref(job);
		if (restart)
			reopen();
		job = found();
		turn_up(0);
		await_state(job, "JOB_STATE_PENDING");
		says_both_cost(job, false);
		gb_job_unref(job);
		all_are_ours(1);
		fake_teardown(state);
		usual_waits(state);
	}
}

/* ---- a part ---------------------------------------------------------------------- */

/* The first of four is uncertain, as nothing else was bought. */
static void test_part(void **state)
{
	struct gb_job *job = uncertain(8, "2");

	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	await_all(job);
	turn_up(0);
	says_both_cost(job, true);
	assert_int_equal(times(0), 2);
	for (int i = 2; i < 8; i++)
		assert_int_equal(times(i), 1);
	end_all(job, "JOB_STATE_SUCCEEDED");
	gb_job_unref(job);
	all_are_ours(5);
}

/* The second of four, made smaller when it is sent again; all of it is bought, or
 * some. */
static struct gb_job *second_of_four(void)
{
	shorten("SETTLE", "0.01");
	struct gb_job *job = draft_of(LINES, "300");
	struct gb_job *second;

	fake.ends_at_once = true;
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	lose_next();
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
	await_made(4);
	while (!(second = gb_job_part(job, 2)))
		usleep(1000);
	await_phase(second, PHASE_UNCERTAIN);
	gb_job_unref(second);
	shorten("SETTLE", "600");
	return job;
}

static void test_part_never_fits(void **state)
{
	struct gb_job *job = second_of_four();

	fake.takes_bytes = strlen(fake_job(&fake, 1)->requests) * 2 / 3;
	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	await_all(job);
	unsigned made = fake_made(&fake);
	fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
	turn_up(1);
	says_both_cost(job, true);
	gb_job_unref(job);
	all_are_ours(made);
}

/* It turns up while its smaller half waits: that is not bought, nor what it had
 * besides. */
static void test_part_found_queued(void **state)
{
	for (int restart = 0; restart < 2; restart++) {
		struct gb_job *job = second_of_four();

		fake.takes_bytes = 1;
		assert_int_equal(BLOCKING(gb_resubmit, job), 0);
		for (unsigned n = fake_count(&fake, FAKE_CREATE);
			fake_count(&fake, FAKE_CREATE) < n + 3;)
			usleep(1000);
		if (restart) {
			gb_job_unref(job);
			reopen();
			job = found();
		}
		fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
		for (double until = util_now() + 60;
			!has(job, fake_job(&fake, 1)->id) && util_now() < until;)
			turn_up(1);
		fake.takes_bytes = 0;
		await_all(job);
		says_both_cost(job, false);
		assert_bought(LINES, fake_made(&fake));
		gb_job_unref(job);
		all_are_ours(fake_made(&fake));
		fake_teardown(state);
		usual_waits(state);
	}
}

/* While a create that may not be the last is on its way, what it leaves is cut, too. */
static struct gb_job *cut_meanwhile;
static unsigned cut_from; /* in creates after so many */
static atomic_bool was_cut;

static void cut_more(struct fake_provider *f, enum fake_call call)
{
	struct gb_job *fifth = NULL;

	if (call != FAKE_CREATE || fake_count(f, FAKE_CREATE) < cut_from || was_cut)
		return;
	for (double until = util_now() + 60; !fifth && util_now() < until;
		usleep(1000)) {
		parts_go_later(cut_meanwhile);
		fifth = gb_job_part(cut_meanwhile, 5);
	}
	gb_job_unref(fifth);
	was_cut = fifth;
}

/* The second is made smaller, and the rest of it is cut while that is created, so it is
 * a fifth part's. None is taken. When the lost one turns up it has all of that: the
 * fifth goes. */
static void test_part_found_beside(void **state)
{
	struct gb_job *job = second_of_four();

	was_cut = false;
	cut_meanwhile = job;
	cut_from = fake_count(&fake, FAKE_CREATE) + 1;
	fake.before = cut_more;
	fake.takes_bytes = 1;
	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	for (double until = util_now() + 60; !was_cut && util_now() < until;)
		usleep(1000);
	assert_true(was_cut);
	fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
	for (double until = util_now() + 60;
		!has(job, fake_job(&fake, 1)->id) && util_now() < until;)
		turn_up(1);
	fake.takes_bytes = 0;
	await_all(job);
	says_both_cost(job, false);
	assert_bought(LINES, 4);
	gb_job_unref(job);
	all_are_ours(4);
}

/* One half was bought, the other waits: what is not bought yet is in the one that is
 * found. */
static void test_part_found_between(void **state)
{
	struct gb_job *job = second_of_four();
	unsigned made = fake_made(&fake);

	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	fake_script(&fake, FAKE_CREATE,
		(struct fake_answer){FAKE_STATUS, 429, .times = 1 << 30});
	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	await_made(made + 1);
	fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
	turn_up(1);
	says_both_cost(job, true);
	fake_unscript(&fake, FAKE_CREATE);
	await_all(job);
	gb_job_unref(job);
	all_are_ours(made + 1);
}

/* A half that is refused for good, or that a person cancels: it is uncertain as
 * before. */
static void test_part_half_refused(void **state)
{
	struct gb_job *job = second_of_four();
	struct gb_job *second = gb_job_part(job, 2);
	unsigned made = fake_made(&fake);

	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
	shorten("SETTLE", "0.01");
	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	await_phase(second, PHASE_UNCERTAIN);
	assert_string_equal(state_of_job(job), "SUBMIT_UNCERTAIN");
	fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
	turn_up(1);
	await_all(job);
	says_both_cost(job, false);
	assert_bought(LINES, made);
	gb_job_unref(second);
	gb_job_unref(job);
	all_are_ours(made);
}

/* ---- a part of a later round ----------------------------------------------------- */

static void fail_first(struct gb_job *job)
{
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_FAILED);
	await_state(job, "JOB_STATE_FAILED");
	for (double until = util_now() + 60;
		!(gb_verbs(job) & GB_RETRY) && util_now() < until;)
		usleep(1000);
}

/* How many lines it has. */
static unsigned lines_of_part(struct gb_job *part)
{
	struct stat st;
	struct span at;
	unsigned n = 0;
	int fd = answers_open_requests(part, &st, &at);

	assert_true(fd >= 0);
	char *text = calloc(1, at.to - at.from + 1);
	assert_int_equal(util_pread_at(fd, text, at.to - at.from, (int64_t)at.from),
		at.to - at.from);
	for (const char *c = text; *c; c++)
		n += *c == '\n';
	free(text);
	close(fd);
	return n;
}

/* The create of the first part of a later round is lost. A reference to that part. */
static struct gb_job *lose_round(struct gb_job *job)
{
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	fail_first(job);
	shorten("SETTLE", "0.01");
	lose_next();
	assert_int_equal(BLOCKING(gb_retry, job), 0);
	struct gb_job *part = gb_job_part(job, 2);
	await_phase(part, PHASE_UNCERTAIN);
	shorten("SETTLE", "600");
	return part;
}

/* Made smaller, so part 2 and 3, when it was sent again; or still waiting for that. */
static void test_round_never_fits(void **state)
{
	for (int waits = 0; waits < 2; waits++) {
		struct gb_job *job = draft_of(LINES, "auto"), *part = lose_round(job);

		fake.takes_bytes = waits ? 1 : takes_some();
		assert_int_equal(BLOCKING(gb_resubmit, job), 0);
		if (waits)
			while (lines_of_part(part) == LINES)
				usleep(1000);
		else
			await_made(4);
		turn_up(1);
		for (double until = util_now() + 60;
			!has(job, fake_job(&fake, 1)->id) && util_now() < until;)
			see_all();
		says_both_cost(job, !waits);
		struct gb_job *late = waits ? gb_job_ref(part) : gb_job_part(job, 4);
		assert_int_equal(lines_of_part(late), LINES);
		if (!waits)
			assert_int_equal(lines_of_part(part), LINES / 2 + LINES / 32);
		fake.takes_bytes = 0;
		end_all(job, "JOB_STATE_PARTIALLY_SUCCEEDED");
		gb_job_unref(late);
		gb_job_unref(part);
		gb_job_unref(job);
		all_are_ours(waits ? 2 : 4);
		fake_teardown(state);
		usual_waits(state);
	}
}

/* A part of a round, whose create is lost, is made smaller when it is sent again: its
 * first half is bought, or refused for good, and then the lost job turns up: the second
 * half, which waits, is not bought beside it. */
static void test_round_half_waits(void **state)
{
	for (int refused = 0; refused < 2; refused++) {
		struct gb_job *job = draft_of(LINES, "auto"), *part = lose_round(job);

		fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429});
		fake_script(&fake, FAKE_CREATE,
			refused ? (struct fake_answer){FAKE_STATUS, 400}
				: (struct fake_answer){FAKE_OK});
		fake_script(&fake, FAKE_CREATE,
			(struct fake_answer){FAKE_STATUS, 429, .times = 1 << 30});
		unsigned before = fake_count(&fake, FAKE_CREATE);
		assert_int_equal(BLOCKING(gb_resubmit, job), 0);
		/* Refused, the lost job may have it all again: the second waits for
		 * that. */
		await_creates(before + (refused ? 2 : 3));
		if (refused)
			await_phase(part, PHASE_SUBMITTING);
		unsigned made = fake_made(&fake);
		assert_int_equal(made, refused ? 2 : 3);
		fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
		for (double until = util_now() + 60;
			!has(job, fake_job(&fake, 1)->id) && util_now() < until;)
			turn_up(1);
		fake_unscript(&fake, FAKE_CREATE);
		end_all(job, "JOB_STATE_PARTIALLY_SUCCEEDED");
		assert_int_equal(times(LINES - 1), 2); /* of both rounds */
		gb_job_unref(part);
		gb_job_unref(job);
		all_are_ours(made);
		fake_teardown(state);
		usual_waits(state);
	}
}

/* Of a round: one half is made smaller once more and then goes for good; the lost job
 * of the whole, which turns up after that, has what is left of it, too. */
static void test_round_half_of_half(void **state)
{
	struct gb_job *job = draft_of(LINES, "auto"), *part = lose_round(job);
	struct gb_job *half, *quarter;

	assert_int_equal(BLOCKING(gb_resubmit, job), 0);
	await_made(3);
	assert_int_equal(parts_make(job, 1, 2, (struct part_range){600, 0}, 20,
				 PHASE_DRAFT, &half),
		0);
	client_lock(client);
	int number = (int)parts_number(half);
	client_unlock(client);
	assert_int_equal(parts_make(job, 1, number, (struct part_range){100, 0}, 10,
				 PHASE_DRAFT, &quarter),
		0);
	assert_int_equal(parts_unmake(half), 0);
	for (double until = util_now() + 60;
		!has(job, fake_job(&fake, 1)->id) && util_now() < until;)
		turn_up(1);
	assert_true(has(job, fake_job(&fake, 1)->id));
	client_lock(client);
	bool late_has = parts_late_has(quarter);
	int64_t at = quarter->dir->rec.range_off;
	client_unlock(client);
	assert_true(late_has);
	assert_int_equal(at, 700);
	assert_int_equal(parts_unmake(quarter), 0);
	gb_job_unref(part);
	gb_job_unref(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_whole),
		FAKE_CASE(test_whole_unnamed), FAKE_CASE(test_whole_twice),
		FAKE_CASE(test_whole_refused), FAKE_CASE(test_adopted_another),
		FAKE_CASE(test_whole_never_fits),
		FAKE_CASE(test_whole_never_fits_found),
		FAKE_CASE(test_whole_nothing_fits), FAKE_CASE(test_part),
		FAKE_CASE(test_part_never_fits), FAKE_CASE(test_part_found_queued),
		FAKE_CASE(test_part_found_beside), FAKE_CASE(test_part_found_between),
		FAKE_CASE(test_part_half_refused), FAKE_CASE(test_round_never_fits),
		FAKE_CASE(test_round_half_waits), FAKE_CASE(test_round_half_of_half)};

	hurry_parts();
	setenv("BATCHFS_TEST_LOOK_SECONDS", "0.002", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
